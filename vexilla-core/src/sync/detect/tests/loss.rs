//! Answers that lack flags.

use super::super::loss::Cause;
use super::*;

const SUSPICIOUS: Option<Verdict> = Some(Verdict::Suspicious);
const CONFIRMED: Option<Verdict> = Some(Verdict::Load(Reason::LossConfirmed));

/// Flags with these IDs, each of a `SnapshotID` that equals its ID.
fn flags(ids: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    ids.into_iter().map(|id| (id, id)).collect()
}

/// Fifty flags are loaded.
fn fifty() -> Case {
    Case::loaded(50, &flags(1..=50))
}

/// Flags of which one was edited by this ID.
fn edited(flags: &[(u64, u64)], flag: u64, by: u64) -> Vec<(u64, u64)> {
    let edit = |(id, at)| if id == flag { (id, by) } else { (id, at) };
    flags.iter().copied().map(edit).collect()
}

#[test]
fn a_partial_answer_with_the_newest_id_is_kept_aside_and_the_whole_one_loaded_at_once() {
    for first in [2, 3, 25, 49] {
        let mut case = fifty();
        for _ in 0..16 {
            let part = edited(&flags(1..=first), 2, 51);
            assert_eq!(case.after(250).poll(Some(51), &part), SUSPICIOUS);
            let missing = usize::try_from(50 - first).unwrap();
            assert!(
                matches!(case.doubt(), Some(Doubt::Loss { missing: lost, loaded: 50, .. }) if lost == missing)
            );
        }
        let whole = edited(&flags(1..=50), 2, 51);
        assert_eq!(case.after(250).poll(Some(51), &whole), CHANGE);
        assert_eq!((case.doubt(), case.detector.confirmed()), (None, 51));
        assert_eq!(case.after(250).poll(Some(51), &whole), None);
    }
}

#[test]
fn an_empty_set_needs_answers_over_a_minute_whatever_the_id_says() {
    // An empty database, one whose ID cannot be read, one that explains it all.
    for latest in [None, Some(1), Some(50), Some(100), Some(1_000)] {
        let mut case = fifty();
        let mut seconds = 0;
        let mut verdict = case.check(latest, &[], Occasion::Full);
        while verdict == SUSPICIOUS {
            assert!(matches!(
                case.doubt(),
                Some(Doubt::Loss { missing: 50, .. })
            ));
            seconds += 1;
            verdict = case.after(1_000).poll(latest, &[]);
        }
        assert_eq!((verdict, seconds), (CONFIRMED, 60), "{latest:?}");
        assert_eq!((case.flags.len(), case.doubt()), (0, None));
    }
}

#[test]
fn an_emptied_database_counts_from_one_again() {
    let mut case = fifty();
    let mut verdict = case.poll(None, &[]);
    while verdict == SUSPICIOUS {
        verdict = case.after(10_000).poll(None, &[]);
    }
    assert_eq!(verdict, CONFIRMED);
    assert_eq!(case.after(1_000).poll(Some(1), &[]), SAME);
    assert_eq!(case.after(250).poll(Some(1), &[(1, 1)]), CHANGE);
    assert_eq!(case.doubt(), None);
}

#[test]
fn answers_agree_on_what_is_missing_while_other_flags_are_edited() {
    let mut case = fifty();
    let mut part = flags(1..=40);
    for second in 0..60 {
        let latest = 51 + second;
        part = edited(&part, 1 + second % 40, latest);
        assert_eq!(case.poll(Some(latest), &part), SUSPICIOUS, "{second}");
        case.after(1_000);
    }
    assert_eq!(case.poll(Some(110), &part), CONFIRMED);
}

#[test]
fn ids_that_come_later_do_not_explain_an_older_loss() {
    let mut case = fifty();
    let part = flags((1..=40).chain([50]));
    assert_eq!(case.poll(Some(51), &part), SUSPICIOUS);
    // Flag 1 alone is edited, again and again.
    for latest in 52..100 {
        let part = edited(&part, 1, latest);
        assert_eq!(case.after(1_000).poll(Some(latest), &part), SUSPICIOUS);
    }
}

#[test]
fn other_missing_flags_and_complete_answers_begin_the_minute_again() {
    let mut case = fifty();
    for round in 0..200 {
        let part = flags((1..=50).filter(|id| id % 3 != round % 3));
        let verdict = case.after(1_000).check(Some(50), &part, Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS, "{round}");
    }
    let (part, whole) = (flags(11..=50), flags(1..=50));
    for _ in 0..5 {
        for _ in 0..59 {
            let verdict = case.after(1_000).check(Some(50), &part, Occasion::Full);
            assert_eq!(verdict, SUSPICIOUS);
        }
        assert_eq!(case.after(1_000).poll(Some(50), &whole), SAME);
    }
}

#[test]
fn an_operator_accepts_a_loss_at_once() {
    let mut case = fifty();
    assert_eq!(case.check(None, &[], Occasion::Full), SUSPICIOUS);
    let accepted = case.check(None, &[], Occasion::Accept);
    assert_eq!(accepted, Some(Verdict::Load(Reason::Accepted)));
    assert_eq!((case.flags.len(), case.doubt()), (0, None));
}

