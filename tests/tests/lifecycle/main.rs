//! From the start to the end of a service's flags, on real sockets: what is
//! served when the server is down at the start, what a shutdown waits for, and
//! that nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod start;
mod waiting;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use vexilla_core::flag::Flag;
use vexilla_core::persist::{LastKnownGood, PersistError};
use vexilla_core::source::SourceErrorKind;
use vexilla_core::{Context, FlagrSource, LastKnownGoodFile, Level, Vexilla, VexillaBuilder};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr, GUARD, Route, key};

/// Tells a process that it has but one test to run.
const ALONE: &str = "VEXILLA_TESTS_ALONE";
const HOUR: Duration = Duration::from_secs(3_600);

fn source(server: &FakeFlagr) -> FlagrSource {
    let builder = FlagrSource::builder(&server.url())
        .timeout(HOUR)
        .latest_timeout(HOUR);
    builder.build().unwrap()
}

fn at(server: &FakeFlagr) -> VexillaBuilder {
    of(source(server))
}

fn of(source: FlagrSource) -> VexillaBuilder {
    Vexilla::builder(source)
        .poll_interval(Duration::from_millis(20))
        .slow_retry_interval(Duration::from_millis(20))
}

/// Waits until the server has no open connections.
async fn until_alone(server: &FakeFlagr) {
    let mut counts = server.watch();
    let alone = counts.wait_for(|counts| counts.open == 0);
    timeout(GUARD, alone).await.unwrap().unwrap();
}

/// Lets requests hang, and waits for one that does.
async fn hang(server: &FakeFlagr) {
    let hanging = Arc::new(Notify::new());
    let hangs = Arc::clone(&hanging);
    server.spoil(Route::MaxId, move |_| {
        hangs.notify_one();
        Answer::silence()
    });
    timeout(GUARD, hanging.notified()).await.unwrap();
}

