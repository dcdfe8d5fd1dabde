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
//!
//! What was replaced is not freed by whoever reads it last, which would be a
//! request: where flags are refreshed, the store keeps it until nobody else does,
//! and the loop frees it on a thread that may block, at the next check of the
//! source. ([`Vexilla::replace`](crate::Vexilla::replace) in a program without a
//! source leaves it to the last reader.)

#[cfg(feature = "refresh")]
use std::any::Any;
use std::fmt;
#[cfg(feature = "refresh")]
use std::sync::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::evaluate::{EmptyEntity, Replacement};
use crate::metrics::Counters;
use crate::overrides::{Override, Overrides};
use crate::snapshot::Snapshot;

/// Everything that evaluations need beside a context.
#[derive(Clone, Default)]
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

    /// The value that was put in place of the flag's own, and by what. The flag is
    /// the one of this key, which stands at `position`.
    pub(crate) fn replaced(
        &self,
        key: &str,
        position: Option<usize>,
    ) -> Option<(&Override, Replacement)> {
        let overrides = self.overrides.as_deref();
        let emergency = self.emergency.as_deref();
        let value = overrides.and_then(|values| values.get(key, position, &self.snapshot));
        let value = value.map(|value| (value, Replacement::Override));
        value.or_else(|| {
            let value = emergency?.get(key, position, &self.snapshot)?;
            Some((value, Replacement::EmergencyDefault))
        })
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("snapshot", &self.snapshot)
            .field("overrides", &self.overrides)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

/// Holds what is served.
#[derive(Default)]
pub(crate) struct Store {
    served: ArcSwap<Served>,
    writing: Mutex<Writing>,
    /// Tells that the snapshot was swapped, after it was.
    #[cfg(feature = "refresh")]
    swapped: tokio::sync::watch::Sender<()>,
}

/// What only writers look at.
#[derive(Default)]
struct Writing {
    /// Counters for a snapshot that is about to be served.
    #[cfg(feature = "refresh")]
    prepared: Option<Prepared>,
    /// What is not served any more and may still be read, if somebody frees it.
    #[cfg(feature = "refresh")]
    replaced: Option<Vec<Arc<dyn Any + Send + Sync>>>,
}

/// Counters that go on from others.
#[cfg(feature = "refresh")]
struct Prepared {
    snapshot: Weak<Snapshot>,
    before: Arc<Counters>,
    counters: Arc<Counters>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("served", &**self.served.load())
            .finish_non_exhaustive()
    }
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

    /// A store of flags that are refreshed: somebody calls
    /// [`take_unread`](Self::take_unread) again and again.
    #[cfg(feature = "refresh")]
    pub(crate) fn refreshed(served: Served) -> Self {
        let store = Self::new(served);
        store.writing().replaced = Some(Vec::new());
        store
    }

    /// Nobody calls [`take_unread`](Self::take_unread) any more: from now on the
    /// last reader frees what is replaced.
    #[cfg(feature = "refresh")]
    pub(crate) fn stop_keeping(&self) {
        let replaced = self.writing().replaced.take();
        drop(replaced);
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something else in place of what is served.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Served)) {
        let mut writing = self.writing();
        let before = self.current();
        let mut served = Served::clone(&before);
        change(&mut served);
        let swapped = !Arc::ptr_eq(&before.snapshot, &served.snapshot);
        if let (true, Some(counters)) = (swapped, &served.counters) {
            let continued = || {
                let before = Some((&**counters, &*before.snapshot));
                Arc::new(Counters::new(&served.snapshot, before))
            };
            let counters = writing.prepared(&served).unwrap_or_else(continued);
            served.counters = Some(counters);
        }
        self.served.store(Arc::new(served));
        if swapped {
            writing.replaced(&before);
            #[cfg(feature = "refresh")]
            self.swapped.send_replace(());
        }
    }

    /// Makes the counters of a snapshot that is about to be served, so that
    /// swapping it in takes no time.
    #[cfg(feature = "refresh")]
    pub(crate) fn prepare(&self, snapshot: &Arc<Snapshot>) {
        let served = self.current();
        let prepared = served.counters.as_ref().map(|before| {
            let counters = Counters::new(snapshot, Some((before, &served.snapshot)));
            Prepared {
                snapshot: Arc::downgrade(snapshot),
                before: Arc::clone(before),
                counters: Arc::new(counters),
            }
        });
        self.writing().prepared = prepared;
    }

    /// What is not served any more and read by nobody, to be freed where that may
    /// take its time.
    #[cfg(feature = "refresh")]
    pub(crate) fn take_unread(&self) -> Vec<impl Send + 'static> {
        let mut writing = self.writing();
        let Some(replaced) = &mut writing.replaced else {
            return Vec::new();
        };
        // Nobody can get hold of it again, as nothing but the store has it.
        let is_unread = |value: &mut Arc<dyn Any + Send + Sync>| Arc::strong_count(value) == 1;
        replaced.extract_if(.., is_unread).collect()
    }

    /// Hears of each swap of the snapshot.
    #[cfg(feature = "refresh")]
    pub(crate) fn swaps(&self) -> tokio::sync::watch::Receiver<()> {
        self.swapped.subscribe()
    }
}

