//! How well flags are said to be, what is served meanwhile, and how a source
//! that fails is asked: retries, the circuit breaker, the last-known-good copy,
//! and those who listen.
//!
//! Paused time throughout.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod log;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use log::{log, logged};
use tokio::time::{Instant, sleep, timeout};
use vexilla_core::flag::Flag;
use vexilla_core::{
    BreakerPolicy, BreakerState, Context, FlagSet, LastKnownGood, Level, MemorySource,
    PersistError, RetryPolicy, SourceErrorKind, StatusWatch, Vexilla, VexillaBuilder,
};
use vexilla_tests::model::{Answer, Fault, Model, Replica, Request, Route};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A Flagr without a lagging cache, with one flag that is on.
fn model() -> Model {
    let model = Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]);
    model.change(|database| database.create(Flag::boolean("new", true)));
    model
}

fn builder(model: &Model) -> VexillaBuilder {
    Vexilla::builder(model.clone())
}

async fn start(model: &Model) -> Vexilla {
    builder(model).build().await.unwrap()
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(MINUTE * 10, wait).await.unwrap();
}

/// Waits until the level is this.
async fn until_level(statuses: &mut StatusWatch, level: Level) {
    let wait = async { while statuses.next().await.unwrap().level != level {} };
    timeout(MINUTE * 10, wait).await.unwrap();
}

fn is_on(vexilla: &Vexilla) -> bool {
    vexilla.flags(Context::new("u")).bool("new")
}

/// A store in memory that fails as it is told. Clones are the same one.
#[derive(Clone, Default)]
struct MemoryCopy {
    held: Arc<Mutex<Option<Vec<u8>>>>,
    saves: Arc<Mutex<Vec<Instant>>>,
    fault: Arc<Mutex<Option<StoreFault>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum StoreFault {
    Error,
    Hang,
    Panic,
}

impl MemoryCopy {
    async fn fail(&self) -> Result<(), PersistError> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            None => Ok(()),
            Some(StoreFault::Error) => Err(PersistError::other("no space left")),
            Some(StoreFault::Hang) => std::future::pending().await,
            Some(StoreFault::Panic) => panic!("a store's panic"),
        }
    }

    fn set(&self, fault: Option<StoreFault>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn saves(&self) -> usize {
        self.saves.lock().unwrap().len()
    }
}

impl LastKnownGood for MemoryCopy {
    fn name(&self) -> String {
        "a copy in memory".to_owned()
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        self.fail().await?;
        Ok(self.held.lock().unwrap().clone())
    }

    async fn save(&self, document: Vec<u8>) -> Result<(), PersistError> {
        self.saves.lock().unwrap().push(Instant::now());
        self.fail().await?;
        *self.held.lock().unwrap() = Some(document);
        Ok(())
    }
}

/// A copy of what a model serves now.
async fn copy_of(model: &Model) -> MemoryCopy {
    let copy = MemoryCopy::default();
    let vexilla = builder(model).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    assert!(vexilla.shutdown(SECOND).await.saved);
    assert_eq!(copy.saves(), 1);
    copy
}

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
    assert_eq!(logged("flags are defaults"), 1);
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

