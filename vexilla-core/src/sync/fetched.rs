//! Flags that came, compiled: from the source, or from the last-known-good
//! copy.
//!
//! Compiling is done away from the runtime's own threads: many flags, or costly
//! patterns, may take a while. So is all that looks at each flag: comparing with
//! the flags in use, making counters, and dropping what is no longer used.
//! Nobody waits for a compilation whose result is not wanted any more: it ends
//! at the next flag or segment.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::detect::Contents;
use super::offload::{Offloaded, drop_elsewhere};
use crate::filter::Filter;
use crate::flag::{FlagSet, Origin};
use crate::limits::Limits;
use crate::persist::{Identity, PersistError, PersistErrorKind, Provenance, Saver};
use crate::snapshot::{CompiledFlag, Problem, Snapshot};
use crate::source::{AnySource, SourceError, SourceErrorKind};
use crate::store::Store;

/// How many new problems one change logs, each on a line of its own.
const MOST_REPORTED: usize = 100;

/// How flags are compiled, and what with.
#[derive(Clone)]
pub(super) struct Compiler {
    pub(super) filter: Filter,
    pub(super) limits: Limits,
    pub(super) store: Arc<Store>,
}

/// A set of flags that was fetched, compiled.
pub(super) struct Fetched {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) contents: Contents,
    pub(super) origin: Origin,
    /// Whether they are the flags that are held.
    pub(super) same_flags: bool,
    /// Whether those are compiled from the same definitions, which can give other
    /// flags.
    pub(super) same_definitions: bool,
    pub(super) problems: NewProblems,
    /// The flags themselves, if they may have to be saved.
    pub(super) set: Option<Offloaded<FlagSet>>,
    /// The same as `snapshot`, which may be dropped unused.
    _unused: Offloaded<Arc<Snapshot>>,
}

/// The problems that the flags before did not have.
pub(super) struct NewProblems {
    /// The first of them.
    pub(super) reported: Vec<Problem>,
    /// How many more there are.
    pub(super) more: usize,
}

impl NewProblems {
    fn between(before: Option<&Snapshot>, now: &Snapshot) -> Self {
        let mut new = now
            .compiled()
            .filter(|flag| before.is_none_or(|before| !before.has_problem_of(flag)))
            .filter_map(CompiledFlag::as_problem);
        Self {
            reported: new.by_ref().take(MOST_REPORTED).collect(),
            more: new.count(),
        }
    }
}

impl Fetched {
    /// Compiles a set; flags that did not change are shared with those before.
    ///
    /// # Errors
    ///
    /// A set over a limit, a runtime that shuts down, or a panic.
    pub(super) async fn compile(
        set: FlagSet,
        compiler: Compiler,
        before: Option<Arc<Snapshot>>,
        saves: bool,
    ) -> Result<Self, SourceError> {
        let wanted = Wanted::new();
        let deadline = wanted.deadline();
        let compiled = tokio::task::spawn_blocking(move || {
            let kept = saves.then(|| Offloaded::new(set.clone()));
            let (snapshot, contents, origin) =
                compiler.compile(set, before.as_deref(), &deadline)?;
            let held = before.as_deref();
            let snapshot = Arc::new(snapshot);
            compiler.store.prepare(&snapshot);
            Ok(Self {
                same_flags: held.is_some_and(|held| held.same_flags(&snapshot)),
                same_definitions: held.is_some_and(|held| held.same_definitions(&snapshot)),
                problems: NewProblems::between(held, &snapshot),
                _unused: Offloaded::new(Arc::clone(&snapshot)),
                snapshot,
                contents,
                origin,
                set: kept,
            })
        });
        compiled.await.map_err(|error| {
            let (kind, message) = if error.is_cancelled() {
                (SourceErrorKind::ShutDown, "the runtime shuts down")
            } else {
                (SourceErrorKind::Panicked, "compiling the flags panicked")
            };
            SourceError::new(kind, message).because(error)
        })?
    }
}

