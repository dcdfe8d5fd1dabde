//! The targets, and what several of them share.

pub mod cel;
pub mod constraint;
pub mod context;
pub mod copy;
pub mod document;
pub mod regex;
pub mod request;
pub mod webhook;

use std::borrow::Cow;

use vexilla_core::context::{ContextRef, ValueRef};
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Origin, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Context, EmptyEntity};

use crate::limits;

/// The most bytes that are allocated at a time while this runs, and its result.
/// Threads that it starts are not counted.
fn peak<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(run()));
    (counted.bytes_max, result.expect("it ran"))
}

/// The first lines of an input, and the rest.
fn lines<const N: usize>(data: &[u8]) -> ([Cow<'_, str>; N], Cow<'_, str>) {
    let mut parts = data.splitn(N + 1, |byte| *byte == b'\n');
    let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default());
    let first = std::array::from_fn(|_| next());
    (first, next())
}

/// The context of this JSON, or one that a target makes do with.
fn context_of(json: &str) -> Context {
    let fallback = || Context::new("u").with("s", "abc").with("n", 1);
    serde_json::from_str(json).unwrap_or_else(|_| fallback())
}

/// A flag that is on for whoever fulfils the constraint.
fn on_for(constraint: Constraint, origin: Origin) -> Snapshot {
    let segment = Segment::new()
        .constraint(constraint)
        .distribution("on", 100);
    let flag = Flag::new("flag")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    let mut set = FlagSet::from([flag]);
    set.origin = origin;
    Snapshot::new(set)
}

/// The problem of the flag, whose length is bounded.
fn problem(snapshot: &Snapshot) -> Option<String> {
    let problem = snapshot.problems().next()?;
    let length = problem.message.len();
    assert!(length <= limits::PROBLEM, "a problem of {length} B");
    Some(problem.message)
}

/// Whether the flag is on: the same each time, and for a context that borrows.
fn matches(snapshot: &Snapshot, context: &Context) -> bool {
    let owned = || {
        snapshot
            .evaluate("flag", context, EmptyEntity::NoRollout)
            .variant_id()
            .is_some()
    };
    let (peak, first) = peak(owned);
    assert!(peak <= limits::EVALUATION, "an evaluation took {peak} B");
    assert_eq!(first, owned(), "the same evaluation again");
    let attributes: Vec<(&str, ValueRef<'_>)> = context.attributes().collect();
    let borrowed = ContextRef::new(context.entity_id())
        .entity_type(context.entity_type())
        .attributes(&attributes);
    let borrowed = snapshot.evaluate("flag", &borrowed, EmptyEntity::NoRollout);
    assert_eq!(first, borrowed.variant_id().is_some(), "a borrowed context");
    first
}
