//! The last-known-good copy.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, advance, sleep, timeout};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::persist::{LastKnownGood, PersistError};
use vexilla_core::source::{MemorySource, Source, SourceErrorKind};
use vexilla_core::{Context, Filter, Level, Limits, SourceError, Vexilla};
use vexilla_tests::model::{Answer, Fault, Model, Replica, Route};

use super::log::{log, logged};
use super::{MINUTE, SECOND, builder, is_on, model, until_level};

/// A store in memory that fails as it is told. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct MemoryCopy {
    held: Arc<Mutex<Option<Vec<u8>>>>,
    saves: Arc<Mutex<Vec<Instant>>>,
    previous: Arc<Mutex<Option<Vec<u8>>>>,
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

    async fn save_after_loss(&self, document: Vec<u8>) -> Result<(), PersistError> {
        let before = self.held.lock().unwrap().clone();
        self.save(document).await?;
        *self.previous.lock().unwrap() = before;
        Ok(())
    }
}

/// A copy of what a model serves now.
pub(super) async fn copy_of(model: &Model) -> MemoryCopy {
    let copy = MemoryCopy::default();
    let vexilla = builder(model).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    assert!(vexilla.shutdown(SECOND).await.saved);
    assert_eq!(copy.saves(), 1);
    copy
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

/// A copy as it is, saved so much later.
fn saved_later(copy: &MemoryCopy, by: Duration) {
    change_time(copy, |saved_at| {
        saved_at + u64::try_from(by.as_millis()).unwrap()
    });
}

/// A copy as it is, saved so much earlier.
pub(super) fn saved_earlier(copy: &MemoryCopy, by: Duration) {
    change_time(copy, |saved_at| {
        saved_at - u64::try_from(by.as_millis()).unwrap()
    });
}

/// The time stands at the bytes 11 to 18 of a document, and the checksum at 35 to
/// 38 covers it.
fn change_time(copy: &MemoryCopy, change: impl Fn(u64) -> u64) {
    let mut held = copy.held.lock().unwrap();
    let document = held.as_mut().unwrap();
    let saved_at = u64::from_le_bytes(document[11..19].try_into().unwrap());
    document[11..19].copy_from_slice(&change(saved_at).to_le_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&document[..35]);
    crc.update(&document[39..]);
    document[35..39].copy_from_slice(&crc.sum().to_le_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_a_clock_ahead_has_no_age() {
    log();
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let model = model();
    let copy = copy_of(&model).await;
    model.fault(|_| Some(Fault::Break));
    saved_later(&copy, SECOND);
    let start = || builder(&model).last_known_good(copy.clone());
    let vexilla = start().max_stale(MINUTE * 5).build().await.unwrap();
    assert_eq!(
        vexilla.status().level,
        Level::Restored,
        "clocks differ a bit"
    );

    saved_later(&copy, DAY * 30);
    let vexilla = start().build().await.unwrap();
    let status = vexilla.status();
    assert_eq!(status.level, Level::Restored);
    assert_eq!((status.age, status.last_success), (None, None));
    assert_eq!(logged("its age is unknown"), 1);

    let limited = || start().max_stale(DAY * 365);
    let error = limited().build().await.unwrap_err().to_string();
    assert!(
        error.contains("; the last-known-good copy cannot be used: "),
        "{error}"
    );
    let vexilla = limited().start_without_flags().build().await.unwrap();
    let status = vexilla.status();
    assert_eq!(status.level, Level::Defaults);
    let why = status.last_known_good_error.unwrap();
    assert!(why.contains("clock ahead"), "{why}");
    assert!(!is_on(&vexilla));
    sleep(MINUTE).await;
    assert_eq!(vexilla.status().level, Level::Defaults);
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_flags_makes_nothing_ready() {
    // A first answer without flags is not worth a copy.
    let model = Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]);
    let copy = MemoryCopy::default();
    let start = || builder(&model).last_known_good(copy.clone());
    let vexilla = start().build().await.unwrap();
    assert!(vexilla.shutdown(SECOND).await.saved);
    assert_eq!(copy.saves(), 0);
    // That all were deleted is.
    model.change(|database| database.create(Flag::boolean("new", true)));
    let vexilla = start().build().await.unwrap();
    model.change(|database| database.delete(1));
    assert!(vexilla.accept_loss().await.unwrap());
    assert!(vexilla.shutdown(SECOND).await.saved);
    model.fault(|_| Some(Fault::Break));
    let error = start().build().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreachable);
    let vexilla = start().start_without_flags().build().await.unwrap();
    let status = vexilla.status();
    assert_eq!(status.level, Level::Defaults, "not ready");
    let why = status.last_known_good_error.unwrap();
    assert!(why.contains("no flags"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn compiling_a_copy_does_not_count_as_reading_it() {
    let model = model();
    let copy = copy_of(&model).await;
    model.fault(|_| Some(Fault::Break));
    // Compiling begins with the filter, which waits here for longer than a
    // store may take.
    let (compiling, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let filter = Filter::new().with(move |_| {
        let _ = compiling.send(());
        let _ = held.lock().unwrap().recv();
        true
    });
    let build = builder(&model).last_known_good(copy).filter(filter).build();
    let build = tokio::spawn(build);
    begun.recv().await.unwrap();
    for _ in 0..60 {
        advance(SECOND).await;
    }
    drop(release);
    let vexilla = build.await.unwrap().unwrap();
    assert_eq!(vexilla.status().level, Level::Restored);
    assert!(is_on(&vexilla));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_accepted_keeps_the_copy_from_before() {
    let model = model();
    model.change(|database| {
        for number in 0..9 {
            database.create(Flag::boolean(format!("more-{number}"), true));
        }
    });
    let copy = MemoryCopy::default();
    let vexilla = builder(&model).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    sleep(SECOND).await;
    model.change(|database| database.edit(1, |flag| flag.enabled = false));
    sleep(MINUTE).await;
    assert_eq!(*copy.previous.lock().unwrap(), None, "nothing was lost");
    let before = copy.held.lock().unwrap().clone().unwrap();
    model.change(|database| {
        for id in 1..=10 {
            database.delete(id);
        }
    });
    sleep(MINUTE * 30).await;
    assert_eq!(vexilla.status().flags, 0);
    let previous = copy.previous.lock().unwrap().clone().unwrap();
    assert_eq!(previous, before);
    assert_ne!(copy.held.lock().unwrap().clone().unwrap(), previous);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_another_source_is_refused() {
    log();
    let copy = copy_of(&model()).await;
    let source = MemorySource::new([Flag::boolean("other", true)]);
    let vexilla = Vexilla::builder(source).last_known_good(copy.clone());
    let vexilla = vexilla.build().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Live);
    assert_eq!(logged("was saved for "), 1);
    assert_eq!(logged(", but the configured source is memory"), 1);
    assert!(!is_on(&vexilla) && vexilla.flags(Context::new("u")).bool("other"));
    assert_eq!(logged("cannot be used"), 1);
    vexilla.shutdown(SECOND).await;
    assert_eq!(vexilla.status().last_known_good_error, None, "overwritten");
}

#[tokio::test(start_paused = true)]
async fn a_copy_with_more_flags_than_allowed_is_no_failure_of_the_store() {
    let model = model();
    model.change(|database| database.create(Flag::boolean("more", true)));
    let copy = copy_of(&model).await;
    model.fault(|_| Some(Fault::Break));
    let vexilla = builder(&model)
        .last_known_good(copy)
        .limits(Limits::new().flags(1))
        .start_without_flags();
    let vexilla = vexilla.build().await.unwrap();
    assert_eq!(
        vexilla.status().last_known_good_error.as_deref(),
        Some(
            "the flags of the copy cannot be compiled: 2 flags are more than the limit of 1; \
             raise Limits::flags if that is meant"
        )
    );
}

/// A model at an address of its own, called like every other.
struct At(Model, &'static str);

impl Source for At {
    fn name(&self) -> String {
        self.0.name()
    }

    fn identity(&self) -> String {
        self.1.to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.fetch().await
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        self.0.latest().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_source_of_the_same_name_is_refused() {
    let (model, copy) = (model(), MemoryCopy::default());
    let start = |path| Vexilla::builder(At(model.clone(), path)).last_known_good(copy.clone());
    let vexilla = start("/staging").build().await.unwrap();
    assert!(vexilla.shutdown(SECOND).await.saved);
    model.fault(|_| Some(Fault::Break));
    start("/production").build().await.unwrap_err();
    let production = start("/production").start_without_flags();
    let production = production.build().await.unwrap();
    assert!(!is_on(&production));
    let why = production.status().last_known_good_error.unwrap();
    assert!(why.contains("another source"), "{why}");
    let staging = start("/staging").build().await.unwrap();
    assert!(is_on(&staging));
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
    // The first full refresh may fall into that second.
    assert!((1..=2).contains(&copy.saves()));
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
async fn flags_are_not_compared_with_a_copy_that_is_too_old() {
    let model = model();
    model.change(|database| {
        for number in 1..50 {
            database.create(Flag::boolean(format!("flag-{number}"), true));
        }
    });
    let copy = copy_of(&model).await;
    // What the copy lacks later was deleted, as far as its IDs can tell.
    model.change(|database| (2..20).for_each(|id| database.delete(id)));
    saved_earlier(&copy, MINUTE);
    let start = || builder(&model).last_known_good(copy.clone());
    let vexilla = start().max_stale(SECOND * 30).build().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Live);
    assert_eq!(vexilla.snapshot().len(), 32);
}

#[tokio::test(start_paused = true)]
async fn where_flags_can_be_too_old_the_copy_is_saved_more_often() {
    let (model, copy) = (model(), MemoryCopy::default());
    let builder = builder(&model).max_stale(MINUTE);
    let vexilla = builder.last_known_good(copy.clone()).build().await.unwrap();
    sleep(MINUTE * 10).await;
    let saves = copy.saves();
    assert!((36..=48).contains(&saves), "{saves} in ten minutes");
    model.fault(|_| Some(Fault::Break));
    drop(vexilla);
    let again = super::builder(&model).max_stale(MINUTE);
    let again = again.last_known_good(copy).build().await.unwrap();
    assert_eq!(again.status().level, Level::Restored);
}
