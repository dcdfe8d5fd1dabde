//! What is served follows from what is held and from how long ago the source
//! was reached.
//!
//! The loop says what happened; level and served flags are never set, they
//! follow. A check that fails takes nothing away: what is held stays, and only
//! time makes it stale, or, where that is wanted, unusable.
//!
//! Time has its effect whether or not the loop runs: what is served carries the
//! moment at which it ends, and whoever pins it after that comes here first
//! ([`ExpiryOwner`]). The loop does the same when it is there, so that levels
//! are logged and published without anybody reading flags.
//!
//! Every change of the level is one `tracing` event. Flags that become stale again
//! within a minute are logged after that minute, if they still are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::BreakerState;
use super::log_limit::LogLimit;
use super::status::{Counts, Download, Level, Status};
use crate::overrides::Overrides;
use crate::persist::{PersistError, SaveReport, Saver};
use crate::snapshot::Snapshot;
use crate::source::{FetchProgress, SourceError};
use crate::store::{Expiry, ExpiryOwner, Store};

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

/// How long flags that turn out to be too old are served on, if nobody was
/// there to see them age. See [`Book::give_way_at`].
const GRACE: Duration = Duration::from_secs(1);

/// The flags that are held, by where they come from.
#[derive(Debug)]
enum Held {
    Nothing,
    Copy {
        snapshot: Arc<Snapshot>,
        restored: Instant,
        /// How old it was then, if that is known.
        age: Option<Duration>,
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
            Self::Copy { restored, age, .. } => {
                let since = now.saturating_duration_since(*restored);
                age.map(|age| age.saturating_add(since))
            }
            Self::Source { success, .. } => Some(now.saturating_duration_since(*success)),
        }
    }

    /// When the source has not answered for so long, the age of a copy included;
    /// `None` if that is not known, or farther away than any moment.
    fn unanswered_for(&self, limit: Duration, answered: Option<Instant>) -> Option<Instant> {
        match (self, answered) {
            (Self::Nothing, _) => None,
            (Self::Copy { .. }, Some(answered)) => answered.checked_add(limit),
            (Self::Copy { restored, age, .. }, None) => {
                restored.checked_add(limit.checked_sub((*age)?)?)
            }
            (Self::Source { success, .. }, answered) => {
                let since = answered.map_or(*success, |answered| answered.max(*success));
                since.checked_add(limit)
            }
        }
    }

    /// When they were last confirmed, so long ago that they are not live any more.
    fn not_live_at(&self, live_for: Duration) -> Option<Instant> {
        match self {
            Self::Source { success, .. } => success.checked_add(live_for),
            Self::Nothing | Self::Copy { .. } => None,
        }
    }
}

impl Freshness {
    /// How old the flags may be to be served. Live ones are never too old, nor
    /// those for which the source answered so short a time ago.
    fn most(&self, book: &Book) -> Option<Duration> {
        match (&book.held, book.answered) {
            (Held::Nothing, _) => None,
            (Held::Copy { .. }, None) => self.max_stale,
            (Held::Copy { .. }, Some(_)) | (Held::Source { .. }, _) => {
                Some(self.max_stale?.max(self.live_for))
            }
        }
    }

    /// The last moment at which the flags are not too old, if there is one.
    fn usable_until(&self, book: &Book) -> Option<Instant> {
        book.held.unanswered_for(self.most(book)?, book.answered)
    }

    /// Whether the flags are not too old. Where there is a limit, an unknown age
    /// is over it.
    fn usable(&self, book: &Book, now: Instant) -> bool {
        match (&book.held, book.answered, self.most(book)) {
            (_, _, None) => true,
            (Held::Copy { age: None, .. }, None, Some(_)) => false,
            (Held::Copy { age: Some(age), .. }, None, Some(most)) if *age > most => false,
            // An `Instant` that overflows counts as never.
            _ => self.usable_until(book).is_none_or(|until| now <= until),
        }
    }

