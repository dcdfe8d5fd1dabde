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
//! | is older or has lost flags again, and the latest ID fell; or is older, and there is no latest ID or other flags are newer | kept aside until three answers in a row over four cache intervals are older: the database was rolled back |
//! | is older, and the latest ID was known and is missing now | the same over the confirmation time of a loss |
//! | is older, and the latest ID did not fall | kept aside, however long; after four cache intervals without another answer the flags are stale |
//! | has flags again that were lost, and is not current | loaded when every answer over four cache intervals has them; over a full-refresh interval if the latest ID explained the loss; at once if it is newer in another way |
//! | is the same, and the latest ID fell | the smaller ID counts when three answers in a row over the confirmation time of a loss agree |
//! | disagrees again with answers before it on which flags exist | see [`dispute`] |
//! | does not reach the ID that rose, and lacks no flag | fetched again; after four cache intervals without a change the flags are stale; after one full-refresh interval the ID is accepted, since it may be that of a flag created and deleted in between; a deletion that is shown afterwards is explained by it for one more interval, and then has to be confirmed |
//! | anything else | loaded |
//!
//! After a loss was loaded, flags are fetched at every poll for some time, so
//! that flags that come back are noticed. Time in a row is that between answers:
//! each confirms at most one and a half poll intervals.
//!
//! Pure: the time comes in, and nothing waits or does input or output here.

mod announced;
mod contents;
mod dispute;
mod doubt;
mod judge;
mod loss;
mod streak;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use announced::Announced;
pub(crate) use contents::Contents;
use dispute::Dispute;
pub(super) use doubt::Doubt;
use loss::{Base, Suspicion, Unsure};
use streak::Streak;

#[cfg(test)]
mod tests;

/// How many of Flagr's cache intervals an export may take to catch up.
const INTERVALS: u32 = 4;
/// How soon flags are fetched again when they have not caught up.
const FIRST_AGAIN: Duration = Duration::from_millis(250);
/// How long a late export is left alone.
const LATE_AGAIN: Duration = Duration::from_secs(5);

/// How many flags are remembered that were lost though no ID explained it.
const MOST_UNEXPLAINED: usize = 100_000;

/// The times that decisions depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How often a replica of the server renews its cache.
    pub(super) cache_interval: Duration,
    /// How long answers must agree on a suspicious loss.
    pub(super) loss_confirmation: Duration,
    /// How often flags are fetched whatever the latest ID says.
    pub(super) full_interval: Duration,
    /// How much time an answer confirms at most: that since the check before it.
    pub(super) between_checks: Duration,
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
    /// They changed, and more than a tenth was lost: by deletions, as far as the
    /// latest ID can tell.
    Deletions,
    /// Answers over the confirmation time agree on a loss.
    LossConfirmed,
    /// The database was rolled back to an earlier state.
    RolledBack,
    /// An operator accepts whatever the source answers.
    Accepted,
}

