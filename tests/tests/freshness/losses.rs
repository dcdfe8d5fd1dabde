//! Answers that lack flags, are late or are older, and what is served meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::{Level, Vexilla};
use vexilla_tests::model::{Answer, Database, Fault, Model, Policy, Replica, Request, Route};

use super::log::{log, logged};
use super::{SECOND, SETTLED, builder, current, propagation, start, toggle, until, with_flags};

fn fifty() -> Model {
    with_flags(Model::new(7), 50)
}

/// What a healthy server answers, without all flags but these.
fn part(model: &Model, request: &Request, keep: impl Fn(u64) -> bool) -> Option<Fault> {
    if request.route != Route::Export {
        return None;
    }
    let answer = model.answer(Route::Export, request.replica);
    let mut document: Value = serde_json::from_slice(&answer.body).unwrap();
    let flags = document["Flags"].as_array_mut().unwrap();
    flags.retain(|flag| keep(flag["ID"].as_u64().unwrap()));
    Some(Fault::Answer(Answer::json(document.to_string())))
}

/// From now on exports have these flags only.
fn cut(model: &Model, keep: impl Fn(u64) -> bool + Send + Sync + 'static) {
    let whole = model.clone();
    model.fault(move |request| part(&whole, request, &keep));
}

fn reason(vexilla: &Vexilla) -> String {
    vexilla.status().last_error.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_partial_export_takes_no_flag_away_and_is_over_when_it_is_over() {
    for first in [2, 3, 25, 49] {
        log();
        let model = fifty();
        let vexilla = start(&model).await;
        cut(&model, move |id| id <= first);
        model.change(|database| database.edit(2, toggle));
        for _ in 0..40 {
            sleep(SECOND / 10).await;
            assert_eq!(vexilla.snapshot().len(), 50, "first {first}");
        }
        assert_eq!(vexilla.status().level, Level::Stale, "first {first}");
        assert!(reason(&vexilla).contains("of 50 flags "));
        model.heal();
        sleep(Duration::from_millis(1_200)).await;
        assert!(current(&vexilla, &model), "first {first}: at the next poll");
        assert_eq!(vexilla.status().level, Level::Live, "first {first}");
        assert_eq!((reason(&vexilla).as_str(), logged("ERROR")), ("", 1));
    }
}

#[tokio::test(start_paused = true)]
async fn parts_that_differ_each_time_are_logged_once() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    let whole = model.clone();
    let mut count = 0;
    model.fault(move |request| {
        count += 1;
        part(&whole, request, |id| id % 5 != count % 5)
    });
    model.change(|database| database.edit(2, toggle));
    sleep(SECOND * 300).await;
    assert_eq!(vexilla.snapshot().len(), 50);
    assert_eq!(vexilla.status().level, Level::Stale);
    assert_eq!(logged("ERROR"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_database_is_believed_after_a_minute() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    model.change(Database::empty);
    until(|| vexilla.status().counts.suspicious_answers > 0).await;
    let begin = Instant::now();
    assert_eq!(vexilla.snapshot().len(), 50);
    assert_eq!(vexilla.status().level, Level::Stale);
    sleep(SECOND * 55).await;
    assert_eq!(vexilla.snapshot().len(), 50);
    until(|| vexilla.snapshot().is_empty()).await;
    assert!(begin.elapsed() < SECOND * 63, "{:?}", begin.elapsed());
    assert_eq!((logged("ERROR"), logged("loading fewer flags")), (2, 1));
    model.change(|database| database.create(Flag::boolean("new", true)));
    let took = propagation(&vexilla, &model).await;
    assert!(took <= Duration::from_millis(1_350), "{took:?}");
    sleep(SECOND).await;
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn the_time_to_confirm_a_loss_can_be_set() {
    let model = fifty();
    sleep(SECOND * 3).await;
    let builder = builder(&model).loss_confirmation(SECOND * 5);
    let vexilla = builder.build().await.unwrap();
    sleep(SETTLED).await;
    model.change(Database::empty);
    until(|| vexilla.status().counts.suspicious_answers > 0).await;
    sleep(Duration::from_millis(6_500)).await;
    assert!(vexilla.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn real_deletions_arrive_within_two_polls_however_many_and_in_how_many_steps() {
    for (count, pause) in [(1, 0), (5, 100), (48, 42), (48, 0)] {
        log();
        let model = Model::with_replicas(
            count,
            vec![Replica::phase(SECOND), Replica::phase(SECOND * 2)],
        );
        let model = with_flags(model, 49);
        let vexilla = start(&model).await;
        let watched = vexilla.clone();
        let mut statuses = vexilla.watch_status();
        let levels = tokio::spawn(async move {
            while let Some(status) = statuses.next().await {
                assert_eq!(status.level, Level::Live, "{:?}", status.last_error);
                assert_eq!(watched.status().last_error, None);
            }
        });
        for id in 1..=count {
            model.change(|database| database.delete(id));
            sleep(Duration::from_millis(pause)).await;
        }
        let took = propagation(&vexilla, &model).await;
        assert!(took <= SECOND * 2, "{count} deletions: {took:?}");
        sleep(SETTLED * 3).await;
        assert!(current(&vexilla, &model));
        assert!(!levels.is_finished(), "always live");
        assert_eq!(logged("ERROR"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_accepts_a_loss_at_once() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    cut(&model, |id| id % 5 == 0);
    assert!(!vexilla.refresh().await.unwrap());
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(
        !vexilla.refresh().await.unwrap(),
        "a refresh accepts nothing"
    );
    assert!(vexilla.accept_loss().await.unwrap());
    let status = vexilla.status();
    assert_eq!((status.flags, status.level), (10, Level::Live));
    assert_eq!(status.last_error, None);
    assert_eq!(logged("an operator accepted the loss"), 1);
    // The flags are back as soon as they are exported again.
    sleep(SECOND * 200).await;
    model.heal();
    sleep(Duration::from_millis(1_200)).await;
    assert!(current(&vexilla, &model));
    assert_eq!(logged("ERROR"), 2, "that is no error");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_suspicious_loss_does_not_make_flags_unusable() {
    let model = fifty();
    sleep(SECOND * 3).await;
    let builder = builder(&model).max_stale(SECOND * 10);
    let vexilla = builder.build().await.unwrap();
    sleep(SETTLED).await;
    model.change(Database::empty);
    until(|| vexilla.status().counts.suspicious_answers > 0).await;
    for _ in 0..50 {
        sleep(SECOND).await;
        assert_eq!(vexilla.status().level, Level::Stale);
        assert_eq!(vexilla.snapshot().len(), 50);
    }
    // When the source is gone, it counts.
    model.fault(|_| Some(Fault::Break));
    sleep(SECOND * 13).await;
    assert_eq!(vexilla.status().level, Level::Defaults);
}

#[tokio::test(start_paused = true)]
async fn a_short_max_stale_does_not_make_flags_unusable_either() {
    let model = fifty();
    sleep(SECOND * 3).await;
    let builder = Vexilla::builder(model.clone()).max_stale(SECOND * 5);
    let vexilla = builder.build().await.unwrap();
    sleep(SETTLED).await;
    model.change(Database::empty);
    until(|| vexilla.status().counts.suspicious_answers > 0).await;
    for _ in 0..45 {
        sleep(SECOND).await;
        assert_eq!(vexilla.status().level, Level::Stale);
        assert_eq!(vexilla.snapshot().len(), 50);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_flags_are_missing_confirms_nothing() {
    let model = fifty();
    let vexilla = start(&model).await;
    cut(&model, |_| false);
    vexilla.refresh().await.unwrap();
    for _ in 0..5 {
        sleep(SECOND * 5).await;
        model.fault(|_| Some(Fault::Break));
        sleep(SECOND * 300).await;
        cut(&model, |_| false);
    }
    sleep(SECOND * 10).await;
    assert_eq!(vexilla.snapshot().len(), 50);
    model.heal();
    sleep(SECOND * 2).await;
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn an_export_that_does_not_catch_up_makes_flags_stale_and_is_fetched_less() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    let old = model.answer(Route::Export, 0);
    model
        .fault(move |request| (request.route == Route::Export).then(|| Fault::Answer(old.clone())));
    model.change(|database| database.edit(1, toggle));
    sleep(SECOND * 11).await;
    assert_eq!(vexilla.status().level, Level::Live);
    sleep(SECOND * 3).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    let error = reason(&vexilla);
    assert!(
        error.contains("is 51") && error.contains("is 50"),
        "{error}"
    );
    let before = model.count(Route::Export);
    sleep(SECOND * 60).await;
    let fetches = model.count(Route::Export) - before;
    assert!(fetches <= 13, "{fetches}");
    assert_eq!(vexilla.status().level, Level::Stale);
    assert_eq!(logged("the source may answer with outdated flags"), 1);
    model.heal();
    sleep(Duration::from_millis(6_500)).await;
    assert!(current(&vexilla, &model));
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_change_is_never_seen_is_accepted_after_a_full_refresh_interval() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    model.change(|database| {
        let id = database.create(Flag::boolean("short", true));
        database.delete(id);
    });
    sleep(SECOND * 200).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    sleep(SECOND * 120).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert_eq!((logged("assuming a flag"), logged("ERROR")), (1, 0));
    let before = model.count(Route::Export);
    sleep(SETTLED).await;
    assert!(model.count(Route::Export) - before <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_replica_takes_no_kill_switch_back_and_is_reported() {
    log();
    let model = Model::with_replicas(3, vec![Replica::phase(SECOND), Replica::phase(SECOND * 2)]);
    let model = with_flags(model, 50);
    let vexilla = start(&model).await;
    // One replica stops renewing its cache.
    let stuck = model.answer(Route::Export, 1);
    model.fault(move |request| {
        let old = request.route == Route::Export && request.replica == 1;
        old.then(|| Fault::Answer(stuck.clone()))
    });
    model.change(|database| database.edit(7, toggle));
    propagation(&vexilla, &model).await;
    sleep(SECOND).await;
    // Then all requests go to it.
    model.choose(Policy::Pinned(1));
    sleep(SECOND * 3_600).await;
    assert!(current(&vexilla, &model), "the kill switch stays");
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(reason(&vexilla).contains("older"), "{}", reason(&vexilla));
    assert_eq!(
        (
            logged("the source may answer with outdated flags"),
            logged("ERROR")
        ),
        (1, 0)
    );
    assert!(vexilla.accept_loss().await.unwrap(), "an operator may");
    assert!(!current(&vexilla, &model));
    model.heal();
    sleep(SECOND * 20).await;
    assert!(current(&vexilla, &model));
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_without_flags_is_believed() {
    let model = Model::new(3);
    let vexilla = builder(&model).build().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(
        vexilla
            .snapshot()
            .same_flags(&vexilla_core::snapshot::Snapshot::new(FlagSet::default()))
    );
}

#[tokio::test(start_paused = true)]
async fn an_export_that_is_late_does_not_make_flags_too_old() {
    let model = fifty();
    sleep(SECOND * 3).await;
    let builder = builder(&model).max_stale(SECOND * 20);
    let vexilla = builder.build().await.unwrap();
    // Each second ID is that of a deletion: no export ever shows it.
    for _ in 0..20 {
        model.change(|database| {
            let id = database.create(Flag::boolean("short", true));
            database.delete(id);
        });
        sleep(SECOND * 30).await;
        assert_eq!(vexilla.status().level, Level::Stale);
        assert_eq!(vexilla.snapshot().len(), 50);
    }
    model.fault(|_| Some(Fault::Break));
    sleep(SECOND * 25).await;
    assert_eq!(vexilla.status().level, Level::Defaults, "an outage does");
}

#[tokio::test(start_paused = true)]
async fn each_loss_is_logged_with_the_keys_of_flags_that_are_missing() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    for (number, missing) in [(1, 7), (2, 9)] {
        cut(&model, move |id| id != missing);
        assert!(!vexilla.refresh().await.unwrap());
        let keys = format!("; among them flag-{missing}");
        assert!(reason(&vexilla).ends_with(&keys), "{}", reason(&vexilla));
        // The loss, and that flags are stale.
        assert_eq!((logged("ERROR"), logged(&keys)), (number, 2));
        model.heal();
        sleep(SECOND * 61).await;
        assert_eq!(reason(&vexilla), "");
    }
    cut(&model, |id| id > 20);
    assert!(!vexilla.refresh().await.unwrap());
    let named = reason(&vexilla).matches("flag-").count();
    assert_eq!(named, 8, "{}", reason(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_comes_and_goes_is_logged_once_a_minute() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    let before = (logged("are stale"), logged("are live"));
    // More often, and answers count as disagreeing.
    for missing in 1..=7 {
        cut(&model, move |id| id != missing);
        assert!(!vexilla.refresh().await.unwrap());
        assert_eq!(vexilla.status().level, Level::Stale);
        model.heal();
        vexilla.refresh().await.unwrap();
        sleep(SECOND * 2).await;
        assert_eq!(vexilla.status().level, Level::Live, "{missing}");
    }
    assert_eq!(logged("ERROR"), 1);
    assert_eq!(logged("answers as expected again"), 1);
    assert_eq!(logged("are stale") - before.0, 1);
    assert_eq!(logged("are live") - before.1, 1);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_disagree_on_flags_are_reported_once() {
    log();
    let model = Model::with_replicas(3, vec![Replica::phase(SECOND), Replica::phase(SECOND * 2)]);
    let model = with_flags(model, 50);
    let vexilla = start(&model).await;
    // One of them is that of an empty database, the other one is as ever.
    let whole = model.clone();
    model.fault(move |request| match (request.replica, request.route) {
        (1, Route::Export) => part(&whole, request, |_| false),
        (1, Route::MaxId) => Some(Fault::Answer(Answer::json(r#"{"maxID":0}"#))),
        _ => None,
    });
    model.change(|database| database.edit(2, toggle));
    sleep(SECOND * 120).await;
    let before = (logged("WARN"), logged("ERROR"));
    for _ in 0..600 {
        sleep(SECOND).await;
        assert_eq!(vexilla.snapshot().len(), 50);
        assert_eq!(vexilla.status().level, Level::Stale);
    }
    assert!(
        reason(&vexilla).contains("disagree"),
        "{}",
        reason(&vexilla)
    );
    assert_eq!((logged("WARN"), logged("ERROR")), before);
    model.heal();
    sleep(SECOND * 65).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(current(&vexilla, &model));
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_confirmed_although_every_other_server_is_gone() {
    let model = Model::with_replicas(3, vec![Replica::phase(SECOND), Replica::phase(SECOND * 2)]);
    let model = with_flags(model, 50);
    let vexilla = start(&model).await;
    let whole = model.clone();
    let mut turn = 0;
    model.fault(move |request| {
        turn += 1;
        match turn % 2 {
            0 => Some(Fault::status(502)),
            _ => part(&whole, request, |id| id > 11),
        }
    });
    sleep(SECOND * 900).await;
    assert_eq!(vexilla.snapshot().len(), 39);
}

#[tokio::test(start_paused = true)]
async fn checks_that_fail_now_and_then_do_not_make_doubtful_flags_too_old() {
    let model = fifty();
    sleep(SECOND * 3).await;
    let builder = builder(&model).max_stale(SECOND * 20);
    let vexilla = builder.build().await.unwrap();
    let whole = model.clone();
    let mut turn = 0;
    model.fault(move |request| {
        turn += 1;
        match turn % 4 {
            0 => Some(Fault::Break),
            // Another flag each time, so that nothing is confirmed.
            _ => part(&whole, request, |id| id % 5 != turn / 4 % 5),
        }
    });
    model.change(|database| database.edit(2, toggle));
    for _ in 0..600 {
        sleep(SECOND).await;
        assert_ne!(vexilla.status().level, Level::Defaults);
        assert_eq!(vexilla.snapshot().len(), 50);
    }
}

#[tokio::test(start_paused = true)]
async fn of_three_replicas_in_turn_one_cannot_confirm_a_loss() {
    let replicas = (1..=3)
        .map(|phase| Replica::phase(SECOND * phase / 2))
        .collect();
    let model = with_flags(Model::with_replicas(3, replicas), 50);
    model.choose(Policy::RoundRobin);
    let vexilla = start(&model).await;
    let whole = model.clone();
    model.fault(move |request| match request.replica {
        1 => part(&whole, request, |id| id > 5),
        _ => None,
    });
    for edit in 0..60 {
        model.change(|database| database.edit(7 + edit % 20, toggle));
        for _ in 0..60 {
            sleep(SECOND).await;
            assert_eq!(vexilla.snapshot().len(), 50);
        }
    }
    model.heal();
    sleep(SECOND * 70).await;
    assert!(current(&vexilla, &model));
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_loaded_while_answers_disagree_does_not_end_the_doubt() {
    log();
    let model = fifty();
    let vexilla = start(&model).await;
    // Each second answer lacks a flag.
    let whole = model.clone();
    let mut count = 0;
    model.fault(move |request| {
        count += u64::from(request.route == Route::Export);
        part(&whole, request, |id| id != 7 || count % 2 == 0)
    });
    for _ in 0..20 {
        model.change(|database| database.edit(2, toggle));
        sleep(SECOND * 2).await;
    }
    assert!(reason(&vexilla).contains("disagree on whether 1 flag exists"));
    let logged_before = logged("as expected again");
    let mut statuses = vexilla.watch_status();
    let levels = tokio::spawn(async move {
        while let Some(status) = statuses.next().await {
            assert_eq!(status.level, Level::Stale, "{:?}", status.last_error);
        }
    });
    for _ in 0..10 {
        model.change(|database| database.edit(2, toggle));
        until(|| current(&vexilla, &model)).await;
        sleep(SECOND * 3).await;
    }
    assert!(!levels.is_finished(), "stale throughout");
    levels.abort();
    assert_eq!(logged("as expected again"), logged_before);
    model.heal();
    sleep(SECOND * 70).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert_eq!(logged("as expected again"), logged_before + 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_accepts_a_late_export() {
    let model = fifty();
    let vexilla = start(&model).await;
    model.change(|database| {
        let id = database.create(Flag::boolean("short", true));
        database.delete(id);
    });
    sleep(SECOND * 20).await;
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(!vexilla.accept_loss().await.unwrap());
    assert_eq!(vexilla.status().level, Level::Live);
    model.change(|database| database.edit(2, toggle));
    let took = propagation(&vexilla, &model).await;
    assert!(took <= Duration::from_millis(1_350), "{took:?}");
}
