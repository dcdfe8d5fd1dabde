//! Character classes: `[…]`, `\d` and its like, `[:alpha:]` and its like, `\p{…}`.
//!
//! Whatever the notation, a class becomes a set of code points, case folding included, and is
//! written out as plain ranges.

use std::collections::BTreeMap;
use std::rc::Rc;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::error::{Fault, GoRegexError};
use super::{escape, unicode};

/// Ranges of an unfinished class beyond which duplicates are merged on the way.
const COMPACT_AT: usize = 1 << 16;

/// Reads classes; keeps the named sets that a pattern has used, for it may use one often.
#[derive(Debug, Default)]
pub(super) struct ClassReader {
    named: BTreeMap<(String, bool), Rc<ClassUnicode>>,
    /// Whether `:]` was looked for in vain, so that it need not be looked for again further on.
    no_posix_end: bool,
}

/// A class under construction.
#[derive(Debug, Default)]
struct Builder {
    /// Ranges as the pattern gives them, still to be folded.
    listed: Vec<ClassUnicodeRange>,
    /// Ranges of named classes, folded (and negated) already.
    named: Vec<ClassUnicodeRange>,
}

impl ClassReader {
    /// Reads the bracketed class at the beginning of `s` and returns it with what follows.
    ///
    /// # Errors
    ///
    /// A class that Go refuses.
    pub(super) fn bracketed<'p>(
        &mut self,
        s: &'p str,
        fold_case: bool,
    ) -> Result<(ClassUnicode, &'p str), GoRegexError> {
        let mut rest = s.strip_prefix('[').unwrap_or(s);
        let negated = rest.starts_with('^');
        rest = rest.strip_prefix('^').unwrap_or(rest);
        let mut class = Builder::default();
        let mut first = true;
        while first || !rest.starts_with(']') {
            first = false;
            if let Some((set, after)) = self.named(rest, fold_case)? {
                class.add_set(&set);
                rest = after;
                continue;
            }
            let item = rest;
            let (low, after) = class_char(rest, s)?;
            let mut high = low;
            rest = after;
            if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
                (high, rest) = class_char(rest.strip_prefix('-').unwrap_or(rest), s)?;
                if high < low {
                    return Err(GoRegexError::new(Fault::CharRange, item));
                }
            }
            class.add_range(low, high);
        }
        rest = rest.strip_prefix(']').unwrap_or(rest);
        Ok((class.finish(fold_case, negated), rest))
    }

    /// Reads a class that has a name and may stand inside brackets, if `s` begins with one.
    fn named<'p>(
        &mut self,
        s: &'p str,
        fold_case: bool,
    ) -> Result<Option<(Rc<ClassUnicode>, &'p str)>, GoRegexError> {
        if s.starts_with("[:") {
            return self.posix(s, fold_case);
        }
        self.escaped(s, fold_case)
    }

    /// Reads `\d`, `\pL`, `\p{Greek}` and their like, if `s` begins with one.
    ///
    /// # Errors
    ///
    /// A Unicode class that Go does not know.
    pub(super) fn escaped<'p>(
        &mut self,
        s: &'p str,
        fold_case: bool,
    ) -> Result<Option<(Rc<ClassUnicode>, &'p str)>, GoRegexError> {
        let mut chars = s.chars();
        if chars.next() != Some('\\') {
            return Ok(None);
        }
        let letter = chars.next();
        let rest = chars.as_str();
        let (ranges, negated): (&[(u8, u8)], bool) = match letter {
            Some('p') => return self.property(s, rest, false, fold_case).map(Some),
            Some('P') => return self.property(s, rest, true, fold_case).map(Some),
            Some('d') => (DIGIT, false),
            Some('D') => (DIGIT, true),
            Some('s') => (PERL_SPACE, false),
            Some('S') => (PERL_SPACE, true),
            Some('w') => (WORD, false),
            Some('W') => (WORD, true),
            _ => return Ok(None),
        };
        let name = s.get(..2).unwrap_or(s);
        let set = self.remember(name, fold_case, || Some(ascii(ranges, negated, fold_case)));
        Ok(set.map(|set| (set, rest)))
    }

    /// Reads `[:alpha:]` or `[:^alpha:]`. Without a closing `:]` anywhere it is no such class.
    fn posix<'p>(
        &mut self,
        s: &'p str,
        fold_case: bool,
    ) -> Result<Option<(Rc<ClassUnicode>, &'p str)>, GoRegexError> {
        if self.no_posix_end {
            return Ok(None);
        }
        let Some((name, rest)) = s.strip_prefix("[:").and_then(|s| s.split_once(":]")) else {
            self.no_posix_end = true;
            return Ok(None);
        };
        let negated = name.starts_with('^');
        let key = format!("[:{name}");
        self.remember(&key, fold_case, || {
            let ranges = posix_ranges(name.strip_prefix('^').unwrap_or(name))?;
            Some(ascii(ranges, negated, fold_case))
        })
        .map(|set| Some((set, rest)))
        .ok_or_else(|| GoRegexError::new(Fault::CharRange, s))
    }

    /// Reads what follows `\p` or `\P`: a letter, or a name in braces, which `^` negates.
    fn property<'p>(
        &mut self,
        s: &str,
        after_letter: &'p str,
        negated: bool,
        fold_case: bool,
    ) -> Result<(Rc<ClassUnicode>, &'p str), GoRegexError> {
        let unknown = || GoRegexError::new(Fault::CharClass, s);
        let (name, rest) = match after_letter.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(unknown)?,
            None => {
                let letter = after_letter.chars().next().map_or(0, char::len_utf8);
                after_letter.split_at(letter)
            }
        };
        let negated = negated != name.starts_with('^');
        let name = name.strip_prefix('^').unwrap_or(name);
        let key = format!("\\{}{name}", if negated { 'P' } else { 'p' });
        self.remember(&key, fold_case, || {
            let mut set = unicode::property(name, fold_case)?;
            if negated {
                unicode::negate(&mut set);
            }
            Some(set)
        })
        .map(|set| (set, rest))
        .ok_or_else(unknown)
    }

    fn remember(
        &mut self,
        name: &str,
        fold_case: bool,
        make: impl FnOnce() -> Option<ClassUnicode>,
    ) -> Option<Rc<ClassUnicode>> {
        let key = (name.to_owned(), fold_case);
        if let Some(set) = self.named.get(&key) {
            return Some(Rc::clone(set));
        }
        let set = Rc::new(make()?);
        self.named.insert(key, Rc::clone(&set));
        Some(set)
    }
}