impl Reason {
    /// Whether what is known about snapshot IDs no longer applies.
    pub(super) fn is_unexplained(self) -> bool {
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

/// How older answers show that the database may have been rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollback {
    /// The latest ID is smaller than before.
    IdFell,
    /// Some flags are older than the loaded ones, and others are newer: IDs that
    /// were used before are used again.
    IdsReused,
    /// There was a latest ID, and it is missing now.
    IdMissing,
    /// The source has never had one.
    NoIds,
}

/// Remembers what was seen and judges what comes.
#[derive(Debug, Clone)]
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
    /// Flags whose `SnapshotID` is from before the IDs restarted; it is ignored
    /// when answers are compared.
    outdated: Contents,
    base: Base,
    /// Flags whose loss an ID explained though the answer may be that of a replica that
    /// has never had them.
    unsure: Unsure,
    /// The loaded flags are those of a restored copy.
    restored: bool,
    /// The greatest `SnapshotID` that was ever loaded…
    newest: u64,
    /// …since this moment.
    newest_at: Option<Instant>,
    /// When the first flags came after there had been none.
    filled_at: Option<Instant>,
    older: Option<Streak>,
    /// Older answers in a row of which each shows, in the same way, that the
    /// database may have been rolled back.
    rollback: Option<(Rollback, Streak)>,
    /// Answers with the loaded flags while the latest ID is smaller than before.
    fell: Option<Streak>,
    suspicion: Option<Suspicion>,
    /// Flags that came back with a `SnapshotID` from before they were lost, and
    /// the answers in a row that have them.
    returning: BTreeMap<u64, Streak>,
    /// Answers disagree on which flags exist.
    dispute: Option<Dispute>,
    /// When flags were loaded that lost others.
    lost_at: Option<Instant>,
    /// The flags that were lost though no latest ID explained it.
    unexplained: BTreeSet<u64>,
    /// The flags that were loaded last lost others, and not just a few that the
    /// latest ID explains.
    lost: bool,
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
            unsure: Unsure::new(),
            restored: false,
            newest: 0,
            newest_at: None,
            filled_at: None,
            older: None,
            rollback: None,
            fell: None,
            suspicion: None,
            returning: BTreeMap::new(),
            dispute: None,
            lost_at: None,
            unexplained: BTreeSet::new(),
            lost: false,
            compare_until: None,
            accepted: None,
        }
    }

    /// The loaded flags are those of a copy, saved `age` ago for the snapshot ID
    /// `id`, 0 if that is unknown.
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

    /// Whether the flags that were loaded last lost others, and not just a few
    /// that the latest ID explains.
    pub(super) fn lost_flags(&self) -> bool {
        self.lost
    }

    /// Loads contents without judging them: their source has no replicas and no
    /// cache.
    ///
    /// `latest` is the latest ID, read before them.
    pub(super) fn load_unjudged(&mut self, contents: Contents, latest: Option<u64>) {
        let before = self.loaded.take();
        *self = Self::new(self.times);
        self.confirmed = latest;
        self.lost = before.is_some_and(|before| before.loses_many(&contents));
        self.loaded = Some(contents);
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
    /// the IDs restarted.
    fn outdate(&mut self, contents: &Contents, latest: Option<u64>) -> Contents {
        if let Some(latest) = latest {
            self.outdated.extend(contents.above(latest));
        }
        contents.forget(&self.outdated)
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
            // What is known about snapshot IDs does not apply to these flags.
            self.confirmed = None;
            self.announced = None;
            self.newest = 0;
            self.unsure.clear();
            self.note(answer.latest, answer.occasion, now);
        }
        self.unexplained.retain(|id| !contents.has(*id));
        let lost = lost.is_some_and(|lost| !lost.is_empty());
        self.lost = lost && reason != Reason::Change;
        if lost {
            // If each ID is accounted for, the loss is hardly a fault.
            let before = before.as_ref().unwrap_or(contents);
            let spare = |latest| self.base.spare_ids(before, contents, latest, now);
            let is_accounted = answer.latest.and_then(spare) == Some(0);
            // If just the newest flags are gone, it may be the answer of a replica
            // that has never had them.
            let is_earlier = before.difference(contents).is_earlier(contents.version());
            let is_certain = !reason.is_unexplained()
                && is_accounted
                && !is_earlier
                && !self.base.awaits_unseen(now);
            let time = match is_certain {
                true => self.times.loss_confirmation,
                false => self.times.full_interval,
            };
            self.compare_until = now.checked_add(time).max(self.compare_until);
            self.lost_at = Some(now);
            let missing = before.difference(contents).missing.into_iter();
            if reason.is_unexplained() {
                self.unexplained.extend(missing.map(|(id, _)| id));
                if self.unexplained.len() > MOST_UNEXPLAINED {
                    // They may come back all the same, after a longer time.
                    self.unexplained.clear();
                }
            } else if let (true, Some(_), Some(until)) =
                (is_earlier, answer.latest, now.checked_add(time))
            {
                let flags = missing.map(|(id, snapshot_id)| (id, (snapshot_id, until)));
                self.unsure.extend(flags);
            }
        }
        if before.as_ref().is_some_and(Contents::is_empty) {
            self.filled_at = Some(now);
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
        (self.restored, self.fell, self.suspicion) = (false, None, None);
        (self.older, self.rollback) = (None, None);
        self.returning.clear();
        if let Some(announced) = &mut self.announced {
            announced.progress(lost, anew, now);
        }
        self.reach(answer, now);
    }

    /// The loaded flags are current for this ID.
    fn confirm(&mut self, id: Option<u64>, now: Instant) {
        self.confirmed = self.confirmed.max(id);
        let (Some(loaded), Some(confirmed)) = (&self.loaded, self.confirmed) else {
            return;
        };
        if !self.base.explains(loaded, loaded, confirmed, now) {
            // What looked like the ID of a deletion was that of an edit.
            let until = now.checked_add(self.times.full_interval);
            self.compare_until = until.max(self.compare_until);
        }
        self.unsure
            .retain(|id, (_, until)| now < *until && !loaded.has(*id));
        self.base = Base::new(loaded.clone(), self.confirmed).with_unsure(&self.unsure);
    }

    /// The loaded flags are current for the ID announced, if they have reached
    /// it.
    fn reach(&mut self, answer: &Answer<'_>, now: Instant) {
        // The IDs may have restarted with this answer.
        let version = answer.contents.forget(&self.outdated).version();
        let announced = self.announced.and_then(|announced| announced.id);
        let latest = announced.max(answer.latest);
        if latest.is_some_and(|latest| version >= latest) {
            self.confirm(Some(version), now);
            self.announced = self.announced.filter(|announced| announced.id.is_none());
        }
    }
}
