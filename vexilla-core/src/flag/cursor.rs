//! A cursor over the text of a JSON document.
//!
//! It leaves to its caller what a value is read into, which a general deserialiser cannot: Go decodes on
//! after a value of the wrong type, and into what a repeated member has left behind. Strings follow Go's
//! `encoding/json`: an escape that spells half a surrogate pair becomes U+FFFD.
//!
//! On a text that is not well-formed the values are meaningless, but every step still moves on and ends at
//! the end of the text, and [`is_well_formed`](Cursor::is_well_formed) tells. What is wrong, and where, is
//! left to `serde_json`.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// How deep lists and objects may nest; Go's limit.
const MAX_DEPTH: usize = 10_000;

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    too_deep: Option<usize>,
    /// Whether a list or an object was entered and nothing in it was passed.
    fresh: bool,
    /// Whether something was passed that is no JSON.
    broken: bool,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    List,
    Object,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first value of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            too_deep: None,
            fresh: false,
            broken: false,
        }
    }

    /// How many bytes of the text are behind the cursor.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Where the text passed so far first nested deeper than Go allows, in bytes.
    pub(super) fn too_deep(&self) -> Option<usize> {
        self.too_deep
    }

    /// Whether the whole text was passed, and is well-formed.
    pub(super) fn is_well_formed(&mut self) -> bool {
        self.next_byte().is_none() && self.depth == 0 && !self.broken
    }

    /// The kind of the next value; the cursor moves up to it.
    pub(super) fn peek(&mut self) -> Kind {
        match self.next_byte() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::String,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// Moves into the list or object that comes next.
    pub(super) fn enter(&mut self) {
        self.peek();
        self.open();
    }

    /// Moves to the next element of the list that was entered, or out of the list when there is none.
    pub(super) fn next_element(&mut self) -> bool {
        self.next_in(b']')
    }

    /// Moves to the value of the next member of the object that was entered and gives the member's name, or
    /// moves out of the object when there is none.
    pub(super) fn next_member(&mut self) -> Option<Cow<'a, str>> {
        self.next_name().then(|| self.name())
    }

    /// Moves to the name of the next member of the object that was entered, or out of the object when there is
    /// none.
    pub(super) fn next_name(&mut self) -> bool {
        self.next_in(b'}')
    }

    /// Moves to what comes next in a list or object that ends with `end`, or out of it.
    fn next_in(&mut self, end: u8) -> bool {
        let first = std::mem::take(&mut self.fresh);
        let mut next = self.next_byte();
        let comma = next == Some(b',');
        if comma {
            self.at += 1;
            next = self.next_byte();
        }
        match next {
            Some(close @ (b']' | b'}')) => {
                self.broken |= comma || close != end;
                self.close();
                false
            }
            Some(_) => {
                self.broken |= comma == first;
                true
            }
            None => {
                self.broken = true;
                false
            }
        }
    }

    /// Moves from the name of a member, where [`next_name`](Self::next_name) has moved to, to its value.
    pub(super) fn name(&mut self) -> Cow<'a, str> {
        let name = self.string();
        self.pass_colon();
        name
    }

    /// The same, if the name is spelt like this and without escapes; else the cursor stays.
    pub(super) fn is_name(&mut self, name: &str) -> bool {
        let found = self
            .rest()
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&b'"'));
        if found {
            self.at += name.len() + 2;
            self.pass_colon();
        }
        found
    }

    fn pass_colon(&mut self) {
        if self.next_byte() == Some(b':') {
            self.at += 1;
        } else {
            self.broken = true;
        }
    }

    /// Passes the next value, which is a string.
    pub(super) fn string(&mut self) -> Cow<'a, str> {
        match self.string_source() {
            (source, false) => Cow::Borrowed(source),
            (source, true) => Cow::Owned(unescape(source)),
        }
    }

    /// Passes the next value, which is a string, and gives what stands between its quotes, and whether there are
    /// escapes in it.
    pub(super) fn string_source(&mut self) -> (&'a str, bool) {
        self.broken |= self.peek() != Kind::String;
        self.at += 1;
        let from = self.at;
        let escaped = self.pass_string();
        // The closing quote is the one byte before the cursor.
        let source = self.text.get(from..self.at.saturating_sub(1));
        (source.unwrap_or_default(), escaped)
    }

    /// Passes the next value and gives its text.
    pub(super) fn skip(&mut self) -> &'a str {
        let kind = self.peek();
        let from = self.at;
        match kind {
            Kind::List | Kind::Object => self.pass_container(),
            Kind::String => {
                self.at += 1;
                self.pass_string();
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {
                self.at += 1;
                let rest = self.rest();
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        let passed = self.text.get(from..self.at).unwrap_or_default();
        self.broken |= kind != Kind::String && !is_json(passed);
        passed
    }

    /// Passes the rest of a string and its closing quote; tells whether there are escapes in it.
    fn pass_string(&mut self) -> bool {
        let mut escaped = false;
        loop {
            let rest = self.rest();
            let length = plain_length(rest);
            self.at += length;
            match rest.get(length..).unwrap_or_default() {
                [b'"', ..] => {
                    self.at += 1;
                    return escaped;
                }
                [b'\\', escape @ ..] => {
                    self.broken |= !is_escape(escape);
                    self.at += 2;
                    escaped = true;
                }
                [_, ..] => {
                    self.broken = true;
                    self.at += 1;
                }
                [] => {
                    self.broken = true;
                    return escaped;
                }
            }
        }
    }

    /// Passes the list or object that comes next, without recursion.
    fn pass_container(&mut self) {
        let outside = self.depth;
        loop {
            match self.byte() {
                Some(b'{' | b'[') => self.open(),
                Some(b'}' | b']') => self.close(),
                Some(b'"') => {
                    self.at += 1;
                    self.pass_string();
                }
                Some(_) => self.at += 1,
                None => return,
            }
            if self.depth <= outside {
                return;
            }
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.too_deep.get_or_insert(self.at);
        }
        self.at += 1;
        self.fresh = true;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
        self.fresh = false;
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space; the cursor moves up to it.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }
}

/// Whether a text without white space around it is JSON; quick for what documents are full of.
fn is_json(text: &str) -> bool {
    match text.as_bytes() {
        b"null" | b"true" | b"false" | b"{}" | b"[]" | [b'0'..=b'9'] => true,
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => true,
        _ => serde_json::from_str::<IgnoredAny>(text).is_ok(),
    }
}

/// How many bytes stand before the first quote, backslash or control character.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    // Eight bytes at a time: where a byte is less than `n`, up to 0x80, and the first that is, its highest bit
    // is set; behind it bits may be set for nothing.
    let less = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word & (ONES << 7);
    let (words, _) = bytes.as_chunks();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
        let found = less(word, b' ') | is(b'"') | is(b'\\');
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += size_of_val(&word);
    }
    let rest = bytes.get(length..).unwrap_or_default();
    let ends = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    length + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Whether an escape begins with this, given what follows the backslash.