impl Builder {
    /// Adds the code points from `low` to `high`; surrogates among them match nothing.
    fn add_range(&mut self, low: u32, high: u32) {
        let low = char::from_u32(low).unwrap_or('\u{E000}');
        let high = char::from_u32(high).unwrap_or('\u{D7FF}');
        if low <= high {
            self.listed.push(ClassUnicodeRange::new(low, high));
        }
    }

    fn add_set(&mut self, set: &ClassUnicode) {
        if self.named.len() > COMPACT_AT {
            self.named = ClassUnicode::new(self.named.drain(..)).ranges().to_vec();
        }
        self.named.extend_from_slice(set.ranges());
    }

    fn finish(self, fold_case: bool, negated: bool) -> ClassUnicode {
        let mut set = ClassUnicode::new(self.listed);
        if fold_case && !set.ranges().is_empty() {
            unicode::fold(&mut set);
        }
        if !self.named.is_empty() {
            set.union(&ClassUnicode::new(self.named));
        }
        if negated {
            unicode::negate(&mut set);
        }
        set
    }
}

/// Reads one character of a bracketed class.
fn class_char<'p>(s: &'p str, whole: &str) -> Result<(u32, &'p str), GoRegexError> {
    let mut chars = s.chars();
    match chars.next() {
        None => Err(GoRegexError::new(Fault::MissingBracket, whole)),
        Some('\\') => escape::parse(s),
        Some(c) => Ok((u32::from(c), chars.as_str())),
    }
}

/// Writes a class as the `regex` crate reads it: only ranges of plain or escaped characters.
pub(super) fn write(set: &ClassUnicode, out: &mut String) {
    if set.ranges().is_empty() {
        out.push_str(r"[^\x{0}-\x{10FFFF}]");
        return;
    }
    out.push('[');
    for range in set.iter() {
        write_char(range.start(), out);
        if range.start() != range.end() {
            out.push('-');
            write_char(range.end(), out);
        }
    }
    out.push(']');
}

/// Writes one literal character, in or outside of a class.
pub(super) fn write_char(c: char, out: &mut String) {
    if regex_syntax::is_meta_character(c) {
        out.push('\\');
    }
    out.push(c);
}

/// The set of some ASCII ranges.
fn ascii(ranges: &[(u8, u8)], negated: bool, fold_case: bool) -> ClassUnicode {
    let ranges = ranges.iter();
    let mut set = ClassUnicode::new(
        ranges.map(|&(low, high)| ClassUnicodeRange::new(char::from(low), char::from(high))),
    );
    if fold_case {
        unicode::fold(&mut set);
    }
    if negated {
        unicode::negate(&mut set);
    }
    set
}

const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
const PERL_SPACE: &[(u8, u8)] = &[(b'\t', b'\n'), (0x0C, b'\r'), (b' ', b' ')];
const WORD: &[(u8, u8)] = &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')];

/// The POSIX class of that name.
fn posix_ranges(name: &str) -> Option<&'static [(u8, u8)]> {
    Some(match name {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0x00, 0x7F)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0x00, 0x1F), (0x7F, 0x7F)],
        "digit" => DIGIT,
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => WORD,
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}
