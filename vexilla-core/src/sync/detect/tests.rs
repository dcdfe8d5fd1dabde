//! Answers in a row, and what is made of each.

use super::*;

const POLL: Duration = Duration::from_secs(1);
/// Four of Flagr's cache intervals.
const SETTLING: u64 = 12_000;

/// A detector with a clock of its own.
struct Case {
    detector: Detector,
    now: Instant,
    flags: Contents,
}

fn contents(flags: &[(u64, u64)]) -> Contents {
    Contents::new(flags.iter().copied())
}

impl Case {
    /// Three flags are held, and current for number 3, since long ago.
    fn new() -> Self {
        let mut case = Self {
            detector: Detector::new(Duration::from_secs(3)),
            now: Instant::now(),
            flags: Contents::default(),
        };
        assert_eq!(
            case.poll(Some(3), &[(1, 1), (2, 2), (3, 3)]),
            Some(Verdict::News)
        );
        case.after(60_000);
        assert_eq!(case.poll(Some(3), &[]), None);
        case
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    fn check(
        &mut self,
        id: Option<u64>,
        flags: &[(u64, u64)],
        occasion: Occasion,
    ) -> Option<Verdict> {
        if self.detector.announce(id, occasion, self.now) == Plan::Nothing {
            return None;
        }
        let flags = contents(flags);
        let same = self.flags == flags;
        let verdict = self.detector.judge(&flags, same, id, occasion, self.now);
        if matches!(verdict, Verdict::News | Verdict::PutBack | Verdict::Shrunk) {
            self.flags = flags;
        }
        Some(verdict)
    }

    /// What is made of flags, if they are fetched at all.
    fn poll(&mut self, id: Option<u64>, flags: &[(u64, u64)]) -> Option<Verdict> {
        self.check(id, flags, Occasion::Poll)
    }

    fn again(&self) -> Option<Duration> {
        self.detector.again(POLL, self.now)
    }
}

const OLD: [(u64, u64); 3] = [(1, 1), (2, 2), (3, 3)];

#[test]
fn flags_that_have_not_caught_up_are_fetched_again_with_back_off() {
    let mut case = Case::new();
    let mut delays = Vec::new();
    for _ in 0..5 {
        assert_eq!(case.poll(Some(4), &OLD), Some(Verdict::Same));
        let again = case.again().unwrap();
        case.now += again;
        delays.push(again.as_millis());
    }
    assert_eq!(delays, [250, 500, 1_000, 1_000, 1_000], "at most a poll");
    assert_eq!(case.detector.confirmed(), 3);
    assert_eq!(
        case.poll(Some(4), &[(1, 4), (2, 2), (3, 3)]),
        Some(Verdict::News)
    );
    assert_eq!((case.detector.confirmed(), case.again()), (4, None));
    assert_eq!(case.poll(Some(4), &[]), None);
}

#[test]
fn what_never_catches_up_is_fetched_at_each_poll_until_a_full_refresh() {
    let mut case = Case::new();
    case.poll(Some(4), &OLD);
    for _ in 0..100 {
        case.after(SETTLING);
        assert_eq!(case.poll(Some(4), &OLD), Some(Verdict::Same));
        assert_eq!(case.again(), None, "at the normal pace");
    }
    assert_eq!(
        case.check(Some(4), &OLD, Occasion::Full),
        Some(Verdict::Same)
    );
    assert_eq!(case.poll(Some(4), &OLD), None, "confirmed");
    assert_eq!(case.detector.confirmed(), 4);
}

#[test]
fn after_a_deletion_the_change_of_contents_is_what_was_announced() {
    let mut case = Case::new();
    let left = [(1, 1), (3, 3)];
    assert_eq!(case.poll(Some(4), &OLD), Some(Verdict::Same));
    assert_eq!(case.after(500).poll(Some(4), &left), Some(Verdict::News));
    assert_eq!(case.after(500).poll(Some(4), &OLD), Some(Verdict::Older));
    assert_eq!(case.after(500).poll(Some(4), &left), Some(Verdict::Same));
    assert_eq!(
        case.detector.confirmed(),
        3,
        "not before caches have settled"
    );
    assert_eq!(
        case.after(SETTLING).poll(Some(4), &left),
        Some(Verdict::Same)
    );
    assert_eq!(case.detector.confirmed(), 4);
    assert_eq!(case.poll(Some(4), &left), None);
}

#[test]
fn a_flag_that_was_deleted_does_not_come_back_before_its_deletion_is_confirmed() {
    // The newest flag goes, and nothing tells that but its absence.
    let mut case = Case::new();
    assert_eq!(
        case.poll(Some(5), &[(1, 4), (2, 2), (3, 3)]),
        Some(Verdict::News)
    );
    assert_eq!(
        case.after(500).poll(Some(6), &[(1, 4), (3, 3)]),
        Some(Verdict::News)
    );
    let before = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.after(500).poll(Some(6), &before), Some(Verdict::Older));
}

