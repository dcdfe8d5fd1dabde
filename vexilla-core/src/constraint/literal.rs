//! The values that constraint text can spell: strings, numbers and lists.
//!
//! Three sets of rules meet here, as they do in Flagr: strings are unquoted by
//! Go's `strconv.Unquote`, numbers by `strconv.ParseFloat`, lists by
//! `encoding/json`.

use std::borrow::Cow;
use std::fmt;

use super::size::{piece, texts};
use crate::index::Index;

/// A value written in a constraint.
///
/// Strings are bytes, because Go's escapes can spell what is no UTF-8
/// (`"\xff"`); such a string equals nothing that a context can hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// `"CA"`
    String(Box<[u8]>),
    /// `18`, always a 64-bit float
    Number(f64),
    /// `TRUE` or `FALSE`
    Bool(bool),
    /// `["CA", "NY"]`
    Strings(Strings),
    /// `[1, 2]`
    Numbers(Box<[f64]>),
}

/// A list of strings, for look-ups.
#[derive(Debug, Clone)]
pub(crate) struct Strings {
    /// In the order written.
    list: Box<[Box<str>]>,
    /// Only for lists that are longer than a walk is fast.
    index: Option<Index>,
}

/// Up to this length a walk over the list beats hashing.
const WALK: usize = 8;

impl Strings {
    fn new(list: Vec<Box<str>>) -> Self {
        let index = (list.len() > WALK).then(|| {
            let keys: Vec<_> = list.iter().map(|item| Some(&**item)).collect();
            Index::new(&keys)
        });
        Self {
            list: list.into(),
            index,
        }
    }

    /// Whether the list has this string.
    pub(crate) fn contains(&self, wanted: &str) -> bool {
        let item = |at: usize| self.list.get(at).map(|item| &**item);
        match &self.index {
            Some(index) => index
                .find(
                    wanted,
                    |at| item(at) == Some(wanted),
                    |at| item(at).cmp(&Some(wanted)),
                )
                .is_some(),
            None => self.list.iter().any(|item| **item == *wanted),
        }
    }

    /// The memory of the list, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let index = self.index.as_ref().map_or([0; 2], Index::bytes);
        texts(&self.list) + index.into_iter().map(piece).sum::<u64>()
    }

    /// In the order written.
    pub(crate) fn as_slice(&self) -> &[Box<str>] {
        &self.list
    }
}

impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl fmt::Display for Literal {
    /// As a constraint would spell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Strings(strings) => f.debug_list().entries(strings.as_slice()).finish(),
            Self::Numbers(numbers) => {
                f.write_str("[")?;
                for (index, number) in numbers.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{number}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The value of a string token: of `"…"` by [`unquote`], or what stands in it
/// if that fails; of `/…/` (and of a string that its line ended) what stands
/// between the first and the last byte.
pub(super) fn string(token: &str) -> Result<Literal, String> {
    if token.len() < 2 {
        return Err("a string literal has no end".to_owned());
    }
    let inner = token.get(1..token.len() - 1).unwrap_or_default();
    let quoted = token.starts_with('"') && token.ends_with('"');
    let value = if quoted { unquote(inner) } else { None };
    Ok(Literal::String(
        value.unwrap_or_else(|| inner.into()).into(),
    ))
}

/// Go's `strconv.Unquote` of what stands between double quotes; `None` where
/// Go reports an error.
fn unquote(inner: &str) -> Option<Vec<u8>> {
    if !inner.contains(['\\', '"', '\n']) {
        return Some(inner.into());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '"' | '\n' => return None,
            '\\' => rest = unescape(rest, &mut out)?,
            _ => push_char(&mut out, c),
        }
    }
    Some(out)
}

/// Decodes one escape whose backslash is read already; gives what follows it.
fn unescape<'t>(rest: &'t str, out: &mut Vec<u8>) -> Option<&'t str> {
    let c = rest.chars().next()?;
    let behind = rest.get(c.len_utf8()..)?;
    let byte = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            out.push(u8::try_from(digits(behind, 2, 16)?).ok()?);
            return behind.get(2..);
        }
        '0'..='7' => {
            out.push(u8::try_from(digits(rest, 3, 8)?).ok()?);
            return rest.get(3..);
        }
        'u' | 'U' => {
            let length = if c == 'u' { 4 } else { 8 };
            push_char(out, char::from_u32(digits(behind, length, 16)?)?);
            return behind.get(length..);
        }
        _ => return None,
    };
    out.push(byte);
    Some(behind)
}

