//! The systems that are measured, one file each.

pub mod eppo;
pub mod floor;
pub mod launchdarkly;
pub mod vexilla;
pub mod yggdrasil;

use std::hint::black_box;

use crate::scenario::{Scenario, User};

/// Flags and users loaded into one system.
pub trait System {
    fn name(&self) -> &'static str;

    /// Whether a flag is on for a user, by the path that is measured; not
    /// measured itself.
    fn answer(&self, key: &str, user: &User) -> bool;

    /// What to measure.
    fn cases(&self) -> Vec<Case<'_>>;

    /// How many bytes the 204 flags have in the system's own form, if it reads one.
    fn document_bytes(&self) -> Option<usize> {
        None
    }
}

/// Over so many calls, at least, allocations are counted.
const COUNTED_CALLS: usize = 4096;
/// The same for what takes long.
const COUNTED_LONG_CALLS: usize = 8;

/// One scenario in one system.
pub struct Case<'a> {
    /// The line of the table.
    pub system: &'static str,
    pub scenario: Scenario,
    /// How many calls a round has: one for each user, or a single one.
    pub calls: usize,
    /// In so many rounds allocations are counted.
    pub counted_rounds: usize,
    round: Box<dyn Fn() -> usize + Sync + 'a>,
}

impl<'a> Case<'a> {
    /// A case whose rounds go once over all items, mostly users. `one` tells how
    /// many flags were on.
    pub fn new<U: Sync>(
        system: &'static str,
        scenario: Scenario,
        items: &'a [U],
        one: impl Fn(&'a U) -> usize + Sync + 'a,
    ) -> Self {
        Self {
            system,
            scenario,
            calls: items.len(),
            counted_rounds: COUNTED_CALLS.div_ceil(items.len()),
            round: Box::new(move || items.iter().map(|item| black_box(one(item))).sum()),
        }
    }

    /// A case whose rounds are one call that takes long. `one` gives any number
    /// that is always the same.
    pub fn long(
        system: &'static str,
        scenario: Scenario,
        one: impl Fn() -> usize + Sync + 'a,
    ) -> Self {
        Self {
            system,
            scenario,
            calls: 1,
            counted_rounds: COUNTED_LONG_CALLS,
            round: Box::new(move || black_box(one())),
        }
    }

    /// Runs a round: how many flags were on, or what [`long`](Self::long) gives.
    pub fn round(&self) -> usize {
        (self.round)()
    }
}
