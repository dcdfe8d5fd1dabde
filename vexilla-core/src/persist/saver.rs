//! Saving in the background: one save at a time, and of several that wait only
//! the latest.
//!
//! A save never holds up whoever asks for it. One that fails is repeated, ever
//! more seldom, until it succeeds or something newer is to be saved.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::document::{Saved, decode};
use super::{AnyLastKnownGood, LastKnownGood, Packing, PersistError, PersistErrorKind};
use crate::sync::jitter::{jittered, random};
use crate::sync::offload::drop_elsewhere;

/// How long after a save that failed it is repeated for the first time…
const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// …and how long at most, after doubling each time. Give or take 20 %: a fleet
/// may share a store.
const LAST_REPEAT: Duration = Duration::from_secs(60);

/// How long a save may take before it is reported as hanging.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// Makes a document for a store.
type Make = Box<dyn FnOnce(Packing) -> Result<Vec<u8>, PersistError> + Send>;

/// A document that is to be saved.
struct Document {
    make: Make,
    /// It lacks flags that an earlier one has, and none that lacks them was
    /// saved since: the one before it is to be kept.
    lost: bool,
}

/// Saves documents to a store, and loads the last one.
///
/// Dropping it does not end a save that is under way or waits;
/// [`idle`](Self::idle) waits for them. One that failed is then tried once
/// more, at once, and no more.
pub(crate) struct Saver {
    shared: Arc<Shared>,
}

/// How saving went so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaveReport {
    /// When a document was last saved.
    pub(crate) last_success: Option<SystemTime>,
    /// Why the last save failed, or that the one under way hangs; `None` when
    /// neither is so, or there was none.
    pub(crate) last_error: Option<String>,
}

struct Shared {
    store: Arc<dyn AnyLastKnownGood>,
    /// Held for a few assignments at a time. Nothing is dropped, woken or
    /// spawned under it: a runtime that shuts down drops a new task at once,
    /// and that takes this lock.
    state: Mutex<State>,
    /// Read on the path of a request; held for one assignment at a time.
    report: Mutex<Arc<SaveReport>>,
    /// Nothing is under way any more, or a save has ended.
    idle: Notify,
    /// Something newer waits, or nobody wants to wait for a repeat any more.
    hurry: Notify,
}

#[derive(Default)]
struct State {
    waiting: Option<Document>,
    /// A document that lost flags could not be saved: the next one has lost
    /// them, too.
    lost: bool,
    /// A task is there that saves what waits.
    saving: bool,
    /// How many wait until nothing is under way; the saver counts as one when
    /// it is dropped.
    ending: usize,
}

impl Saver {
    /// Saves to this store.
    pub(crate) fn new(store: impl LastKnownGood) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Arc::new(store),
                state: Mutex::default(),
                report: Mutex::default(),
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
    /// The store's error, also when it panics or takes longer than the limit,
    /// and those of [`decode`], which may take as long as it likes.
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

    /// Has a document saved that `make` makes, on a thread where it may block.
    /// It replaces one that still waits for its turn, or for being tried again.
    /// The outcome is logged, and told by [`report`](Self::report).
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

    /// [`submit`](Self::submit) for flags of which some were lost: the document
    /// that is saved now is kept as the previous generation. Call it once for
    /// each loss, not for later saves of the same flags.
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

    fn add(&self, make: Make, lost: bool) {
        let (replaced, starts) = self.shared.state().add(Document { make, lost });
        self.shared.hurry.notify_waiters();
        if let Some(replaced) = replaced {
            drop_elsewhere(replaced);
        }
        if starts {
            tokio::spawn(run(Saving::new(Arc::clone(&self.shared))));
        }
    }

    /// Waits until no save is under way or waits, however the last one went. A
    /// store that never answers is waited for, so put a limit around it.
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

    /// Waits until no save is under way or waits, or one has failed, which is
    /// repeated in the background.
    pub(crate) async fn tried(&self) {
        loop {
            // Made before looking, so that the end does not fall in between.
            let idle = self.shared.idle.notified();
            if !self.shared.state().saving || self.report().last_error.is_some() {
                return;
            }
            idle.await;
        }
    }

