//! What handles ask of the loop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use crate::source::{SourceError, SourceErrorKind};

/// Whether the flags changed, or why that is not known.
pub(super) type Refreshed = Result<bool, SourceError>;

/// What handles ask of the loop. Duplicate requests are merged.
#[derive(Debug)]
pub(super) struct Inbox {
    asked: Mutex<Asked>,
    news: Notify,
    shut_down: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Asked {
    waiting: Vec<Waiting>,
    hints: u64,
    closed: bool,
}

/// Somebody who waits for a fetch.
#[derive(Debug)]
pub(super) struct Waiting {
    answer: oneshot::Sender<Refreshed>,
    /// Accepts whatever the source answers.
    pub(super) accepts_loss: bool,
}

impl Waiting {
    /// Tells what came of the fetch.
    pub(super) fn answer(self, outcome: Refreshed) {
        // Whoever asked may have gone.
        let _ = self.answer.send(outcome);
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            asked: Mutex::default(),
            news: Notify::new(),
            shut_down: watch::Sender::new(false),
        }
    }

    /// Asks for a fetch, at the call; the future waits for what comes of it.
    pub(super) fn refresh(self: &Arc<Self>) -> impl Future<Output = Refreshed> + Send + use<> {
        self.ask(false)
    }

    /// The same, and accepts whatever the source answers.
    pub(super) fn accept_loss(self: &Arc<Self>) -> impl Future<Output = Refreshed> + Send + use<> {
        self.ask(true)
    }

    fn ask(self: &Arc<Self>, accepts_loss: bool) -> impl Future<Output = Refreshed> + Send + use<> {
        let (answer, outcome) = oneshot::channel();
        {
            let mut asked = self.asked();
            // Where the loop has ended, the answer is dropped.
            if !asked.closed {
                asked.waiting.push(Waiting {
                    answer,
                    accepts_loss,
                });
            }
        }
        self.news.notify_one();
        let inbox = Arc::clone(self);
        async move {
            outcome.await.unwrap_or_else(|_| match inbox.is_closing() {
                true => Err(shut_down()),
                false => Err(SourceError::new(
                    SourceErrorKind::Panicked,
                    "the refresh loop panicked during the check",
                )),
            })
        }
    }

    /// Whether the loop has ended, or was asked to.
    fn is_closing(&self) -> bool {
        self.was_shut_down() || self.asked().closed
    }

    /// Says that something changed.
    pub(super) fn hint(&self) {
        self.asked().hints += 1;
        self.news.notify_one();
    }

    /// Asks the loop to end.
    pub(super) fn shut_down(&self) {
        self.shut_down.send_replace(true);
    }

    /// Whether the loop was asked to end.
    pub(super) fn was_shut_down(&self) -> bool {
        *self.shut_down.borrow()
    }

    /// Waits until the loop is asked to end.
    pub(super) async fn is_shut_down(&self) {
        // The sender is here, so this does not fail.
        let _ = self.shut_down.subscribe().wait_for(|asked| *asked).await;
    }

    /// Waits until something is asked.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes out those who still wait for a fetch.
    pub(super) fn take_waiting(&self) -> Vec<Waiting> {
        let mut waiting = std::mem::take(&mut self.asked().waiting);
        waiting.retain(|waiting| !waiting.answer.is_closed());
        waiting
    }

    /// Whether somebody waits for a fetch.
    pub(super) fn is_awaited(&self) -> bool {
        let mut asked = self.asked();
        asked.waiting.retain(|waiting| !waiting.answer.is_closed());
        !asked.waiting.is_empty()
    }

    /// Takes out the hints: how many there were.
    pub(super) fn take_hints(&self) -> u64 {
        std::mem::take(&mut self.asked().hints)
    }

    /// Rejects all pending and future requests.
    pub(super) fn close(&self) {
        let waiting = {
            let mut asked = self.asked();
            asked.closed = true;
            std::mem::take(&mut asked.waiting)
        };
        // Not under the lock: it wakes those who wait.
        drop(waiting);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shut_down() -> SourceError {
    SourceError::new(SourceErrorKind::ShutDown, "the refresh loop was shut down")
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_check_that_is_dropped_after_a_shutdown_did_not_panic() {
        for (shut_down, kind) in [
            (true, SourceErrorKind::ShutDown),
            (false, SourceErrorKind::Panicked),
        ] {
            let inbox = std::sync::Arc::new(Inbox::new());
            let asked = std::sync::Arc::clone(&inbox);
            let waits = tokio::spawn(async move { asked.refresh().await });
            yield_now().await;
            let waiting = inbox.take_waiting();
            assert_eq!(waiting.len(), 1);
            if shut_down {
                inbox.shut_down();
            }
            drop(waiting);
            assert_eq!(waits.await.unwrap().unwrap_err().kind(), kind);
        }
    }
}