/// The number that exactly `length` digits spell.
fn digits(text: &str, length: usize, base: u32) -> Option<u32> {
    let text = text.get(..length)?;
    text.chars().all(|c| c.is_digit(base)).then_some(())?;
    u32::from_str_radix(text, base).ok()
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Go's `strconv.ParseFloat` of a number token with an optional `-` before it.
pub(super) fn number(text: &str) -> Result<Literal, String> {
    parse_float(text)
        .map(Literal::Number)
        .ok_or_else(|| "a number is not of Go's form, or too large".to_owned())
}

fn parse_float(text: &str) -> Option<f64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text),
    };
    let digits = match unsigned.contains('_') {
        true => Cow::Owned(unsigned.replace('_', "")),
        false => Cow::Borrowed(unsigned),
    };
    let magnitude = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hexadecimal) => parse_hexadecimal_float(hexadecimal)?,
        // Rust knows words and signs here that Go's tokens cannot have.
        None if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse::<f64>().ok()?
        }
        None => return None,
    };
    magnitude.is_finite().then_some(())?;
    Some(if negative { -magnitude } else { magnitude })
}

/// Whether each `_` stands between two digits (a base prefix counts as one).
fn underscores_separate_digits(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let prefixed = matches!(text, [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]);
    let hexadecimal = matches!(text, [b'0', b'x' | b'X', ..]);
    let mut before = if prefixed { b'0' } else { b'^' };
    for byte in text.iter().skip(if prefixed { 2 } else { 0 }) {
        let digit = byte.is_ascii_digit() || (hexadecimal && byte.is_ascii_hexdigit());
        before = match (digit, byte, before) {
            (true, ..) => b'0',
            (false, b'_', b'0') => b'_',
            (false, b'_', _) | (false, _, b'_') => return false,
            _ => b'!',
        };
    }
    before != b'_'
}

/// Reads `1.8p-3`, the exponent being mandatory; rounds half to even.
fn parse_hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let magnitude = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || magnitude.is_empty() || !digits_only(magnitude)
    {
        return None;
    }
    // Beyond this, any mantissa that fits a constraint is zero or infinite.
    let bound = 1 << 40;
    let magnitude = magnitude.parse::<i64>().map_or(bound, |e| e.min(bound));
    let mut exponent = if exponent.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    let (mut bits, mut lost) = (0_u64, false);
    for (index, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            lost |= digit != 0;
            exponent += 4;
        }
        if index >= whole.len() {
            exponent -= 4;
        }
    }
    Some(round_to_float(bits, lost, exponent))
}

/// `bits × 2^exponent`, a little more if `lost`, as the nearest float; infinite
/// where it is too large.
fn round_to_float(bits: u64, lost: bool, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let length = i64::from(u64::BITS - bits.leading_zeros());
    let top = length - 1 + exponent; // the exponent of the highest bit
    if top > 1023 {
        return f64::INFINITY;
    }
    if top < -1075 {
        return 0.0; // less than half of the smallest float
    }
    let precision = 53 - (-1022 - top).max(0);
    let drop = length - precision;
    let (mut kept, mut exponent) = (u128::from(bits), exponent);
    if drop > 0 {
        let rest = kept & ((1 << drop) - 1);
        let half = 1_u128 << (drop - 1);
        kept >>= drop;
        exponent += drop;
        if rest > half || (rest == half && (lost || kept & 1 == 1)) {
            kept += 1;
        }
    }
    // At most 53 bits are left: each step is exact or overflows for good.
    let mut value = kept as f64;
    while exponent > 0 && value.is_finite() {
        let step = exponent.min(1000);
        value *= 2_f64.powi(i32::try_from(step).unwrap_or(1000));
        exponent -= step;
    }
    while exponent < 0 && value != 0.0 {
        let step = exponent.max(-1000);
        value *= 2_f64.powi(i32::try_from(step).unwrap_or(-1000));
        exponent -= step;
    }
    value
}

