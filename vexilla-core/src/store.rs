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
    /// The flags may be out of date.
    pub(crate) stale: bool,
    /// Values of flags that go before what the flags say, after the overrides,
    /// while nothing usable is held.
    pub(crate) emergency: Option<Arc<Overrides>>,
}

/// Holds what is served.
#[derive(Debug, Default)]
pub(crate) struct Store {
    served: ArcSwap<Served>,
    writing: Mutex<()>,
    /// Tells that the snapshot was swapped, after it was.
    #[cfg(feature = "refresh")]
    swapped: tokio::sync::watch::Sender<()>,
}

impl Store {
    pub(crate) fn new(served: Served) -> Self {
        Self {
            served: ArcSwap::from_pointee(served),
            ..Self::default()
        }
    }

    pub(crate) fn pin(&self) -> Pinned {
        Pinned(self.served.load_full())
    }

    /// Puts something else in place of what is served.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Served)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served.load_full();
        let mut served = Served::clone(&before);
        change(&mut served);
        #[cfg(feature = "refresh")]
        let swapped = !Arc::ptr_eq(&before.snapshot, &served.snapshot);
        self.served.store(Arc::new(served));
        #[cfg(feature = "refresh")]
        if swapped {
            self.swapped.send_replace(());
        }
    }

    /// Hears of each swap of the snapshot.
    #[cfg(feature = "refresh")]
    pub(crate) fn swaps(&self) -> tokio::sync::watch::Receiver<()> {
        self.swapped.subscribe()
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