#[tokio::test(start_paused = true)]
async fn a_start_without_the_source_serves_the_copy_and_then_what_is_live() {
    log();
    let model = model();
    let copy = copy_of(&model).await;
    model.fault(|_| Some(Fault::Break));
    let before = Instant::now();
    let vexilla = builder(&model).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "at once");
    let mut statuses = vexilla.watch_status();
    let status = vexilla.status();
    assert_eq!((status.level, status.flags), (Level::Restored, 1));
    assert!(is_on(&vexilla) && vexilla.is_stale());
    assert!(vexilla.flags(Context::new("u")).evaluate("new").is_stale());
    assert_eq!(logged("flags are restored"), 1);
    sleep(MINUTE * 5).await;
    assert_eq!(vexilla.status().level, Level::Restored);
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    model.heal();
    until_level(&mut statuses, Level::Live).await;
    assert!(!is_on(&vexilla));
    assert_eq!(logged("flags are restored"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_too_old_is_not_served() {
    let model = model();
    let copy = copy_of(&model).await;
    model.fault(|_| Some(Fault::Break));
    let start = || {
        builder(&model)
            .last_known_good(copy.clone())
            .max_stale(Duration::ZERO)
    };
    let refused = start().build().await;
    assert_eq!(
        refused.unwrap_err().kind(),
        SourceErrorKind::Unreachable,
        "nothing usable is held"
    );
    let vexilla = start().start_without_flags().build().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Defaults);
    assert!(!is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_another_source_is_refused() {
    log();
    let copy = copy_of(&model()).await;
    let source = MemorySource::new([Flag::boolean("other", true)]);
    let vexilla = Vexilla::builder(source).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(!is_on(&vexilla) && vexilla.flags(Context::new("u")).bool("other"));
    assert_eq!(logged("cannot be used"), 1);
    vexilla.shutdown(SECOND).await;
    assert_eq!(vexilla.status().last_known_good_error, None, "overwritten");
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_not_overridden_by_a_replica_that_lags_behind_it() {
    let lagging = Replica::phase(SECOND * 2);
    let model = Model::with_replicas(1, vec![lagging]);
    model.change(|database| database.create(Flag::boolean("old", true)));
    sleep(SECOND * 5 + SECOND / 10).await;
    // The replica's cache is renewed at 5 s, then at 8 s.
    let fresh = model.clone();
    model.change(|database| {
        database.edit(1, |flag| flag.enabled = false);
        database.create(Flag::boolean("new", true));
    });
    let export = fresh
        .database()
        .export_document(&mut vexilla_tests::model::Random::new(1));
    model.fault(move |request| {
        let export = Fault::Answer(Answer::json(export.clone()));
        (request.route == Route::Export).then_some(export)
    });
    let copy = copy_of(&model).await;
    model.heal();
    // A change more, so that the flags are fetched.
    model.change(|database| database.create(Flag::boolean("more", true)));
    let vexilla = builder(&model)
        .poll_interval(SECOND / 5)
        .last_known_good(copy);
    let vexilla = vexilla.start_wait(SECOND).build().await.unwrap();
    for _ in 0..200 {
        assert!(is_on(&vexilla), "of the copy");
        assert!(!vexilla.flags(Context::new("u")).bool("old"));
        sleep(SECOND / 100).await;
    }
    sleep(SECOND * 2).await;
    assert_eq!(vexilla.status().level, Level::Live);
    assert!(vexilla.flags(Context::new("u")).bool("more") && is_on(&vexilla));
    assert!(vexilla.status().counts.older_answers > 0);
}

#[tokio::test(start_paused = true)]
async fn the_copy_is_saved_after_each_change_and_at_full_refreshes() {
    let model = model();
    let copy = MemoryCopy::default();
    let vexilla = builder(&model).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    sleep(SECOND).await;
    assert_eq!(copy.saves(), 1);
    for _ in 0..3 {
        let before = copy.saves();
        model.change(|database| database.edit(1, |flag| flag.enabled = !flag.enabled));
        sleep(SECOND * 12).await;
        assert!((before + 1..=before + 2).contains(&copy.saves()));
    }
    let before = copy.saves();
    sleep(MINUTE * 60).await;
    let saves = copy.saves() - before;
    assert!((10..=14).contains(&saves), "{saves}");
    drop(vexilla);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_hangs_or_panics_harms_nothing() {
    log();
    for fault in [StoreFault::Error, StoreFault::Hang, StoreFault::Panic] {
        let model = model();
        let copy = copy_of(&model).await;
        copy.set(Some(fault));
        let build = builder(&model).last_known_good(copy.clone()).build();
        let vexilla = timeout(SECOND * 30, build).await.expect("a start").unwrap();
        assert_eq!(vexilla.status().level, Level::Live);
        assert!(is_on(&vexilla));
        assert!(vexilla.status().last_known_good_error.is_some());
        model.change(|database| database.edit(1, |flag| flag.enabled = false));
        sleep(SECOND * 12).await;
        assert!(!is_on(&vexilla), "changes come all the same");
        let report = vexilla.shutdown(SECOND).await;
        assert!(report.ended);
        assert_eq!(report.saved, fault != StoreFault::Hang);
        copy.set(None);
    }
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
