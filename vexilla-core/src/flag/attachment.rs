//! What a variant configures: a JSON object, kept as it was written and as Flagr would answer it.
//!
//! Flagr reads attachments into Go's `map[string]any` and prints them from there (Flagr 1.2,
//! `pkg/entity/variant.go`; Go's `encoding/json`): numbers pass through 64-bit floats, members are sorted by
//! name, the last of members with one name wins.
//!
//! An attachment may nest 127 levels deep, the limit of `serde_json`, where Flagr allows about 10,000.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::cursor::{Cursor, Kind};
use super::quote::quoted;

/// How deep an attachment may nest, itself included: what `serde_json` reads without further ado.
const MAX_DEPTH: usize = 127;

/// A variant's attachment, as JSON text.
///
/// Made from a [`serde_json::Value`], or read with the flag. Two attachments are equal when they are
/// written alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    raw: Box<str>,
    form: Form,
}

/// What Flagr would answer, next to what was written.
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, PartialEq, Eq)]
enum Form {
    AsWritten,
    Normalised(Box<str>),
    /// Flagr would not have taken it, and why.
    Faulty(Box<str>),
}

impl Attachment {
    /// The text as it was written, white space included; an object unless the flag is at fault.
    ///
    /// It may spell half of a surrogate pair, which Flagr takes and strict readers of JSON refuse;
    /// [`json`](Self::json) never does.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The text as Flagr would answer it: without white space, members sorted by name and each once, numbers
    /// as 64-bit floats (`9007199254740993` is `9007199254740992`, `100.0` is `100`, `1e21` is `1e+21`).
    pub fn json(&self) -> &str {
        match &self.form {
            Form::Normalised(json) => json,
            Form::AsWritten | Form::Faulty(_) => &self.raw,
        }
    }

    /// Why Flagr would refuse the attachment; only one made in code can be so.
    pub(super) fn fault(&self) -> Option<&str> {
        match &self.form {
            Form::Faulty(reason) => Some(reason),
            Form::AsWritten | Form::Normalised(_) => None,
        }
    }

    /// Reads an object out of well-formed JSON, into the members of `earlier` as Go does with a repeated member.
    ///
    /// # Errors
    /// Says why the attachment cannot be used: it is no object, nests too deep, or has a number that is out of
    /// the range of 64-bit floats.
    pub(super) fn read(raw: &str, earlier: Option<&Self>) -> Result<Self, String> {
        if raw == "{}" && earlier.is_none() {
            return Ok(Self {
                raw: raw.into(),
                form: Form::AsWritten,
            });
        }
        let mut members = match earlier {
            Some(earlier) => object(earlier.json())?,
            None => BTreeMap::new(),
        };
        members.extend(object(raw)?);
        let mut json = String::with_capacity(raw.len());
        Node::Object(members).write(&mut json);
        let raw = if earlier.is_some() { &json } else { raw };
        Ok(Self {
            raw: raw.into(),
            form: if json == raw {
                Form::AsWritten
            } else {
                Form::Normalised(json.into())
            },
        })
    }
}

impl From<serde_json::Value> for Attachment {
    /// An attachment made in code. A value that is no object is kept, and puts the flag at fault when the flag is
    /// put to use.
    fn from(value: serde_json::Value) -> Self {
        let raw = value.to_string();
        Self::read(&raw, None).unwrap_or_else(|reason| Self {
            raw: raw.into(),
            form: Form::Faulty(reason.into()),
        })
    }
}

impl Serialize for Attachment {
    /// Prints the text as it was written. Only a serializer of `serde_json` can take it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.raw)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A JSON value as Go holds it.
enum Node<'a> {
    Literal(&'static str),
    Number(f64),
    String(Cow<'a, str>),
    List(Vec<Self>),
    Object(Members<'a>),
}

type Members<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

fn object(text: &str) -> Result<Members<'_>, String> {
    let mut cursor = Cursor::new(text);
    match cursor.peek() {
        Kind::Object => members(&mut cursor, MAX_DEPTH),
        _ => Err(format!("expected an object, found {}", quoted(text))),
    }
}

/// The members of the object that comes next, which may nest `depth` levels.
fn members<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Members<'a>, String> {
    let depth = inner(depth)?;
    let mut members = BTreeMap::new();
    cursor.enter();
    while let Some(name) = cursor.next_member() {
        members.insert(name, node(cursor, depth)?);
    }
    Ok(members)
}

/// How deep the elements of a value may nest that itself may nest `depth` levels.
fn inner(depth: usize) -> Result<usize, String> {
    depth
        .checked_sub(1)
        .ok_or_else(|| format!("nested more than {MAX_DEPTH} levels deep"))
}

fn node<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Node<'a>, String> {
    Ok(match cursor.peek() {
        Kind::Object => Node::Object(members(cursor, depth)?),
        Kind::List => {
            let depth = inner(depth)?;
            let mut elements = Vec::new();
            cursor.enter();
            while cursor.next_element() {
                elements.push(node(cursor, depth)?);
            }
            Node::List(elements)
        }
        Kind::String => Node::String(cursor.string()),
        Kind::Number => Node::Number(number(cursor.skip())?),
        Kind::True => literal(cursor, "true"),
        Kind::False => literal(cursor, "false"),
        Kind::Null => literal(cursor, "null"),
    })
}

