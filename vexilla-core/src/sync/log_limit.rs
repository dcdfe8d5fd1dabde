//! Which failures are logged: one of a kind in a while.

use std::time::Duration;

use tokio::time::Instant;

/// How long a failure that comes back is not logged again.
pub(super) const LOG_AGAIN: Duration = Duration::from_secs(60);

/// When failures were last logged, by kind.
#[derive(Debug)]
pub(super) struct LogLimit<K>(Vec<(K, Instant)>);

impl<K> Default for LogLimit<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> LogLimit<K> {
    /// Whether one of this kind is to be logged now: none was within
    /// [`LOG_AGAIN`].
    pub(super) fn allows(&mut self, kind: K) -> bool {
        let now = Instant::now();
        self.0.retain(|(_, at)| now.duration_since(*at) < LOG_AGAIN);
        if self.0.iter().any(|(known, _)| *known == kind) {
            return false;
        }
        self.0.push((kind, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_allowed_once_a_minute() {
        let mut limit = LogLimit::default();
        for round in 0..3 {
            for second in 0..60 {
                let allowed = (limit.allows("status"), limit.allows("timeout"));
                let first = second == 0;
                assert_eq!(allowed, (first, first), "{round} {second}");
                advance(Duration::from_secs(1)).await;
            }
        }
    }
}
