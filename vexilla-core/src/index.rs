//! Finds the position of a key in a list of keys.
//!
//! An open table, at most half full, probed slot by slot. A slot holds a part
//! of the key's hash and the position, so that nearly every look-up touches one
//! slot and compares one key: that of the list, which is not stored again.
//!
//! The hash is fast and not secret, and keys come from whoever edits flags. So
//! keys can be made whose hashes are the same. A key that finds no free slot
//! within [`MOST_PROBES`] goes into a second list, which is sorted: however keys
//! are chosen, a look-up compares at most [`MOST_PROBES`] keys and then searches
//! the sorted list by halves.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;

use rustc_hash::FxBuildHasher;

/// How many slots a look-up tries at most. Among 100,000 keys that nobody chose
/// with the hash in mind, the longest search is about as long.
const MOST_PROBES: usize = 32;

/// Positions of keys in a list.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// As many as a power of two, at least twice as many as keys; or none.
    slots: Box<[Option<Slot>]>,
    /// The positions, counted from 0, of the keys that found no slot; sorted by
    /// key.
    crowded: Box<[u32]>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The upper half of the key's hash.
    tag: u32,
    /// Counted from 1.
    position: NonZeroU32,
}

impl Slot {
    #[inline]
    fn position(self) -> usize {
        self.position.get() as usize - 1
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("slots", &self.slots.len())
            .field("crowded", &self.crowded.len())
            .finish()
    }
}

impl Index {
    /// Indexes a list of keys; `None` stands for a position without a key. Of
    /// several keys that are equal, the last counts.
    pub(crate) fn new<K: Hash + Ord + Copy>(keys: &[Option<K>]) -> Self {
        let count = match keys.len() {
            0 => 0,
            keys => keys.saturating_mul(2).next_power_of_two(),
        };
        let mut index = Self {
            slots: vec![None; count].into(),
            crowded: Box::default(),
        };
        let mut crowded = Vec::new();
        for (key, position) in keys.iter().zip(0_u32..) {
            if let Some(key) = key
                && !index.insert(*key, position, keys)
            {
                crowded.push((*key, position));
            }
        }
        // Of equal keys, the last comes first.
        crowded.sort_unstable_by(|(one, at), (other, behind)| one.cmp(other).then(behind.cmp(at)));
        crowded.dedup_by_key(|(key, _)| *key);
        index.crowded = crowded.into_iter().map(|(_, position)| position).collect();
        index
    }

    /// The memory of each of its two lists, in bytes.
    pub(crate) fn bytes(&self) -> [usize; 2] {
        [size_of_val(&*self.slots), size_of_val(&*self.crowded)]
    }

    /// Puts a key into a slot, unless there is none near enough.
    fn insert<K: Hash + Eq + Copy>(&mut self, key: K, at: u32, keys: &[Option<K>]) -> bool {
        let (Some((mut slot, tag)), Some(position)) =
            (self.start(key), at.checked_add(1).and_then(NonZeroU32::new))
        else {
            return false;
        };
        let mask = self.slots.len() - 1;
        for _ in 0..MOST_PROBES {
            match self.slots.get_mut(slot) {
                Some(held)
                    if held.is_none_or(|held| {
                        held.tag == tag && keys.get(held.position()) == Some(&Some(key))
                    }) =>
                {
                    *held = Some(Slot { tag, position });
                    return true;
                }
                Some(_) => slot = (slot + 1) & mask,
                None => return false,
            }
        }
        false
    }

    /// The position of a key. `is_at` says whether the key of a position is the
    /// one that is looked up, and `order` how it compares with that one.
    #[inline(always)]
    pub(crate) fn find<K: Hash>(
        &self,
        key: K,
        is_at: impl Fn(usize) -> bool,
        order: impl Fn(usize) -> Ordering,
    ) -> Option<usize> {
        let (mut at, tag) = self.start(key)?;
        let mask = self.slots.len() - 1;
        for _ in 0..MOST_PROBES {
            let slot = (*self.slots.get(at)?)?;
            if slot.tag == tag && is_at(slot.position()) {
                return Some(slot.position());
            }
            at = (at + 1) & mask;
        }
        self.find_crowded(&order)
    }

