//! Which answers of a server are loaded, and when the loaded flags are stale
//! although the server answers.
//!
//! Flagr reads its latest snapshot ID from the database, and exports flags from
//! a cache that lags behind it, one for each replica. So flags that are fetched
//! right after the ID rose may still be the old ones, and a replica may answer
//! with older flags than another did before.
//!
//! Every flag carries the ID of its own latest snapshot. An export is
//!
//! - *current* when its greatest `SnapshotID` has reached the latest ID;
//! - *older* than the loaded flags when a flag in it has a smaller
//!   `SnapshotID`, when it lacks the newest flags and the latest ID says that
//!   they exist, or when it lacks a flag that was new a moment ago;
//! - otherwise newer, though perhaps not current yet: it is loaded, and fetched
//!   again.
//!
//! | The answer | What happens |
//! |---|---|
//! | lacks flags | see [`loss`] |
//! | is older, and the latest ID fell, or there is none | kept aside until three answers in a row over four cache intervals are older: the database was rolled back |
//! | is older, and the latest ID was known and is missing now | the same over the confirmation time of a loss |
//! | is older, and the latest ID did not fall | kept aside, however long; after four cache intervals without another answer the flags are stale |
//! | has flags again that were lost, and is not current | loaded when every answer over four cache intervals has them |
//! | is unchanged, though the ID rose | fetched again; after four cache intervals the flags are stale; after one full-refresh interval the ID is accepted, since it may be that of a flag created and deleted in between |
//! | anything else | loaded |
//!
//! After a loss was loaded, flags are fetched at every poll for some time, so
//! that flags that come back are noticed.
//!
//! Pure: the time comes in, and nothing waits or does input or output here.

mod contents;
mod doubt;
mod loss;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) use contents::Contents;
use contents::Difference;
pub(super) use doubt::Doubt;
use loss::{Base, Evidence, Suspicion, confirms};

#[cfg(test)]
mod tests;

/// Older answers in a row that show that the database was rolled back.
const AGREEING: u32 = 3;
/// How many of Flagr's cache intervals an export may take to catch up.
const INTERVALS: u32 = 4;
/// How soon flags are fetched again when they have not caught up.
const FIRST_AGAIN: Duration = Duration::from_millis(250);
/// How long a late export is left alone.
const LATE_AGAIN: Duration = Duration::from_secs(5);

/// The times that decisions depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How often a replica of the server renews its cache.
    pub(super) cache_interval: Duration,
    /// How long answers must agree on a suspicious loss.
    pub(super) loss_confirmation: Duration,
    /// How often flags are fetched whatever the latest ID says.
    pub(super) full_interval: Duration,
}

impl Times {
    /// How long an export may take to show what the latest ID announced.
    fn settling(&self) -> Duration {
        self.cache_interval.saturating_mul(INTERVALS)
    }
}

/// What to do after the latest snapshot ID was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing changed.
    Nothing,
    /// A change is announced, but it is too early to fetch again.
    Wait,
    /// Fetch the flags.
    Fetch,
}

/// What to do with flags that were fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are the loaded ones.
    Same,
    /// Load them.
    Load(Reason),
    /// Keep the loaded ones: these are older.
    Older,
    /// Keep the loaded ones until the loss of flags is confirmed.
    Suspicious,
}

/// Why flags are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// They changed.
    Change,
    /// They changed, and a loss of more than a tenth is explained by the latest
    /// ID.
    Deletions,
    /// Answers over the confirmation time agree on a loss.
    LossConfirmed,
    /// The database was rolled back to an earlier state.
    RolledBack,
    /// An operator accepts whatever the source answers.
    Accepted,
}

impl Reason {
    /// Whether the flags before are worth keeping beside the new ones.
    pub(super) fn loses_flags(self) -> bool {
        !matches!(self, Self::Change)
    }

    /// Whether the IDs known so far say nothing about the new flags.
    fn is_unexplained(self) -> bool {
        matches!(
            self,
            Self::LossConfirmed | Self::RolledBack | Self::Accepted
        )
    }
}

/// Why flags are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It is time to look for changes.
    Poll,
    /// Somebody gave notice of a change.
    Hint,
    /// They are to be fetched whatever the latest ID says.
    Full,
    /// The same, and an operator accepts whatever the source answers.
    Accept,
}

