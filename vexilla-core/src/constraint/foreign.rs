//! Patterns out of the context, `{a} =~ {b}`: whoever sends a request may have
//! written them. They are compiled at each evaluation and never kept, within
//! limits that are fixed and narrow.

use super::go_regex;
use super::operand::Mismatch;
use super::program::{Budget, Program};
use super::work::Work;

/// Greatest length, in bytes.
const LENGTH: usize = 256;

/// Most classes of Unicode, such as `\pL`: reading them is what takes the time in a small pattern.
const CLASSES: usize = 32;

/// Greatest length written out, as [`go_regex`] does it: room for a class such as `\pL`, not for
/// many of them.
const WRITTEN: usize = 8 << 10;

/// Greatest size, in bytes, of a compiled program.
const PROGRAM_BYTES: u64 = 64 << 10;

/// Most work that a search may do, in bytes × instructions.
const SEARCH_WORK: u64 = 1 << 14;

/// What compiling counts as, in the same unit.
const COMPILE_WORK: u64 = 1 << 14;

/// Compiles a pattern in Go's dialect.
///
/// # Errors
///
/// One that Go refuses, and one beyond the limits.
pub(super) fn compile(pattern: &[u8], work: &mut Work) -> Result<Program, Mismatch> {
    if pattern.len() > LENGTH {
        return Err(Mismatch::BeyondLimits);
    }
    work.take(COMPILE_WORK)?;
    let pattern = std::str::from_utf8(pattern).map_err(|_| Mismatch::InvalidPattern)?;
    let classes = pattern.matches("\\p").chain(pattern.matches("\\P"));
    if classes.count() > CLASSES {
        return Err(Mismatch::BeyondLimits);
    }
    let budget = Budget {
        program: PROGRAM_BYTES,
        set: PROGRAM_BYTES,
        used: 0,
        // What is searched in once needs no cache.
        cache: 0,
    };
    go_regex::compile_shallow(pattern, WRITTEN, budget).map_err(|error| {
        match error.is_beyond_limits() {
            true => Mismatch::BeyondLimits,
            false => Mismatch::InvalidPattern,
        }
    })
}

/// Takes what a search in a text of this length may cost.
///
/// # Errors
///
/// It is more than a search may cost, or than is left.
pub(super) fn take_search(
    program: &Program,
    length: usize,
    work: &mut Work,
) -> Result<(), Mismatch> {
    match program.work(length) {
        cost if cost <= SEARCH_WORK => work.take(cost),
        _ => Err(Mismatch::BeyondLimits),
    }
}
