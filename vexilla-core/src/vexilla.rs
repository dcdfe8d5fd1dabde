//! The handle that ties a source, the flags that it gave and their refreshing
//! together.

#[cfg(feature = "refresh")]
mod builder;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "refresh")]
pub use builder::VexillaBuilder;

use crate::context::Context;
use crate::evaluate::EmptyEntity;
use crate::filter::Filter;
use crate::flag::FlagSet;
use crate::flags::Flags;
use crate::limits::Limits;
use crate::metrics::{Counters, EvaluationCounts};
use crate::overrides::Overrides;
use crate::snapshot::Snapshot;
use crate::store::{Pinned, Served, Store};

/// Feature flags, held inside the service and kept fresh.
///
/// Cheap to clone; clones share everything. When the last one is dropped, the
/// refreshing ends.
///
/// ```no_run
/// use vexilla_core::{Context, FlagrSource, Vexilla};
///
/// # async fn run() -> Result<(), vexilla_core::SourceError> {
/// let vexilla = Vexilla::builder(FlagrSource::new("http://localhost:18000")?)
///     .build()
///     .await?;
/// let flags = vexilla.flags(Context::new("user-1").with("country", "BR"));
/// if flags.bool("new-feature") {
///     // the new branch
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Vexilla {
    store: Arc<Store>,
    #[cfg(feature = "refresh")]
    sync: Option<Arc<crate::sync::Sync>>,
}

impl fmt::Debug for Vexilla {
    /// How many flags there are and how fresh they are, and nothing of what they
    /// say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pinned = self.pin();
        f.debug_struct("Vexilla")
            .field("snapshot", pinned.snapshot())
            .field("stale", &pinned.served().stale)
            .finish_non_exhaustive()
    }
}

impl Vexilla {
    /// Flags that only [`replace`](Self::replace) changes: for tests, and for
    /// flags that come with the program. Needs no runtime.
    #[must_use]
    pub fn fixed(flags: impl Into<FlagSet>) -> Self {
        Self::fixed_with_limits(flags, &Limits::new())
    }

    /// As [`fixed`](Self::fixed), within other limits than the default ones; they
    /// hold for [`replace`](Self::replace), too.
    #[must_use]
    pub fn fixed_with_limits(flags: impl Into<FlagSet>, limits: &Limits) -> Self {
        let snapshot = Snapshot::build(flags.into(), &Filter::new(), limits, None);
        Self::of(Served {
            snapshot: Arc::new(snapshot),
            ..Served::default()
        })
    }

    fn of(served: Served) -> Self {
        Self {
            store: Arc::new(Store::new(served)),
            #[cfg(feature = "refresh")]
            sync: None,
        }
    }

    /// Flags of a source, kept fresh.
    #[cfg(feature = "refresh")]
    pub fn builder(source: impl crate::source::Source) -> VexillaBuilder {
        VexillaBuilder::new(source)
    }

    /// The flags as they are now, read for a context.
    #[must_use]
    pub fn flags(&self, context: Context) -> Flags {
        self.pin().flags(context)
    }

    /// The flags as they are now, to be read later. Reads the clock, so that
    /// flags that became stale or too old meanwhile are pinned as such.
    #[must_use]
    pub fn pin(&self) -> Pinned {
        self.store.pin()
    }

