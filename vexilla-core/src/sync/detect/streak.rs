//! Answers of one kind in a row, and how long they last.

use std::time::{Duration, Instant};

/// Answers that must agree at least, however long they take.
const AGREEING: u32 = 3;

/// Answers of one kind in a row.
///
/// An answer confirms the time since the one before it, but no more of it than
/// lies between two checks: while the source does not answer, it confirms
/// nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streak {
    answers: u32,
    lasted: Duration,
    last: Option<Instant>,
}

impl Streak {
    /// One answer more, which confirms at most so much of the time before it.
    pub(super) fn count(&mut self, most: Duration, now: Instant) {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let confirmed = since.unwrap_or_default().min(most);
        self.answers = self.answers.saturating_add(1);
        self.lasted = self.lasted.saturating_add(confirmed);
        self.last = Some(now);
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