    fn level(&self, book: &Book, now: Instant) -> Level {
        let level = match &book.held {
            Held::Nothing => return Level::Defaults,
            Held::Copy { .. } => Level::Restored,
            Held::Source { success, .. } => {
                let fresh = now.saturating_duration_since(*success) <= self.live_for;
                if fresh && !book.doubted {
                    Level::Live
                } else {
                    Level::Stale
                }
            }
        };
        // Defaults never give way to what is too old.
        let waits = book.level != Level::Defaults && book.give_way_at.is_some_and(|at| now < at);
        if waits || self.usable(book, now) {
            level
        } else {
            Level::Defaults
        }
    }

    /// The last moment of the level that the book has, if time alone ends it.
    fn ends(&self, book: &Book) -> Option<Instant> {
        match book.level {
            Level::Defaults => None,
            Level::Live => book.held.not_live_at(self.live_for),
            Level::Stale | Level::Restored => book.give_way_at.or_else(|| self.usable_until(book)),
        }
    }
}

/// Tracks the state of a source, and serves the matching flags.
#[derive(Debug)]
pub(super) struct Degradation {
    source: String,
    store: Arc<Store>,
    freshness: Freshness,
    fallback: Fallback,
    saver: Option<Arc<Saver>>,
    book: Mutex<Book>,
    published: watch::Sender<Status>,
    /// Itself, for those who pin flags after their time.
    this: Weak<Self>,
}

#[derive(Debug)]
struct Book {
    held: Held,
    /// The source answers, and yet the flags that are held may be out of date.
    doubted: bool,
    /// When the source last answered, and had nothing better than what is held:
    /// only the time since then counts towards `max_stale`.
    answered: Option<Instant>,
    /// Set when the flags are first seen to be too old: from then on defaults
    /// take their place. At once if they were seen to become stale and checks
    /// failed, as in any outage. Otherwise nobody looked for a while, because
    /// the process was suspended or the loop is gone: then the loop, if there is
    /// one, gets the time for a check.
    give_way_at: Option<Instant>,
    level: Level,
    /// The level that was logged last.
    logged: Level,
    /// Levels that were logged.
    levels: LogLimit<Level>,
    since: SystemTime,
    consecutive_failures: u32,
    last_error: Option<String>,
    breaker: BreakerState,
    /// Since when flags are being downloaded, and how far that is.
    download: Option<(SystemTime, FetchProgress)>,
    /// The loop was shut down: no check will succeed any more.
    shut_down: bool,
    /// Why the last-known-good copy could not be used at the start.
    copy_unusable: Option<String>,
    counts: Counts,
}

impl Book {
    /// The level that was logged before, if this one is to be logged now: flags
    /// may become stale and live in turn at each check.
    fn logs(&mut self, level: Level) -> Option<Level> {
        let is_new = level != self.logged;
        let logs = is_new && (level != Level::Stale || self.levels.allows(level));
        logs.then(|| std::mem::replace(&mut self.logged, level))
    }
}

impl Degradation {
    /// Begins at [`Level::Defaults`], and serves what that level has.
    pub(super) fn new(
        source: String,
        store: Arc<Store>,
        freshness: Freshness,
        fallback: Fallback,
        saver: Option<Arc<Saver>>,
    ) -> Arc<Self> {
        let book = Book {
            held: Held::Nothing,
            doubted: false,
            answered: None,
            give_way_at: None,
            level: Level::Defaults,
            logged: Level::Defaults,
            levels: LogLimit::default(),
            since: SystemTime::now(),
            consecutive_failures: 0,
            last_error: None,
            breaker: BreakerState::Closed,
            download: None,
            shut_down: false,
            copy_unusable: None,
            counts: Counts::default(),
        };
        let status = status(&source, &book, &fallback.embedded, None, Instant::now());
        let degradation = Arc::new_cyclic(|this| Self {
            source,
            store,
            freshness,
            fallback,
            saver,
            book: Mutex::new(book),
            published: watch::Sender::new(status),
            this: Weak::clone(this),
        });
        degradation.put(|_| {});
        degradation
    }

