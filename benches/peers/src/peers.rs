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
}

/// One scenario in one system.
pub struct Case<'a> {
    /// The line of the table.
    pub system: &'static str,
    pub scenario: Scenario,
    /// How many evaluations a round has: one for each user.
    pub calls: usize,
    round: Box<dyn Fn() -> usize + Sync + 'a>,
}

impl<'a> Case<'a> {
    /// A case whose rounds go once over all users. `one` tells how many flags
    /// were on.
    pub fn new<U: Sync>(
        system: &'static str,
        scenario: Scenario,
        users: &'a [U],
        one: impl Fn(&'a U) -> usize + Sync + 'a,
    ) -> Self {
        Self {
            system,
            scenario,
            calls: users.len(),
            round: Box::new(move || users.iter().map(|user| black_box(one(user))).sum()),
        }
    }

    /// Runs a round: how many flags were on.
    pub fn round(&self) -> usize {
        (self.round)()
    }
}