/// Waits until so many tasks are alive.
async fn until_tasks(tasks: usize) {
    let waiting = async {
        while Handle::current().metrics().num_alive_tasks() != tasks {
            tokio::task::yield_now().await;
        }
    };
    timeout(GUARD, waiting).await.unwrap();
}

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn copy(&self) -> LastKnownGoodFile {
        LastKnownGoodFile::new(self.0.join("flags"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Saves when it is let.
#[derive(Clone, Default)]
struct Slow {
    saved: Arc<AtomicUsize>,
    leave: Arc<Notify>,
}

impl LastKnownGood for Slow {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        Ok(None)
    }

    async fn save(&self, _: Vec<u8>) -> Result<(), PersistError> {
        self.leave.notified().await;
        self.saved.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_shutdown_completes_a_save_under_way() {
    let server = FakeFlagr::healthy(3).unwrap();
    let slow = Slow::default();
    let vexilla = at(&server)
        .last_known_good(slow.clone())
        .build()
        .await
        .unwrap();
    let start = Instant::now();
    loop {
        let report = vexilla.shutdown(Duration::from_millis(10)).await;
        assert!(!report.saved, "the store has not let go");
        if report.ended {
            break;
        }
        assert!(start.elapsed() < GUARD);
    }
    assert_eq!(slow.saved.load(Ordering::SeqCst), 0);
    until_alone(&server).await;

    slow.leave.notify_one();
    let report = vexilla.shutdown(GUARD).await;
    assert!(report.ended && report.saved);
    assert_eq!(slow.saved.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_save_under_way_is_completed_when_the_last_handle_is_dropped() {
    let server = FakeFlagr::healthy(3).unwrap();
    let slow = Slow::default();
    let tasks = Handle::current().metrics().num_alive_tasks();
    drop(
        at(&server)
            .last_known_good(slow.clone())
            .build()
            .await
            .unwrap(),
    );
    until_alone(&server).await;
    slow.leave.notify_one();
    until_tasks(tasks).await;
    assert_eq!(slow.saved.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_server_that_hangs() {
    let server = FakeFlagr::healthy(3).unwrap();
    let vexilla = at(&server).build().await.unwrap();
    hang(&server).await;

    let waits = vexilla.clone();
    let waits = tokio::spawn(async move { waits.refresh().await });
    tokio::task::yield_now().await;
    let report = vexilla.shutdown(GUARD).await;
    assert!(report.ended && report.saved);
    let error = timeout(GUARD, waits).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::ShutDown);
    until_alone(&server).await;
}

#[tokio::test]
async fn flags_answer_after_a_shutdown_and_nothing_is_asked_any_more() {
    let server = FakeFlagr::healthy(3).unwrap();
    let vexilla = at(&server).build().await.unwrap();
    let other = vexilla.clone();
    for _ in 0..2 {
        let report = vexilla.shutdown(GUARD).await;
        assert!(report.ended && report.saved);
    }
    until_alone(&server).await;
    let before = server.counts();
    server.edit(|database| database.set(1, 1));
    for handle in [&vexilla, &other] {
        let error = timeout(GUARD, handle.refresh()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::ShutDown);
        handle.hint();
        let flags = handle.flags(Context::new("visitor"));
        assert_eq!(flags.int_or(&key(1), -1), 0);
        assert_eq!(handle.status().flags, 3);
    }
    assert_eq!(server.counts(), before);
}

#[tokio::test]
async fn flags_do_not_stay_live_after_a_shutdown() {
    let server = FakeFlagr::healthy(3).unwrap();
    let vexilla = at(&server).build().await.unwrap();
    assert!(vexilla.shutdown(GUARD).await.ended);
    let start = Instant::now();
    while vexilla.status().level == Level::Live {
        assert!(start.elapsed() < GUARD);
        tokio::task::yield_now().await;
    }
    assert_eq!(vexilla.status().level, Level::Stale);
    assert!(vexilla.is_stale());
    assert_eq!(
        vexilla.flags(Context::new("visitor")).int_or(&key(1), -1),
        0
    );

    vexilla.replace([Flag::boolean("ours", true)]);
    assert_eq!(vexilla.status().level, Level::Stale);
    let flags = vexilla.flags(Context::new("visitor"));
    assert!(
        flags.bool("ours"),
        "asking for the status takes nothing away"
    );
}

#[tokio::test]
async fn dropping_the_last_handle_ends_task_and_connections() {
    for hangs in [false, true] {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let server = FakeFlagr::healthy(3).unwrap();
        let vexilla = at(&server).build().await.unwrap();
        let clone = vexilla.clone();
        drop(vexilla);
        let (mut counts, before) = (server.watch(), server.counts().max_id);
        let asked = counts.wait_for(|counts| counts.max_id >= before + 2);
        timeout(GUARD, asked).await.unwrap().unwrap();
        // The second request may come before the first's connection is free.
        assert!(server.counts().connections <= 2, "kept alive");
        if hangs {
            hang(&server).await;
        }
        assert!(server.counts().open > 0);
        drop(clone);
        until_alone(&server).await;
        until_tasks(tasks).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_refreshes_at_once_are_at_most_two_fetches() {
    let server = FakeFlagr::healthy(3).unwrap();
    let vexilla = at(&server).poll_interval(HOUR).build().await.unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    server.spoil(Route::Export, move |healthy| {
        // Until the other end is dropped.
        let _ = released.lock().unwrap().recv();
        healthy
    });
    server.edit(|database| database.set(1, 1));
    let before = server.counts().export;
    let asked = Arc::new(Semaphore::new(0));
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (vexilla, asked) = (vexilla.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut refresh = pin!(vexilla.refresh());
                let early = poll_fn(|task| Poll::Ready(refresh.as_mut().poll(task))).await;
                assert!(early.is_pending());
                asked.add_permits(1);
                refresh.await
            })
        })
        .collect();
    let all = timeout(GUARD, asked.acquire_many(1_000)).await;
    drop(all.unwrap().unwrap());
    drop(release);
    let mut changed = 0;
    for task in tasks {
        changed += u32::from(timeout(GUARD, task).await.unwrap().unwrap().unwrap());
    }
    assert!(changed > 0);
    // The first may ask alone; all others, who ask while that fetch is under
    // way, share the next one.
    let fetches = server.counts().export - before;
    assert!((1..=2).contains(&fetches), "{fetches}");
    assert_eq!(
        vexilla.flags(Context::new("visitor")).int_or(&key(1), -1),
        1
    );
}

/// What a process holds.
#[cfg(target_os = "linux")]
fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "descriptors are counted on Linux only"
)]
fn thousands_of_starts_leave_nothing_behind() {
    // Other tests have tasks and descriptors, too.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["starts_and_stops", "--exact", "--ignored", "--nocapture"])
        .env(ALONE, "")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    println!("{told}");
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{errors}");
    assert!(told.contains("2000 starts"), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "thousands_of_starts_leave_nothing_behind starts it"]
fn starts_and_stops() {
    const BATCHES: usize = 20;
    const STARTS: usize = 100;
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let folder = Folder::new("starts");
    let server = FakeFlagr::healthy(3).unwrap();
    let mut before = None;
    for batch in 1..=BATCHES {
        runtime.block_on(async {
            let mut source = source(&server);
            for number in 0..STARTS {
                if number % 5 == 0 {
                    // Clients are costly where nothing is optimized.
                    source = self::source(&server);
                }
                let mut builder = of(source.clone()).poll_interval(HOUR);
                if number % 2 == 0 {
                    builder = builder.last_known_good(folder.copy());
                }
                let vexilla = builder.build().await.unwrap();
                if number % 4 < 2 {
                    assert!(vexilla.shutdown(GUARD).await.ended);
                }
            }
            drop(source);
            until_alone(&server).await;
            until_tasks(0).await;
        });
        let (descriptors, threads) = held();
        if batch % 5 == 0 {
            println!(
                "{} starts: {descriptors} descriptors, {threads} threads, 0 tasks",
                batch * STARTS
            );
        }
        // The first batch makes what the runtime keeps.
        let (known, most) = *before.get_or_insert((descriptors, threads + 2));
        assert_eq!(descriptors, known, "after batch {batch}");
        assert!(threads <= most, "{threads} threads after batch {batch}");
    }
}