#[test]
fn real_deletions_are_loaded_at_once_one_or_many_in_any_number_of_steps() {
    for steps in [1, 2, 5, 48] {
        let all: Vec<u64> = (1..=49).collect();
        let mut case = Case::loaded(49, &flags(all.iter().copied()));
        let mut deleted = 0;
        for step in 1..=steps {
            deleted = 48 * step / steps;
            let left = flags(all.iter().copied().filter(|id| *id > deleted));
            let verdict = case.after(50).poll(Some(49 + deleted), &left);
            assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
            assert_eq!(case.doubt(), None, "step {step} of {steps}");
        }
        assert_eq!((deleted, case.flags.len()), (48, 1));
        let left = flags([49]);
        assert_eq!(case.after(SETTLING).poll(Some(97), &left), SAME);
        assert_eq!(case.detector.confirmed(), 97);
    }
}

#[test]
fn edits_and_creations_do_not_explain_a_loss() {
    // Five IDs: three edits, a flag created, and one left for a deletion.
    let mut case = fifty();
    let mut part = flags(1..=49);
    for (flag, by) in [(1, 51), (2, 52), (3, 53)] {
        part = edited(&part, flag, by);
    }
    part.push((51, 54));
    assert_eq!(case.poll(Some(54), &part), SUSPICIOUS);
    let mut case = fifty();
    assert_eq!(case.poll(Some(55), &part), CHANGE);
    // IDs of edits that are loaded explain nothing, though no answer has reached
    // the latest ID yet.
    let mut case = fifty();
    let whole = edited(&edited(&flags(1..=50), 1, 51), 2, 52);
    assert_eq!(case.poll(Some(53), &whole), CHANGE);
    let lacks =
        |count: u64| Vec::from_iter(whole.iter().copied().filter(|flag| flag.0 <= 50 - count));
    assert_eq!(case.poll(Some(53), &lacks(2)), SUSPICIOUS);
    let mut case = fifty();
    assert_eq!(case.poll(Some(53), &whole), CHANGE);
    assert_eq!(case.poll(Some(53), &lacks(1)), CHANGE);
}

#[test]
fn without_ids_a_loss_below_95_percent_is_believed() {
    let without_ids = || {
        let mut case = Case::empty();
        assert_eq!(case.poll(None, &flags(1..=100)), CHANGE);
        case.after(60_000);
        case
    };
    let few = without_ids().poll(None, &flags(95..=100));
    assert_eq!(few, DELETIONS);
    let mut case = without_ids();
    for _ in 0..60 {
        assert_eq!(case.poll(None, &flags(96..=100)), SUSPICIOUS);
        case.after(1_000);
    }
    assert_eq!(case.poll(None, &flags(96..=100)), CONFIRMED);
}

#[test]
fn an_id_that_fell_or_vanished_together_with_a_loss_is_suspicious() {
    for latest in [Some(40), Some(49), None] {
        let mut case = fifty();
        let part = flags(1..=49);
        for second in 0..60 {
            let verdict = case.check(latest, &part, Occasion::Full);
            assert_eq!(verdict, SUSPICIOUS, "{latest:?} after {second} s");
            case.after(1_000);
        }
        assert_eq!(case.poll(latest, &part), CONFIRMED);
        // The IDs count on from there.
        let next = latest.map(|latest| latest + 1);
        let edited = edited(&part, 1, next.unwrap_or(60));
        let verdict = case.after(SETTLING).poll(next, &edited);
        assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    }
}

#[test]
fn at_a_start_from_a_copy_a_loss_of_more_than_a_tenth_is_suspicious() {
    let restored = |id| {
        let mut case = Case::empty();
        case.flags = contents(&flags(1..=50));
        let age = Duration::from_secs(3_600);
        let copy = case.flags.clone();
        case.detector.restore(copy, id, age, case.now);
        case
    };
    // The ID explains both.
    assert_eq!(restored(50).poll(Some(80), &flags(6..=50)), CHANGE);
    assert_eq!(restored(50).poll(Some(80), &flags(7..=50)), SUSPICIOUS);
    assert_eq!(restored(0).poll(None, &flags(7..=50)), SUSPICIOUS);
    assert_eq!(restored(0).poll(None, &flags(6..=50)), CHANGE);
    assert_eq!(restored(50).poll(None, &[]), SUSPICIOUS);
    // Not any more once the source has confirmed the copy.
    let mut case = restored(50);
    assert_eq!(case.poll(Some(50), &flags(1..=50)), None);
    assert_eq!(case.poll(Some(80), &flags(1..=50)), SAME);
    assert_eq!(case.poll(Some(80), &flags(21..=50)), DELETIONS);
}

#[test]
fn a_lost_flag_that_comes_back_is_loaded_at_once_if_the_answer_is_current() {
    let mut case = fifty();
    let part = edited(&flags(2..=50), 2, 51);
    for _ in 0..=60 {
        case.after(1_000).poll(Some(51), &part);
    }
    assert_eq!(case.flags.len(), 49, "the loss was confirmed");
    // Flags are compared at every poll for a full-refresh interval.
    case.after(200_000);
    assert_eq!(case.poll(Some(51), &part), SAME);
    let whole = edited(&flags(1..=50), 2, 51);
    assert_eq!(case.after(1_000).poll(Some(51), &whole), CHANGE);
    case.after(400_000);
    assert_eq!(case.poll(Some(51), &whole), None);
}

