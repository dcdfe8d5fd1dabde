//! One request to the source, repeated when what went wrong may pass.
//!
//! Repeats wait longer each time, and all of them together stay within a
//! budget. Whatever the source does, an answer or an error comes of it: a panic
//! is caught, and silence has an end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::RetryPolicy;
use super::degradation::Degradation;
use super::jitter::random;
use super::panics::caught;
use super::retry::{Retry, RetryBudget};
use crate::source::{AnySource, BoxFuture, SourceError, SourceErrorKind};

/// How long the source may take to answer a request. One that has limits of its
/// own has shorter ones; without any, the loop would wait for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A request, or a check, that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: SourceError,
    /// How long the next check is to wait at least.
    pub(super) pause: Option<Duration>,
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self { error, pause: None }
    }
}

/// Asks the source.
pub(super) struct Caller {
    source: Arc<dyn AnySource>,
    policy: RetryPolicy,
    budget: RetryBudget,
    degradation: Arc<Degradation>,
}

impl Caller {
    pub(super) fn new(
        source: Arc<dyn AnySource>,
        policy: RetryPolicy,
        degradation: Arc<Degradation>,
    ) -> Self {
        Self {
            source,
            budget: RetryBudget::new(&policy),
            policy,
            degradation,
        }
    }

    /// Asks the source, again and again if what goes wrong may pass.
    pub(super) async fn call<T>(
        &mut self,
        ask: impl Fn(&dyn AnySource) -> BoxFuture<'_, Result<T, SourceError>> + Send + Sync,
    ) -> Result<T, Failure> {
        self.budget.deposit();
        let mut attempt = 1;
        loop {
            self.degradation.count(|counts| counts.requests += 1);
            // Even making the future is the source's own code.
            let answer = caught(async { ask(&*self.source).await });
            let error = match timeout(ANSWER_LIMIT, answer).await {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Ok(Ok(Err(error))) => error,
                Err(_) => {
                    let name = self.source.name();
                    let message = format!("{name} gave no answer within {ANSWER_LIMIT:?}");
                    SourceError::new(SourceErrorKind::Timeout, message)
                }
                Ok(Err(panic)) => {
                    self.degradation.count(|counts| counts.panics += 1);
                    let message = format!("{} panicked: {panic}", self.source.name());
                    SourceError::new(SourceErrorKind::Panicked, message)
                }
            };
            let after = error.retry_after();
            let pause = match self.policy.next(attempt, after, random()) {
                _ if !error.is_transient() => None,
                Retry::After(delay) if self.budget.try_withdraw() => {
                    sleep(delay).await;
                    attempt += 1;
                    self.degradation.count(|counts| counts.retries += 1);
                    continue;
                }
                // A pause that could have been waited for is one all the same.
                Retry::After(_) => after,
                Retry::GiveUp { pause } => pause,
            };
            return Err(Failure { error, pause });
        }
    }
}
