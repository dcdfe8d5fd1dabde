//! What the latest snapshot ID announces, and whether the export shows it.

use std::time::{Duration, Instant};

use super::{Contents, Detector, FIRST_AGAIN, LATE_AGAIN, Occasion, Plan, Verdict};

/// A change that was announced and that no export has shown yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    /// Its snapshot ID; `None` if there was only a notification.
    pub(super) id: Option<u64>,
    /// When the ID rose to this one.
    id_since: Instant,
    /// Since when an ID is announced and the flags have not changed.
    since: Instant,
    /// The flags that were loaded since may be what was announced: some are gone,
    /// and no export reaches the ID of a deletion.
    pub(super) shown: bool,
    /// Some are gone.
    lost: bool,
    /// How often they were fetched since.
    pub(super) fetches: u32,
    /// When to fetch again once the export is late.
    late_fetch: Instant,
}

impl Announced {
    /// Flags were loaded: they lost some, or nothing was known of those before.
    pub(super) fn progress(&mut self, lost: bool, anew: bool, now: Instant) {
        self.shown |= lost || anew;
        self.lost |= lost;
        self.since = now;
    }
}

impl Detector {
    /// The latest snapshot ID is this, if it is known.
    pub(in crate::sync) fn announce(
        &mut self,
        id: Option<u64>,
        occasion: Occasion,
        now: Instant,
    ) -> Plan {
        self.note(id, occasion, now);
        match occasion {
            Occasion::Full | Occasion::Accept => Plan::Fetch,
            Occasion::Poll | Occasion::Hint if self.is_unchanged(id, now) => Plan::Nothing,
            Occasion::Poll if id.is_some() && self.is_to_wait(now) => Plan::Wait,
            Occasion::Poll | Occasion::Hint => Plan::Fetch,
        }
    }

    /// Remembers the latest ID, and that it announces a change.
    pub(super) fn note(&mut self, id: Option<u64>, occasion: Occasion, now: Instant) {
        self.latest = id;
        self.has_ids |= id.is_some();
        if id.is_some_and(|id| id >= self.outdated.version()) {
            // The IDs had not restarted, or have reached the old ones again.
            self.outdated = Contents::default();
        }
        let news = match (id, self.confirmed) {
            (Some(id), Some(confirmed)) => id > confirmed,
            (Some(_), None) => true,
            (None, _) => occasion == Occasion::Hint,
        };
        let known = self.announced.is_some_and(|known| known.id >= id);
        if !news || known {
            return;
        }
        // Consecutive changes share one back-off. The export is late from the
        // first change that it does not show.
        let before = self.announced;
        let unshown = before.filter(|before| !before.shown);
        self.announced = Some(Announced {
            id,
            id_since: now,
            since: unshown.map_or(now, |before| before.since),
            shown: false,
            lost: false,
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
            && self.fell.is_none()
            && self.suspicion.is_none()
            && !self.dispute.is_some_and(|dispute| dispute.is_lasting())
            && self.compare_until.is_none_or(|until| now >= until)
    }

    /// Whether the export is late, and it is too early to fetch it again.
    fn is_to_wait(&self, now: Instant) -> bool {
        let early =
            |announced: &Announced| self.is_late(announced, now) && now < announced.late_fetch;
        let undisputed = self.older.is_none()
            && self.suspicion.is_none()
            && self.dispute.is_none()
            && self.fell.is_none();
        undisputed && self.announced.as_ref().is_some_and(early)
    }

    /// Whether an announced change should have been in the export by now.
    pub(super) fn is_late(&self, announced: &Announced, now: Instant) -> bool {
        let waited = now.saturating_duration_since(announced.since);
        announced.id.is_some() && !announced.shown && waited >= self.times.settling()
    }

    /// Ends the waiting for what was announced, once it has been long enough.
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) {
        let settling = self.times.settling();
        let Some(announced) = &mut self.announced else {
            return;
        };
        let waited = now.saturating_duration_since(announced.id_since);
        let seen = matches!(verdict, Verdict::Load(_));
        let late = now.saturating_duration_since(announced.since) >= settling;
        if announced.id.is_some() && !announced.shown && late {
            announced.late_fetch = now + LATE_AGAIN;
        }
        let long = self.times.full_interval.max(settling);
        let never = announced.id.is_some() && !announced.shown && waited >= long;
        let over = match announced.id {
            // Nothing says what to wait for.
            None => seen || waited >= settling,
            Some(_) => (announced.shown && waited >= settling) || never,
        };
        if over {
            let Announced { id, lost, .. } = *announced;
            let version = self.loaded.as_ref().map(Contents::version);
            if announced.shown && !lost && version < id {
                // A deletion would have been seen: perhaps the last of several
                // changes is not exported yet.
                let until = now.checked_add(self.times.full_interval);
                self.compare_until = until.max(self.compare_until);
            }
            self.announced = None;
            self.accepted = id.filter(|_| never);
            if never {
                self.accept_unseen(id, now);
            } else if id.is_some() {
                self.confirm(id, now);
            }
        }
    }

    /// An operator accepts that the export does not show what was announced. It is
    /// compared at every poll for some time, since it may yet come.
    pub(super) fn accept_late(&mut self, now: Instant) {
        let late = |announced: &Announced| self.is_late(announced, now);
        let Some(id) = self.announced.filter(late).and_then(|late| late.id) else {
            return;
        };
        self.announced = None;
        self.accept_unseen(Some(id), now);
        let until = now.checked_add(self.times.full_interval);
        self.compare_until = until.max(self.compare_until);
    }

    /// Accepts an ID whose change no export has shown. If it is that of a deletion
    /// which the export shows within a full-refresh interval, it explains that.
    fn accept_unseen(&mut self, id: Option<u64>, now: Instant) {
        self.confirmed = self.confirmed.max(id);
        if let Some(id) = id {
            let until = now.checked_add(self.times.full_interval);
            self.base.accept_unseen(id, until, now);
        }
    }

    /// How long to wait before fetching again, when that is less than the poll
    /// interval: what was announced is still to come.
    pub(in crate::sync) fn again(&self, poll_interval: Duration, now: Instant) -> Option<Duration> {
        let announced = self.announced?;
        let waited = now.saturating_duration_since(announced.since);
        if waited >= self.times.settling() || self.suspicion.is_some() {
            return None;
        }
        let doubled = announced.fetches.saturating_sub(1).min(16);
        let delay = FIRST_AGAIN.saturating_mul(1 << doubled);
        Some(delay.min(self.times.cache_interval).min(poll_interval))
    }

    /// An ID that was just accepted although no export has shown its change:
    /// returned once.
    pub(in crate::sync) fn take_accepted(&mut self) -> Option<u64> {
        self.accepted.take()
    }
}
