//! One save at a time, the latest next, whatever a store does.

use std::cell::RefCell;
use std::sync::{Once, mpsc};
use std::thread;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::field::{Field, Visit};

use super::super::document::{Identity, Provenance, encode};
use super::*;
use crate::flag::Flag;
use crate::flag::FlagSet;

const LIMIT: Duration = Duration::from_secs(5);

/// A store that does as it is told; clones are one.
#[derive(Clone)]
struct Told(Arc<Telling>);

struct Telling {
    /// Each save waits for one of these.
    permits: Semaphore,
    started: Semaphore,
    under_way: Mutex<usize>,
    saved: Mutex<Vec<Vec<u8>>>,
    /// What was there before each save after a loss.
    previous: Mutex<Vec<Option<Vec<u8>>>>,
    /// When each save was tried.
    tried: Mutex<Vec<Instant>>,
    fault: Mutex<Option<&'static str>>,
}

impl Told {
    fn new(permits: usize) -> Self {
        Self(Arc::new(Telling {
            permits: Semaphore::new(permits),
            started: Semaphore::new(0),
            under_way: Mutex::new(0),
            saved: Mutex::default(),
            previous: Mutex::default(),
            tried: Mutex::default(),
            fault: Mutex::default(),
        }))
    }

    fn fault(&self, fault: Option<&'static str>) {
        *self.0.fault.lock().unwrap() = fault;
    }

    fn check(&self) -> Result<(), PersistError> {
        let fault = *self.0.fault.lock().unwrap();
        match fault {
            Some("panic") => panic!("on purpose"),
            Some(fault) => Err(PersistError::other(fault)),
            None => Ok(()),
        }
    }

    fn saved(&self) -> Vec<Vec<u8>> {
        self.0.saved.lock().unwrap().clone()
    }

    async fn started(&self) {
        self.0.started.acquire().await.unwrap().forget();
    }
}

impl LastKnownGood for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        self.check()?;
        Ok(self.saved().pop())
    }

    async fn save(&self, document: Vec<u8>) -> Result<(), PersistError> {
        self.0.tried.lock().unwrap().push(Instant::now());
        *self.0.under_way.lock().unwrap() += 1;
        assert_eq!(*self.0.under_way.lock().unwrap(), 1, "one at a time");
        self.0.started.add_permits(1);
        self.0.permits.acquire().await.unwrap().forget();
        *self.0.under_way.lock().unwrap() -= 1;
        self.check()?;
        self.0.saved.lock().unwrap().push(document);
        Ok(())
    }

    async fn save_after_loss(&self, document: Vec<u8>) -> Result<(), PersistError> {
        let before = self.saved().pop();
        LastKnownGood::save(self, document).await?;
        self.0.previous.lock().unwrap().push(before);
        Ok(())
    }
}

fn submit(saver: &Saver, byte: u8) {
    saver.submit(move |_| Ok(vec![byte]));
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn of_documents_that_wait_only_the_latest_is_saved() {
    let store = Told::new(0);
    let saver = Saver::new(store.clone());
    submit(&saver, 1);
    store.started().await;
    for byte in 2..10 {
        submit(&saver, byte);
    }
    assert!(saver.report().last_success.is_none());
    store.0.permits.add_permits(100);
    saver.idle().await;
    assert_eq!(store.saved(), [[1], [9]]);
    assert!(saver.report().last_success.is_some() && saver.report().last_error.is_none());

    submit(&saver, 10);
    saver.idle().await;
    assert_eq!(store.saved(), [[1], [9], [10]]);
}

#[tokio::test]
async fn idle_waits_for_what_is_under_way_and_for_what_waits() {
    let store = Told::new(0);
    let saver = Arc::new(Saver::new(store.clone()));
    saver.idle().await;
    submit(&saver, 1);
    store.started().await;
    submit(&saver, 2);
    let waiting = Arc::clone(&saver);
    let idle = tokio::spawn(async move { waiting.idle().await });
    settle().await;
    assert!(!idle.is_finished());
    store.0.permits.add_permits(1);
    store.started().await;
    settle().await;
    assert!(!idle.is_finished(), "another waits");
    store.0.permits.add_permits(1);
    idle.await.unwrap();
    assert_eq!(store.saved(), [[1], [2]]);
}

#[tokio::test]
async fn a_save_that_fails_in_any_way_does_not_end_saving() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    let error = |saver: &Saver| saver.report().last_error.unwrap();
    submit(&saver, 1);
    saver.idle().await;
    let success = saver.report().last_success;

    store.fault(Some("no space"));
    submit(&saver, 2);
    saver.idle().await;
    assert_eq!(error(&saver), "the store failed: no space");
    store.fault(Some("panic"));
    submit(&saver, 3);
    saver.idle().await;
    assert!(error(&saver).contains("on purpose"), "{}", error(&saver));
    let interrupted =
        "the save or load was interrupted: its task panicked or the runtime shut down";
    assert!(error(&saver).starts_with(interrupted), "{}", error(&saver));
    store.fault(None);
    saver.submit(|_| panic!("while it is made"));
    saver.idle().await;
    assert!(error(&saver).contains("while it is made"));
    saver.submit(|packing| Err(packing.check_size(usize::MAX).unwrap_err()));
    saver.idle().await;
    assert!(error(&saver).contains("max_bytes"));
    assert_eq!(saver.report().last_success, success, "the last good one");

    submit(&saver, 4);
    saver.idle().await;
    assert!(saver.report().last_error.is_none());
    assert_eq!(store.saved(), [[1], [4]]);
}

