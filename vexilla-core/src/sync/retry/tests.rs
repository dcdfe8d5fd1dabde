//! Delays, what a server asks for, and the budget.

use proptest::prelude::*;

use super::*;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// As near to 1 as a random number comes.
const ALMOST_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

/// The shortest and the longest delay after this attempt.
fn range(policy: &RetryPolicy, attempt: u32) -> (Duration, Duration) {
    let delay = |random| match policy.next(attempt, None, random) {
        Retry::After(delay) => delay,
        Retry::GiveUp { .. } => panic!("no retry after attempt {attempt}"),
    };
    (delay(0.0), delay(ALMOST_ONE))
}

fn near(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= Duration::from_nanos(1)
}

#[test]
fn a_call_has_three_attempts_with_100_and_200_milliseconds_between() {
    let policy = RetryPolicy::default();
    for (attempt, whole) in [(1, 100 * MILLI), (2, 200 * MILLI)] {
        let (shortest, longest) = range(&policy, attempt);
        assert!(near(shortest, whole / 2) && near(longest, whole));
    }
    for attempt in [3, 4, u32::MAX] {
        let over = Retry::GiveUp { pause: None };
        assert_eq!(policy.next(attempt, None, 0.5), over);
    }
}

#[test]
fn delays_grow_by_the_factor_up_to_the_longest() {
    let policy = RetryPolicy::new().attempts(u32::MAX);
    let wholes = [100, 200, 400, 800, 1600, 3200, 5000, 5000];
    for (attempt, whole) in (1..).zip(wholes) {
        let (shortest, longest) = range(&policy, attempt);
        assert!(near(longest, whole * MILLI) && near(shortest, whole * MILLI / 2));
    }
    let (_, longest) = range(&policy.clone().factor(3), 3);
    assert!(near(longest, 900 * MILLI));
    for factor in [0, 1] {
        let (_, longest) = range(&policy.clone().factor(factor), 1_000);
        assert!(near(longest, 100 * MILLI));
    }
    let (_, longest) = range(&policy.longest_delay(30 * MILLI), 1);
    assert!(near(longest, 30 * MILLI));
}

#[test]
fn one_attempt_and_none_are_no_retry() {
    for attempts in [0, 1] {
        let policy = RetryPolicy::new().attempts(attempts);
        assert_eq!(
            policy.next(1, None, 0.5),
            Retry::GiveUp { pause: None },
            "{attempts}"
        );
    }
}

#[test]
fn what_the_server_asks_for_is_waited_for_if_it_is_short() {
    let policy = RetryPolicy::new();
    for asked in [Duration::ZERO, MILLI, 3 * SECOND, 5 * SECOND] {
        let (least, most) = (asked + 50 * MILLI, asked + 100 * MILLI);
        for random in [0.0, 0.5, ALMOST_ONE] {
            let next = policy.next(1, Some(asked), random);
            assert!(matches!(next, Retry::After(delay) if (least..=most).contains(&delay)));
        }
    }
}

#[test]
fn a_server_that_asks_for_more_ends_the_call() {
    let policy = RetryPolicy::new();
    for (asked, pause) in [(5001 * MILLI, 5001 * MILLI), (60 * SECOND, 60 * SECOND)] {
        let pause = Some(pause);
        assert_eq!(policy.next(1, Some(asked), 0.5), Retry::GiveUp { pause });
    }
    for asked in [61 * SECOND, 86_400 * SECOND, Duration::MAX] {
        let pause = Some(60 * SECOND);
        assert_eq!(policy.next(1, Some(asked), 0.5), Retry::GiveUp { pause });
    }
}

#[test]
fn the_last_attempt_hands_on_what_the_server_asks_for() {
    let policy = RetryPolicy::new();
    for (asked, pause) in [(2 * SECOND, 2 * SECOND), (Duration::MAX, 60 * SECOND)] {
        let pause = Some(pause);
        assert_eq!(policy.next(3, Some(asked), 0.5), Retry::GiveUp { pause });
    }
}

#[test]
fn a_limit_of_zero_takes_no_notice_of_what_the_server_asks_for() {
    let policy = RetryPolicy::new().retry_after_limit(Duration::ZERO);
    for random in [0.0, 0.5, ALMOST_ONE] {
        let next = policy.next(1, Some(Duration::MAX), random);
        assert_eq!(next, policy.next(1, None, random));
    }
}

/// The retries of so many calls that all fail.
fn retries(policy: &RetryPolicy, budget: &mut RetryBudget, calls: u32) -> u32 {
    let mut retries = 0;
    for _ in 0..calls {
        budget.deposit();
        let mut attempt = 1;
        while let Retry::After(_) = policy.next(attempt, None, 0.5)
            && budget.try_withdraw()
        {
            (attempt, retries) = (attempt + 1, retries + 1);
        }
    }
    retries
}

