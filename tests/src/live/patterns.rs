//! Regular expressions of Go's dialect, each with a text that should match.

use super::json::Json;
use super::literals::Literal;
use super::random::Random;
use super::strings::{character, like};

/// A pattern and, where it can be told, a text that it matches.
#[derive(Debug, Default)]
struct Piece {
    pattern: String,
    sample: String,
}

/// Pattern and sample, of all that Go's syntax has or lacks.
const ATOMS: &[(&str, &str)] = &[
    (".", "x"),
    (r"\d", "7"),
    (r"\D", "x"),
    (r"\w", "w"),
    (r"\W", "é"),
    (r"\s", "\t"),
    (r"\S", "\u{a0}"),
    (r"\s", "\u{b}"),
    (r"\d", "٣"),
    (r"\b", ""),
    (r"\B", ""),
    ("^", ""),
    ("$", ""),
    (r"\A", ""),
    (r"\z", ""),
    (r"\Z", ""),
    (r"\.", "."),
    (r"\-", "-"),
    (r"\_", "_"),
    (r"\<", "<"),
    (r"\é", "é"),
    (r"\x41", "A"),
    (r"\x{1F6A9}", "🚩"),
    (r"\x{110000}", ""),
    (r"\x4", "x"),
    (r"\101", "A"),
    (r"\0", "\u{0}"),
    (r"\07", "\u{7}"),
    (r"\777", "ǿ"),
    (r"\1", ""),
    (r"\8", ""),
    (r"\a", "\u{7}"),
    (r"\f", "\u{c}"),
    (r"\v", "\u{b}"),
    (r"\n", "\n"),
    (r"\r", "\r"),
    (r"\t", "\t"),
    (r"\e", "\u{1b}"),
    (r"\cA", "\u{1}"),
    (r"\h", " "),
    (r"\C", "x"),
    (r"\R", "\n"),
    (r"\u0041", "A"),
    (r"\pL", "é"),
    (r"\PL", "1"),
    (r"\p{Lu}", "É"),
    (r"\p{^Lu}", "é"),
    (r"\P{^Lu}", "É"),
    (r"\p{Greek}", "Σ"),
    (r"\p{greek}", "σ"),
    (r"\p{Nd}", "٣"),
    (r"\p{N}", "Ⅷ"),
    (r"\p{Any}", "🚩"),
    (r"\p{Cyrillic}", "ж"),
    (r"\pZ", "\u{2028}"),
    (r"\p{Sc}", "€"),
    (r"\p{L&}", "a"),
    (r"\p{LC}", "a"),
    (r"\p{Nope}", ""),
    (r"\p{Script=Greek}", "Σ"),
    (r"\p{Letter}", "é"),
    (r"\p{Cs}", ""),
    (r"\p{Co}", "\u{e000}"),
    (r"\p{Han}", "日"),
    (r"\p{ASCII}", "a"),
    (r"\p{Alphabetic}", "a"),
    (r"\p{Cn}", "\u{378}"),
    ("[abc]", "b"),
    ("[^abc]", "é"),
    ("[a-c]", "c"),
    ("[c-a]", ""),
    ("[]a]", "]"),
    ("[^]a]", "x"),
    ("[-a]", "-"),
    ("[a-]", "-"),
    ("[a-c-e]", "-"),
    ("[a&&b]", "&"),
    ("[a--b]", "-"),
    ("[a~~b]", "~"),
    ("[[a]", "["),
    ("[[a]]", "a]"),
    (r"[\d\pL]", "é"),
    (r"[^\D]", "5"),
    (r"[\w-.]", "-"),
    (r"[a\]b]", "]"),
    (r"[\Qa]\E]", "a"),
    ("[[:alpha:]]", "a"),
    ("[[:^alpha:]]", "1"),
    ("[[:word:]_]", "_"),
    ("[[:nope:]]", ""),
    ("[:alpha:]", "a"),
    ("[^[:space:]x]", "y"),
    (r"[\x41-\x{5A}]", "Q"),
    (r"[\b]", ""),
    (r"[\a-\r]", "\n"),
    ("[é-ü]", "ö"),
    ("[^\\n]", "x"),
    ("[]", ""),
    ("[^]", ""),
    ("[a", ""),
    (r"\Qa.b*\E", "a.b*"),
    (r"\Qa\b", r"a\b"),
    (r"\E", ""),
    ("()", ""),
    ("(|a)", "a"),
    ("{", "{"),
    ("}", "}"),
    ("{3}", "{3}"),
    ("{,3}", "{,3}"),
    ("a{,3}", "a{,3}"),
    ("a{3", "a{3"),
    ("a{3,x}", "a{3,x}"),
    ("a{2}", "aa"),
    ("a{1001}", ""),
    ("a{1000}", ""),
    ("a{2,1}", ""),
    ("a{0}", ""),
    ("a**", "a"),
    ("a*?", ""),
    ("a+?", "a"),
    ("a??", ""),
    ("a*+", "a"),
    ("(a{100}){100}", ""),
    ("*", ""),
    ("+a", "a"),
    ("x*", "xx"),
    ("x{2,3}?", "xx"),
    ("(?i)", ""),
    ("(?-i)", ""),
    ("(?s)", ""),
    ("(?m)", ""),
    ("(?U)", ""),
    ("(?is-mU)", ""),
    ("(?x)", ""),
    ("(?)", ""),
    ("(?i-)", ""),
    ("(?#c)", ""),
    ("(?u)", ""),
    ("(?R)", ""),
    (r"(?P<n>a)", "a"),
    (r"(?<n>a)", "a"),
    (r"(?P<1>a)", "a"),
    (r"(?P<n>a)(?P<n>b)", "ab"),
    ("(?P<é>a)", "a"),
    ("(?P=n)", ""),
    ("(?P<n a)", ""),
    ("(?>a)", "a"),
    ("(?=a)", "a"),
    ("(?!a)", ""),
    ("(?'n'a)", "a"),
    (")", ")"),
    ("(", ""),
    ("a|b", "b"),
    ("|", ""),
    ("k", "\u{212a}"),
    ("ß", "ẞ"),
    ("s", "ſ"),
    ("i", "İ"),
    ("ǆ", "ǅ"),
    ("σ", "ς"),
    (" ", " "),
    ("a b", "ab"),
    ("é", "É"),
    ("🚩", "🚩"),
    ("'", "'"),
    ("\"", "\""),
    ("`", "`"),
    ("/", "/"),
    ("/* c */", ""),
    ("//", ""),
    ("\n", "\n"),
    ("\\", ""),
    ("\u{a0}", "\u{a0}"),
    ("\u{85}", "\u{85}"),
    ("=", "="),
    ("<=", "<="),
    ("-5", "-5"),
    ("1.5e3", "1.5e3"),
    ("@", "@"),
    ("#", "#"),
    ("_a1", "_a1"),
    ("\u{0}", "\u{0}"),
];