#[tokio::test]
async fn a_saver_that_is_dropped_finishes_what_was_submitted() {
    let store = Told::new(0);
    let saver = Saver::new(store.clone());
    submit(&saver, 1);
    store.started().await;
    submit(&saver, 2);
    drop(saver);
    store.0.permits.add_permits(1);
    store.started().await;
    store.0.permits.add_permits(1);
    while store.saved().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.saved(), [[1], [2]]);
    // The task is gone, and with it the last handle.
    while Arc::strong_count(&store.0) > 1 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_runtime_that_ends_during_a_save_leaves_the_saver_usable() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let store = Told::new(0);
    let saver = Saver::new(store.clone());
    let first = runtime();
    first.block_on(async {
        saver.submit_after_loss(|_| Ok(vec![1]));
        store.started().await;
    });
    drop(first);
    *store.0.under_way.lock().unwrap() = 0;
    store.0.permits.add_permits(100);
    runtime().block_on(async {
        let guard = Duration::from_secs(20);
        let idle = tokio::time::timeout(guard, saver.idle()).await;
        assert!(idle.is_ok(), "it waits for what has ended");
        submit(&saver, 2);
        saver.idle().await;
    });
    assert_eq!(store.saved(), [[2]]);
    let previous = store.0.previous.lock().unwrap().len();
    assert_eq!(previous, 1, "the loss was not saved before");
}

#[tokio::test]
async fn what_is_saved_is_loaded_and_a_bad_store_is_an_error() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    assert!(saver.load(LIMIT).await.unwrap().is_none());
    let set = FlagSet::from([Flag::boolean("new", true)]);
    let provenance = Provenance {
        source: "memory".to_owned(),
        identity: Identity::of("memory"),
        saved_at: SystemTime::UNIX_EPOCH + Duration::from_millis(5),
        id: 3,
    };
    let (kept, from) = (set.clone(), provenance.clone());
    saver.submit(move |packing| encode(&kept, &from, packing));
    saver.idle().await;
    assert_eq!(
        saver.load(LIMIT).await.unwrap().unwrap(),
        Saved { set, provenance }
    );

    submit(&saver, 1);
    saver.idle().await;
    assert_eq!(
        saver.load(LIMIT).await.unwrap_err().kind(),
        PersistErrorKind::Foreign
    );
    for fault in ["no space", "panic"] {
        store.fault(Some(fault));
        assert_eq!(
            saver.load(LIMIT).await.unwrap_err().kind(),
            PersistErrorKind::Other
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_fails_is_repeated_ever_more_seldom_until_it_succeeds() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    store.fault(Some("no space"));
    submit(&saver, 1);
    sleep(Duration::from_secs(600)).await;
    assert!(saver.report().last_error.is_some());
    let tried = store.0.tried.lock().unwrap().clone();
    let gaps = tried
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64());
    let gaps: Vec<_> = gaps.collect();
    for (gap, wait) in gaps
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
    {
        assert!((wait * 0.79..=wait * 1.21).contains(gap), "{gaps:?}");
    }
    assert!((12..=18).contains(&tried.len()), "{gaps:?}");

    store.fault(Some("panic"));
    sleep(Duration::from_secs(100)).await;
    store.fault(None);
    sleep(Duration::from_secs(73)).await;
    assert_eq!(store.saved(), [[1]]);
    assert_eq!(saver.report().last_error, None);
    let tried = store.0.tried.lock().unwrap().len();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(store.0.tried.lock().unwrap().len(), tried, "saved is saved");
}

