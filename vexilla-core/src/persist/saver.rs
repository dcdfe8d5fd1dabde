//! Saving in the background: one save at a time, and of several that wait only the latest.
//!
//! A save never holds up whoever asks for it. One that fails is repeated, ever more seldom, until it succeeds or
//! something newer is to be saved.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::document::{Saved, decode};
use super::{AnyLastKnownGood, LastKnownGood, Packing, PersistError, PersistErrorKind};
use crate::sync::jitter::{jittered, random};

/// How long after a save that failed it is repeated for the first time…
const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// …and how long at most, after doubling each time. Give or take 20 %: a fleet may share a store.
const LAST_REPEAT: Duration = Duration::from_secs(60);

/// Makes a document for a store.
type Document = Box<dyn FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send>;

/// Saves documents to a store, and loads the last one.
///
/// Dropping it does not end a save that is under way or waits; [`idle`](Self::idle) waits for them. One that
/// failed is then tried once more, at once, and no more.
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
    /// Something newer waits, or nobody wants to wait for a repeat any more.
    hurry: Notify,
}

#[derive(Default)]
struct State {
    waiting: Option<Document>,
    /// Flags were lost since the last save that succeeded: what is saved there now is to be kept.
    lost: bool,
    /// A task is there that saves what waits.
    saving: bool,
    /// How many wait until nothing is under way; the saver counts as one when it is dropped.
    ending: usize,
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
                hurry: Notify::new(),
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
    /// The store's error, also when it panics or takes longer than the limit, and those of [`decode`], which
    /// may take as long as it likes.
    pub(crate) async fn load(&self, limit: Duration) -> Result<Option<Saved>, PersistError> {
        let store = Arc::clone(&self.shared.store);
        // In a task of its own, which may panic.
        let mut loaded = tokio::spawn(async move {
            let packing = store.packing();
            store
                .load()
                .await
                .map(|document| document.map(|document| (document, packing)))
        });
        let Ok(outcome) = timeout(limit, &mut loaded).await else {
            loaded.abort();
            let message = format!("{} gave nothing within {limit:?}", self.name());
            return Err(PersistError::new(PersistErrorKind::Other, message));
        };
        let Some((document, packing)) = outcome.map_err(ended)?? else {
            return Ok(None);
        };
        tokio::task::spawn_blocking(move || decode(&document, packing))
            .await
            .map_err(ended)?
            .map(Some)
    }

    /// Has a document saved that `make` makes, on a thread where it may block. It replaces one that still
    /// waits for its turn, or for being tried again. The outcome is logged, and told by
    /// [`report`](Self::report).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn submit(
        &self,
        make: impl FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send + 'static,
    ) {
        self.add(Box::new(make), false);
    }

    /// [`submit`](Self::submit) for flags of which some were lost: the document that is saved now is kept as
    /// the previous generation. Call it once for each loss, not for later saves of the same flags.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn submit_after_loss(
        &self,
        make: impl FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send + 'static,
    ) {
        self.add(Box::new(make), true);
    }

    fn add(&self, document: Document, lost: bool) {
        let mut state = self.shared.state();
        state.waiting = Some(document);
        state.lost |= lost;
        self.shared.hurry.notify_waiters();
        if !state.saving {
            state.saving = true;
            tokio::spawn(run(Saving(Some(Arc::clone(&self.shared)))));
        }
    }

    /// Waits until no save is under way or waits, however the last one went. A store that never answers is
    /// waited for, so put a limit around it.
    pub(crate) async fn idle(&self) {
        let _ending = Ending::new(&self.shared);
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

impl Drop for Saver {
    fn drop(&mut self) {
        // For good.
        std::mem::forget(Ending::new(&self.shared));
    }
}

/// While it is there, a save that failed is not waited with.
struct Ending<'a>(&'a Shared);

impl<'a> Ending<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.state().ending += 1;
        shared.hurry.notify_waiters();
        Self(shared)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().ending -= 1;
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
        let made = tokio::spawn(made(Arc::clone(&shared.store), make));
        let document = match made.await.map_err(ended).flatten() {
            Ok(document) => document,
            // It would be no better if it were made again.
            Err(error) => {
                shared.record(Err(error));
                continue;
            }
        };
        let mut wait = FIRST_REPEAT;
        while !shared.save(document.clone()).await && shared.repeats(wait).await {
            wait = wait.saturating_mul(2).min(LAST_REPEAT);
        }
    }
}

async fn made(store: Arc<dyn AnyLastKnownGood>, make: Document) -> Result<Vec<u8>, PersistError> {
    let packing = store.packing();
    tokio::task::spawn_blocking(move || make(packing))
        .await
        .map_err(ended)?
}

/// The error of a task that panicked, or that the runtime ended.
fn ended(error: tokio::task::JoinError) -> PersistError {
    PersistError::new(PersistErrorKind::Other, "the store did not come to an end").because(error)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves a document; tells whether it is saved.
    async fn save(&self, document: Vec<u8>) -> bool {
        let lost = std::mem::take(&mut self.state().lost);
        let store = Arc::clone(&self.store);
        // In a task of its own, which may panic.
        let saved = tokio::spawn(async move {
            if lost {
                store.save_after_loss(document).await
            } else {
                store.save(document).await
            }
        });
        let outcome = saved.await.map_err(ended).flatten();
        let saved = outcome.is_ok();
        self.state().lost |= lost && !saved;
        self.record(outcome);
        saved
    }

    /// Waits to repeat a save that failed; tells whether to do so. If somebody wants to come to an end, it is
    /// repeated once more at once.
    async fn repeats(&self, wait: Duration) -> bool {
        // Made before looking, so that nothing falls in between.
        let hurry = self.hurry.notified();
        {
            let state = self.state();
            if state.waiting.is_some() || state.ending > 0 {
                return false;
            }
        }
        tokio::select! {
            () = sleep(jittered(wait, 0.8, 1.2, random())) => true,
            () = hurry => self.state().waiting.is_none(),
        }
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
