//! What is made of flags that were fetched.

use std::time::{Duration, Instant};

use super::contents::{Contents, Difference};
use super::dispute::Dispute;
use super::loss::{Evidence, Suspicion};
use super::{Answer, Detector, Occasion, Reason, Rollback, Verdict};

impl Detector {
    /// Whether these contents have just the latest ID that was read before them,
    /// so that there is no reason to read it again.
    pub(in crate::sync) fn has_reached(&self, contents: &Contents, latest: u64) -> bool {
        !self.lacks_flags(contents) && contents.version() == latest
    }

    /// Whether this latest ID is smaller than one that was seen before, confirmed or
    /// not.
    pub(in crate::sync) fn fell_to(&self, latest: u64) -> bool {
        let announced = self.announced.and_then(|announced| announced.id);
        let loaded = self.loaded.as_ref().map(Contents::version);
        Some(latest) < self.confirmed.max(announced).max(loaded)
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
        self.note_dispute(answer.occasion, verdict, now);
        match verdict {
            Verdict::Same => {
                self.restored = false;
                self.reach(answer, now);
                if answer.occasion == Occasion::Accept {
                    self.accept_late(now);
                }
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
        let fell = answer.latest.is_some_and(|latest| self.fell_to(latest));
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
            fell,
            has_ids: self.has_ids,
            restored: self.restored,
            now,
        };
        let fell_before = self.fell.take();
        if !(fell && loss) && self.is_older(answer, &evidence, fell, now) {
            // Answers that differ do not agree on a loss.
            self.suspicion = None;
            return self.older(answer.latest, fell, &difference, now);
        }
        let large = loaded.loses_many(answer.contents);
        if loss && evidence.is_suspicious(self.suspicion.as_ref()) {
            (self.older, self.rollback) = (None, None);
            let most = self.times.between_checks;
            let needed = self.confirmation(self.times.loss_confirmation, now);
            let suspicion = Suspicion::of(self.suspicion.take(), &evidence, most, now);
            let confirmed = suspicion.is_confirmed(&evidence, needed);
            self.suspicion = Some(suspicion);
            return match confirmed {
                true => Verdict::Load(Reason::LossConfirmed),
                false => Verdict::Suspicious,
            };
        }
        let returning = self.is_returning(answer, &difference, fell, now);
        if returning && fell {
            self.suspicion = None;
            return self.older(answer.latest, fell, &difference, now);
        }
        (self.rollback, self.suspicion) = (None, None);
        if fell && same {
            let mut streak = fell_before.unwrap_or_default();
            streak.count(self.times.between_checks, now);
            self.fell = Some(streak);
            // A wrong restart costs more than a late one.
            let needed = self.times.settling().max(self.times.loss_confirmation);
            if streak.confirms(needed) {
                self.restart_ids(answer);
            }
        }
        if returning {
            let most = self.times.between_checks;
            self.older.get_or_insert_default().count(most, now);
            return Verdict::Older;
        }
        self.older = None;
        match same {
            true => Verdict::Same,
            false if difference.goes_back => Verdict::Load(Reason::RolledBack),
            false if loss && large => Verdict::Load(Reason::Deletions),
            false => Verdict::Load(Reason::Change),
        }
    }

    /// Counts an older answer: it is loaded when answers that show a rollback of
    /// the database have lasted.
    fn older(
        &mut self,
        latest: Option<u64>,
        fell: bool,
        difference: &Difference,
        now: Instant,
    ) -> Verdict {
        let most = self.times.between_checks;
        self.older.get_or_insert_default().count(most, now);
        let (rollback, needed) = match latest {
            Some(_) if fell => (Rollback::IdFell, self.times.settling()),
            Some(_) if difference.goes_back && self.has_news(difference) => {
                (Rollback::IdsReused, self.times.settling())
            }
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

    /// Whether an answer has something newer than the loaded flags.
    fn has_news(&self, difference: &Difference) -> bool {
        let newest = self.newest;
        difference.goes_forward || difference.added.iter().any(|(_, id)| *id > newest)
    }

    /// Remembers answers that disagree with the loaded flags on which flags exist.
    fn note_dispute(&mut self, occasion: Occasion, verdict: Verdict, now: Instant) {
        let settling = self.times.settling();
        let flags = match verdict {
            Verdict::Suspicious => self.suspicion.as_ref().map_or(0, Suspicion::missing),
            // A replica that lags behind has flags that were lost a moment ago.
            Verdict::Older
                if self
                    .lost_at
                    .is_none_or(|at| now.saturating_duration_since(at) >= settling) =>
            {
                self.returning.len()
            }
            Verdict::Older | Verdict::Same | Verdict::Load(_) => 0,
        };
        let lasts = match self.dispute.is_some_and(|dispute| dispute.is_lasting()) {
            true => self.times.full_interval,
            false => self.times.loss_confirmation,
        };
        let decided = occasion == Occasion::Accept
            || matches!(verdict, Verdict::Load(reason) if reason.is_unexplained());
        self.dispute = self
            .dispute
            .filter(|dispute| !decided && dispute.quiet_for(now) < lasts);
        if flags > 0 {
            self.dispute = Some(Dispute::disagreed(self.dispute, flags, now));
        } else if let Some(dispute) = &mut self.dispute {
            dispute.agreed(settling, now);
        }
    }

    /// That answers keep disagreeing on which flags exist, if the last that did
    /// came within this time.
    pub(super) fn lasting_dispute(&self, within: Duration, now: Instant) -> Option<Dispute> {
        let lasting = |dispute: &Dispute| dispute.is_lasting() && dispute.quiet_for(now) < within;
        self.dispute.filter(lasting)
    }

    /// How long answers must agree on which flags exist: longer where others have
    /// kept disagreeing.
    fn confirmation(&self, usual: Duration, now: Instant) -> Duration {
        let full = self.times.full_interval;
        match self.lasting_dispute(full, now) {
            Some(_) => usual.max(full),
            None => usual,
        }
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
        // An earlier state lacks the flags that were created since, and no other.
        if !difference.is_earlier(version) {
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
        // Unless an ID was accepted that may be that of their deletion.
        let exists = exists && !evidence.base.has_unseen();
        let stuck = exists && !evidence.is_explained();
        stuck || self.newest_at.is_some_and(recent)
    }

    /// Whether flags that were lost are back, and not yet for long enough.
    fn is_returning(
        &mut self,
        answer: &Answer<'_>,
        difference: &Difference,
        fell: bool,
        now: Instant,
    ) -> bool {
        let version = answer.contents.version();
        // A replica that is behind reaches its own latest ID.
        let current = !fell && answer.latest.is_some_and(|latest| version >= latest);
        let loaded = self.loaded.as_ref().map_or(0, Contents::version);
        // A flag that is gone in the answer was deleted before its newest change.
        let deleted = |(_, id): &(u64, u64)| *id != 0 && *id <= version;
        let newer = self.has_news(difference) || difference.missing.iter().any(deleted);
        // And the other way round: one that is gone in the loaded flags was
        // deleted before their newest change.
        let newest = if newer { loaded } else { self.newest };
        let old = |flag: &&(u64, u64)| !current && flag.1 != 0 && flag.1 <= newest;
        let before = std::mem::take(&mut self.returning);
        for (id, _) in difference.added.iter().filter(old) {
            let mut streak = before.get(id).copied().unwrap_or_default();
            streak.count(self.times.between_checks, now);
            self.returning.insert(*id, streak);
        }
        let settling = self.times.settling();
        let unexplained = self.confirmation(settling, now);
        // What the latest ID explained was a deletion, as far as anybody can tell.
        let explained = self.confirmation(settling.max(self.times.full_interval), now);
        let returning = self.returning.iter().any(|(id, streak)| {
            let needed = match self.has_ids && !self.unexplained.contains(id) {
                true => explained,
                false => unexplained,
            };
            !streak.confirms(needed)
        });
        if !returning {
            self.returning.clear();
        }
        returning
    }
}
