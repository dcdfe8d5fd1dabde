//! One check of the source: has something changed, and if so, what is it now?
//!
//! A check asks for the latest snapshot ID and, if that is news, for the flags,
//! and judges what came. A request that fails ends it, and is not repeated: when
//! the next check may begin is for the back-off to say.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::caller::Caller;
use super::degradation::Degradation;
use super::detect::{Detector, Occasion, Plan, Verdict};
use super::fetched::{Fetched, Restored};
use super::{LIVE_FOR, Settings, Trigger};
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
    caller: Caller,
    /// The latest ID that a poll read whose download then failed, and when it
    /// was read: the next poll goes on from there.
    unfinished: Option<(Option<u64>, Instant)>,
    /// The last check read an ID, and failed to download the flags.
    halfway: bool,
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
            unfinished: None,
            halfway: false,
            caller: Caller::new(Arc::clone(&source), Arc::clone(&degradation)),
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

    /// How long until the next check, if that is sooner than the next poll.
    pub(super) fn again(&self) -> Option<Duration> {
        let now = Instant::now().into_std();
        self.detector.again(self.settings.poll_interval, now)
    }

    /// Whether the last check, which failed, had read the latest ID.
    pub(super) fn got_halfway(&self) -> bool {
        self.halfway
    }

    /// A push came in.
    pub(super) fn pushed(&mut self) {
        self.pushed = true;
    }

    /// Checks once; tells whether flags changed.
    pub(super) async fn check(&mut self, trigger: Trigger) -> Result<bool, SourceError> {
        self.degradation.count(|counts| counts.checks += 1);
        self.halfway = false;
        let outcome = self.ask(trigger).await;
        if let Err(error) = &outcome {
            self.report_failure(error);
            self.degradation.failed(error);
        }
        outcome
    }

    /// Logs a failure, and its repetitions more quietly: there may be one each
    /// second.
    fn report_failure(&self, error: &SourceError) {
        let source = self.source.name();
        let flags = self.held.as_ref().map_or(0, |held| held.len());
        let status = self.degradation.status();
        let known = status.consecutive_failures > 0
            && status
                .last_error
                .is_some_and(|last| last == error.to_string());
        if known {
            tracing::debug!(source, %error, flags, "flags could not be checked again");
        } else {
            tracing::warn!(
                source,
                %error,
                flags,
                "flags could not be checked; those that are held stay"
            );
        }
    }

    async fn ask(&mut self, trigger: Trigger) -> Result<bool, SourceError> {
        let occasion = trigger.occasion();
        let read_before = self.read_before(trigger);
        let (id, read) = match read_before {
            Some(read) => read,
            None => (self.latest(trigger).await?, Instant::now()),
        };
        let now = Instant::now().into_std();
        if let (Plan::Nothing, Some(held), None) = (
            self.detector.announce(id, occasion, now),
            &self.held,
            read_before,
        ) {
            self.degradation.succeeded(Arc::clone(held), |_| {});
            return Ok(false);
        }
        let set = match self.caller.fetch().await {
            Ok(set) => set,
            Err(error) => {
                // Not after a time-out: the small request notices it sooner
                // that the source still hangs.
                self.halfway = id.is_some();
                let goes_on = occasion == Occasion::Poll && !is_timeout(&error);
                self.unfinished = goes_on.then_some((id, read));
                return Err(error);
            }
        };
        self.degradation.count(|counts| counts.fetches += 1);
        let (filter, before) = (self.settings.filter.clone(), self.held.clone());
        let fetched = Fetched::compile(set, filter, before, self.saver.is_some()).await?;
        Ok(self.take(fetched, id, trigger))
    }

    /// The ID that the check before read, if that was a poll which then failed
    /// to download the flags a short time ago, and this is one, too.
    fn read_before(&mut self, trigger: Trigger) -> Option<(Option<u64>, Instant)> {
        let lasts = self.settings.poll_interval.saturating_mul(LIVE_FOR);
        let unfinished = self.unfinished.take()?;
        (trigger == Trigger::Poll && unfinished.1.elapsed() <= lasts).then_some(unfinished)
    }

    /// The latest snapshot ID; `None` if it is unknown and flags are to be
    /// compared.
    async fn latest(&self, trigger: Trigger) -> Result<Option<u64>, SourceError> {
        let error = match self.caller.latest().await {
            Ok(id) => return Ok(id.filter(|id| *id != 0)),
            Err(error) => error,
        };
        if !has_no_number(&error) {
            // Where somebody waits, the export is worth a try; and so it is for
            // a full refresh, unless the source hangs.
            let goes_on = match trigger {
                Trigger::Refresh | Trigger::Changed => true,
                Trigger::Full => !is_timeout(&error),
                Trigger::Poll | Trigger::Hint => false,
            };
            if !goes_on {
                return Err(error);
            }
            self.degradation.request_failed(&error);
        }
        let source = self.source.name();
        tracing::debug!(source, %error, "the latest snapshot ID is unknown; flags are compared");
        Ok(None)
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

fn is_timeout(error: &SourceError) -> bool {
    error.kind() == SourceErrorKind::Timeout
}

/// Whether a server may well export flags though it does not tell the number of
/// the newest change: it does not know the route, or something in front of it
/// answers in its place.
fn has_no_number(error: &SourceError) -> bool {
    error.is_refusal() || error.kind() == SourceErrorKind::Document
}
