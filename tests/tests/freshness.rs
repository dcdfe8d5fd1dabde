//! Which answers of a Flagr are taken, and when: caches that lag behind the
//! database, replicas that differ, deletions, databases that are put back.
//!
//! Paused time throughout. Tests that draw at random print their seed, and take
//! another one from `VEXILLA_SEED`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and prints what it measured"
)]

mod log;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::{log, logged};
use tokio::time::{Instant, sleep};
use vexilla_core::flag::{Flag, Segment, Tag};
use vexilla_core::{FlagSet, Level, Snapshot, Source, SourceError, Vexilla, VexillaBuilder};
use vexilla_tests::model::{
    Answer, Backup, Database, Fault, Model, Policy, Random, Replica, Route,
};

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for caches and for whatever is waited for.
const SETTLED: Duration = Duration::from_secs(60);

/// Three flags, made before anybody asks.
fn three() -> Model {
    with_flags(Model::new(7), 3)
}

fn with_flags(model: Model, flags: u64) -> Model {
    model.change(|database| {
        for number in 1..=flags {
            database.create(Flag::boolean(format!("flag-{number}"), false));
        }
    });
    model
}

fn builder(model: &Model) -> VexillaBuilder {
    Vexilla::builder(model.clone()).poll_interval(SECOND)
}

/// Started when all caches hold what the database does.
async fn start(model: &Model) -> Vexilla {
    sleep(Duration::from_secs(3)).await;
    let vexilla = builder(model).build().await.unwrap();
    sleep(SETTLED).await;
    assert!(current(&vexilla, model));
    vexilla
}

/// Whether what is served is what the database holds.
fn current(vexilla: &Vexilla, model: &Model) -> bool {
    vexilla.snapshot().same_flags(&model.database().snapshot())
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SETTLED, wait).await.unwrap();
}

fn number(vexilla: &Vexilla, key: &str) -> Option<u64> {
    Some(vexilla.snapshot().flag(key)?.snapshot_id)
}

fn toggle(flag: &mut Flag) {
    flag.enabled = !flag.enabled;
}

fn seed() -> u64 {
    let seed = std::env::var("VEXILLA_SEED").ok();
    let seed = seed.map_or(20_261, |seed| seed.parse().unwrap());
    println!("VEXILLA_SEED={seed}");
    seed
}

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
    let vexilla = start(&model).await;
    // A replica that does not get to renew its cache for a minute.
    sleep(SECOND / 10).await;
    model.change(|database| database.edit(1, toggle));
    let old = model.answer(Route::Export, 0);
    model
        .fault(move |request| (request.route == Route::Export).then(|| Fault::Answer(old.clone())));
    sleep(SECOND * 60).await;
    assert!(!current(&vexilla, &model));
    model.heal();
    sleep(Duration::from_millis(1_150)).await;
    assert!(current(&vexilla, &model), "at the next poll");
}

/// What a listener saw of each flag, and where that went backwards.
#[derive(Default)]
struct Seen {
    /// The greatest number of each flag, and whether the flag is there.
    flags: BTreeMap<u64, (u64, bool)>,
    faults: Vec<String>,
}

impl Seen {
    fn look(&mut self, snapshot: &Snapshot) {
        let now: BTreeMap<_, _> = snapshot
            .flags()
            .map(|flag| (flag.id, flag.snapshot_id))
            .collect();
        for (id, number) in &now {
            let (known, there) = self.flags.entry(*id).or_insert((*number, true));
            // A flag that was deleted comes back with a greater number only.
            if number < known || (number == known && !*there) {
                self.faults
                    .push(format!("flag {id}: {number} after {known}, there: {there}"));
            }
            (*known, *there) = (*number.max(known), true);
        }
        for (id, (_, there)) in &mut self.flags {
            *there = now.contains_key(id);
        }
    }
}

/// Looks at everything that is served, as soon as it is.
fn observe(vexilla: &Vexilla) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (mut changes, observed, vexilla) = (vexilla.changes(), Arc::clone(&seen), vexilla.clone());
    seen.lock().unwrap().look(&vexilla.snapshot());
    tokio::spawn(async move {
        while changes.next().await.is_some() {
            observed.lock().unwrap().look(&vexilla.snapshot());
        }
    });
    seen
}