/// Flags that were fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) contents: &'a Contents,
    /// Those that pass the filter are equal to the loaded ones.
    pub(super) same_flags: bool,
    /// The latest snapshot ID, read after the flags where they lack some.
    pub(super) latest: Option<u64>,
    pub(super) occasion: Occasion,
}

/// A change that was announced and that no export has shown yet.
#[derive(Debug, Clone, Copy)]
struct Announced {
    /// Its snapshot ID; `None` if there was only a notification.
    id: Option<u64>,
    /// When the ID rose to this one.
    id_since: Instant,
    /// Since when an ID is announced without a change of the flags.
    since: Instant,
    /// The flags changed since.
    changed: bool,
    /// How often they were fetched since.
    fetches: u32,
    /// When to fetch again once the export is late.
    late_fetch: Instant,
}

/// Answers of one kind in a row.
#[derive(Debug, Clone, Copy)]
struct Streak {
    answers: u32,
    since: Instant,
}

impl Streak {
    /// One answer more; tells whether there are enough of them over so long.
    fn lasts(streak: &mut Option<Self>, time: Duration, now: Instant) -> bool {
        let streak = streak.get_or_insert(Self {
            answers: 0,
            since: now,
        });
        streak.answers = streak.answers.saturating_add(1);
        streak.answers >= AGREEING && now.saturating_duration_since(streak.since) >= time
    }
}

/// Remembers what was seen and judges what comes.
#[derive(Debug)]
pub(super) struct Detector {
    times: Times,
    /// The latest ID that the loaded flags are current for.
    confirmed: Option<u64>,
    /// The latest ID as it was last read.
    latest: Option<u64>,
    /// The source gives a latest ID, or once gave one.
    has_ids: bool,
    announced: Option<Announced>,
    loaded: Option<Contents>,
    /// Flags whose `SnapshotID` was greater than the latest ID when the IDs began
    /// again. It says nothing any more.
    outdated: Contents,
    base: Base,
    /// The loaded flags are those of a restored copy.
    restored: bool,
    /// The greatest `SnapshotID` that was ever loaded…
    newest: u64,
    /// …since this moment.
    newest_at: Option<Instant>,
    older: Option<Streak>,
    /// Answers with the loaded flags while the latest ID is smaller than before.
    fell: Option<Streak>,
    suspicion: Option<Suspicion>,
    /// Flags that came back with the `SnapshotID` that they had when they were
    /// lost, in every answer since.
    returning: BTreeMap<u64, Instant>,
    /// Until then, flags are fetched at every poll.
    compare_until: Option<Instant>,
    /// An ID that was accepted although no export has shown its change.
    accepted: Option<u64>,
}

impl Detector {
    /// No flags are loaded.
    pub(super) fn new(times: Times) -> Self {
        Self {
            times,
            confirmed: None,
            latest: None,
            has_ids: false,
            announced: None,
            loaded: None,
            outdated: Contents::default(),
            base: Base::default(),
            restored: false,
            newest: 0,
            newest_at: None,
            older: None,
            fell: None,
            suspicion: None,
            returning: BTreeMap::new(),
            compare_until: None,
            accepted: None,
        }
    }

    /// The loaded flags were restored, and were current for this ID, 0 if that
    /// is unknown, so long ago.
    pub(super) fn restore(&mut self, contents: Contents, id: u64, age: Duration, now: Instant) {
        self.newest = contents.version();
        self.newest_at = now.checked_sub(age);
        self.confirmed = Some(id).filter(|id| *id != 0);
        self.has_ids = self.confirmed.is_some();
        self.base = Base::new(contents.clone(), self.confirmed);
        self.loaded = Some(contents);
        self.restored = true;
    }

