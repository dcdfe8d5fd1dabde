//! S1 by key while 1, 10,000 and 100,000 flags are held.
//!
//! Every flag is one of S1. By one key, all that is read stays in the cache; by
//! the keys of all flags in random order, nearly nothing does, which is what the
//! second line measures: each call then waits for memory several times. So does
//! the floor, whose figures stand beside. The keys lie in the order in which they
//! are asked for.

use std::hint::black_box;

use vexilla_core::{Flags, Vexilla};

use crate::peers::floor::{self, Floor};
use crate::peers::vexilla::{FLAGS, context, flag};
use crate::peers::{Case, System};
use crate::scenario::{Flag, S1, Scenario, User};

pub const SIZES: [usize; 3] = [1, 10_000, 100_000];

/// A number of flags that are held, and users who read them.
pub struct Size<'a> {
    floor: Floor<'a>,
    users: &'a [User],
    handles: Vec<Flags>,
    visits: Vec<Visit>,
}

/// A key, and the user for whom it is asked.
struct Visit {
    key: String,
    user: usize,
}

impl<'a> Size<'a> {
    pub fn new(flags: usize, users: &'a [User]) -> Self {
        let keys = (0..flags).map(|n| match n {
            0 => S1.to_owned(),
            n => format!("flag-{n}"),
        });
        let definitions: Vec<_> = keys
            .zip(1..)
            .map(|(key, id)| Flag {
                id,
                key,
                enabled: true,
                country: "BR",
                percent: 50,
            })
            .collect();
        let vexilla = Vexilla::fixed(definitions.iter().map(flag).collect::<Vec<_>>());
        let handles = users.iter().map(|user| vexilla.flags(context(user)));
        let order = shuffled(flags).into_iter().enumerate();
        let visits = order.map(|(n, position)| Visit {
            key: definitions[position].key.clone(),
            user: n % users.len(),
        });
        Self {
            handles: handles.collect(),
            visits: visits.collect(),
            floor: Floor::new(&definitions, users),
            users,
        }
    }

    /// Whether all visits, and S1 for all users, have the floor's answers.
    pub fn check(&self) -> Result<(), String> {
        let everyone = (0..self.users.len()).map(|user| (S1, user));
        let visits = self.visits.iter();
        let visits = visits.map(|visit| (visit.key.as_str(), visit.user));
        for (key, user) in everyone.chain(visits) {
            let right = self.floor.answer(key, &self.users[user]);
            if self.handles[user].bool(key) != right {
                return Err(format!("{key} of {} is not {right}", self.visits.len()));
            }
        }
        Ok(())
    }

    pub fn cases(&self) -> Vec<Case<'_>> {
        let size = self.visits.len();
        let mut cases = vec![Case::new(
            FLAGS,
            Scenario::Held(size),
            &self.handles,
            |flags| usize::from(flags.bool(black_box(S1))),
        )];
        if size > 1 {
            let random = Scenario::HeldAtRandom(size);
            cases.push(Case::new(FLAGS, random, &self.visits, |visit| {
                usize::from(self.handles[visit.user].bool(&visit.key))
            }));
            cases.push(Case::new(floor::BY_KEY, random, &self.visits, |visit| {
                usize::from(self.floor.answer(&visit.key, &self.users[visit.user]))
            }));
        }
        cases
    }
}

/// The numbers below `count` in an order that looks random and is always the same.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<_> = (0..count).collect();
    let mut state = 1_u64;
    for last in (1..count).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        numbers.swap(last, (state >> 33) as usize % (last + 1));
    }
    numbers
}
