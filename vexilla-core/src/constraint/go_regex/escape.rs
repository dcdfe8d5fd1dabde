//! Escape sequences that stand for one character (`parseEscape` in Go's `regexp/syntax`).

use super::error::{Fault, GoRegexError};

/// The greatest Unicode code point.
const MAX_RUNE: u32 = 0x10_FFFF;

/// Reads the escape sequence at the beginning of `s`, which starts with a backslash. Returns the
/// code point (it may be a surrogate) and what follows.
///
/// # Errors
///
/// A sequence that Go does not have.
pub(super) fn parse(s: &str) -> Result<(u32, &str), GoRegexError> {
    let invalid = || GoRegexError::new(Fault::Escape, s);
    let mut chars = s.chars();
    chars.next();
    let Some(c) = chars.next() else {
        return Err(GoRegexError::new(Fault::TrailingBackslash, ""));
    };
    let rest = chars.as_str();
    match c {
        '1'..='7' if !rest.starts_with(|d: char| d.is_digit(8)) => Err(invalid()),
        '0'..='7' => Ok(octal(c, rest)),
        'x' => hexadecimal(rest).ok_or_else(invalid),
        'a' => Ok((0x07, rest)),
        'f' => Ok((0x0C, rest)),
        'n' => Ok((0x0A, rest)),
        'r' => Ok((0x0D, rest)),
        't' => Ok((0x09, rest)),
        'v' => Ok((0x0B, rest)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((u32::from(c), rest)),
        _ => Err(invalid()),
    }
}

/// Up to three octal digits, of which `first` is already read.
fn octal(first: char, mut rest: &str) -> (u32, &str) {
    let mut value = first.to_digit(8).unwrap_or(0);
    for _ in 0..2 {
        let mut chars = rest.chars();
        let Some(digit) = chars.next().and_then(|c| c.to_digit(8)) else {
            break;
        };
        value = value * 8 + digit;
        rest = chars.as_str();
    }
    (value, rest)
}

/// What follows `\x`: two digits, or any number of them in braces.
fn hexadecimal(s: &str) -> Option<(u32, &str)> {
    if let Some(braced) = s.strip_prefix('{') {
        let (digits, rest) = braced.split_once('}')?;
        if digits.is_empty() {
            return None;
        }
        let mut value = 0;
        for c in digits.chars() {
            value = value * 16 + c.to_digit(16)?;
            if value > MAX_RUNE {
                return None;
            }
        }
        return Some((value, rest));
    }
    let mut chars = s.chars();
    let high = chars.next()?.to_digit(16)?;
    let low = chars.next()?.to_digit(16)?;
    Some((high * 16 + low, chars.as_str()))
}