#[test]
fn ten_thousand_calls_that_all_fail_bring_a_fifth_more_and_the_floor() {
    let policy = RetryPolicy::new();
    let mut budget = RetryBudget::new(&policy);
    // The deposit of the first call finds it full.
    assert_eq!(retries(&policy, &mut budget, 10_000), 3 + 1_999);
    assert_eq!(retries(&policy, &mut budget, 10_000), 2_000);
}

#[test]
fn a_long_time_without_failures_saves_up_no_more_than_the_floor() {
    let policy = RetryPolicy::new();
    let mut budget = RetryBudget::new(&policy);
    for _ in 0..1_000_000 {
        budget.deposit();
    }
    for _ in 0..3 {
        assert!(budget.try_withdraw());
    }
    assert!(!budget.try_withdraw());
}

#[test]
fn the_share_counts_without_a_floor_and_the_floor_without_a_share() {
    let policy = RetryPolicy::new().budget_floor(0);
    let mut budget = RetryBudget::new(&policy);
    assert!(!budget.try_withdraw());
    assert_eq!(retries(&policy, &mut budget, 1_000), 200);

    let policy = RetryPolicy::new().budget_percent(0);
    let mut budget = RetryBudget::new(&policy);
    assert_eq!(retries(&policy, &mut budget, 1_000), 3);

    let policy = RetryPolicy::new().budget_percent(0).budget_floor(0);
    let mut budget = RetryBudget::new(&policy);
    assert_eq!(retries(&policy, &mut budget, 1_000), 0);

    let policy = RetryPolicy::new().budget_percent(200).budget_floor(0);
    let mut budget = RetryBudget::new(&policy);
    assert_eq!(retries(&policy, &mut budget, 1_000), 2_000);
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0_u64..100_000).prop_map(Duration::from_millis),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => any::<u64>().prop_map(Duration::from_secs),
        1 => prop_oneof![Just(Duration::ZERO), Just(Duration::MAX)],
    ]
}

prop_compose! {
    fn policies()(
        attempts in prop_oneof![0_u32..10, Just(u32::MAX)],
        first in durations(),
        longest in durations(),
        factor in prop_oneof![0_u32..5, any::<u32>()],
        limit in durations(),
    ) -> RetryPolicy {
        RetryPolicy::new()
            .attempts(attempts)
            .first_delay(first)
            .longest_delay(longest)
            .factor(factor)
            .retry_after_limit(limit)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn delays_never_shrink_and_stay_within_their_bounds(
        policy in policies(),
        random in 0.0..1.0_f64,
    ) {
        let policy = policy.attempts(u32::MAX);
        let mut before = Duration::ZERO;
        for attempt in (0..40).chain([1_000, u32::MAX - 1]) {
            let (shortest, longest) = range(&policy, attempt);
            let Retry::After(delay) = policy.next(attempt, None, random) else {
                return Err(TestCaseError::fail("no retry"));
            };
            prop_assert!(shortest <= delay && delay <= longest);
            prop_assert!(longest <= policy.longest_delay);
            // A float holds a long time to about one part in 2⁵³.
            let rounding = longest / 1_000_000_000 + Duration::from_nanos(1);
            prop_assert!(shortest.abs_diff(longest / 2) <= rounding);
            prop_assert!(before <= delay);
            before = delay;
        }
    }

    #[test]
    fn what_the_server_asks_for_is_never_cut_short_below_the_limit(
        policy in policies(),
        attempt in 0_u32..12,
        asked in durations(),
        random in 0.0..1.0_f64,
    ) {
        let due = asked.min(policy.retry_after_limit);
        match policy.next(attempt, Some(asked), random) {
            Retry::After(delay) => {
                prop_assert!(attempt < policy.attempts && due <= policy.longest_delay);
                prop_assert!(delay >= due);
                prop_assert!(delay <= policy.longest_delay.saturating_mul(2));
            }
            Retry::GiveUp { pause } => {
                prop_assert!(attempt >= policy.attempts || due > policy.longest_delay);
                prop_assert_eq!(pause, Some(due));
            }
        }
    }

    #[test]
    fn retries_never_exceed_the_floor_and_the_share_of_calls(
        percent in prop_oneof![0_u32..300, Just(u32::MAX)],
        floor in prop_oneof![0_u32..10, Just(u32::MAX)],
        calls in prop::collection::vec(0_u32..5, 0..300),
    ) {
        let policy = RetryPolicy::new().budget_percent(percent).budget_floor(floor);
        let mut budget = RetryBudget::new(&policy);
        let mut retries = 0_u64;
        for (made, wanted) in (1_u64..).zip(calls) {
            budget.deposit();
            retries += (0..wanted).map(|_| u64::from(budget.try_withdraw())).sum::<u64>();
            let share = made * u64::from(percent) / 100;
            prop_assert!(retries <= u64::from(floor) + share);
        }
    }
}