#[test]
fn a_deletion_that_an_id_explains_is_undone_only_after_a_full_refresh_interval() {
    let mut case = fifty();
    let left = flags(2..=50);
    assert_eq!(case.poll(Some(51), &left), CHANGE, "flag 1 was deleted");
    let before = flags(1..=50);
    // A replica that lags behind, and one that does not.
    for _ in 0..10 {
        assert_eq!(case.after(500).poll(Some(51), &before), OLDER);
        assert_eq!(case.after(500).poll(Some(51), &left), SAME);
        assert_eq!(case.doubt(), None);
    }
    for second in 1..=300 {
        assert_eq!(case.after(1_000).poll(Some(51), &before), OLDER);
        let stale = matches!(case.doubt(), Some(Doubt::Older { .. }));
        assert_eq!(stale, second > 12, "{second}");
    }
    assert_eq!(case.after(1_000).poll(Some(51), &before), CHANGE);
}

#[test]
fn a_flag_whose_loss_was_confirmed_comes_back_after_four_cache_intervals() {
    let mut case = fifty();
    let (part, whole) = (flags(2..=50), flags(1..=50));
    case.check(Some(50), &part, Occasion::Full);
    while case.after(1_000).poll(Some(50), &part) == SUSPICIOUS {}
    assert_eq!(case.flags.len(), 49);
    // A flag was created and deleted, so that no export is current.
    for _ in 0..12 {
        assert_eq!(case.after(1_000).poll(Some(52), &whole), OLDER);
    }
    assert_eq!(case.after(1_000).poll(Some(52), &whole), CHANGE);
}

#[test]
fn the_loss_is_counted_since_the_confirmed_id_in_all_steps_together() {
    let mut case = fifty();
    // Two edits that no export shows yet pass for two deletions, but not more.
    assert_eq!(case.poll(Some(52), &flags(2..=50)), CHANGE);
    assert_eq!(case.after(500).poll(Some(52), &flags(3..=50)), CHANGE);
    assert_eq!(case.after(500).poll(Some(52), &flags(4..=50)), SUSPICIOUS);
    // The flag that came since counts, too.
    let mut case = fifty();
    let grown: Vec<_> = flags(1..=50)
        .into_iter()
        .chain([(51, 51), (52, 53)])
        .collect();
    assert_eq!(case.poll(Some(54), &grown), CHANGE);
    let without = |id| Vec::from_iter(grown.iter().copied().filter(|flag| flag.0 != id));
    assert_eq!(case.after(500).poll(Some(54), &without(51)), CHANGE);
    let mut case = fifty();
    assert_eq!(case.poll(Some(54), &grown), CHANGE);
    let both: Vec<_> = without(51).into_iter().filter(|flag| flag.0 != 7).collect();
    let left: Vec<_> = both.into_iter().filter(|flag| flag.0 != 8).collect();
    assert_eq!(case.after(500).poll(Some(54), &left), SUSPICIOUS);
}

#[test]
fn a_deletion_that_turns_out_to_be_an_edit_is_watched_for_a_full_interval() {
    let mut case = fifty();
    // The edit of flag 1 is not exported yet.
    let part = flags((1..=50).filter(|id| *id != 10));
    assert_eq!(case.poll(Some(51), &part), CHANGE);
    let shown = edited(&part, 1, 51);
    assert_eq!(case.after(3_000).poll(Some(51), &shown), CHANGE);
    let whole = edited(&flags(1..=50), 1, 51);
    assert_eq!(case.after(200_000).poll(Some(51), &shown), SAME);
    assert_eq!(case.after(1_000).poll(Some(51), &whole), CHANGE);
}

#[test]
fn an_older_answer_that_is_complete_ends_the_suspicion() {
    let mut case = fifty();
    let new = edited(&flags(1..=50), 1, 51);
    assert_eq!(case.poll(Some(51), &new), CHANGE);
    let part: Vec<_> = new.iter().copied().filter(|flag| flag.0 != 10).collect();
    for _ in 0..5 {
        for _ in 0..59 {
            let verdict = case.after(1_000).check(Some(51), &part, Occasion::Full);
            assert_eq!(verdict, SUSPICIOUS);
        }
        assert_eq!(case.after(1_000).poll(Some(51), &flags(1..=50)), OLDER);
    }
}

#[test]
fn an_outage_confirms_little_of_a_loss() {
    let mut case = fifty();
    for _ in 0..4 {
        assert_eq!(case.after(3_600_000).poll(None, &[]), SUSPICIOUS);
    }
    assert_eq!(case.after(3_600_000).poll(None, &[]), CONFIRMED);
}

#[test]
fn without_ids_other_flags_do_not_make_up_for_those_that_are_missing() {
    let mut case = Case::empty();
    assert_eq!(case.poll(None, &flags(1..=100)), CHANGE);
    case.after(60_000);
    assert_eq!(case.poll(None, &flags(101..=200)), SUSPICIOUS);
}

