//! Generated sequences of attempts, compared with a model that looks at the
//! whole history each time, and generated outages.

use proptest::prelude::*;

use super::*;

/// One attempt: how long before it, how long it takes, how it ends.
#[derive(Debug, Clone)]
struct Step {
    wait: u64,
    takes: u64,
    ended: Ended,
    retry_after: Option<u64>,
    random: f64,
}

fn step() -> impl Strategy<Value = Step> {
    let ended = prop_oneof![
        2 => Just(Ended::Succeeded),
        2 => Just(Ended::Refused),
        5 => Just(Ended::Failed),
        2 => Just(Ended::FailedHalfway),
        1 => Just(Ended::FailedLastingly),
    ];
    let retry_after = prop::option::weighted(0.2, 0..200_000_u64);
    let times = (0..20_000_u64, 0..15_000_u64);
    (times, ended, retry_after, 0.0..1.0).prop_map(|((wait, takes), ended, retry_after, random)| {
        Step {
            wait,
            takes,
            ended,
            retry_after,
            random,
        }
    })
}

/// The least and the most that the next attempt may wait for, in milliseconds
/// from the end of the last.
fn expected(history: &[Step], limits: &Limits, demand: Demand) -> (f64, f64) {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let Some(last) = history.last() else {
        return (0.0, 0.0);
    };
    let in_a_row = history.iter().rev();
    let failed = in_a_row.take_while(|step| step.ended != Ended::Succeeded);
    let failed = &history[history.len() - failed.count()..];
    let halfway = failed
        .iter()
        .position(|step| step.ended == Ended::FailedHalfway);
    let failures = failed.len() - halfway.unwrap_or(0);
    let poll = millis(limits.poll_interval);
    if failures == 0 {
        let wait = match demand {
            Demand::Schedule => 0.0,
            Demand::SourceChanged => 5.0,
            Demand::Notification | Demand::Caller => 50.0,
        };
        return (wait, wait);
    }
    let first = (poll / 20.0).clamp(25.0, 250.0).min(poll);
    let grows = |delay: f64| delay * if delay < 1_000.0 { 1.5 } else { 2.0 };
    let delay = (1..failures).fold(first, |delay, _| grows(delay).min(1e12));
    let grown = |longest: f64| match delay < longest {
        true => (delay * 0.5, delay),
        false => (longest * 0.9, longest * 1.1),
    };
    let takes = last.takes as f64;
    let (least, most) = match last.ended {
        Ended::Refused => {
            let slow = millis(limits.slow_retry).max(poll);
            (slow * 0.9, slow * 1.1)
        }
        Ended::FailedLastingly => (poll * 0.9, poll * 1.1),
        _ => grown(poll),
    };
    let scheduled = ((least - takes).max(first * 0.5), (most - takes).max(first));
    let caller = grown(1_000.0);
    let caller = (caller.0.min(scheduled.0), caller.1.min(scheduled.1));
    let pause = last.retry_after.unwrap_or(0) as f64;
    let pause = pause.min(millis(limits.retry_after));
    let paused = |(least, most): (f64, f64)| (least.max(pause), most.max(pause * 1.2));
    match demand {
        Demand::Schedule => paused(scheduled),
        Demand::Notification if last.ended == Ended::Refused => paused(caller),
        Demand::Notification => paused(scheduled),
        Demand::SourceChanged | Demand::Caller => caller,
    }
}

fn failed(history: &[Step]) -> usize {
    let failed = |step: &&Step| step.ended != Ended::Succeeded;
    history.iter().rev().take_while(failed).count()
}

const DEMANDS: [Demand; 4] = [
    Demand::Schedule,
    Demand::Notification,
    Demand::SourceChanged,
    Demand::Caller,
];

proptest! {
    #[test]
    fn the_next_attempt_follows_from_the_history(
        steps in prop::collection::vec(step(), 0..40),
        poll in prop_oneof![Just(10_u64), Just(1_000), Just(10_000), Just(300_000)],
        slow in prop_oneof![Just(20_u64), Just(60_000)],
    ) {
        let limits = Limits {
            poll_interval: Duration::from_millis(poll),
            slow_retry: Duration::from_millis(slow),
            retry_after: 60 * SECOND,
        };
        let mut now = Instant::now();
        let mut backoff = Backoff::new(limits, now);
        for done in 0..=steps.len() {
            let (state, under_way) = match failed(&steps[..done]) {
                0..3 => (BreakerState::Closed, BreakerState::Closed),
                _ => (BreakerState::Open, BreakerState::HalfOpen),
            };
            prop_assert_eq!(backoff.state(), state);
            for demand in DEMANDS {
                let wait = backoff.earliest(demand).saturating_duration_since(now);
                let wait = wait.as_secs_f64() * 1_000.0;
                let (least, most) = expected(&steps[..done], &limits, demand);
                prop_assert!(
                    (least - 0.001..=most + 0.001).contains(&wait),
                    "{:?}: {} is not in {}..={}", demand, wait, least, most
                );
            }
            let Some(step) = steps.get(done) else { break };
            now += Duration::from_millis(step.wait);
            backoff.begin(now);
            prop_assert_eq!(backoff.state(), under_way);
            now += Duration::from_millis(step.takes);
            let retry_after = step.retry_after.map(Duration::from_millis);
            backoff.end(step.ended, retry_after, now, step.random);
        }
    }

    /// What an outage costs the source, and how long after its end the next
    /// attempt begins.
    #[test]
    fn an_outage_costs_little_and_its_end_is_noticed(
        randoms in prop::collection::vec(0.0..1.0_f64, 200),
        takes in 0..10_000_u64,
        length in 0..400_000_u64,
        poll in prop_oneof![Just(200_u64), Just(1_000), Just(5_000), Just(10_000), Just(60_000)],
    ) {
        let limits = Limits { poll_interval: Duration::from_millis(poll), ..LIMITS };
        let start = Instant::now();
        let end = start + Duration::from_millis(length);
        let (mut now, mut begins) = (start, Vec::new());
        let mut backoff = Backoff::new(limits, start);
        for random in randoms {
            begins.push(now);
            if now >= end {
                break;
            }
            backoff.begin(now);
            now += Duration::from_millis(takes);
            backoff.end(Ended::Failed, None, now, random);
            now = backoff.earliest(Demand::Schedule);
        }
        if let Some(noticed) = begins.iter().find(|begin| **begin >= end) {
            let longest = Duration::from_millis(poll).mul_f64(1.1);
            let longest = longest.max(Duration::from_millis(takes + 250));
            prop_assert!(*noticed - end <= longest, "{:?}", *noticed - end);
        }
        let most = if poll >= 10_000 { 15 } else { 9 + 60_000 * 10 / (9 * poll) };
        for (index, begin) in begins.iter().enumerate() {
            let minute = begins[index..].iter();
            let minute = minute.take_while(|other| **other - *begin < 60 * SECOND);
            prop_assert!(minute.count() as u64 <= most);
        }
    }
}
