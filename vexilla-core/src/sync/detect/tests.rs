//! Answers in a row, and what is made of each.

use super::*;

mod histories;
mod loss;

const POLL: Duration = Duration::from_secs(1);
/// Four of Flagr's cache intervals.
const SETTLING: u64 = 12_000;
const FULL: u64 = 300_000;

const TIMES: Times = Times {
    cache_interval: Duration::from_secs(3),
    loss_confirmation: Duration::from_secs(60),
    full_interval: Duration::from_millis(FULL),
    between_checks: Duration::from_secs(15),
};

const CHANGE: Option<Verdict> = Some(Verdict::Load(Reason::Change));
const ROLLED_BACK: Option<Verdict> = Some(Verdict::Load(Reason::RolledBack));
const SAME: Option<Verdict> = Some(Verdict::Same);
const OLDER: Option<Verdict> = Some(Verdict::Older);

/// A detector with a clock of its own.
#[derive(Clone)]
struct Case {
    detector: Detector,
    now: Instant,
    flags: Contents,
}

fn contents(flags: &[(u64, u64)]) -> Contents {
    Contents::new(flags.iter().copied())
}

impl Case {
    /// Nothing is loaded.
    fn empty() -> Self {
        Self {
            detector: Detector::new(TIMES),
            now: Instant::now(),
            flags: Contents::default(),
        }
    }

    /// These flags are loaded, and current for this ID, since long ago.
    fn loaded(id: u64, flags: &[(u64, u64)]) -> Self {
        let mut case = Self::empty();
        assert_eq!(case.poll(Some(id), flags), CHANGE);
        case.after(SETTLING).poll(Some(id), flags);
        case.after(FULL);
        assert_eq!(case.poll(Some(id), &[]), None);
        case
    }

