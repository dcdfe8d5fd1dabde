//! Which flags changed, for those who want to hear of it.
//!
//! Each listener remembers the snapshot that it saw last and compares it with
//! the one that is served when it looks again. So there is no queue that could
//! overflow, and a slow listener sees one change in place of many, never a
//! wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::snapshot::{CompiledFlag, Snapshot};
use crate::store::Store;

/// What is different between two sets of flags that were served, by the flags'
/// keys; a flag without a key is named by its id in decimal.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Change {
    /// Flags that were not there.
    pub added: BTreeSet<String>,
    /// Flags that have another definition, or became invalid or valid without
    /// one.
    pub changed: BTreeSet<String>,
    /// Flags that are gone.
    pub removed: BTreeSet<String>,
    /// The greatest `SnapshotID` of the flags that are served now.
    pub version: u64,
}

impl Change {
    fn between(before: &Snapshot, now: &Snapshot) -> Self {
        let known = before.compiled().map(|flag| (name(flag), flag));
        let mut known: BTreeMap<_, _> = known.collect();
        let mut change = Self {
            version: now.version(),
            ..Self::default()
        };
        for flag in now.compiled() {
            let name = name(flag);
            match known.remove(&name) {
                None => change.added.insert(name),
                Some(before) => !before.is_same_as(flag) && change.changed.insert(name),
            };
        }
        change.removed = known.into_keys().collect();
        change
    }

    /// Whether no flag is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Debug for Change {
    /// How many flags were added, changed and removed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("added", &self.added.len())
            .field("changed", &self.changed.len())
            .field("removed", &self.removed.len())
            .field("version", &self.version)
            .finish()
    }
}

fn name(flag: &CompiledFlag) -> String {
    let flag = flag.definition();
    if flag.key.is_empty() {
        flag.id.to_string()
    } else {
        flag.key.clone()
    }
}

/// The changes of the flags that a [`Vexilla`](crate::Vexilla) serves, from the
/// moment on when it was made.
///
/// ```
/// use vexilla_core::Vexilla;
/// use vexilla_core::flag::Flag;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let vexilla = Vexilla::fixed([Flag::boolean("old", true)]);
/// let mut changes = vexilla.changes();
/// vexilla.replace([Flag::boolean("old", false), Flag::boolean("new", true)]);
/// let change = changes.next().await.unwrap();
/// assert!(change.added.contains("new") && change.changed.contains("old"));
/// # });
/// ```
pub struct Changes {
    store: Weak<Store>,
    swaps: watch::Receiver<()>,
    seen: Arc<Snapshot>,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        let swaps = store.swaps();
        Self {
            store: Arc::downgrade(store),
            swaps,
            seen: Arc::clone(store.pin().snapshot()),
        }
    }

    /// Waits until other flags are served than at the last time, and tells what
    /// is different. `None` when the last handle was dropped.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let now = Arc::clone(self.store.upgrade()?.pin().snapshot());
            if Arc::ptr_eq(&now, &self.seen) {
                self.swaps.changed().await.ok()?;
                continue;
            }
            let change = between(&self.seen, &now).await;
            self.seen = now;
            if !change.is_empty() {
                return Some(change);
            }
        }
    }
}

/// What is different, found out without keeping a thread of a runtime busy.
async fn between(before: &Arc<Snapshot>, now: &Arc<Snapshot>) -> Change {
    /// So many flags are compared within microseconds.
    const FEW: usize = 100;
    let compared = match Handle::try_current() {
        Ok(runtime) if before.len().max(now.len()) > FEW => {
            let (before, now) = (Arc::clone(before), Arc::clone(now));
            let compared = runtime.spawn_blocking(move || Change::between(&before, &now));
            compared.await.ok()
        }
        _ => None,
    };
    compared.unwrap_or_else(|| Change::between(before, now))
}
