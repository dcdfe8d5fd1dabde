//! Every rule by an example. Generated histories are held against a model in
//! `histories`.

mod histories;
mod model;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// In the middle: a breaker opens for exactly its time.
const MIDDLE: f64 = 0.5;

/// A breaker and its clock.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            breaker: Breaker::new(policy),
            now: Instant::now(),
        }
    }

    /// One that has just opened, by one failure.
    fn opened(policy: BreakerPolicy) -> Self {
        let mut bench = Self::new(policy.failures(1));
        bench.call(Outcome::Failure);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn permit(&mut self) -> Permit {
        self.breaker.try_call(self.now).unwrap()
    }

    fn report(&mut self, permit: Permit, outcome: Outcome) {
        self.breaker.report(permit, outcome, self.now, MIDDLE);
    }

    fn call(&mut self, outcome: Outcome) {
        let permit = self.permit();
        self.report(permit, outcome);
    }

    fn state(&self) -> BreakerState {
        self.breaker.state(self.now)
    }

    fn wait(&self) -> Option<Duration> {
        self.breaker.wait(self.now)
    }

    fn refused(&mut self) -> Duration {
        self.breaker.try_call(self.now).unwrap_err()
    }
}

#[test]
fn three_failures_in_a_row_open_it_for_30_seconds() {
    let mut bench = Bench::new(BreakerPolicy::default());
    bench.call(Outcome::Failure);
    bench.call(Outcome::Failure);
    assert_eq!((bench.state(), bench.wait()), (BreakerState::Closed, None));
    bench.call(Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Open);
    assert_eq!(bench.refused(), 30 * SECOND);
    bench.pass(29 * SECOND);
    assert_eq!(bench.state(), BreakerState::Open);
    assert_eq!((bench.refused(), bench.wait()), (SECOND, Some(SECOND)));
    bench.pass(SECOND);
    assert_eq!(
        (bench.state(), bench.wait()),
        (BreakerState::HalfOpen, None)
    );
    bench.call(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(2));
    for outcome in [Outcome::Failure, Outcome::Success, Outcome::Failure] {
        bench.call(outcome);
        assert_eq!(bench.state(), BreakerState::Closed);
    }
    bench.call(Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Open);
}

#[test]
fn a_closed_breaker_starts_its_count_anew_after_it_was_open() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(2));
    bench.call(Outcome::Failure);
    bench.call(Outcome::Failure);
    bench.pass(30 * SECOND);
    bench.call(Outcome::Success);
    bench.call(Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn a_cancelled_call_is_neither_success_nor_failure() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(2));
    bench.call(Outcome::Failure);
    for _ in 0..10 {
        bench.call(Outcome::Cancelled);
        drop(bench.permit());
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.call(Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Open);
    bench.pass(30 * SECOND);
    bench.call(Outcome::Cancelled);
    assert_eq!(
        (bench.state(), bench.wait()),
        (BreakerState::HalfOpen, None)
    );
}

#[test]
fn a_failing_probe_opens_it_again_for_the_same_time() {
    let mut bench = Bench::opened(BreakerPolicy::new());
    for _ in 0..20 {
        assert_eq!(bench.wait(), Some(30 * SECOND));
        bench.pass(30 * SECOND);
        bench.call(Outcome::Failure);
    }
    assert_eq!(bench.wait(), Some(30 * SECOND));
}

#[test]
fn it_is_open_for_a_time_drawn_from_20_percent_around() {
    for (random, seconds) in [(0.0, 24), (0.25, 27), (0.75, 33)] {
        let mut bench = Bench::new(BreakerPolicy::new().failures(1));
        let permit = bench.permit();
        let now = bench.now;
        bench.breaker.report(permit, Outcome::Failure, now, random);
        assert_eq!(bench.wait(), Some(seconds * SECOND));
    }
}

#[test]
fn one_probe_goes_at_a_time_and_is_given_up_at_its_limit() {
    let mut bench = Bench::opened(BreakerPolicy::new());
    bench.pass(30 * SECOND);
    let lost = bench.permit();
    assert_eq!(bench.refused(), 10 * SECOND);
    bench.pass(9 * SECOND);
    assert_eq!(bench.refused(), SECOND);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    bench.pass(SECOND);
    let next = bench.permit();
    assert_eq!(bench.refused(), 10 * SECOND);
    drop((lost, next));
    bench.pass(10 * SECOND);
    assert_eq!(bench.wait(), None);
}