#[tokio::test(start_paused = true)]
async fn something_newer_or_an_end_does_not_wait_for_a_repeat() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    store.fault(Some("no space"));
    submit(&saver, 1);
    sleep(Duration::from_secs(300)).await;
    store.fault(None);
    let before = Instant::now();
    submit(&saver, 2);
    saver.idle().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(store.saved(), [[2]], "the older one is not saved any more");

    store.fault(Some("no space"));
    submit(&saver, 3);
    sleep(Duration::from_secs(300)).await;
    store.fault(None);
    let before = Instant::now();
    saver.idle().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(store.saved(), [[2], [3]], "tried once more");

    // With nobody there it is not tried for ever.
    store.fault(Some("no space"));
    submit(&saver, 4);
    sleep(Duration::from_secs(300)).await;
    let tried = store.0.tried.lock().unwrap().len();
    drop(saver);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(store.0.tried.lock().unwrap().len(), tried + 1);
    assert_eq!(Arc::strong_count(&store.0), 1, "the task is gone");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_made_is_not_made_again() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    let made = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&made);
    saver.submit(move |packing| {
        *counts.lock().unwrap() += 1;
        Err(packing.check_size(usize::MAX).unwrap_err())
    });
    sleep(Duration::from_secs(600)).await;
    assert_eq!(
        (*made.lock().unwrap(), saver.report().last_error.is_some()),
        (1, true)
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_what_was_saved_before_is_kept_however_often_that_fails() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    submit(&saver, 1);
    saver.idle().await;
    store.fault(Some("no space"));
    saver.submit_after_loss(|_| Ok(vec![2]));
    sleep(Duration::from_secs(10)).await;
    // Other flags changed meanwhile; the loss has not been saved yet.
    submit(&saver, 3);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.0.previous.lock().unwrap().len(), 0);
    store.fault(None);
    saver.idle().await;
    assert_eq!(store.saved(), [[1], [3]]);
    assert_eq!(*store.0.previous.lock().unwrap(), [Some(vec![1])]);
    submit(&saver, 4);
    saver.idle().await;
    assert_eq!(store.0.previous.lock().unwrap().len(), 1, "once for a loss");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_when_loading() {
    struct Hangs;
    impl LastKnownGood for Hangs {
        fn name(&self) -> String {
            "hangs".to_owned()
        }

        async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
            std::future::pending().await
        }

        async fn save(&self, _: Vec<u8>) -> Result<(), PersistError> {
            Ok(())
        }
    }
    let before = Instant::now();
    let error = Saver::new(Hangs).load(LIMIT).await.unwrap_err();
    assert_eq!(before.elapsed(), LIMIT);
    assert!(error.to_string().contains("within 5s"), "{error}");
}

/// Runs a test on a thread of its own, which is left behind if it hangs.
fn guarded(test: impl FnOnce() + Send + 'static) {
    let (ends, ended) = mpsc::channel();
    thread::spawn(move || {
        test();
        let _ = ends.send(());
    });
    let outcome = ended.recv_timeout(Duration::from_secs(30));
    assert_eq!(outcome, Ok(()), "it hangs, or panicked");
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn two_threads() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

#[test]
fn a_document_submitted_while_the_runtime_shuts_down_blocks_nobody() {
    guarded(|| {
        let runtime = two_threads();
        let saver = Arc::new(Saver::new(Told::new(1_000)));
        let (closes, closed) = mpsc::channel();
        runtime.spawn(async move {
            let _closing = OnDrop(move || _ = closes.send(()));
            std::future::pending::<()>().await;
        });
        let (starts, started) = mpsc::channel();
        let submitting = Arc::clone(&saver);
        runtime.spawn(async move {
            starts.send(()).unwrap();
            // Once the runtime drops its tasks, it drops new ones at once.
            closed.recv().unwrap();
            submit(&submitting, 1);
        });
        started.recv().unwrap();
        drop(runtime);
        assert!(saver.report().last_success.is_none());
        two_threads().block_on(async {
            submit(&saver, 2);
            saver.idle().await;
        });
        assert!(saver.report().last_success.is_some());
    });
}

#[test]
fn a_replaced_document_is_freed_elsewhere_and_not_under_the_lock() {
    guarded(|| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let store = Told::new(0);
        let saver = Arc::new(Saver::new(store.clone()));
        let (frees, freed) = mpsc::channel();
        runtime.block_on(async {
            submit(&saver, 1);
            store.started().await;
            let reports = Arc::clone(&saver);
            let large = OnDrop(move || {
                reports.report();
                submit_nothing(&reports);
                let _ = frees.send(thread::current().id());
            });
            saver.submit(move |_| {
                let _large = &large;
                Ok(vec![2])
            });
            submit(&saver, 3);
        });
        assert_ne!(freed.recv().unwrap(), thread::current().id());
    });
}

