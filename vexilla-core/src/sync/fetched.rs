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
use crate::persist::{Identity, PersistError, PersistErrorKind, Provenance, Saver};
use crate::snapshot::Snapshot;
use crate::source::{AnySource, SourceError, SourceErrorKind};

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
        before: Option<Arc<Snapshot>>,
        saves: bool,
    ) -> Result<Self, SourceError> {
        let compiled = tokio::task::spawn_blocking(move || {
            let kept = saves.then(|| set.clone());
            let (snapshot, contents, origin) = compile(set, &filter, before.as_deref());
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

/// How long a start waits for the last-known-good copy to be read. Decoding and
/// compiling it takes as long as it takes.
const COPY_LIMIT: Duration = Duration::from_secs(5);

/// A copy that says that it was saved this much later than now was saved just
/// now: so far apart are two clocks that are right.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// Flags of a last-known-good copy, compiled.
pub(super) struct Restored {
    pub(super) snapshot: Snapshot,
    pub(super) contents: Contents,
    /// The number of the change that they were current for; 0 if unknown.
    pub(super) id: u64,
    /// How long ago they were saved, if the clocks allow to tell.
    pub(super) age: Option<Duration>,
}

/// Reads the last-known-good copy of a source, if there is one.
pub(super) async fn restored(
    saver: &Saver,
    source: &dyn AnySource,
    filter: Filter,
) -> Result<Option<Restored>, PersistError> {
    let Some(saved) = saver.load(COPY_LIMIT).await? else {
        return Ok(None);
    };
    let Provenance {
        source: saved_of,
        identity,
        saved_at,
        id,
    } = saved.provenance;
    let name = source.name();
    if identity != Identity::of(&source.identity()) {
        let message = if saved_of == name {
            format!(
                "the copy is of another source that is called {name}, too: at another path, say, or by another scheme"
            )
        } else {
            format!("the copy is of {saved_of}, and the flags are to be of {name}")
        };
        return Err(PersistError::new(PersistErrorKind::Foreign, message));
    }
    let set = saved.set;
    if set.flags.is_empty() {
        let message = "the copy has no flags, so that there is nothing to start with";
        return Err(PersistError::new(PersistErrorKind::NoFlags, message));
    }
    let age = age(saved_at, SystemTime::now());
    if age.is_none() {
        tracing::warn!(
            source = name,
            store = saver.name(),
            "the last-known-good copy was saved by a clock ahead of this one; its age is unknown"
        );
    }
    let compiled = tokio::task::spawn_blocking(move || compile(set, &filter, None)).await;
    let (snapshot, contents, _) = compiled.map_err(PersistError::other)?;
    Ok(Some(Restored {
        snapshot,
        contents,
        id,
        age,
    }))
}

/// How long ago a copy was saved; `None` if that is more than
/// [`CLOCKS_APART`] ahead, so that one of the clocks is wrong.
fn age(saved_at: SystemTime, now: SystemTime) -> Option<Duration> {
    match now.duration_since(saved_at) {
        Ok(age) => Some(age),
        Err(ahead) => (ahead.duration() <= CLOCKS_APART).then_some(Duration::ZERO),
    }
}

fn compile(
    mut set: FlagSet,
    filter: &Filter,
    before: Option<&Snapshot>,
) -> (Snapshot, Contents, Origin) {
    set.assign_missing_ids();
    let flags = set.flags.iter().map(|flag| (flag.id, flag.snapshot_id));
    let (contents, origin) = (Contents::new(flags), set.origin);
    (Snapshot::build(set, filter, before), contents, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_from_the_future_has_no_age() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (ahead, expected) in [
            (-3_600, Some(3_600)),
            (-1, Some(1)),
            (0, Some(0)),
            (60, Some(0)),
            (61, None),
            (30 * 24 * 3_600, None),
        ] {
            let by = Duration::from_secs(i64::unsigned_abs(ahead));
            let saved_at = if ahead < 0 { now - by } else { now + by };
            assert_eq!(
                age(saved_at, now),
                expected.map(Duration::from_secs),
                "{ahead} s"
            );
        }
    }
}
