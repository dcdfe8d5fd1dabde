//! When a source that fails is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Instant, sleep};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::{Source, SourceErrorKind, SourceTimeouts};
use vexilla_core::status::BreakerState;
use vexilla_core::{Level, SourceError, Vexilla};
use vexilla_tests::model::{Answer, Fault, Model, Request, Route};

use super::log::{log, logged};
use super::{MINUTE, SECOND, builder, is_on, model, start, until};

/// The times of requests from one on, in milliseconds between each other.
fn gaps(requests: &[Request]) -> Vec<u128> {
    let pairs = requests.windows(2);
    pairs
        .map(|pair| (pair[1].at - pair[0].at).as_millis())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_soon_and_what_may_not_later() {
    let grows = [188, 281, 422, 633, 949, 1_898, 3_797, 10_000, 10_000];
    let cases = [
        (Fault::Break, grows),
        (Fault::status(408), grows),
        (Fault::status(429), grows),
        (Fault::status(500), grows),
        (Fault::status(503), grows),
        (Fault::Panic, [10_000; 9]),
        (Fault::Answer(Answer::json("<html>")), [10_000; 9]),
        (Fault::status(401), [60_000; 9]),
        (Fault::status(404), [60_000; 9]),
        (Fault::status(501), [60_000; 9]),
    ];
    for (fault, expected) in cases {
        let model = model();
        let vexilla = builder(&model).full_refresh_interval(MINUTE * 1_000);
        let _vexilla = vexilla.build().await.unwrap();
        let (before, said) = (model.requests().len(), fault.clone());
        model.fault(move |_| Some(said.clone()));
        sleep(MINUTE * 12).await;
        let requests = model.requests().split_off(before);
        // Both requests of a check are one.
        let gaps: Vec<_> = gaps(&requests).into_iter().filter(|gap| *gap > 8).collect();
        for (gap, expected) in gaps.iter().zip(expected) {
            // Half to the whole while it grows, then 90 % to 110 %.
            let range = match expected {
                10_000 | 60_000 => expected * 9 / 10..=expected * 11 / 10 + 20,
                _ => expected * 2 / 3 - 1..=expected * 4 / 3 + 8,
            };
            assert!(range.contains(gap), "{fault:?}: {gaps:?}");
        }
        assert!(gaps.len() >= expected.len(), "{fault:?}: {gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_pause_gets_it() {
    // Capped, as anybody may say anything.
    for (seconds, least, most) in [
        (2, 2_000, 11_010),
        (45, 45_000, 54_010),
        (86_400, 60_000, 72_010),
    ] {
        let model = model();
        let vexilla = start(&model).await;
        let before = model.requests().len();
        model.fault(move |_| Some(Fault::Answer(Answer::status(503).retry_after(seconds))));
        sleep(MINUTE * 4).await;
        let requests = model.requests().split_off(before);
        // Both requests of a full refresh are one.
        let gaps = gaps(&requests).into_iter().filter(|gap| *gap > 8);
        let gaps: Vec<_> = gaps.collect();
        assert!(gaps.len() >= 3, "{gaps:?}");
        assert!(
            gaps.iter().all(|gap| (least..=most).contains(gap)),
            "{seconds}: {gaps:?}"
        );
        drop(vexilla);
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_keep_failing_are_reported_as_an_open_breaker() {
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
    until(|| failures(&vexilla) >= 12).await;
    model.fault(|_| Some(Fault::Delay(SECOND * 3)));
    until(|| vexilla.status().breaker == BreakerState::HalfOpen).await;
    sleep(SECOND).await;
    assert_eq!(vexilla.status().breaker, BreakerState::HalfOpen);
    // One request, or two if a full refresh is due.
    until(|| vexilla.status().breaker == BreakerState::Closed).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert_eq!(logged("the check failed; the loaded"), 1, "said once");
    assert_eq!(logged("the circuit breaker is open"), 1);
    assert_eq!(logged("the circuit breaker is closed again"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_slowly_is_found_after_an_outage() {
    // Within the source's own limit of 10 s, which is that of a probe, too.
    let model = model();
    let vexilla = start(&model).await;
    model.fault(|_| Some(Fault::Break));
    sleep(MINUTE * 2).await;
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    model.fault(|request| match request.route {
        Route::MaxId => Some(Fault::Delay(SECOND * 3)),
        Route::Export => Some(Fault::Delay(SECOND * 9 + SECOND / 2)),
    });
    sleep(SECOND * 24).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(!is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_names_what_limits_it() {
    let model = model();
    let vexilla = start(&model).await;
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    model.fault(|request| (request.route == Route::Export).then_some(Fault::Delay(SECOND * 12)));
    let error = vexilla.refresh().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Timeout);
    assert!(error.to_string().contains("within 10s"), "{error}");
    assert!(error.to_string().contains("timeouts"), "{error}");
}

/// A model that is given a minute and a half.
struct Patient(Model);

impl Source for Patient {
    fn name(&self) -> String {
        "a patient source".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.fetch().await
    }

    fn timeouts(&self) -> SourceTimeouts {
        SourceTimeouts::new().fetch(SECOND * 90)
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_a_source_beyond_a_minute_is_kept() {
    let model = model();
    model.fault(|_| Some(Fault::Delay(SECOND * 89)));
    let vexilla = Vexilla::builder(Patient(model.clone())).build().await;
    let vexilla = vexilla.unwrap();
    assert!(is_on(&vexilla));
    model.fault(|_| Some(Fault::Delay(SECOND * 91)));
    let error = vexilla.refresh().await.unwrap_err();
    assert!(error.to_string().contains("within 90s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_hang_shows_its_reason_within_five_seconds() {
    for full in [false, true] {
        let model = model();
        let vexilla = start(&model).await;
        let before = model.requests().len();
        model.fault(|_| Some(Fault::Hang));
        let refreshing = vexilla.clone();
        if full {
            tokio::spawn(async move { refreshing.refresh().await });
        }
        until(|| model.requests().len() > before).await;
        let first = Instant::now();
        let mut statuses = vexilla.watch_status();
        while statuses.next().await.unwrap().last_error.is_none() {}
        assert!(first.elapsed() <= SECOND * 5, "{:?}", first.elapsed());
        // A refresh goes on with the download.
        sleep(SECOND).await;
        let download = vexilla.status().download;
        assert_eq!(download.is_some(), full);
        if let Some(download) = download {
            assert_eq!(download.bytes, None, "a model reports none");
        }
        sleep(SECOND * 10).await;
        assert_eq!(vexilla.status().download, None);
    }
}

#[tokio::test(start_paused = true)]
async fn notifications_and_refreshes_keep_their_distance_whatever_the_answer() {
    let answers = [
        (Some(Fault::status(401)), 140, 140),
        (Some(Fault::status(404)), 140, 140),
        (Some(Fault::status(503)), 15, 140),
        (Some(Fault::Break), 15, 140),
        (Some(Fault::Answer(Answer::json("<html>"))), 15, 140),
        (None, 1_300, 2_500),
    ];
    for (fault, notified, refreshed) in answers {
        for (what, most) in [("notified", notified), ("refreshed", refreshed)] {
            let model = model();
            let vexilla = start(&model).await;
            let said = fault.clone();
            model.fault(move |_| said.clone());
            let (begin, before) = (Instant::now(), model.requests().len());
            while begin.elapsed() < MINUTE {
                match what {
                    "notified" => {
                        vexilla.hint();
                        sleep(SECOND / 1_000).await;
                    }
                    _ => {
                        let outcome = vexilla.refresh().await;
                        assert_eq!(outcome.is_err(), fault.is_some());
                    }
                }
            }
            let requests = model.requests().len() - before;
            println!("{fault:?}, {what} all the time: {requests} requests a minute");
            assert!(requests <= most, "{fault:?}, {what}: {requests}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_never_gets_the_outcome_of_a_fetch_from_before_it() {
    let model = model();
    let vexilla = start(&model).await;
    for round in 0..5 {
        // The first caller's download is under way, and takes its time…
        model.fault(|request| (request.route == Route::Export).then_some(Fault::Delay(SECOND)));
        let before = model.count(Route::Export);
        let first = vexilla.clone();
        let first = tokio::spawn(async move { first.refresh().await });
        until(|| model.count(Route::Export) > before).await;
        // …with what it said then. Now somebody edits a flag, and refreshes.
        let old = model.answer(Route::Export, 0);
        let mut once = Some(Fault::Answer(old));
        model.fault(move |_| once.take());
        model.heal();
        model.change(|database| database.edit(1, |flag| flag.enabled = !flag.enabled));
        let version = model.database().max_id();
        vexilla.refresh().await.unwrap();
        assert_eq!(vexilla.snapshot().version(), version, "round {round}");
        assert!(model.count(Route::Export) >= before + 2, "round {round}");
        first.await.unwrap().unwrap();
    }
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
    model.fault(|_| Some(Fault::Hang));
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    sleep(SECOND * 45).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(is_on(&vexilla));
    model.heal();
    sleep(SECOND * 12).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(!is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn failures_that_alternate_with_successes_are_logged_once_a_minute() {
    log();
    let model = model();
    let vexilla = builder(&model).poll_interval(SECOND).build().await.unwrap();
    let mut turn = 0;
    model.fault(move |_| {
        turn += 1;
        (turn % 2 == 0).then(|| Fault::status(502))
    });
    sleep(MINUTE * 10).await;
    assert!(vexilla.status().counts.failures > 100);
    let warned = logged("the check failed; the loaded");
    assert!((9..=11).contains(&warned), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn failures_of_two_kinds_in_turn_are_each_logged_once_a_minute() {
    log();
    let model = model();
    let vexilla = builder(&model).poll_interval(SECOND).build().await.unwrap();
    let mut turn = 0;
    model.fault(move |_| {
        turn += 1;
        Some(match turn % 2 {
            0 => Fault::status(503),
            _ => Fault::Break,
        })
    });
    sleep(MINUTE * 10).await;
    assert!(vexilla.status().counts.failures > 300);
    let warned = logged("the check failed; the loaded");
    assert!((18..=22).contains(&warned), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_blocks_the_second_reading_of_the_id_fails_no_check() {
    let model = model();
    let vexilla = start(&model).await;
    sleep(MINUTE).await;
    let mut read = 0;
    model.fault(move |request| {
        read += u32::from(request.route == Route::MaxId);
        (request.route == Route::MaxId && read % 2 == 0).then(|| Fault::status(404))
    });
    // An export that lags behind is a reason to read the ID again.
    model.change(|database| {
        let id = database.create(vexilla_core::flag::Flag::boolean("short", true));
        database.delete(id);
    });
    sleep(MINUTE * 2).await;
    assert_eq!(vexilla.status().counts.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_nobody_waits_to_accept_any_more_is_not_accepted() {
    let model = model();
    model.change(|database| {
        for number in 1..10 {
            database.create(vexilla_core::flag::Flag::boolean(
                format!("flag-{number}"),
                true,
            ));
        }
    });
    let vexilla = start(&model).await;
    let empty = Fault::Answer(Answer::json(r#"{"Flags":[]}"#));
    model.fault(move |request| (request.route == Route::Export).then(|| empty.clone()));
    let kept = vexilla.clone();
    let accept = tokio::spawn(async move { kept.accept_loss().await });
    // It has asked, and the loop has not begun to answer.
    tokio::task::yield_now().await;
    accept.abort();
    assert!(accept.await.unwrap_err().is_cancelled());
    sleep(SECOND * 30).await;
    assert_eq!(vexilla.snapshot().len(), 10);
    assert!(vexilla.accept_loss().await.unwrap());
    assert_eq!(vexilla.snapshot().len(), 0);
}

/// Hand-written flags with an ID of their latest change.
#[derive(Clone, Default)]
struct HandWritten {
    id: Arc<AtomicU64>,
    ids_read: Arc<AtomicU64>,
    fetches: Arc<AtomicU64>,
}

impl Source for HandWritten {
    fn name(&self) -> String {
        "hand-written".to_owned()
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        self.ids_read.fetch_add(1, Ordering::Relaxed);
        Ok(Some(self.id.load(Ordering::Relaxed)))
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let key = format!("flag-{}", self.id.load(Ordering::Relaxed));
        Ok(FlagSet::from([Flag::boolean(&key, true)]))
    }
}

#[tokio::test(start_paused = true)]
async fn flags_that_are_no_export_are_fetched_when_their_id_changes() {
    let source = HandWritten::default();
    source.id.store(7, Ordering::Relaxed);
    let read = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
    let builder = Vexilla::builder(source.clone()).full_refresh_interval(MINUTE * 600);
    let vexilla = builder.build().await.unwrap();
    assert_eq!((read(&source.ids_read), read(&source.fetches)), (1, 1));
    sleep(SECOND * 120).await;
    assert_eq!(read(&source.fetches), 0, "nothing changed");
    assert!((10..15).contains(&read(&source.ids_read)), "once a poll");
    // Up or down: another ID is another set.
    for id in [8, 3] {
        source.id.store(id, Ordering::Relaxed);
        sleep(SECOND * 120).await;
        assert_eq!(read(&source.fetches), 1, "ID {id}");
        assert!(vexilla.snapshot().flag(&format!("flag-{id}")).is_some());
        assert_eq!(vexilla.status().level, Level::Live);
    }
}