/// Takes the lock.
fn submit_nothing(saver: &Saver) {
    drop(Ending::new(&saver.shared));
}

#[tokio::test]
async fn a_loss_marks_its_own_document_and_not_the_one_that_is_being_made() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    let (makes, making) = tokio::sync::oneshot::channel();
    let (go_on, waits) = mpsc::channel();
    saver.submit(move |_| {
        makes.send(()).unwrap();
        waits.recv().unwrap();
        Ok(vec![1])
    });
    making.await.unwrap();
    saver.submit_after_loss(|_| Ok(vec![2]));
    go_on.send(()).unwrap();
    saver.idle().await;
    assert_eq!(store.saved(), [[1], [2]]);
    assert_eq!(*store.0.previous.lock().unwrap(), [Some(vec![1])]);
}

#[tokio::test]
async fn a_loss_whose_document_is_not_saved_marks_the_next_one() {
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    submit(&saver, 1);
    saver.idle().await;
    saver.submit_after_loss(|packing| Err(packing.check_size(usize::MAX).unwrap_err()));
    saver.idle().await;
    submit(&saver, 2);
    saver.idle().await;
    store.fault(Some("no space"));
    saver.submit_after_loss(|_| Ok(vec![3]));
    saver.idle().await;
    store.fault(None);
    submit(&saver, 4);
    saver.idle().await;
    submit(&saver, 5);
    saver.idle().await;
    assert_eq!(store.saved(), [[1], [2], [4], [5]]);
    let previous = store.0.previous.lock().unwrap().clone();
    assert_eq!(previous, [Some(vec![1]), Some(vec![2])]);

    // Of documents that wait only the latest is saved, for all of them.
    store.0.permits.forget_permits(1_000);
    let tried = store.0.tried.lock().unwrap().len();
    submit(&saver, 6);
    while store.0.tried.lock().unwrap().len() == tried {
        tokio::task::yield_now().await;
    }
    saver.submit_after_loss(|_| Ok(vec![7]));
    submit(&saver, 8);
    store.0.permits.add_permits(1_000);
    saver.idle().await;
    let previous = store.0.previous.lock().unwrap().clone();
    assert_eq!(previous[2..], [Some(vec![6])]);
}

thread_local! {
    /// What was logged on this thread, which is the test's own.
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is logged, for each thread. It is there for all tests: one for a
/// thread alone would miss events that another thread came across first.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("vexilla_core::persist")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        LOG.with_borrow_mut(|log| log.push(line.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Starts to log.
fn log() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_save_that_hangs_is_reported_until_it_ends() {
    log();
    let store = Told::new(0);
    let saver = Saver::new(store.clone());
    submit(&saver, 1);
    sleep(Duration::from_secs(29)).await;
    assert_eq!(saver.report().last_error, None);
    // Another one waits for its end.
    submit(&saver, 2);
    sleep(Duration::from_secs(300)).await;
    let error = saver.report().last_error.unwrap();
    assert!(
        error.contains("has not finished for more than 30s"),
        "{error}"
    );
    assert_eq!(store.0.tried.lock().unwrap().len(), 1);
    store.0.permits.add_permits(2);
    saver.idle().await;
    assert_eq!(saver.report().last_error, None);
    assert_eq!(store.saved(), [[1], [2]]);
    let lines = LOG.take();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("has not finished") && lines[0].contains("WARN"));
    assert!(lines[1].contains("saved again"));
}

#[tokio::test]
async fn a_failure_is_logged_once_until_it_changes_or_ends() {
    log();
    let store = Told::new(1_000);
    let saver = Saver::new(store.clone());
    for fault in [
        None,
        Some("no space"),
        Some("no space"),
        Some("read-only"),
        Some("read-only"),
        None,
        None,
    ] {
        store.fault(fault);
        submit(&saver, 1);
        saver.idle().await;
    }
    let lines = LOG.take();
    let told = |line: &str, parts: [&str; 2]| parts.iter().all(|part| line.contains(part));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(told(&lines[0], ["WARN", "no space"]), "{lines:#?}");
    assert!(told(&lines[1], ["WARN", "read-only"]), "{lines:#?}");
    assert!(told(&lines[2], ["INFO", "saved again"]), "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("store=\"told\"")));
}
