//! Literals of the constraint language, each with values that lie near it.

use super::json::Json;
use super::numbers::{ODD_NUMBERS, around, float, number};
use super::random::Random;
use super::strings::{escaped, like, string, text};

/// A piece of constraint text, and context values that are worth trying
/// against it.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) near: Vec<Json>,
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
