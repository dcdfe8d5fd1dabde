//! Flags that came, compiled: from the source, or from the last-known-good
//! copy.
//!
//! Compiling is done away from the runtime's own threads: many flags, or costly
//! patterns, may take a while.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::detect::Contents;
use crate::filter::Filter;
use crate::flag::{FlagSet, Origin};
use crate::limits::Limits;
use crate::persist::{PersistError, PersistErrorKind, Provenance, Saver};
use crate::snapshot::Snapshot;
use crate::source::{SourceError, SourceErrorKind};

/// A set of flags that was fetched, compiled.
pub(super) struct Fetched {
    pub(super) snapshot: Snapshot,
    pub(super) contents: Contents,
    pub(super) origin: Origin,
    /// The flags themselves, if they may have to be saved.
    pub(super) set: Option<FlagSet>,
}

impl Fetched {
    /// Compiles a set; flags that did not change are shared with those before.
    pub(super) async fn compile(
        set: FlagSet,
        filter: Filter,
        limits: Limits,
        before: Option<Arc<Snapshot>>,
        saves: bool,
    ) -> Result<Self, SourceError> {
        let compiled = tokio::task::spawn_blocking(move || {
            let kept = saves.then(|| set.clone());
            let (snapshot, contents, origin) = compile(set, &filter, &limits, before.as_deref());
            Self {
                snapshot,
                contents,
                origin,
                set: kept,
            }
        });
        compiled.await.map_err(|error| {
            let (kind, message) = if error.is_cancelled() {
                (SourceErrorKind::ShutDown, "the runtime shuts down")
            } else {
                (SourceErrorKind::Panicked, "compiling the flags panicked")
            };
            SourceError::new(kind, message).because(error)
        })
    }
}

/// Flags of a last-known-good copy, compiled.
pub(super) struct Restored {
    pub(super) snapshot: Snapshot,
    pub(super) contents: Contents,
    /// The number of the change that they were current for; 0 if unknown.
    pub(super) id: u64,
    /// How long ago they were saved.
    pub(super) age: Duration,
}

/// Reads the last-known-good copy of a source, if there is one.
pub(super) async fn restored(
    saver: &Saver,
    source: String,
    filter: Filter,
    limits: Limits,
) -> Result<Option<Restored>, PersistError> {
    let Some(saved) = saver.load().await? else {
        return Ok(None);
    };
    let Provenance {
        source: saved_of,
        saved_at,
        id,
    } = saved.provenance;
    if saved_of != source {
        let message = format!("the copy is of {saved_of}, and the flags are to be of {source}");
        return Err(PersistError::new(PersistErrorKind::Foreign, message));
    }
    let age = SystemTime::now()
        .duration_since(saved_at)
        .unwrap_or_default();
    let set = saved.set;
    let compiled = tokio::task::spawn_blocking(move || compile(set, &filter, &limits, None)).await;
    let (snapshot, contents, _) = compiled.map_err(PersistError::other)?;
    Ok(Some(Restored {
        snapshot,
        contents,
        id,
        age,
    }))
}

fn compile(
    mut set: FlagSet,
    filter: &Filter,
    limits: &Limits,
    before: Option<&Snapshot>,
) -> (Snapshot, Contents, Origin) {
    set.assign_missing_ids();
    let flags = set.flags.iter().map(|flag| (flag.id, flag.snapshot_id));
    let (contents, origin) = (Contents::new(flags), set.origin);
    (
        Snapshot::build(set, filter, limits, before),
        contents,
        origin,
    )
}