    /// Three flags are loaded, and current for ID 3, since long ago.
    fn new() -> Self {
        Self::loaded(3, &OLD)
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    fn check(
        &mut self,
        latest: Option<u64>,
        flags: &[(u64, u64)],
        occasion: Occasion,
    ) -> Option<Verdict> {
        if self.detector.announce(latest, occasion, self.now) != Plan::Fetch {
            return None;
        }
        let contents = contents(flags);
        let answer = Answer {
            contents: &contents,
            same_flags: self.flags == contents,
            latest,
            occasion,
        };
        let verdict = self.detector.judge(&answer, self.now);
        if matches!(verdict, Verdict::Load(_)) {
            self.flags = contents;
        }
        Some(verdict)
    }

    /// What is made of flags, if they are fetched at all.
    fn poll(&mut self, latest: Option<u64>, flags: &[(u64, u64)]) -> Option<Verdict> {
        self.check(latest, flags, Occasion::Poll)
    }

    fn again(&self) -> Option<Duration> {
        self.detector.again(POLL, self.now)
    }

    fn doubt(&self) -> Option<Doubt> {
        self.detector.doubt(self.now)
    }
}

const OLD: [(u64, u64); 3] = [(1, 1), (2, 2), (3, 3)];

#[test]
fn flags_that_have_not_caught_up_are_fetched_again_with_back_off() {
    let mut case = Case::new();
    let mut delays = Vec::new();
    for _ in 0..5 {
        assert_eq!(case.poll(Some(4), &OLD), SAME);
        let again = case.again().unwrap();
        case.now += again;
        delays.push(again.as_millis());
    }
    assert_eq!(delays, [250, 500, 1_000, 1_000, 1_000], "at most a poll");
    assert_eq!(case.detector.confirmed(), 3);
    assert_eq!(case.poll(Some(4), &[(1, 4), (2, 2), (3, 3)]), CHANGE);
    assert_eq!((case.detector.confirmed(), case.again()), (4, None));
    assert_eq!(case.poll(Some(4), &[]), None);
}

#[test]
fn an_export_that_never_catches_up_is_late_and_its_id_accepted_after_a_full_interval() {
    let mut case = Case::new();
    assert_eq!(case.poll(Some(4), &OLD), SAME);
    case.after(SETTLING - 1);
    assert_eq!(case.poll(Some(4), &OLD), SAME);
    assert_eq!(case.doubt(), None);
    let late = Some(Doubt::Late {
        latest: 4,
        version: 3,
    });
    let (mut fetches, mut polls, mut lasted) = (0, 0, SETTLING - 1);
    while lasted + 1_000 < FULL {
        lasted += 1_000;
        polls += 1;
        fetches += u64::from(case.after(1_000).poll(Some(4), &OLD).is_some());
        assert_eq!(case.doubt(), late, "after {lasted} ms");
        assert_eq!(case.again(), None, "at the pace of the polls");
    }
    assert!(fetches * 4 < polls, "{fetches} of {polls}");
    assert_eq!(case.detector.take_accepted(), None);
    while case.detector.confirmed() == 3 {
        case.after(1_000).poll(Some(4), &OLD);
    }
    let waited = case.now.duration_since(Instant::now()).as_millis();
    assert!(waited < u128::from(2 * FULL + 3 * SETTLING), "{waited}");
    assert_eq!(case.detector.take_accepted(), Some(4));
    assert_eq!(case.detector.take_accepted(), None, "told once");
    assert_eq!(case.doubt(), None);
    assert_eq!(case.poll(Some(4), &OLD), None, "confirmed");
}

#[test]
fn an_operator_accepts_a_late_export_and_its_change_is_loaded_when_it_comes() {
    let mut case = Case::new();
    assert_eq!(case.poll(Some(4), &OLD), SAME);
    // Not late yet: it is waited for as usual.
    assert_eq!(case.check(Some(4), &OLD, Occasion::Accept), SAME);
    assert_eq!(case.detector.confirmed(), 3);
    assert_eq!(case.after(SETTLING).poll(Some(4), &OLD), SAME);
    assert!(matches!(case.doubt(), Some(Doubt::Late { .. })));
    assert_eq!(case.check(Some(4), &OLD, Occasion::Accept), SAME);
    assert_eq!((case.doubt(), case.detector.confirmed()), (None, 4));
    assert_eq!(case.after(10_000).poll(Some(4), &OLD), SAME);
    let new = [(1, 1), (2, 4), (3, 3)];
    assert_eq!(case.after(10_000).poll(Some(4), &new), CHANGE);
}

#[test]
fn an_export_is_late_although_the_id_goes_on_rising() {
    let mut case = Case::new();
    for id in 4..20 {
        case.after(1_000).poll(Some(id), &OLD);
    }
    assert_eq!(
        case.doubt(),
        Some(Doubt::Late {
            latest: 19,
            version: 3
        })
    );
    // What it shows at last ends that for a while, though it is not all.
    case.after(SETTLING);
    assert_eq!(case.poll(Some(19), &[(1, 7), (2, 2), (3, 3)]), CHANGE);
    assert_eq!(case.doubt(), None);
}

#[test]
fn a_late_export_is_fetched_at_once_for_whoever_insists() {
    let mut case = Case::new();
    case.poll(Some(4), &OLD);
    case.after(SETTLING).poll(Some(4), &OLD);
    assert_eq!(case.after(1_000).poll(Some(4), &OLD), None);
    for occasion in [Occasion::Hint, Occasion::Full, Occasion::Accept] {
        assert_eq!(case.check(Some(4), &OLD, occasion), SAME);
    }
}

#[test]
fn after_a_deletion_the_change_of_contents_is_what_was_announced() {
    let mut case = Case::new();
    let left = [(1, 1), (3, 3)];
    assert_eq!(case.poll(Some(4), &OLD), SAME);
    assert_eq!(case.after(500).poll(Some(4), &left), DELETIONS);
    assert_eq!(case.after(500).poll(Some(4), &OLD), OLDER);
    assert_eq!(case.after(500).poll(Some(4), &left), SAME);
    assert_eq!(
        case.detector.confirmed(),
        3,
        "not before caches have settled"
    );
    assert_eq!(case.after(SETTLING).poll(Some(4), &left), SAME);
    assert_eq!((case.detector.confirmed(), case.doubt()), (4, None));
    assert_eq!(case.after(60_000).poll(Some(4), &left), None);
}

const DELETIONS: Option<Verdict> = Some(Verdict::Load(Reason::Deletions));

#[test]
fn a_flag_that_was_deleted_does_not_come_back_before_its_deletion_is_confirmed() {
    // The newest flag goes, and nothing tells that but its absence.
    let mut case = Case::new();
    let before = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(5), &before), CHANGE);
    let after = [(1, 4), (3, 3)];
    assert_eq!(case.after(500).poll(Some(6), &after), DELETIONS);
    assert_eq!(case.after(500).poll(Some(6), &before), OLDER);
}