#[test]
fn a_flag_that_was_restored_does_not_go_again() {
    let mut case = Case::new();
    let restored = [(1, 1), (2, 5), (3, 3)];
    // It was deleted by number 4; held is the old one, then the new one.
    assert_eq!(case.poll(Some(5), &restored), Some(Verdict::News));
    assert_eq!(
        case.after(500).poll(Some(6), &[(1, 1), (3, 3)]),
        Some(Verdict::Older)
    );
    assert_eq!(
        case.after(SETTLING).poll(Some(6), &[(1, 1), (3, 3)]),
        Some(Verdict::News)
    );
}

#[test]
fn a_flag_made_and_deleted_before_anybody_saw_it_goes_quietly() {
    let mut case = Case::new();
    // One cache was renewed between the two, and is asked first.
    let with = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(case.poll(Some(5), &OLD), Some(Verdict::Same));
    assert_eq!(case.after(1_000).poll(Some(5), &with), Some(Verdict::News));
    let mut verdicts = Vec::new();
    for _ in 0..14 {
        verdicts.extend(case.after(1_000).poll(Some(5), &OLD));
    }
    assert!(!verdicts.contains(&Verdict::PutBack), "{verdicts:?}");
    assert!(verdicts.contains(&Verdict::News), "{verdicts:?}");
    assert_eq!(case.flags, contents(&OLD));
}

#[test]
fn an_older_answer_is_left_aside_and_newer_ones_end_the_doubt() {
    let mut case = Case::new();
    let new = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(4), &new), Some(Verdict::News));
    for _ in 0..50 {
        let verdict = case.after(SETTLING).check(Some(4), &OLD, Occasion::Full);
        assert_eq!(verdict, Some(Verdict::Older));
        assert_eq!(
            case.poll(Some(4), &OLD),
            Some(Verdict::Older),
            "it is asked again"
        );
        assert_eq!(case.after(10).poll(Some(4), &new), Some(Verdict::Same));
        assert_eq!(case.poll(Some(4), &new), None);
    }
}

#[test]
fn a_database_that_was_put_back_is_believed_after_three_answers_and_twelve_seconds() {
    // Often asked: the time is what counts. Seldom asked: the answers.
    for (millis, answers) in [(1_000, 13), (10_000, 3)] {
        let mut case = Case::new();
        let back = [(1, 1), (2, 2)];
        for _ in 1..answers {
            assert_eq!(
                case.after(millis).poll(Some(2), &back),
                Some(Verdict::Older)
            );
        }
        assert_eq!(
            case.after(millis).poll(Some(2), &back),
            Some(Verdict::PutBack)
        );
        assert_eq!(case.poll(Some(2), &back), None);
        let more = [(1, 1), (2, 2), (3, 3)];
        assert_eq!(
            case.poll(Some(3), &more),
            Some(Verdict::News),
            "it counts on"
        );
    }
}

#[test]
fn a_replica_that_is_stuck_is_believed_only_after_five_minutes() {
    let mut case = Case::new();
    let new = [(1, 4), (2, 2), (3, 3)];
    assert_eq!(case.poll(Some(4), &new), Some(Verdict::News));
    let first = case.check(Some(4), &OLD, Occasion::Full);
    assert_eq!(first, Some(Verdict::Older));
    for _ in 1..300 {
        assert_eq!(case.after(1_000).poll(Some(4), &OLD), Some(Verdict::Older));
    }
    assert_eq!(
        case.after(1_000).poll(Some(4), &OLD),
        Some(Verdict::PutBack)
    );
}

#[test]
fn a_number_that_goes_down_alone_takes_no_flags_away() {
    let mut case = Case::new();
    for _ in 0..14 {
        assert_eq!(case.after(900).poll(Some(2), &OLD), Some(Verdict::Same));
    }
    assert_eq!(case.after(900).poll(Some(2), &OLD), Some(Verdict::PutBack));
    assert_eq!(case.flags, contents(&OLD));
    assert_eq!(
        case.poll(Some(4), &[(1, 4), (2, 2), (3, 3)]),
        Some(Verdict::News)
    );
}

#[test]
fn a_database_that_was_put_back_and_has_overtaken_is_believed_at_once() {
    let mut case = Case::new();
    let other = [(1, 1), (2, 1), (9, 4)];
    assert_eq!(case.poll(Some(4), &other), Some(Verdict::PutBack));
    assert_eq!(case.detector.confirmed(), 4);
}

#[test]
fn an_empty_set_is_held_back_once_and_an_emptied_database_counts_anew() {
    let mut case = Case::new();
    assert_eq!(case.poll(None, &[]), Some(Verdict::HeldBack));
    assert_eq!(case.poll(None, &OLD), Some(Verdict::Same), "forgotten");
    assert_eq!(case.poll(None, &[]), Some(Verdict::HeldBack));
    assert_eq!(case.poll(None, &[]), Some(Verdict::Shrunk));
    assert_eq!(case.poll(None, &[]), Some(Verdict::Same));
    assert_eq!(case.poll(Some(1), &[]), Some(Verdict::Same));
    assert_eq!(
        case.after(250).poll(Some(1), &[(1, 1)]),
        Some(Verdict::News)
    );
    assert_eq!(case.poll(Some(1), &[]), None);
}

