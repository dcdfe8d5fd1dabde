//! Finds a flag by its key.
//!
//! An open table, at most half full, probed slot by slot. A slot holds a part
//! of the key's hash and the position of the flag, so that nearly every look-up
//! touches one slot and compares one key: the flag's own, which is not stored
//! again.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use rustc_hash::FxBuildHasher;

/// Positions of flags, by key.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    /// As many as a power of two, at least twice as many as keys; or none.
    slots: Box<[Option<Slot>]>,
}

#[derive(Debug, Clone, Copy)]
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

impl KeyIndex {
    /// Indexes keys by their position. Empty ones are left out; of several that
    /// are equal, the last counts.
    pub(super) fn new(keys: &[&str]) -> Self {
        let count = match keys.len() {
            0 => 0,
            keys => keys.saturating_mul(2).next_power_of_two(),
        };
        let mut index = Self {
            slots: vec![None; count].into(),
        };
        for (key, position) in keys.iter().zip(1_u32..) {
            if let (false, Some(position)) = (key.is_empty(), NonZeroU32::new(position)) {
                index.insert(key, position, keys);
            }
        }
        index
    }

    fn insert(&mut self, key: &str, position: NonZeroU32, keys: &[&str]) {
        let Some((mut at, tag)) = self.start(key) else {
            return;
        };
        let mask = self.slots.len() - 1;
        while let Some(held) = self.slots.get_mut(at) {
            if held.is_none_or(|held| keys.get(held.position()) == Some(&key)) {
                *held = Some(Slot { tag, position });
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// The position of a key. `is_at` says whether the key of a position is the one
    /// that is looked up.
    #[inline(always)]
    pub(super) fn find(&self, key: &str, is_at: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut at, tag) = self.start(key)?;
        let mask = self.slots.len() - 1;
        while let Some(Some(slot)) = self.slots.get(at) {
            if slot.tag == tag && is_at(slot.position()) {
                return Some(slot.position());
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The slot at which to start, and the tag; `None` if there are no slots.
    #[inline]
    fn start(&self, key: &str) -> Option<(usize, u32)> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = FxBuildHasher.hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "parts of the hash")]
        Some((hash as usize & mask, (hash >> 32) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(index: &KeyIndex, keys: &[&str], key: &str) -> Option<usize> {
        index.find(key, |position| keys[position] == key)
    }

    #[test]
    fn each_key_is_found_and_no_other() {
        let keys: Vec<_> = (0..1000).map(|n| format!("key-{n}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let index = KeyIndex::new(&keys);
        for (position, key) in keys.iter().enumerate() {
            assert_eq!(find(&index, &keys, key), Some(position));
        }
        for missing in ["", "key-1000", "key", "KEY-1"] {
            assert_eq!(find(&index, &keys, missing), None, "{missing}");
        }
    }

    #[test]
    fn a_key_of_the_same_hash_is_another() {
        let index = KeyIndex::new(&["a"]);
        assert_eq!(index.find("a", |_| true), Some(0));
        assert_eq!(index.find("a", |_| false), None);
    }

    #[test]
    fn of_equal_keys_the_last_counts_and_empty_ones_are_none() {
        let keys = ["a", "", "b", "a", ""];
        let index = KeyIndex::new(&keys);
        assert_eq!(find(&index, &keys, "a"), Some(3));
        assert_eq!(find(&index, &keys, "b"), Some(2));
        assert_eq!(find(&index, &keys, ""), None);
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(find(&KeyIndex::default(), &[], "a"), None);
        assert_eq!(find(&KeyIndex::new(&[]), &[], "a"), None);
    }
}