#[test]
fn a_flag_that_was_restored_does_not_go_again() {
    let mut case = Case::new();
    let restored = [(1, 1), (2, 5), (3, 3)];
    // It was deleted by ID 4; loaded is the old one, then the new one.
    assert_eq!(case.poll(Some(5), &restored), CHANGE);
    let without = [(1, 1), (3, 3)];
    assert_eq!(case.after(500).poll(Some(6), &without), OLDER);
    assert_eq!(case.after(SETTLING).poll(Some(6), &without), DELETIONS);
}

#[test]
fn a_flag_made_and_deleted_before_anybody_saw_it_goes_quietly() {
    let mut case = Case::new();
    // One cache was renewed between the two, and is asked first.
    let with = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(case.poll(Some(5), &OLD), SAME);
    assert_eq!(case.after(1_000).poll(Some(5), &with), CHANGE);
    let mut verdicts = Vec::new();
    for _ in 0..14 {
        verdicts.extend(case.after(1_000).poll(Some(5), &OLD));
    }
    assert!(!verdicts.contains(&ROLLED_BACK.unwrap()), "{verdicts:?}");
    assert_eq!(case.flags, contents(&OLD), "{verdicts:?}");
}

#[test]
fn an_older_answer_is_left_aside_and_newer_ones_end_the_doubt() {
    let mut case = Case::new();
    let new = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(4), &new), CHANGE);
    for _ in 0..50 {
        let verdict = case.after(SETTLING).check(Some(4), &OLD, Occasion::Full);
        assert_eq!(verdict, OLDER);
        assert_eq!(case.poll(Some(4), &OLD), OLDER, "it is fetched again");
        assert_eq!(case.after(10).poll(Some(4), &new), SAME);
        assert_eq!((case.doubt(), case.poll(Some(4), &new)), (None, None));
    }
}

#[test]
fn a_database_that_was_rolled_back_is_believed_after_three_answers_and_twelve_seconds() {
    // Often asked: the time is what counts. Seldom asked: the answers.
    for (millis, answers) in [(1_000, 13), (10_000, 3)] {
        let mut case = Case::loaded(5, &[(1, 1), (2, 5), (3, 3)]);
        for _ in 1..answers {
            assert_eq!(case.after(millis).poll(Some(3), &OLD), OLDER);
        }
        assert_eq!(case.after(millis).poll(Some(3), &OLD), ROLLED_BACK);
        let more = [(1, 1), (2, 4), (3, 3)];
        assert_eq!(case.poll(Some(4), &more), CHANGE, "it counts on");
    }
}

#[test]
fn a_stuck_replica_is_never_believed_and_makes_flags_stale() {
    let mut case = Case::new();
    let new = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(4), &new), CHANGE);
    assert_eq!(case.check(Some(4), &OLD, Occasion::Full), OLDER);
    for second in 1..10_000 {
        assert_eq!(case.after(1_000).poll(Some(4), &OLD), OLDER);
        let doubt = (second >= 12).then_some(Doubt::Older { version: 4 });
        assert_eq!(case.doubt(), doubt, "after {second} s");
    }
    // Where the ID is not known any more, it takes as long as a loss.
    let mut case = Case::new();
    assert_eq!(case.poll(Some(4), &new), CHANGE);
    let mut seconds = 0;
    while case.check(None, &OLD, Occasion::Full) == OLDER {
        case.after(1_000);
        seconds += 1;
    }
    assert_eq!((seconds, case.flags.clone()), (60, contents(&OLD)));
    // An operator may accept it at once.
    let mut case = Case::new();
    assert_eq!(case.poll(Some(4), &new), CHANGE);
    assert_eq!(case.check(Some(4), &OLD, Occasion::Full), OLDER);
    let accepted = case.check(Some(4), &OLD, Occasion::Accept);
    assert_eq!(accepted, Some(Verdict::Load(Reason::Accepted)));
    assert_eq!((case.flags.clone(), case.doubt()), (contents(&OLD), None));
}

