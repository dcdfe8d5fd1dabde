//! Loads flags that were fetched, or keeps the loaded ones.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Trigger;
use super::checker::Checker;
use super::detect::{Answer, Doubt, Occasion, Reason, Verdict};
use super::fetched::{Fetched, NewProblems};
use super::offload::Offloaded;
use super::status::Counts;
use crate::excerpt;
use crate::flag::{FlagSet, Origin};
use crate::persist::{Identity, Provenance, encode};
use crate::snapshot::Snapshot;

/// How long after a push a change counts as announced: Flagr's export lags
/// behind.
const PUSH_LASTS: Duration = Duration::from_secs(60);

impl Checker {
    /// Loads flags if they are to be loaded; returns whether flags changed.
    pub(super) fn take(&mut self, fetched: Fetched, latest: Option<u64>, trigger: Trigger) -> bool {
        let same_flags = fetched.same_flags;
        let verdict = match fetched.origin {
            Origin::Export => {
                let answer = Answer {
                    contents: &fetched.contents,
                    same_flags: fetched.same_definitions,
                    latest,
                    occasion: trigger.occasion(),
                };
                self.detector.judge(&answer, Instant::now().into_std())
            }
            // They have no replicas and no cache.
            Origin::File => {
                let contents = fetched.contents.clone();
                self.detector.load_unjudged(contents, latest);
                match same_flags {
                    true => Verdict::Same,
                    false => Verdict::Load(Reason::Change),
                }
            }
        };
        match verdict {
            Verdict::Same if self.doubted() => {
                self.keep(Some(Verdict::Same));
                false
            }
            Verdict::Same => self.load(fetched, !same_flags, None, trigger),
            Verdict::Load(reason) => self.load(fetched, !same_flags, Some(reason), trigger),
            Verdict::Older | Verdict::Suspicious => {
                self.keep(Some(verdict));
                false
            }
        }
    }

    /// Whether the loaded flags may be out of date although the source answers.
    fn doubted(&self) -> bool {
        self.detector.doubt(Instant::now().into_std()).is_some()
    }

    /// The loaded flags are these, and the source confirms them, unless they may
    /// be out of date all the same.
    pub(super) fn succeed(&mut self, current: &Arc<Snapshot>, count: impl FnOnce(&mut Counts)) {
        let doubt = self.detector.doubt(Instant::now().into_std());
        let reason = doubt.map(|doubt| self.reason(doubt));
        let is_doubted = reason.is_some();
        let current = Arc::clone(current);
        self.degradation.succeeded(current, reason, count);
        if is_doubted {
            return;
        }
        if let Some(id) = self.detector.take_accepted() {
            tracing::warn!(
                source = self.source.name(),
                id,
                "the export did not change for a full-refresh interval after this snapshot ID; assuming a flag that was created and deleted in between"
            );
        }
        if self.logged_doubt.take().is_some() {
            let source = self.source.name();
            tracing::info!(source, "the source answers as expected again");
        }
    }

    /// Keeps the loaded flags, and reports why if they may be out of date. An
    /// answer that was kept aside is counted.
    pub(super) fn keep(&mut self, answer: Option<Verdict>) {
        self.degradation.count(|counts| match answer {
            Some(Verdict::Older) => counts.older_answers += 1,
            Some(Verdict::Suspicious) => counts.suspicious_answers += 1,
            _ => {}
        });
        let Some(doubt) = self.detector.doubt(Instant::now().into_std()) else {
            let why = "the answer may come from an outdated replica, and is not loaded";
            tracing::debug!(source = self.source.name(), "{why}");
            self.degradation.answered_older(why);
            return;
        };
        let reason = self.reason(doubt);
        let known = self.logged_doubt;
        let is_known = known.is_some_and(|known| doubt.is_covered_by(known));
        if !is_known && self.doubts.allows(discriminant(&doubt)) {
            let source = self.source.name();
            self.logged_doubt = Some(doubt);
            match doubt {
                Doubt::Loss { .. } => {
                    tracing::error!(
                        source,
                        reason,
                        "flags are missing in the answer; it is not loaded until the loss is confirmed"
                    );
                }
                _ => tracing::warn!(source, reason, "the source may answer with outdated flags"),
            }
        }
        self.degradation
            .doubted(reason, answer == Some(Verdict::Same));
    }

    /// Why the loaded flags may be out of date, with the keys of some flags that
    /// it is about.
    fn reason(&self, doubt: Doubt) -> String {
        const NAMED: usize = 8;

        let mut reason = doubt.to_string();
        let keys = self.detector.disputed().filter_map(|id| {
            let held = self.held.as_ref()?;
            let flag = held.at(held.numbered(id)?)?.definition();
            Some(excerpt::name(&flag.key).into_owned())
        });
        let keys: Vec<_> = keys.take(NAMED).collect();
        if !keys.is_empty() {
            reason += &format!("; among them {}", keys.join(", "));
        }
        reason
    }

