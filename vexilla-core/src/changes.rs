//! Which flags changed, for those who want to hear of it.
//!
//! Each listener remembers the snapshot that it saw last and compares it with
//! the one that is served when it looks again. So there is no queue that could
//! overflow, and a slow listener sees one change in place of many, never a
//! wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::snapshot::{CompiledFlag, Snapshot};
use crate::store::Store;

/// What is different between two sets of flags that were served, by the flags'
/// keys; a flag without a key is named by its id in decimal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
#[derive(Debug)]
pub struct Changes {
    store: Weak<Store>,
    swaps: watch::Receiver<()>,
    seen: Arc<Snapshot>,
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
            self.swaps.changed().await.ok()?;
            let now = Arc::clone(self.store.upgrade()?.pin().snapshot());
            let change = Change::between(&self.seen, &now);
            self.seen = now;
            if !change.is_empty() {
                return Some(change);
            }
        }
    }
}
