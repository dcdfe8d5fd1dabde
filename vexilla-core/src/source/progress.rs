//! How far a fetch is, and how long it may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// No bytes were reported yet.
const UNKNOWN: u64 = u64::MAX;

/// Where a [`Source`](super::Source) reports how much of the flags has arrived.
///
/// Shown by [`Status::download`](crate::Status::download) while the fetch is
/// under way. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FetchProgress(Arc<AtomicU64>);

impl FetchProgress {
    /// So many bytes more have arrived; 0 says that bytes are being counted.
    pub fn received(&self, bytes: u64) {
        // One fetch reports to it, so nothing comes in between.
        let before = self.bytes().unwrap_or(0);
        let sum = before.saturating_add(bytes).min(UNKNOWN - 1);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// How many bytes have arrived; `None` if the source has not reported any.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }
}

impl Default for FetchProgress {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(UNKNOWN)))
    }
}

/// How long the answers of a [`Source`](super::Source) may take.
///
/// # Default
///
/// 5 s for the latest snapshot ID, 60 s for the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceTimeouts {
    /// The limit of [`Source::latest`](super::Source::latest).
    pub latest: Duration,
    /// The limit of [`Source::fetch`](super::Source::fetch).
    pub fetch: Duration,
}

impl SourceTimeouts {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: Duration::from_secs(5),
            fetch: Duration::from_secs(60),
        }
    }

    /// Sets how long [`Source::latest`](super::Source::latest) may take.
    /// Default: 5 s.
    #[must_use]
    pub const fn latest(mut self, limit: Duration) -> Self {
        self.latest = limit;
        self
    }

    /// Sets how long [`Source::fetch`](super::Source::fetch) may take.
    /// Default: 60 s.
    #[must_use]
    pub const fn fetch(mut self, limit: Duration) -> Self {
        self.fetch = limit;
        self
    }
}

impl Default for SourceTimeouts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_add_up_and_are_unknown_before_the_first_report() {
        let progress = FetchProgress::default();
        assert_eq!(progress.bytes(), None);
        progress.received(0);
        assert_eq!(progress.bytes(), Some(0));
        progress.received(7);
        let same = progress.clone();
        same.received(5);
        assert_eq!(progress.bytes(), Some(12));
        progress.received(u64::MAX);
        assert_eq!(progress.bytes(), Some(u64::MAX - 1));
    }
}