fn is_escape(text: &[u8]) -> bool {
    match text {
        [b'u', a, b, c, d, ..] => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        [kind, ..] => b"\"\\/bfnrt".contains(kind),
        [] => false,
    }
}

/// The string that a literal spells, given what stands between its quotes.
fn unescape(source: &str) -> String {
    let mut string = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, escape)) = rest.split_once('\\') {
        string.push_str(before);
        let mut after = escape.chars();
        let character = match after.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (character, behind) = unicode_escape(after.as_str());
                after = behind.chars();
                character
            }
            Some(itself) => itself,
            None => break,
        };
        string.push(character);
        rest = after.as_str();
    }
    string.push_str(rest);
    string
}

/// The character whose UTF-16 units the text spells in hexadecimal digits, given what follows `\u`, and what
/// follows the escape. Half a pair is U+FFFD.
fn unicode_escape(text: &str) -> (char, &str) {
    let (first, rest) = unit(text);
    let second = rest.strip_prefix("\\u").map(unit);
    if let Some((second, behind)) = second
        && let Some(Ok(character)) = char::decode_utf16([first, second]).next()
        && character > '\u{ffff}'
    {
        return (character, behind);
    }
    let single = char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
    (single, rest)
}

/// The UTF-16 unit that the first four hexadecimal digits spell, and what follows them.
fn unit(text: &str) -> (u16, &str) {
    let (digits, rest) = text.split_at_checked(4).unwrap_or((text, ""));
    let unit = u16::from_str_radix(digits, 16);
    (unit.unwrap_or(0xfffd), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_unescaped_as_go_does() {
        for (text, expected) in [
            (r#""""#, ""),
            (r#""plain é""#, "plain é"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0041\u00e9\ud83d\uDEA9!""#, "Aé🚩!"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\ud800x""#, "\u{fffd}x"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (r#""\ud800\ud83d\udea9""#, "\u{fffd}🚩"),
            (r#""\udea9\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\\u0041""#, "\\u0041"),
        ] {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.string(), expected, "{text}");
            assert_eq!(cursor.offset(), text.len());
        }
    }

    #[test]
    fn walks_members_and_elements() {
        let mut cursor =
            Cursor::new(r#" { "a" : [ 1 , "]" , {"x":[]} ] , "b\u0062":null , "c" : {} } "#);
        assert_eq!(cursor.peek(), Kind::Object);
        cursor.enter();
        assert_eq!(cursor.next_member().as_deref(), Some("a"));
        assert_eq!(cursor.peek(), Kind::List);
        cursor.enter();
        let mut elements = Vec::new();
        while cursor.next_element() {
            elements.push(cursor.skip());
        }
        assert_eq!(elements, ["1", r#""]""#, r#"{"x":[]}"#]);
        assert_eq!(cursor.next_member().as_deref(), Some("bb"));
        assert_eq!(cursor.skip(), "null");
        assert_eq!(cursor.next_member().as_deref(), Some("c"));
        assert_eq!(cursor.skip(), "{}");
        assert_eq!(cursor.next_member(), None);
        assert_eq!(cursor.depth, 0);
    }

    #[test]
    fn passes_any_depth_and_says_where_it_became_too_deep() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let text = nested(MAX_DEPTH);
        let mut cursor = Cursor::new(&text);
        assert_eq!(cursor.skip(), text);
        assert_eq!(cursor.too_deep(), None);
        let text = nested(MAX_DEPTH + 1);
        let mut cursor = Cursor::new(&text);
        assert_eq!(cursor.skip(), text);
        assert_eq!(cursor.too_deep(), Some(MAX_DEPTH));
    }

    /// Walks a text as a decoder does, all lists and objects in lists and objects of it.
    fn walk(cursor: &mut Cursor<'_>) {
        match cursor.peek() {
            Kind::Object => {
                cursor.enter();
                while cursor.next_member().is_some() {
                    walk(cursor);
                }
            }
            Kind::List => {
                cursor.enter();
                while cursor.next_element() {
                    walk(cursor);
                }
            }
            Kind::String => {
                cursor.string();
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {
                cursor.skip();
            }
        }
    }

    #[test]
    fn finds_well_formed_what_serde_json_does() {
        let values = [
            "0",
            "10",
            "-0",
            "1.5e-3",
            "1E+2",
            "null",
            "true",
            "false",
            "\"\"",
            "\"a\\u00e9\\/\"",
            "[]",
            "{}",
            "[1, 2]",
            "{\"a\" :1, \"b\": []}", // and what is not
            "",
            "01",
            "-",
            "1.",
            "1e",
            "+1",
            ".5",
            "nul",
            "truex",
            "NaN",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"\t\"",
            "[1 2]",
            "[1,]",
            "[,1]",
            "[",
            "]",
            "[1}",
            "{\"a\":1]",
            "{\"a\"}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{",
            "}",
            "1 2",
            "\u{feff}1",
            "/**/1",
            "é",
        ];
        for value in values {
            for text in [
                value.to_owned(),
                format!(" {value}\n"),
                format!("[{value}]"),
                format!("[0,{value} , 0]"),
                format!("{{\"a\":{value}}}"),
                format!("{{\"a\":0, \"b\" : {value},\"c\":0}}"),
                format!("{value},{value}"),
            ] {
                let mut walked = Cursor::new(&text);
                walk(&mut walked);
                let mut skipped = Cursor::new(&text);
                skipped.skip();
                let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
                assert_eq!(walked.is_well_formed(), expected, "{text}");
                assert_eq!(skipped.is_well_formed(), expected, "{text}");
            }
        }
    }

    #[test]
    fn ends_on_texts_that_are_not_well_formed() {
        for text in [
            "", "{", "[", "\"", "\"\\", "{\"a", "{\"a\"", "{é}", "[}", "]", "{\"\\u", "[1 2", "\\",
        ] {
            let mut cursor = Cursor::new(text);
            cursor.enter();
            let mut steps = 0;
            while cursor.next_member().is_some() {
                cursor.skip();
                steps += 1;
                assert!(steps < 10, "{text}");
            }
            Cursor::new(text).skip();
            Cursor::new(text).string();
        }
    }
}
