//! Settings of a [`Vexilla`] that has a source.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Vexilla;
use crate::evaluate::EmptyEntity;
use crate::filter::Filter;
use crate::flag::FlagSet;
use crate::limits::Limits;
use crate::overrides::{OverrideValue, Overrides};
use crate::persist::{LastKnownGood, Saver};
use crate::snapshot::Snapshot;
use crate::source::{AnySource, Source, SourceError};
use crate::store::{Served, Store};
use crate::sync::{Parts, Settings, Sync};

/// Settings of a [`Vexilla`] that has a source.
#[must_use]
pub struct VexillaBuilder {
    source: Arc<dyn AnySource>,
    settings: Settings,
    overrides: Overrides,
    empty_entity: EmptyEntity,
    last_known_good: Option<Saver>,
    embedded: Option<FlagSet>,
    emergency: Overrides,
    start_without_flags: bool,
}

impl VexillaBuilder {
    pub(super) fn new(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            settings: Settings::default(),
            overrides: Overrides::new(),
            empty_entity: EmptyEntity::default(),
            last_known_good: None,
            embedded: None,
            emergency: Overrides::new(),
            start_without_flags: false,
        }
    }

    /// How often to poll the source, give or take 10 %, so that a fleet does not
    /// poll in step. Vexilla polls Flagr's latest snapshot ID; a source that has
    /// none gives all flags. Default: 10 s; at least 10 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How often to fetch all flags whatever the latest snapshot ID is, give or
    /// take 10 %; the first time after a random part of it. An export that does
    /// not change for so long after the ID rose is accepted as it is.
    /// Default: 5 min; at least 10 ms.
    pub fn full_refresh_interval(mut self, interval: Duration) -> Self {
        self.settings.full_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How long to wait after an answer that does not change by itself: 401,
    /// 403, 404, 501 and their like; give or take 10 %, and at least a poll
    /// interval. A notification or a refresh shortens it: after fixing the
    /// credentials, [`Vexilla::refresh`] or `POST /admin/refresh` checks at once.
    /// Default: 60 s.
    pub fn slow_retry_interval(mut self, interval: Duration) -> Self {
        self.settings.slow_retry = interval;
        self
    }

    /// How often Flagr renews the cache that it exports from, its
    /// `FLAGR_EVALCACHE_REFRESHINTERVAL`. A change that Flagr has announced is
    /// waited for as long as four of them. Default: 3 s, as in Flagr.
    pub fn flagr_cache_interval(mut self, interval: Duration) -> Self {
        self.settings.cache_interval = interval;
        self
    }

    /// How long answers must agree on which flags are missing before a loss of
    /// flags is loaded that Flagr's latest snapshot ID does not explain by
    /// deletions; at least three answers. Until then the loaded flags stay, and
    /// are stale. [`Vexilla::accept_loss`] loads such flags at once. Only for
    /// flags of an export; those of a flags file or code are loaded as they come.
    /// Default: 1 min.
    pub fn loss_confirmation(mut self, time: Duration) -> Self {
        self.settings.loss_confirmation = time;
        self
    }

    /// The longest pause that a server can ask for with `Retry-After`; longer
    /// pauses are shortened to this. Default: 60 s.
    pub fn retry_after_limit(mut self, limit: Duration) -> Self {
        self.settings.retry_after_limit = limit;
        self
    }

    /// How long flags are served at all while the source does not answer, counted
    /// from its last answer; never less than three poll intervals. Then they give way to
    /// the [`embedded`](Self::embedded) ones and the
    /// [`emergency_default`](Self::emergency_default)s until the source is back.
    ///
    /// The time in which the source answers, and has nothing better than the loaded
    /// flags, does not count. In an outage flags give way at once. After a process was suspended they give way one second after
    /// their age was noticed, so that the source can be checked first. Default:
    /// without end.
    pub fn max_stale(mut self, age: Duration) -> Self {
        self.settings.max_stale = Some(age);
        self
    }

    /// Keeps a copy of the last good flags, and starts from it: what it holds
    /// is served at once, and the source is reached in the background. The copy
    /// is written after each change and at each full refresh; where
    /// [`max_stale`](Self::max_stale) is set, full refreshes are at most a quarter of
    /// it apart (but no closer than polls), so that a restart finds a copy that is
    /// not too old. While the source fails or its answers are doubtful, the copy stays
    /// as it is, and may become too old. A copy that is
    /// of another source ([`Source::identity`]), not whole, without flags,
    /// older than [`max_stale`](Self::max_stale) (as one from a clock ahead
    /// counts), or not read within 5 s, is not used; [`Status`] says why.
    /// Default: no copy.
    ///
    /// [`Status`]: crate::Status
    pub fn last_known_good(mut self, store: impl LastKnownGood) -> Self {
        self.last_known_good = Some(Saver::new(store));
        self
    }

    /// How long [`build`](Self::build) waits for the source where it can start
    /// without it:
    ///
    /// | At the start | Default |
    /// |---|---|
    /// | a copy was restored | not at all: the copy is served at once |
    /// | nothing was restored, and [`start_without_flags`](Self::start_without_flags) or [`embedded`](Self::embedded) is set | 5 s |
    ///
    /// After that time `build` returns, and the fetch goes on in the background.
    /// Where flags are required, `build` waits until the fetch has ended, whatever
    /// is set here.
    ///
    /// `build` also waits until the fetched flags are saved to the copy, or could
    /// not be saved: within the time that is set here, or by default at most 1 s.
    /// Nothing waits for later saves but [`Vexilla::shutdown`].
    ///
    /// Set it in programs that end soon, such as a command or a cron job. Without
    /// it they answer from the copy every time, end before the first download, and
    /// never renew the copy. To save what later fetches change, such a program also
    /// awaits [`Vexilla::shutdown`] before it ends.
    pub fn start_wait(mut self, wait: Duration) -> Self {
        self.settings.start_wait = Some(wait);
        self
    }

    /// Flags to serve at the level [`Level::Defaults`](crate::Level::Defaults): no
    /// flags were fetched or restored yet, or they are older than
    /// [`max_stale`](Self::max_stale). With them, [`build`](Self::build) does not
    /// fail, and waits for the source at most
    /// [`start_wait`](Self::start_wait), by default 5 s. Default: none.
    pub fn embedded(mut self, flags: impl Into<FlagSet>) -> Self {
        self.embedded = Some(flags.into());
        self
    }

    /// The value of a flag at the level
    /// [`Level::Defaults`](crate::Level::Defaults), in place of what the
    /// [`embedded`](Self::embedded) flags say. Default: that of the getter.
    ///
    /// It holds only at that level: until the first flags are fetched or restored,
    /// and when they are older than [`max_stale`](Self::max_stale). Once flags are
    /// loaded, it replaces neither a flag that was deleted, nor any flag when the
    /// source has none: then the getter's default answers.
    ///
    /// By itself it does not let [`build`](Self::build) succeed without flags: add
    /// [`start_without_flags`](Self::start_without_flags) or `embedded`.
    ///
    /// The flag is named by its key or by its ID, as for an
    /// [`override`](crate::Overrides). Evaluations have the reason
    /// [`Reason::Default`](crate::Reason::Default), OpenFeature's word for a value
    /// that was configured in advance, and
    /// [`Replacement::EmergencyDefault`](crate::evaluation::Replacement::EmergencyDefault).
    pub fn emergency_default(mut self, key: &str, value: impl Into<OverrideValue>) -> Self {
        self.emergency = self.emergency.set(key, value);
        self
    }

    /// Which flags are held. Default: all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.settings.filter = filter;
        self
    }

    /// What flags may cost to compile and to evaluate. Default: [`Limits::new`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets flags to values of one's own.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// What happens when a context names no entity. Default:
    /// [`EmptyEntity::NoRollout`].
    pub fn empty_entity(mut self, empty_entity: EmptyEntity) -> Self {
        self.empty_entity = empty_entity;
        self
    }

    /// Starts even if nothing is restored and the source is not reached: all
    /// flags are unknown, so that getters give their defaults, until it is.
    /// [`build`](Self::build) waits for the source at most
    /// [`start_wait`](Self::start_wait), by default 5 s.
    pub fn start_without_flags(mut self) -> Self {
        self.start_without_flags = true;
        self
    }

    /// Restores the copy, if there is one, or else fetches the flags, and
    /// starts to keep them fresh, on the tokio runtime of the caller.
    ///
    /// How long it takes, beside the time to compile the flags:
    ///
    /// - reading the copy: at most 5 s;
    /// - where it can start without the source (a copy was restored,
    ///   [`start_without_flags`](Self::start_without_flags) or
    ///   [`embedded`](Self::embedded) is set): at most
    ///   [`start_wait`](Self::start_wait) for the source;
    /// - where it cannot: one request for the latest snapshot ID and one for the
    ///   flags, each within its [`Source::timeouts`]. Of a Flagr that accepts
    ///   connections and never answers, these are `latest_timeout` and `timeout` of
    ///   `FlagrSource`, by default 4 s and 10 s. An error is
    ///   not retried;
    /// - saving what was fetched to the copy: at most 1 s, or `start_wait` where
    ///   that is set. A save that takes longer goes on in the background.
    ///
    /// A service whose liveness is probed should set
    /// [`start_without_flags`](Self::start_without_flags), or listen before it
    /// builds, if its probes do not allow for that time.
    ///
    /// # Errors
    ///
    /// The source's error at the first fetch, if nothing was restored (and why the
    /// copy could not be used, if there is one), and neither
    /// [`embedded`](Self::embedded) flags are given nor
    /// [`start_without_flags`](Self::start_without_flags) is set.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn build(self) -> Result<Vexilla, SourceError> {
        let store = Arc::new(Store::refreshed(Served {
            overrides: self.overrides.shared(),
            empty_entity: self.empty_entity,
            ..Served::default()
        }));
        let settings = Settings {
            starts_without_flags: self.start_without_flags || self.embedded.is_some(),
            ..self.settings
        };
        let embedded = self.embedded.unwrap_or_default();
        let parts = Parts {
            source: self.source,
            store: Arc::clone(&store),
            saver: self.last_known_good.map(Arc::new),
            embedded: Arc::new(Snapshot::build(
                embedded,
                &settings.filter,
                &settings.limits,
                None,
            )),
            emergency: Arc::new(self.emergency),
        };
        let sync = Sync::start(parts, settings).await?;
        Ok(Vexilla {
            store,
            sync: Some(Arc::new(sync)),
        })
    }
}

impl fmt::Debug for VexillaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VexillaBuilder")
            .field("source", &self.source.name())
            .field("settings", &self.settings)
            .field("overrides", &self.overrides)
            .field("empty_entity", &self.empty_entity)
            .field("last_known_good", &self.last_known_good)
            .field(
                "embedded",
                &self.embedded.as_ref().map(|set| set.flags.len()),
            )
            .field("emergency", &self.emergency)
            .field("start_without_flags", &self.start_without_flags)
            .finish()
    }
}
