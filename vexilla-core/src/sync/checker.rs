//! One check of the source: has something changed, and if so, what is it now?
//!
//! A check asks for the number of the newest change and, if that is news, for
//! the flags. Each of the two is asked for again when what went wrong may pass,
//! as far as the budget goes. The circuit breaker counts checks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, BreakerState, Outcome, Permit};
use super::degradation::Degradation;
use super::detect::{Contents, Detector, Occasion, Plan, Verdict};
use super::jitter::random;
use super::panics::caught;
use super::retry::{Retry, RetryBudget};
use super::{Settings, Trigger};
use crate::filter::Filter;
use crate::flag::{FlagSet, Origin};
use crate::persist::{PersistError, PersistErrorKind, Provenance, Saver, encode};
use crate::snapshot::Snapshot;
use crate::source::{AnySource, BoxFuture, SourceError, SourceErrorKind};

/// How long the source may take to answer a request. One that has limits of its
/// own has shorter ones; without any, the loop would wait for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A check that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: SourceError,
    /// How long the next check is to wait at least.
    pub(super) pause: Option<Duration>,
}

/// Checks the source, and remembers what it said.
pub(super) struct Checker {
    source: Arc<dyn AnySource>,
    settings: Settings,
    degradation: Arc<Degradation>,
    saver: Option<Arc<Saver>>,
    detector: Detector,
    breaker: Breaker,
    budget: RetryBudget,
    held: Option<Arc<Snapshot>>,
    /// A push came in, and no change was found since.
    pushed: bool,
}

/// A set of flags that was fetched, compiled.
struct Fetched {
    snapshot: Snapshot,
    contents: Contents,
    origin: Origin,
    /// The flags themselves, if they may have to be saved.
    set: Option<FlagSet>,
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
            budget: RetryBudget::new(&settings.retry),
            source,
            settings,
            degradation,
            saver,
            held: None,
            pushed: false,
        }
    }
}

impl Checker {
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
        let id = match self.call(|source| source.latest()).await {
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
            self.degradation.succeeded(Arc::clone(held));
            return Ok(false);
        }
        let set = self.call(|source| source.fetch()).await?;
        self.degradation.count(|counts| counts.fetches += 1);
        let fetched = self.compile(set).await?;
        Ok(self.take(fetched, id, trigger))
    }

    /// Asks the source, again and again if what goes wrong may pass.
    async fn call<T>(
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
            let pause = match self.settings.retry.next(attempt, after, random()) {
                _ if !error.is_transient() => None,
                Retry::After(delay) if self.budget.try_withdraw() => {
                    tokio::time::sleep(delay).await;
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

    /// Compiles a set, away from the runtime's own threads: many flags, or
    /// costly patterns, may take a while.
    async fn compile(&self, set: FlagSet) -> Result<Fetched, Failure> {
        let (filter, before) = (self.settings.filter.clone(), self.held.clone());
        let saves = self.saver.is_some();
        let compiled = tokio::task::spawn_blocking(move || {
            let kept = saves.then(|| set.clone());
            let (snapshot, contents, origin) = compile(set, &filter, before.as_deref());
            Fetched {
                snapshot,
                contents,
                origin,
                set: kept,
            }
        });
        compiled.await.map_err(|error| {
            let (kind, message) = if error.is_cancelled() {
                (SourceErrorKind::ShutDown, "the runtime shuts down")
            } else {
                (SourceErrorKind::Panicked, "compiling the flags panicked")
            };
            Failure::from(SourceError::new(kind, message).because(error))
        })
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
        if !same_flags {
            self.changed(before.as_deref(), &current, trigger);
        }
        self.degradation.succeeded(current);
        let news = verdict != Verdict::Same || trigger.occasion() == Occasion::Full;
        if let (true, Some(set)) = (news, fetched.set) {
            self.save(set);
        }
        !same_flags
    }

    /// Says what changed, and whether a push had announced it.
    fn changed(&mut self, before: Option<&Snapshot>, now: &Snapshot, trigger: Trigger) {
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
        let polled = matches!(trigger, Trigger::Poll | Trigger::Full);
        let pushed = std::mem::take(&mut self.pushed);
        let missed = polled && before.is_some() && !pushed;
        let pushes = self.degradation.status().counts.pushes;
        if missed && pushes > 0 {
            tracing::warn!(source, "a poll found a change that no push had announced");
        }
        self.degradation.count(|counts| {
            counts.changes += 1;
            counts.changes_without_push += u64::from(missed);
        });
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

/// Flags of a last-known-good copy, compiled.
pub(super) struct Restored {
    snapshot: Snapshot,
    contents: Contents,
    id: u64,
    age: Duration,
}

/// Reads the last-known-good copy of a source, if there is one.
pub(super) async fn restored(
    saver: &Saver,
    source: String,
    filter: Filter,
) -> Result<Option<Restored>, PersistError> {
    let Some(saved) = saver.load().await? else {
        return Ok(None);
    };
    let Provenance {
        source: saved_of,
        saved_at,
        id,
    } = saved.provenance;
    if saved_of != source {
        let message = format!("the copy is of {saved_of}, and the flags are to be of {source}");
        return Err(PersistError::new(PersistErrorKind::Foreign, message));
    }
    let age = SystemTime::now()
        .duration_since(saved_at)
        .unwrap_or_default();
    let set = saved.set;
    let compiled = tokio::task::spawn_blocking(move || compile(set, &filter, None)).await;
    let (snapshot, contents, _) = compiled.map_err(PersistError::other)?;
    Ok(Some(Restored {
        snapshot,
        contents,
        id,
        age,
    }))
}

fn compile(
    mut set: FlagSet,
    filter: &Filter,
    before: Option<&Snapshot>,
) -> (Snapshot, Contents, Origin) {
    set.assign_missing_ids();
    let flags = set.flags.iter().map(|flag| (flag.id, flag.snapshot_id));
    let (contents, origin) = (Contents::new(flags), set.origin);
    (Snapshot::build(set, filter, before), contents, origin)
}

/// Whether a server may well export flags though it does not tell the number of
/// the newest change: it does not know the route, or something in front of it
/// answers in its place.
fn has_no_number(error: &SourceError) -> bool {
    error.is_refusal() || error.kind() == SourceErrorKind::Document
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self { error, pause: None }
    }
}