    /// The latest ID that the loaded flags are current for; 0 if unknown.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed.unwrap_or(0)
    }

    /// An ID that was just accepted although no export has shown its change:
    /// told once.
    pub(super) fn take_accepted(&mut self) -> Option<u64> {
        self.accepted.take()
    }

    /// The latest snapshot ID is this, if it is known.
    pub(super) fn announce(&mut self, id: Option<u64>, occasion: Occasion, now: Instant) -> Plan {
        self.note(id, occasion, now);
        match occasion {
            Occasion::Full | Occasion::Accept => Plan::Fetch,
            Occasion::Poll | Occasion::Hint if self.is_unchanged(id, now) => Plan::Nothing,
            Occasion::Poll if id.is_some() && self.is_to_wait(now) => Plan::Wait,
            Occasion::Poll | Occasion::Hint => Plan::Fetch,
        }
    }

    /// Whether the export is late, and it is too early to fetch it again.
    fn is_to_wait(&self, now: Instant) -> bool {
        let early =
            |announced: &Announced| self.is_late(announced, now) && now < announced.late_fetch;
        let undisputed = self.older.is_none() && self.suspicion.is_none();
        undisputed && self.announced.as_ref().is_some_and(early)
    }

    /// Remembers the latest ID, and that it announces a change.
    fn note(&mut self, id: Option<u64>, occasion: Occasion, now: Instant) {
        self.latest = id;
        self.has_ids |= id.is_some();
        let news = match (id, self.confirmed) {
            (Some(id), Some(confirmed)) => id > confirmed,
            (Some(_), None) => true,
            (None, _) => occasion == Occasion::Hint,
        };
        let known = self.announced.is_some_and(|known| known.id >= id);
        if !news || known {
            return;
        }
        // Where change follows change, the back-off goes on; where nothing
        // follows, the export is late since the first.
        let before = self.announced;
        let unshown = before.filter(|before| !before.changed);
        self.announced = Some(Announced {
            id,
            id_since: now,
            since: unshown.map_or(now, |before| before.since),
            changed: false,
            fetches: before.map_or(0, |before| before.fetches),
            late_fetch: unshown.map_or(now, |before| before.late_fetch),
        });
    }

    fn is_unchanged(&self, id: Option<u64>, now: Instant) -> bool {
        self.loaded.is_some()
            && id.is_some()
            && id == self.confirmed
            && self.announced.is_none()
            && self.older.is_none()
            && self.suspicion.is_none()
            && self.returning.is_empty()
            && self.compare_until.is_none_or(|until| now >= until)
    }

    /// Whether an announced change should have been in the export by now.
    fn is_late(&self, announced: &Announced, now: Instant) -> bool {
        let waited = now.saturating_duration_since(announced.since);
        announced.id.is_some() && !announced.changed && waited >= self.times.settling()
    }

    /// Loads contents without judging them: their source has no replicas and no
    /// cache.
    pub(super) fn believe(&mut self, contents: Contents) {
        *self = Self::new(self.times);
        self.loaded = Some(contents);
    }

    /// Whether these contents have just the latest ID that was read before them,
    /// so that there is no reason to read it again.
    pub(super) fn has_reached(&self, contents: &Contents, latest: u64) -> bool {
        !self.lacks_flags(contents) && contents.version() == latest
    }

    /// Whether flags are missing in these contents.
    pub(super) fn lacks_flags(&self, contents: &Contents) -> bool {
        let loaded = self.loaded.as_ref();
        loaded.is_some_and(|loaded| !loaded.difference(contents).missing.is_empty())
    }

    /// What to do with flags that were fetched.
    pub(super) fn judge(&mut self, answer: &Answer<'_>, now: Instant) -> Verdict {
        if answer.latest.is_some() && answer.latest != self.latest {
            self.note(answer.latest, answer.occasion, now);
        }
        let contents = answer.contents.forget(&self.outdated);
        let answer = &Answer {
            contents: &contents,
            ..*answer
        };
        let verdict = self.verdict(answer, now);
        match verdict {
            Verdict::Same => {
                self.restored = false;
                self.reach(answer, now);
            }
            Verdict::Load(reason) => self.load(answer, reason, now),
            Verdict::Older | Verdict::Suspicious => {}
        }
        if let Some(announced) = &mut self.announced {
            announced.fetches = announced.fetches.saturating_add(1);
        }
        if matches!(verdict, Verdict::Same | Verdict::Load(_)) {
            self.settle(verdict, now);
        }
        verdict
    }

    fn verdict(&mut self, answer: &Answer<'_>, now: Instant) -> Verdict {
        let Some(loaded) = &self.loaded else {
            return Verdict::Load(Reason::Change);
        };
        let same = answer.same_flags && loaded == answer.contents;
        if answer.occasion == Occasion::Accept && !same {
            return Verdict::Load(Reason::Accepted);
        }
        let difference = loaded.difference(answer.contents);
        let fell = answer.latest.is_some() && answer.latest < self.confirmed;
        let loss = !difference.missing.is_empty();
        if !loss {
            // A complete answer ends the suspicion.
            self.suspicion = None;
        }
        let evidence = Evidence {
            base: &self.base,
            loaded,
            answer: answer.contents,
            difference: &difference,
            latest: answer.latest,
            has_ids: self.has_ids,
            restored: self.restored,
        };
        if !(fell && loss) && self.is_older(answer, &evidence, now) {
            let needed = match answer.latest {
                Some(_) if fell => self.times.settling(),
                None if !self.has_ids => self.times.settling(),
                None => self.times.settling().max(self.times.loss_confirmation),
                // The newer flags exist.
                Some(_) => Duration::MAX,
            };
            return if Streak::lasts(&mut self.older, needed, now) {
                Verdict::Load(Reason::RolledBack)
            } else {
                Verdict::Older
            };
        }
        let large = evidence.is_large();
        if loss && evidence.is_suspicious(self.suspicion.as_ref()) {
            self.older = None;
            let (missing, time) = (&difference.missing, self.times.loss_confirmation);
            return if confirms(&mut self.suspicion, missing, time, now) {
                Verdict::Load(Reason::LossConfirmed)
            } else {
                Verdict::Suspicious
            };
        }
        (self.older, self.suspicion) = (None, None);
        if !(fell && same) {
            self.fell = None;
        } else if Streak::lasts(&mut self.fell, self.times.settling(), now) {
            self.restart_ids(answer);
        }
        if self.is_returning(answer, &difference, now) {
            return Verdict::Older;
        }
        match same {
            true => Verdict::Same,
            false if difference.goes_back => Verdict::Load(Reason::RolledBack),
            false if loss && large => Verdict::Load(Reason::Deletions),
            false => Verdict::Load(Reason::Change),
        }
    }

    /// Whether an answer shows an earlier state than the loaded one.
    fn is_older(&self, answer: &Answer<'_>, evidence: &Evidence<'_>, now: Instant) -> bool {
        let difference = evidence.difference;
        let (version, loaded) = (answer.contents.version(), evidence.loaded.version());
        let current = answer.latest.is_some_and(|latest| version >= latest);
        if current && answer.latest >= self.confirmed {
            return false;
        }
        if difference.goes_back {
            return true;
        }
        let oldest_missing = difference.missing.iter().map(|(_, id)| *id).min();
        let Some(oldest_missing) = oldest_missing else {
            return false;
        };
        // An earlier state lacks the flags that were created since, and no other.
        if oldest_missing <= version {
            return false;
        }
        // These were new only a moment ago: they were deleted, or a replica that
        // lags behind does not have them yet.
        let recent = |since| now.saturating_duration_since(since) < self.times.settling();
        // The latest ID says that they exist.
        let exists = answer.latest.is_some_and(|latest| latest >= loaded);
        let stuck = exists && !answer.contents.is_empty() && !evidence.is_explained();
        stuck || self.newest_at.is_some_and(recent)
    }

    /// The flags stayed, and the IDs count on from a smaller one.
    fn restart_ids(&mut self, answer: &Answer<'_>) {
        (self.fell, self.announced) = (None, None);
        self.confirmed = answer.latest;
        let contents = self.outdate(answer.contents, answer.latest);
        self.newest = contents.version();
        self.base = Base::new(contents.clone(), self.confirmed);
        self.loaded = Some(contents);
    }

    /// Contents without the `SnapshotID`s that are greater than the latest ID:
    /// the IDs began again.
    fn outdate(&mut self, contents: &Contents, latest: Option<u64>) -> Contents {
        if let Some(latest) = latest {
            self.outdated.extend(contents.above(latest));
        }
        contents.forget(&self.outdated)
    }

    /// Whether flags that were lost are back, and not yet for long enough.
    fn is_returning(&mut self, answer: &Answer<'_>, difference: &Difference, now: Instant) -> bool {
        let current = answer
            .latest
            .is_some_and(|latest| answer.contents.version() >= latest);
        let newest = self.newest;
        let old = |flag: &&(u64, u64)| !current && flag.1 != 0 && flag.1 <= newest;
        let before = std::mem::take(&mut self.returning);
        for (id, _) in difference.added.iter().filter(old) {
            let since = before.get(id).copied().unwrap_or(now);
            self.returning.insert(*id, since);
        }
        let settling = self.times.settling();
        let recent = |since: &Instant| now.saturating_duration_since(*since) < settling;
        let returning = self.returning.values().any(recent);
        if !returning {
            self.returning.clear();
        }
        returning
    }

    fn load(&mut self, answer: &Answer<'_>, reason: Reason, now: Instant) {
        let anew = self.loaded.is_none() || reason.is_unexplained();
        let latest = answer.latest.filter(|_| anew);
        let contents = &self.outdate(answer.contents, latest);
        self.outdated.keep_forgotten(contents);
        let answer = &Answer {
            contents,
            ..*answer
        };
        let before = self.loaded.replace(contents.clone());
        let lost = before
            .as_ref()
            .map(|before| before.difference(contents).missing);
        if reason.is_unexplained() {
            // Nothing that was known of the IDs holds for these flags.
            self.confirmed = None;
            self.announced = None;
            self.has_ids = false;
            self.newest = 0;
            self.note(answer.latest, answer.occasion, now);
        }
        if lost.is_some_and(|lost| !lost.is_empty()) {
            let time = match reason.is_unexplained() {
                true => self.times.full_interval,
                false => self.times.loss_confirmation,
            };
            self.compare_until = now.checked_add(time).max(self.compare_until);
        }
        let version = contents.version();
        if version > self.newest {
            self.newest = version;
            self.newest_at = Some(now);
        }
        let without_ids = self.confirmed.is_none() && answer.latest.is_none();
        if anew || without_ids {
            self.base = Base::new(contents.clone(), None);
        }
        (self.restored, self.older, self.fell, self.suspicion) = (false, None, None, None);
        self.returning.clear();
        if let Some(announced) = &mut self.announced {
            announced.changed = true;
        }
        self.reach(answer, now);
    }

    /// The loaded flags are current for this ID.
    fn confirm(&mut self, id: Option<u64>, now: Instant) {
        self.confirmed = self.confirmed.max(id);
        let (Some(loaded), Some(confirmed)) = (&self.loaded, self.confirmed) else {
            return;
        };
        if !self.base.explains(loaded, loaded, confirmed) {
            // What looked like the ID of a deletion was that of an edit.
            let until = now.checked_add(self.times.full_interval);
            self.compare_until = until.max(self.compare_until);
        }
        self.base = Base::new(loaded.clone(), self.confirmed);
    }

    /// The loaded flags are current for the ID announced, if they have reached
    /// it.
    fn reach(&mut self, answer: &Answer<'_>, now: Instant) {
        let version = answer.contents.version();
        let announced = self.announced.and_then(|announced| announced.id);
        let latest = announced.max(answer.latest);
        if latest.is_some_and(|latest| version >= latest) {
            self.confirm(Some(version), now);
            self.announced = self.announced.filter(|announced| announced.id.is_none());
        }
    }

    /// Ends the waiting for what was announced, once it has been long enough.
    fn settle(&mut self, verdict: Verdict, now: Instant) {
        let settling = self.times.settling();
        let Some(announced) = &mut self.announced else {
            return;
        };
        let waited = now.saturating_duration_since(announced.id_since);
        let seen = matches!(verdict, Verdict::Load(_));
        let late = now.saturating_duration_since(announced.since) >= settling;
        if announced.id.is_some() && !announced.changed && late {
            announced.late_fetch = now + LATE_AGAIN;
        }
        let never =
            announced.id.is_some() && !announced.changed && waited >= self.times.full_interval;
        let over = match announced.id {
            // Nothing says what to wait for.
            None => seen || waited >= settling,
            Some(_) => (announced.changed && waited >= settling) || never,
        };
        if over {
            let id = announced.id;
            self.announced = None;
            self.accepted = id.filter(|_| never);
            if id.is_some() {
                self.confirm(id, now);
            }
        }
    }

    /// How long to wait before fetching again, when that is less than the poll
    /// interval: what was announced is still to come.
    pub(super) fn again(&self, poll_interval: Duration, now: Instant) -> Option<Duration> {
        let announced = self.announced?;
        let waited = now.saturating_duration_since(announced.since);
        if waited >= self.times.settling() || self.suspicion.is_some() {
            return None;
        }
        let doubled = announced.fetches.saturating_sub(1).min(16);
        let delay = FIRST_AGAIN.saturating_mul(1 << doubled);
        Some(delay.min(self.times.cache_interval).min(poll_interval))
    }
}
