//! Literals of the constraint language in all their spellings: numbers,
//! strings, lists, booleans; each with values that lie near it.

use super::json::Json;
use super::random::Random;

/// A piece of constraint text, and context values that are worth trying
/// against it.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) near: Vec<Json>,
}

const NUMBERS: &[f64] = &[
    0.0,
    1.0,
    -1.0,
    2.0,
    5.0,
    18.0,
    100.0,
    1000.0,
    0.1,
    0.3,
    0.5,
    1.5,
    -2.25,
    1e-6,
    1e-7,
    1e-5,
    1.5e-320,
    5e-324,
    1.4e-45,
    1.4e-51,
    1e21,
    1e300,
    1.797e308,
    9007199254740992.0,
    9007199254740994.0,
    123456.789,
    999999.5,
    1e6,
    -1e6,
    1e12,
];

/// Spellings that Flagr refuses, or takes in a way of its own.
const ODD_NUMBERS: &[&str] = &[
    "0x10",
    "0b11",
    "0o17",
    "+5",
    "--1",
    "1__0",
    "1e309",
    "1e-400",
    "NaN",
    "Inf",
    "08",
    "017",
    "1_000",
    "0x1p4",
    "0X1P-2",
    "0x_1p0",
    "0x1.8p1",
    "1p3",
    ".5",
    "5.",
    "- 5",
    "- /* c */ 5",
    "1e",
    "1e+",
    "0_1",
    "1_",
    "_1",
    "5.e1",
    "1E2",
    "1e+2",
    "0x",
    "0x.8p0",
    "- .5",
    "-0",
    "00",
    "0.0e-999",
    "1.5_0",
    "1 2",
    "1/* c */",
    "/* c */ 1",
    "// c\n1",
    "-\n1",
    "1e2.5",
    "0b12p1",
    "09.5",
    "0x1e5",
    "٣",
    "1f",
];

/// What the hexadecimal ones of those are.
const HEXADECIMAL: &[f64] = &[
    16.0,
    0.25,
    3.0,
    1.0,
    15.0,
    0.5,
    f64::MAX,
    0.0,
    5e-324,
    1.2e-308,
    9_223_372_036_854_775_808.0,
    9_223_372_036_854_777_856.0,
    1_208_925_819_614_629_174_706_175.0,
];

/// A number of any kind.
pub(crate) fn float(random: &mut Random) -> f64 {
    match random.below(8) {
        0..=4 => random.pick(NUMBERS),
        5 => f64::from(u32::try_from(random.below(200_000)).unwrap_or(0)) / 1000.0 - 100.0,
        6 => f64::from(u32::try_from(random.below(100)).unwrap_or(0)),
        _ => {
            let any = f64::from_bits(random.bits());
            if any.is_finite() { any } else { 7.0 }
        }
    }
}

pub(crate) fn number(random: &mut Random) -> Literal {
    if random.chance(25) {
        let mut text = random.pick(ODD_NUMBERS).to_owned();
        if random.chance(15) {
            text.insert(0, '-');
        }
        let plain: String = text
            .replace("/* c */", "")
            .replace("// c", "")
            .replace('_', "")
            .split_whitespace()
            .collect();
        let near = match plain.parse::<f64>() {
            Ok(value) if value.is_finite() => around(value, random),
            _ => HEXADECIMAL
                .iter()
                .flat_map(|value| [*value, value.next_up(), value.next_down(), -value])
                .map(Json::number)
                .collect(),
        };
        return Literal { text, near };
    }
    let value = float(random);
    Literal {
        text: spelled(value, random),
        near: around(value, random),
    }
}

fn spelled(value: f64, random: &mut Random) -> String {
    let text = match random.below(7) {
        0 => format!("{value:e}"),
        1 => format!("{value:E}"),
        2 => hexadecimal(value, random),
        3 if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value}."),
        4 => format!("{value:?}"),
        _ => format!("{value}"),
    };
    match text.strip_prefix('-') {
        Some(rest) if random.chance(20) => format!("- {rest}"),
        _ => text,
    }
}

