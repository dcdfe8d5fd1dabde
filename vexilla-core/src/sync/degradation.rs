//! What is served follows from what is held and from how long ago the source
//! was reached.
//!
//! The loop says what happened; level and served flags are never set, they
//! follow. A check that fails takes nothing away: what is held stays, and only
//! time makes it stale, or, where that is wanted, unusable.
//!
//! Every change of the level is one `tracing` event.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::breaker::BreakerState;
use super::status::{Counts, Level, Status};
use crate::overrides::Overrides;
use crate::persist::{PersistError, SaveReport, Saver};
use crate::snapshot::Snapshot;
use crate::source::SourceError;
use crate::store::Store;

/// How long flags count as live, and as usable at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freshness {
    /// After a successful check, they are live for so long…
    pub(super) live_for: Duration,
    /// …and usable for so long, if there is an end to it.
    pub(super) max_stale: Option<Duration>,
}

/// What is served at the level [`Level::Defaults`].
#[derive(Debug, Default)]
pub(super) struct Fallback {
    pub(super) embedded: Arc<Snapshot>,
    pub(super) emergency: Arc<Overrides>,
}

/// The flags that are held, by where they come from.
#[derive(Debug)]
enum Held {
    Nothing,
    Copy {
        snapshot: Arc<Snapshot>,
        restored: Instant,
        /// How old it was then.
        age: Duration,
    },
    Source {
        snapshot: Arc<Snapshot>,
        success: Instant,
    },
}

impl Held {
    fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        match self {
            Self::Nothing => None,
            Self::Copy { snapshot, .. } | Self::Source { snapshot, .. } => Some(snapshot),
        }
    }

    /// How long ago the source said that the flags are like this.
    fn age(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Nothing => None,
            Self::Copy { restored, age, .. } => Some(
                now.saturating_duration_since(*restored)
                    .saturating_add(*age),
            ),
            Self::Source { success, .. } => Some(now.saturating_duration_since(*success)),
        }
    }
}

impl Freshness {
    fn level(&self, held: &Held, now: Instant) -> Level {
        let Some(age) = held.age(now) else {
            return Level::Defaults;
        };
        let usable = self.max_stale.is_none_or(|most| age <= most);
        match held {
            Held::Source { .. } if age <= self.live_for => Level::Live,
            Held::Source { .. } if usable => Level::Stale,
            Held::Copy { .. } if usable => Level::Restored,
            _ => Level::Defaults,
        }
    }

    /// How long until time alone changes the level.
    fn lasts(&self, held: &Held, now: Instant) -> Option<Duration> {
        let age = held.age(now)?;
        let live = matches!(held, Held::Source { .. }).then_some(self.live_for);
        [live, self.max_stale]
            .into_iter()
            .flatten()
            .filter(|end| age <= *end)
            // A moment more, so that the end has passed.
            .map(|end| (end - age).saturating_add(Duration::from_millis(1)))
            .min()
    }
}

/// Keeps the book on a source, and serves what follows from it.
#[derive(Debug)]
pub(super) struct Degradation {
    source: String,
    store: Arc<Store>,
    freshness: Freshness,
    fallback: Fallback,
    saver: Option<Arc<Saver>>,
    book: Mutex<Book>,
    published: watch::Sender<Status>,
}

#[derive(Debug)]
struct Book {
    held: Held,
    level: Level,
    since: SystemTime,
    consecutive_failures: u32,
    last_error: Option<String>,
    breaker: BreakerState,
    /// Why the last-known-good copy could not be used at the start.
    copy_unusable: Option<String>,
    counts: Counts,
}

impl Degradation {
    /// Begins at [`Level::Defaults`], and serves what that level has.
    pub(super) fn new(
        source: String,
        store: Arc<Store>,
        freshness: Freshness,
        fallback: Fallback,
        saver: Option<Arc<Saver>>,
    ) -> Self {
        let book = Book {
            held: Held::Nothing,
            level: Level::Defaults,
            since: SystemTime::now(),
            consecutive_failures: 0,
            last_error: None,
            breaker: BreakerState::Closed,
            copy_unusable: None,
            counts: Counts::default(),
        };
        let status = status(&source, &book, &fallback.embedded, None, Instant::now());
        let degradation = Self {
            source,
            store,
            freshness,
            fallback,
            saver,
            book: Mutex::new(book),
            published: watch::Sender::new(status),
        };
        degradation.put(|_| {});
        degradation
    }

    /// The last-known-good copy was read; it was saved so long ago.
    pub(super) fn restored(&self, snapshot: Arc<Snapshot>, age: Duration) {
        self.put(|book| {
            book.held = Held::Copy {
                snapshot,
                restored: Instant::now(),
                age,
            };
        });
    }

    /// A check succeeded, and these are the flags; what it found is counted
    /// together with it.
    pub(super) fn succeeded(&self, snapshot: Arc<Snapshot>, count: impl FnOnce(&mut Counts)) {
        self.put(|book| {
            book.held = Held::Source {
                snapshot,
                success: Instant::now(),
            };
            book.consecutive_failures = 0;
            book.last_error = None;
            count(&mut book.counts);
        });
    }

    /// A check failed.
    pub(super) fn failed(&self, error: &SourceError) {
        self.write(|book| {
            book.counts.failures += 1;
            book.consecutive_failures = book.consecutive_failures.saturating_add(1);
            book.last_error = Some(error.to_string());
        });
    }

