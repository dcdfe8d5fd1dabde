//! Keeps flags fresh: fetches them at an interval and whenever the source says
//! that they changed.
//!
//! A fetch that fails leaves what is held as it was, and marks it as stale
//! until one succeeds.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::filter::Filter;
use crate::snapshot::Snapshot;
use crate::source::{AnySource, SourceError};
use crate::store::Store;

/// Fetches flags into a store, one fetch at a time.
pub(super) struct Fetcher {
    source: Arc<dyn AnySource>,
    filter: Filter,
    store: Arc<Store>,
    fetching: Mutex<()>,
}

impl Fetcher {
    pub(super) fn new(source: Arc<dyn AnySource>, filter: Filter, store: Arc<Store>) -> Self {
        Self {
            source,
            filter,
            store,
            fetching: Mutex::new(()),
        }
    }

    /// Fetches once; tells whether flags changed.
    pub(super) async fn fetch(&self) -> Result<bool, SourceError> {
        let _fetching = self.fetching.lock().await;
        let before = self.store.pin();
        let snapshot = match self.next_after(before.snapshot()).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(
                    source = self.source.name(),
                    %error,
                    flags = before.snapshot().len(),
                    "flags could not be fetched; those that are held stay"
                );
                self.store.update(|served| served.stale = true);
                return Err(error);
            }
        };
        let changed = !snapshot.same_flags(before.snapshot());
        if changed {
            self.report(before.snapshot(), &snapshot);
        }
        if changed || before.served().stale {
            self.store.update(|served| {
                served.snapshot = Arc::new(snapshot);
                served.stale = false;
            });
        }
        Ok(changed)
    }

    async fn next_after(&self, before: &Arc<Snapshot>) -> Result<Snapshot, SourceError> {
        let set = self.source.fetch().await?;
        let (filter, before) = (self.filter.clone(), Arc::clone(before));
        // Away from the runtime's own threads: many flags, or costly patterns,
        // may take a while.
        tokio::task::spawn_blocking(move || Snapshot::build(set, &filter, Some(&before)))
            .await
            .map_err(SourceError::other)
    }

    fn report(&self, before: &Snapshot, now: &Snapshot) {
        let known: HashSet<_> = before.problems().collect();
        for problem in now.problems().filter(|problem| !known.contains(problem)) {
            tracing::error!(
                flag = problem.flag_key,
                id = problem.flag_id,
                problem = problem.message,
                "a flag cannot be evaluated and answers defaults"
            );
        }
        tracing::info!(
            source = self.source.name(),
            flags = now.len(),
            version = now.version(),
            left_out = now.left_out().flags,
            left_out_bytes = now.left_out().bytes,
            "flags changed"
        );
    }
}

/// A task that fetches again and again; it ends when this is dropped.
pub(super) struct Refresher {
    fetcher: Arc<Fetcher>,
    task: JoinHandle<()>,
}

impl Refresher {
    pub(super) fn start(fetcher: Arc<Fetcher>, interval: Duration) -> Self {
        let task = tokio::spawn(run(Arc::clone(&fetcher), interval));
        Self { fetcher, task }
    }

    pub(super) async fn refresh(&self) -> Result<bool, SourceError> {
        self.fetcher.fetch().await
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Refresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresher")
            .field("source", &self.fetcher.source.name())
            .finish_non_exhaustive()
    }
}

async fn run(fetcher: Arc<Fetcher>, interval: Duration) {
    loop {
        // Either way it is time to fetch.
        let _ = tokio::time::timeout(jittered(interval), fetcher.source.changed()).await;
        // What goes wrong is logged and marked.
        let _ = fetcher.fetch().await;
    }
}

/// The interval, give or take 10 %.
fn jittered(interval: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 2001;
    let percent = 0.9 + random as f64 / 10_000.0;
    interval.mul_f64(percent)
}