    /// How saving went so far.
    pub(crate) fn report(&self) -> SaveReport {
        SaveReport::clone(&self.shared.report())
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

impl State {
    /// Has a document wait in place of the one that waited, which is returned;
    /// tells whether a task is to be started, too.
    fn add(&mut self, mut document: Document) -> (Option<Document>, bool) {
        let replaced = self.waiting.take();
        // It lacks what the replaced one lacks.
        document.lost |= replaced.as_ref().is_some_and(|replaced| replaced.lost);
        self.waiting = Some(document);
        let starts = !std::mem::replace(&mut self.saving, true);
        (replaced, starts)
    }
}

/// The right to save. Giving it back tells those who wait, also when the
/// runtime drops the task.
struct Saving {
    shared: Option<Arc<Shared>>,
    /// The document that is being saved lost flags.
    lost: bool,
}

impl Saving {
    fn new(shared: Arc<Shared>) -> Self {
        let (shared, lost) = (Some(shared), false);
        Self { shared, lost }
    }

    /// What is to be saved next; gives the right back when there is nothing.
    fn next(&mut self) -> Option<(Arc<Shared>, Make)> {
        let shared = self.shared.take()?;
        let mut state = shared.state();
        // Of a document that was given up.
        state.lost |= std::mem::take(&mut self.lost);
        let Some(document) = state.waiting.take() else {
            state.saving = false;
            drop(state);
            shared.idle.notify_waiters();
            return None;
        };
        self.lost = std::mem::take(&mut state.lost) || document.lost;
        drop(state);
        self.shared = Some(Arc::clone(&shared));
        Some((shared, document.make))
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let mut state = shared.state();
            state.saving = false;
            state.lost |= self.lost;
            drop(state);
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
        loop {
            if shared.save(document.clone(), saving.lost).await {
                saving.lost = false;
                break;
            }
            if !shared.repeats(wait).await {
                break;
            }
            wait = wait.saturating_mul(2).min(LAST_REPEAT);
        }
    }
}

async fn made(store: Arc<dyn AnyLastKnownGood>, make: Make) -> Result<Vec<u8>, PersistError> {
    let packing = store.packing();
    tokio::task::spawn_blocking(move || make(packing))
        .await
        .map_err(ended)?
}

/// The error of a task that panicked, or that the runtime ended.
fn ended(error: tokio::task::JoinError) -> PersistError {
    let message = "the save or load was interrupted: its task panicked or the runtime shut down";
    PersistError::new(PersistErrorKind::Other, message).because(error)
}

/// The error of a save that has not ended yet.
fn hangs() -> PersistError {
    let message = format!(
        "saving has not finished for more than {HANGS_AFTER:?}; the store may hang, and nothing else is saved until it ends"
    );
    PersistError::new(PersistErrorKind::Other, message)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The report as it is now.
    fn report(&self) -> Arc<SaveReport> {
        let report = self.report.lock();
        Arc::clone(&report.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a report in place of another, which is returned.
    fn publish(&self, report: Arc<SaveReport>) -> Arc<SaveReport> {
        let published = self.report.lock();
        let mut published = published.unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *published, report)
    }

    /// Saves a document; tells whether it is saved.
    async fn save(&self, document: Vec<u8>, lost: bool) -> bool {
        let store = Arc::clone(&self.store);
        // In a task of its own, which may panic.
        let mut saved = tokio::spawn(async move {
            if lost {
                store.save_after_loss(document).await
            } else {
                store.save(document).await
            }
        });
        let ended_in_time = timeout(HANGS_AFTER, &mut saved).await;
        let outcome = match ended_in_time {
            Ok(outcome) => outcome,
            // It is not given up: another save could hang as well, and the older
            // document could replace the newer one.
            Err(_) => {
                self.record(Err(hangs()));
                saved.await
            }
        };
        let outcome = outcome.map_err(ended).flatten();
        let saved = outcome.is_ok();
        self.record(outcome);
        saved
    }

    /// Waits to repeat a save that failed; tells whether to do so. If somebody
    /// wants to come to an end, it is repeated once more at once.
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
        // Only the task that has the right to save gets here.
        let before = self.report();
        self.publish(Arc::new(SaveReport {
            last_success: match error {
                None => Some(SystemTime::now()),
                Some(_) => before.last_success,
            },
            last_error: error.clone(),
        }));
        self.idle.notify_waiters();
        let before = before.last_error.as_ref();
        match error {
            Some(error) if before != Some(&error) => tracing::warn!(
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