/// Changes the database in one of all ways.
fn change(database: &mut Database, random: &mut Random) {
    let ids: Vec<u64> = database.flags().map(|flag| flag.id).collect();
    let deleted: Vec<u64> = database.deleted().collect();
    let newest = database.flags().max_by_key(|flag| flag.snapshot_id);
    let newest = newest.map(|flag| flag.id);
    match random.weighted(&[30, 15, 10, 10, 10, 10, 10]) {
        _ if ids.is_empty() => drop(database.create(Flag::boolean("first", true))),
        0 => database.edit(random.pick(&ids), toggle),
        1 if ids.len() < 12 => {
            let key = format!("flag-{}", database.max_id());
            database.create(Flag::boolean(key, true));
        }
        2 => database.delete(random.pick(&ids)),
        3 => database.delete(newest.unwrap()),
        4 if !deleted.is_empty() => database.restore(random.pick(&deleted)),
        5 => database.edit(random.pick(&ids), |flag| {
            flag.tags.push(Tag::default());
            flag.segments.push(Segment::new());
        }),
        _ => {
            let id = random.pick(&ids);
            database.delete(id);
            database.restore(id);
        }
    }
}

fn replicas(random: &mut Random, most: u64) -> Vec<Replica> {
    let phase = |random: &mut Random| Duration::from_millis(random.below(3_000));
    let count = random.between(1, most);
    (0..count).map(|_| Replica::phase(phase(random))).collect()
}

