//! A circuit breaker: stops calling a server that keeps failing, and finds out
//! with one call at a time when it is back.
//!
//! A state machine and nothing else: it has no clock, no lock and no randomness
//! of its own. The caller says what time it is, and how each call went.
//!
//! - **Closed**: every call may go. So many failures with no success in between
//!   open it.
//! - **Open**: no call may go until its time is over. The time is drawn anew
//!   whenever it opens, so that a fleet does not probe in step, and does not
//!   grow.
//! - **Half-open**: one call at a time may go, a probe. A failure opens it
//!   again, so many successes in a row close it.
//!
//! No state can stick. Open ends by time alone. A probe that is not heard of
//! within the half-open limit no longer keeps others from going; a call that was
//! cancelled, or never reported, counts as neither success nor failure.
//!
//! Reports that come late do no harm. Several calls may be under way while it is
//! closed, and reports may come in any order: a report counts until the state
//! changes or, for a probe, until the next probe goes, and is ignored
//! afterwards. So the answer to a call from before it opened neither closes it
//! nor prolongs the time for which it is open. A probe past its limit is news of
//! the server as long as no other went in its place, and counts: where calls are
//! made one after the other, a server that answers slowly closes it all the
//! same.
//!
//! Time may stand still or jump. A time before the one from which a wait is
//! counted counts as that one.

use std::fmt;
use std::time::{Duration, Instant};

use super::jitter::jittered;

#[cfg(test)]
mod tests;

/// When a breaker opens and closes.
///
/// # Default
///
/// 3 failures open it, for 30 s; a probe may take 10 s, and one that succeeds
/// closes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct BreakerPolicy {
    failures: u32,
    open_for: Duration,
    probe_limit: Duration,
    successes: u32,
}

impl BreakerPolicy {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            failures: 3,
            open_for: Duration::from_secs(30),
            probe_limit: Duration::from_secs(10),
            successes: 1,
        }
    }

    /// How many calls must fail, with no success in between, to open it; a call
    /// with all its retries is one. Zero means 1. Default: 3.
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = at_least_one(failures);
        self
    }

    /// How long it stays open, give or take 20 %, so that a fleet does not probe
    /// in step. [`Duration::MAX`] means for good. Default: 30 s.
    pub const fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// How long a probe keeps others from going, if nothing is heard of it.
    /// Zero lets any number go at once. Default: 10 s.
    pub const fn probe_limit(mut self, limit: Duration) -> Self {
        self.probe_limit = limit;
        self
    }

    /// How many probes in a row must succeed to close it. Zero means 1.
    /// Default: 1.
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = at_least_one(successes);
        self
    }
}

impl BreakerPolicy {
    /// The longest that a probe may take.
    pub(super) const fn limit(&self) -> Duration {
        self.probe_limit
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::new()
    }
}

const fn at_least_one(count: u32) -> u32 {
    if count == 0 { 1 } else { count }
}

/// Whether calls may go to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// They may.
    Closed,
    /// They may not: too many failed.
    Open,
    /// One at a time may, to see whether the server is back.
    HalfOpen,
}

impl BreakerState {
    /// The word for it: `closed`, `open` or `half-open`.
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

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered.
    Success,
    /// It did not, after all retries.
    Failure,
    /// Nobody waited for the answer: neither.
    Cancelled,
}

/// Leave to make one call, to be given back with its outcome. One that is
/// dropped counts as neither success nor failure.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Permit(u64);

/// Counts calls (a call with its retries is one) and says whether the next may
/// go.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    phase: Phase,
    /// The number of the permits whose reports count: each probe begins a new
    /// one, which the calls share that go once it has closed the breaker.
    current: u64,
}

#[derive(Debug)]
enum Phase {
    Closed {
        /// Since the last success.
        failures: u32,
    },
    Open {
        since: Instant,
        time: Duration,
    },
    HalfOpen {
        successes: u32,
        /// When the last probe went, if it was not heard of since.
        probe: Option<Instant>,
    },
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            phase: Phase::Closed { failures: 0 },
            current: 0,
        }
    }

    /// Leave to make a call.
    ///
    /// # Errors
    ///
    /// No call may go before so long; see [`wait`](Self::wait).
    pub(crate) fn try_call(&mut self, now: Instant) -> Result<Permit, Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        if let Phase::Open { .. } = self.phase {
            self.phase = Phase::HalfOpen {
                successes: 0,
                probe: None,
            };
        }
        if let Phase::HalfOpen { probe, .. } = &mut self.phase {
            *probe = Some(now);
            self.current += 1;
        }
        Ok(Permit(self.current))
    }

    /// Counts how a call went. Ignored if the state changed since it began, or
    /// another probe went.
    ///
    /// `random`, in [0, 1), decides how long it is open, if that opens it.
    pub(crate) fn report(
        &mut self,
        Permit(number): Permit,
        outcome: Outcome,
        now: Instant,
        random: f64,
    ) {
        if number != self.current {
            return;
        }
        match &mut self.phase {
            // Of a call from before it opened.
            Phase::Open { .. } => {}
            Phase::Closed { failures } => match outcome {
                Outcome::Success => *failures = 0,
                Outcome::Failure => {
                    *failures += 1;
                    if *failures >= self.policy.failures {
                        self.open(now, random);
                    }
                }
                Outcome::Cancelled => {}
            },
            Phase::HalfOpen { successes, probe } => {
                *probe = None;
                match outcome {
                    Outcome::Success => {
                        *successes += 1;
                        if *successes >= self.policy.successes {
                            self.phase = Phase::Closed { failures: 0 };
                        }
                    }
                    Outcome::Failure => self.open(now, random),
                    Outcome::Cancelled => {}
                }
            }
        }
    }

    /// The state at this time; half-open as soon as a probe may go.
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } if self.wait(now).is_some() => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long until the next call may go, if no report comes before; `None`
    /// when one may go now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let (since, time) = match self.phase {
            Phase::Closed { .. } | Phase::HalfOpen { probe: None, .. } => return None,
            Phase::Open { since, time } => (since, time),
            Phase::HalfOpen {
                probe: Some(since), ..
            } => (since, self.policy.probe_limit),
        };
        // Differences only: a sum may be past the last instant.
        let wait = time.saturating_sub(now.saturating_duration_since(since));
        (!wait.is_zero()).then_some(wait)
    }

    fn open(&mut self, now: Instant, random: f64) {
        self.phase = Phase::Open {
            since: now,
            time: jittered(self.policy.open_for, 0.8, 1.2, random),
        };
    }
}
