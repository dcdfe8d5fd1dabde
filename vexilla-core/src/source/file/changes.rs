//! When a file that is looked at now and then has changed since it was fetched.
//!
//! A pure state machine: it is told what was seen when, and says what is to be
//! done. A change counts once the file has been as it is for the debounce, so
//! that a file is not read while it is being written; but at the latest
//! [`CAP`] times the debounce after it was first seen to have changed, so that
//! a file that is written all the time is read as well. That it is gone counts
//! by the first rule only.

use std::time::Duration;

use tokio::time::Instant;

use super::stamp::{GRAIN, Look, Stamp};

/// How many times the debounce a change waits at most.
const CAP: u32 = 10;

/// What is known of a file's changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    fetched: Option<Fetched>,
    /// The stamp seen last, and since when.
    seen: Option<(Stamp, Instant)>,
    /// Since when the file has not been what was fetched.
    changed: Option<Instant>,
}

#[derive(Debug)]
struct Fetched {
    stamp: Stamp,
    /// Whether the stamp stands for what was read. It may not where the file
    /// had changed just before.
    certain: bool,
}

/// What is to be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is as it was fetched.
    Unchanged,
    /// Look again after this time: it may have changed.
    LookAgain(Duration),
    /// Fetch it.
    Changed,
}

impl Changes {
    /// The file was fetched, well or badly, and looked like this before it was
    /// read.
    pub(super) fn fetched(&mut self, look: Look) {
        let since = self.see(look);
        let old = look.at.saturating_duration_since(since) >= GRAIN;
        self.fetched = Some(Fetched {
            stamp: look.stamp,
            certain: old || !look.fresh,
        });
        self.changed = None;
    }

    /// The file looks like this.
    pub(super) fn seen(&mut self, look: Look, debounce: Duration) -> Verdict {
        let since = self.see(look);
        let (quiet, most) = match &self.fetched {
            Some(fetched) if fetched.stamp == look.stamp => {
                if fetched.certain {
                    self.changed = None;
                    return Verdict::Unchanged;
                }
                (debounce.max(GRAIN), Duration::MAX)
            }
            _ if look.stamp == Stamp::Missing => (debounce, Duration::MAX),
            _ => (debounce, debounce.saturating_mul(CAP)),
        };
        let changed = *self.changed.get_or_insert(look.at);
        let left =
            |most: Duration, since| most.saturating_sub(look.at.saturating_duration_since(since));
        match left(quiet, since).min(left(most, changed)) {
            Duration::ZERO => Verdict::Changed,
            wait => Verdict::LookAgain(wait),
        }
    }