/// One history; gives what went wrong in it.
async fn history(seed: u64, steps: usize) -> Result<(), String> {
    let mut random = Random::new(seed);
    let model = Model::with_replicas(seed, replicas(&mut random, 5));
    let model = with_flags(model, 5);
    if random.chance(30) {
        model.choose(Policy::RoundRobin);
    }
    // Some start in the midst of it.
    for _ in 0..random.below(8) {
        model.change(|database| change(database, &mut random));
        sleep(Duration::from_millis(random.below(1_000))).await;
    }
    let poll = random.pick(&[SECOND / 5, SECOND, SECOND * 10]);
    let vexilla = builder(&model).poll_interval(poll).build().await.unwrap();
    let seen = observe(&vexilla);
    // Some histories are hectic, some are quiet.
    let most = random.pick(&[200, 1_500, 5_000]);
    for step in 0..steps {
        model.change(|database| change(database, &mut random));
        if random.chance(20) {
            vexilla.hint();
        }
        sleep(Duration::from_millis(random.below(most))).await;
        if let Some(fault) = seen.lock().unwrap().faults.first() {
            return Err(format!("seed {seed}, step {step}: {fault}"));
        }
        let level = vexilla.status().level;
        if level != Level::Live {
            return Err(format!("seed {seed}, step {step}: {level}"));
        }
    }
    sleep(SETTLED).await;
    if !current(&vexilla, &model) {
        return Err(format!("seed {seed}: stays behind"));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_history_takes_flags_backwards_or_leaves_them_behind() {
    let seed = seed();
    let histories = std::env::var("VEXILLA_HISTORIES").ok();
    let histories = histories.map_or(16, |histories| histories.parse().unwrap());
    let mut wrong = Vec::new();
    for history_seed in seed..seed + histories {
        wrong.extend(history(history_seed, 80).await.err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {histories}: {wrong:#?}",
        wrong.len()
    );
}

/// Waits until what is served is what the database holds.
async fn arrival(vexilla: &Vexilla, model: &Model) {
    let mut changes = vexilla.changes();
    let expected = model.database().snapshot();
    let arrived = async {
        while !vexilla.snapshot().same_flags(&expected) {
            changes.next().await.unwrap();
        }
    };
    tokio::time::timeout(SETTLED * 10, arrived).await.unwrap();
}

/// How long that takes from when every replica's export has it.
async fn propagation(vexilla: &Vexilla, model: &Model) -> Duration {
    let exported = model.carried();
    arrival(vexilla, model).await;
    let now = Instant::now().into_std();
    now.saturating_duration_since(exported)
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
        assert_eq!(status.level, level, "{what}");
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
async fn a_database_that_was_put_back_is_believed_after_some_answers_and_said_aloud() {
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
        sleep(SETTLED).await;
        assert!(current(&vexilla, &model), "round {round}");
        let held = vexilla.snapshot();
        model.change(|database| database.put_back(backup));
        let begin = Instant::now();
        sleep(SECOND * 10).await;
        assert!(
            vexilla.snapshot().same_flags(&held),
            "round {round}: not yet"
        );
        assert_eq!(logged("ERROR"), 0, "round {round}");
        while !current(&vexilla, &model) {
            sleep(SECOND / 10).await;
            assert!(begin.elapsed() < SECOND * 30, "round {round}");
        }
        let took = begin.elapsed();
        sleep(SETTLED).await;
        assert_eq!(logged("ERROR"), 1, "round {round}: said once");
        assert_eq!(logged("for good"), 1, "round {round}");
        // And life goes on.
        model.change(|database| database.edit(1, toggle));
        let next = propagation(&vexilla, &model).await;
        assert!(
            next <= Duration::from_millis(1_350),
            "round {round}: {next:?}"
        );
        assert!(took < SECOND * 20, "round {round}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_database_is_believed_at_the_second_answer() {
    log();
    let model = three();
    let vexilla = start(&model).await;
    model.change(Database::empty);
    sleep(SECOND * 6).await;
    assert!(vexilla.snapshot().is_empty());
    assert_eq!(logged("held back"), 1);
    assert_eq!(
        logged("confirmed\n") + logged("a second fetch confirmed"),
        1
    );
    assert_eq!(logged("ERROR"), 2);
    model.change(|database| database.create(Flag::boolean("new", true)));
    let took = propagation(&vexilla, &model).await;
    assert!(took <= Duration::from_millis(1_350), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_shrinks_is_held_back_until_it_is_confirmed() {
    log();
    let model = with_flags(Model::new(2), 100);
    let vexilla = start(&model).await;
    model.change(|database| (1..=95).for_each(|id| database.delete(id)));
    let mut status = vexilla.watch_status();
    until(|| vexilla.status().counts.held_back > 0).await;
    assert_eq!(vexilla.snapshot().len(), 100);
    assert!(vexilla.status().last_error.unwrap().contains("held back"));
    assert!(status.next().await.unwrap().last_error.is_some());
    assert_eq!(logged("ERROR"), 1);
    let begin = Instant::now();
    until(|| vexilla.snapshot().len() < 100).await;
    assert!(
        begin.elapsed() < Duration::from_millis(1_200),
        "the next fetch"
    );
    assert_eq!(vexilla.snapshot().len(), 5);
    assert_eq!(logged("ERROR"), 2);
    sleep(SECOND * 5).await;
    assert_eq!(vexilla.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_small_set_that_was_held_back_and_recovers_is_forgotten() {
    log();
    let model = with_flags(Model::new(2), 100);
    let vexilla = start(&model).await;
    for round in 0..3 {
        sleep(SECOND * 20).await;
        // Once it is as good as empty, then whole again.
        let mut fault = Some(Fault::Answer(Answer::json("{\"Flags\":[]}")));
        model.fault(move |request| {
            let export = request.route == Route::Export;
            export.then(|| fault.take()).flatten()
        });
        model.change(|database| database.edit(1, toggle));
        sleep(SECOND * 10).await;
        assert!(current(&vexilla, &model), "round {round}");
    }
    assert_eq!(vexilla.status().counts.held_back, 3);
    assert_eq!(logged("ERROR"), 3);
    assert_eq!(vexilla.status().counts.changes, 4);
}

/// The times of many changes, sorted.
fn print_times(what: &str, times: &mut [Duration], bound: Duration) {
    times.sort_unstable();
    let (least, most) = (times[0], times[times.len() - 1]);
    let median = times[times.len() / 2];
    let count = times.len();
    println!(
        "{what}: {count} changes, min {least:?}, median {median:?}, max {most:?}, bound {bound:?}"
    );
    assert!(most <= bound, "{what}: {most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_served_soon_after_the_exports_carry_it() {
    let mut random = Random::new(seed());
    for (poll, changes) in [(SECOND * 10, 700), (SECOND, 700), (SECOND / 5, 280)] {
        let replicas = replicas(&mut random, 3);
        let model = with_flags(Model::with_replicas(random.bits(), replicas), 3);
        let vexilla = builder(&model).poll_interval(poll).build().await.unwrap();
        sleep(SETTLED).await;
        let (mut polled, mut hinted, mut made) = (Vec::new(), Vec::new(), 0);
        for number in 0..changes {
            // Longer before a deletion: that of a flag just made takes its time.
            let rest = if matches!(number % 7, 1 | 3) {
                13_000
            } else {
                4_000
            };
            let rest = rest + random.below(1_000);
            sleep(Duration::from_millis(rest)).await;
            let id = random.between(1, 3);
            model.change(|database| match number % 7 {
                0 => made = database.create(Flag::boolean(number.to_string(), true)),
                2 => database.restore(made),
                1 | 3 => database.delete(made),
                _ => database.edit(id, toggle),
            });
            if number % 2 == 0 {
                polled.push(propagation(&vexilla, &model).await);
            } else {
                tokio::time::sleep_until(model.carried().into()).await;
                let begin = Instant::now();
                vexilla.hint();
                arrival(&vexilla, &model).await;
                hinted.push(begin.elapsed());
            }
        }
        let grace = Duration::from_millis(250);
        let bound = poll.mul_f64(1.1) + grace;
        print_times(&format!("polled every {poll:?}"), &mut polled, bound);
        print_times(
            &format!("hinted, polled every {poll:?}"),
            &mut hinted,
            grace,
        );
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_no_push_announced_are_counted() {
    let model = three();
    let vexilla = start(&model).await;
    let edit = || model.change(|database| database.edit(1, toggle));
    for pushed in [false, true, true, false, true, false, false] {
        let before = vexilla.status().counts;
        edit();
        if pushed {
            vexilla.hint();
        }
        sleep(SECOND * 10).await;
        let now = vexilla.status().counts;
        assert_eq!(now.changes - before.changes, 1);
        let missed = now.changes_without_push - before.changes_without_push;
        assert_eq!(missed, u64::from(!pushed), "pushed: {pushed}");
    }
    // Pushes for nothing, or found by the push itself.
    vexilla.hint();
    sleep(SECOND * 10).await;
    edit();
    tokio::time::sleep_until(model.carried().into()).await;
    vexilla.hint();
    sleep(SECOND * 10).await;
    let before = vexilla.status().counts.changes_without_push;
    edit();
    sleep(SECOND * 10).await;
    assert_eq!(vexilla.status().counts.changes_without_push, before + 1);
    assert_eq!(vexilla.status().counts.pushes, 5);
}

#[tokio::test(start_paused = true)]
async fn hints_without_end_do_not_put_off_the_full_refresh() {
    let model = three();
    let vexilla = start(&model).await;
    let fetches = model.count(Route::Export);
    for _ in 0..3_600 {
        vexilla.hint();
        sleep(SECOND / 2).await;
    }
    let fetches = model.count(Route::Export) - fetches;
    assert!((5..=7).contains(&fetches), "{fetches} in half an hour");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_asks_again_each_minute_for_ever() {
    for status in [401, 403, 404, 501] {
        let model = three();
        let vexilla = start(&model).await;
        model.fault(move |_| Some(Fault::status(status)));
        // Until the first poll is refused; from then on a minute at a time.
        sleep(SECOND * 2).await;
        let before = model.requests().len();
        sleep(SECOND * 60 * 200).await;
        let requests = model.requests().split_off(before);
        let exports: Vec<_> = requests
            .iter()
            .filter(|request| request.route == Route::Export)
            .map(|request| request.at)
            .collect();
        assert!(exports.len() > 180, "{status}: {}", exports.len());
        for pair in exports.windows(2) {
            let gap = pair[1] - pair[0];
            let allowed = Duration::from_millis(53_999)..Duration::from_millis(66_005);
            assert!(allowed.contains(&gap), "{status}: {gap:?}");
        }
        let was = vexilla.status();
        assert_eq!(was.level, Level::Stale);
        assert_eq!(was.breaker, vexilla_core::BreakerState::Closed, "{status}");
        assert!(current(&vexilla, &model));
        model.heal();
        model.change(|database| database.edit(1, toggle));
        sleep(SECOND * 67).await;
        assert!(current(&vexilla, &model), "{status}");
        assert_eq!(vexilla.status().level, Level::Live);
    }
}

#[tokio::test(start_paused = true)]
async fn panics_of_a_source_are_caught_counted_and_tried_again() {
    for route in [Route::MaxId, Route::Export] {
        let model = three();
        let vexilla = start(&model).await;
        model.fault(move |request| (request.route == route).then_some(Fault::Panic));
        model.change(|database| database.edit(1, toggle));
        sleep(SECOND * 20).await;
        let status = vexilla.status();
        assert!(status.counts.panics >= 3, "{route:?}: {status:?}");
        assert!(status.last_error.unwrap().contains("a modelled panic"));
        assert_eq!(vexilla.snapshot().len(), 3);
        model.heal();
        sleep(SECOND * 40).await;
        assert!(current(&vexilla, &model), "{route:?}");
        assert_eq!(vexilla.status().level, Level::Live);
    }
}

/// A model whose wait for a change is another one.
struct Told<F>(Model, F);

impl<F, C> Source for Told<F>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = ()> + Send,
{
    fn name(&self) -> String {
        "a source that tells".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.fetch().await
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        self.0.latest().await
    }

    async fn changed(&self) {
        (self.1)().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_changes_that_panics_is_taken_up_again() {
    let model = three();
    let waits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waits);
    let source = Told(model.clone(), move || {
        let wait = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(wait >= 5, "the wait was in vain");
            std::future::pending::<()>().await;
        }
    });
    let vexilla = Vexilla::builder(source)
        .poll_interval(SECOND)
        .build()
        .await
        .unwrap();
    sleep(SETTLED).await;
    assert_eq!(vexilla.status().counts.panics, 5);
    assert!(current(&vexilla, &model));
    assert_eq!(vexilla.status().level, Level::Live);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_always_says_that_it_changed_does_not_starve_others() {
    let model = three();
    let source = Told(model.clone(), || std::future::ready(()));
    let vexilla = Vexilla::builder(source).build().await.unwrap();
    let ticks = Arc::new(AtomicUsize::new(0));
    let ticked = Arc::clone(&ticks);
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(10)).await;
            ticked.fetch_add(1, Ordering::SeqCst);
        }
    });
    sleep(SECOND * 2).await;
    assert!(ticks.load(Ordering::SeqCst) >= 199);
    let fetches = model.count(Route::Export);
    assert!(fetches <= 2_000 / 5 + 1, "{fetches} fetches");
    // A hint and a refresh get their turn, too.
    vexilla.refresh().await.unwrap();
    assert!(current(&vexilla, &model));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_always_says_that_it_changed_is_left_alone_while_it_fails() {
    let model = three();
    let source = Told(model.clone(), || std::future::ready(()));
    let vexilla = Vexilla::builder(source).build().await.unwrap();
    model.fault(|_| Some(Fault::Break));
    let before = model.requests().len();
    sleep(SECOND * 60).await;
    let requests = model.requests().len() - before;
    assert!(requests < 200, "{requests} requests in a minute");
    drop(vexilla);
}

async fn refresh_often(model: &Model, vexilla: &Vexilla) {
    let before = model.count(Route::Export);
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let vexilla = vexilla.clone();
            tokio::spawn(async move { vexilla.refresh().await.unwrap() })
        })
        .collect();
    for asked in asked {
        asked.await.unwrap();
    }
    println!(
        "1,000 refreshes: {} fetch",
        model.count(Route::Export) - before
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refreshes_at_once_are_one_fetch() {
    let model = three();
    let vexilla = start(&model).await;
    model.fault(|_| Some(Fault::Delay(SECOND / 10)));
    let before = model.count(Route::Export);
    refresh_often(&model, &vexilla).await;
    assert_eq!(model.count(Route::Export) - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_refreshes_at_once_on_several_threads_are_one_fetch() {
    let model = with_flags(
        Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]),
        3,
    );
    let vexilla = Vexilla::builder(model.clone()).build().await.unwrap();
    // The answer comes when all have asked.
    let asked = Arc::new(AtomicUsize::new(0));
    let (gate, opened) = tokio::sync::watch::channel(false);
    let slow = Slow {
        model: model.clone(),
        opened,
    };
    drop(vexilla);
    let vexilla = Vexilla::builder(slow).start_without_flags();
    gate.send_replace(true);
    let vexilla = vexilla.build().await.unwrap();
    gate.send_replace(false);
    let before = model.count(Route::Export);
    let refreshes: Vec<_> = (0..1_000)
        .map(|_| {
            let (vexilla, asked) = (vexilla.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut refresh = std::pin::pin!(vexilla.refresh());
                // The first poll asks.
                let asks = std::future::poll_fn(|task| {
                    let polled = refresh.as_mut().poll(task);
                    assert!(polled.is_pending());
                    std::task::Poll::Ready(())
                });
                asks.await;
                asked.fetch_add(1, Ordering::SeqCst);
                refresh.await.unwrap()
            })
        })
        .collect();
    while asked.load(Ordering::SeqCst) < 1_000 {
        tokio::task::yield_now().await;
    }
    gate.send_replace(true);
    for refresh in refreshes {
        refresh.await.unwrap();
    }
    let fetches = model.count(Route::Export) - before;
    println!("1,000 refreshes on several threads: {fetches} fetch");
    assert_eq!(fetches, 1);
}

/// A model whose export waits until a gate is open.
struct Slow {
    model: Model,
    opened: tokio::sync::watch::Receiver<bool>,
}

impl Source for Slow {
    fn name(&self) -> String {
        "a slow source".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let set = self.model.fetch().await;
        let _ = self.opened.clone().wait_for(|opened| *opened).await;
        set
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_during_the_fetch_of_a_poll_gets_a_full_one() {
    let model = three();
    let vexilla = start(&model).await;
    model.change(|database| database.edit(1, toggle));
    model.fault(|request| (request.route == Route::Export).then_some(Fault::Delay(SECOND / 2)));
    let before = model.count(Route::Export);
    until(|| model.count(Route::Export) > before).await;
    // The poll's export is under way. What is asked now is asked of the server.
    vexilla.refresh().await.unwrap();
    assert!(model.count(Route::Export) >= before + 2);
}