    /// Serves flags, then reports what changed and saves them. Without a reason
    /// they are the loaded ones.
    fn load(
        &mut self,
        fetched: Fetched,
        changed: bool,
        reason: Option<Reason>,
        trigger: Trigger,
    ) -> bool {
        if let Some(reason) = reason {
            self.report_loss(&fetched.snapshot, reason);
        }
        let current = match (&self.held, reason) {
            (Some(held), None) if !changed => Arc::clone(held),
            _ => Arc::clone(&fetched.snapshot),
        };
        if reason.is_some_and(Reason::is_unexplained) {
            // That was logged, and it is not what the source answers that changed.
            self.logged_doubt = None;
        }
        let before = self.held.replace(Arc::clone(&current));
        let polled = matches!(trigger, Trigger::Poll | Trigger::Full);
        let pushed = self
            .pushed
            .take_if(|at| changed || at.elapsed() > PUSH_LASTS);
        let pushed = pushed.is_some_and(|at| at.elapsed() <= PUSH_LASTS);
        let missed = changed && polled && before.is_some() && !pushed;
        self.succeed(&current, |counts| {
            counts.changes += u64::from(changed);
            counts.changes_without_push += u64::from(missed);
        });
        // Of a loss that had to be confirmed, more is logged.
        let news = before.is_none() || (changed && reason == Some(Reason::Change));
        if news && current.is_empty() && current.left_out().flags == 0 {
            tracing::warn!(source = self.source.name(), "the source has no flags");
        }
        if changed {
            self.report_change(&fetched.problems, &current, missed);
        }
        let full = trigger.occasion() != Occasion::Poll && trigger.occasion() != Occasion::Hint;
        if let (true, Some(set)) = (reason.is_some() || full, fetched.set) {
            let empty = set.get().is_none_or(|set| set.flags.is_empty());
            let emptied = changed && empty;
            let lost = emptied || (reason.is_some() && self.detector.lost_flags());
            // Nothing can start from a copy without flags: it only says that there
            // were some.
            if !empty || before.is_some_and(|before| !before.is_empty()) {
                let lost = std::mem::take(&mut self.keeps_copy) || lost;
                self.save(set, lost);
            }
        }
        changed
    }

    /// Logs that flags are loaded although they lose others, or are older.
    fn report_loss(&self, flags: &Snapshot, reason: Reason) {
        let source = self.source.name();
        let before = self.held.as_ref().map_or(0, |held| held.len());
        let (now, version) = (flags.len(), flags.version());
        let message = match reason {
            Reason::Change => return,
            Reason::Deletions => {
                tracing::warn!(source, before, now, version, "many flags were deleted");
                return;
            }
            Reason::LossConfirmed => {
                "loading fewer flags: all answers during the confirmation time lack the same ones"
            }
            Reason::RolledBack => {
                "loading older flags: the database of the source was probably restored from a backup"
            }
            Reason::Accepted => "loading the flags of the source: an operator accepted the loss",
        };
        tracing::error!(source, before, now, version, "{message}");
    }

    /// Logs what changed, and whether no notification had announced it.
    fn report_change(&mut self, problems: &NewProblems, now: &Snapshot, missed: bool) {
        let source = self.source.name();
        for problem in &problems.reported {
            tracing::error!(
                flag = &*excerpt::name(&problem.flag_key),
                id = problem.flag_id,
                problem = problem.message,
                "a flag cannot be evaluated and answers defaults"
            );
        }
        if problems.more > 0 {
            let flags = problems.more;
            tracing::error!(flags, "more flags cannot be evaluated and answer defaults");
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
        if missed && pushes > 0 && self.missed.allows(()) {
            tracing::warn!(source, "a poll found a change that no push had announced");
        }
    }

    /// Saves a set as the last-known-good copy. If it lost flags, the copy before
    /// it is kept as the previous generation.
    fn save(&self, set: Offloaded<FlagSet>, lost: bool) {
        let Some(saver) = &self.saver else {
            return;
        };
        let Some(set) = set.into_inner() else {
            return;
        };
        let provenance = Provenance {
            source: self.source.name(),
            identity: Identity::of(&self.source.identity()),
            saved_at: SystemTime::now(),
            id: self.detector.confirmed(),
        };
        let make = move |packing| encode(&set, &provenance, packing);
        if lost {
            saver.submit_after_loss(make);
        } else {
            saver.submit(make);
        }
    }
}