#[test]
fn several_probes_in_a_row_must_succeed_where_so_many_are_asked_for() {
    let mut bench = Bench::opened(BreakerPolicy::new().successes(3));
    bench.pass(30 * SECOND);
    bench.call(Outcome::Success);
    bench.call(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    bench.call(Outcome::Failure);
    assert_eq!(bench.wait(), Some(30 * SECOND));
    bench.pass(30 * SECOND);
    for _ in 0..2 {
        bench.call(Outcome::Success);
        bench.call(Outcome::Cancelled);
        assert_eq!(bench.state(), BreakerState::HalfOpen);
    }
    bench.call(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn answers_to_calls_from_before_it_opened_are_ignored() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(1));
    let [first, good, bad, cancelled] = [(); 4].map(|()| bench.permit());
    let [late_good, late_bad] = [(); 2].map(|()| bench.permit());
    bench.report(first, Outcome::Failure);
    bench.pass(20 * SECOND);
    bench.report(good, Outcome::Success);
    bench.report(bad, Outcome::Failure);
    assert_eq!(bench.wait(), Some(10 * SECOND));
    bench.pass(10 * SECOND);
    let probe = bench.permit();
    bench.report(cancelled, Outcome::Cancelled);
    bench.report(late_good, Outcome::Success);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    assert_eq!(bench.refused(), 10 * SECOND);
    bench.report(probe, Outcome::Success);
    bench.report(late_bad, Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn a_probe_past_its_limit_counts_if_no_other_went() {
    for (outcome, state) in [
        (Outcome::Success, BreakerState::Closed),
        (Outcome::Failure, BreakerState::Open),
    ] {
        let mut bench = Bench::opened(BreakerPolicy::new());
        bench.pass(30 * SECOND);
        let late = bench.permit();
        bench.pass(60 * SECOND);
        bench.report(late, outcome);
        assert_eq!(bench.state(), state);
    }
}

#[test]
fn a_probe_that_another_took_the_place_of_is_ignored() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Cancelled] {
        let mut bench = Bench::opened(BreakerPolicy::new().successes(2));
        bench.pass(30 * SECOND);
        let late = bench.permit();
        bench.pass(10 * SECOND);
        let next = bench.permit();
        bench.pass(SECOND);
        bench.report(late, outcome);
        assert_eq!(bench.state(), BreakerState::HalfOpen);
        assert_eq!(bench.refused(), 9 * SECOND);
        bench.report(next, Outcome::Success);
        assert_eq!(bench.state(), BreakerState::HalfOpen);
        bench.call(Outcome::Success);
        assert_eq!(bench.state(), BreakerState::Closed);
    }
}

#[test]
fn zero_counts_mean_one() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(0).successes(0));
    bench.call(Outcome::Failure);
    assert_eq!(bench.state(), BreakerState::Open);
    bench.pass(30 * SECOND);
    bench.call(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn times_of_zero_and_without_end_are_taken_as_they_are() {
    let policy = BreakerPolicy::new()
        .open_for(Duration::ZERO)
        .probe_limit(Duration::ZERO);
    let mut bench = Bench::opened(policy);
    drop([bench.permit(), bench.permit()]);
    bench.call(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Closed);

    let policy = BreakerPolicy::new()
        .open_for(Duration::MAX)
        .probe_limit(Duration::MAX);
    let mut bench = Bench::opened(policy.clone());
    assert_eq!(bench.wait(), Some(Duration::MAX));
    bench.pass(1_000_000_000 * SECOND);
    assert_eq!(bench.refused(), Duration::MAX - 1_000_000_000 * SECOND);

    let mut bench = Bench::opened(policy.open_for(Duration::ZERO));
    drop(bench.permit());
    assert_eq!(bench.refused(), Duration::MAX);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut bench = Bench::new(BreakerPolicy::new().failures(1));
    let past = bench.now;
    bench.pass(100 * SECOND);
    bench.call(Outcome::Failure);
    assert_eq!(bench.breaker.state(past), BreakerState::Open);
    assert_eq!(bench.breaker.try_call(past), Err(30 * SECOND));
    bench.pass(30 * SECOND);
    let probe = bench.permit();
    assert_eq!(bench.breaker.try_call(past), Err(10 * SECOND));
    bench.breaker.report(probe, Outcome::Failure, past, MIDDLE);
    assert_eq!(bench.breaker.wait(past), Some(30 * SECOND));
}

#[test]
fn states_are_lower_case_words() {
    let states = [
        BreakerState::Closed,
        BreakerState::Open,
        BreakerState::HalfOpen,
    ];
    assert_eq!(
        states.map(|state| state.to_string()),
        ["closed", "open", "half-open"]
    );
}
