//! The loop: when to check the source.
//!
//! One task for each [`Vexilla`](crate::Vexilla) with a source. It waits until
//! there is a reason to check, checks, and waits again; nothing that a check
//! comes to ends it. A panic, should one get past the checks, is logged and the
//! loop goes on. It ends when it is shut down, or with the last handle.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::caller::Failure;
use super::checker::Checker;
use super::degradation::Degradation;
use super::detect::Occasion;
use super::inbox::Inbox;
use super::jitter::{jittered, random};
use super::panics::caught;
use super::{Settings, Trigger};
use crate::source::AnySource;

/// Hints that come within this time are one.
const HINTS_TOGETHER: Duration = Duration::from_millis(50);
/// How long to leave a source alone that says that it changed, so that one that
/// always says so does not keep the loop busy.
const LISTEN_AGAIN: Duration = Duration::from_millis(5);
/// How long to leave a source alone that says so when the last check failed, or
/// whose [`changed`](crate::Source::changed) panicked; and how long to wait
/// after a panic in the loop itself.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the task works with.
pub(super) struct Worker {
    source: Arc<dyn AnySource>,
    settings: Settings,
    checker: Checker,
    inbox: Arc<Inbox>,
    degradation: Arc<Degradation>,
    poll_at: Instant,
    full_at: Instant,
    hinted_at: Option<Instant>,
    /// The source asked to be left alone until then.
    paused_until: Instant,
    listen_at: Instant,
    /// No full refresh has succeeded yet.
    first: bool,
}

/// Tells that the loop has ended, however it did.
pub(super) struct Ended {
    pub(super) inbox: Arc<Inbox>,
    pub(super) degradation: Arc<Degradation>,
    pub(super) told: watch::Sender<bool>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if !self.inbox.was_shut_down() {
            self.degradation.loop_ended();
        }
        self.inbox.close();
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
        Self {
            source,
            settings,
            checker,
            inbox,
            degradation,
            poll_at: now,
            full_at: now,
            hinted_at: None,
            paused_until: now,
            listen_at: now,
            first: true,
        }
    }

    /// Keeps the flags fresh until it is shut down.
    pub(super) async fn run(mut self, ended: Ended) {
        let inbox = Arc::clone(&self.inbox);
        tokio::select! {
            biased;
            () = inbox.is_shut_down() => {}
            () = self.work() => {}
        }
        drop(ended);
    }

    async fn work(&mut self) {
        loop {
            if let Err(panic) = caught(self.turn()).await {
                tracing::error!(
                    panic,
                    "the loop that keeps flags fresh panicked; it goes on"
                );
                sleep(AFTER_FAILURE).await;
            }
        }
    }

    async fn turn(&mut self) {
        let trigger = self.next().await;
        self.check(trigger).await;
    }

    /// Waits until there is a reason to check.
    async fn next(&mut self) -> Trigger {
        loop {
            self.notice_hints();
            if self.inbox.is_awaited() {
                return Trigger::Refresh;
            }
            let now = Instant::now();
            let hinted_at = self.hinted_at.unwrap_or(self.poll_at);
            let open = self.checker.wait().unwrap_or_default();
            let due = self.poll_at.min(hinted_at).min(self.full_at);
            let due = due.max(after(now, open)).max(self.paused_until);
            if now >= due {
                return match self.hinted_at {
                    _ if now >= self.full_at => Trigger::Full,
                    Some(_) => Trigger::Hint,
                    None => Trigger::Poll,
                };
            }
            let listening = async {
                sleep_until(self.listen_at).await;
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

    fn notice_hints(&mut self) {
        let hints = self.inbox.take_hints();
        if hints == 0 {
            return;
        }
        self.degradation.count(|counts| counts.pushes += hints);
        self.checker.pushed();
        let now = Instant::now();
        self.hinted_at
            .get_or_insert_with(|| after(now, HINTS_TOGETHER));
    }

    fn panicked(&mut self, panic: &str) {
        let source = self.source.name();
        tracing::error!(source, panic, "waiting for a change of the source panicked");
        self.degradation.count(|counts| counts.panics += 1);
        self.listen_at = after(Instant::now(), AFTER_FAILURE);
    }

    async fn check(&mut self, trigger: Trigger) {
        self.hinted_at = None;
        let mut waiting = self.inbox.take_waiting();
        let outcome = {
            let mut check = pin!(self.checker.check(trigger));
            loop {
                tokio::select! {
                    outcome = &mut check => break outcome,
                    () = passing(&self.degradation) => self.degradation.tick(),
                }
            }
        };
        self.schedule(trigger, &outcome);
        let outcome = outcome.map_err(|failure| failure.error);
        // Those who asked meanwhile are served as well, unless what was fetched
        // may be from before they asked; and none who asks once it was told.
        let full = trigger.occasion() == Occasion::Full;
        if full && self.inbox.is_awaited() && !self.has_changed_again() {
            waiting.extend(self.inbox.take_waiting());
        }
        for waiting in waiting {
            // Whoever asked may have gone.
            let _ = waiting.send(outcome.clone());
        }
    }

    fn has_changed_again(&self) -> bool {
        let changed = pin!(caught(self.source.changed()));
        let poll = changed.poll(&mut Context::from_waker(Waker::noop()));
        matches!(poll, Poll::Ready(Ok(())))
    }

    /// Sets when to check next.
    fn schedule(&mut self, trigger: Trigger, outcome: &Result<bool, Failure>) {
        let now = Instant::now();
        let poll = self.settings.poll_interval;
        let (base, pause) = match outcome {
            Ok(_) => (self.checker.again().unwrap_or(poll), None),
            Err(Failure { error, pause }) if error.is_refusal() => {
                (poll.max(self.settings.slow_retry), *pause)
            }
            Err(Failure { pause, .. }) => (poll, *pause),
        };
        let full = outcome.is_ok() && trigger.occasion() == Occasion::Full;
        // A fleet that started together is spread over whole intervals.
        let (from, to) = if full && self.first {
            (0.0, 1.0)
        } else {
            (0.9, 1.1)
        };
        // All who are told to pause are told the same.
        let pause = jittered(pause.unwrap_or_default(), 1.0, 1.2, random());
        self.paused_until = after(now, pause);
        self.poll_at = after(now, jittered(base, from, to, random()).max(pause));
        if full {
            self.first = false;
            self.full_at = after(
                now,
                jittered(self.settings.full_interval, from, to, random()),
            );
        }
        if outcome.is_ok() {
            self.listen_at = after(now, LISTEN_AGAIN);
        } else {
            self.listen_at = after(now, AFTER_FAILURE);
            self.full_at = self.full_at.max(self.poll_at);
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

/// A moment later; far away if it is later than any.
fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now + wait.min(FAR)
}
