//! The floor: a hash look-up, a string comparison, a CRC-32 and a range check.
//!
//! Less than any engine does: one kind of constraint on one attribute, one
//! rollout, `bool` as only outcome. No types, no reasons, no errors, and no way to
//! say what happened. Its answers are Flagr's, as ours are.
//!
//! Two more rows show what a careless choice would cost: one counter that all
//! threads share, and a lock around the flags in place of an atomic pointer (read
//! under the lock, without a copy of the `Arc`, the cheaper of the two ways).

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use crc32fast::Hasher;
use rustc_hash::FxHashMap;

use super::{Case, System};
use crate::scenario::{self, FEW_USERS, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

pub const AT_HAND: &str = "floor, flag at hand";
pub const BY_KEY: &str = "floor, by key";
const LOADED: &str = "floor, by key, snapshot loaded each time";
const COUNTED: &str = "the same + one shared atomic counter";
const LOCKED: &str = "floor, by key, behind `RwLock<Arc>`";
/// All rows of the floor.
pub const ALL: [&str; 5] = [AT_HAND, BY_KEY, LOADED, COUNTED, LOCKED];

type Flags = FxHashMap<Box<str>, Flag>;

pub struct Floor<'a> {
    flags: Arc<Flags>,
    store: ArcSwap<Flags>,
    counter: AtomicU64,
    locked: RwLock<Arc<Flags>>,
    users: &'a [User],
}

struct Flag {
    enabled: bool,
    country: Box<str>,
    /// The CRC-32 of the flag's id.
    salt: u32,
    /// The first bucket that is out, of 1000.
    end: u32,
}

impl Flag {
    #[inline]
    fn is_on(&self, user: &User) -> bool {
        self.enabled && *user.country == *self.country && (self.end == 1000 || self.is_in(user))
    }

    #[inline]
    fn is_in(&self, user: &User) -> bool {
        let mut hasher = Hasher::new_with_initial(self.salt);
        hasher.update(user.key.as_bytes());
        hasher.finalize() % 1000 < self.end
    }
}

#[inline]
fn is_on(flags: &Flags, key: &str, user: &User) -> bool {
    flags.get(key).is_some_and(|flag| flag.is_on(user))
}

impl<'a> Floor<'a> {
    pub fn new(flags: &[scenario::Flag], users: &'a [User]) -> Self {
        let compiled = |flag: &scenario::Flag| Flag {
            enabled: flag.enabled,
            country: flag.country.into(),
            salt: crc32fast::hash(flag.id.to_string().as_bytes()),
            end: flag.percent * 10,
        };
        let flags = flags
            .iter()
            .map(|flag| (flag.key.as_str().into(), compiled(flag)));
        let flags: Arc<Flags> = Arc::new(flags.collect());
        Self {
            store: ArcSwap::new(Arc::clone(&flags)),
            counter: AtomicU64::new(0),
            locked: RwLock::new(Arc::clone(&flags)),
            flags,
            users,
        }
    }

    fn by_key(&self, scenario: Scenario, key: &'static str) -> Case<'_> {
        let flags = &*self.flags;
        Case::new(BY_KEY, scenario, self.users, move |user| {
            usize::from(is_on(flags, black_box(key), user))
        })
    }
}

impl System for Floor<'_> {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        is_on(&self.flags, key, user)
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let s1 = &self.flags[S1];
        let flags = &*self.flags;
        vec![
            Case::new(AT_HAND, Scenario::S1, self.users, move |user| {
                usize::from(black_box(s1).is_on(user))
            }),
            self.by_key(Scenario::Off, OFF),
            self.by_key(Scenario::Unknown, UNKNOWN),
            self.by_key(Scenario::Simple, SIMPLE),
            self.by_key(Scenario::S1, S1),
            Case::new(
                BY_KEY,
                Scenario::All,
                &self.users[..FEW_USERS],
                move |user| flags.values().filter(|flag| flag.is_on(user)).count(),
            ),
            Case::new(LOADED, Scenario::S1, self.users, move |user| {
                usize::from(is_on(&self.store.load(), black_box(S1), user))
            }),
            Case::new(COUNTED, Scenario::S1, self.users, move |user| {
                self.counter.fetch_add(1, Ordering::Relaxed);
                usize::from(is_on(&self.store.load(), black_box(S1), user))
            }),
            Case::new(LOCKED, Scenario::S1, self.users, move |user| {
                let flags = self.locked.read().unwrap_or_else(PoisonError::into_inner);
                usize::from(is_on(&flags, black_box(S1), user))
            }),
        ]
    }
}
