//! Splits constraint text into the tokens that Flagr sees.
//!
//! Flagr's condition language reads its input with Go's `text/scanner` in its
//! default mode, which knows all of Go's tokens: comments are skipped,
//! `'…'`, `` `…` `` and `"…"` are one token each, and so are numbers in all of
//! Go's spellings (conditions v0.2.6, `parser.go`: the mode that it sets is
//! undone by the scanner's `Init`). Faults in a token (an unknown escape, a
//! missing digit) are only logged there, so nothing here can fail: what a
//! token is worth is decided by who reads it.

use std::sync::LazyLock;

use super::go_regex;
use super::program::{Budget, Program};

/// What kind of token was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the text; its token text is empty.
    End,
    /// A letter or `_`, then letters, digits and `_`.
    Ident,
    /// An integer, in any of Go's spellings.
    Int,
    /// A floating-point number, in any of Go's spellings.
    Float,
    /// `'…'`, of any length.
    Char,
    /// `"…"`, perhaps not terminated (then it ends behind the line).
    String,
    /// `` `…` ``, perhaps over several lines.
    RawString,
    /// Any other single character.
    Symbol(char),
}

/// One token and where in the text it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// The token as it is written, quotes included.
    pub(super) text: &'t str,
    /// Byte offset of its first character.
    pub(super) start: usize,
}

/// Reads tokens from a text, one after the other.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    /// Byte offset of the current character.
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token, blanks and comments skipped; [`Kind::End`] for ever
    /// after the last one.
    pub(super) fn next_token(&mut self) -> Token<'t> {
        loop {
            while matches!(self.current(), Some(' ' | '\t' | '\n' | '\r')) {
                self.advance();
            }
            let start = self.at;
            let Some(kind) = self.token() else {
                continue; // a comment
            };
            let text = self.text.get(start..self.at).unwrap_or_default();
            return Token { kind, text, start };
        }
    }

    /// Reads one token; `None` for a comment.
    fn token(&mut self) -> Option<Kind> {
        let Some(first) = self.current() else {
            return Some(Kind::End);
        };
        if is_ident_start(first) {
            while self.current().is_some_and(is_ident_part) {
                self.advance();
            }
            return Some(Kind::Ident);
        }
        if first.is_ascii_digit() {
            return Some(self.number(false));
        }
        self.advance();
        Some(match first {
            '"' => {
                self.quoted('"');
                Kind::String
            }
            '\'' => {
                self.quoted('\'');
                Kind::Char
            }
            '`' => {
                while self.current().is_some_and(|c| c != '`') {
                    self.advance();
                }
                self.advance();
                Kind::RawString
            }
            '.' if self.current().is_some_and(|c| c.is_ascii_digit()) => self.number(true),
            '/' if self.current() == Some('/') => {
                while self.current().is_some_and(|c| c != '\n') {
                    self.advance();
                }
                return None;
            }
            '/' if self.current() == Some('*') => {
                self.block_comment();
                return None;
            }
            other => Kind::Symbol(other),
        })
    }

    /// Reads a number whose first digit (or, with `after_point`, whose first
    /// digit behind the point) is the current character.
    fn number(&mut self, after_point: bool) -> Kind {
        let mut kind = Kind::Int;
        let mut hexadecimal = false;
        let mut seen_point = after_point;
        if !after_point {
            if self.current() == Some('0') {
                self.advance();
                match self.current().map(|c| c.to_ascii_lowercase()) {
                    Some('x') => {
                        hexadecimal = true;
                        self.advance();
                    }
                    Some('o' | 'b') => self.advance(),
                    _ => {}
                }
            }
            self.digits(hexadecimal);
            if self.current() == Some('.') {
                self.advance();
                seen_point = true;
            }
        }
        if seen_point {
            kind = Kind::Float;
            self.digits(hexadecimal);
        }
        if matches!(self.current(), Some('e' | 'E' | 'p' | 'P')) {
            self.advance();
            kind = Kind::Float;
            if matches!(self.current(), Some('+' | '-')) {
                self.advance();
            }
            self.digits(false);
        }
        kind
    }

    fn digits(&mut self, hexadecimal: bool) {
        while self.current().is_some_and(|c| {
            c == '_' || c.is_ascii_digit() || (hexadecimal && c.is_ascii_hexdigit())
        }) {
            self.advance();
        }
    }

    /// Reads on behind an opening quote, past the closing one. A line break or
    /// the end of the text ends the literal too, the line break as part of it.
    fn quoted(&mut self, quote: char) {
        while let Some(c) = self.current() {
            if c == quote || c == '\n' {
                break;
            }
            self.advance();
            if c == '\\' {
                self.escape(quote);
            }
        }
        self.advance();
    }

    /// Reads what follows a backslash; of an unknown escape nothing is read.
    fn escape(&mut self, quote: char) {
        let (base, most) = match self.current() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => {
                self.advance();
                return;
            }
            Some(c) if c == quote => {
                self.advance();
                return;
            }
            Some('0'..='7') => (8, 3),
            Some('x') => (16, 2),
            Some('u') => (16, 4),
            Some('U') => (16, 8),
            _ => return,
        };
        if base == 16 {
            self.advance();
        }
        for _ in 0..most {
            if !self.current().is_some_and(|c| c.is_digit(base)) {
                break;
            }
            self.advance();
        }
    }

    /// Reads on behind `/`, the current character being `*`.
    fn block_comment(&mut self) {
        self.advance();
        while let Some(c) = self.current() {
            self.advance();
            if c == '*' && self.current() == Some('/') {
                self.advance();
                return;
            }
        }
    }

    fn current(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn advance(&mut self) {
        self.at += self.current().map_or(0, char::len_utf8);
    }
}

