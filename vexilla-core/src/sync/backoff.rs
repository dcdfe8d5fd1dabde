//! When the source may be asked again: one back-off for everything that can go
//! wrong.
//!
//! A state machine and nothing else: it has no clock, no lock and no randomness
//! of its own. The caller says when an attempt (a check of the source) begins
//! and how it ended, and gets the time before which the next one must not
//! begin. That time depends on how the last attempt ended and on who asks:
//!
//! | The last attempt | poll or full refresh | notification | a caller who waits |
//! |---|---|---|---|
//! | succeeded | not limited | 50 ms after its end | 50 ms after its end |
//! | failed, and the next may well succeed | a short delay (below) after its beginning, which grows at each failure in a row up to the poll interval | the same | the same, at most about 1 s after its end |
//! | failed otherwise (no set of flags, too large) | a poll interval | the same | as above |
//! | was refused (401, 403, 404, 501, …) | the slow retry interval | as a caller who waits | as above |
//! | failed with `Retry-After` | not before that time is over | the same | as above |
//!
//! - The first delay is a twentieth of the poll interval, at least 25 ms and at
//!   most 250 ms.
//! - Delays count from the beginning of the failed attempt, so that one that ran
//!   into its time limit is not followed by a whole delay. At least the
//!   first delay lies between its end and the next beginning.
//! - While delays grow, a random part of them, half to the whole, is waited for;
//!   at the poll interval it is 90 % to 110 %, as between polls. So a fleet that
//!   lost the same server does not come back in step.
//! - A success ends it all. A check that read the latest snapshot ID and then
//!   failed to download the flags starts the delays anew, once until the next
//!   success: where requests fail at random, that is half the way.
//!
//! Closed, open and half-open are what it [reports](Backoff::state), for those
//! who know circuit breakers: after three failures in a row it is open, and
//! half-open while an attempt is under way. They limit nothing by themselves, so
//! no state can stick: open ends with the next attempt, however long that
//! takes, and an attempt that is never reported delays nothing.
//!
//! Time may stand still or jump back: a time before the one at which the attempt
//! began counts as that one.

use std::fmt;
use std::time::{Duration, Instant};

use super::jitter::jittered;

#[cfg(test)]
mod tests;

/// The delay after the first failure is the poll interval divided by this…
const FIRST_DELAY_PART: u32 = 20;
/// …but at least and at most so long. Short intervals need short delays to stay
/// live while requests fail at random; long ones do not, and spare the source.
const FIRST_DELAY: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));
/// The distance between an attempt and the next for a notification or a caller,
/// after a success.
const DISTANCE: Duration = Duration::from_millis(50);
/// The same for a source that says itself that it changed.
const DISTANCE_CHANGED: Duration = Duration::from_millis(5);
/// The longest that a caller waits for the next attempt to begin, give or take
/// 10 %.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So many failures in a row are reported as an open breaker.
const OPEN_AFTER: u32 = 3;

/// The settings of a [`Backoff`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Delays grow up to this.
    pub(super) poll_interval: Duration,
    /// The delay after a refusal, if it is longer than the poll interval.
    pub(super) slow_retry: Duration,
    /// The longest pause that a server may ask for.
    pub(super) retry_after: Duration,
}

/// Who wants an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// A poll, or a full refresh, is due.
    Schedule,
    /// Somebody said that something changed.
    Notification,
    /// The source itself said so.
    SourceChanged,
    /// Somebody waits for the outcome.
    Caller,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The source gave what was wanted.
    Succeeded,
    /// The source is there and says no; see
    /// [`SourceError::is_refusal`](crate::SourceError::is_refusal).
    Refused,
    /// It failed, and the next may well succeed; see
    /// [`SourceError::is_transient`](crate::SourceError::is_transient).
    Failed,
    /// The same, after a first request had succeeded.
    FailedHalfway,
    /// It failed, and will do so again for a while.
    FailedLastingly,
}

/// Whether the source is asked as usual.
///
/// Reported by the back-off in the terms of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Fewer than three checks in a row failed.
    Closed,
    /// Three or more failed; the next one waits for its time, at most a poll
    /// interval and 10 %, or the slow retry interval after a refusal, or what the
    /// source asked for.
    Open,
    /// Three or more failed, and a check is under way.
    HalfOpen,
}