impl Writing {
    /// The counters that were made for what is to be served, if they go on from
    /// those that count now.
    #[cfg(feature = "refresh")]
    fn prepared(&mut self, served: &Served) -> Option<Arc<Counters>> {
        let prepared = self.prepared.take()?;
        let continues = served
            .counters
            .as_ref()
            .is_some_and(|counters| Arc::ptr_eq(counters, &prepared.before));
        let snapshot = Arc::as_ptr(&served.snapshot);
        (continues && std::ptr::eq(snapshot, prepared.snapshot.as_ptr()))
            .then_some(prepared.counters)
    }

    #[cfg(not(feature = "refresh"))]
    fn prepared(&mut self, _: &Served) -> Option<Arc<Counters>> {
        None
    }

    /// Keeps what is not served any more, if somebody frees it.
    fn replaced(&mut self, before: &Served) {
        #[cfg(feature = "refresh")]
        if let Some(replaced) = &mut self.replaced {
            let snapshot: Arc<dyn Any + Send + Sync> = Arc::clone(&before.snapshot) as _;
            let counters = before.counters.iter();
            let counters = counters.map(|counters| Arc::clone(counters) as _);
            for value in std::iter::once(snapshot).chain(counters) {
                // What was served before may have been served again.
                let address = Arc::as_ptr(&value).cast::<()>();
                let is_it =
                    |known: &Arc<dyn Any + Send + Sync>| Arc::as_ptr(known).cast::<()>() == address;
                if !replaced.iter().any(is_it) {
                    replaced.push(value);
                }
            }
        }
        #[cfg(not(feature = "refresh"))]
        let _ = before;
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

#[cfg(all(test, feature = "refresh"))]
mod tests {
    use super::*;
    use crate::flag::Flag;

    fn snapshot(value: bool) -> Arc<Snapshot> {
        Arc::new(Snapshot::new([Flag::boolean("f", value)]))
    }

    fn swap(store: &Store, snapshot: &Arc<Snapshot>) {
        store.update(|served| served.snapshot = Arc::clone(snapshot));
    }

    #[test]
    fn what_was_replaced_is_kept_until_nobody_reads_it() {
        let (one, other) = (snapshot(true), snapshot(false));
        let store = Store::refreshed(Served::default());
        swap(&store, &one);
        let reader = store.pin();
        swap(&store, &other);
        let known = Arc::downgrade(&one);
        drop(one);
        // That of the beginning is read by nobody.
        assert_eq!(store.take_unread().len(), 1);
        assert!(store.take_unread().is_empty());
        drop(reader);
        assert_eq!(known.strong_count(), 1, "the reader did not free it");
        drop(store.take_unread());
        assert_eq!(known.strong_count(), 0);
    }

    #[test]
    fn what_is_served_again_and_again_is_kept_once() {
        let (one, other) = (snapshot(true), snapshot(false));
        let store = Store::refreshed(Served::default());
        drop(store.take_unread());
        for _ in 0..10 {
            swap(&store, &one);
            swap(&store, &other);
        }
        drop((store.take_unread(), one));
        assert_eq!(store.take_unread().len(), 1);
        assert_eq!(Arc::strong_count(&other), 2 + 1, "served, and kept once");
    }

    #[test]
    fn prepared_counters_are_used_for_their_snapshot_alone() {
        let (one, other) = (snapshot(true), snapshot(false));
        let store = Store::refreshed(Served::default());
        swap(&store, &one);
        store.update(|served| served.counters = Some(Arc::new(Counters::new(&one, None))));
        let prepared = |snapshot: &Arc<Snapshot>| {
            store.prepare(snapshot);
            let writing = store.writing();
            writing
                .prepared
                .as_ref()
                .map(|made| Arc::clone(&made.counters))
        };
        let counting = || store.pin().served().counters.clone();
        let same = |one: Option<Arc<Counters>>, other: Option<Arc<Counters>>| {
            one.is_some_and(|one| other.is_some_and(|other| Arc::ptr_eq(&one, &other)))
        };

        let made = prepared(&other);
        swap(&store, &one);
        swap(&store, &other);
        assert!(same(made, counting()));
        let made = prepared(&snapshot(true));
        swap(&store, &one);
        assert!(!same(made, counting()), "they are for other flags");
    }
}
