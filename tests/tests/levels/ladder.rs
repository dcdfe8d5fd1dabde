//! The levels, what is served at each, and who hears of it.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;
use tokio::time::{Instant, advance, sleep, timeout};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::MemorySource;
use vexilla_core::{Context, Level, Vexilla, VexillaBuilder};
use vexilla_tests::model::{Answer, Fault, Model, Route};

use super::log::{log, logged};
use super::{MINUTE, SECOND, builder, is_on, model, start, until, until_level};

#[tokio::test(start_paused = true)]
async fn flags_are_live_for_three_poll_intervals_after_the_last_success() {
    log();
    let model = model();
    let vexilla = start(&model).await;
    sleep(MINUTE).await;
    let mut statuses = vexilla.watch_status();
    model.fault(|_| Some(Fault::status(500)));
    let last = last_success(&model);
    until_level(&mut statuses, Level::Stale).await;
    let took = Instant::now().into_std() - last;
    let least = Duration::from_secs(30);
    assert!((least..least + SECOND / 100).contains(&took), "{took:?}");
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.evaluate("new").is_stale() && vexilla.is_stale());
    assert!(is_on(&vexilla), "what is known is served");
    assert_eq!(logged("flags are stale"), 1);
    sleep(MINUTE * 10).await;
    let status = vexilla.status();
    assert!(status.consecutive_failures > 3, "{status:?}");
    assert!(status.last_error.unwrap().contains("500"));
    assert!(status.age.unwrap() > MINUTE * 10);
    assert_eq!((status.flags, status.problems, status.version), (1, 0, 1));
    assert_eq!(status.source, "a modelled Flagr");
    assert_eq!(logged("flags are stale"), 1, "said once");

    model.heal();
    until_level(&mut statuses, Level::Live).await;
    assert!(!vexilla.is_stale());
    assert!(!vexilla.flags(Context::new("u")).evaluate("new").is_stale());
    let status = vexilla.status();
    assert_eq!((status.consecutive_failures, status.last_error), (0, None));
    assert_eq!(logged("flags are live"), 2, "at the start, and again");
    assert!(status.since <= SystemTime::now());
}

/// When the last request came that was answered as it should be.
fn last_success(model: &Model) -> std::time::Instant {
    model.requests().last().unwrap().at
}

#[tokio::test(start_paused = true)]
async fn flags_that_are_too_old_give_way_to_defaults_and_come_back() {
    log();
    let model = model();
    let vexilla = builder(&model)
        .max_stale(MINUTE * 2)
        .embedded([Flag::boolean("new", false), Flag::boolean("known", true)])
        .emergency_default("urgent", true)
        .build()
        .await
        .unwrap();
    let mut changes = vexilla.changes();
    sleep(MINUTE).await;
    model.fault(|_| Some(Fault::Break));
    let last = last_success(&model);
    sleep(MINUTE * 2 - (Instant::now().into_std() - last)).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(is_on(&vexilla));
    sleep(SECOND / 100).await;
    assert_eq!(vexilla.status().level, Level::Defaults);
    let flags = vexilla.flags(Context::new("u"));
    assert!(!flags.bool("new") && flags.bool("known") && flags.bool("urgent"));
    assert!(flags.evaluate("known").is_stale() && flags.evaluate("urgent").is_stale());
    assert_eq!(logged("no usable flags are loaded"), 1);
    let change = changes.next().await.unwrap();
    assert_eq!(change.added, BTreeSet::from(["known".to_owned()]));
    assert_eq!(change.changed, BTreeSet::from(["new".to_owned()]));

    model.heal();
    sleep(MINUTE).await;
    assert_eq!(vexilla.status().level, Level::Live);
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.bool("new") && !flags.bool("known") && !flags.bool("urgent"));
    assert_eq!(changes.next().await.unwrap().removed.len(), 1);
    assert_eq!(logged("flags are live"), 2);
}

/// A clock that starts anew, and stands still but for [`advance`].
fn paused() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Some time passes in which nothing runs, as if the process was suspended.
async fn suspend(time: Duration) {
    let mut advance = pin!(advance(time));
    // The first poll moves the clock, the next ones let others run.
    poll_fn(|task| Poll::Ready(advance.as_mut().poll(task).is_ready())).await;
}

/// Flags that give way to embedded ones, by which `new` is off.
fn limited(model: &Model) -> VexillaBuilder {
    let embedded = [Flag::boolean("new", false)];
    builder(model).max_stale(MINUTE * 2).embedded(embedded)
}