    /// The flags as they are now, compiled.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.pin().snapshot())
    }

    /// Whether the flags may be out of date: the level of the
    /// [`status`](Self::status) is another than live. Follows the clock, whether or
    /// not the refreshing still runs.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.pin().served().stale
    }

    /// Puts other flags in place of those that are served. Where there is a
    /// source, its next successful check brings its flags back.
    pub fn replace(&self, flags: impl Into<FlagSet>) {
        let before = self.snapshot();
        let limits = before.limits();
        // Before the store is locked: compiling takes its time.
        let snapshot = Snapshot::build(flags.into(), &Filter::new(), limits, Some(&before));
        let snapshot = Arc::new(snapshot);
        self.store.update(|served| served.snapshot = snapshot);
    }

    /// Sets flags to values of one's own. They go before what the flags say,
    /// and take the place of all overrides set before.
    pub fn set_overrides(&self, overrides: Overrides) {
        self.store
            .update(|served| served.overrides = overrides.shared());
    }

    /// [`set_overrides`](Self::set_overrides), by value.
    #[must_use]
    pub fn with_overrides(self, overrides: Overrides) -> Self {
        self.set_overrides(overrides);
        self
    }

    /// Sets what happens when a context names no entity.
    #[must_use]
    pub fn with_empty_entity(self, empty_entity: EmptyEntity) -> Self {
        self.store
            .update(|served| served.empty_entity = empty_entity);
        self
    }

    /// Counts from now on how often each flag gives each variant, see
    /// [`evaluation_counts`](Self::evaluation_counts). Adds some nanoseconds to
    /// each evaluation, and memory to each flag.
    #[must_use]
    pub fn with_evaluation_counts(self) -> Self {
        self.store.update(|served| {
            let counters = Counters::new(&served.snapshot, None);
            served.counters.get_or_insert_with(|| Arc::new(counters));
        });
        self
    }

    /// How often each flag gave each variant since counting began; `None` where
    /// nothing is counted. Counted is each read of a flag through
    /// [`Flags`], [`Flags::all`] and [`Flags::explain`] aside, unless an override
    /// or an emergency default answered it. A flag that is gone takes its counts
    /// with it; all others go on from one version of a flag to the next.
    #[must_use]
    pub fn evaluation_counts(&self) -> Option<EvaluationCounts> {
        let pinned = self.pin();
        let served = pinned.served();
        let counters = served.counters.as_ref()?;
        Some(counters.sums(&served.snapshot))
    }

    /// Fetches the flags, and waits for the outcome: whether they changed. `false`
    /// also if the answer was kept aside; [`Status::last_error`](crate::Status::last_error)
    /// says why.
    ///
    /// The fetch begins after the call: one that is already under way may be
    /// from before what the caller knows. All who call meanwhile share the next
    /// one. It begins 50 ms after the end of the last check, and after failures
    /// or refusals at most about 1 s after it; polls may wait longer. Without a
    /// source there is nothing to fetch.
    ///
    /// # Errors
    ///
    /// The source's error; the flags that are held stay.
    #[cfg(feature = "refresh")]
    pub async fn refresh(&self) -> Result<bool, crate::source::SourceError> {
        match &self.sync {
            Some(sync) => sync.refresh().await,
            None => Ok(false),
        }
    }

    /// Fetches the flags now and loads them, even if they lose flags or are older
    /// than the loaded ones; returns whether they changed. For an operator who
    /// knows that what the source answers is meant, and does not want to wait
    /// until a loss of flags is confirmed. An export that does not show the change
    /// that the latest snapshot ID announced is accepted, too.
    ///
    /// It loads what the next answer says, whichever replica of the source gives
    /// it. While replicas disagree, take the wrong one out first, and compare
    /// [`Status::version`](crate::Status::version) before and after.
    ///
    /// # Errors
    ///
    /// The source's error; the loaded flags stay.
    #[cfg(feature = "refresh")]
    pub async fn accept_loss(&self) -> Result<bool, crate::source::SourceError> {
        match &self.sync {
            Some(sync) => sync.accept_loss().await,
            None => Ok(false),
        }
    }

    /// Says that the source has probably changed, as a webhook does: it is
    /// checked within moments, together with what else is said within 50 ms.
    /// While checks fail, it waits for the next attempt, which is at most a
    /// poll interval away unless the server asked for a pause; after a refusal
    /// (401, 403, 404, 501, …), about 1 s. Does not block.
    #[cfg(feature = "refresh")]
    pub fn hint(&self) {
        if let Some(sync) = &self.sync {
            sync.hint();
        }
    }

    /// How fresh the flags are, and what went wrong lately. Flags without a
    /// source are always live.
    #[cfg(feature = "refresh")]
    #[must_use]
    pub fn status(&self) -> crate::sync::Status {
        match &self.sync {
            Some(sync) => {
                let mut status = sync.status();
                // Evaluations count without publishing a status.
                status.counts.beyond_limits = self.snapshot().evaluations_beyond_limits();
                status
            }
            None => crate::sync::Status::fixed(&self.snapshot()),
        }
    }

    /// The status as it changes, from now on until a [`shutdown`](Self::shutdown).
    #[cfg(feature = "refresh")]
    #[must_use]
    pub fn watch_status(&self) -> crate::sync::StatusWatch {
        match &self.sync {
            Some(sync) => sync.watch_status(),
            None => crate::sync::StatusWatch::never(self.status()),
        }
    }

    /// What changes in the flags that are served, from now on, whatever changes
    /// them: the source, the last-known-good copy, [`replace`](Self::replace).
    /// (Overrides are not flags.)
    #[cfg(feature = "refresh")]
    #[must_use]
    pub fn changes(&self) -> crate::changes::Changes {
        crate::changes::Changes::new(&self.store)
    }

    /// Ends the refreshing for all handles, and waits at most so long until the
    /// loop has ended and a save of the last-known-good copy that is under way
    /// is complete. The flags stay as they are, become stale and, where
    /// [`max_stale`](crate::VexillaBuilder::max_stale) is set, give way to
    /// defaults. A save that failed before is tried once more.
    ///
    /// Dropping the last handle ends it as well, without waiting.
    #[cfg(feature = "refresh")]
    pub async fn shutdown(&self, timeout: std::time::Duration) -> crate::sync::ShutdownReport {
        match &self.sync {
            Some(sync) => sync.shut_down(timeout).await,
            None => crate::sync::ShutdownReport::nothing(),
        }
    }
}
