//! What is served now: swapped as a whole, read without a lock.
//!
//! Readers load one pointer and hold on to it, so that a snapshot, the
//! overrides and the mark of staleness that one request sees belong together.
//! Writers take turns.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::evaluate::EmptyEntity;
use crate::overrides::Overrides;
use crate::snapshot::Snapshot;

/// Everything that evaluations need beside a context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) overrides: Arc<Overrides>,
    pub(crate) empty_entity: EmptyEntity,
    /// The last attempt to fetch flags failed.
    pub(crate) stale: bool,
}

/// Holds what is served.
#[derive(Debug, Default)]
pub(crate) struct Store {
    served: ArcSwap<Served>,
    writing: Mutex<()>,
}

impl Store {
    pub(crate) fn new(served: Served) -> Self {
        Self {
            served: ArcSwap::from_pointee(served),
            writing: Mutex::new(()),
        }
    }

    pub(crate) fn pin(&self) -> Pinned {
        Pinned(self.served.load_full())
    }

    /// Puts something else in place of what is served.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Served)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut served = Served::clone(&self.served.load());
        change(&mut served);
        self.served.store(Arc::new(served));
    }
}

/// Flags as they were at one moment, for layers that make a
/// [`Flags`](crate::Flags) later.
///
/// Cheap to make and to clone.
#[derive(Debug, Clone)]
pub struct Pinned(Arc<Served>);

impl Pinned {
    /// The flags that are pinned.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.0.snapshot
    }

    pub(crate) fn of(served: Served) -> Self {
        Self(Arc::new(served))
    }

    pub(crate) fn served(&self) -> &Served {
        &self.0
    }
}