/// Reads the text between the brackets of a list, blanks removed already, by
/// JSON's rules; only lists of strings and lists of numbers exist.
pub(super) fn list(text: &str) -> Result<Literal, String> {
    let unreadable = || {
        let reason = "a list is no JSON; look for a comma at its end, or a missing quote";
        reason.to_owned()
    };
    match text.chars().next() {
        None => Err("an empty list compares with nothing; write at least one item".to_owned()),
        Some('"') => {
            let items = items(text, json_string).ok_or_else(unreadable)?;
            Ok(Literal::Strings(Strings::new(items)))
        }
        Some('-' | '0'..='9') => {
            let items = items(text, json_number).ok_or_else(unreadable)?;
            Ok(Literal::Numbers(items.into()))
        }
        Some(_) => Err("the items of a list must be all strings or all numbers".to_owned()),
    }
}

/// Reads one item after the other with `read`, which gives the item and what
/// follows it.
fn items<'t, T>(text: &'t str, read: fn(&'t str) -> Option<(T, &'t str)>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let (item, behind) = read(rest)?;
        items.push(item);
        if behind.is_empty() {
            return Some(items);
        }
        rest = behind.strip_prefix(',')?;
    }
}

/// A JSON string as Go's `encoding/json` decodes it: half a surrogate pair is
/// U+FFFD.
fn json_string(text: &str) -> Option<(Box<str>, &str)> {
    let mut rest = text.strip_prefix('"')?;
    if let Some((plain, behind)) = rest.split_once('"')
        && !plain.bytes().any(|byte| byte == b'\\' || byte < b' ')
    {
        return Some((plain.into(), behind));
    }
    let mut out = String::new();
    loop {
        let c = rest.chars().next()?;
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '"' => return Some((out.into(), rest)),
            '\\' => rest = json_escape(rest, &mut out)?,
            '\0'..='\x1f' => return None,
            _ => out.push(c),
        }
    }
}

fn json_escape<'t>(rest: &'t str, out: &mut String) -> Option<&'t str> {
    let c = rest.chars().next()?;
    let behind = rest.get(c.len_utf8()..)?;
    out.push(match c {
        '"' | '\\' | '/' => c,
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let unit = digits(behind, 4, 16)?;
            let behind = behind.get(4..)?;
            if let Some(c) = char::from_u32(unit) {
                out.push(c);
                return Some(behind);
            }
            let low = behind
                .strip_prefix("\\u")
                .and_then(|low| digits(low, 4, 16));
            let pair = low.and_then(|low| surrogate_pair(unit, low));
            out.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
            return if pair.is_some() {
                behind.get(6..)
            } else {
                Some(behind)
            };
        }
        _ => return None,
    });
    Some(behind)
}