#[test]
fn older_answers_in_between_end_the_agreement_on_a_loss() {
    let mut case = fifty();
    for _ in 0..3 {
        let verdict = case.after(1_000).check(Some(50), &[], Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS);
    }
    // A stuck replica, for longer than a loss takes to confirm.
    for second in 0..70 {
        let verdict = case.after(1_000).poll(Some(50), &flags(1..=49));
        assert_eq!(verdict, OLDER);
        let doubt = case
            .doubt()
            .is_some_and(|doubt| matches!(doubt, Doubt::Older { .. }));
        assert_eq!(doubt, second >= 12, "after {second} s");
    }
    assert_eq!(case.after(1_000).poll(Some(50), &[]), SUSPICIOUS);
}

#[test]
fn a_loss_behind_several_changes_of_one_flag_is_watched_for_a_full_interval() {
    let mut case = fifty();
    // A flag was created and edited; each time took an ID.
    let part: Vec<_> = flags(6..=50).into_iter().chain([(51, 57)]).collect();
    assert_eq!(case.poll(Some(57), &part), CHANGE);
    assert_eq!(case.after(200_000).poll(Some(57), &part), SAME);
    let whole: Vec<_> = flags(1..=50).into_iter().chain([(51, 57)]).collect();
    assert_eq!(case.after(1_000).poll(Some(57), &whole), CHANGE);
}

#[test]
fn deletions_meanwhile_do_not_lengthen_the_confirmation_of_a_loss() {
    let mut case = fifty();
    // Flag 10 vanished, and another flag is deleted each 25 s.
    for second in 0..60 {
        let deleted = second / 25;
        let part = flags((1..=50).filter(|id| *id != 10 && !(20..20 + deleted).contains(id)));
        let verdict = case.check(Some(50 + deleted), &part, Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS, "after {second} s");
        case.after(1_000);
    }
    let part = flags((1..=50).filter(|id| ![10, 20, 21].contains(id)));
    assert_eq!(case.poll(Some(52), &part), CONFIRMED);
    // More than the IDs explain have a minute of their own.
    let mut case = fifty();
    for _ in 0..60 {
        let part = flags(1..=49).into_iter().filter(|flag| flag.0 != 10);
        let verdict = case.check(Some(50), &Vec::from_iter(part), Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS);
        case.after(1_000);
    }
    let part = flags((1..=49).filter(|id| ![10, 20, 21].contains(id)));
    assert_eq!(case.poll(Some(51), &part), SUSPICIOUS);
}

#[test]
fn a_stuck_replica_that_passes_for_a_deletion_is_found_out_by_the_next_answer() {
    let mut case = Case::loaded(4, &flags(1..=4));
    // Flag 2 was deleted by ID 5. The stuck replica knows neither that nor flag 4.
    let (stuck, healthy) = (flags(1..=3), flags([1, 3, 4]));
    let verdict = case.after(60_000).poll(Some(5), &stuck);
    assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    let verdict = case.after(1_000).poll(Some(5), &healthy);
    assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    for _ in 0..140 {
        assert_eq!(case.after(1_000).poll(Some(5), &stuck), OLDER);
        assert_eq!(case.after(1_000).poll(Some(5), &healthy), SAME);
    }
    assert_eq!(case.flags, contents(&healthy));

    // The same, but it was asked for longer than an export may lag behind.
    let mut case = Case::loaded(4, &flags(1..=4));
    for _ in 0..20 {
        case.after(1_000).poll(Some(5), &stuck);
    }
    assert_eq!(case.flags, contents(&stuck));
    let verdict = case.after(1_000).poll(Some(5), &healthy);
    assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    assert_eq!(case.after(1_000).poll(Some(5), &stuck), OLDER);
}

#[test]
fn replicas_that_keep_disagreeing_on_flags_make_them_stale_and_neither_wins() {
    // Flag 5 was edited twice and flag 2 deleted; one replica lacks flag 7 as well.
    let mut case = fifty();
    let healthy = edited(&flags((1..=50).filter(|id| *id != 2)), 5, 52);
    let torn: Vec<_> = healthy.iter().copied().filter(|flag| flag.0 != 7).collect();
    let verdict = case.after(60_000).poll(Some(53), &torn);
    assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
    for second in 1..=900 {
        let (answer, expected) = match second % 2 {
            0 => (&torn, SAME),
            _ => (&healthy, OLDER),
        };
        assert_eq!(
            case.after(1_000).poll(Some(53), answer),
            expected,
            "{second}"
        );
        let disputed = matches!(case.doubt(), Some(Doubt::Disputed { flags: 1 }));
        assert_eq!(disputed, second > 26, "{second}: {:?}", case.doubt());
    }
    // Once they agree, the level follows after a minute, and flags are fetched on.
    for second in 1..300 {
        let verdict = case.after(1_000).poll(Some(53), &torn);
        assert_eq!(verdict, SAME, "{second}");
        assert_eq!(case.doubt().is_some(), second < 59, "{second}");
    }
    assert_eq!(case.after(1_000).poll(Some(53), &torn), None);
}

#[test]
fn an_operator_ends_a_dispute() {
    let mut case = fifty();
    let (part, whole) = (flags(2..=50), flags(1..=50));
    for _ in 0..20 {
        case.after(1_000).check(Some(50), &part, Occasion::Full);
        case.after(1_000).poll(Some(50), &whole);
    }
    assert!(matches!(case.doubt(), Some(Doubt::Disputed { .. })));
    let mut other = case.clone();
    assert_eq!(other.check(Some(50), &whole, Occasion::Accept), SAME);
    assert_eq!(other.doubt(), None);
    let accepted = case.check(Some(50), &part, Occasion::Accept);
    assert_eq!(accepted, Some(Verdict::Load(Reason::Accepted)));
    assert_eq!(case.doubt(), None);
}

