//! The loop: when to check the source.
//!
//! One task for each [`Vexilla`](crate::Vexilla) with a source. It waits until
//! there is a reason to check and the [`backoff`](super::backoff) allows it,
//! checks, and waits again; no result of a check ends it. A panic, should one get
//! past the checks, is logged and the loop goes on. It ends when it is shut down,
//! or with the last handle.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::{Backoff, BreakerState, Demand, Ended as Attempt, Limits, after};
use super::checker::Checker;
use super::degradation::Degradation;
use super::detect::Occasion;
use super::inbox::Inbox;
use super::jitter::{jittered, random};
use super::panics::caught;
use super::{Settings, Trigger};
use crate::source::{AnySource, SourceError};

/// Notifications within this time are merged into one check.
const HINTS_TOGETHER: Duration = Duration::from_millis(50);
/// How long to leave a source alone whose [`changed`](crate::source::Source::changed)
/// panicked; and how long to wait after a panic in the loop itself.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// What the task works with.
pub(super) struct Worker {
    source: Arc<dyn AnySource>,
    settings: Settings,
    checker: Checker,
    backoff: Backoff,
    inbox: Arc<Inbox>,
    degradation: Arc<Degradation>,
    poll_at: Instant,
    full_at: Instant,
    /// A full refresh failed, and none has succeeded since.
    full_owed: bool,
    hinted_at: Option<Instant>,
    listen_at: Instant,
    /// No full refresh has succeeded yet.
    first: bool,
}

/// Closes the inbox on drop.
struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reports on drop that the loop has ended.
pub(super) struct Ended {
    pub(super) inbox: Arc<Inbox>,
    pub(super) degradation: Arc<Degradation>,
    pub(super) told: watch::Sender<bool>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.inbox.close();
        if self.inbox.was_shut_down() {
            self.degradation.shut_down();
        } else {
            self.degradation.loop_ended();
        }
        self.degradation.store().stop_keeping();
        self.told.send_replace(true);
    }
}

impl Worker {
    pub(super) fn new(
        source: Arc<dyn AnySource>,
        settings: Settings,
        checker: Checker,
        inbox: Arc<Inbox>,
        degradation: Arc<Degradation>,
    ) -> Self {
        let now = Instant::now();
        let limits = Limits {
            poll_interval: settings.poll_interval,
            slow_retry: settings.slow_retry,
            retry_after: settings.retry_after_limit,
        };
        Self {
            source,
            settings,
            checker,
            backoff: Backoff::new(limits, now.into_std()),
            inbox,
            degradation,
            poll_at: now,
            full_at: now,
            full_owed: false,
            hinted_at: None,
            listen_at: now,
            first: true,
        }
    }

    /// Keeps the flags fresh until it is shut down.
    pub(super) async fn run(mut self, ended: Ended) {
        // Dropped last, also when the runtime drops the task.
        let _ended = ended;
        let inbox = Arc::clone(&self.inbox);
        let mut work = pin!(self.work());
        // Dropped before the check that is under way: callers that wait for it get
        // an error that says that the loop has ended.
        let _closing = Closing(Arc::clone(&inbox));
        tokio::select! {
            biased;
            () = inbox.is_shut_down() => {}
            () = &mut work => {}
        }
    }

    async fn work(&mut self) {
        loop {
            if let Err(panic) = caught(self.turn()).await {
                tracing::error!(panic, "the refresh loop panicked and continues");
                sleep(AFTER_PANIC).await;
            }
        }
    }

    async fn turn(&mut self) {
        let trigger = self.next().await;
        self.check(trigger).await;
    }

    /// Waits until there is a reason to check, and a check may begin.
    async fn next(&mut self) -> Trigger {
        loop {
            self.notice_hints();
            let now = Instant::now();
            let (trigger, due) = self.due(now);
            if now >= due {
                return trigger;
            }
            let listen_at = self.listen_at.max(self.earliest(Demand::SourceChanged));
            let listening = async {
                sleep_until(listen_at).await;
                caught(self.source.changed()).await
            };
            tokio::select! {
                biased;
                () = self.inbox.news() => {}
                changed = listening => match changed {
                    Ok(()) => return Trigger::Changed,
                    Err(panic) => self.panicked(&panic),
                },
                () = sleep_until(due) => {}
                () = passing(&self.degradation) => self.degradation.tick(),
            }
        }
    }

    /// The next check, and when it begins.
    fn due(&self, now: Instant) -> (Trigger, Instant) {
        if self.inbox.is_awaited() {
            return (Trigger::Refresh, self.earliest(Demand::Caller));
        }
        let scheduled = self.poll_at.min(self.full_at);
        let scheduled = scheduled.max(self.earliest(Demand::Schedule));
        let hinted = self
            .hinted_at
            .map(|at| at.max(self.earliest(Demand::Notification)));
        let due = hinted.map_or(scheduled, |hinted| hinted.min(scheduled));
        let trigger = match hinted {
            _ if now >= self.full_at => Trigger::Full,
            Some(_) => Trigger::Hint,
            None => Trigger::Poll,
        };
        (trigger, due)
    }

