//! Every rule by an example. Generated sequences are compared with a model in
//! `sequences`.

mod sequences;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// In the middle of the range.
const MIDDLE: f64 = 0.5;
/// The delay after the first failure then.
const FIRST: Duration = Duration::from_micros(187_500);

const LIMITS: Limits = Limits {
    poll_interval: Duration::from_secs(10),
    slow_retry: Duration::from_secs(60),
    retry_after: Duration::from_secs(60),
};

/// A back-off and its clock.
struct Bench {
    backoff: Backoff,
    now: Instant,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            backoff: Backoff::new(limits, now),
            now,
        }
    }

    /// An attempt that takes no time.
    fn attempt(&mut self, ended: Ended) {
        self.slow_attempt(ended, Duration::ZERO, None);
    }

    fn slow_attempt(&mut self, ended: Ended, takes: Duration, retry_after: Option<Duration>) {
        self.backoff.begin(self.now);
        self.now += takes;
        self.backoff.end(ended, retry_after, self.now, MIDDLE);
    }

    /// How long from now until the next attempt may begin.
    fn wait(&self, demand: Demand) -> Duration {
        self.backoff
            .earliest(demand)
            .saturating_duration_since(self.now)
    }

    /// Lets time pass until the next scheduled attempt.
    fn pass(&mut self) {
        self.now = self.backoff.earliest(Demand::Schedule);
    }
}

#[test]
fn delays_grow_from_a_quarter_of_a_second_up_to_the_poll_interval() {
    let mut bench = Bench::new(LIMITS);
    // Three quarters of 250 ms, 375 ms, …, in the middle of the range.
    for micros in [
        187_500, 281_250, 421_875, 632_812, 949_218, 1_898_437, 3_796_875, 10_000_000, 10_000_000,
    ] {
        bench.attempt(Ended::Failed);
        assert_eq!(bench.wait(Demand::Schedule).as_micros(), micros);
        bench.pass();
    }
    bench.attempt(Ended::Succeeded);
    assert_eq!(bench.wait(Demand::Schedule), Duration::ZERO);
    bench.attempt(Ended::Failed);
    assert_eq!(bench.wait(Demand::Schedule), FIRST);
    for (poll, first) in [(1_000, 50), (5_000, 250), (100, 25), (10, 10)] {
        let limits = Limits {
            poll_interval: poll * MILLI,
            ..LIMITS
        };
        assert_eq!(Bench::new(limits).backoff.first_delay(), first * MILLI);
    }
}

#[test]
fn an_attempt_that_got_halfway_starts_the_delays_anew_once() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..2 {
        for _ in 0..5 {
            bench.attempt(Ended::Failed);
        }
        for quarters in [4, 6, 9] {
            bench.attempt(Ended::FailedHalfway);
            assert_eq!(bench.wait(Demand::Schedule), FIRST * quarters / 4);
        }
        assert_eq!(bench.backoff.state(), BreakerState::Open);
        bench.attempt(Ended::Succeeded);
    }
}

#[test]
fn delays_count_from_the_beginning_of_an_attempt() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..10 {
        bench.slow_attempt(Ended::Failed, 4 * SECOND, None);
        assert!(bench.wait(Demand::Schedule) <= 6 * SECOND);
        assert!(bench.wait(Demand::Schedule) >= 125 * MILLI);
        bench.pass();
    }
    assert_eq!(bench.wait(Demand::Schedule), Duration::ZERO);
    bench.slow_attempt(Ended::Failed, 60 * SECOND, None);
    assert_eq!(bench.wait(Demand::Schedule), FIRST);
}

#[test]
fn what_will_fail_again_is_retried_at_the_poll_interval() {
    let mut bench = Bench::new(LIMITS);
    bench.attempt(Ended::FailedLastingly);
    assert_eq!(bench.wait(Demand::Schedule), 10 * SECOND);
    assert_eq!(bench.wait(Demand::Notification), 10 * SECOND);
    assert_eq!(bench.wait(Demand::Caller), FIRST);
}