#[test]
fn where_answers_keep_disagreeing_a_minute_of_agreement_is_not_enough() {
    let mut case = fifty();
    let (part, whole) = (flags(2..=50), flags(1..=50));
    for _ in 0..20 {
        case.after(1_000).check(Some(50), &part, Occasion::Full);
        case.after(1_000).poll(Some(50), &whole);
    }
    for second in 0..300 {
        assert_eq!(
            case.after(1_000).poll(Some(50), &part),
            SUSPICIOUS,
            "{second}"
        );
    }
    assert_eq!(case.after(1_000).poll(Some(50), &part), CONFIRMED);
}

#[test]
fn an_id_that_is_gone_stays_a_reason_to_doubt_after_a_loss_was_confirmed() {
    for accepted in [true, false] {
        let mut case = fifty();
        let (first, second) = (flags(2..=50), flags(11..=50));
        assert_eq!(case.check(None, &first, Occasion::Full), SUSPICIOUS);
        if accepted {
            case.check(None, &first, Occasion::Accept);
        }
        while case.flags.len() == 50 {
            case.after(1_000).poll(None, &first);
        }
        assert_eq!(case.after(1_000).poll(None, &second), SUSPICIOUS);
    }
}

#[test]
fn an_id_that_fell_explains_no_loss() {
    // Flag 51 came by ID 104, and ID 105 is announced.
    let mut grown = edited(&flags(1..=50), 50, 100);
    let mut case = Case::loaded(100, &grown);
    grown.push((51, 104));
    case.after(1_000).poll(Some(105), &grown);
    assert_eq!(case.flags.len(), 51);
    let before = grown[..50].to_vec();
    let verdict = case.after(60_000).poll(Some(103), &before);
    assert_eq!(verdict, SUSPICIOUS);
    assert_eq!(case.flags.len(), 51);
}

#[test]
fn a_rollback_that_loses_flags_takes_the_whole_confirmation_time() {
    let mut case = Case::loaded(60, &edited(&flags(1..=50), 1, 60));
    let before = flags(1..=40);
    for second in 0..60 {
        assert_eq!(
            case.after(1_000).poll(Some(50), &before),
            SUSPICIOUS,
            "{second}"
        );
    }
    assert_eq!(case.after(1_000).poll(Some(50), &before), CONFIRMED);
}

#[test]
fn a_suspicious_answer_is_not_fetched_again_before_the_next_poll() {
    let mut case = fifty();
    assert_eq!(case.after(1_000).poll(Some(51), &flags(1..=50)), SAME);
    assert!(case.again().is_some());
    assert_eq!(case.after(250).poll(Some(51), &flags(11..=50)), SUSPICIOUS);
    assert_eq!(case.again(), None);
}

#[test]
fn flags_that_come_back_are_watched_until_it_is_decided() {
    let mut case = fifty();
    let (left, before) = (flags(2..=50), flags(1..=50));
    assert_eq!(case.poll(Some(51), &left), CHANGE);
    for second in 1..=80 {
        let answer = if second < 50 { &left } else { &before };
        assert!(
            case.after(1_000).poll(Some(51), answer).is_some(),
            "{second}"
        );
    }
    // The deletion of the newest flag is watched for longer: it may be a replica
    // that never had it.
    let mut case = fifty();
    assert_eq!(case.poll(Some(51), &flags(1..=49)), CHANGE);
    for second in 1..300 {
        let verdict = case.after(1_000).poll(Some(51), &flags(1..=49));
        assert_eq!(verdict, SAME, "{second}");
    }
    assert_eq!(case.after(1_000).poll(Some(51), &flags(1..=49)), None);
}

#[test]
fn the_newest_flag_is_back_at_once_with_a_newer_change() {
    let mut case = fifty();
    assert_eq!(case.poll(Some(51), &flags(1..=49)), CHANGE);
    // The latest ID is that of a deletion, so that no answer reaches it.
    let back = edited(&flags(1..=50), 5, 52);
    let verdict = case.after(20_000).poll(Some(53), &back);
    assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
}

#[test]
fn an_accepted_loss_is_not_undone_while_answers_keep_disagreeing() {
    let mut case = fifty();
    let (part, whole) = (flags(2..=50), flags(1..=50));
    case.check(Some(51), &part, Occasion::Accept);
    for _ in 0..20 {
        assert_eq!(
            case.after(1_000).check(Some(51), &whole, Occasion::Full),
            OLDER
        );
        assert_eq!(
            case.after(1_000).check(Some(51), &part, Occasion::Full),
            SAME
        );
    }
    for second in 0..300 {
        let verdict = case.after(1_000).poll(Some(51), &whole);
        assert_eq!(verdict, OLDER, "{second}");
    }
    assert_eq!(case.after(1_000).poll(Some(51), &whole), CHANGE);
}