fn literal<'a>(cursor: &mut Cursor<'a>, text: &'static str) -> Node<'a> {
    cursor.skip();
    Node::Literal(text)
}

fn number(literal: &str) -> Result<f64, String> {
    literal
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| {
            format!(
                "the number {} is out of the range of 64-bit floats",
                quoted(literal)
            )
        })
}

impl Node<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Number(number) => write_number(*number, out),
            Self::String(string) => write_string(string, out),
            Self::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Writes a number as Go does: the shortest digits, without exponent from 1e-6 up to 1e21.
fn write_number(number: f64, out: &mut String) {
    let magnitude = number.abs();
    // Writing to a string cannot fail.
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        let shortest = number.to_string();
        let _ = match shortest.split_once('.') {
            // Where two shortest forms are equally near, Go takes the even one; so does formatting with a
            // given precision, but not that without.
            Some((_, fraction)) => write!(out, "{number:.*}", fraction.len()),
            None => write!(out, "{shortest}"),
        };
        return;
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            let _ = write!(out, "{digits}e+{exponent}");
        }
        _ => out.push_str(&text),
    }
}

/// Writes a string as Go does when it does not escape for HTML, which Flagr tells it not to.
fn write_string(string: &str, out: &mut String) {
    out.push('"');
    for character in string.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn normalised(raw: &str) -> String {
        Attachment::read(raw, None).expect(raw).json().to_owned()
    }

    #[test]
    fn numbers_pass_through_floats() {
        for (literal, printed) in [
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("-1.5e300", "-1.5e+300"),
            ("100.0", "100"),
            ("1E2", "100"),
            ("0.000001", "0.000001"),
            ("1e-7", "1e-7"),
            ("0.00000015", "1.5e-7"),
            ("-0", "-0"),
            ("-0.0e5", "-0"),
            ("1e-400", "0"),
            ("5e-324", "5e-324"),
            ("0.1", "0.1"),
            ("1696063833932087.25", "1696063833932087.2"),
            ("1696063833932087.75", "1696063833932087.8"),
            ("-2251799813685249.5", "-2251799813685249.5"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(
                normalised(&format!("{{\"n\":{literal}}}")),
                format!("{{\"n\":{printed}}}")
            );
        }
    }

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_wins() {
        assert_eq!(
            normalised(
                r#" { "b" : [ 1 , { "z":true, "a":null } ], "a":1, "é":2, "z":3, "\u0061":"x" } "#
                    .trim()
            ),
            r#"{"a":"x","b":[1,{"a":null,"z":true}],"z":3,"é":2}"#
        );
    }

    #[test]
    fn strings_are_written_as_go_writes_them() {
        assert_eq!(
            normalised(
                r#"{"s":"\u003c&>\/\"\\\b\f\n\r\t\u0001\u007f\u2028\u2029\ud83d\udea9\ud800é"}"#
            ),
            "{\"s\":\"<&>/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\u{7f}\\u2028\\u2029🚩\u{fffd}é\"}"
        );
    }

    #[test]
    fn the_text_as_written_is_kept() {
        let attachment = Attachment::read(r#"{"b": 1.0, "a": 2}"#, None).unwrap();
        assert_eq!(attachment.raw(), r#"{"b": 1.0, "a": 2}"#);
        assert_eq!(attachment.json(), r#"{"a":2,"b":1}"#);
        assert_eq!(
            serde_json::to_string(&attachment).unwrap(),
            attachment.raw()
        );
        let plain = Attachment::read(r#"{"a":1}"#, None).unwrap();
        assert_eq!(plain.form, Form::AsWritten);
    }

    #[test]
    fn a_repeated_attachment_is_merged_into_the_earlier() {
        let earlier = Attachment::read(r#"{"b": {"x": 1}, "a": 2}"#, None).unwrap();
        let merged = Attachment::read(r#"{"c":3,"b":{}}"#, Some(&earlier)).unwrap();
        assert_eq!(merged.raw(), r#"{"a":2,"b":{},"c":3}"#);
        let unchanged = Attachment::read("{}", Some(&earlier)).unwrap();
        assert_eq!(unchanged.json(), r#"{"a":2,"b":{"x":1}}"#);
    }

    #[test]
    fn says_what_cannot_be_an_attachment() {
        let reason = |raw: &str| Attachment::read(raw, None).unwrap_err();
        assert_eq!(
            reason(r#"{"a":[1e400]}"#),
            "the number 1e400 is out of the range of 64-bit floats"
        );
        assert_eq!(reason("[1]"), "expected an object, found [1]");
        let deep = |levels: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert_eq!(normalised(&deep(127)), deep(127));
        assert!(serde_json::from_str::<serde_json::Value>(&deep(127)).is_ok());
        assert_eq!(reason(&deep(128)), "nested more than 127 levels deep");
        assert_eq!(reason(&deep(1_000_000)), "nested more than 127 levels deep");
    }

    #[test]
    fn values_made_in_code_keep_their_fault() {
        assert_eq!(Attachment::from(json!({"a": 1.0})).json(), r#"{"a":1}"#);
        let faulty = Attachment::from(json!([1]));
        assert_eq!((faulty.raw(), faulty.json()), ("[1]", "[1]"));
        assert_eq!(faulty.fault(), Some("expected an object, found [1]"));
    }
}
