//! Random contexts: entities, and attributes near what flags look at.

use std::collections::BTreeMap;
use std::fmt;

use vexilla_core::Context;

use super::json::{Json, quoted};
use super::numbers;
use super::properties::Hint;
use super::random::Random;
use super::strings;

/// A context, as it is sent to Flagr.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visitor {
    pub(crate) entity_id: String,
    pub(crate) entity_type: String,
    pub(crate) attributes: BTreeMap<String, Json>,
}

impl Visitor {
    /// The same as a context of ours.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::new(&self.entity_id).with_entity_type(&self.entity_type);
        for (name, value) in &self.attributes {
            context.set(name, value.value());
        }
        context
    }
}

impl fmt::Display for Visitor {
    /// The members of an evaluation request that describe the context.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        write!(
            f,
            "{{\"entityID\":{},\"entityType\":{},\"entityContext\":{}}}",
            quoted(&self.entity_id),
            quoted(&self.entity_type),
            Json::Object(attributes)
        )
    }
}

/// A context for a flag that looks at the hinted attributes.
pub(crate) fn visitor(hints: &[Hint], random: &mut Random) -> Visitor {
    let mut attributes = BTreeMap::new();
    // In most contexts nearly everything is there: one missing attribute is
    // enough for a segment not to match.
    let missing = random.pick(&[0, 0, 0, 5, 30]);
    for hint in hints {
        if random.chance(missing) || hint.values.is_empty() {
            continue;
        }
        let leaf = match random.below(20) {
            0 => stray(2, random),
            _ => random.pick(&hint.values),
        };
        attributes.insert(
            hint.place.attribute.clone(),
            hint.place.holding(leaf, random),
        );
    }
    if random.chance(10) {
        attributes.insert("stray".to_owned(), stray(3, random));
    }
    Visitor {
        entity_id: entity(random),
        entity_type: random.pick(&["", "user", "other"]).to_owned(),
        attributes,
    }
}

/// An entity's id; never empty, since Flagr would draw a random one.
fn entity(random: &mut Random) -> String {
    match random.below(6) {
        0 => random.below(1_000_000).to_string(),
        1 => format!("user-{}", random.below(100_000)),
        2 => format!("{:032x}", u128::from(random.bits()) << 32),
        3 => format!("é🚩{}\u{0}\n", random.below(10_000)),
        4 => {
            "long-".repeat(usize::try_from(random.between(1, 60)).unwrap_or(1))
                + &random.below(1000).to_string()
        }
        _ => char::from_u32(u32::try_from(random.between(1, 0xd7ff)).unwrap_or(65))
            .unwrap_or('A')
            .to_string(),
    }
}

/// A value that nobody asked for.
fn stray(depth: u64, random: &mut Random) -> Json {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => Json::Null,
        1 => Json::Bool(random.chance(50)),
        2 => Json::number(numbers::float(random)),
        3 => Json::Number(
            random
                .pick(&[
                    "1e400",
                    "-0",
                    "0.10",
                    "1E2",
                    "12345678901234567890",
                    "-1e-400",
                ])
                .to_owned(),
        ),
        4 | 5 => Json::String(strings::text(random)),
        6 => Json::List(
            (0..random.below(4))
                .map(|_| stray(depth - 1, random))
                .collect(),
        ),
        _ => Json::Object(vec![
            ("a".to_owned(), stray(depth - 1, random)),
            ("é".to_owned(), stray(depth - 1, random)),
        ]),
    }
}