/// How long a start waits for the last-known-good copy to be read. Decoding and
/// decoding and compiling have no such limit.
const COPY_LIMIT: Duration = Duration::from_secs(5);

/// A copy that says that it was saved this much later than now was saved just
/// now: clocks may differ by this much.
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
    compiler: Compiler,
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
            format!("the copy belongs to another source named {name}: its path or scheme differs")
        } else {
            format!("the copy was saved for {saved_of}, but the configured source is {name}")
        };
        drop_elsewhere(saved.set);
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
    let wanted = Wanted::new();
    let deadline = wanted.deadline();
    let compiled = tokio::task::spawn_blocking(move || compiler.compile(set, None, &deadline));
    let interrupted = |error| not_compiled(PersistErrorKind::Other, error);
    let compiled = compiled.await.map_err(interrupted)?;
    let (snapshot, contents, _) = compiled.map_err(|error| {
        let kind = match error.kind() {
            SourceErrorKind::TooLarge => PersistErrorKind::TooLarge,
            _ => PersistErrorKind::Other,
        };
        not_compiled(kind, error)
    })?;
    Ok(Some(Restored {
        snapshot,
        contents,
        id,
        age,
    }))
}

/// The error of a copy whose flags cannot be compiled.
fn not_compiled(kind: PersistErrorKind, cause: impl Error + Send + Sync + 'static) -> PersistError {
    PersistError::new(kind, "the flags of the copy cannot be compiled").because(cause)
}

/// How long ago a copy was saved; `None` if that is more than
/// [`CLOCKS_APART`] ahead, so that one of the clocks is wrong.
fn age(saved_at: SystemTime, now: SystemTime) -> Option<Duration> {
    match now.duration_since(saved_at) {
        Ok(age) => Some(age),
        Err(ahead) => (ahead.duration() <= CLOCKS_APART).then_some(Duration::ZERO),
    }
}

impl Compiler {
    fn compile(
        &self,
        mut set: FlagSet,
        before: Option<&Snapshot>,
        deadline: &Deadline,
    ) -> Result<(Snapshot, Contents, Origin), SourceError> {
        let (flags, most) = (set.flags.len(), self.limits.flags);
        if flags > most {
            let message = format!(
                "{flags} flags are more than the limit of {most}; raise Limits::flags if that is meant"
            );
            return Err(SourceError::new(SourceErrorKind::TooLarge, message));
        }
        set.assign_missing_ids();
        let flags = set.flags.iter().map(|flag| (flag.id, flag.snapshot_id));
        let (contents, origin) = (Contents::new(flags), set.origin);
        let (began, most) = (Instant::now(), self.limits.compile_time);
        let go_on = || deadline.go_on(began, most);
        let snapshot = Snapshot::compile(set, &self.filter, &self.limits, before, go_on)?;
        Ok((snapshot, contents, origin))
    }
}

/// The result of a compilation is wanted as long as this is there.
struct Wanted(Arc<AtomicBool>);

/// When a compilation ends that is not complete.
struct Deadline {
    unwanted: Arc<AtomicBool>,
}

impl Wanted {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn deadline(&self) -> Deadline {
        Deadline {
            unwanted: Arc::clone(&self.0),
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Deadline {
    /// Whether a compilation may go on that began then and may take so long.
    fn go_on(&self, began: Instant, most: Duration) -> Result<(), SourceError> {
        if self.unwanted.load(Ordering::Relaxed) {
            let message = "nobody waits for the compiled flags any more";
            return Err(SourceError::new(SourceErrorKind::ShutDown, message));
        }
        if began.elapsed() >= most {
            let message = format!(
                "compiling the flags took longer than {most:?}; make their constraints simpler, or raise Limits::compile_time"
            );
            return Err(SourceError::new(SourceErrorKind::CompileTimeout, message));
        }
        Ok(())
    }
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