fn piece(depth: u64, random: &mut Random) -> Piece {
    let mut out = Piece::default();
    for _ in 0..random.between(1, 4) {
        let part = if depth > 0 && random.chance(30) {
            group(depth - 1, random)
        } else if random.chance(10) {
            range(random)
        } else if random.chance(55) {
            let plain = random.pick(&["a", "b", "CA", "hello", "x", "1", "k", "s", "é"]);
            Piece {
                pattern: plain.to_owned(),
                sample: plain.to_owned(),
            }
        } else {
            let (pattern, sample) = random.pick(ATOMS);
            Piece {
                pattern: pattern.to_owned(),
                sample: sample.to_owned(),
            }
        };
        out.pattern.push_str(&part.pattern);
        out.sample.push_str(&part.sample);
    }
    out
}

/// A character, or a range of a few, with one of those or its other case.
fn range(random: &mut Random) -> Piece {
    let first = character(random);
    let last = u32::from(first) + u32::try_from(random.below(30)).unwrap_or(0);
    let last = char::from_u32(last).unwrap_or(first);
    let inside = random.pick(&[first, last]);
    let sample = match random.below(3) {
        0 => inside.to_string(),
        1 => inside.to_uppercase().to_string(),
        _ => inside.to_lowercase().to_string(),
    };
    let pattern = match random.below(4) {
        0 => first.to_string(),
        1 => format!("(?i:{first})"),
        2 => format!("[{first}-{last}]"),
        _ => format!("(?i:[{first}-{last}])"),
    };
    Piece { pattern, sample }
}

fn group(depth: u64, random: &mut Random) -> Piece {
    const OPENINGS: &[&str] = &[
        "(",
        "(?:",
        "(?i:",
        "(?s:",
        "(?m:",
        "(?U:",
        "(?-i:",
        "(?is-m:",
        "(?P<name>",
        "(?<n2>",
        "(?x:",
        "(?i-s:",
    ];
    const REPEATS: &[(&str, usize)] = &[
        ("", 1),
        ("", 1),
        ("*", 0),
        ("*", 2),
        ("+", 1),
        ("+", 3),
        ("?", 1),
        ("*?", 1),
        ("+?", 2),
        ("??", 0),
        ("{2}", 2),
        ("{0,2}", 1),
        ("{1,}", 2),
        ("{3}?", 3),
        ("{,2}", 1),
        ("{2}{3}", 6),
        ("**", 1),
        ("{999}", 0),
        ("{0}", 0),
    ];
    let inner = piece(depth, random);
    let other = piece(depth, random);
    let (repeat, times) = random.pick(REPEATS);
    let alternatives = match random.below(4) {
        0 => format!("{}|{}", inner.pattern, other.pattern),
        1 => format!("{}|{}", other.pattern, inner.pattern),
        _ => inner.pattern,
    };
    Piece {
        pattern: format!("{}{alternatives}){repeat}", random.pick(OPENINGS)),
        sample: inner.sample.repeat(times),
    }
}

/// An operand of EREG and NEREG.
pub(crate) fn pattern(random: &mut Random) -> Literal {
    let mut piece = piece(2, random);
    match random.below(6) {
        0 => piece.pattern = format!("^{}$", piece.pattern),
        1 => piece.pattern = format!("(?i)^{}$", piece.pattern),
        2 => piece.pattern = format!(r"\b{}", piece.pattern),
        _ => {}
    }
    let text = match random.below(12) {
        0 | 1 => format!("/{}/", piece.pattern),
        2 => format!("\"{}/?\"", piece.pattern),
        3 => format!("\"/{}\"", piece.pattern.replace('\\', "\\\\")),
        4 => format!(
            "\"{}/?\"",
            piece.pattern.replace('\\', "\\\\").replace('"', "\\\"")
        ),
        5 => format!(" \"{}\"\u{3000}", piece.pattern),
        _ => format!("\"{}\"", piece.pattern),
    };
    let mut near = like(&piece.sample, random);
    near.push(Json::string(format!("/{}", piece.sample)));
    near.push(Json::string(format!("é{}", piece.sample)));
    near.push(Json::string(format!("a\n{}\nb", piece.sample)));
    near.push(Json::string(piece.pattern.as_str()));
    Literal { text, near }
}