#[test]
fn a_stuck_replica_that_lacks_the_newest_flag_is_older() {
    let mut case = Case::new();
    let new = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(case.poll(Some(4), &new), CHANGE);
    case.after(60_000);
    assert_eq!(case.check(Some(4), &OLD, Occasion::Full), OLDER);
    for _ in 0..200 {
        assert_eq!(case.after(1_000).poll(Some(4), &OLD), OLDER);
    }
    assert_eq!(case.doubt(), Some(Doubt::Older { version: 4 }));
    // Its deletion has an ID of its own.
    assert_eq!(case.after(1_000).poll(Some(5), &OLD), DELETIONS);
}

#[test]
fn an_id_that_falls_or_vanishes_alone_matters_to_nothing() {
    let mut case = Case::loaded(9, &OLD);
    for _ in 0..67 {
        assert_eq!(case.after(900).poll(Some(5), &OLD), SAME);
        assert_eq!(case.doubt(), None);
    }
    assert_eq!(case.after(900).poll(Some(5), &OLD), SAME);
    assert_eq!(case.detector.confirmed(), 5, "it counts on");
    assert_eq!(case.poll(Some(5), &OLD), None);
    assert_eq!(case.poll(Some(6), &[(1, 6), (2, 2), (3, 3)]), CHANGE);
    for _ in 0..100 {
        let verdict = case.after(900).poll(None, &[(1, 6), (2, 2), (3, 3)]);
        assert_eq!((verdict, case.doubt()), (SAME, None));
    }
    assert_eq!(case.poll(Some(7), &[(1, 7), (2, 2), (3, 3)]), CHANGE);
}

#[test]
fn a_database_that_was_rolled_back_and_has_overtaken_is_believed_at_once() {
    let mut case = Case::new();
    let other = [(1, 1), (2, 1), (3, 4)];
    assert_eq!(case.poll(Some(4), &other), ROLLED_BACK);
    assert_eq!(case.detector.confirmed(), 4);
}

#[test]
fn without_ids_contents_decide() {
    let mut case = Case::empty();
    assert_eq!(case.poll(None, &OLD), CHANGE);
    case.after(60_000);
    assert_eq!(case.poll(None, &OLD), SAME);
    assert_eq!(case.poll(None, &[(1, 1), (2, 4), (3, 3)]), CHANGE);
    assert_eq!(case.poll(None, &OLD), OLDER);
    assert_eq!(case.again(), None, "nothing was announced");
    // Flags of a file have no IDs at all.
    let mut case = Case::empty();
    for flags in [&[(1, 0), (2, 0)][..], &[(1, 0)], &[(1, 0), (3, 0)]] {
        let verdict = case.poll(None, flags);
        assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    }
}

#[test]
fn a_notification_without_an_id_is_waited_for_until_caches_have_settled() {
    let mut case = Case::empty();
    assert_eq!(case.poll(None, &OLD), CHANGE);
    case.after(60_000);
    let notified = case.check(None, &OLD, Occasion::Hint);
    assert_eq!(notified, SAME);
    assert!(case.again().is_some());
    assert_eq!(case.after(SETTLING).poll(None, &OLD), SAME);
    assert_eq!((case.again(), case.doubt()), (None, None));
    // One whose change is already loaded is for nothing.
    assert_eq!(Case::new().check(Some(3), &OLD, Occasion::Hint), None);
}

#[test]
fn a_copy_is_newer_than_what_a_lagging_replica_answers() {
    let mut case = Case::empty();
    case.flags = contents(&OLD);
    let copy = contents(&OLD);
    case.detector.restore(copy, 3, Duration::ZERO, case.now);
    assert_eq!(case.poll(Some(4), &[(1, 1), (2, 2)]), OLDER);
    let new = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(case.after(3_000).poll(Some(4), &new), CHANGE);
}

