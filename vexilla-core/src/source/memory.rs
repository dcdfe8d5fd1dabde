//! Flags made in code.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Source, SourceError};
use crate::flag::FlagSet;

/// Flags made in code, which can be changed while they are served.
///
/// Clones share the flags. A change is fetched at once by what is built on the
/// source and its clones; await [`Vexilla::refresh`](crate::Vexilla::refresh)
/// to know when.
#[derive(Debug, Default)]
pub struct MemorySource {
    shared: Arc<Shared>,
    /// The version that was fetched last, by this clone.
    fetched: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    flags: FlagSet,
    version: u64,
}

impl MemorySource {
    /// A source of these flags.
    #[must_use]
    pub fn new(flags: impl Into<FlagSet>) -> Self {
        let source = Self::default();
        source.update(|held| *held = flags.into());
        source
    }

    /// Changes the flags.
    pub fn update(&self, change: impl FnOnce(&mut FlagSet)) {
        let mut held = self.held();
        change(&mut held.flags);
        held.version += 1;
        drop(held);
        self.shared.changed.notify_waiters();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        let held = self.shared.held.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemorySource {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            fetched: AtomicU64::new(self.fetched.load(Ordering::Relaxed)),
        }
    }
}

impl Source for MemorySource {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let held = self.held();
        self.fetched.store(held.version, Ordering::Relaxed);
        Ok(held.flags.clone())
    }

    async fn changed(&self) {
        loop {
            // Made before looking, so that no change falls in between.
            let changed = self.shared.changed.notified();
            if self.held().version != self.fetched.load(Ordering::Relaxed) {
                return;
            }
            changed.await;
        }
    }
}