/// Go's hexadecimal spelling of a float, at times with digits beyond its
/// precision.
fn hexadecimal(value: f64, random: &mut Random) -> String {
    let more = random.pick(&[
        "",
        "",
        "8",
        "80",
        "7ff",
        "8001",
        "800000000000000000001",
        "f",
    ]);
    let bits = value.to_bits();
    let sign = if bits >> 63 == 1 { "-" } else { "" };
    let fraction = bits & 0xf_ffff_ffff_ffff;
    match i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0) {
        0 => format!("{sign}0x0.{fraction:013x}{more}p-1022"),
        exponent => format!("{sign}0x1.{fraction:013x}{more}p{}", exponent - 1023),
    }
}

/// Numbers at and around the bounds of Flagr's comparison, and other types.
pub(crate) fn around(value: f64, random: &mut Random) -> Vec<Json> {
    let steps = [1e-6, 9.999e-7, 1.0001e-6, 5e-7, 1e-7, 1e-9, 2e-6];
    let step = random.pick(&steps);
    let mut near: Vec<_> = [
        value,
        value,
        value + step,
        value - step,
        value * (1.0 + step),
        value * (1.0 - step),
        value.next_up(),
        value.next_down(),
        value + 1.0,
        value - 1.0,
        -value,
        value * 1e-51,
    ]
    .iter()
    .map(|number| Json::number(*number))
    .collect();
    near.extend([
        Json::Number(format!("{value:e}")),
        Json::Number(format!("{value:E}")),
        Json::string(format!("{value}")),
        Json::List(vec![Json::number(value)]),
        Json::List(vec![
            Json::number(float(random)),
            Json::number(value + step),
        ]),
        Json::List(vec![Json::number(value), Json::string("a")]),
        Json::List(vec![Json::string("a"), Json::number(value)]),
        Json::Number("1e400".to_owned()),
        Json::List(vec![Json::number(value), Json::Number("1e400".to_owned())]),
    ]);
    near
}

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
    let value = text(random);
    let inner = escaped(&value, random);
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
fn escaped(value: &str, random: &mut Random) -> String {
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

pub(crate) fn boolean(random: &mut Random) -> Literal {
    const SPELLED: &[&str] = &[
        "true",
        "false",
        "TRUE",
        "False",
        "tRuE",
        "falſe",
        "\"true\"",
        "1",
        "TRUE/* c */",
        "true false",
        "t",
    ];
    Literal {
        text: random.pick(SPELLED).to_owned(),
        near: vec![
            Json::Bool(true),
            Json::Bool(false),
            Json::Bool(true),
            Json::Bool(false),
            Json::string("true"),
            Json::number(1.0),
            Json::List(vec![Json::Bool(true)]),
        ],
    }
}

pub(crate) fn list(random: &mut Random) -> Literal {
    let of_strings = random.chance(55);
    let mut near = Vec::new();
    let mut elements = Vec::new();
    let least = u64::from(!random.chance(4));
    for _ in 0..random.between(least, 5) {
        let strings = if random.chance(3) {
            !of_strings
        } else {
            of_strings
        };
        if strings {
            let value = text(random);
            elements.push(if random.chance(85) {
                super::json::quoted(&value)
            } else {
                format!("\"{}\"", escaped(&value, random))
            });
            near.extend(like(&value, random));
        } else {
            let value = float(random);
            elements.push(match random.below(12) {
                0 => random.pick(ODD_NUMBERS).to_owned(),
                1 => format!("{value:e}"),
                _ => format!("{value}"),
            });
            near.extend(around(value, random));
        }
    }
    let mut text = "[".to_owned();
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            const COMMAS: &[&str] = &[",", ", ", " , ", ",\n", ",/* c */", ",//c\n", " ", ",,"];
            text.push_str(COMMAS[random.weighted(&[40, 40, 5, 5, 4, 4, 1, 1])]);
        }
        text.push_str(element);
    }
    const ENDS: &[&str] = &["]", " ]", "/* c */]", ",]", "", "]]", "] junk", "]\n"];
    text.push_str(ENDS[random.weighted(&[80, 5, 5, 2, 1, 1, 1, 5])]);
    let several: Vec<_> = near
        .iter()
        .step_by(4)
        .take(usize::try_from(random.between(1, 6)).unwrap_or(1))
        .cloned()
        .collect();
    near.push(Json::List(several));
    near.extend([Json::List(Vec::new()), Json::List(vec![Json::Null])]);
    Literal { text, near }
}

/// Any literal.
pub(crate) fn any(random: &mut Random) -> Literal {
    match random.weighted(&[40, 40, 10, 10]) {
        0 => number(random),
        1 => string(random),
        2 => boolean(random),
        _ => list(random),
    }
}
