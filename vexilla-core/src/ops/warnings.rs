//! Warnings about what anybody can cause as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two warnings.
const PAUSE: Duration = Duration::from_secs(60);

/// Says when to warn: at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    last: Mutex<Option<Instant>>,
}

impl Warnings {
    /// Whether to warn now, the last warning being a minute ago or more.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_at_most_once_a_minute() {
        let (warnings, start) = (Warnings::default(), Instant::now());
        let seconds = (0..200).filter(|s| warnings.is_due(start + Duration::from_secs(*s)));
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 60, 120, 180]);
    }
}