/// Whether answers that lack eight of twenty flags are suspicious after this.
fn notices_a_torn_answer(before: impl Fn(&mut Case) -> (u64, Vec<(u64, u64)>)) {
    let mut case = Case::loaded(20, &flags(1..=20));
    let (latest, mut left) = before(&mut case);
    left.retain(|(id, _)| *id == 1 || *id > 8);
    let verdict = case.after(1_000).check(Some(latest), &left, Occasion::Full);
    assert_eq!(verdict, SUSPICIOUS);
}

#[test]
fn deletions_of_the_newest_flag_hide_no_other_loss() {
    // A flag is created by four IDs and deleted, again and again.
    notices_a_torn_answer(|case| {
        let mut latest = 20;
        for round in 0..30 {
            let all: Vec<_> = flags(1..=20)
                .into_iter()
                .chain([(21 + round, latest + 4)])
                .collect();
            latest += 4;
            assert_eq!(case.after(30_000).poll(Some(latest), &all), CHANGE);
            case.after(30_000).poll(Some(latest), &all);
            latest += 1;
            let verdict = case.after(30_000).poll(Some(latest), &flags(1..=20));
            assert!(matches!(verdict, Some(Verdict::Load(_))), "{verdict:?}");
            for _ in 0..15 {
                case.after(1_000).poll(Some(latest), &flags(1..=20));
            }
        }
        (latest, flags(1..=20))
    });
    // One is deleted, and another one edited many times.
    notices_a_torn_answer(|case| {
        assert_eq!(case.after(1_000).poll(Some(21), &flags(1..=19)), CHANGE);
        for _ in 0..15 {
            case.after(1_000).poll(Some(21), &flags(1..=19));
        }
        let mut all = flags(1..=19);
        for id in 22..40 {
            all = edited(&all, 1, id);
            assert_eq!(case.after(1_000).poll(Some(id), &all), CHANGE);
        }
        (39, all)
    });
}

#[test]
fn each_lost_flag_comes_back_by_the_rule_of_its_own_loss() {
    // Flags 1 to 5 were lost for a minute, and flag 9 is deleted meanwhile.
    let mut case = fifty();
    let part = flags(6..=50);
    case.check(Some(50), &part, Occasion::Full);
    while case.after(1_000).poll(Some(50), &part) == SUSPICIOUS {}
    let deleted = |ids: std::ops::RangeInclusive<u64>| flags(ids.filter(|id| *id != 9));
    for _ in 0..20 {
        case.after(1_000).poll(Some(51), &deleted(6..=50));
    }
    let whole = deleted(1..=50);
    for _ in 0..12 {
        assert_eq!(case.after(1_000).poll(Some(51), &whole), OLDER);
    }
    assert_eq!(case.after(1_000).poll(Some(51), &whole), CHANGE);
    // Flag 9 stays deleted.
    for _ in 0..200 {
        assert_eq!(case.after(1_000).poll(Some(51), &flags(1..=50)), OLDER);
    }
}

#[test]
fn a_dispute_is_over_when_none_disagreed_for_long() {
    let mut case = fifty();
    let (part, whole) = (flags(2..=50), flags(1..=50));
    for _ in 0..10 {
        case.after(1_000).check(Some(50), &part, Occasion::Full);
        case.after(1_000).poll(Some(50), &whole);
    }
    case.after(3_600_000);
    for _ in 0..60 {
        let verdict = case.after(1_000).check(Some(50), &part, Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS);
        assert!(matches!(case.doubt(), Some(Doubt::Loss { .. })));
    }
    assert_eq!(case.after(1_000).poll(Some(50), &part), CONFIRMED);
}

#[test]
fn a_loss_that_was_first_seen_without_an_id_is_explained_by_it() {
    let mut case = fifty();
    assert_eq!(case.after(1_000).poll(None, &flags(2..=50)), SUSPICIOUS);
    assert_eq!(case.after(1_000).poll(Some(51), &flags(2..=50)), CHANGE);
}

#[test]
fn an_id_that_fell_for_a_while_does_no_lasting_harm() {
    for seconds in [5, 60] {
        let mut case = fifty();
        for _ in 0..seconds {
            case.after(1_000).poll(Some(49), &flags(1..=50));
        }
        for _ in 0..60 {
            case.after(1_000).poll(Some(50), &flags(1..=50));
            assert_eq!(case.doubt(), None, "{seconds}");
        }
        assert_eq!(case.poll(Some(50), &[]), None, "{seconds}");
        assert_eq!(case.detector.confirmed(), 50);
    }
    // One of two servers gives an older one for good.
    let mut case = fifty();
    for second in 0..3_600 {
        let latest = 50 - u64::from(second % 7 < 3);
        case.after(1_000).poll(Some(latest), &flags(1..=50));
        assert_eq!(case.doubt(), None, "{second}");
    }
}

#[test]
fn an_accepted_loss_that_is_taken_back_explains_no_other_loss() {
    for edit in [true, false] {
        let mut case = fifty();
        // The ten newest flags are lost, and no ID says why.
        case.check(Some(50), &flags(1..=40), Occasion::Accept);
        let mut latest = 50;
        for _ in 0..20 {
            case.after(1_000).poll(Some(latest), &flags(1..=40));
        }
        // They are back, in an answer that is current or not.
        latest = if edit { 51 } else { 52 };
        let whole = edited(&flags(1..=50), 50, if edit { 51 } else { 50 });
        for _ in 0..20 {
            case.after(1_000).poll(Some(latest), &whole);
        }
        assert_eq!(case.flags, contents(&whole));
        let torn: Vec<_> = whole.iter().copied().filter(|flag| flag.0 > 10).collect();
        let verdict = case.after(1_000).check(Some(latest), &torn, Occasion::Full);
        assert_eq!(verdict, SUSPICIOUS, "{edit}");
    }
}

