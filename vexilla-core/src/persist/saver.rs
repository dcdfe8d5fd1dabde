//! Saving in the background: one save at a time, and of several that wait only the latest.
//!
//! A save never holds up whoever asks for it, and however it fails, the next one is tried.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::document::{Saved, decode};
use super::{AnyLastKnownGood, LastKnownGood, Packing, PersistError, PersistErrorKind};

/// Makes a document for a store.
type Document = Box<dyn FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send>;

/// Saves documents to a store, and loads the last one.
///
/// Dropping it does not end a save that is under way or waits; [`idle`](Self::idle) waits for them.
pub(crate) struct Saver {
    shared: Arc<Shared>,
}

/// How saving went so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaveReport {
    /// When a document was last saved.
    pub(crate) last_success: Option<SystemTime>,
    /// Why the last save failed; `None` when it did not, or there was none.
    pub(crate) last_error: Option<String>,
}

struct Shared {
    store: Arc<dyn AnyLastKnownGood>,
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Default)]
struct State {
    waiting: Option<Document>,
    /// A task is there that saves what waits.
    saving: bool,
    report: SaveReport,
}

impl Saver {
    /// Saves to this store.
    pub(crate) fn new(store: impl LastKnownGood) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Arc::new(store),
                state: Mutex::default(),
                idle: Notify::new(),
            }),
        }
    }

    /// [`LastKnownGood::name`] of the store.
    pub(crate) fn name(&self) -> String {
        self.shared.store.name()
    }

    /// Loads the flags that were saved last; `None` where there are none.
    ///
    /// # Errors
    ///
    /// The store's error, also when it panics, and those of [`decode`].
    pub(crate) async fn load(&self) -> Result<Option<Saved>, PersistError> {
        let store = Arc::clone(&self.shared.store);
        // In a task of its own, which may panic.
        let loaded = tokio::spawn(async move {
            let packing = store.packing();
            store
                .load()
                .await
                .map(|document| document.map(|document| (document, packing)))
        });
        let Some((document, packing)) = loaded.await.map_err(ended)?? else {
            return Ok(None);
        };
        tokio::task::spawn_blocking(move || decode(&document, packing))
            .await
            .map_err(ended)?
            .map(Some)
    }

    /// Has a document saved that `make` makes, on a thread where it may block. It replaces one that still
    /// waits for its turn. The outcome is logged, and told by [`report`](Self::report).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn submit(
        &self,
        make: impl FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send + 'static,
    ) {
        let mut state = self.shared.state();
        state.waiting = Some(Box::new(make));
        if !state.saving {
            state.saving = true;
            tokio::spawn(run(Saving(Some(Arc::clone(&self.shared)))));
        }
    }

    /// Waits until no save is under way or waits, however the last one went. A store that never answers is
    /// waited for, so put a limit around it.
    pub(crate) async fn idle(&self) {
        loop {
            // Made before looking, so that the end does not fall in between.
            let idle = self.shared.idle.notified();
            if !self.shared.state().saving {
                return;
            }
            idle.await;
        }
    }

    /// How saving went so far.
    pub(crate) fn report(&self) -> SaveReport {
        self.shared.state().report.clone()
    }
}

impl fmt::Debug for Saver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saver")
            .field("store", &self.name())
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

/// The right to save. Giving it back tells those who wait, also when the runtime drops the task.
struct Saving(Option<Arc<Shared>>);

impl Saving {
    /// What is to be saved next; gives the right back when there is nothing.
    fn next(&mut self) -> Option<(Arc<Shared>, Document)> {
        let shared = self.0.take()?;
        let mut state = shared.state();
        let Some(document) = state.waiting.take() else {
            state.saving = false;
            drop(state);
            shared.idle.notify_waiters();
            return None;
        };
        drop(state);
        self.0 = Some(Arc::clone(&shared));
        Some((shared, document))
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.state().saving = false;
            shared.idle.notify_waiters();
        }
    }
}

/// Saves until nothing waits.
async fn run(mut saving: Saving) {
    while let Some((shared, make)) = saving.next() {
        // In a task of its own, which may panic.
        let saved = tokio::spawn(save(Arc::clone(&shared.store), make));
        let outcome = saved.await.map_err(ended).flatten();
        shared.record(outcome);
    }
}

async fn save(store: Arc<dyn AnyLastKnownGood>, make: Document) -> Result<(), PersistError> {
    let packing = store.packing();
    let document = tokio::task::spawn_blocking(move || make(packing))
        .await
        .map_err(ended)??;
    store.save(document).await
}

/// The error of a task that panicked, or that the runtime ended.
fn ended(error: tokio::task::JoinError) -> PersistError {
    PersistError::new(PersistErrorKind::Other, "the store did not come to an end").because(error)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers how a save went, and logs it when that is news.
    fn record(&self, outcome: Result<(), PersistError>) {
        let error = outcome.err().map(|error| error.to_string());
        let mut state = self.state();
        if error.is_none() {
            state.report.last_success = Some(SystemTime::now());
        }
        let before = std::mem::replace(&mut state.report.last_error, error.clone());
        drop(state);
        match error {
            Some(error) if before.as_ref() != Some(&error) => tracing::warn!(
                store = self.store.name(),
                error,
                "the last-known-good copy could not be saved; what was saved before stays"
            ),
            None if before.is_some() => tracing::info!(
                store = self.store.name(),
                "the last-known-good copy is saved again"
            ),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
