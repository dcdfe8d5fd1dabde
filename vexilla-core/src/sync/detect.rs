//! Which answers of a server are news.
//!
//! Flagr tells the number of its newest change from its database, and exports
//! flags from a cache that lags behind it, one for each replica. So flags that
//! are fetched right after a change was announced may still be the old ones;
//! and a replica may answer with older flags than another did before.
//!
//! Every flag carries the number of its own newest change, its `SnapshotID`.
//! With that and with the number that was announced, an export is
//!
//! - *current* when its greatest number has reached the one announced;
//! - *older* than what is held when a flag in it has a smaller number than the
//!   same flag held, or is one that what is held had already lost, or when it
//!   lacks the newest flag though that was new only a moment ago;
//! - otherwise newer, if perhaps not new enough: taken, and asked for again.
//!
//! A deleted flag leaves no number behind, so no export reaches the number of
//! its deletion. After a few of Flagr's cache intervals a change in contents
//! is taken for what was announced.
//!
//! Older answers are left aside, until a few in a row agree: then the server's
//! database was put back, and is believed. If the number that is announced did
//! not go down with them, the answers are perhaps those of a replica that is
//! stuck, and have to last much longer. A set that is suddenly empty or tiny is
//! believed at the second time; if nothing had announced it, what comes after
//! it is judged as at a start.
//!
//! Pure: the time comes in, nothing is asked or waited for.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Older answers in a row that make an old database believable.
const AGREEING: u32 = 3;
/// How many of Flagr's cache intervals an export may take to catch up.
const INTERVALS: u32 = 4;
/// How many times as long older answers have to last to be believed where the
/// number of the newest change did not go down: a replica may be stuck.
const STUCK: u32 = 25;
/// A set that is so many times smaller than the one before is suspicious.
const SHRUNK: usize = 20;
/// How soon flags are fetched again when they have not caught up.
const FIRST_AGAIN: Duration = Duration::from_millis(250);

/// The flags of an export, each with the number of its newest change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contents(Vec<(u64, u64)>);

impl Contents {
    /// Contents of flags, by id and number.
    pub(super) fn new(flags: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut flags: Vec<_> = flags.into_iter().collect();
        flags.sort_unstable();
        Self(flags)
    }

    fn version(&self) -> u64 {
        self.0.iter().map(|(_, number)| *number).max().unwrap_or(0)
    }

    fn number(&self, id: u64) -> Option<u64> {
        let index = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.0.get(index).map(|(_, number)| *number)
    }
}

/// What to do after the number of the newest change was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing changed.
    Nothing,
    /// Fetch the flags.
    Fetch,
}

/// What to make of flags that were fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are what is held.
    Same,
    /// They are news.
    News,
    /// They are news though they go back: the server's database was put back.
    PutBack,
    /// They are news though there are suddenly few of them: it was confirmed.
    Shrunk,
    /// They are older than what is held; leave them aside.
    Older,
    /// There are suddenly few of them; leave them aside until that is
    /// confirmed.
    HeldBack,
}

/// Why flags are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It is time to look whether something changed.
    Poll,
    /// Somebody said that something changed.
    Hint,
    /// They are to be fetched whatever the number says.
    Full,
}

/// A change that was announced and that no export has shown yet.
#[derive(Debug, Clone, Copy)]
struct Announced {
    /// Its number; `None` if somebody only said that there is one.
    id: Option<u64>,
    since: Instant,
    /// The flags changed since.
    changed: bool,
    /// How often they were fetched since.
    fetches: u32,
}

/// Answers in a row that contradict what is held.
#[derive(Debug, Clone, Copy)]
struct Contradiction {
    answers: u32,
    since: Instant,
}

/// Remembers what was seen and judges what comes.
#[derive(Debug)]
pub(super) struct Detector {
    /// How long an export may take to show what was announced.
    settling: Duration,
    /// The number that what is held is current for.
    confirmed: Option<u64>,
    announced: Option<Announced>,
    held: Option<Contents>,
    /// The greatest number of all that was held…
    newest: u64,
    /// …since this moment.
    newest_at: Option<Instant>,
    /// Other flags were held before that.
    grew: bool,
    contradiction: Option<Contradiction>,
    held_back: Option<Contents>,
}

impl Detector {
    /// Nothing is held. The server's cache is renewed at this interval.
    pub(super) fn new(cache_interval: Duration) -> Self {
        Self {
            settling: cache_interval.saturating_mul(INTERVALS),
            confirmed: None,
            announced: None,
            held: None,
            newest: 0,
            newest_at: None,
            grew: false,
            contradiction: None,
            held_back: None,
        }
    }

