//! Keeps flags fresh, and serves them during outages.
//!
//! | Module | Purpose |
//! |---|---|
//! | [`worker`] | the loop: when the source is checked |
//! | [`checker`] | one check of the source |
//! | [`caller`] | one request, with its time limit |
//! | [`fetched`] | compiles the flags that came |
//! | [`offload`] | frees large values elsewhere than on the runtime's threads |
//! | [`detect`] | decides whether the flags that came are loaded |
//! | [`load`] | loads them, or keeps the loaded ones and reports why |
//! | [`log_limit`] | decides which failures are logged |
//! | [`backoff`] | decides when the source may be asked again |
//! | [`degradation`] | decides which flags are served, and their level |
//! | [`status`] | the public status |
//! | [`inbox`] | requests of handles to the loop |
//! | [`start`] | how long a start waits for the first fetch |
//!
//! One task does all of it; handles send it requests through the inbox and read
//! what it publishes. Whatever goes wrong, the loaded flags stay.

mod backoff;
mod caller;
mod checker;
mod degradation;
mod detect;
mod fetched;
mod inbox;
pub(crate) mod jitter;
mod load;
mod log_limit;
pub(crate) mod offload;
mod panics;
mod start;
mod status;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use backoff::BreakerState;
pub use status::{Counts, Download, Level, Status, StatusWatch};

use crate::filter::Filter;
use crate::limits::Limits;
use crate::overrides::Overrides;
use crate::persist::{PersistError, PersistErrorKind, Saver};
use crate::snapshot::Snapshot;
use crate::source::{AnySource, SourceError};
use crate::store::Store;
use checker::Checker;
use degradation::{Degradation, Fallback, Freshness};
use detect::Occasion;
use inbox::Inbox;
use start::Wait;
use worker::{Ended, Worker};

/// After a successful check, flags are live for so many poll intervals.
const LIVE_FOR: u32 = 3;

/// Why the source is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// It is time to look whether something changed.
    Poll,
    /// It is time to fetch all flags.
    Full,
    /// The source says that it changed.
    Changed,
    /// Somebody else says so.
    Hint,
    /// Somebody waits for a fetch.
    Refresh,
    /// The same, and an operator accepts whatever the source answers.
    Accept,
}

impl Trigger {
    fn occasion(self) -> Occasion {
        match self {
            Self::Poll => Occasion::Poll,
            Self::Hint => Occasion::Hint,
            Self::Full | Self::Changed | Self::Refresh => Occasion::Full,
            Self::Accept => Occasion::Accept,
        }
    }
}

/// How flags are kept fresh.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) poll_interval: Duration,
    pub(crate) full_interval: Duration,
    pub(crate) slow_retry: Duration,
    pub(crate) retry_after_limit: Duration,
    pub(crate) cache_interval: Duration,
    pub(crate) loss_confirmation: Duration,
    pub(crate) max_stale: Option<Duration>,
    /// How long a start waits where it could do without the source, if that was
    /// set.
    pub(crate) start_wait: Option<Duration>,
    /// Whether a start succeeds though no flags were restored or fetched.
    pub(crate) starts_without_flags: bool,
    pub(crate) filter: Filter,
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(10),
            full_interval: Duration::from_secs(300),
            slow_retry: Duration::from_secs(60),
            retry_after_limit: Duration::from_secs(60),
            cache_interval: Duration::from_secs(3),
            loss_confirmation: Duration::from_secs(60),
            max_stale: None,
            start_wait: None,
            starts_without_flags: false,
            filter: Filter::new(),
            limits: Limits::new(),
        }
    }
}

impl Settings {
    /// The times that decide which answers are loaded.
    fn times(&self) -> detect::Times {
        detect::Times {
            cache_interval: self.cache_interval,
            loss_confirmation: self.loss_confirmation,
            full_interval: self.full_interval,
            // Somewhat more than the poll interval, which is jittered.
            between_checks: self.poll_interval.saturating_mul(3) / 2,
        }
    }
}

/// What a loop is made of, beside its settings.
pub(crate) struct Parts {
    pub(crate) source: Arc<dyn AnySource>,
    pub(crate) store: Arc<Store>,
    pub(crate) saver: Option<Arc<Saver>>,
    pub(crate) embedded: Arc<Snapshot>,
    pub(crate) emergency: Arc<Overrides>,
}

/// The loop, as handles see it. It ends when this is dropped; a save that is
/// under way is completed even then, as long as the process lives.
pub(crate) struct Sync {
    inbox: Arc<Inbox>,
    degradation: Arc<Degradation>,
    saver: Option<Arc<Saver>>,
    ended: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The loop has ended; the source is no longer polled.
    pub ended: bool,
    /// No save of the last-known-good copy is under way any more. `true` also if
    /// there is no copy, and if the last save failed: see
    /// [`Status::last_known_good_error`].
    pub saved: bool,
}