    fn earliest(&self, demand: Demand) -> Instant {
        Instant::from_std(self.backoff.earliest(demand))
    }

    fn notice_hints(&mut self) {
        let hints = self.inbox.take_hints();
        if hints == 0 {
            return;
        }
        self.degradation.count(|counts| counts.pushes += hints);
        self.checker.pushed();
        let now = Instant::now();
        self.hinted_at.get_or_insert(now + HINTS_TOGETHER);
    }

    fn panicked(&mut self, panic: &str) {
        let source = self.source.name();
        tracing::error!(source, panic, "waiting for a change of the source panicked");
        self.degradation.count(|counts| counts.panics += 1);
        self.listen_at = Instant::now() + AFTER_PANIC;
    }

    async fn check(&mut self, trigger: Trigger) {
        self.hinted_at = None;
        // Whoever asks from now on waits for the next check: what this one
        // fetches may be from before that.
        let waiting = self.inbox.take_waiting();
        let accepts_loss = waiting.iter().any(|waiting| waiting.accepts_loss);
        let trigger = match waiting.is_empty() {
            true => trigger,
            false if accepts_loss => Trigger::Accept,
            false => Trigger::Refresh,
        };
        self.backoff.begin(Instant::now().into_std());
        self.degradation.breaker(self.backoff.state());
        let outcome = {
            let mut check = pin!(self.checker.check(trigger));
            loop {
                tokio::select! {
                    outcome = &mut check => break outcome,
                    () = passing(&self.degradation) => self.degradation.tick(),
                }
            }
        };
        self.end(&outcome);
        self.schedule(trigger, outcome.is_ok());
        for waiting in waiting {
            waiting.answer(outcome.clone());
        }
    }

    /// Reports to the back-off how a check ended.
    fn end(&mut self, outcome: &Result<bool, SourceError>) {
        let before = self.backoff.state();
        let (ended, retry_after) = match outcome {
            Ok(_) => (Attempt::Succeeded, None),
            Err(error) if error.is_refusal() => (Attempt::Refused, error.retry_after()),
            Err(error) if error.is_transient() => {
                let halfway = self.checker.got_halfway();
                let ended = if halfway {
                    Attempt::FailedHalfway
                } else {
                    Attempt::Failed
                };
                (ended, error.retry_after())
            }
            Err(error) => (Attempt::FailedLastingly, error.retry_after()),
        };
        let now = Instant::now().into_std();
        self.backoff.end(ended, retry_after, now, random());
        let state = self.backoff.state();
        let source = self.source.name();
        match (before, state) {
            (BreakerState::Closed, BreakerState::Open) => {
                tracing::info!(source, %before, %state, "checks keep failing; the circuit breaker is open");
            }
            (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Closed) => {
                tracing::info!(source, %before, %state, "the circuit breaker is closed again");
            }
            _ => {}
        }
        self.degradation.breaker(state);
    }

    /// How often to fetch all flags. A copy is saved each time, so that it is never
    /// older than a fraction of the age at which it could not be used any more.
    fn full_interval(&self) -> Duration {
        let Settings {
            full_interval,
            poll_interval,
            max_stale,
            ..
        } = self.settings;
        match max_stale.filter(|_| self.checker.saver.is_some()) {
            Some(max_stale) => full_interval.min((max_stale / 4).max(poll_interval)),
            None => full_interval,
        }
    }

    /// Sets when to check next, as far as the back-off allows it.
    fn schedule(&mut self, trigger: Trigger, succeeded: bool) {
        let now = Instant::now();
        let full = matches!(trigger.occasion(), Occasion::Full | Occasion::Accept);
        // A fleet that started together is spread over whole intervals.
        let (from, to) = if full && succeeded && self.first {
            (0.0, 1.0)
        } else {
            (0.9, 1.1)
        };
        let later = |interval| {
            Instant::from_std(after(
                now.into_std(),
                jittered(interval, from, to, random()),
            ))
        };
        self.poll_at = if succeeded {
            let poll = self.settings.poll_interval;
            later(self.checker.again().unwrap_or(poll))
        } else {
            self.earliest(Demand::Schedule)
        };
        if full {
            // One that failed is made up for after the next success. Until
            // then, polls do, which cost the source less.
            self.full_at = later(self.full_interval());
            self.full_owed = !succeeded;
            self.first &= !succeeded;
        } else if succeeded && self.full_owed {
            self.full_at = self.poll_at;
        }
    }
}

/// Waits until time changes the level.
async fn passing(degradation: &Degradation) {
    match degradation.lasts() {
        Some(lasts) => sleep(lasts).await,
        None => pending().await,
    }
}