#[test]
fn without_ids_nothing_is_remembered_of_flags_that_come_and_go() {
    let mut case = Case::empty();
    case.poll(None, &flags(1..=50));
    for id in 100..200 {
        let more: Vec<_> = flags(1..=50).into_iter().chain([(id, id)]).collect();
        case.after(60_000).poll(None, &more);
        case.after(60_000).poll(None, &flags(1..=50));
    }
    assert_eq!(case.flags, contents(&flags(1..=50)));
    assert!(case.detector.unsure.is_empty() && case.detector.unexplained.is_empty());
}

#[test]
fn the_reason_names_the_cause_of_a_suspicion() {
    let cause = |case: &Case| match case.doubt() {
        Some(Doubt::Loss { cause, .. }) => Some(cause),
        _ => None,
    };
    let all = flags(1..=50);
    let part = flags((1..=39).chain([50]));
    for (latest, answer, wanted) in [
        (Some(50), &part[..], Cause::Unexplained),
        (Some(110), &[], Cause::Empty),
        (Some(30), &part, Cause::IdFell),
        (None, &part, Cause::IdMissing),
    ] {
        let mut case = fifty();
        assert_eq!(case.check(latest, answer, Occasion::Full), SUSPICIOUS);
        assert_eq!(cause(&case), Some(wanted));
        let known = case.doubt().map(|doubt| doubt.to_string());
        assert!(known.is_some_and(|text| text.contains(" of 50 flags are missing")));
    }
    // Enough IDs for ten deletions.
    let mut case = Case::empty();
    let age = Duration::from_secs(1);
    let now = case.now;
    case.detector.restore(contents(&all), 50, age, now);
    assert_eq!(case.check(Some(60), &part, Occasion::Full), SUSPICIOUS);
    assert_eq!(cause(&case), Some(Cause::Restored));
    // A source without IDs.
    let mut case = Case::empty();
    assert_eq!(case.poll(None, &all), CHANGE);
    assert_eq!(case.after(FULL).poll(None, &all[..1]), SUSPICIOUS);
    assert_eq!(cause(&case), Some(Cause::NoIds));
}

#[test]
fn a_flag_that_was_deleted_twice_frees_one_id() {
    let (all, others) = (flags(1..=50), flags(1..=49));
    let mut case = Case::loaded(50, &all);
    assert_eq!(case.poll(Some(51), &others), CHANGE);
    // Back, and gone again before its return was confirmed.
    let back = edited(&all, 50, 52);
    assert_eq!(case.after(1_000).poll(Some(53), &back), CHANGE);
    assert_eq!(case.after(SETTLING).poll(Some(53), &others), CHANGE);
    case.after(SETTLING).poll(Some(53), &others);
    assert_eq!(case.detector.confirmed(), 53);
    // No ID is left that explains the loss of another flag.
    let torn = flags((1..=39).chain(41..=49));
    assert_eq!(case.after(1_000).poll(Some(53), &torn), SUSPICIOUS);
}

fn without(flags: &[(u64, u64)], ids: &[u64]) -> Vec<(u64, u64)> {
    let flags = flags.iter().copied();
    flags.filter(|(id, _)| !ids.contains(id)).collect()
}

#[test]
fn a_replica_that_is_behind_with_its_latest_id_brings_no_deleted_flag_back() {
    let left = without(&flags(1..=50), &[7]);
    for compared in [true, false] {
        let mut case = fifty();
        assert_eq!(case.poll(Some(51), &left), CHANGE);
        for _ in 0..20 {
            case.after(1_000).poll(Some(51), &left);
        }
        if !compared {
            case.after(2 * FULL).poll(Some(51), &left);
            assert_eq!(case.after(1_000).poll(Some(51), &left), None);
        }
        assert_eq!(case.after(1_000).poll(Some(50), &flags(1..=50)), OLDER);
        assert_eq!(case.after(1_000).poll(Some(51), &left), SAME);
    }
    // In turn with a healthy one, for as long as it likes.
    let mut case = fifty();
    assert_eq!(case.poll(Some(51), &left), CHANGE);
    for _ in 0..900 {
        case.after(1_000).poll(Some(50), &flags(1..=50));
        case.after(1_000).poll(Some(51), &left);
        assert!(!case.flags.has(7));
    }
    // A database that was restored from before the deletion.
    let mut case = fifty();
    assert_eq!(case.poll(Some(51), &left), CHANGE);
    case.after(SETTLING).poll(Some(51), &left);
    let mut seconds = 0;
    while case.after(1_000).poll(Some(50), &flags(1..=50)) != ROLLED_BACK {
        seconds += 1;
        assert!(seconds < 20, "{:?}", case.doubt());
    }
}