#[test]
fn without_its_runtime_the_clock_goes_on() {
    log();
    let first = paused();
    let vexilla = first.block_on(async { limited(&model()).build().await.unwrap() });
    assert_eq!(logged("ended without a shutdown"), 0);
    drop(first);
    assert_eq!(logged("ended without a shutdown"), 1);
    paused().block_on(async {
        suspend(SECOND * 29).await;
        assert!(!vexilla.is_stale());
        suspend(SECOND * 2).await;
        let flags = vexilla.flags(Context::new("u"));
        assert!(flags.evaluate("new").is_stale() && flags.bool("new"));
        assert_eq!(logged("flags are stale"), 1);
        assert!(
            vexilla.is_stale()
                && vexilla
                    .pin()
                    .flags(Context::new("u"))
                    .evaluate("?")
                    .is_stale()
        );
        let status = vexilla.status();
        assert_eq!(status.level, Level::Stale);
        assert!(status.last_error.unwrap().contains("without a shutdown"));

        suspend(MINUTE * 10).await;
        assert!(is_on(&vexilla), "a loop would be about to check");
        suspend(SECOND).await;
        assert!(is_on(&vexilla));
        suspend(SECOND / 100).await;
        assert!(!is_on(&vexilla), "there is none");
        assert_eq!(vexilla.status().level, Level::Defaults);
        assert_eq!(logged("no usable flags are loaded"), 1);
        assert!(vexilla.is_stale());
    });
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_the_clock_goes_on() {
    log();
    let vexilla = limited(&model()).build().await.unwrap();
    let mut statuses = vexilla.watch_status();
    assert!(vexilla.shutdown(SECOND).await.ended);
    let end = timeout(SECOND, statuses.next()).await;
    assert_eq!(end, Ok(None), "a watch ends");
    assert_eq!(vexilla.status().last_error, None);
    suspend(SECOND * 31).await;
    assert!(vexilla.is_stale() && is_on(&vexilla));
    let error = vexilla.status().last_error.unwrap();
    assert!(error.contains("refreshing was shut down"), "{error}");
    suspend(SECOND * 90).await;
    assert!(is_on(&vexilla));
    suspend(SECOND * 2).await;
    assert!(!is_on(&vexilla));
    drop(vexilla);
    drop(start(&model()).await);
    sleep(SECOND).await;
    assert_eq!(logged("ended without a shutdown"), 0, "both were asked for");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_serves_its_flags_until_it_has_checked() {
    let model = model();
    let vexilla = limited(&model).build().await.unwrap();
    sleep(SECOND).await;
    for gap in [SECOND * 40, MINUTE * 3, MINUTE * 600] {
        let mut statuses = vexilla.watch_status();
        suspend(gap).await;
        assert!(vexilla.is_stale(), "at once");
        assert!(is_on(&vexilla), "{gap:?}");
        let status = statuses.next().await.unwrap();
        assert_eq!(status.level, Level::Stale);
        let status = statuses.next().await.unwrap();
        assert_eq!(status.level, Level::Live, "without defaults in between");
        assert!(!vexilla.is_stale());
    }

    // Nobody reads meanwhile; a check that failed before says nothing.
    model.fault(|_| Some(Fault::status(500)));
    while vexilla.status().consecutive_failures == 0 {
        sleep(SECOND / 100).await;
    }
    model.heal();
    let mut statuses = vexilla.watch_status();
    suspend(MINUTE * 3).await;
    until_level(&mut statuses, Level::Live).await;
    assert!(is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_serves_defaults_a_second_later_if_checks_fail() {
    let model = model();
    let vexilla = limited(&model).build().await.unwrap();
    sleep(SECOND).await;
    model.fault(|_| Some(Fault::Break));
    suspend(MINUTE * 3).await;
    assert!(is_on(&vexilla));
    sleep(SECOND * 9 / 10).await;
    assert!(is_on(&vexilla));
    sleep(SECOND / 5).await;
    assert!(!is_on(&vexilla));
    assert_eq!(vexilla.status().level, Level::Defaults);
}

#[tokio::test(start_paused = true)]
async fn each_way_of_changing_is_told_to_those_who_listen() {
    let keys = |keys: &[&str]| {
        keys.iter()
            .map(|key| (*key).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let source = MemorySource::new([Flag::boolean("a", true), Flag::boolean("b", true)]);
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    let mut changes = vexilla.changes();
    source
        .update(|set| *set = FlagSet::from([Flag::boolean("a", false), Flag::boolean("c", true)]));
    let change = changes.next().await.unwrap();
    assert_eq!(change.added, keys(&["c"]));
    assert_eq!(change.changed, keys(&["a"]));
    assert_eq!(change.removed, keys(&["b"]));
    vexilla.replace([Flag::boolean("c", true)]);
    assert_eq!(changes.next().await.unwrap().removed, keys(&["a"]));
    // The source's flags come back with its next answer, as they are.
    vexilla.refresh().await.unwrap();
    assert_eq!(changes.next().await.unwrap().added, keys(&["a"]));

    let model = model();
    let vexilla = start(&model).await;
    let mut changes = vexilla.changes();
    let edit = |enabled| model.change(|database| database.edit(1, |flag| flag.enabled = enabled));
    // A slow listener sees the latest, and one change.
    for enabled in [false, true, false] {
        edit(enabled);
        vexilla.refresh().await.unwrap();
    }
    assert_eq!(changes.next().await.unwrap().version, 4);
    assert!(timeout(MINUTE, changes.next()).await.is_err(), "no other");
    // Back to what it was: nothing is different.
    let mut statuses = vexilla.watch_status();
    drop(vexilla);
    assert_eq!(changes.next().await, None);
    assert!(statuses.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_does_not_revive_flags_that_are_too_old() {
    let model = model();
    let vexilla = builder(&model).max_stale(MINUTE).build().await.unwrap();
    let old = model.answer(Route::Export, 0);
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    until(|| !is_on(&vexilla)).await;
    sleep(MINUTE).await;
    model.fault(|_| Some(Fault::Break));
    sleep(MINUTE * 2).await;
    assert_eq!(vexilla.status().level, Level::Defaults);
    // A stuck replica, and a change that it does not have.
    model.change(|database| database.edit(1, |flag| flag.enabled = true));
    model.fault(move |request| match request.route {
        Route::Export => Some(Fault::Answer(old.clone())),
        Route::MaxId => None,
    });
    for _ in 0..120 {
        sleep(SECOND).await;
        assert_eq!(vexilla.status().level, Level::Defaults);
    }
    model.heal();
    sleep(MINUTE).await;
    assert_eq!(vexilla.status().level, Level::Live);
}

/// From now on exports have no flags, and no ID explains that.
fn empty(model: &Model) {
    model.fault(|request| match request.route {
        Route::Export => Some(Fault::Answer(Answer::json(r#"{"Flags":[]}"#))),
        Route::MaxId => None,
    });
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_serves_its_flags_on_if_answers_are_doubtful() {
    let model = model();
    let vexilla = limited(&model).build().await.unwrap();
    sleep(SECOND).await;
    empty(&model);
    for _ in 0..3 {
        let refreshed = vexilla.refresh().await.unwrap();
        assert!(!refreshed && is_on(&vexilla));
        suspend(MINUTE * 3).await;
        assert!(is_on(&vexilla));
        // It answers within the second that they are served on.
        vexilla.refresh().await.unwrap();
        sleep(SECOND * 5).await;
        assert!(is_on(&vexilla), "{:?}", vexilla.status().last_error);
        assert_eq!(vexilla.status().level, Level::Stale);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_copy_is_served_for_so_long_after_a_doubtful_answer() {
    let model = model();
    let copy = super::copies::copy_of(&model).await;
    super::copies::saved_earlier(&copy, SECOND * 110);
    empty(&model);
    let builder = limited(&model).last_known_good(copy);
    let vexilla = builder.build().await.unwrap();
    vexilla.refresh().await.unwrap();
    sleep(SECOND * 30).await;
    assert_eq!(vexilla.status().level, Level::Restored);
    // The source is gone: its last answer was a moment ago.
    vexilla.refresh().await.unwrap();
    model.fault(|_| Some(Fault::Break));
    sleep(SECOND * 115).await;
    assert_eq!(vexilla.status().level, Level::Restored);
    assert!(is_on(&vexilla));
    sleep(SECOND * 10).await;
    assert_eq!(vexilla.status().level, Level::Defaults);
    assert!(!is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn a_source_in_code_that_loses_all_its_flags_is_logged_once() {
    log();
    let source = MemorySource::new([Flag::boolean("new", true)]);
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    assert_eq!(logged("the source has no flags"), 0);
    source.update(|set| set.flags.clear());
    until(|| vexilla.status().flags == 0).await;
    sleep(MINUTE * 10).await;
    assert_eq!(logged("the source has no flags"), 1);
    assert!(!is_on(&vexilla));
}
