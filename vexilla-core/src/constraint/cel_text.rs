//! Writing values as CEL source: string and number literals, and which names are identifiers.
//!
//! Text only: nothing here needs the `cel` crate, so constraints can be rendered as CEL in builds without it.

use std::fmt::Write as _;

/// Words that CEL's grammar keeps for itself or reserves, none of which can name a variable (CEL language
/// definition, "Syntax").
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Whether `name` can be written as it is for a variable: an ASCII letter or `_`, then ASCII letters, digits and `_`,
/// and no reserved word.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&name)
}

/// `text` as a double-quoted CEL string literal, on one line: quotes, backslashes and control characters are escaped,
/// everything else stands for itself.
pub(crate) fn string_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            // the two separators end a line in many viewers
            other if other.is_control() || matches!(other, '\u{2028}' | '\u{2029}') => {
                // writing to a String cannot fail
                let _ = write!(literal, "\\u{:04x}", u32::from(other));
            }
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

/// `number` as a CEL expression of type `double` with exactly that value: `18.0`, `-0.5`, `1e21`. What has no literal
/// is written as a conversion: `double("NaN")`, `double("Infinity")`, `double("-Infinity")`.
pub(crate) fn number_literal(number: f64) -> String {
    if number.is_nan() {
        r#"double("NaN")"#.to_owned()
    } else if number.is_infinite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        format!(r#"double("{sign}Infinity")"#)
    } else {
        // Debug keeps the `.0` that makes it a double, and is exact
        format!("{number:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::{is_identifier, number_literal, string_literal};

    #[test]
    fn identifiers_are_ascii_words_that_cel_does_not_reserve() {
        for name in [
            "a",
            "_",
            "plan",
            "country_2",
            "Plan",
            "ctx",
            "int",
            "size",
            "inn",
        ] {
            assert!(is_identifier(name), "{name}");
        }
        for name in [
            "",
            "2a",
            "a-b",
            "a.b",
            "é",
            "a b",
            "@ts",
            "in",
            "true",
            "null",
            "namespace",
            "while",
            "a\n",
        ] {
            assert!(!is_identifier(name), "{name}");
        }
    }

    #[test]
    fn strings_are_quoted_on_one_line() {
        for (text, literal) in [
            ("", r#""""#),
            ("BR", r#""BR""#),
            ("it's", r#""it's""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("a\nb\r\tc", r#""a\nb\r\tc""#),
            ("\0\u{1b}\u{7f}\u{85}", r#""\u0000\u001b\u007f\u0085""#),
            ("\u{2028}", r#""\u2028""#),
            ("ß 🚩", r#""ß 🚩""#),
        ] {
            assert_eq!(string_literal(text), literal);
        }
    }

    #[test]
    fn numbers_are_doubles() {
        for (number, literal) in [
            (18.0, "18.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e21, "1e21"),
            (5e-324, "5e-324"),
            (f64::NAN, r#"double("NaN")"#),
            (f64::NEG_INFINITY, r#"double("-Infinity")"#),
        ] {
            assert_eq!(number_literal(number), literal);
        }
    }
}
