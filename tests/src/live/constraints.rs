//! Constraints: properties, operators and values, from plain to hostile.

use vexilla_core::flag::Constraint;

use super::json::Json;
use super::literals::{self, Literal};
use super::numbers;
use super::patterns;
use super::properties::{self, Hint};
use super::random::Random;
use super::strings;

const COMPARISONS: &[&str] = &["EQ", "NEQ", "LT", "LTE", "GT", "GTE"];
const MEMBERSHIPS: &[&str] = &["IN", "NOTIN", "CONTAINS", "NOTCONTAINS"];
const MATCHES: &[&str] = &["EREG", "NEREG"];
const SYMBOLS: &[&str] = &[
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "IN",
    "NOT IN",
    "CONTAINS",
    "NOT CONTAINS",
    "=~",
    "!~",
    "= =",
    "not in",
    "Contains",
    "> =",
];
const LINKS: &[&str] = &["AND", "OR", "XOR", "NAND", "and", "Or", "xoR", "nand"];

/// A constraint that may hold for the hinted attributes, or be refused.
pub(crate) fn constraint(random: &mut Random) -> (Constraint, Vec<Hint>) {
    let (property, places) = properties::property(random);
    let mut hints = Vec::new();
    let (operators, operand) = match random.weighted(&[16, 16, 15, 22, 3, 6, 18, 4]) {
        0 => (COMPARISONS, numbers::number(random)),
        1 => (&COMPARISONS[..2], strings::string(random)),
        2 => (MEMBERSHIPS, list_or_scalar(random)),
        3 => (MATCHES, patterns::pattern(random)),
        4 => (&COMPARISONS[..2], literals::boolean(random)),
        5 => (COMPARISONS, variable(random, &mut hints)),
        6 => (COMPARISONS, injected(random, &mut hints)),
        _ => (COMPARISONS, soup(random)),
    };
    let operator = match random.below(100) {
        0..=84 => random.pick(operators),
        85..=98 => match random.below(3) {
            0 => random.pick(COMPARISONS),
            1 => random.pick(MEMBERSHIPS),
            _ => random.pick(MATCHES),
        },
        _ => random.pick(&["eq", "MATCH", "AND", "==", ""]),
    };
    let value = if random.chance(10) {
        surrounded(&operand.text, random)
    } else {
        operand.text
    };
    hints.extend(places.into_iter().map(|place| Hint {
        place,
        values: operand.near.clone(),
    }));
    (Constraint::new(property, operator, value), hints)
}

fn list_or_scalar(random: &mut Random) -> Literal {
    if random.chance(75) {
        literals::list(random)
    } else {
        literals::any(random)
    }
}

/// Blanks that Flagr trims, and some that it does not.
fn surrounded(text: &str, random: &mut Random) -> String {
    const BLANKS: &[&str] = &[
        "", " ", "\t", "\n", "\r\n", "\u{a0}", "\u{3000}", "\u{85}", "\u{2028}", "\u{1680}",
        "\u{feff}", "\u{200b}", "\u{180e}", "\u{b}", "\u{c}", "/* c */", "//c\n",
    ];
    format!("{}{text}{}", random.pick(BLANKS), random.pick(BLANKS))
}

fn variable(random: &mut Random, hints: &mut Vec<Hint>) -> Literal {
    let (text, place) = properties::plain(random);
    let near = literals::any(random).near;
    hints.push(Hint {
        place,
        values: near.clone(),
    });
    Literal {
        text: format!("{{{text}}}"),
        near,
    }
}

