//! Whether an answer that lacks flags is believed.
//!
//! In Flagr 1.2 and later every change through its API, a deletion included,
//! takes a snapshot ID of its own (`pkg/handler/crud.go`). So a real deletion of
//! n flags raises the latest snapshot ID by at least n. That is necessary, not
//! sufficient: IDs may skip.
//!
//! The loss is counted since the last ID that the loaded flags were confirmed
//! for, because many deletions reach the export in several steps. It is
//! *explained* if enough IDs since then belong to no flag that was seen: each
//! deletion needs one. Everything else is *suspicious* and kept aside:
//!
//! | The answer lacks flags, and | It is |
//! |---|---|
//! | the latest snapshot ID explains the loss | loaded |
//! | it has no flags at all | suspicious |
//! | the loaded flags are a restored copy, of which more than a tenth is missing | suspicious |
//! | the latest snapshot ID does not explain the loss, fell, or is no longer there | suspicious |
//! | the source has never had a latest snapshot ID, and less than 95 % are missing | loaded |
//! | the same, and 95 % or more are missing | suspicious |
//! | the source is a flags file or code | loaded |
//!
//! A suspicious answer is loaded when answers over the confirmation time agree
//! on which flags are missing, or when an operator accepts it. Deletions of other
//! flags meanwhile, which the IDs since then explain, do not lengthen the time. An
//! answer in which nothing is missing ends the suspicion.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::contents::{Contents, Difference};
use super::streak::Streak;

/// Without snapshot IDs, a loss of 19 of 20 flags is suspicious.
const SHRUNK: usize = 20;

/// Flags, by ID, whose loss may be taken back: their `SnapshotID`, and until when.
pub(super) type Unsure = BTreeMap<u64, (u64, Instant)>;

/// The flags that the loss is counted from.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    contents: Contents,
    /// The snapshot ID that they were confirmed for; where none was, the
    /// greatest in them. 0 if there is none.
    id: u64,
    /// Flags whose loss an ID up to that one explained though the answer may have been
    /// that of a replica that has never had them.
    unsure: Unsure,
    /// A greater ID that was accepted though no export has shown its change, and how
    /// long that change may still be shown.
    unseen: Option<(u64, Instant)>,
}

impl Base {
    pub(super) fn new(contents: Contents, confirmed: Option<u64>) -> Self {
        let id = confirmed.unwrap_or_else(|| contents.version());
        Self {
            contents,
            id,
            unsure: Unsure::new(),
            unseen: None,
        }
    }

    /// The same, and these flags, whose loss may be taken back until then: if they
    /// come back, the IDs of their deletions explain that others are missing.
    pub(super) fn with_unsure(mut self, flags: &Unsure) -> Self {
        self.unsure = flags.clone();
        self
    }

    /// The flags are confirmed for a greater ID, whose change no export has shown. If
    /// it is that of a deletion which is shown until then, it explains that.
    pub(super) fn accept_unseen(&mut self, id: u64, until: Option<Instant>, now: Instant) {
        self.id = self.counted_from(now);
        self.unseen = until.map(|until| (id, until));
    }

    /// Whether an ID was accepted since, though no export has shown its change.
    pub(super) fn has_unseen(&self) -> bool {
        self.unseen.is_some()
    }

    /// Whether a change may still be shown whose ID was accepted.
    pub(super) fn awaits_unseen(&self, now: Instant) -> bool {
        self.unseen.is_some_and(|(_, until)| now < until)
    }

    /// The ID from which on deletions are counted.
    fn counted_from(&self, now: Instant) -> u64 {
        match self.unseen {
            Some((id, until)) if now >= until => self.id.max(id),
            _ => self.id,
        }
    }

    /// How many IDs an answer frees, because flags are back that they had seemed to
    /// delete. One that is back with another `SnapshotID` was deleted and restored.
    fn freed(&self, answer: &Contents, now: Instant) -> u64 {
        let is_back = |(id, (snapshot_id, until)): &(&u64, &(u64, Instant))| {
            now < *until && answer.holds((**id, *snapshot_id))
        };
        u64::try_from(self.unsure.iter().filter(is_back).count()).unwrap_or(0)
    }

    /// Whether the latest snapshot ID can explain by deletions what an answer
    /// lacks of these flags and of the flags that are loaded.
    pub(super) fn explains(
        &self,
        loaded: &Contents,
        answer: &Contents,
        latest: u64,
        now: Instant,
    ) -> bool {
        self.spare_ids(loaded, answer, latest, now).is_some()
    }

    /// How many of the IDs since then belong neither to a flag that was seen nor
    /// to a deletion: those of flags that were edited several times, say. `None` if
    /// there are too few for the deletions.
    pub(super) fn spare_ids(
        &self,
        loaded: &Contents,
        answer: &Contents,
        latest: u64,
        now: Instant,
    ) -> Option<u64> {
        let mut lost = self.contents.difference(answer).missing;
        lost.extend(loaded.difference(answer).missing);
        lost.sort_unstable();
        lost.dedup_by_key(|(id, _)| *id);
        let freed = self.freed(answer, now);
        let from = self.counted_from(now);
        let rise = latest.checked_sub(from)?.checked_add(freed)?;
        // IDs that belong to a flag are not those of a deletion.
        let newer = |id: &u64| *id > from;
        let mut used: Vec<u64> = loaded.snapshot_ids().filter(newer).collect();
        used.extend(answer.snapshot_ids().filter(newer));
        used.sort_unstable();
        used.dedup();
        let needed = u64::try_from(lost.len() + used.len()).unwrap_or(u64::MAX);
        rise.checked_sub(needed)
    }
}

