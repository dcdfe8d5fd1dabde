//! Retries, pauses and the circuit breaker.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vexilla_core::{BreakerPolicy, BreakerState, Level, RetryPolicy, Vexilla};
use vexilla_tests::model::{Answer, Fault, Request, Route};

use super::log::{log, logged};
use super::{MINUTE, SECOND, builder, is_on, model, start, until, until_level};

/// The times of requests from one on, in milliseconds between each other.
fn gaps(requests: &[Request]) -> Vec<u128> {
    let pairs = requests.windows(2);
    pairs
        .map(|pair| (pair[1].at - pair[0].at).as_millis())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_three_times_and_what_may_not_once() {
    let cases = [
        (Fault::Break, 3),
        (Fault::status(408), 3),
        (Fault::status(429), 3),
        (Fault::status(500), 3),
        (Fault::status(503), 3),
        (Fault::status(401), 1),
        (Fault::status(404), 1),
        (Fault::status(501), 1),
        (Fault::Panic, 1),
        (Fault::Answer(Answer::json("<html>")), 1),
    ];
    for (fault, attempts) in cases {
        let model = model();
        let vexilla = start(&model).await;
        let (before, said) = (model.requests().len(), fault.clone());
        model.fault(move |request| (request.route == Route::Export).then(|| said.clone()));
        vexilla.refresh().await.unwrap_err();
        let requests = model.requests().split_off(before + 1);
        assert_eq!(requests.len(), attempts, "{fault:?}");
        for (gap, most) in gaps(&requests).iter().zip([100, 200]) {
            assert!((most / 2..=most + 2).contains(gap), "{fault:?}: {gap} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_pause_gets_it() {
    // A short one within the call.
    let model = model();
    let vexilla = start(&model).await;
    let before = model.requests().len();
    let pause = |seconds| Fault::Answer(Answer::status(503).retry_after(seconds));
    model.fault(move |_| Some(pause(2)));
    vexilla.refresh().await.unwrap_err();
    let requests = model.requests().split_off(before);
    // Each of the two calls three times; the budget has three retries and a bit.
    for gap in gaps(&requests).iter().filter(|gap| **gap > 5) {
        assert!((2_050..=2_202).contains(gap), "{gap} ms");
    }
    assert!(requests.len() >= 4, "{}", requests.len());

    // A long one before the next check; capped, as anybody may say anything.
    for (seconds, least, most) in [(45, 45_000, 54_010), (86_400, 60_000, 72_010)] {
        let model = self::model();
        let _vexilla = start(&model).await;
        model.fault(move |_| Some(pause(seconds)));
        let before = model.requests().len();
        sleep(MINUTE * 10).await;
        let requests = model.requests().split_off(before);
        assert!(requests.len() > 5);
        let gaps = gaps(&requests);
        let waits: Vec<_> = gaps.iter().filter(|gap| **gap > 5_000).collect();
        assert!(
            waits.iter().all(|gap| (least..=most).contains(*gap)),
            "{gaps:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_probes_and_closes() {
    log();
    let model = model();
    let vexilla = start(&model).await;
    sleep(MINUTE).await;
    model.fault(|_| Some(Fault::Break));
    let failures = |vexilla: &Vexilla| vexilla.status().consecutive_failures;
    until(|| failures(&vexilla) >= 2).await;
    assert_eq!(vexilla.status().breaker, BreakerState::Closed);
    until(|| failures(&vexilla) >= 3).await;
    assert_eq!(vexilla.status().breaker, BreakerState::Open);
    let mut opened = Instant::now();
    for probe in 4..30 {
        let before = model.requests().len();
        until(|| failures(&vexilla) >= probe).await;
        let first = model.requests()[before].at;
        let wait = first - opened.into_std();
        let allowed = Duration::from_millis(23_900)..Duration::from_millis(36_100);
        assert!(allowed.contains(&wait), "{wait:?}");
        opened = Instant::now();
    }
    // A hint waits for the breaker; a refresh does not.
    let before = model.requests().len();
    vexilla.hint();
    sleep(SECOND).await;
    assert_eq!(model.requests().len(), before);
    vexilla.refresh().await.unwrap_err();
    assert!(model.requests().len() > before);
    model.heal();
    vexilla.refresh().await.unwrap();
    assert_eq!(vexilla.status().breaker, BreakerState::Closed);
    assert_eq!(vexilla.status().level, Level::Live);
    let failed = logged("could not be checked");
    assert_eq!(failed, 30);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_back_is_found_by_the_next_probe() {
    let model = model();
    let vexilla = start(&model).await;
    model.fault(|_| Some(Fault::Break));
    sleep(MINUTE * 5).await;
    model.heal();
    let begin = Instant::now();
    let mut statuses = vexilla.watch_status();
    until_level(&mut statuses, Level::Live).await;
    assert!(begin.elapsed() < Duration::from_millis(36_500));
    assert_eq!(vexilla.status().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_given_up() {
    let model = model();
    let policy = BreakerPolicy::new().open_for(SECOND * 5);
    let retry = RetryPolicy::new().attempts(1);
    let vexilla = builder(&model).breaker(policy).retry(retry);
    let vexilla = vexilla.build().await.unwrap();
    model.fault(|_| Some(Fault::Break));
    until(|| vexilla.status().breaker == BreakerState::Open).await;
    model.fault(|_| Some(Fault::Hang));
    let (failures, before) = (
        vexilla.status().consecutive_failures,
        model.requests().len(),
    );
    until(|| vexilla.status().consecutive_failures > failures).await;
    let probe = model.requests()[before].at;
    let took = Instant::now().into_std() - probe;
    assert!((SECOND * 10..SECOND * 11).contains(&took), "{took:?}");
    assert!(
        vexilla
            .status()
            .last_error
            .unwrap()
            .contains("longer than a probe may")
    );
    model.heal();
    sleep(SECOND * 20).await;
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn a_hint_does_not_break_the_pause_that_a_server_asked_for() {
    let model = model();
    let vexilla = start(&model).await;
    model.fault(|_| Some(Fault::Answer(Answer::status(429).retry_after(45))));
    vexilla.refresh().await.unwrap_err();
    let before = model.requests().len();
    for _ in 0..44 {
        vexilla.hint();
        sleep(SECOND).await;
    }
    assert_eq!(model.requests().len(), before);
    sleep(SECOND * 11).await;
    assert!(model.requests().len() > before);
    // Who waits for an answer gets one.
    let before = model.requests().len();
    vexilla.refresh().await.unwrap_err();
    assert!(model.requests().len() > before);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_does_not_stop_the_loop() {
    let model = model();
    let vexilla = start(&model).await;
    let mut hanging = true;
    model.fault(move |_| std::mem::take(&mut hanging).then_some(Fault::Hang));
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    sleep(SECOND * 45).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(is_on(&vexilla));
    sleep(SECOND * 30).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(!is_on(&vexilla));
}