/// A comparison of another property, in or without brackets.
fn term(depth: u64, random: &mut Random, hints: &mut Vec<Hint>) -> String {
    if random.chance(12) {
        return random
            .pick(&["TRUE", "false", "1", "\"x\"", "{p}", "[1]"])
            .to_owned();
    }
    if depth > 0 && random.chance(35) {
        let mut text = term(depth - 1, random, hints);
        for _ in 0..random.between(1, 3) {
            text = format!(
                "{text} {} {}",
                random.pick(LINKS),
                term(depth - 1, random, hints)
            );
        }
        return format!("({text})");
    }
    let (text, place) = properties::plain(random);
    let (symbol, operand) = match random.below(4) {
        0 => (random.pick(&SYMBOLS[..6]), numbers::number(random)),
        1 => (random.pick(&SYMBOLS[..2]), strings::string(random)),
        2 => (random.pick(&SYMBOLS[6..10]), literals::list(random)),
        _ => (random.pick(SYMBOLS), literals::any(random)),
    };
    hints.push(Hint {
        place,
        values: operand.near,
    });
    let compared = match random.below(10) {
        0 => format!("{} {symbol} {{{text}}}", operand.text),
        _ => format!("{{{text}}} {symbol} {}", operand.text),
    };
    if random.chance(60) {
        format!("({compared})")
    } else {
        compared
    }
}

/// A value that carries more grammar than a literal.
fn injected(random: &mut Random, hints: &mut Vec<Hint>) -> Literal {
    let first = if random.chance(80) {
        match random.below(3) {
            0 => Literal {
                text: "1".to_owned(),
                near: vec![Json::number(1.0), Json::number(2.0)],
            },
            1 => Literal {
                text: "\"x\"".to_owned(),
                near: vec![Json::string("x"), Json::string("y")],
            },
            _ => literals::boolean(random),
        }
    } else {
        literals::any(random)
    };
    let mut text = first.text.clone();
    match random.below(8) {
        0 => {
            const TAILS: &[&str] = &[
                ")) junk ###",
                ") /*",
                ") // c",
                ") \"",
                ") {x}",
                ") {x",
                ") 5",
                ") -",
                ") [1]",
                ") '",
                ") /a/",
                ")) AND",
                ")",
                "))))",
                ") NOT",
                ") IN",
                ") AND (",
                " {p})",
                ") \"x\" {y}",
                ") ;",
                ") (1 == 1)",
            ];
            text.push_str(random.pick(TAILS));
        }
        1 => text = format!("({text})"),
        2 => {
            // The bracket of the constraint closes early and the last opens late.
            for _ in 0..random.between(1, 4) {
                let inner = term(1, random, hints);
                let inner = inner.strip_prefix('(').unwrap_or(&inner).to_owned();
                let inner = inner.strip_suffix(')').unwrap_or(&inner);
                text = format!("{text}) {} ({inner}", random.pick(LINKS));
            }
        }
        3..=6 => {
            for _ in 0..random.between(1, 5) {
                text = format!("{text} {} {}", random.pick(LINKS), term(2, random, hints));
            }
        }
        _ => {
            for _ in 0..random.between(1, 3) {
                text = format!(
                    "{text} {} {}",
                    random.pick(SYMBOLS),
                    literals::any(random).text
                );
            }
        }
    }
    Literal {
        text,
        near: first.near,
    }
}

/// Tokens in no order.
fn soup(random: &mut Random) -> Literal {
    const TOKENS: &[&str] = &[
        "1", "\"x\"", "{p}", "(", ")", "[", "]", "[1]", "AND", "OR", "NOT", "IN", "==", "=~",
        "/a/", "/", "-", "!", "=", ">", "<", "{", "}", "'", "`", "\"", "/*", "*/", "//", "\n", ",",
        ".", "true", "XOR", "NAND", "x", "é", "🚩", ";", "CONTAINS", "~", "0x", "\\", "\u{0}",
        "\u{feff}", "notin", "ıN",
    ];
    let mut text = String::new();
    for _ in 0..random.between(1, 7) {
        text.push_str(random.pick(TOKENS));
        if random.chance(50) {
            text.push(' ');
        }
    }
    Literal {
        text,
        near: vec![
            Json::number(1.0),
            Json::string("x"),
            Json::Bool(true),
            Json::string("a"),
            Json::List(vec![Json::number(1.0)]),
        ],
    }
}
