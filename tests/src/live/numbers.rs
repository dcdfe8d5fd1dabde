//! Numbers in all their spellings, and numbers near them.

use super::json::Json;
use super::literals::Literal;
use super::random::Random;

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
pub(crate) const ODD_NUMBERS: &[&str] = &[
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
