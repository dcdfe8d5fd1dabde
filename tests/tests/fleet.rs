//! A thousand services and one Flagr: what it sees when they start together,
//! and when it goes away and comes back.
//!
//! Paused time throughout; delays are drawn by the library itself, so that
//! figures vary a little from run to run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and prints what it measured"
)]

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use vexilla_core::flag::Flag;
use vexilla_core::{Level, Vexilla};
use vexilla_tests::model::{Fault, Model, Replica, Route};

const SECOND: Duration = Duration::from_secs(1);
const FLEET: usize = 1_000;

fn model() -> Model {
    let model = Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]);
    model.change(|database| database.create(Flag::boolean("new", true)));
    model
}

/// Starts them all at one moment.
async fn fleet(model: &Model) -> Vec<Vexilla> {
    let mut starting = JoinSet::new();
    for _ in 0..FLEET {
        let builder = Vexilla::builder(model.clone());
        starting.spawn(async move { builder.build().await.unwrap() });
    }
    starting.join_all().await
}

/// How many times fall into each bucket of this length, up to the last time.
fn histogram(
    since: std::time::Instant,
    times: &[std::time::Instant],
    bucket: Duration,
) -> Vec<usize> {
    let mut buckets = Vec::new();
    for time in times {
        let index = (*time - since).as_nanos() / bucket.as_nanos();
        let index = usize::try_from(index).unwrap();
        if buckets.len() <= index {
            buckets.resize(index + 1, 0);
        }
        buckets[index] += 1;
    }
    buckets
}

/// Prints a histogram; gives its greatest bucket in parts of the mean.
fn peak(what: &str, buckets: &[usize]) -> f64 {
    let total: usize = buckets.iter().sum();
    let mean = total as f64 / buckets.len() as f64;
    let most = *buckets.iter().max().unwrap();
    let peak = most as f64 / mean;
    println!(
        "{what}: {total} in {} buckets, mean {mean:.1}, greatest {most} = {peak:.2} x the mean: {buckets:?}",
        buckets.len()
    );
    peak
}

#[tokio::test(start_paused = true)]
async fn services_that_lost_the_same_server_do_not_come_back_in_step() {
    for outage in [SECOND * 40, SECOND * 90, SECOND * 300] {
        let model = model();
        let fleet = fleet(&model).await;
        sleep(SECOND * 120).await;

        model.fault(|_| Some(Fault::Break));
        let (down, before) = (Instant::now().into_std(), model.requests().len());
        sleep(outage).await;
        let requests = model.requests().split_off(before);
        let times: Vec<_> = requests.iter().map(|request| request.at).collect();
        peak(
            &format!("requests while it is down for {outage:?}"),
            &histogram(down, &times, SECOND),
        );

        // A service reconnects when its check succeeds after the outage. The
        // mean is that of the time in which reconnects happen: from the second
        // of the first of them to that of the last.
        let back = Instant::now().into_std();
        model.heal();
        let failures = fleet.iter().map(|one| one.status().counts.failures);
        let lost = failures.filter(|failures| *failures > 0).count();
        assert_eq!(lost, FLEET, "each has noticed");
        let mut reconnects = Vec::new();
        let mut away: Vec<_> = fleet.iter().collect();
        while !away.is_empty() {
            sleep(Duration::from_millis(50)).await;
            let now = Instant::now().into_std();
            away.retain(|one| {
                let reconnected = one.status().consecutive_failures == 0;
                if reconnected {
                    reconnects.push(now);
                }
                !reconnected
            });
            assert!(now - back < SECOND * 50, "{} are still away", away.len());
        }
        let buckets = histogram(back, &reconnects, SECOND);
        let first = buckets.iter().take_while(|count| **count == 0).count();
        let peak = peak(&format!("reconnects after {outage:?}"), &buckets[first..]);
        assert!(peak <= 3.0, "{outage:?}: {peak}");
        assert!(fleet.iter().all(|one| one.status().level == Level::Live));
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_start_together_do_not_fetch_everything_together() {
    let model = model();
    let begin = Instant::now().into_std();
    let fleet = fleet(&model).await;
    sleep(SECOND * 330).await;
    let exports: Vec<_> = model
        .requests()
        .iter()
        .filter(|request| request.route == Route::Export && request.at - begin > SECOND)
        .map(|request| request.at)
        .collect();
    assert!(exports.len() >= FLEET, "{}", exports.len());
    let polls: Vec<_> = model.requests().iter().map(|request| request.at).collect();
    let polls = histogram(begin, &polls, SECOND);
    let peak_of_polls = peak("requests in the first minute", &polls[1..60]);
    assert!(peak_of_polls <= 3.0, "{peak_of_polls}");
    let buckets = histogram(begin, &exports, SECOND * 10);
    let peak = peak("full refreshes, by 10 s", &buckets);
    assert!(peak <= 2.0, "{peak}");
    drop(fleet);
}
