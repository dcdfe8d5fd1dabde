//! When a call that failed is tried again, and when it is over.
//!
//! Only for what may pass; what that is, the caller knows. Delays grow from
//! attempt to attempt and are drawn at random, so that those who failed together
//! do not come back together. Nothing here waits or has randomness of its own.
//!
//! A budget over all calls bounds what retries add to the load of a server that
//! fails for good: to three attempts per call they would bring three times the
//! traffic, the budget makes it 1.2 times.

use std::time::Duration;

use super::jitter::jittered;

#[cfg(test)]
mod tests;

/// How often a call is tried, and after which delays.
///
/// # Default
///
/// 3 attempts, 100 ms before the second and twice as long before each further
/// one, at most 5 s; a server may ask for up to 60 s; retries are at most 20 %
/// of calls, and 3 beside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    factor: u32,
    retry_after_limit: Duration,
    budget_percent: u32,
    budget_floor: u32,
}

impl RetryPolicy {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            attempts: 3,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(5),
            factor: 2,
            retry_after_limit: Duration::from_secs(60),
            budget_percent: 20,
            budget_floor: 3,
        }
    }

    /// How often a call is tried in all. 1 is no retry, and so is zero.
    /// Default: 3.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The delay before the second attempt. As with all delays, between half of
    /// it and the whole is drawn. Default: 100 ms.
    pub const fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The longest delay between two attempts; goes before the first delay, if
    /// that is longer. A server that asks for more (`Retry-After`) ends the
    /// call. Default: 5 s.
    pub const fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// How many times as long each delay is as the one before. Zero means 1.
    /// Default: 2.
    pub const fn factor(mut self, factor: u32) -> Self {
        self.factor = if factor == 0 { 1 } else { factor };
        self
    }

    /// The longest pause that a server can ask for (`Retry-After`); more than
    /// this counts as this. Default: 60 s.
    pub const fn retry_after_limit(mut self, limit: Duration) -> Self {
        self.retry_after_limit = limit;
        self
    }

    /// How many retries there may be for 100 calls, over time. Default: 20.
    pub const fn budget_percent(mut self, percent: u32) -> Self {
        self.budget_percent = percent;
        self
    }

    /// How many retries there may be beside that share: so many are there at the
    /// start, and so many are kept for when they are needed. Default: 3.
    pub const fn budget_floor(mut self, retries: u32) -> Self {
        self.budget_floor = retries;
        self
    }

    /// What to do after attempt number `attempt` (from 1) failed in a way that
    /// may pass. `retry_after` is what the server asked for, `random` is in
    /// [0, 1).
    ///
    /// What the server asks for is waited for within the call if it is at most
    /// the longest delay, and the delay comes on top, so that those who were
    /// told the same do not come back together. More ends the call.
    pub(crate) fn next(&self, attempt: u32, retry_after: Option<Duration>, random: f64) -> Retry {
        let pause = retry_after.map(|pause| pause.min(self.retry_after_limit));
        let asked = pause.unwrap_or_default();
        if attempt >= self.attempts || asked > self.longest_delay {
            return Retry::GiveUp { pause };
        }
        Retry::After(asked.saturating_add(self.delay(attempt, random)))
    }

    /// The delay after this attempt: half of `first × factor^(attempt − 1)` to
    /// the whole, and never more than the longest.
    fn delay(&self, attempt: u32, random: f64) -> Duration {
        let mut whole = self.first_delay.min(self.longest_delay);
        for _ in 1..attempt {
            let next = whole.saturating_mul(self.factor).min(self.longest_delay);
            if next == whole {
                break;
            }
            whole = next;
        }
        jittered(whole, 0.5, 1.0, random).min(whole)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// What to do after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Wait so long, then try again, if the budget has a retry left.
    After(Duration),
    /// The call is over.
    GiveUp {
        /// The server asked for a pause of so long before the next call, if it
        /// did; at most [`RetryPolicy::retry_after_limit`].
        pause: Option<Duration>,
    },
}

/// What a whole retry is worth in the budget; a deposit is in percent of it.
const RETRY: u64 = 100;

/// Bounds the retries of all calls together: over n calls, from the start, there
/// are at most `budget_floor + budget_percent × n / 100`.
///
/// A token bucket, in hundredths of a retry: whole numbers, so that nothing
/// drifts. It starts with the floor and never holds more, so that a long time
/// without failures saves nothing up. A floor too small for one retry and one
/// deposit holds these nevertheless; the share would be lost in it.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: u64,
    deposit: u64,
    most: u64,
}

impl RetryBudget {
    /// The budget at the start: the floor.
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let floor = u64::from(policy.budget_floor) * RETRY;
        let deposit = u64::from(policy.budget_percent);
        Self {
            tokens: floor,
            deposit,
            most: floor.max(RETRY).max(deposit),
        }
    }

    /// A call begins: once for each call, not for its retries.
    pub(crate) fn deposit(&mut self) {
        self.tokens = (self.tokens + self.deposit).min(self.most);
    }

    /// Takes a retry out, if there is one.
    #[must_use]
    pub(crate) fn try_withdraw(&mut self) -> bool {
        match self.tokens.checked_sub(RETRY) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}
