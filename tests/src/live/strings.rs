//! Strings in all their spellings, and strings nearly like them.

use super::json::Json;
use super::literals::Literal;
use super::random::Random;

const TEXTS: &[&str] = &[
    "",
    "a",
    "x",
    "ab",
    "CA",
    "ca",
    "NY",
    "hello world",
    "helloworld",
    "12345",
    "1",
    "true",
    "a/b",
    "a\"b",
    "a'b",
    "a`b",
    "a\\b",
    "\\d",
    "a\tb",
    "a\nb",
    "\r",
    "\u{0}",
    "\u{7}",
    "\u{1b}",
    "\u{7f}",
    "é",
    "e\u{301}",
    "ß",
    "ẞ",
    "ss",
    "K",
    "k",
    "\u{212a}",
    "s",
    "ſ",
    "İ",
    "i\u{307}",
    "ı",
    "Σ",
    "ς",
    "🚩",
    "👩\u{200d}🚀",
    "日本",
    "\u{a0}",
    "\u{feff}",
    "\u{2028}",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{85}",
    "{q}",
    "/* c */",
    "// c",
    ")",
    "(",
    "[1]",
    "$1",
    "AND",
    "\u{e9}\u{df}",
];

/// A string of any kind.
pub(crate) fn text(random: &mut Random) -> String {
    match random.below(20) {
        0 => character(random).to_string(),
        1..=13 => random.pick(TEXTS).to_owned(),
        _ => (0..random.between(1, 3))
            .map(|_| random.pick(TEXTS))
            .collect(),
    }
}

/// Any character, most often one of the first planes that have letters.
pub(crate) fn character(random: &mut Random) -> char {
    let bound = random.pick(&[0x80, 0x600, 0x3000, 0xa800, 0x2_0000, 0x11_0000]);
    u32::try_from(random.below(bound))
        .ok()
        .and_then(char::from_u32)
        .unwrap_or('\u{fb01}')
}

pub(crate) fn string(random: &mut Random) -> Literal {
    const ESCAPES: &[(&str, &str)] = &[
        ("\\a", "\u{7}"),
        ("\\b", "\u{8}"),
        ("\\f", "\u{c}"),
        ("\\n", "\n"),
        ("\\r", "\r"),
        ("\\t", "\t"),
        ("\\v", "\u{b}"),
        ("\\\\", "\\"),
        ("\\\"", "\""),
        ("\\x41", "A"),
        ("\\101", "A"),
        ("\\u00e9", "é"),
        ("\\xc3\\x9f", "ß"),
        ("\\U0001F6A9", "🚩"),
        ("\\000", "\u{0}"),
        ("\\uFFFD", "\u{fffd}"),
    ];
    let mut value = text(random);
    let mut inner = escaped(&value, random);
    if random.chance(25) {
        let (spelled, meant) = random.pick(ESCAPES);
        inner.push_str(spelled);
        value.push_str(meant);
    }
    let text = match random.below(30) {
        0 => format!("'{inner}'"),
        1 => format!("`{inner}`"),
        2 => inner.clone(),
        3 => format!("\"{inner}"),
        4 => format!("/{inner}/"),
        _ => format!("\"{inner}\""),
    };
    let mut near = like(&value, random);
    near.push(Json::string(inner.as_str()));
    near.push(Json::string(text.as_str()));
    Literal { text, near }
}

/// The string's characters, some as Go's escapes, now and then a wrong one.
pub(crate) fn escaped(value: &str, random: &mut Random) -> String {
    let style = random.below(4);
    let mut out = String::new();
    for c in value.chars() {
        let escape = style == 0 || (style == 1 && random.chance(40)) || "\"\\\n".contains(c);
        if !escape || random.chance(3) {
            out.push(c);
            continue;
        }
        let code = u32::from(c);
        match random.below(5) {
            0 => out.extend(c.to_string().bytes().map(|byte| format!("\\x{byte:02x}"))),
            1 => out.extend(c.to_string().bytes().map(|byte| format!("\\{byte:03o}"))),
            2 => out.push_str(&format!("\\U{code:08X}")),
            3 if code <= 0xffff => out.push_str(&format!("\\u{code:04x}")),
            _ => match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{b}' => out.push_str("\\v"),
                '\u{c}' => out.push_str("\\f"),
                '"' | '\\' => out.extend(['\\', c]),
                _ => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    if random.chance(8) {
        const WRONG: &[&str] = &[
            "\\d",
            "\\/",
            "\\'",
            "\\u12",
            "\\400",
            "\\ud83d\\udea9",
            "\\xff",
            "\\",
            "\\e",
            "\\0",
            "\\U00110000",
            "\\a\\b\\f\\v\\r",
            "\\x4",
            "\\ud800",
        ];
        let at = random.index(out.len() + 1);
        let at = (at..=out.len()).find(|at| out.is_char_boundary(*at));
        out.insert_str(at.unwrap_or(0), random.pick(WRONG));
    }
    out
}

/// The string, and others that are nearly it.
pub(crate) fn like(value: &str, random: &mut Random) -> Vec<Json> {
    let compact: String = value.split_whitespace().collect();
    let other = text(random);
    let mut shorter: Vec<_> = value.chars().collect();
    if !shorter.is_empty() {
        shorter.remove(random.index(shorter.len()));
    }
    let mut near: Vec<_> = [
        value.to_owned(),
        value.to_owned(),
        value.to_owned(),
        value.to_uppercase(),
        value.to_lowercase(),
        compact,
        shorter.into_iter().collect(),
        format!("{value}\n"),
        format!("{value} "),
        format!("x{value}y"),
        format!("{value}{other}"),
        value.replace('k', "\u{212a}").replace('s', "ſ"),
        other.clone(),
    ]
    .into_iter()
    .map(Json::String)
    .collect();
    near.extend([
        Json::List(vec![Json::string(value)]),
        Json::List(vec![Json::string(other.as_str()), Json::string(value)]),
        Json::List(vec![Json::string(value), Json::number(1.0)]),
        Json::List(vec![Json::string(value), Json::Null]),
        Json::List(vec![Json::List(vec![Json::string(value)])]),
        Json::Object(vec![("a".to_owned(), Json::string(value))]),
        Json::Number("1".to_owned()),
    ]);
    near
}