    /// The source answered, but with older flags than are held. If these came
    /// from it, the check succeeded: it has nothing newer to give.
    pub(super) fn answered_older(&self, why: &str) {
        self.write(|book| {
            book.consecutive_failures = 0;
            book.last_error = match &mut book.held {
                Held::Source { success, .. } => {
                    *success = Instant::now();
                    None
                }
                Held::Nothing | Held::Copy { .. } => Some(why.to_owned()),
            };
        });
    }

    /// The source answered, but its answer was left aside for now. The flags
    /// are no fresher for it.
    pub(super) fn left_aside(&self, why: &str) {
        self.write(|book| book.last_error = Some(why.to_owned()));
    }

    /// The breaker's state, as it is now.
    pub(super) fn breaker(&self, state: BreakerState) {
        self.write(|book| book.breaker = state);
    }

    /// The last-known-good copy could not be used.
    pub(super) fn no_copy(&self, error: &PersistError) {
        self.write(|book| book.copy_unusable = Some(error.to_string()));
    }

    /// Counts something.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        self.write(|book| count(&mut book.counts));
    }

    /// Lets time have its effect.
    pub(super) fn tick(&self) {
        let due = {
            let book = self.book();
            self.freshness.level(&book.held, Instant::now()) != book.level
        };
        if due {
            self.write(|_| {});
        }
    }

    /// How long until [`tick`](Self::tick) has an effect.
    pub(super) fn lasts(&self) -> Option<Duration> {
        self.freshness.lasts(&self.book().held, Instant::now())
    }

    /// The status now.
    pub(super) fn status(&self) -> Status {
        self.status_of(&self.book(), Instant::now())
    }

    fn status_of(&self, book: &Book, now: Instant) -> Status {
        let saving = self.saver.as_ref().map(|saver| saver.report());
        let pinned = self.store.pin();
        status(&self.source, book, pinned.snapshot(), saving, now)
    }

    /// The status as it changes.
    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.published.subscribe()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes something that does not touch the flags that are held.
    fn write(&self, entry: impl FnOnce(&mut Book)) {
        self.entered(entry, false);
    }

    /// Writes what is held, and puts it in place.
    fn put(&self, entry: impl FnOnce(&mut Book)) {
        self.entered(entry, true);
    }

    fn entered(&self, entry: impl FnOnce(&mut Book), put: bool) {
        let mut book = self.book();
        entry(&mut book);
        let now = Instant::now();
        let level = self.freshness.level(&book.held, now);
        if put || level != book.level {
            // Flags that somebody put in place himself stay until then.
            let put = put || [level, book.level].contains(&Level::Defaults);
            self.serve(level, book.held.snapshot().filter(|_| put));
        }
        if level != book.level {
            report(book.level, level, &self.source, &book, now);
            book.level = level;
            book.since = SystemTime::now();
        }
        let status = self.status_of(&book, now);
        self.published.send_if_modified(|published| {
            let modified = !published.says_the_same(&status);
            *published = status;
            modified
        });
    }

    /// Puts in place what belongs to a level, and flags that are held.
    fn serve(&self, level: Level, held: Option<&Arc<Snapshot>>) {
        let (snapshot, emergency) = match level {
            Level::Live | Level::Stale | Level::Restored => (held, None),
            Level::Defaults => (
                Some(&self.fallback.embedded),
                Some(&self.fallback.emergency),
            ),
        };
        let stale = level != Level::Live;
        let pinned = self.store.pin();
        let served = pinned.served();
        let same = snapshot.is_none_or(|snapshot| Arc::ptr_eq(&served.snapshot, snapshot))
            && served.stale == stale
            && served.emergency.is_some() == emergency.is_some();
        if !same {
            self.store.update(|served| {
                if let Some(snapshot) = snapshot {
                    served.snapshot = Arc::clone(snapshot);
                }
                served.stale = stale;
                served.emergency = emergency.cloned();
            });
        }
    }
}

fn status(
    source: &str,
    book: &Book,
    snapshot: &Snapshot,
    saving: Option<SaveReport>,
    now: Instant,
) -> Status {
    let age = book.held.age(now);
    let saving = saving.unwrap_or_default();
    // A copy that was saved since is a good one.
    let unusable = || {
        book.copy_unusable
            .clone()
            .filter(|_| saving.last_success.is_none())
    };
    Status {
        level: book.level,
        since: book.since,
        source: source.to_owned(),
        last_success: age.and_then(|age| SystemTime::now().checked_sub(age)),
        age,
        consecutive_failures: book.consecutive_failures,
        last_error: book.last_error.clone(),
        breaker: book.breaker,
        flags: snapshot.len(),
        problems: snapshot.problem_count(),
        version: snapshot.version(),
        last_known_good_error: saving.last_error.clone().or_else(unusable),
        counts: Counts {
            beyond_limits: snapshot.evaluations_beyond_limits(),
            ..book.counts
        },
    }
}

fn report(before: Level, level: Level, source: &str, book: &Book, now: Instant) {
    let (before, age) = (before.as_str(), book.held.age(now));
    let error = book.last_error.as_deref();
    match level {
        Level::Live => tracing::info!(source, before, "flags are live"),
        Level::Stale => {
            tracing::warn!(
                source,
                before,
                ?age,
                error,
                "flags are stale: no check of the source succeeded for three poll intervals; what is known is served"
            );
        }
        Level::Restored => {
            tracing::warn!(
                source,
                before,
                ?age,
                error,
                "flags are restored from the last-known-good copy; no check of the source succeeded yet"
            );
        }
        Level::Defaults => {
            tracing::error!(
                source,
                before,
                ?age,
                error,
                "flags are defaults: nothing usable is held"
            );
        }
    }
}
