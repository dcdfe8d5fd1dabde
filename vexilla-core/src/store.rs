//! What is served now: swapped as a whole, read without a lock.
//!
//! Readers load one pointer and hold on to it, so that a snapshot, the
//! overrides and the mark of staleness that one request sees belong together.
//! Writers take turns.
//!
//! What is served may have an end: the moment from which it is stale, or too
//! old. Whoever pins it later than that has the owner of the end brought up to
//! date first, so that the mark of staleness follows the clock and not a task
//! that may be gone. Reading the clock is what a pin costs for that; an
//! evaluation costs nothing more.

#[cfg(feature = "refresh")]
use std::sync::Weak;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::evaluate::EmptyEntity;
use crate::metrics::Counters;
use crate::overrides::{Override, Overrides};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Everything that evaluations need beside a context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    pub(crate) snapshot: Arc<Snapshot>,
    /// None if nothing is overridden, so that there is nothing to look up.
    pub(crate) overrides: Option<Arc<Overrides>>,
    pub(crate) empty_entity: EmptyEntity,
    /// The flags may be out of date.
    pub(crate) stale: bool,
    /// Values of flags that go before what the flags say, after the overrides,
    /// while nothing usable is held.
    pub(crate) emergency: Option<Arc<Overrides>>,
    /// Counts the evaluations of the snapshot's flags, where that is on.
    pub(crate) counters: Option<Arc<Counters>>,
    /// Until when all of this is right, if time alone changes it.
    #[cfg(feature = "refresh")]
    pub(crate) expiry: Option<Expiry>,
}

/// The moment until which what is served is right, and who knows what comes
/// after it.
#[cfg(feature = "refresh")]
#[derive(Debug, Clone)]
pub(crate) struct Expiry {
    pub(crate) at: tokio::time::Instant,
    pub(crate) owner: Weak<dyn ExpiryOwner>,
}

/// Puts in place what is right after an [`Expiry`].
#[cfg(feature = "refresh")]
pub(crate) trait ExpiryOwner: Send + Sync + std::fmt::Debug {
    /// The expiry has passed. Called by readers: returns without waiting, even
    /// if that leaves the work to another caller.
    fn expired(&self);
}

#[cfg(feature = "refresh")]
impl Expiry {
    fn has_passed(&self) -> bool {
        tokio::time::Instant::now() > self.at
    }
}

impl Served {
    /// Whether anything is put in place of flags' own values.
    #[inline]
    pub(crate) fn replaces(&self) -> bool {
        self.overrides.is_some() || self.emergency.is_some()
    }

    /// The value that was put in place of the flag's own, and the reason to give
    /// for it if that is another than an override's. The flag is the one of this
    /// key, which stands at `position`.
    pub(crate) fn replaced(
        &self,
        key: &str,
        position: Option<usize>,
    ) -> Option<(&Override, Option<Reason>)> {
        let overrides = self.overrides.as_deref();
        let emergency = self.emergency.as_deref();
        let value = overrides.and_then(|values| values.get(key, position, &self.snapshot));
        value.map(|value| (value, None)).or_else(|| {
            let value = emergency?.get(key, position, &self.snapshot)?;
            Some((value, Some(Reason::Default)))
        })
    }
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

    /// What is right to serve now.
    pub(crate) fn pin(&self) -> Pinned {
        let served = self.current();
        #[cfg(feature = "refresh")]
        if let Some(expiry) = &served.expiry
            && expiry.has_passed()
        {
            return self.pin_after(expiry);
        }
        Pinned(served)
    }

    /// What is in place, whatever the time is: for writers.
    pub(crate) fn current(&self) -> Arc<Served> {
        self.served.load_full()
    }

    #[cfg(feature = "refresh")]
    #[cold]
    fn pin_after(&self, expiry: &Expiry) -> Pinned {
        if let Some(owner) = expiry.owner.upgrade() {
            owner.expired();
        }
        let served = self.current();
        let late = served.expiry.as_ref().is_some_and(Expiry::has_passed);
        if late && !served.stale {
            // Somebody else is about to put it in place.
            let mut stale = Served::clone(&served);
            stale.stale = true;
            return Pinned::of(stale);
        }
        Pinned(served)
    }

    /// Puts something else in place of what is served.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Served)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let mut served = Served::clone(&before);
        change(&mut served);
        let swapped = !Arc::ptr_eq(&before.snapshot, &served.snapshot);
        if let (true, Some(counters)) = (swapped, &served.counters) {
            let before = Some((&**counters, &*before.snapshot));
            served.counters = Some(Arc::new(Counters::new(&served.snapshot, before)));
        }
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

/// Flags as they were at one moment, to be read later, for whatever context.
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