    #[cold]
    fn find_crowded(&self, order: &dyn Fn(usize) -> Ordering) -> Option<usize> {
        let found = self
            .crowded
            .binary_search_by(|position| order(*position as usize));
        self.crowded
            .get(found.ok()?)
            .map(|position| *position as usize)
    }

    /// The slot at which to start, and the tag; `None` if there are no slots.
    #[inline]
    fn start<K: Hash>(&self, key: K) -> Option<(usize, u32)> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = FxBuildHasher.hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "parts of the hash")]
        Some((hash as usize & mask, (hash >> 32) as u32))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn index(keys: &[&str]) -> Index {
        let keys: Vec<_> = keys.iter().map(|key| Some(*key)).collect();
        Index::new(&keys)
    }

    fn find(index: &Index, keys: &[&str], key: &str) -> Option<usize> {
        index.find(key, |at| keys[at] == key, |at| keys[at].cmp(key))
    }

    #[test]
    fn each_key_is_found_and_no_other() {
        let keys: Vec<_> = (0..1000).map(|n| format!("key-{n}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let index = index(&keys);
        for (position, key) in keys.iter().enumerate() {
            assert_eq!(find(&index, &keys, key), Some(position));
        }
        for missing in ["", "key-1000", "key", "KEY-1"] {
            assert_eq!(find(&index, &keys, missing), None, "{missing}");
        }
    }

    #[test]
    fn a_key_of_the_same_hash_is_another() {
        let index = index(&["a"]);
        let order = |_| Ordering::Less;
        assert_eq!(index.find("a", |_| true, order), Some(0));
        assert_eq!(index.find("a", |_| false, order), None);
    }

    #[test]
    fn of_equal_keys_the_last_counts_and_none_is_no_key() {
        let keys = [Some("a"), None, Some("b"), Some("a"), None];
        let index = Index::new(&keys);
        let find = |key: &str| {
            index.find(
                key,
                |at| keys[at] == Some(key),
                |at| keys[at].cmp(&Some(key)),
            )
        };
        assert_eq!(find("a"), Some(3));
        assert_eq!(find("b"), Some(2));
        assert_eq!(find(""), None);
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(find(&Index::default(), &[], "a"), None);
        assert_eq!(find(&index(&[]), &[], "a"), None);
    }

    /// Keys whose look-ups all start at the same slot of an index of them.
    fn colliding(count: usize) -> Vec<String> {
        let slots = count.saturating_mul(2).next_power_of_two();
        let mask = u64::try_from(slots).unwrap() - 1;
        let slot = |key: &str| FxBuildHasher.hash_one(key) & mask;
        let keys = (0..).map(|n| format!("flag-{n}"));
        keys.filter(|key| slot(key) == 7).take(count).collect()
    }

    #[test]
    fn keys_made_to_collide_are_found_with_few_comparisons() {
        let all = colliding(600);
        let keys: Vec<_> = all.iter().map(String::as_str).collect();
        let (held, missing) = keys.split_at(500);
        let index = index(held);
        let compared = |key: &str| {
            let count = Cell::new(0);
            let found = index.find(
                key,
                |at| {
                    count.set(count.get() + 1);
                    held[at] == key
                },
                |at| {
                    count.set(count.get() + 1);
                    held[at].cmp(key)
                },
            );
            (found, count.get())
        };
        for (position, key) in held.iter().enumerate() {
            let (found, comparisons) = compared(key);
            assert_eq!(found, Some(position));
            assert!(comparisons <= MOST_PROBES + 9, "{comparisons}");
        }
        for key in missing {
            let (found, comparisons) = compared(key);
            assert_eq!(found, None);
            assert!(comparisons <= MOST_PROBES + 9, "{comparisons}");
        }
        assert!(index.crowded.len() > 400, "they do collide");
    }

    #[test]
    fn of_equal_keys_that_collide_with_others_the_last_counts() {
        let all = colliding(100);
        let mut keys: Vec<_> = all.iter().map(String::as_str).collect();
        let (first, last) = (keys[3], keys[99]);
        keys.extend([last, first, last]);
        let index = index(&keys);
        assert_eq!(find(&index, &keys, first), Some(101));
        assert_eq!(find(&index, &keys, last), Some(102));
    }
}
