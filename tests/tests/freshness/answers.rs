//! Which answers are taken for news.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vexilla_core::Level;
use vexilla_core::flag::{Flag, Segment};
use vexilla_tests::model::{Answer, Backup, Fault, Model, Random, Replica, Route};

use super::histories::{change, observe, replicas};
use super::log::{log, logged};
use super::{
    SECOND, SETTLED, builder, current, number, propagation, seed, start, three, toggle, with_flags,
};

#[tokio::test(start_paused = true)]
async fn a_change_that_is_announced_before_it_is_exported_is_waited_for() {
    // Every distance between a change and the renewal of the cache.
    for lag in 0..30_u64 {
        let model = three();
        let vexilla = start(&model).await;
        sleep(Duration::from_millis(3_000 - lag * 100)).await;
        model.change(|database| database.edit(2, toggle));
        let exported = model.carried();
        sleep(Duration::from_millis(2_100)).await;
        let since = Instant::from_std(exported).elapsed();
        // At the next poll at the latest, which comes after 1.1 s.
        assert!(current(&vexilla, &model) || since < Duration::from_millis(1_350));
        sleep(SECOND * 3).await;
        assert!(current(&vexilla, &model), "lag {lag}");
        assert_eq!(vexilla.status().counts.changes, 2, "lag {lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_nothing_changes_nothing_is_exported_but_for_the_full_refresh() {
    let model = three();
    let vexilla = start(&model).await;
    let (checks, fetches) = (model.count(Route::MaxId), model.count(Route::Export));
    sleep(SECOND * 3_600).await;
    let checks = model.count(Route::MaxId) - checks;
    let fetches = model.count(Route::Export) - fetches;
    assert!((3_300..3_950).contains(&checks), "{checks}");
    // Each 5 min ± 10 %, and those of an hour make twelve.
    assert!((10..=14).contains(&fetches), "{fetches}");
    assert_eq!(vexilla.status().counts.changes, 1);
}

#[tokio::test(start_paused = true)]
async fn the_announced_number_is_not_remembered_before_the_export_has_it() {
    let model = three();
    sleep(SECOND * 3).await;
    // A full refresh would end the waiting.
    let vexilla = builder(&model).full_refresh_interval(SECOND * 36_000);
    let vexilla = vexilla.build().await.unwrap();
    sleep(SETTLED).await;
    // A replica that does not get to renew its cache for a minute.
    sleep(SECOND / 10).await;
    model.change(|database| database.edit(1, toggle));
    let old = model.answer(Route::Export, 0);
    model
        .fault(move |request| (request.route == Route::Export).then(|| Fault::Answer(old.clone())));
    sleep(SECOND * 60).await;
    assert!(!current(&vexilla, &model));
    model.heal();
    sleep(Duration::from_millis(6_500)).await;
    assert!(
        current(&vexilla, &model),
        "late exports are fetched every 5 s"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_any_flag_arrives_quietly() {
    log();
    for (what, deleted) in [("old", vec![1]), ("newest", vec![3]), ("two", vec![3, 1])] {
        let model = three();
        let vexilla = start(&model).await;
        model.change(|database| deleted.iter().for_each(|id| database.delete(*id)));
        let took = propagation(&vexilla, &model).await;
        println!("deletion of {what}: {took:?} after the export");
        assert!(took <= Duration::from_millis(1_350), "{what}: {took:?}");
        sleep(SETTLED).await;
        if deleted.contains(&3) {
            // A replica that is stuck answers the same as if the newest flag was
            // deleted, so that flags are compared for longer.
            sleep(SECOND * 300).await;
        }
        let fetches = model.count(Route::Export);
        sleep(SETTLED).await;
        let more = model.count(Route::Export) - fetches;
        assert!(more <= 1, "{what}: {more} fetches long after");
        assert_eq!(vexilla.status().level, Level::Live);
    }
    assert_eq!(logged("ERROR"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_a_flag_just_created_arrives() {
    log();
    let model = three();
    let vexilla = start(&model).await;
    let id = model.change(|database| database.create(Flag::boolean("short", true)));
    propagation(&vexilla, &model).await;
    model.change(|database| database.delete(id));
    let took = propagation(&vexilla, &model).await;
    println!("deletion of a flag just created: {took:?} after the export");
    // It looks like the answer of a replica that lags behind, for as long as
    // replicas may.
    assert!(took < SECOND * 15, "{took:?}");
    sleep(SETTLED).await;
    assert!(current(&vexilla, &model));
    assert_eq!(logged("ERROR"), 0, "nothing was put back");
}

#[tokio::test(start_paused = true)]
async fn a_flag_that_is_deleted_and_restored_comes_back() {
    log();
    for pause in [Duration::ZERO, SECOND / 2, SECOND * 4, SECOND * 30] {
        let model =
            Model::with_replicas(3, vec![Replica::phase(SECOND), Replica::phase(SECOND * 2)]);
        let model = with_flags(model, 3);
        let vexilla = start(&model).await;
        let seen = observe(&vexilla);
        model.change(|database| database.delete(2));
        sleep(pause).await;
        model.change(|database| database.restore(2));
        let took = propagation(&vexilla, &model).await;
        assert!(took <= Duration::from_millis(1_350), "{pause:?}: {took:?}");
        sleep(SETTLED).await;
        assert!(current(&vexilla, &model));
        assert_eq!(seen.lock().unwrap().faults, Vec::<String>::new());
    }
    assert_eq!(logged("ERROR"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_unknown_never_counts_as_a_change() {
    let garbage = || Fault::Answer(Answer::json("<html>"));
    let unknown = [
        ("absent", Fault::Answer(Answer::json("{}")), Level::Live),
        (
            "zero",
            Fault::Answer(Answer::json("{\"maxID\":0}")),
            Level::Live,
        ),
        (
            "null",
            Fault::Answer(Answer::json("{\"maxID\":null}")),
            Level::Live,
        ),
        ("501", Fault::status(501), Level::Live),
        ("404", Fault::status(404), Level::Live),
        ("garbage", garbage(), Level::Live),
        ("500", Fault::status(500), Level::Stale),
        ("break", Fault::Break, Level::Stale),
    ];
    for (what, fault, level) in unknown {
        let model = three();
        let vexilla = start(&model).await;
        let known = number(&vexilla, "flag-1");
        model.fault(move |request| (request.route == Route::MaxId).then(|| fault.clone()));
        sleep(SETTLED * 2).await;
        let status = vexilla.status();
        assert_eq!(status.counts.changes, 1, "{what}");
        assert_eq!(number(&vexilla, "flag-1"), known, "{what}");
        // A full refresh may have come a moment ago.
        sleep(SECOND * 4).await;
        let levels = [status.level, vexilla.status().level];
        assert!(levels.contains(&level), "{what}: {levels:?}");
        // By content, changes are found nevertheless.
        model.change(|database| database.edit(1, toggle));
        sleep(SECOND * 400).await;
        assert!(current(&vexilla, &model), "{what}");
        model.heal();
        sleep(SETTLED * 2).await;
        assert_eq!(vexilla.status().level, Level::Live, "{what}");
        assert_eq!(vexilla.status().counts.changes, 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_numbers_flags_are_compared_by_content_and_their_order_is_none() {
    let model = with_flags(Model::new(5), 20);
    model.evaluation_only(true);
    let vexilla = start(&model).await;
    let mut changes = vexilla.changes();
    let fetches = model.count(Route::Export);
    sleep(SETTLED).await;
    let fetches = model.count(Route::Export) - fetches;
    assert!((54..67).contains(&fetches), "{fetches}");
    assert_eq!(vexilla.status().counts.changes, 1, "whatever the order");

    model.change(|database| {
        database.edit(1, |flag| flag.segments.push(Segment::new().rollout(0)));
    });
    let change = changes.next().await.unwrap();
    assert_eq!(change.changed.len(), 1);
    assert_eq!(change.version, 21);
    model.change(|database| database.edit(1, |flag| flag.segments.reverse()));
    let change = changes.next().await.unwrap();
    assert!(change.changed.contains("flag-1"), "the order of segments");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_rolled_back_is_believed_and_logged() {
    let seed = seed();
    for round in 0..20 {
        log();
        let mut random = Random::new(seed + round);
        let replicas = replicas(&mut random, 4);
        let model = with_flags(Model::with_replicas(seed + round, replicas), 5);
        let vexilla = start(&model).await;
        let backup: Backup = model.database().back_up();
        for _ in 0..random.between(1, 6) {
            model.change(|database| change(database, &mut random));
        }
        sleep(SETTLED * 2).await;
        assert!(current(&vexilla, &model), "round {round}");
        let held = vexilla.snapshot();
        model.change(|database| database.put_back(backup));
        let restored = model.database().snapshot();
        let lost = held.flags().any(|flag| restored.flag(&flag.key).is_none());
        let older = held.flags().any(|flag| {
            let then = restored.flag(&flag.key);
            then.is_some_and(|then| then.snapshot_id < flag.snapshot_id)
        });
        let back = restored.flags().any(|flag| held.flag(&flag.key).is_none());
        let older = older || back;
        let begin = Instant::now();
        sleep(SECOND * 10).await;
        if lost || older {
            let kept = vexilla.snapshot().same_flags(&held);
            assert!(kept, "round {round}: not yet");
        }
        while !current(&vexilla, &model) {
            sleep(SECOND / 10).await;
            assert!(begin.elapsed() < SECOND * 70, "round {round}");
        }
        let took = begin.elapsed();
        assert!(lost || took < SECOND * 20, "round {round}: {took:?}");
        sleep(SETTLED).await;
        assert_eq!(vexilla.status().level, Level::Live, "round {round}");
        let rolled_back = logged("loading older flags");
        let (missing, gone) = (
            logged("until the loss is confirmed"),
            logged("loading fewer flags"),
        );
        let expected = match (lost, older) {
            (true, _) => (0, 1),
            (false, older) => (usize::from(older), 0),
        };
        assert_eq!((rolled_back, gone), expected, "round {round}");
        // Once more where a replica still had the flags.
        assert!((gone..gone + 2).contains(&missing), "round {round}");
        assert_eq!(logged("ERROR"), rolled_back + missing + gone);
        // And life goes on.
        model.change(|database| database.edit(1, toggle));
        let next = propagation(&vexilla, &model).await;
        assert!(
            next <= Duration::from_millis(1_350),
            "round {round}: {next:?}"
        );
    }
}
