//! Where a flag was found, remembered for the same snapshot.
//!
//! Every snapshot of the process has a number of its own. A hint holds the
//! number of the snapshot that was searched last and what was found there, in
//! one atomic word, so that it cannot be torn: for that snapshot it is the
//! answer, for any other it says nothing. Threads that read different snapshots
//! overwrite each other's hints, which costs them time and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

const POSITION_BITS: u32 = 24;
/// In place of a position: there is no such flag.
const ABSENT: u64 = (1 << POSITION_BITS) - 1;

/// The number of a snapshot, above the bits of a position; 0 for none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SnapshotNumber(u64);

impl SnapshotNumber {
    /// A number that no other snapshot has, or none: when they are used up,
    /// after 2^40 snapshots, and for snapshots of more flags than a hint can
    /// tell apart.
    pub(super) fn next(flags: usize) -> Self {
        static USED: AtomicU64 = AtomicU64::new(0);
        let number = USED.fetch_add(1, Ordering::Relaxed) + 1;
        let is_small = u64::try_from(flags).is_ok_and(|flags| flags < ABSENT);
        match number < 1 << (u64::BITS - POSITION_BITS) && is_small {
            true => Self(number << POSITION_BITS),
            false => Self::default(),
        }
    }
}

/// Where a flag was found last.
#[derive(Debug)]
pub(crate) struct PositionHint(AtomicU64);

impl PositionHint {
    pub(crate) const fn unknown() -> Self {
        Self(AtomicU64::new(0))
    }

    /// What was found in the snapshot of this number, else what `search` finds
    /// there.
    #[inline]
    pub(super) fn or_search(
        &self,
        number: SnapshotNumber,
        search: impl FnOnce() -> Option<usize>,
    ) -> Option<usize> {
        let hint = self.0.load(Ordering::Relaxed);
        let found = if hint & !ABSENT == number.0 && number.0 != 0 {
            hint & ABSENT
        } else {
            let found = search().and_then(|position| u64::try_from(position).ok());
            let found = found.unwrap_or(ABSENT);
            self.0.store(number.0 | found, Ordering::Relaxed);
            found
        };
        usize::try_from(found).ok().filter(|_| found != ABSENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_holds_for_its_own_snapshot_alone() {
        let (one, other) = (SnapshotNumber::next(9), SnapshotNumber::next(9));
        let hint = PositionHint::unknown();
        assert_eq!(hint.or_search(one, || Some(7)), Some(7));
        assert_eq!(hint.or_search(one, || panic!("it is known")), Some(7));
        assert_eq!(hint.or_search(other, || None), None);
        assert_eq!(hint.or_search(other, || panic!("it is known")), None);
        assert_eq!(hint.or_search(one, || Some(0)), Some(0));
        assert_eq!(hint.or_search(one, || panic!("it is known")), Some(0));
    }

    #[test]
    fn a_snapshot_without_a_number_is_always_searched() {
        let hint = PositionHint::unknown();
        let none = SnapshotNumber::default();
        assert_eq!(hint.or_search(none, || Some(7)), Some(7));
        assert_eq!(hint.or_search(none, || None), None);
        let large = SnapshotNumber::next(1 << POSITION_BITS);
        assert_eq!(
            hint.or_search(large, || Some(usize::MAX >> 41)),
            Some(usize::MAX >> 41)
        );
    }
}
