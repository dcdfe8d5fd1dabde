//! A cursor over the text of a JSON document that is already known to be well-formed.
//!
//! It leaves to its caller what a value is read into, which a general deserialiser cannot: Go decodes on
//! after a value of the wrong type, and into what a repeated member has left behind. Strings follow Go's
//! `encoding/json`: an escape that spells half a surrogate pair becomes U+FFFD.
//!
//! On a text that is not well-formed the values are meaningless, but every step still moves on and ends at
//! the end of the text.

use std::borrow::Cow;

use memchr::memchr2;

/// How deep lists and objects may nest; Go's limit.
const MAX_DEPTH: usize = 10_000;

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    too_deep: Option<usize>,
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
        if self.next_byte() == Some(b',') {
            self.at += 1;
        }
        match self.next_byte() {
            None => false,
            Some(b']' | b'}') => {
                self.close();
                false
            }
            Some(_) => true,
        }
    }

    /// Moves to the value of the next member of the object that was entered and gives the member's name, or
    /// moves out of the object when there is none.
    pub(super) fn next_member(&mut self) -> Option<Cow<'a, str>> {
        if !self.next_element() {
            return None;
        }
        Some(self.name())
    }

    /// Moves from the name of a member, where [`next_element`](Self::next_element) has moved to, to its value.
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
        self.peek();
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
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Passes the rest of a string and its closing quote; tells whether there are escapes in it.
    fn pass_string(&mut self) -> bool {
        let mut escaped = false;
        loop {
            let rest = self.rest();
            self.at += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            match self.byte() {
                Some(b'\\') => {
                    self.at += 2;
                    escaped = true;
                }
                Some(_) => {
                    self.at += 1;
                    return escaped;
                }
                None => return escaped,
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
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
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