#[test]
fn ids_that_begin_again_under_the_same_flags_count_on() {
    // Rows of snapshots were deleted, or the database was copied without them.
    let mut case = Case::new();
    let many: Vec<_> = (1..=50).map(|id| (id, 200 + id)).collect();
    assert_eq!(case.poll(Some(250), &many), CHANGE);
    assert_eq!(case.after(60_000).check(None, &many, Occasion::Full), SAME);
    // The first edit gets the ID 1.
    let edit = |flag, by| {
        let edited = move |(id, at)| if id == flag { (id, by) } else { (id, at) };
        move |flags: Vec<(u64, u64)>| Vec::from_iter(flags.into_iter().map(edited))
    };
    let first = edit(7, 1)(many.clone());
    for _ in 0..12 {
        assert_eq!(case.poll(Some(1), &first), OLDER);
        case.after(1_000);
    }
    assert_eq!(case.poll(Some(1), &first), ROLLED_BACK);
    let second = edit(9, 2)(first);
    assert_eq!(case.after(1_000).poll(Some(2), &second), CHANGE);
    let third = edit(7, 3)(second);
    assert_eq!(case.after(1_000).poll(Some(3), &third), CHANGE);
    assert_eq!(case.poll(Some(3), &third), None, "confirmed");
    case.after(60_000);
    let left: Vec<_> = third.iter().copied().filter(|flag| flag.0 != 30).collect();
    assert_eq!(case.poll(Some(4), &left), CHANGE, "a deletion");
    // So does a service that starts then.
    let mut case = Case::loaded(3, &third);
    assert_eq!(case.poll(Some(4), &left), CHANGE);
}

#[test]
fn one_answer_without_an_id_loads_no_older_flags_however_long_a_replica_is_stuck() {
    for (latest, answers) in [(None, 61), (Some(3), 13)] {
        let mut case = Case::new();
        let new = [(1, 4), (2, 2), (3, 3)];
        assert_eq!(case.poll(Some(4), &new), CHANGE);
        for _ in 0..100 {
            case.after(1_000).check(Some(4), &OLD, Occasion::Full);
        }
        for _ in 1..answers {
            assert_eq!(case.after(1_000).poll(latest, &OLD), OLDER);
        }
        assert_eq!(case.after(1_000).poll(latest, &OLD), ROLLED_BACK);
    }
}

#[test]
fn a_rollback_whose_ids_were_used_again_is_loaded() {
    // Rolled back from ID 4 to 2; then flag 1 was edited by 3, flag 5 created by
    // 4 and 5, and flag 3 deleted by 6.
    let before = [(1, 1), (2, 4), (3, 3)];
    let mut case = Case::loaded(4, &before);
    let after = [(1, 3), (2, 2), (5, 5)];
    for _ in 0..12 {
        assert_eq!(case.after(1_000).poll(Some(6), &after), OLDER);
    }
    assert_eq!(case.after(1_000).poll(Some(6), &after), ROLLED_BACK);
}

#[test]
fn one_latest_id_that_was_wrong_does_no_lasting_harm() {
    for wrong in [500, u64::MAX] {
        let mut case = Case::loaded(5, &OLD);
        assert_eq!(case.after(1_000).poll(Some(wrong), &OLD), SAME);
        for _ in 0..62 {
            case.after(1_000).poll(Some(5), &OLD);
        }
        assert_eq!(case.doubt(), None, "{wrong}");
    }
}

/// Answers confirm at most 15 s each, however long nobody else came.
#[test]
fn time_in_which_nobody_answers_confirms_little() {
    let mut case = Case::loaded(5, &[(1, 1), (2, 5), (3, 3)]);
    for _ in 0..2 {
        assert_eq!(case.after(3_600_000).poll(Some(3), &OLD), OLDER);
    }
    assert_eq!(case.after(3_600_000).poll(Some(3), &OLD), ROLLED_BACK);
}

#[test]
fn an_export_that_stops_half_way_is_late_and_its_end_is_loaded() {
    let mut case = Case::new();
    let first = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(5), &first), CHANGE);
    for second in 1..=60 {
        case.after(1_000).poll(Some(5), &first);
        let late = (second >= 12).then_some(Doubt::Late {
            latest: 5,
            version: 4,
        });
        assert_eq!(case.doubt(), late, "after {second} s");
    }
    let second = [(1, 4), (2, 5), (3, 3)];
    assert_eq!(case.after(5_000).poll(Some(5), &second), CHANGE);
    assert_eq!(case.doubt(), None);
}

#[test]
fn a_start_after_a_deletion_is_not_late() {
    let mut case = Case::empty();
    assert_eq!(case.poll(Some(9), &OLD), CHANGE);
    for _ in 0..400 {
        case.after(1_000).poll(Some(9), &OLD);
        assert_eq!(case.doubt(), None);
    }
    assert_eq!(case.poll(Some(9), &OLD), None);
}