#[test]
fn a_refusal_is_retried_slowly_but_for_those_who_know_more() {
    let mut bench = Bench::new(LIMITS);
    for micros in [187_500, 281_250, 421_875, 632_812, 1_000_000, 1_000_000] {
        bench.attempt(Ended::Refused);
        assert_eq!(bench.wait(Demand::Schedule), 60 * SECOND);
        for demand in [Demand::Notification, Demand::SourceChanged, Demand::Caller] {
            assert_eq!(bench.wait(demand).as_micros(), micros);
        }
    }
    assert_eq!(bench.backoff.state(), BreakerState::Open);
    let limits = Limits {
        slow_retry: SECOND,
        ..LIMITS
    };
    let mut bench = Bench::new(limits);
    bench.attempt(Ended::Refused);
    assert_eq!(
        bench.wait(Demand::Schedule),
        10 * SECOND,
        "no faster than polls"
    );
}

#[test]
fn a_pause_that_the_server_asked_for_is_kept_up_to_the_limit() {
    for (asked, pause) in [(45, 45), (86_400, 60), (u64::MAX, 60)] {
        for ended in [Ended::Failed, Ended::FailedLastingly] {
            let mut bench = Bench::new(LIMITS);
            let asked = Some(Duration::from_secs(asked));
            bench.slow_attempt(ended, 3 * SECOND, asked);
            // A tenth more, in the middle of 1.0 to 1.2.
            let pause = pause * SECOND + pause * SECOND / 10;
            assert_eq!(bench.wait(Demand::Schedule), pause);
            assert_eq!(bench.wait(Demand::Notification), pause);
            assert_eq!(bench.wait(Demand::Caller), FIRST, "who insists");
        }
    }
    let mut bench = Bench::new(LIMITS);
    bench.slow_attempt(Ended::Failed, Duration::ZERO, Some(Duration::ZERO));
    assert_eq!(bench.wait(Demand::Schedule), FIRST);
}

#[test]
fn three_failures_are_reported_as_open_and_an_attempt_as_half_open() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..2 {
        bench.attempt(Ended::Failed);
        assert_eq!(bench.backoff.state(), BreakerState::Closed);
    }
    bench.attempt(Ended::FailedLastingly);
    assert_eq!(bench.backoff.state(), BreakerState::Open);
    bench.backoff.begin(bench.now);
    assert_eq!(bench.backoff.state(), BreakerState::HalfOpen);
    bench.backoff.end(Ended::Failed, None, bench.now, MIDDLE);
    assert_eq!(bench.backoff.state(), BreakerState::Open);
    bench.attempt(Ended::Refused);
    assert_eq!(
        bench.backoff.state(),
        BreakerState::Open,
        "nor is that a success"
    );
    bench.attempt(Ended::Succeeded);
    assert_eq!(bench.backoff.state(), BreakerState::Closed);
}

#[test]
fn an_attempt_that_is_never_reported_delays_nothing() {
    let mut bench = Bench::new(LIMITS);
    bench.attempt(Ended::Failed);
    let next = bench.backoff.earliest(Demand::Schedule);
    bench.backoff.begin(bench.now);
    assert_eq!(bench.backoff.earliest(Demand::Schedule), next);
    bench.now += 3_600 * SECOND;
    bench.slow_attempt(Ended::Failed, Duration::ZERO, None);
    assert_eq!(bench.wait(Demand::Schedule), FIRST * 3 / 2);
}

#[test]
fn no_setting_is_too_much() {
    for interval in [Duration::ZERO, MILLI, Duration::MAX] {
        let limits = Limits {
            poll_interval: interval,
            slow_retry: interval,
            retry_after: interval,
        };
        let mut bench = Bench::new(limits);
        for ended in [Ended::Refused, Ended::FailedLastingly, Ended::Failed] {
            bench.slow_attempt(ended, Duration::ZERO, Some(Duration::MAX));
            assert!(bench.wait(Demand::Caller) <= SECOND + SECOND / 10);
        }
    }
}
