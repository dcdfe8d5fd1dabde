//! Answers that disagree on which flags exist.
//!
//! One answer that lacks flags, or has flags again that were deleted, may be a
//! moment's fault. If such answers keep coming between others that agree with
//! the loaded flags, two replicas of the server differ for good, and nothing in
//! their answers says which one is right: the one may be stuck before a
//! deletion, or the other may have lost a flag. Then the loaded flags stay and
//! are stale, and flags go on being fetched.

use std::time::{Duration, Instant};

/// Answers that disagreed with the loaded flags on which flags exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dispute {
    /// When the first came…
    since: Instant,
    /// …and the last.
    last: Instant,
    /// For how many flags it was so, in the last.
    flags: usize,
    /// When the first came that agreed, other than of a replica that lags behind.
    agreed: Option<Instant>,
}

impl Dispute {
    /// An answer disagrees about so many flags.
    pub(super) fn disagreed(known: Option<Self>, flags: usize, now: Instant) -> Self {
        Self {
            since: known.map_or(now, |known| known.since),
            last: now,
            flags,
            agreed: known.and_then(|known| known.agreed),
        }
    }

    /// An answer does not disagree. Those that come before `settling` is over may
    /// be of a replica that lags behind.
    pub(super) fn agreed(&mut self, settling: Duration, now: Instant) {
        if now.saturating_duration_since(self.since) >= settling {
            self.agreed.get_or_insert(now);
        }
    }

    /// Whether answers keep disagreeing: one that agreed came between them.
    pub(super) fn is_lasting(&self) -> bool {
        self.agreed.is_some_and(|agreed| self.last > agreed)
    }

    /// About how many flags answers disagree.
    pub(super) fn flags(&self) -> usize {
        self.flags
    }

    /// How long no answer has disagreed.
    pub(super) fn quiet_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last)
    }
}
