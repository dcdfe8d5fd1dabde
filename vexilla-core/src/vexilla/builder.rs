//! Settings of a [`Vexilla`] that has a source.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Vexilla;
use super::refresh::{Fetcher, Refresher};
use crate::evaluate::EmptyEntity;
use crate::filter::Filter;
use crate::overrides::Overrides;
use crate::source::{AnySource, Source, SourceError};
use crate::store::{Served, Store};

/// Settings of a [`Vexilla`] that has a source.
#[must_use]
pub struct VexillaBuilder {
    source: Arc<dyn AnySource>,
    refresh_interval: Duration,
    filter: Filter,
    overrides: Overrides,
    empty_entity: EmptyEntity,
    start_without_flags: bool,
}

impl VexillaBuilder {
    pub(super) fn new(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            refresh_interval: Duration::from_secs(10),
            filter: Filter::new(),
            overrides: Overrides::new(),
            empty_entity: EmptyEntity::default(),
            start_without_flags: false,
        }
    }

    /// How long to wait between two fetches, give or take 10 %, so that a fleet
    /// does not march in step. Default: 10 s.
    pub fn refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = interval;
        self
    }

    /// Which flags are held. Default: all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
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

    /// Starts even if the first fetch fails: all flags are unknown, so that
    /// getters give their defaults, until a later fetch succeeds.
    pub fn start_without_flags(mut self) -> Self {
        self.start_without_flags = true;
        self
    }

    /// Fetches the flags for the first time and starts refreshing them, on the
    /// tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// The source's error at the first fetch, unless
    /// [`start_without_flags`](Self::start_without_flags) is set.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn build(self) -> Result<Vexilla, SourceError> {
        let store = Arc::new(Store::new(Served {
            overrides: Arc::new(self.overrides),
            empty_entity: self.empty_entity,
            ..Served::default()
        }));
        let fetcher = Arc::new(Fetcher::new(self.source, self.filter, Arc::clone(&store)));
        match fetcher.fetch().await {
            Err(error) if !self.start_without_flags => return Err(error),
            _ => {}
        }
        let refresher = Refresher::start(fetcher, self.refresh_interval);
        Ok(Vexilla {
            store,
            refresher: Some(Arc::new(refresher)),
        })
    }
}

impl fmt::Debug for VexillaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VexillaBuilder")
            .field("source", &self.source.name())
            .field("refresh_interval", &self.refresh_interval)
            .field("filter", &self.filter)
            .field("overrides", &self.overrides)
            .field("empty_entity", &self.empty_entity)
            .field("start_without_flags", &self.start_without_flags)
            .finish()
    }
}