/// Why a loss is not believed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync) enum Cause {
    /// All flags are missing.
    Empty,
    /// More than a tenth of a restored copy is missing.
    Restored,
    /// The latest snapshot ID does not explain the loss.
    Unexplained,
    /// The latest snapshot ID is smaller than before.
    IdFell,
    /// There was a latest snapshot ID, and it is missing now.
    IdMissing,
    /// The source has never had a latest snapshot ID, and nearly all are missing.
    NoIds,
}

/// A suspicious loss: the flags that are missing, each with the answers in a row
/// that lack it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspicion {
    missing: BTreeMap<u64, Streak>,
    cause: Cause,
    /// The latest snapshot ID when the loss was first seen.
    latest: Option<u64>,
}

impl Suspicion {
    /// An answer lacks flags; `known` is the suspicion before it. The answer
    /// confirms at most so much of the time before it.
    pub(super) fn of(
        known: Option<Self>,
        evidence: &Evidence<'_>,
        most: Duration,
        now: Instant,
    ) -> Self {
        let before_cause = known.as_ref().map(|known| known.cause);
        let (before, latest) = match known {
            Some(known) => (known.missing, known.latest),
            None => (BTreeMap::new(), evidence.latest),
        };
        let cause = evidence.cause().or(before_cause);
        let missing = evidence.difference.missing.iter().map(|(id, _)| {
            let mut streak = before.get(id).copied().unwrap_or_default();
            streak.count(most, now);
            (*id, streak)
        });
        Self {
            missing: missing.collect(),
            cause: cause.unwrap_or(Cause::Unexplained),
            latest,
        }
    }

    pub(super) fn flags(&self) -> impl Iterator<Item = u64> {
        self.missing.keys().copied()
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
    }

    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Whether each loss was confirmed over so long, or is of a flag that was
    /// deleted since, as far as the latest ID can tell.
    pub(super) fn is_confirmed(&self, evidence: &Evidence<'_>, time: Duration) -> bool {
        let unconfirmed = self
            .missing
            .values()
            .filter(|streak| !streak.confirms(time));
        let unconfirmed = unconfirmed.count();
        unconfirmed == 0
            || (unconfirmed < self.missing.len() && self.explains(unconfirmed, evidence))
    }

    /// Whether the IDs since the loss was first seen explain so many deletions.
    fn explains(&self, deletions: usize, evidence: &Evidence<'_>) -> bool {
        let (Some(first), Some(latest)) = (self.latest, evidence.latest) else {
            return false;
        };
        let newer = evidence.answer.snapshot_ids().filter(|id| *id > first);
        let needed = u64::try_from(deletions + newer.count()).unwrap_or(u64::MAX);
        latest.saturating_sub(first) >= needed
    }

    /// Whether all that is missing here is missing there, too.
    fn covered_by(&self, missing: &[(u64, u64)]) -> bool {
        let there = |id: &u64| missing.binary_search_by_key(id, |flag| flag.0).is_ok();
        self.missing.keys().all(there)
    }
}

/// What is known when an answer lacks flags.
pub(super) struct Evidence<'a> {
    pub(super) base: &'a Base,
    pub(super) loaded: &'a Contents,
    pub(super) answer: &'a Contents,
    pub(super) difference: &'a Difference,
    /// The latest snapshot ID, read after the answer.
    pub(super) latest: Option<u64>,
    /// It is smaller than one that was seen before.
    pub(super) fell: bool,
    /// The source once had a latest snapshot ID.
    pub(super) has_ids: bool,
    /// The loaded flags are those of a restored copy.
    pub(super) restored: bool,
    pub(super) now: Instant,
}

impl Evidence<'_> {
    /// Whether the loss is one that the latest snapshot ID explains, or of a
    /// source without one that is believed as it is.
    pub(super) fn is_explained(&self) -> bool {
        match self.latest {
            Some(latest) => (self.base).explains(self.loaded, self.answer, latest, self.now),
            None if self.has_ids => false,
            None => {
                let lost = self.difference.missing.len().saturating_mul(SHRUNK);
                lost < self.loaded.len().saturating_mul(SHRUNK - 1)
            }
        }
    }

    /// Whether the loss is to be confirmed before it is believed.
    pub(super) fn is_suspicious(&self, suspicion: Option<&Suspicion>) -> bool {
        // IDs from after the loss was first seen do not explain it.
        let known = suspicion.is_some_and(|known| {
            known.latest.is_some() && known.covered_by(&self.difference.missing)
        });
        known || self.cause().is_some()
    }

    /// Why the loss is not believed, if it is not.
    fn cause(&self) -> Option<Cause> {
        if self.answer.is_empty() {
            Some(Cause::Empty)
        } else if self.fell {
            Some(Cause::IdFell)
        } else if self.restored && self.loaded.loses_many(self.answer) {
            Some(Cause::Restored)
        } else if self.is_explained() {
            None
        } else {
            Some(match (self.latest, self.has_ids) {
                (Some(_), _) => Cause::Unexplained,
                (None, true) => Cause::IdMissing,
                (None, false) => Cause::NoIds,
            })
        }
    }
}