#[test]
fn a_flag_that_was_deleted_and_restored_frees_no_id() {
    for count in [1, 5] {
        let mut case = fifty();
        let left = flags(1..=50 - count);
        assert!(matches!(
            case.poll(Some(50 + count), &left),
            Some(Verdict::Load(_))
        ));
        for _ in 0..30 {
            case.after(1_000).poll(Some(50 + count), &left);
        }
        // They are restored by the next IDs; the answer lacks as many others.
        let restored = (51 - count..=50).zip(51 + count..);
        let back: Vec<_> = left.iter().copied().chain(restored).collect();
        let others: Vec<_> = (1..=count).collect();
        let torn = without(&back, &others);
        let latest = Some(50 + 2 * count);
        assert_eq!(case.after(1_000).poll(latest, &torn), SUSPICIOUS);
        assert!(matches!(
            case.after(1_000).poll(latest, &back),
            Some(Verdict::Load(_))
        ));
    }
}

#[test]
fn a_replica_stuck_before_a_deletion_and_a_creation_takes_neither_back() {
    for later in [false, true] {
        let mut case = fifty();
        let mut current = flags(1..=49);
        case.poll(Some(51), &current);
        case.after(SETTLING).poll(Some(51), &current);
        current.push((60, 52));
        assert_eq!(case.after(1_000).poll(Some(52), &current), CHANGE);
        let mut latest = 52;
        if later {
            // Another deletion confirms an ID once more.
            current = without(&current, &[3]);
            latest = 53;
            assert_eq!(case.after(20_000).poll(Some(53), &current), CHANGE);
            case.after(SETTLING).poll(Some(53), &current);
            case.after(4 * FULL)
                .check(Some(53), &current, Occasion::Full);
        }
        let mut occasion = Occasion::Full;
        for second in 0..1_000 {
            let verdict = case
                .after(1_000)
                .check(Some(latest), &flags(1..=50), occasion);
            assert!(matches!(verdict, OLDER | None), "{second}: {verdict:?}");
            occasion = Occasion::Poll;
        }
    }
}

#[test]
fn what_is_remembered_of_lost_flags_is_bounded() {
    let mut case = Case::empty();
    for round in 0..5 {
        let first = round * 30_000;
        let flags: Vec<_> = (first..first + 30_000).map(|id| (id + 1, id + 1)).collect();
        let mut verdict = None;
        while !matches!(verdict, Some(Verdict::Load(_))) {
            verdict = case.after(10_000).check(Some(5), &flags, Occasion::Full);
        }
        assert!(case.detector.unexplained.len() <= 100_000);
    }
}

#[test]
fn a_deletion_that_is_shown_after_its_id_was_accepted_is_loaded_at_once() {
    let all = flags(1..=50);
    for deleted in [50, 7] {
        let left = without(&all, &[deleted]);
        for operator in [true, false] {
            let mut case = Case::loaded(50, &all);
            assert_eq!(case.poll(Some(51), &all), SAME);
            case.after(SETTLING).poll(Some(51), &all);
            assert!(matches!(case.doubt(), Some(Doubt::Late { .. })));
            if operator {
                assert_eq!(case.check(Some(51), &all, Occasion::Accept), SAME);
            }
            let mut waited = 0;
            while case.detector.confirmed() == 50 {
                case.after(1_000).poll(Some(51), &all);
                waited += 1_000;
                assert!(waited < 2 * FULL);
            }
            let occasion = match operator {
                true => Occasion::Poll,
                false => Occasion::Full,
            };
            let verdict = case.after(60_000).check(Some(51), &left, occasion);
            assert_eq!(verdict, CHANGE, "{deleted} {operator}");
            assert_eq!(case.doubt(), None);
        }
    }
}

#[test]
fn ids_that_were_accepted_unseen_explain_no_loss_for_long() {
    for rounds in [1, 25] {
        let all = flags(1..=50);
        let mut case = Case::loaded(50, &all);
        let mut latest = 50;
        for _ in 0..rounds {
            // A flag is created and deleted before anybody sees it.
            latest += 2;
            for _ in 0..700 {
                case.after(1_000).poll(Some(latest), &all);
            }
            assert_eq!(case.detector.confirmed(), latest);
            case.after(10 * FULL)
                .check(Some(latest), &all, Occasion::Full);
        }
        for missing in [1, 2, 48] {
            let torn = flags(missing + 1..=50);
            let mut case = case.clone();
            let verdict = case.after(1_000).check(Some(latest), &torn, Occasion::Full);
            assert_eq!(verdict, SUSPICIOUS, "{missing} after {rounds}");
        }
    }
}

#[test]
fn a_deletion_that_is_shown_long_after_its_id_was_accepted_is_loaded_after_a_minute() {
    for deleted in [50, 7] {
        let all = flags(1..=50);
        let left = without(&all, &[deleted]);
        let mut case = Case::loaded(50, &all);
        for _ in 0..700 {
            case.after(1_000).poll(Some(51), &all);
        }
        case.after(10 * FULL).check(Some(51), &all, Occasion::Full);
        let mut verdict = case.after(1_000).check(Some(51), &left, Occasion::Full);
        let mut seconds = 0;
        while verdict != CONFIRMED {
            assert_eq!(verdict, SUSPICIOUS, "{deleted} after {seconds}");
            seconds += 1;
            assert!(seconds < 62, "{deleted}");
            verdict = case.after(1_000).poll(Some(51), &left);
        }
        assert_eq!(case.doubt(), None);
    }
}