impl ShutdownReport {
    /// There was nothing to end.
    pub(crate) fn nothing() -> Self {
        Self {
            ended: true,
            saved: true,
        }
    }
}

impl Sync {
    /// Restores what can be restored, starts the loop on the tokio runtime of the
    /// caller, and waits for the first fetch as [`Wait`] says.
    ///
    /// # Errors
    ///
    /// The source's, if there is nothing to serve without it.
    pub(crate) async fn start(parts: Parts, settings: Settings) -> Result<Self, SourceError> {
        let name = parts.source.name();
        let freshness = Freshness {
            live_for: settings.poll_interval.saturating_mul(LIVE_FOR),
            max_stale: settings.max_stale,
        };
        let fallback = Fallback {
            embedded: parts.embedded,
            emergency: parts.emergency,
        };
        let degradation = Degradation::new(
            name.clone(),
            parts.store,
            freshness,
            fallback,
            parts.saver.clone(),
        );
        let mut checker = Checker::new(
            Arc::clone(&parts.source),
            settings.clone(),
            Arc::clone(&degradation),
            parts.saver.clone(),
        );
        let max_stale = settings.max_stale;
        let mut restored = false;
        if let Some(saver) = &parts.saver {
            let copy = fetched::restored(saver, &*parts.source, checker.compiler());
            let outcome = match copy.await {
                Ok(Some(copy)) if is_too_old(copy.age, max_stale) => Err(too_old(copy.age)),
                Ok(Some(copy)) => {
                    checker.restore(copy);
                    restored = true;
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                let (source, store) = (name, saver.name());
                tracing::warn!(source, store, %error, "the last-known-good copy cannot be used");
                if error.kind().may_be_whole() {
                    checker.keep_copy();
                }
                degradation.no_copy(&error);
            }
        }
        let inbox = Arc::new(Inbox::new());
        let wait = Wait::new(&settings, restored);
        // Before the loop starts, so that its first check answers it.
        let fetched = wait.is_wanted().then(|| inbox.refresh());
        let (told, ended) = watch::channel(false);
        let end = Ended {
            inbox: Arc::clone(&inbox),
            degradation: Arc::clone(&degradation),
            told,
        };
        let worker = Worker::new(
            parts.source,
            settings,
            checker,
            Arc::clone(&inbox),
            Arc::clone(&degradation),
        );
        let sync = Self {
            inbox,
            degradation,
            saver: parts.saver,
            ended,
            task: tokio::spawn(worker.run(end)),
        };
        if let Some(fetched) = fetched {
            sync.await_start(wait, fetched).await?;
        }
        Ok(sync)
    }

    /// Fetches now, and waits for what comes of it.
    pub(crate) async fn refresh(&self) -> Result<bool, SourceError> {
        self.inbox.refresh().await
    }

    /// Fetches now, accepts whatever the source answers, and waits for that.
    pub(crate) async fn accept_loss(&self) -> Result<bool, SourceError> {
        self.inbox.accept_loss().await
    }

    /// Says that something changed.
    pub(crate) fn hint(&self) {
        self.inbox.hint();
    }

    pub(crate) fn status(&self) -> Status {
        // The loop, which does it otherwise, may have been shut down.
        self.degradation.tick();
        self.degradation.status()
    }

    pub(crate) fn watch_status(&self) -> StatusWatch {
        StatusWatch {
            status: self.degradation.watch(),
            ended: self.ended.clone(),
        }
    }

    /// Ends the loop, and waits at most so long for it and for a save.
    pub(crate) async fn shut_down(&self, limit: Duration) -> ShutdownReport {
        self.inbox.shut_down();
        let mut ended = self.ended.clone();
        // Its sender goes away with the task, however that ends.
        let over = async {
            let _ = ended.wait_for(|ended| *ended).await;
            if let Some(saver) = &self.saver {
                saver.idle().await;
            }
        };
        let saved = timeout(limit, over).await.is_ok();
        let ended = saved || *self.ended.borrow();
        let (source, flags) = (self.degradation.status().source, "stay as they are");
        tracing::info!(source, ended, saved, flags, "the refreshing was shut down");
        ShutdownReport { ended, saved }
    }
}

/// Whether a copy is too old to be used. Where there is a limit, an unknown age is over it.
fn is_too_old(age: Option<Duration>, max_stale: Option<Duration>) -> bool {
    max_stale.is_some_and(|most| age.is_none_or(|age| age > most))
}

/// Why a copy that was read is not used.
fn too_old(age: Option<Duration>) -> PersistError {
    let message = match age {
        Some(age) => format!("the copy was saved {age:.0?} ago, which is more than max_stale"),
        None => "the age of the copy is unknown, because it was saved by a clock ahead of this one; with max_stale set it is not used".to_owned(),
    };
    PersistError::new(PersistErrorKind::TooOld, message)
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.inbox.shut_down();
        self.task.abort();
    }
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sync")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