#[test]
fn an_empty_set_that_nothing_announced_is_believed_the_second_time_and_its_end_at_once() {
    let mut case = Case::new();
    let empty = case.check(Some(3), &[], Occasion::Full);
    assert_eq!(empty, Some(Verdict::HeldBack));
    assert_eq!(
        case.after(1_000).poll(Some(3), &[]),
        Some(Verdict::Shrunk),
        "it is asked again"
    );
    assert_eq!(case.after(1_000).poll(Some(3), &[]), Some(Verdict::Same));
    assert_eq!(case.after(1_000).poll(Some(3), &OLD), Some(Verdict::News));
    assert_eq!(case.poll(Some(3), &OLD), None);
}

#[test]
fn an_empty_set_right_after_the_start_is_held_back_as_any_other() {
    let mut case = Case {
        detector: Detector::new(Duration::from_secs(3)),
        now: Instant::now(),
        flags: Contents::default(),
    };
    assert_eq!(case.poll(Some(3), &OLD), Some(Verdict::News));
    assert_eq!(case.poll(Some(4), &[]), Some(Verdict::HeldBack));
    assert_eq!(case.poll(Some(4), &[]), Some(Verdict::Shrunk));
}

#[test]
fn a_replica_that_does_not_have_the_first_flags_yet_takes_them_from_nobody() {
    let mut case = Case::new();
    assert_eq!(case.poll(Some(6), &[]), Some(Verdict::HeldBack));
    assert_eq!(case.poll(Some(6), &[]), Some(Verdict::Shrunk));
    case.after(60_000);
    let first = [(4, 7)];
    assert_eq!(case.poll(Some(7), &first), Some(Verdict::News));
    for _ in 0..5 {
        let behind = case.check(Some(7), &[], Occasion::Full);
        assert_eq!(behind, Some(Verdict::Older));
    }
}

#[test]
fn a_set_that_shrinks_differently_is_held_back_again() {
    let mut case = Case::new();
    let many: Vec<_> = (1..=100).map(|number| (number, number)).collect();
    assert_eq!(case.poll(Some(100), &many), Some(Verdict::News));
    case.after(SETTLING);
    let few = |from| Vec::from_iter((from..=100).map(|number| (number, number)));
    assert_eq!(case.poll(Some(195), &few(96)), Some(Verdict::HeldBack));
    assert_eq!(case.poll(Some(196), &few(97)), Some(Verdict::HeldBack));
    assert_eq!(case.poll(Some(196), &few(97)), Some(Verdict::Shrunk));
    // One flag more is no longer suspicious.
    let mut case = Case::new();
    assert_eq!(case.poll(Some(100), &many), Some(Verdict::News));
    assert_eq!(
        case.after(SETTLING).poll(Some(194), &few(95)),
        Some(Verdict::News)
    );
}

#[test]
fn without_numbers_contents_decide() {
    let mut case = Case::new();
    assert_eq!(case.poll(None, &OLD), Some(Verdict::Same));
    assert_eq!(
        case.poll(None, &[(1, 1), (2, 4), (3, 3)]),
        Some(Verdict::News)
    );
    assert_eq!(case.poll(None, &OLD), Some(Verdict::Older));
    assert_eq!(case.again(), None, "nothing was announced");
    // Flags of a file have no numbers at all.
    let mut case = Case {
        detector: Detector::new(Duration::from_secs(3)),
        now: Instant::now(),
        flags: Contents::default(),
    };
    for flags in [&[(1, 0), (2, 0)][..], &[(1, 0)], &[(1, 0), (3, 0)]] {
        assert_eq!(case.poll(None, flags), Some(Verdict::News));
    }
}

#[test]
fn a_hint_without_a_number_is_waited_for_until_caches_have_settled() {
    let mut case = Case::new();
    let hint = case.check(None, &OLD, Occasion::Hint);
    assert_eq!(hint, Some(Verdict::Same));
    assert!(case.again().is_some());
    assert_eq!(case.after(SETTLING).poll(None, &OLD), Some(Verdict::Same));
    assert_eq!(case.again(), None);
    // One whose change is already held is for nothing.
    assert_eq!(case.check(Some(3), &OLD, Occasion::Hint), None);
}

#[test]
fn a_copy_is_newer_than_what_a_lagging_replica_answers() {
    let mut case = Case {
        detector: Detector::new(Duration::from_secs(3)),
        now: Instant::now(),
        flags: contents(&OLD),
    };
    case.detector.restore(contents(&OLD), 3, case.now);
    let lagging = [(1, 1), (2, 2)];
    assert_eq!(case.poll(Some(4), &lagging), Some(Verdict::Older));
    let new = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(case.after(3_000).poll(Some(4), &new), Some(Verdict::News));
}
