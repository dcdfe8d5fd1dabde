//! What one run may cost.
//!
//! CEL has no loop without an end, but loops in loops over lists that come with requests. So
//! whatever can multiply is paid for before it is done: each round of a comprehension by the size
//! of its body, each use of a value by the size of the value. Everything else happens once per
//! run and is bounded by the length and depth of the expression.
//!
//! The functions that pay are called by the interpreter, which hands them nothing of ours: the
//! rest of the allowance is therefore kept per thread, and belongs to the run that this thread is
//! in. A run neither waits nor calls foreign code, so there is never more than one.

use std::cell::Cell;

use cel::common::types::{CelBytes, CelList, CelMap, CelString};
use cel::common::value::Val;

use super::super::work::Work;

/// What one run may use up: enough for a comprehension over 1,000 maps of ten members each, or for
/// one in another over 100 elements each. Mostly that takes
/// a few milliseconds, and at worst, when large parts of a context are copied, some tens of them.
const PER_RUN: usize = 200_000;
/// As many bytes of a string count as one element of a list.
const BYTES_PER_UNIT: usize = 16;

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static WORK: Cell<Option<Work>> = const { Cell::new(None) };
}

/// Begins a run, whose regular expressions may do so much work.
pub(super) fn begin(work: Work) {
    LEFT.set(Some(PER_RUN));
    WORK.set(Some(work));
}

/// Takes `cost` from what regular expressions may still do; false when it is not there, and from
/// then on for the whole run.
pub(super) fn pay_work(cost: u64) -> bool {
    let left = WORK.get().and_then(|mut work| {
        work.take(cost).ok()?;
        Some(work)
    });
    WORK.set(left);
    left.is_some()
}

/// What regular expressions may still do; `None` when this run asked for more.
pub(super) fn work_left() -> Option<Work> {
    WORK.get()
}

/// Takes `cost` from what is left; false when it is not there, and from then on for the whole run.
pub(super) fn pay(cost: usize) -> bool {
    let left = LEFT.get().and_then(|left| left.checked_sub(cost));
    LEFT.set(left);
    left.is_some()
}

/// Whether this run asked for more than it may use.
pub(super) fn is_exhausted() -> bool {
    LEFT.get().is_none()
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
