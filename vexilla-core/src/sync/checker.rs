//! One check of the source: has something changed, and if so, what is it now?
//!
//! A check reads the latest snapshot ID, downloads the flags if it changed, and
//! judges them. A failed request ends the check; the back-off decides when the
//! next one begins.

use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;
use super::degradation::Degradation;
use super::detect::{Detector, Doubt, Occasion, Plan};
use super::fetched::{Compiler, Fetched, Restored};
use super::jitter::random;
use super::log_limit::LogLimit;
use super::offload::drop_elsewhere;
use super::{LIVE_FOR, Settings, Trigger};
use crate::flag::Origin;
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
    caller: Caller,
    /// The latest ID that a poll read whose download then failed, and when it
    /// was read: the next poll goes on from there.
    unfinished: Option<(Option<u64>, Instant)>,
    /// The last check read an ID, and failed to download the flags.
    halfway: bool,
    pub(super) held: Option<Arc<Snapshot>>,
    /// When a push came in, if no change was found since.
    pub(super) pushed: Option<Instant>,
    /// There is a copy that could not be used at the start: the first save keeps
    /// it as the previous generation.
    pub(super) keeps_copy: bool,
    /// Why the loaded flags may be out of date although the source answers, as it
    /// was logged since the source last answered as expected.
    pub(super) logged_doubt: Option<Doubt>,
    /// Doubts that were logged, by their kind.
    pub(super) doubts: LogLimit<Discriminant<Doubt>>,
    /// Changes that were logged and no push had announced.
    pub(super) missed: LogLimit<()>,
    /// Failures that were logged.
    failures: LogLimit<SourceErrorKind>,
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
            unfinished: None,
            halfway: false,
            caller: Caller::new(Arc::clone(&source), Arc::clone(&degradation)),
            source,
            settings,
            degradation,
            saver,
            held: None,
            pushed: None,
            keeps_copy: false,
            logged_doubt: None,
            doubts: LogLimit::default(),
            missed: LogLimit::default(),
            failures: LogLimit::default(),
        }
    }

    /// How the flags of the source are compiled.
    pub(super) fn compiler(&self) -> Compiler {
        Compiler {
            filter: self.settings.filter.clone(),
            limits: self.settings.limits.clone(),
            store: Arc::clone(self.degradation.store()),
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
        self.detector
            .restore(contents, id, age.unwrap_or_default(), now);
        self.held = Some(Arc::clone(&snapshot));
        self.degradation.restored(snapshot, age);
    }

    /// There is a last-known-good copy that cannot be used.
    pub(super) fn keep_copy(&mut self) {
        self.keeps_copy = true;
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
        self.pushed = Some(Instant::now());
    }

    /// Checks once; tells whether flags changed.
    pub(super) async fn check(&mut self, trigger: Trigger) -> Result<bool, SourceError> {
        self.drop_unread();
        self.degradation.count(|counts| counts.checks += 1);
        self.halfway = false;
        let outcome = self.ask(trigger).await;
        if let Err(error) = &outcome {
            self.report_failure(error);
            self.degradation.failed(error);
        }
        outcome
    }

    /// Frees flags that are not served any more and read by nobody.
    fn drop_unread(&self) {
        let unread = self.degradation.store().take_unread();
        if !unread.is_empty() {
            drop_elsewhere(unread);
        }
    }

    /// Logs a failure, and others of its kind more quietly: there may be one each
    /// second, and two kinds in turn.
    fn report_failure(&mut self, error: &SourceError) {
        let source = self.source.name();
        let flags = self.held.as_ref().map_or(0, |held| held.len());
        if !self.failures.allows(error.kind()) {
            tracing::debug!(source, %error, flags, "the check failed again");
        } else if self.held.is_some() {
            tracing::warn!(source, %error, flags, "the check failed; the loaded flags stay");
        } else if self.settings.starts_without_flags {
            tracing::error!(source, %error, "the check failed; no flags are loaded, and defaults are served");
        } else {
            tracing::debug!(source, %error, "the check failed; the start fails");
        }
    }

    async fn ask(&mut self, trigger: Trigger) -> Result<bool, SourceError> {
        let occasion = trigger.occasion();
        let read_before = self.read_before(trigger);
        let (latest, read) = match read_before {
            Some((id, read)) => (Latest::from(id), read),
            None => (self.latest(trigger).await?, Instant::now()),
        };
        let now = Instant::now().into_std();
        let plan = self.detector.announce(latest.id, occasion, now);
        match (plan, &self.held, read_before) {
            (Plan::Nothing, Some(held), None) => {
                let held = Arc::clone(held);
                self.succeed(&held, |_| {});
                return Ok(false);
            }
            (Plan::Wait, Some(_), None) => {
                self.keep(None);
                return Ok(false);
            }
            _ => {}
        }
        let id = latest.id;
        let fetched = self.fetch(latest, occasion).await;
        if let Err(error) = &fetched {
            // Not after a time-out: the small request notices it sooner that the
            // source still hangs.
            self.halfway = id.is_some();
            let goes_on = occasion == Occasion::Poll && !is_timeout(error);
            self.unfinished = goes_on.then_some((id, read));
        }
        let (fetched, latest) = fetched?;
        Ok(self.take(fetched, latest, trigger))
    }

    /// Fetches the flags. The latest ID is read again where what is made of the
    /// flags depends on it: it may have risen since, by the deletions of flags
    /// that are missing.
    async fn fetch(
        &mut self,
        latest: Latest,
        occasion: Occasion,
    ) -> Result<(Fetched, Option<u64>), SourceError> {
        let set = self.caller.fetch().await?;
        self.degradation.count(|counts| counts.fetches += 1);
        let (compiler, before) = (self.compiler(), self.held.clone());
        let fetched = Fetched::compile(set, compiler, before, self.saver.is_some()).await?;
        let contents = &fetched.contents;
        let matters = occasion != Occasion::Accept && self.detector.lacks_flags(contents);
        let latest = match latest {
            // Nothing is made of these flags but what they say.
            Latest { id, .. } if fetched.origin == Origin::File => id,
            // The export is there after all, and perhaps the ID, too.
            Latest {
                unread: Some(_), ..
            } if matters => self.latest_again(None, matters).await?,
            Latest { id: Some(id), .. }
                if !self.detector.has_reached(contents, id) || self.detector.fell_to(id) =>
            {
                match self.latest_again(Some(id), matters).await {
                    Ok(latest) => latest,
                    Err(error) if has_no_number(&error) => None,
                    Err(error) if matters => return Err(error),
                    Err(_) => Some(id),
                }
            }
            Latest { id, .. } => id,
        };
        Ok((fetched, latest))
    }

    /// Reads the latest ID again, and returns the greatest that this check has read:
    /// of several servers, one may be behind. Where it matters, a second time if that fails:
    /// of two servers in turn, the one may be gone.
    async fn latest_again(
        &self,
        before: Option<u64>,
        matters: bool,
    ) -> Result<Option<u64>, SourceError> {
        let mut greatest = before;
        let fell = before.is_some_and(|id| self.detector.fell_to(id));
        if fell || random() < 0.5 {
            // Behind a round robin of two or three servers, three requests per check
            // would always ask the same ones.
            greatest = greatest.max(self.caller.latest().await.unwrap_or(None));
        }
        let latest = match self.caller.latest().await {
            Err(error) if matters && error.is_transient() && !is_timeout(&error) => {
                self.caller.latest().await
            }
            latest => latest,
        };
        let latest = latest?.filter(|id| *id != 0);
        Ok(latest.map(|latest| greatest.map_or(latest, |greatest| latest.max(greatest))))
    }

    /// The ID that the check before read, if that was a poll which then failed
    /// to download the flags a short time ago, and this is one, too.
    fn read_before(&mut self, trigger: Trigger) -> Option<(Option<u64>, Instant)> {
        let lasts = self.settings.poll_interval.saturating_mul(LIVE_FOR);
        let unfinished = self.unfinished.take()?;
        (trigger == Trigger::Poll && unfinished.1.elapsed() <= lasts).then_some(unfinished)
    }

    /// The latest snapshot ID, if flags are worth fetching without it.
    async fn latest(&self, trigger: Trigger) -> Result<Latest, SourceError> {
        let error = match self.caller.latest().await {
            Ok(id) => return Ok(Latest::from(id.filter(|id| *id != 0))),
            Err(error) => error,
        };
        let source = self.source.name();
        tracing::debug!(source, %error, "cannot read the latest snapshot ID; all flags are downloaded and compared");
        if has_no_number(&error) {
            return Ok(Latest::from(None));
        }
        // Where somebody waits, the export is worth a try; and so it is for a
        // full refresh, unless the source hangs.
        let goes_on = match trigger {
            Trigger::Refresh | Trigger::Accept | Trigger::Changed => true,
            Trigger::Full => !is_timeout(&error),
            Trigger::Poll | Trigger::Hint => false,
        };
        if !goes_on {
            return Err(error);
        }
        self.degradation.request_failed(&error);
        Ok(Latest {
            id: None,
            unread: Some(error),
        })
    }
}

/// The latest snapshot ID as it was read.
struct Latest {
    /// `None` if it is unknown, and flags are to be compared.
    id: Option<u64>,
    /// Why it could not be read, though the source has one.
    unread: Option<SourceError>,
}

impl From<Option<u64>> for Latest {
    fn from(id: Option<u64>) -> Self {
        Self { id, unread: None }
    }
}

fn is_timeout(error: &SourceError) -> bool {
    error.kind() == SourceErrorKind::Timeout
}

/// Whether a server may well export flags though it does not give its latest
/// snapshot ID: it does not know the route, or something in front of it answers
/// in its place.
fn has_no_number(error: &SourceError) -> bool {
    error.is_refusal() || error.kind() == SourceErrorKind::Document
}