impl BreakerState {
    /// The state's name: `closed`, `open` or `half-open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts failures, and says when the next attempt may begin.
#[derive(Debug)]
pub(super) struct Backoff {
    limits: Limits,
    /// Attempts in a row that did not succeed.
    failed: u32,
    /// The same for the delays, which are started anew half-way.
    failures: u32,
    /// An attempt got halfway since the last success.
    halfway: bool,
    /// When the attempt under way began.
    began: Option<Instant>,
    next: Next,
}

/// The earliest times for the next attempt.
#[derive(Debug, Clone, Copy)]
struct Next {
    schedule: Instant,
    notification: Instant,
    source_changed: Instant,
    caller: Instant,
}

impl Next {
    fn all(at: Instant) -> Self {
        Self {
            schedule: at,
            notification: at,
            source_changed: at,
            caller: at,
        }
    }
}

impl Backoff {
    /// A back-off before the first attempt, which may begin now.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            failed: 0,
            failures: 0,
            halfway: false,
            began: None,
            next: Next::all(now),
        }
    }

    /// The earliest time at which the next attempt may begin.
    pub(super) fn earliest(&self, demand: Demand) -> Instant {
        match demand {
            Demand::Schedule => self.next.schedule,
            Demand::Notification => self.next.notification,
            Demand::SourceChanged => self.next.source_changed,
            Demand::Caller => self.next.caller,
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// The attempt ended. `retry_after` is the pause that the source asked for;
    /// `random`, in [0, 1), decides about the delays.
    pub(super) fn end(
        &mut self,
        ended: Ended,
        retry_after: Option<Duration>,
        now: Instant,
        random: f64,
    ) {
        let began = self.began.take().unwrap_or(now).min(now);
        if ended == Ended::Succeeded {
            (self.failed, self.failures, self.halfway) = (0, 0, false);
            let soon = after(now, DISTANCE);
            self.next = Next {
                schedule: now,
                notification: soon,
                source_changed: after(now, DISTANCE_CHANGED),
                caller: soon,
            };
            return;
        }
        self.failed = self.failed.saturating_add(1);
        if ended == Ended::FailedHalfway && !self.halfway {
            (self.failures, self.halfway) = (0, true);
        }
        self.failures = self.failures.saturating_add(1);
        let Limits {
            poll_interval,
            slow_retry,
            retry_after: longest_pause,
        } = self.limits;
        let steady = |delay| jittered(delay, 0.9, 1.1, random);
        let delay = match ended {
            Ended::Refused => steady(slow_retry.max(poll_interval)),
            Ended::FailedLastingly => steady(poll_interval),
            Ended::Succeeded | Ended::Failed | Ended::FailedHalfway => {
                self.grown(poll_interval, random)
            }
        };
        let rest = jittered(self.first_delay(), 0.5, 1.0, random);
        let scheduled = after(began, delay).max(after(now, rest));
        let caller = after(now, self.grown(LONGEST_WAIT, random)).min(scheduled);
        let notification = match ended {
            // The source is well, and may have been set up anew.
            Ended::Refused => caller,
            _ => scheduled,
        };
        // All who are told to pause are told the same.
        let pause = retry_after.unwrap_or_default().min(longest_pause);
        let paused_until = after(now, jittered(pause, 1.0, 1.2, random));
        self.next = Next {
            schedule: scheduled.max(paused_until),
            notification: notification.max(paused_until),
            source_changed: caller,
            caller,
        };
    }

    /// The state as a circuit breaker would report it.
    pub(super) fn state(&self) -> BreakerState {
        match self.began {
            _ if self.failed < OPEN_AFTER => BreakerState::Closed,
            Some(_) => BreakerState::HalfOpen,
            None => BreakerState::Open,
        }
    }

    /// The longest delay after the first failure.
    fn first_delay(&self) -> Duration {
        let (least, most) = FIRST_DELAY;
        let interval = self.limits.poll_interval;
        (interval / FIRST_DELAY_PART)
            .clamp(least, most)
            .min(interval)
    }

    /// A delay that grows at each failure up to the longest: by half below a
    /// second, so that short poll intervals see several attempts before flags are
    /// stale, and to twice as much from there on.
    fn grown(&self, longest: Duration, random: f64) -> Duration {
        let mut delay = self.first_delay();
        for _ in 1..self.failures {
            if delay >= longest {
                break;
            }
            delay = match delay < Duration::from_secs(1) {
                true => delay / 2 * 3,
                false => delay.saturating_mul(2),
            };
        }
        if delay < longest {
            jittered(delay, 0.5, 1.0, random)
        } else {
            jittered(longest, 0.9, 1.1, random)
        }
    }
}

/// A moment later; a year from it if it is later than that.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now + wait.min(FAR)
}
