//! Random flags.

use serde_json::{Value, json};
use vexilla_core::flag::{Flag, Segment, Variant};

use super::constraints;
use super::properties::Hint;
use super::random::Random;

/// A flag to create, and attributes that its constraints look at.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) flag: Flag,
    pub(crate) hints: Vec<Hint>,
}

pub(crate) fn flag(key: String, random: &mut Random) -> Generated {
    let mut flag = Flag::new(key).enabled(random.chance(97));
    if random.chance(15) {
        flag = flag.entity_type(random.pick(&["user", "a/b.c:", "device"]));
    }
    let variants = random.between(1, 4);
    for number in 0..variants {
        let mut variant = Variant::new(variant_key(number, random));
        if random.chance(60) {
            variant = variant.attachment(attachment(random));
        }
        flag = flag.variant(variant);
    }
    let mut hints = Vec::new();
    for _ in 0..random.weighted(&[3, 35, 35, 20, 7]) {
        let mut segment = Segment::new().rollout(match random.below(10) {
            0..=4 => 100,
            5 => random.pick(&[0, 1, 2, 50, 99]),
            _ => random.between(0, 100),
        });
        for _ in 0..random.weighted(&[8, 50, 28, 10, 4]) {
            let (constraint, more) = constraints::constraint(random);
            segment = segment.constraint(constraint);
            hints.extend(more);
        }
        for (variant, percent) in shares(&flag.variants, random) {
            segment = segment.distribution(variant, percent);
        }
        flag = flag.segment(segment);
    }
    Generated { flag, hints }
}

fn variant_key(number: u64, random: &mut Random) -> String {
    let form = random.pick(&["v", "on-", "a/b.c:", "V_", "0", "true"]);
    format!("{form}{number}")
}

/// Percents that add up to 100; seldom none at all.
fn shares(variants: &[Variant], random: &mut Random) -> Vec<(String, u64)> {
    if random.chance(4) {
        return Vec::new();
    }
    let mut keys: Vec<_> = variants.iter().map(|variant| variant.key.clone()).collect();
    while keys.len() > 1 && random.chance(30) {
        keys.remove(random.index(keys.len()));
    }
    if keys.len() > 1 && random.chance(40) {
        let at = random.index(keys.len());
        keys.rotate_left(at);
    }
    let mut left = 100;
    let last = keys.len() - 1;
    keys.into_iter()
        .enumerate()
        .map(|(index, key)| {
            let percent = if index == last {
                left
            } else {
                random.between(0, left)
            };
            left -= percent;
            (key, percent)
        })
        .collect()
}

fn attachment(random: &mut Random) -> Value {
    let mut members = serde_json::Map::new();
    for _ in 0..random.between(0, 4) {
        let name = random.pick(&[
            "value", "z", "a", "é", "", "<b>", "a\"b", "\u{2028}", "Value",
        ]);
        members.insert(name.to_owned(), nested(3, random));
    }
    Value::Object(members)
}

fn nested(depth: u64, random: &mut Random) -> Value {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => random.chance(50).into(),
        2 => random.pick(&[
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e21),
            json!(1e20),
            json!(1.0),
            json!(1e-6),
            json!(1e-7),
            json!(5e-324),
            json!(-0.0),
            json!(100.0),
            json!(0.1),
            json!(f64::MAX),
        ]),
        3 => super::numbers::float(random).into(),
        4 | 5 => super::strings::text(random).into(),
        6 => (0..random.below(4))
            .map(|_| nested(depth - 1, random))
            .collect(),
        _ => Value::Object(
            (0..random.below(4))
                .map(|_| (super::strings::text(random), nested(depth - 1, random)))
                .collect(),
        ),
    }
}