    /// Since when the file has looked like this.
    fn see(&mut self, look: Look) -> Instant {
        match self.seen {
            Some((stamp, since)) if stamp == look.stamp => since,
            _ => {
                self.seen = Some((look.stamp, look.at));
                look.at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Verdict::{Changed, LookAgain, Unchanged};
    use super::*;

    const DEBOUNCE: Duration = Duration::from_millis(100);

    /// Changes under a clock of our own; stamps are lengths, 0 stands for a
    /// file that is missing.
    struct Clocked {
        changes: Changes,
        start: Instant,
    }

    impl Clocked {
        /// A file fetched at 0 ms.
        fn fetched(stamp: u64) -> Self {
            let mut clocked = Self {
                changes: Changes::default(),
                start: Instant::now(),
            };
            clocked.fetch(0, stamp);
            clocked
        }

        fn look(&self, at: u64, stamp: u64) -> Look {
            Look {
                stamp: match stamp {
                    0 => Stamp::Missing,
                    length => Stamp::of_length(length),
                },
                at: self.start + Duration::from_millis(at),
                fresh: false,
            }
        }

        fn fetch(&mut self, at: u64, stamp: u64) {
            self.changes.fetched(self.look(at, stamp));
        }

        fn fetch_fresh(&mut self, at: u64, stamp: u64) {
            let look = self.look(at, stamp);
            self.changes.fetched(Look {
                fresh: true,
                ..look
            });
        }

        fn see(&mut self, at: u64, stamp: u64) -> Verdict {
            self.changes.seen(self.look(at, stamp), DEBOUNCE)
        }
    }

    fn in_ms(wait: u64) -> Verdict {
        LookAgain(Duration::from_millis(wait))
    }

    #[test]
    fn a_file_as_fetched_has_not_changed() {
        for stamp in [0, 1] {
            let mut file = Clocked::fetched(stamp);
            for at in [0, 1, 100, 5_000] {
                assert_eq!(file.see(at, stamp), Unchanged);
            }
        }
    }

    #[test]
    fn a_change_counts_once_it_has_stayed_for_the_debounce() {
        let mut file = Clocked::fetched(1);
        assert_eq!(file.see(1_000, 2), in_ms(100));
        assert_eq!(file.see(1_040, 2), in_ms(60));
        assert_eq!(file.see(1_090, 3), in_ms(100));
        assert_eq!(file.see(1_189, 3), in_ms(1));
        assert_eq!(file.see(1_190, 3), Changed);
        // Until it is fetched, whoever asks again is told again.
        assert_eq!(file.see(1_191, 3), Changed);
        file.fetch(1_200, 3);
        assert_eq!(file.see(1_201, 3), Unchanged);
    }

    #[test]
    fn a_file_that_changes_all_the_time_counts_after_ten_debounces() {
        let mut file = Clocked::fetched(1);
        let waits = (0..20).map(|n| file.see(1_000 + n * 50, 2 + n));
        assert!(waits.into_iter().all(|verdict| verdict != Changed));
        assert_eq!(file.see(1_980, 30), in_ms(20));
        assert_eq!(file.see(2_000, 31), Changed);
        file.fetch(2_000, 31);
        assert_eq!(file.see(2_050, 32), in_ms(100), "from the start");
    }

    #[test]
    fn a_file_that_is_gone_counts_if_it_stays_away() {
        let mut file = Clocked::fetched(1);
        assert_eq!(file.see(10, 0), in_ms(100));
        assert_eq!(file.see(60, 1), Unchanged, "back in time");
        assert_eq!(file.see(70, 0), in_ms(100));
        assert_eq!(file.see(170, 0), Changed);
        file.fetch(180, 0);
        assert_eq!(file.see(5_000, 0), Unchanged);
        assert_eq!(file.see(6_000, 1), in_ms(100), "back, too late");
        assert_eq!(file.see(6_100, 1), Changed);
    }

    #[test]
    fn a_file_that_comes_and_goes_is_read_when_it_is_there() {
        let mut file = Clocked::fetched(1);
        for n in 0..16 {
            assert_ne!(file.see(60 * n, 2 * (n % 2)), Changed);
        }
        assert_eq!(file.see(1_010, 0), in_ms(100));
        assert_eq!(file.see(1_020, 2), Changed);
    }

    #[test]
    fn a_change_that_is_taken_back_is_none() {
        let mut file = Clocked::fetched(1);
        assert_eq!(file.see(10, 2), in_ms(100));
        assert_eq!(file.see(110, 1), Unchanged);
        assert_eq!(file.see(5_000, 2), in_ms(100), "from the start");
    }

    #[test]
    fn a_file_never_fetched_counts_as_changed() {
        let mut file = Clocked {
            changes: Changes::default(),
            start: Instant::now(),
        };
        assert_eq!(file.see(0, 1), in_ms(100));
        assert_eq!(file.see(100, 1), Changed);
    }

    #[test]
    fn a_file_fetched_right_after_a_change_is_fetched_once_more() {
        let mut file = Clocked::fetched(1);
        file.fetch_fresh(1_000, 2);
        assert_eq!(file.see(1_001, 2), in_ms(99));
        assert_eq!(file.see(1_100, 2), Changed);
        // However new it says that it is: a clock may be ahead.
        file.fetch_fresh(1_101, 2);
        assert_eq!(file.see(1_102, 2), Unchanged);
    }

    #[test]
    fn without_a_debounce_a_change_counts_at_once_and_never_in_a_busy_loop() {
        let mut file = Clocked::fetched(1);
        let verdict = |file: &mut Clocked, at, stamp| {
            let look = file.look(at, stamp);
            file.changes.seen(look, Duration::ZERO)
        };
        assert_eq!(verdict(&mut file, 10, 2), Changed);
        file.fetch_fresh(10, 2);
        assert_eq!(verdict(&mut file, 10, 2), in_ms(50));
        assert_eq!(verdict(&mut file, 60, 2), Changed);
        file.fetch_fresh(60, 2);
        assert_eq!(verdict(&mut file, 60, 2), Unchanged);
    }

    #[test]
    fn a_debounce_without_end_waits_without_end() {
        let mut file = Clocked::fetched(1);
        let look = file.look(10, 2);
        let verdict = file.changes.seen(look, Duration::MAX);
        assert_eq!(verdict, LookAgain(Duration::MAX));
    }

    proptest! {
        /// Whoever does as told has, in the end, fetched what is there, after
        /// few looks and fetches, and is then told to rest.
        #[test]
        fn whoever_does_as_told_ends_with_the_last_state(
            edits in prop::collection::vec((0..400_u64, 0..4_u64), 0..40),
            fresh: bool,
        ) {
            let mut file = Clocked::fetched(1);
            let (mut stamp, mut fetched) = (1, 1);
            let (mut now, mut edit) = (0, 0);
            let (mut looks, mut fetches) = (0, 0);
            // After the last edit there is time to come to rest.
            for (gap, next) in edits.iter().copied().chain([(20_000, 9)]) {
                edit += gap;
                while now < edit {
                    looks += 1;
                    match file.see(now, stamp) {
                        // Until the edit, of which the system tells.
                        Unchanged => {
                            prop_assert_eq!(stamp, fetched);
                            now = edit;
                        }
                        LookAgain(wait) => {
                            prop_assert!(wait <= DEBOUNCE && wait > Duration::ZERO);
                            now += u64::try_from(wait.as_millis()).unwrap();
                        }
                        Changed => {
                            fetches += 1;
                            fetched = stamp;
                            if fresh {
                                file.fetch_fresh(now, stamp);
                            } else {
                                file.fetch(now, stamp);
                            }
                        }
                    }
                }
                if gap == 20_000 {
                    prop_assert_eq!(stamp, fetched);
                }
                stamp = next;
            }
            let most = edits.len() + 1;
            prop_assert!(looks <= 6 * most, "{looks} looks");
            prop_assert!(fetches <= 2 * most, "{fetches} fetches");
        }
    }
}