fn surrogate_pair(high: u32, low: u32) -> Option<char> {
    if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

/// A JSON number within the range of a 64-bit float.
fn json_number(text: &str) -> Option<(f64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let at_least_one = |count: usize| (count > 0).then_some(count);
    let bytes = text.as_bytes();
    let mut end = usize::from(text.starts_with('-'));
    end += match bytes.get(end)? {
        b'0' => 1,
        _ => at_least_one(digits(text.get(end..)?))?,
    };
    if bytes.get(end) == Some(&b'.') {
        end += 1 + at_least_one(digits(text.get(end + 1..)?))?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        end += 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end += at_least_one(digits(text.get(end..)?))?;
    }
    let number = text.get(..end)?.parse::<f64>().ok()?;
    number.is_finite().then_some(())?;
    Some((number, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(token: &str) -> Vec<u8> {
        match string(token) {
            Ok(Literal::String(bytes)) => bytes.into(),
            other => panic!("{token}: {other:?}"),
        }
    }

    #[test]
    fn escapes_are_go_s_or_none_at_all() {
        for (token, value) in [
            (r#""\x41""#, &b"A"[..]),
            (r#""\101""#, b"A"),
            (r#""\U0001f6a9""#, "🚩".as_bytes()),
            (r#""\xc3\x9f""#, "ß".as_bytes()),
            (r#""\xff""#, b"\xff"),
            (r#""a\tb\"""#, b"a\tb\""),
            (r#""\d\x41""#, br"\d\x41"),
            (r#""\/""#, br"\/"),
            (r#""\'""#, br"\'"),
            (r#""\u12""#, br"\u12"),
            (r#""\400""#, br"\400"),
            (r#""\ud83d\udea9""#, br"\ud83d\udea9"),
            (r#"/\x41"/"#, br#"\x41""#),
        ] {
            assert_eq!(bytes(token), value, "{token}");
        }
        assert!(string("\"").is_err());
    }

    #[test]
    fn numbers_are_go_s() {
        for (text, value) in [
            ("1_000", 1000.0),
            ("0x1p4", 16.0),
            ("0x_1p0", 1.0),
            ("0x1.8p1", 3.0),
            ("0x.8p0", 0.5),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.8p-1076", 0.0),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x10000000000000801p0", 18_446_744_073_709_555_712.0),
            ("0x1p-99999999999999999999", 0.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("017", 17.0),
            ("08", 8.0),
            ("-5", -5.0),
            ("1e-400", 0.0),
            ("-0x1p1", -2.0),
        ] {
            assert_eq!(number(text), Ok(Literal::Number(value)), "{text}");
        }
        for text in [
            "0x10",
            "0b11",
            "0o17",
            "--1",
            "1__0",
            "1_",
            "1e309",
            "0x1p1024",
            "0xp1",
            "1e",
            "1p3",
            "1_.5",
            "0x1p",
            "0x1.fffffffffffff8p1023",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_json_s() {
        let strings = |text: &str| match list(text) {
            Ok(Literal::Strings(strings)) => strings.as_slice().join("|"),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(strings(r#""a","b\n""#), "a|b\n");
        assert_eq!(strings(r#""\ud83d\udea9""#), "🚩");
        assert_eq!(strings(r#""\ud83dx","\udea9""#), "\u{fffd}x|\u{fffd}");
        assert_eq!(strings(r#""\ud83d\u0041""#), "\u{fffd}A");
        assert_eq!(list("12,3"), Ok(Literal::Numbers([12.0, 3.0].into())));
        assert_eq!(list("1e2,-0.5"), Ok(Literal::Numbers([100.0, -0.5].into())));
        for text in [
            "",
            "true",
            "1,\"a\"",
            "\"a\",1",
            "01",
            ".5",
            "1_0",
            "1,",
            ",1",
            "[1]",
            "1e309",
            "1.",
            "-",
            r#""\x41""#,
            "\"a",
            "\"\n\"",
            "1e",
            "\"a\"\"b\"",
        ] {
            assert!(list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_lists_find_the_same_as_short_ones() {
        let items = |n: usize| (0..n).map(|i| format!("item-{i}").into()).collect();
        for n in [1, WALK, WALK + 1, 100] {
            let strings = Strings::new(items(n));
            assert!(strings.contains(&format!("item-{}", n - 1)));
            assert!(!strings.contains(&format!("item-{n}")));
        }
    }
}
