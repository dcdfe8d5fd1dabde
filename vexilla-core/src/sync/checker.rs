//! One check of the source: has something changed, and if so, what is it now?
//!
//! A check asks for the number of the newest change and, if that is news, for
//! the flags, and judges what came. The circuit breaker counts checks, however
//! many requests they make.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, BreakerState, Outcome, Permit};
use super::caller::{Caller, Failure};
use super::degradation::Degradation;
use super::detect::{Detector, Doubt, Occasion, Plan};
use super::fetched::{Fetched, Restored};
use super::jitter::random;
use super::{Settings, Trigger};
use crate::persist::Saver;
use crate::snapshot::Snapshot;
use crate::source::{AnySource, SourceError, SourceErrorKind};

/// Checks the source, and remembers what it said.
pub(super) struct Checker {
    pub(super) source: Arc<dyn AnySource>,
    settings: Settings,
    pub(super) degradation: Arc<Degradation>,
    pub(super) saver: Option<Arc<Saver>>,
    pub(super) detector: Detector,
    breaker: Breaker,
    caller: Caller,
    pub(super) held: Option<Arc<Snapshot>>,
    /// A push came in, and no change was found since.
    pub(super) pushed: bool,
    /// The loaded flags may be out of date although the source answers.
    pub(super) doubt: bool,
    /// Why that was logged last, and when.
    pub(super) logged: Option<(Doubt, Instant)>,
}

impl Checker {
    pub(super) fn new(
        source: Arc<dyn AnySource>,
        settings: Settings,
        degradation: Arc<Degradation>,
        saver: Option<Arc<Saver>>,
    ) -> Self {
        Self {
            detector: Detector::new(settings.times()),
            breaker: Breaker::new(settings.breaker.clone()),
            caller: Caller::new(
                Arc::clone(&source),
                settings.retry.clone(),
                Arc::clone(&degradation),
            ),
            source,
            settings,
            degradation,
            saver,
            held: None,
            pushed: false,
            doubt: false,
            logged: None,
        }
    }

    /// What is held was restored from the last-known-good copy.
    pub(super) fn restore(&mut self, restored: Restored) {
        let Restored {
            snapshot,
            contents,
            id,
            age,
        } = restored;
        let snapshot = Arc::new(snapshot);
        let now = Instant::now().into_std();
        self.detector.restore(contents, id, age, now);
        self.held = Some(Arc::clone(&snapshot));
        self.degradation.restored(snapshot, age);
    }

