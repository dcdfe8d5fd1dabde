//! Answers of one kind in a row, and how long they last.

use std::time::{Duration, Instant};

/// Answers that must agree at least, however long they take.
const AGREEING: u32 = 3;

/// Answers of one kind in a row.
///
/// Only the time between answers that follow each other counts: while the source
/// does not answer, it confirms nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streak {
    answers: u32,
    lasted: Duration,
    /// When the last answer came, if no check failed since.
    last: Option<Instant>,
}

impl Streak {
    /// One answer more. Answers that are further apart than `most` do not follow
    /// each other.
    pub(super) fn count(&mut self, most: Duration, now: Instant) {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let gap = since.filter(|gap| *gap <= most).unwrap_or_default();
        self.answers = self.answers.saturating_add(1);
        self.lasted = self.lasted.saturating_add(gap);
        self.last = Some(now);
    }

    /// A check failed.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    /// Whether there are enough answers, over so long.
    pub(super) fn confirms(&self, time: Duration) -> bool {
        self.answers >= AGREEING && self.lasted >= time
    }

    /// How long the answers have come.
    pub(super) fn lasted(&self) -> Duration {
        self.lasted
    }
}
