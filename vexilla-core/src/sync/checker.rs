//! One check of the source: has something changed, and if so, what is it now?
//!
//! A check asks for the number of the newest change and, if that is news, for
//! the flags, and judges what came. The circuit breaker counts checks, however
//! many requests they make.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, BreakerState, Outcome, Permit};
use super::caller::{Caller, Failure};
use super::degradation::Degradation;
use super::detect::{Detector, Occasion, Plan, Verdict};
use super::fetched::{Fetched, Restored};
use super::jitter::random;
use super::{Settings, Trigger};
use crate::flag::{FlagSet, Origin};
use crate::persist::{Provenance, Saver, encode};
use crate::snapshot::Snapshot;
use crate::source::{AnySource, SourceError, SourceErrorKind};

/// Checks the source, and remembers what it said.
pub(super) struct Checker {
    source: Arc<dyn AnySource>,
    settings: Settings,
    degradation: Arc<Degradation>,
    saver: Option<Arc<Saver>>,
    detector: Detector,
    breaker: Breaker,
    caller: Caller,
    held: Option<Arc<Snapshot>>,
    /// A push came in, and no change was found since.
    pushed: bool,
}

impl Checker {
    pub(super) fn new(
        source: Arc<dyn AnySource>,
        settings: Settings,
        degradation: Arc<Degradation>,
        saver: Option<Arc<Saver>>,
    ) -> Self {
        Self {
            detector: Detector::new(settings.cache_interval),
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
        self.detector.restore(contents, id, now);
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
        let id = match self.caller.call(|source| source.latest()).await {
            Ok(id) => id.filter(|id| *id != 0),
            Err(failure) if occasion == Occasion::Full || has_no_number(&failure.error) => {
                let (source, error) = (self.source.name(), &failure.error);
                tracing::debug!(source, %error, "the newest change is unknown; flags are compared");
                None
            }
            Err(failure) => return Err(failure),
        };
        let now = Instant::now().into_std();
        if let (Plan::Nothing, Some(held)) = (self.detector.announce(id, occasion, now), &self.held)
        {
            self.degradation.succeeded(Arc::clone(held), |_| {});
            return Ok(false);
        }
        let set = self.caller.call(|source| source.fetch()).await?;
        self.degradation.count(|counts| counts.fetches += 1);
        let (filter, limits) = (self.settings.filter.clone(), self.settings.limits.clone());
        let (before, saves) = (self.held.clone(), self.saver.is_some());
        let fetched = Fetched::compile(set, filter, limits, before, saves).await?;
        Ok(self.take(fetched, id, trigger))
    }

    /// Puts flags in place if they are news; tells whether they changed.
    fn take(&mut self, fetched: Fetched, id: Option<u64>, trigger: Trigger) -> bool {
        let now = Instant::now().into_std();
        let same_flags = self.held.as_ref();
        let same_flags = same_flags.is_some_and(|held| held.same_flags(&fetched.snapshot));
        let verdict = match fetched.origin {
            Origin::Export => {
                let occasion = trigger.occasion();
                self.detector
                    .judge(&fetched.contents, same_flags, id, occasion, now)
            }
            // Nobody else answers for a file, or for code.
            _ => {
                self.detector.believe(fetched.contents);
                if same_flags {
                    Verdict::Same
                } else {
                    Verdict::News
                }
            }
        };
        let source = self.source.name();
        let (held, flags) = (
            self.held.as_ref().map_or(0, |held| held.len()),
            fetched.snapshot.len(),
        );
        match verdict {
            Verdict::Older => {
                self.degradation.count(|counts| counts.older_answers += 1);
                let why = "an answer was older than what is held and was left aside";
                tracing::debug!(source, id, version = fetched.snapshot.version(), why);
                self.degradation.answered_older(why);
                return false;
            }
            Verdict::HeldBack => {
                self.degradation.count(|counts| counts.held_back += 1);
                let why = format!(
                    "{flags} flags came where {held} are held; they are held back until that is confirmed"
                );
                tracing::error!(
                    source,
                    held,
                    flags,
                    "flags are held back: there are suddenly few, which is to be confirmed by the next fetch"
                );
                self.degradation.left_aside(&why);
                return false;
            }
            Verdict::Shrunk => {
                tracing::error!(
                    source,
                    held,
                    flags,
                    "there are suddenly few flags, as a second fetch confirmed"
                );
            }
            Verdict::PutBack => {
                tracing::error!(
                    source,
                    held,
                    flags,
                    version = fetched.snapshot.version(),
                    "the source went back to older flags for good, as after its database was restored; they are taken"
                );
            }
            Verdict::Same | Verdict::News => {}
        }
        let current = match (&self.held, verdict) {
            (Some(held), Verdict::Same) => Arc::clone(held),
            _ => Arc::new(fetched.snapshot),
        };
        let before = self.held.replace(Arc::clone(&current));
        let changed = !same_flags;
        let polled = matches!(trigger, Trigger::Poll | Trigger::Full);
        let pushed = changed && std::mem::take(&mut self.pushed);
        let missed = changed && polled && before.is_some() && !pushed;
        // First they are served, then told of and saved.
        self.degradation.succeeded(Arc::clone(&current), |counts| {
            counts.changes += u64::from(changed);
            counts.changes_without_push += u64::from(missed);
        });
        if changed {
            self.report_change(before.as_deref(), &current, missed);
        }
        let news = verdict != Verdict::Same || trigger.occasion() == Occasion::Full;
        if let (true, Some(set)) = (news, fetched.set) {
            self.save(set);
        }
        changed
    }

    /// Says what changed, and whether no push had announced it.
    fn report_change(&self, before: Option<&Snapshot>, now: &Snapshot, missed: bool) {
        let source = self.source.name();
        let known: HashSet<_> = before.into_iter().flat_map(Snapshot::problems).collect();
        for problem in now.problems().filter(|problem| !known.contains(problem)) {
            tracing::error!(
                flag = problem.flag_key,
                id = problem.flag_id,
                problem = problem.message,
                "a flag cannot be evaluated and answers defaults"
            );
        }
        tracing::info!(
            source,
            flags = now.len(),
            version = now.version(),
            left_out = now.left_out().flags,
            left_out_bytes = now.left_out().bytes,
            "flags changed"
        );
        let pushes = self.degradation.status().counts.pushes;
        if missed && pushes > 0 {
            tracing::warn!(source, "a poll found a change that no push had announced");
        }
    }

    fn save(&self, set: FlagSet) {
        let Some(saver) = &self.saver else {
            return;
        };
        let provenance = Provenance {
            source: self.source.name(),
            saved_at: SystemTime::now(),
            id: self.detector.confirmed(),
        };
        saver.submit(move |packing| encode(&set, &provenance, packing));
    }
}

/// Whether a server may well export flags though it does not tell the number of
/// the newest change: it does not know the route, or something in front of it
/// answers in its place.
fn has_no_number(error: &SourceError) -> bool {
    error.is_refusal() || error.kind() == SourceErrorKind::Document
}