#[test]
fn a_rollback_to_the_confirmed_id_is_one() {
    let mut case = Case::loaded(3, &OLD);
    // The ID 5 was announced, and no export has reached it.
    assert_eq!(case.poll(Some(5), &[(1, 4), (2, 2), (3, 3)]), CHANGE);
    for _ in 0..12 {
        assert_eq!(
            case.after(1_000).check(Some(3), &OLD, Occasion::Full),
            OLDER
        );
    }
}

#[test]
fn answers_that_lack_flags_are_no_older_answers_in_a_row() {
    let before = [(1, 1), (2, 5), (3, 3)];
    let mut case = Case::loaded(5, &before);
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(case.after(1_000).poll(Some(3), &OLD), OLDER);
        }
        let part = case.after(1_000).poll(Some(5), &[(2, 5)]);
        assert_eq!(part, Some(Verdict::Suspicious));
    }
}

#[test]
fn an_id_is_small_in_a_row_only_if_no_other_comes_between() {
    let mut case = Case::loaded(5, &[(1, 1), (2, 2), (3, 5)]);
    let flags = [(1, 1), (2, 2), (3, 5)];
    for _ in 0..3 {
        for _ in 0..59 {
            assert_eq!(case.after(1_000).poll(Some(4), &flags), SAME);
        }
        case.after(1_000).check(Some(5), &flags, Occasion::Full);
        assert_eq!(case.detector.confirmed(), 5);
    }
    for _ in 0..62 {
        case.after(1_000).poll(Some(4), &flags);
    }
    assert_eq!(case.detector.confirmed(), 4);
}

#[test]
fn a_late_export_is_left_alone_though_the_id_goes_on_rising() {
    let mut case = Case::new();
    let mut fetches = 0;
    for id in 4..64 {
        fetches += u32::from(case.after(1_000).poll(Some(id), &OLD).is_some());
    }
    assert!((20..25).contains(&fetches), "{fetches}");
}

#[test]
fn an_older_answer_of_a_late_export_is_looked_at_again_at_each_poll() {
    let loaded = [(1, 1), (2, 2), (3, 3), (4, 4)];
    let mut case = Case::loaded(4, &loaded);
    for _ in 0..16 {
        case.after(1_000).poll(Some(5), &loaded);
    }
    assert!(matches!(case.doubt(), Some(Doubt::Late { .. })));
    case.after(5_000);
    for _ in 0..10 {
        let older = [(1, 1), (2, 2), (3, 3), (4, 3)];
        assert_eq!(case.after(1_000).poll(Some(5), &older), OLDER);
    }
}

#[test]
fn ids_from_before_a_restart_are_forgotten_with_their_flags() {
    let mut case = Case::loaded(50, &[(1, 10), (2, 20), (3, 50)]);
    for _ in 0..62 {
        case.after(1_000)
            .poll(Some(5), &[(1, 10), (2, 20), (3, 50)]);
    }
    assert_eq!(case.detector.outdated.len(), 3);
    for (id, flags) in [
        (6, [(1, 6), (2, 20), (3, 50)]),
        (8, [(1, 6), (2, 7), (3, 8)]),
    ] {
        assert_eq!(case.after(20_000).poll(Some(id), &flags), CHANGE);
    }
    assert_eq!(case.detector.outdated.len(), 0);
}

#[test]
fn the_last_of_several_edits_is_loaded_however_late_it_is_exported() {
    // At a start nothing says whether ID 5 is that of a deletion.
    let mut case = Case::empty();
    let first = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.after(1_000).poll(Some(5), &first), CHANGE);
    for _ in 0..100 {
        case.after(1_000).poll(Some(5), &first);
    }
    let both = [(1, 4), (2, 5), (3, 3)];
    for _ in 0..6 {
        case.after(1_000).poll(Some(5), &both);
    }
    assert_eq!(case.flags, contents(&both));
}

#[test]
fn a_replica_without_flags_lags_behind_the_first_ones() {
    let mut case = Case::empty();
    assert_eq!(case.poll(Some(1), &[]), CHANGE);
    case.after(60_000).poll(Some(1), &[]);
    assert_eq!(case.after(1_000).poll(Some(2), &[(1, 2)]), CHANGE);
    assert_eq!(case.after(1_000).check(Some(3), &[], Occasion::Full), OLDER);
    let later = case.after(SETTLING).check(Some(3), &[], Occasion::Full);
    assert_eq!(later, Some(Verdict::Suspicious));
}
