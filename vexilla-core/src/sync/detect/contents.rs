//! Which flags an answer carries, and how two answers compare.

use std::cmp::Ordering;

/// A loss of more than a tenth of the flags is large.
const LARGE: usize = 10;

/// The flags of an export, before the filter: each flag's ID with its
/// `SnapshotID`, sorted by ID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Contents(Vec<(u64, u64)>);

/// How an answer differs from the flags that are loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// The flags that are loaded and that the answer lacks: ID and `SnapshotID`,
    /// sorted by ID.
    pub(super) missing: Vec<(u64, u64)>,
    /// The flags that only the answer has: ID and `SnapshotID`, sorted by ID.
    pub(super) added: Vec<(u64, u64)>,
    /// A flag has a smaller `SnapshotID` in the answer.
    pub(super) goes_back: bool,
    /// A flag has a greater `SnapshotID` in the answer.
    pub(super) goes_forward: bool,
}

impl Contents {
    /// Contents of flags, by ID and `SnapshotID`.
    pub(crate) fn new(flags: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut flags: Vec<_> = flags.into_iter().collect();
        flags.sort_unstable();
        // A flags file may repeat an ID; the greatest `SnapshotID` counts.
        flags.reverse();
        flags.dedup_by_key(|(id, _)| *id);
        flags.reverse();
        Self(flags)
    }

    /// The greatest `SnapshotID`; 0 without flags.
    pub(super) fn version(&self) -> u64 {
        self.snapshot_ids().max().unwrap_or(0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a flag with this ID.
    pub(super) fn has(&self, id: u64) -> bool {
        self.0.binary_search_by_key(&id, |flag| flag.0).is_ok()
    }

    /// Whether there is this flag, with this `SnapshotID`.
    pub(super) fn holds(&self, flag: (u64, u64)) -> bool {
        self.0.binary_search(&flag).is_ok()
    }

    pub(super) fn snapshot_ids(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(_, snapshot_id)| *snapshot_id)
    }

    /// Whether an answer lacks more than a tenth of these flags.
    pub(super) fn loses_many(&self, answer: &Self) -> bool {
        let lost = self.difference(answer).missing.len();
        lost.saturating_mul(LARGE) > self.len()
    }

    /// The flags with a greater `SnapshotID`.
    pub(super) fn above(&self, snapshot_id: u64) -> impl Iterator<Item = (u64, u64)> {
        let flags = self.0.iter().copied();
        flags.filter(move |(_, id)| *id > snapshot_id)
    }

    /// The same flags, those of `outdated` without their `SnapshotID`.
    pub(super) fn forget(&self, outdated: &Self) -> Self {
        if outdated.is_empty() {
            return self.clone();
        }
        let forget = |flag: &(u64, u64)| match outdated.0.binary_search(flag) {
            Ok(_) => (flag.0, 0),
            Err(_) => *flag,
        };
        Self(self.0.iter().map(forget).collect())
    }

    /// Keeps the flags that `forgotten` has without a `SnapshotID`.
    pub(super) fn keep_forgotten(&mut self, forgotten: &Self) {
        let is_there = |(id, _): &(u64, u64)| forgotten.0.binary_search(&(*id, 0)).is_ok();
        self.0.retain(is_there);
    }

    /// Adds flags.
    pub(super) fn extend(&mut self, flags: impl Iterator<Item = (u64, u64)>) {
        self.0.extend(flags);
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// How `answer` differs from these flags.
    pub(super) fn difference(&self, answer: &Self) -> Difference {
        let mut difference = Difference::default();
        let (mut loaded, mut answered) = (self.0.iter().peekable(), answer.0.iter().peekable());
        loop {
            let order = match (loaded.peek(), answered.peek()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((loaded, _)), Some((answered, _))) => loaded.cmp(answered),
            };
            match order {
                Ordering::Less => difference.missing.extend(loaded.next()),
                Ordering::Greater => difference.added.extend(answered.next()),
                Ordering::Equal => {
                    let (before, after) = (loaded.next(), answered.next());
                    let order = after.map(|flag| flag.1).cmp(&before.map(|flag| flag.1));
                    difference.goes_back |= order == Ordering::Less;
                    difference.goes_forward |= order == Ordering::Greater;
                }
            }
        }
    }
}

impl Difference {
    /// Whether an answer of this version lacks just flags that are newer than all
    /// it has, as an earlier state does.
    pub(super) fn is_earlier(&self, version: u64) -> bool {
        let oldest = self.missing.iter().map(|(_, id)| *id).min();
        oldest.is_some_and(|oldest| oldest > version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_is_missing_what_is_added_and_what_goes_back() {
        let loaded = Contents::new([(3, 30), (1, 10), (5, 50)]);
        let answer = Contents::new([(5, 50), (2, 20), (3, 29), (9, 90)]);
        let difference = loaded.difference(&answer);
        assert_eq!(difference.missing, [(1, 10)]);
        assert_eq!(difference.added, [(2, 20), (9, 90)]);
        assert!(difference.goes_back && !difference.goes_forward);
        assert_eq!(loaded.difference(&loaded), Difference::default());
        let empty = Contents::default();
        assert_eq!(loaded.difference(&empty).missing.len(), 3);
        assert_eq!(empty.difference(&loaded).added.len(), 3);
        assert_eq!((loaded.version(), empty.version()), (50, 0));
    }

    #[test]
    fn an_id_that_is_repeated_counts_once_with_its_greatest_snapshot_id() {
        let contents = Contents::new([(1, 5), (1, 7), (1, 6)]);
        assert_eq!(contents, Contents::new([(1, 7)]));
    }
}
