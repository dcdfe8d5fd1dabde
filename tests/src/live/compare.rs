//! Asking both sides and comparing what they say.

use std::fmt;

use serde_json::Value;
use vexilla_core::EmptyEntity;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;

use super::contexts::Visitor;
use super::server::{Answer, Created};

/// A flag and a context for which the two sides answer differently.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    /// As it was created.
    pub(crate) flag: Flag,
    pub(crate) visitor: Visitor,
    pub(crate) flagr: Answer,
    pub(crate) ours: Answer,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "flag    {}\ncontext {}\nFlagr   {:?}\nwe      {:?}",
            brief(&self.flag),
            self.visitor,
            self.flagr,
            self.ours
        )
    }
}

/// A flag without the members that a file need not have.
pub(crate) fn brief(flag: &Flag) -> Value {
    fn without_defaults(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(without_defaults).collect(),
            Value::Object(members) => members
                .into_iter()
                .filter(|(name, value)| {
                    !name.ends_with("At")
                        && *value != Value::Null
                        && *value != 0
                        && *value != ""
                        && *value != Value::Array(Vec::new())
                })
                .map(|(name, value)| match name.as_str() {
                    "Attachment" => (name, value),
                    _ => (name, without_defaults(value)),
                })
                .collect(),
            other => other,
        }
    }
    serde_json::to_value(flag)
        .map(without_defaults)
        .unwrap_or_default()
}

/// Our answer to a request, in Flagr's words; `None` if it is beyond our limits.
pub(crate) fn answer(
    snapshot: &Snapshot,
    id: Option<u64>,
    key: Option<&str>,
    visitor: &Visitor,
) -> Option<Answer> {
    let context = visitor.context();
    let ours = snapshot.evaluate_request(id, key, &context, EmptyEntity::NoRollout);
    if ours.is_beyond_limits() {
        return None;
    }
    let variant_attachment = match (ours.variant_id(), ours.attachment()) {
        (_, Some(attachment)) => attachment.json().to_owned(),
        _ => String::new(),
    };
    Some(Answer {
        // Of an unknown flag Flagr echoes what was asked for.
        flag_id: ours.flag_id().or(id).unwrap_or(0),
        flag_key: ours.flag_key().to_owned(),
        segment_id: ours.segment_id().unwrap_or(0),
        variant_id: ours.variant_id().unwrap_or(0),
        variant_key: ours.variant_key().unwrap_or_default().to_owned(),
        variant_attachment,
    })
}

/// Why we would refuse a flag with this constraint, if we would.
pub(crate) fn refusal(constraint: &Constraint) -> Option<String> {
    let segment = Segment::new()
        .constraint(constraint.clone())
        .distribution("on", 100);
    let flag = Flag::new("f")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    problem(flag)
}

/// What is wrong with a flag, if anything is.
pub(crate) fn problem(flag: Flag) -> Option<String> {
    Snapshot::new(FlagSet::from(vec![flag]))
        .problems()
        .next()
        .map(|problem| problem.message)
}

/// The constraints of a created flag that only one side refuses, a line each.
pub(crate) fn refusals(created: &Created) -> Vec<String> {
    created
        .constraints
        .iter()
        .filter_map(|(constraint, flagr)| {
            let Constraint {
                property,
                operator,
                value,
                ..
            } = constraint;
            match (flagr, refusal(constraint)) {
                (Ok(()), Some(ours)) => Some(format!(
                    "Flagr accepts {property:?} {operator} {value:?}, we refuse: {ours}"
                )),
                (Err(flagr), None) => Some(format!(
                    "we accept {property:?} {operator} {value:?}, Flagr refuses: {flagr}"
                )),
                _ => None,
            }
        })
        .collect()
}