/// Go's `unicode.IsLetter`, or `_`.
fn is_ident_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && is_in(&LETTER, c))
}

/// Go's `unicode.IsLetter` or `unicode.IsDigit`, or `_`.
fn is_ident_part(c: char) -> bool {
    is_ident_start(c) || c.is_ascii_digit() || (!c.is_ascii() && is_in(&DIGIT, c))
}

// `char::is_alphabetic` is another set (it has marks and letter numbers).
static LETTER: LazyLock<Option<Program>> = LazyLock::new(|| own(r"^\pL"));
static DIGIT: LazyLock<Option<Program>> = LazyLock::new(|| own(r"^\p{Nd}"));

fn own(pattern: &str) -> Option<Program> {
    go_regex::compile(pattern, Budget::UNLIMITED).ok()
}

fn is_in(class: &Option<Program>, c: char) -> bool {
    class
        .as_ref()
        .is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(Kind, &str)> {
        let mut scanner = Scanner::new(text);
        let mut out = Vec::new();
        loop {
            let token = scanner.next_token();
            if token.kind == Kind::End {
                return out;
            }
            out.push((token.kind, token.text));
        }
    }

    #[test]
    fn comments_are_blanks() {
        assert_eq!(
            tokens("a /* b */ c // d\n e /* never closed"),
            [(Kind::Ident, "a"), (Kind::Ident, "c"), (Kind::Ident, "e")]
        );
    }

    #[test]
    fn quotes_make_one_token_of_any_length() {
        assert_eq!(
            tokens(r#"'a b' `c "d` "e\"f" "#),
            [
                (Kind::Char, "'a b'"),
                (Kind::RawString, "`c \"d`"),
                (Kind::String, "\"e\\\"f\"")
            ]
        );
    }

    #[test]
    fn an_open_string_takes_the_line_break_with_it() {
        assert_eq!(
            tokens("\"ab\ncd"),
            [(Kind::String, "\"ab\n"), (Kind::Ident, "cd")]
        );
    }

    #[test]
    fn an_unknown_escape_hides_no_quote() {
        assert_eq!(
            tokens(r#""\'" "\d""#),
            [(Kind::String, r#""\'""#), (Kind::String, r#""\d""#)]
        );
    }

    #[test]
    fn numbers_in_all_spellings() {
        for text in ["1_000", "0x1f", "0b12", "017", "08", "0o7", "0x_1"] {
            assert_eq!(tokens(text), [(Kind::Int, text)], "{text}");
        }
        for text in ["1.", ".5", "1e5", "1e+5", "0x1p-4", "1p3", "1e", "0.1_0"] {
            assert_eq!(tokens(text), [(Kind::Float, text)], "{text}");
        }
        assert_eq!(
            tokens("1x"),
            [(Kind::Int, "1"), (Kind::Ident, "x")],
            "a letter ends a decimal number"
        );
    }

    #[test]
    fn letters_are_those_of_go() {
        assert_eq!(tokens("日本é٣"), [(Kind::Ident, "日本é٣")]);
        // A combining mark is alphabetic for Rust, but no letter for Go.
        assert_eq!(tokens("\u{345}"), [(Kind::Symbol('\u{345}'), "\u{345}")]);
        assert_eq!(tokens("🚩"), [(Kind::Symbol('🚩'), "🚩")]);
    }
}
