//! What running expressions may cost.
//!
//! Every CEL loop ends, but loops nest, over lists that come with requests. So each step whose cost
//! can multiply is charged before it is taken: a run by the size of its expression, a round of a
//! comprehension by the size of its body, a use of a value by the size of the value. All expressions
//! of an evaluation share one budget,
//! [`Limits::cel_work`](crate::Limits::cel_work).
//!
//! The functions that pay are called by the interpreter, which hands them nothing of ours: what is
//! left is therefore kept per thread while an expression runs, and belongs to the run that this
//! thread is in. A run neither waits nor calls foreign code, so there is never more than one.

use std::cell::Cell;

use cel::common::types::{CelBytes, CelList, CelMap, CelString};
use cel::common::value::Val;

use super::super::work::Work;
use super::error::CelMismatch;

/// As many bytes of a string count as one element of a list.
const BYTES_PER_UNIT: usize = 16;
/// As many attributes that a run walks over count as one element of a list.
pub(super) const ATTRIBUTES_PER_UNIT: usize = 8;

/// The run that a thread is in.
#[derive(Clone, Copy, Default)]
struct Run {
    left: Work,
    /// What it asked for and did not get. From then on it gets nothing.
    beyond: Option<Beyond>,
}

#[derive(Clone, Copy)]
enum Beyond {
    Cel,
    Regex,
}

thread_local! {
    static RUN: Cell<Run> = Cell::new(Run::default());
}

/// Begins a run, which may do so much work.
pub(super) fn begin(left: Work) {
    RUN.set(Run { left, beyond: None });
}

/// The budget that a run has not used.
pub(super) fn left() -> Work {
    RUN.get().left
}

/// Whether this run asked for more than there was.
///
/// # Errors
///
/// It did, and for this.
pub(super) fn check() -> Result<(), CelMismatch> {
    match RUN.get().beyond {
        None => Ok(()),
        Some(Beyond::Cel) => Err(CelMismatch::TooCostly),
        Some(Beyond::Regex) => Err(CelMismatch::BeyondLimits),
    }
}

/// Takes `cost` from what regular expressions may still do; false when it is not there, and from
/// then on for the whole run.
pub(super) fn pay_work(cost: u64) -> bool {
    take(Beyond::Regex, |left| left.take(cost).is_ok())
}

/// Takes `cost` from what expressions may still do; false when it is not there, and from then on for
/// the whole run.
pub(super) fn pay(cost: usize) -> bool {
    take(Beyond::Cel, |left| left.take_cel(cost as u64).is_ok())
}

fn take(what: Beyond, take: impl FnOnce(&mut Work) -> bool) -> bool {
    let mut run = RUN.get();
    if run.beyond.is_none() && !take(&mut run.left) {
        run.beyond = Some(what);
    }
    RUN.set(run);
    run.beyond.is_none()
}

/// The cost of a string of `length` bytes.
pub(super) const fn of_text(length: usize) -> usize {
    1 + length / BYTES_PER_UNIT
}

/// The cost of a value: all that is in it.
pub(super) fn of_value(value: &dyn Val) -> usize {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        of_text(text.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner()
            .iter()
            .fold(1, |sum, element| sum + of_value(element.as_ref()))
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        map.inner()
            .values()
            .fold(1, |sum, member| sum + 1 + of_value(member.as_ref()))
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        of_text(bytes.inner().len())
    } else {
        1
    }
}
