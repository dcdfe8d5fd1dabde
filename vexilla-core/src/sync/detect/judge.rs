//! What is made of flags that were fetched.

use std::time::Instant;

use super::contents::{Contents, Difference};
use super::loss::{Evidence, Suspicion};
use super::streak::Streak;
use super::{Answer, Detector, Occasion, Reason, Rollback, Verdict};

impl Detector {
    /// Whether these contents have just the latest ID that was read before them,
    /// so that there is no reason to read it again.
    pub(in crate::sync) fn has_reached(&self, contents: &Contents, latest: u64) -> bool {
        !self.lacks_flags(contents) && contents.version() == latest
    }

    /// Whether flags are missing in these contents.
    pub(in crate::sync) fn lacks_flags(&self, contents: &Contents) -> bool {
        let loaded = self.loaded.as_ref();
        loaded.is_some_and(|loaded| !loaded.difference(contents).missing.is_empty())
    }

    /// What to do with flags that were fetched.
    pub(in crate::sync) fn judge(&mut self, answer: &Answer<'_>, now: Instant) -> Verdict {
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
        // Of all that was seen, not only of what was confirmed.
        let announced = self.announced.and_then(|announced| announced.id);
        let greatest = self.confirmed.max(announced).max(Some(loaded.version()));
        let fell = answer.latest.is_some() && answer.latest < greatest;
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
        if !(fell && loss) && self.is_older(answer, &evidence, fell, now) {
            // Answers that differ do not agree on a loss.
            self.suspicion = None;
            return self.older(answer.latest, fell, now);
        }
        let large = loaded.loses_many(answer.contents);
        if loss && evidence.is_suspicious(self.suspicion.as_ref()) {
            (self.older, self.rollback) = (None, None);
            let most = self.times.most_gap;
            let suspicion = Suspicion::of(self.suspicion.take(), &evidence, most, now);
            let confirmed = suspicion.is_confirmed(&evidence, self.times.loss_confirmation);
            self.suspicion = Some(suspicion);
            return match confirmed {
                true => Verdict::Load(Reason::LossConfirmed),
                false => Verdict::Suspicious,
            };
        }
        (self.older, self.rollback, self.suspicion) = (None, None, None);
        if fell && same {
            let fell = self.fell.get_or_insert_default();
            fell.count(self.times.most_gap, now);
            if fell.confirms(self.times.settling()) {
                self.restart_ids(answer);
            }
        } else {
            self.fell = None;
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

    /// Counts an older answer: it is loaded when answers that show a rollback of
    /// the database have lasted.
    fn older(&mut self, latest: Option<u64>, fell: bool, now: Instant) -> Verdict {
        let most = self.times.most_gap;
        self.older.get_or_insert_default().count(most, now);
        let (rollback, needed) = match latest {
            Some(_) if fell => (Rollback::IdFell, self.times.settling()),
            // The newer flags exist.
            Some(_) => {
                self.rollback = None;
                return Verdict::Older;
            }
            None if self.has_ids => {
                let needed = self.times.settling().max(self.times.loss_confirmation);
                (Rollback::IdMissing, needed)
            }
            None => (Rollback::NoIds, self.times.settling()),
        };
        let known = self.rollback.filter(|(known, _)| *known == rollback);
        let mut streak = known.map(|(_, streak)| streak).unwrap_or_default();
        streak.count(most, now);
        self.rollback = Some((rollback, streak));
        match streak.confirms(needed) {
            true => Verdict::Load(Reason::RolledBack),
            false => Verdict::Older,
        }
    }

    /// A check failed: what answers show is not confirmed by the time until the
    /// next one.
    pub(in crate::sync) fn interrupt(&mut self) {
        let rollback = self.rollback.as_mut().map(|(_, streak)| streak);
        let streaks = [self.older.as_mut(), self.fell.as_mut(), rollback];
        streaks.into_iter().flatten().for_each(Streak::interrupt);
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.interrupt();
        }
        self.returning.values_mut().for_each(Streak::interrupt);
    }

    /// Whether an answer shows an earlier state than the loaded one.
    fn is_older(
        &self,
        answer: &Answer<'_>,
        evidence: &Evidence<'_>,
        fell: bool,
        now: Instant,
    ) -> bool {
        let difference = evidence.difference;
        let (version, loaded) = (answer.contents.version(), evidence.loaded.version());
        let current = answer.latest.is_some_and(|latest| version >= latest);
        if current && !fell {
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
        if answer.contents.is_empty() {
            return self.filled_at.is_some_and(recent);
        }
        let stuck = exists && !evidence.is_explained();
        stuck || self.newest_at.is_some_and(recent)
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
            let mut streak = before.get(id).copied().unwrap_or_default();
            streak.count(self.times.most_gap, now);
            self.returning.insert(*id, streak);
        }
        let settling = self.times.settling();
        let returning = self
            .returning
            .values()
            .any(|streak| !streak.confirms(settling));
        if !returning {
            self.returning.clear();
        }
        returning
    }
}