    /// Where flags are served from.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The last-known-good copy was read; it was saved so long ago, if that is
    /// known.
    pub(super) fn restored(&self, snapshot: Arc<Snapshot>, age: Option<Duration>) {
        self.put(|book| {
            book.held = Held::Copy {
                snapshot,
                restored: Instant::now(),
                age,
            };
        });
    }

    /// A check succeeded, and these are the flags; what it found is counted
    /// together with it. If they may be out of date for a reason, they are stale.
    pub(super) fn succeeded(
        &self,
        snapshot: Arc<Snapshot>,
        doubt: Option<String>,
        count: impl FnOnce(&mut Counts),
    ) {
        self.put(|book| {
            book.held = Held::Source {
                snapshot,
                success: Instant::now(),
            };
            (book.doubted, book.answered) = (doubt.is_some(), None);
            book.consecutive_failures = 0;
            book.last_error = doubt;
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

    /// The source answered, but with older flags than those loaded, as a lagging
    /// replica does. If these came from it and are not too old, the check
    /// succeeded: it has nothing newer to give. Those that are served still,
    /// though too old, are served on.
    pub(super) fn answered_older(&self, why: &str) {
        let freshness = self.freshness;
        self.write(|book| {
            let now = Instant::now();
            let usable = freshness.usable(book, now);
            book.consecutive_failures = 0;
            match &mut book.held {
                Held::Source { success, .. } if usable => {
                    *success = now;
                    book.last_error = None;
                    (book.doubted, book.answered) = (false, None);
                }
                _ => {
                    if book.level != Level::Defaults {
                        book.answered = Some(now);
                    }
                    book.last_error = Some(why.to_owned());
                }
            }
        });
    }

    /// The source answered, and for this reason the loaded flags may be out of
    /// date: they are stale. If it answered with these very flags, or they are
    /// served still, it has none that are better: the time until now does not
    /// count towards `max_stale`.
    pub(super) fn doubted(&self, reason: String, same: bool) {
        self.write(|book| {
            if same || book.level != Level::Defaults {
                book.answered = Some(Instant::now());
            }
            book.consecutive_failures = 0;
            book.last_error = Some(reason);
            book.doubted = true;
        });
    }

    /// A request failed, and the check goes on with another one.
    pub(super) fn request_failed(&self, error: &SourceError) {
        self.write(|book| book.last_error = Some(error.to_string()));
    }

    /// A download of flags began, or it is over.
    pub(super) fn downloading(&self, progress: Option<FetchProgress>) {
        let download = progress.map(|progress| (SystemTime::now(), progress));
        self.write(|book| book.download = download);
    }

    /// The loop ended though nobody asked it to.
    pub(super) fn loop_ended(&self) {
        const WHY: &str = "the task that keeps the flags fresh has ended without a shutdown, as when its runtime is dropped";
        let source = &self.source;
        tracing::error!(source, "{WHY}; the flags stay as they are and become stale");
        self.write(|book| book.last_error = Some(WHY.to_owned()));
    }

    /// The loop ended because it was asked to.
    pub(super) fn shut_down(&self) {
        self.write(|book| book.shut_down = true);
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
        self.pass(self.book());
    }

    fn pass(&self, book: MutexGuard<'_, Book>) {
        let now = Instant::now();
        if self.freshness.ends(&book).is_some_and(|end| now > end) {
            self.settle(book, false);
        }
    }

    /// How long until [`tick`](Self::tick) has an effect.
    pub(super) fn lasts(&self) -> Option<Duration> {
        let end = self.freshness.ends(&self.book())?;
        let lasts = end.saturating_duration_since(Instant::now());
        // A moment more, so that the end has passed.
        Some(lasts.saturating_add(Duration::from_millis(1)))
    }

    /// The status now.
    pub(super) fn status(&self) -> Status {
        self.status_of(&self.book(), Instant::now())
    }

    fn status_of(&self, book: &Book, now: Instant) -> Status {
        let saving = self.saver.as_ref().map(|saver| saver.report());
        let served = self.store.current();
        status(&self.source, book, &served.snapshot, saving, now)
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
        self.settle(book, put);
    }

    /// Updates the level, the served flags and the status.
    fn settle(&self, mut book: MutexGuard<'_, Book>, put: bool) {
        let now = Instant::now();
        self.notice_age(&mut book, now);
        let (before, level) = (book.level, self.freshness.level(&book, now));
        book.level = level;
        // Flags set by `Vexilla::replace` stay until then.
        let put = put || (level != before && [level, before].contains(&Level::Defaults));
        self.serve(&book, put);
        if level != before {
            book.since = SystemTime::now();
        }
        let status = self.status_of(&book, now);
        self.published.send_if_modified(|published| {
            let modified = !published.says_the_same(&status);
            published.clone_from(&status);
            modified
        });
        let logged = book.logs(level);
        // A subscriber of the log may ask for the status.
        drop(book);
        if let Some(before) = logged {
            report(before, &status);
        } else if level != before {
            let source = &self.source;
            tracing::debug!(source, %before, %level, "the level changed again");
        }
    }

    fn notice_age(&self, book: &mut Book, now: Instant) {
        if self.freshness.usable(book, now) {
            book.give_way_at = None;
        } else if book.give_way_at.is_none() {
            let seen = book.level != Level::Live && book.consecutive_failures > 0;
            book.give_way_at = Some(if seen { now } else { now + GRACE });
        }
    }

    /// Puts in place what belongs to the book's level, and its flags if they are
    /// to be put.
    fn serve(&self, book: &Book, put: bool) {
        let (snapshot, emergency) = match book.level {
            Level::Live | Level::Stale | Level::Restored => (book.held.snapshot(), None),
            Level::Defaults => (
                Some(&self.fallback.embedded),
                Some(&self.fallback.emergency),
            ),
        };
        let snapshot = snapshot.filter(|_| put);
        let ends = self.freshness.ends(book);
        let stale = book.level != Level::Live;
        let served = self.store.current();
        let same = snapshot.is_none_or(|snapshot| Arc::ptr_eq(&served.snapshot, snapshot))
            && served.stale == stale
            && served.expiry.as_ref().map(|expiry| expiry.at) == ends
            && served.emergency.is_some() == emergency.is_some();
        if !same {
            self.store.update(|served| {
                if let Some(snapshot) = snapshot {
                    served.snapshot = Arc::clone(snapshot);
                }
                served.stale = stale;
                served.emergency = emergency.cloned();
                served.expiry = ends.map(|at| Expiry {
                    at,
                    owner: Weak::clone(&self.this) as Weak<dyn ExpiryOwner>,
                });
            });
        }
    }
}

impl ExpiryOwner for Degradation {
    fn expired(&self) {
        match self.book.try_lock() {
            Ok(book) => self.pass(book),
            Err(TryLockError::Poisoned(poisoned)) => self.pass(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
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
        last_error: book.last_error.clone().or_else(|| overdue(book)),
        breaker: book.breaker,
        download: book.download.as_ref().map(|(since, progress)| Download {
            since: *since,
            bytes: progress.bytes(),
        }),
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

/// Why flags are stale, or too old, though no check has failed.
fn overdue(book: &Book) -> Option<String> {
    let why = match book.shut_down {
        true => "refreshing was shut down",
        false => {
            "no check of the source succeeded for three poll intervals; one may be waiting for an answer"
        }
    };
    let is_overdue = match book.level {
        Level::Stale => true,
        Level::Defaults => matches!(book.held, Held::Source { .. }),
        Level::Live | Level::Restored => false,
    };
    is_overdue.then(|| why.to_owned())
}

fn report(before: Level, status: &Status) {
    let (source, before, age) = (&status.source, before.as_str(), status.age);
    let error = status.last_error.as_deref();
    match status.level {
        Level::Live => tracing::info!(source, before, "flags are live"),
        Level::Stale => {
            tracing::warn!(
                source,
                before,
                ?age,
                error,
                "flags are stale; the loaded flags are served"
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
                "no usable flags are loaded; defaults are served"
            );
        }
    }
}

#[cfg(test)]
mod tests;