    /// How long until a check may go.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.breaker.wait(Instant::now().into_std())
    }

    /// How long until the next check, if that is sooner than the next poll.
    pub(super) fn again(&self) -> Option<Duration> {
        let now = Instant::now().into_std();
        self.detector.again(self.settings.poll_interval, now)
    }

    /// A push came in.
    pub(super) fn pushed(&mut self) {
        self.pushed = true;
    }

    /// Checks once; tells whether flags changed.
    pub(super) async fn check(&mut self, trigger: Trigger) -> Result<bool, Failure> {
        let permit = self.permit(trigger)?;
        self.degradation.count(|counts| counts.checks += 1);
        self.degradation.breaker(self.breaker_state());
        let probes = self.breaker_state() == BreakerState::HalfOpen;
        let limit = probes.then(|| self.settings.breaker.limit());
        let outcome = match limit {
            None => self.ask(trigger).await,
            Some(limit) => match timeout(limit, self.ask(trigger)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::from(SourceError::new(
                    SourceErrorKind::Timeout,
                    format!("{} took longer than a probe may", self.source.name()),
                ))),
            },
        };
        self.report(permit, &outcome);
        if let Err(failure) = &outcome {
            let (source, error) = (self.source.name(), &failure.error);
            let flags = self.held.as_ref().map_or(0, |held| held.len());
            tracing::warn!(
                source,
                %error,
                flags,
                "flags could not be checked; those that are held stay"
            );
            self.degradation.failed(error);
        }
        outcome
    }

    /// Leave of the breaker. Who insists goes without.
    fn permit(&mut self, trigger: Trigger) -> Result<Option<Permit>, Failure> {
        match self.breaker.try_call(Instant::now().into_std()) {
            Ok(permit) => Ok(Some(permit)),
            Err(_) if trigger.insists() => Ok(None),
            Err(wait) => {
                let message = format!(
                    "the circuit breaker in front of {} is open for another {:.1} s",
                    self.source.name(),
                    wait.as_secs_f64()
                );
                let error = SourceError::new(SourceErrorKind::BreakerOpen, message);
                Err(Failure {
                    error,
                    pause: Some(wait),
                })
            }
        }
    }

    fn breaker_state(&self) -> BreakerState {
        self.breaker.state(Instant::now().into_std())
    }

    fn report(&mut self, permit: Option<Permit>, outcome: &Result<bool, Failure>) {
        let before = self.breaker_state();
        let outcome = match outcome {
            Ok(_) => Outcome::Success,
            // The server is there, and says no.
            Err(failure) if failure.error.is_refusal() => Outcome::Success,
            Err(failure) if failure.error.kind() == SourceErrorKind::ShutDown => Outcome::Cancelled,
            Err(_) => Outcome::Failure,
        };
        match permit {
            Some(permit) => {
                let now = Instant::now().into_std();
                self.breaker.report(permit, outcome, now, random());
            }
            // It went past an open breaker, and found the server there.
            None if outcome == Outcome::Success => {
                self.breaker = Breaker::new(self.settings.breaker.clone());
            }
            None => {}
        }
        let state = self.breaker_state();
        if state != before {
            let source = self.source.name();
            tracing::info!(source, %before, %state, "the circuit breaker changed");
        }
        self.degradation.breaker(state);
    }

    async fn ask(&mut self, trigger: Trigger) -> Result<bool, Failure> {
        let occasion = trigger.occasion();
        let mut unread = None;
        let id = match self.caller.call(|source| source.latest()).await {
            Ok(id) => id.filter(|id| *id != 0),
            Err(failure) if has_no_number(&failure.error) => None,
            Err(failure) if matches!(occasion, Occasion::Full | Occasion::Accept) => {
                unread = Some(failure);
                None
            }
            Err(failure) => return Err(failure),
        };
        let now = Instant::now().into_std();
        match (self.detector.announce(id, occasion, now), &self.held) {
            (Plan::Nothing, Some(held)) => {
                let held = Arc::clone(held);
                self.succeed(&held, |_| {});
                return Ok(false);
            }
            (Plan::Wait, Some(_)) => {
                self.keep(None);
                return Ok(false);
            }
            _ => {}
        }
        let set = self.caller.call(|source| source.fetch()).await?;
        self.degradation.count(|counts| counts.fetches += 1);
        let (filter, before) = (self.settings.filter.clone(), self.held.clone());
        let fetched = Fetched::compile(set, filter, before, self.saver.is_some()).await?;
        let latest = self.latest_after(&fetched, id, unread, occasion).await?;
        Ok(self.take(fetched, latest, trigger))
    }
}

impl Checker {
    /// The latest ID, read again where what is made of the flags depends on it:
    /// it may have risen since, by the deletions of flags that are missing.
    async fn latest_after(
        &mut self,
        fetched: &Fetched,
        id: Option<u64>,
        unread: Option<Failure>,
        occasion: Occasion,
    ) -> Result<Option<u64>, Failure> {
        let matters = occasion != Occasion::Accept && self.detector.lacks_flags(&fetched.contents);
        match (id, unread) {
            (None, Some(failure)) if matters => Err(failure),
            (None, _) => Ok(None),
            (Some(id), _) if self.detector.has_reached(&fetched.contents, id) => Ok(Some(id)),
            (Some(id), _) => match self.caller.call(|source| source.latest()).await {
                Ok(latest) => Ok(latest.filter(|id| *id != 0)),
                Err(failure) if matters => Err(failure),
                Err(_) => Ok(Some(id)),
            },
        }
    }
}

/// Whether a server may well export flags though it does not tell the number of
/// the newest change: it does not know the route, or something in front of it
/// answers in its place.
fn has_no_number(error: &SourceError) -> bool {
    error.is_refusal() || error.kind() == SourceErrorKind::Document
}