    /// What is held was restored, and was current for this number.
    pub(super) fn restore(&mut self, contents: Contents, id: u64, now: Instant) {
        self.note_newest(&contents, now);
        self.held = Some(contents);
        self.confirmed = Some(id).filter(|id| *id != 0);
    }

    /// The number that what is held is current for; 0 if unknown.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed.unwrap_or(0)
    }

    /// The number of the newest change is this, if it is known.
    pub(super) fn announce(&mut self, id: Option<u64>, occasion: Occasion, now: Instant) -> Plan {
        let news = match (id, self.confirmed) {
            (Some(id), Some(confirmed)) => id > confirmed,
            (Some(_), None) => true,
            (None, _) => occasion == Occasion::Hint,
        };
        let known = self.announced.is_some_and(|known| known.id >= id);
        if news && !known {
            // Where change follows change, the back-off goes on.
            let fetches = self.announced.map_or(0, |known| known.fetches);
            self.announced = Some(Announced {
                id,
                since: now,
                changed: false,
                fetches,
            });
        }
        let unchanged = self.held.is_some()
            && id.is_some()
            && id == self.confirmed
            && self.announced.is_none()
            && self.contradiction.is_none()
            && self.held_back.is_none();
        if unchanged && occasion != Occasion::Full {
            Plan::Nothing
        } else {
            Plan::Fetch
        }
    }

    /// Takes contents without judging them: their source has no replicas and no
    /// cache.
    pub(super) fn believe(&mut self, contents: Contents) {
        *self = Self::new(self.settling / INTERVALS);
        self.held = Some(contents);
    }

    /// What to make of flags that were fetched after `id` was announced. Those
    /// of them that a filter lets through are the same as what is held, or not.
    pub(super) fn judge(
        &mut self,
        contents: &Contents,
        same_flags: bool,
        id: Option<u64>,
        occasion: Occasion,
        now: Instant,
    ) -> Verdict {
        let same = same_flags && self.held.as_ref() == Some(contents);
        let verdict = self.verdict(contents, same, id, now);
        match verdict {
            Verdict::Older | Verdict::HeldBack => {}
            Verdict::PutBack => self.take_anew(contents, id, now),
            // Should it have been a lasting fault, what comes next is news.
            Verdict::Shrunk if self.announced.is_none() => self.take_anew(contents, id, now),
            Verdict::News | Verdict::Shrunk => self.take(contents, id, now),
            Verdict::Same => self.reach(contents, id),
        }
        if verdict != Verdict::HeldBack {
            self.held_back = None;
        }
        self.settle(verdict, occasion, now);
        verdict
    }

    fn verdict(
        &mut self,
        contents: &Contents,
        same: bool,
        id: Option<u64>,
        now: Instant,
    ) -> Verdict {
        let Some(held) = &self.held else {
            return Verdict::News;
        };
        let went_down = id.is_some() && id < self.confirmed;
        // An export that has reached a number beyond all that is known is
        // current, whatever else it says.
        let reached = !went_down && id.is_some_and(|id| contents.version() >= id);
        let goes_back = self.goes_back(held, contents);
        let lags = self.lags(held, contents, now);
        let shrunk = contents.0.len().saturating_mul(SHRUNK) <= held.0.len();
        // Only of a small set that grew can so much have been made a moment ago.
        let lags_behind = lags && self.grew && held.0.len() < SHRUNK;
        let shrunk = shrunk && !held.0.is_empty() && !lags_behind;
        if shrunk && !goes_back && !went_down {
            return self.confirm(contents);
        }
        let older = !same && (goes_back || lags);
        let unannounced =
            !same && id.is_some() && id == self.confirmed && self.announced.is_none() && !reached;
        if (older && !reached) || went_down || unannounced {
            let stuck = older && id.is_some() && !went_down;
            if !self.contradicts(stuck, now) {
                return if same { Verdict::Same } else { Verdict::Older };
            }
            return Verdict::PutBack;
        }
        self.contradiction = None;
        match (same, shrunk, older) {
            (true, ..) => Verdict::Same,
            (_, true, _) => self.confirm(contents),
            (_, _, true) => Verdict::PutBack,
            _ => Verdict::News,
        }
    }

    /// A set that is suddenly small: the second like it is believed.
    fn confirm(&mut self, contents: &Contents) -> Verdict {
        if self.held_back.as_ref() == Some(contents) {
            return Verdict::Shrunk;
        }
        self.held_back = Some(contents.clone());
        Verdict::HeldBack
    }

    /// Whether an answer that contradicts what is held is one too many.
    fn contradicts(&mut self, stuck: bool, now: Instant) -> bool {
        let contradiction = self.contradiction.get_or_insert(Contradiction {
            answers: 0,
            since: now,
        });
        contradiction.answers = contradiction.answers.saturating_add(1);
        let lasted = now.saturating_duration_since(contradiction.since);
        let times = if stuck { STUCK } else { 1 };
        contradiction.answers >= AGREEING && lasted >= self.settling.saturating_mul(times)
    }

    /// Whether contents show an earlier state than the one held.
    fn goes_back(&self, held: &Contents, contents: &Contents) -> bool {
        let mut flags = contents.0.iter();
        flags.any(|(id, number)| match held.number(*id) {
            Some(known) => *number < known,
            None => *number != 0 && *number <= self.newest,
        })
    }

    /// Whether the newest flag is missing that was new only a moment ago:
    /// deleted, or not made yet where a replica lags behind.
    fn lags(&self, held: &Contents, contents: &Contents, now: Instant) -> bool {
        let recent = self.newest_at.is_some_and(|since| {
            let held_for = now.saturating_duration_since(since);
            held_for < self.settling
        });
        recent && contents.version() < held.version()
    }

    fn note_newest(&mut self, contents: &Contents, now: Instant) {
        let version = contents.version();
        if version > self.newest {
            self.newest = version;
            self.newest_at = Some(now);
            self.grew = self.held.is_some();
        }
    }

    /// Takes contents that no number known so far says anything about.
    fn take_anew(&mut self, contents: &Contents, id: Option<u64>, now: Instant) {
        self.confirmed = None;
        self.announced = None;
        self.newest = 0;
        self.take(contents, id, now);
    }

    fn take(&mut self, contents: &Contents, id: Option<u64>, now: Instant) {
        if contents.0.is_empty() && id.is_none() {
            // So answers an empty database, which counts from 1 again.
            self.confirmed = None;
            self.newest = 0;
        }
        self.note_newest(contents, now);
        self.held = Some(contents.clone());
        self.contradiction = None;
        if let Some(announced) = &mut self.announced {
            announced.changed = true;
        }
        self.reach(contents, id);
    }

    /// What is held is current for the number announced, if it has reached it.
    fn reach(&mut self, contents: &Contents, id: Option<u64>) {
        let version = contents.version();
        let announced = self.announced.and_then(|announced| announced.id).max(id);
        if announced.is_none_or(|id| version >= id) && version != 0 {
            self.confirmed = self.confirmed.max(Some(version));
            self.announced = self.announced.filter(|announced| announced.id.is_none());
        }
    }

    /// Ends the waiting for what was announced, once it has been long enough.
    fn settle(&mut self, verdict: Verdict, occasion: Occasion, now: Instant) {
        // What is held back is still to be judged, and was announced.
        if matches!(verdict, Verdict::PutBack | Verdict::HeldBack) {
            return;
        }
        let Some(announced) = &mut self.announced else {
            return;
        };
        announced.fetches = announced.fetches.saturating_add(1);
        if verdict == Verdict::Older {
            // Nothing can be said of what is held by an answer that is older.
            return;
        }
        let settled = now.saturating_duration_since(announced.since) >= self.settling;
        let seen = matches!(verdict, Verdict::News | Verdict::Shrunk);
        let over = match announced.id {
            // Nothing says what to wait for.
            None => seen || settled,
            Some(_) => settled && (announced.changed || occasion == Occasion::Full),
        };
        if over {
            self.confirmed = self.confirmed.max(announced.id);
            self.announced = None;
        }
    }

    /// How long to wait before asking again, when that is less than the poll
    /// interval: what was announced is still to come.
    pub(super) fn again(&self, poll_interval: Duration, now: Instant) -> Option<Duration> {
        let announced = self.announced?;
        let waited = now.saturating_duration_since(announced.since);
        if waited >= self.settling {
            return None;
        }
        let doubled = announced.fetches.saturating_sub(1).min(16);
        let delay = FIRST_AGAIN.saturating_mul(1 << doubled);
        Some(delay.min(self.settling / INTERVALS).min(poll_interval))
    }
}
