//! An odd set of flags does not stop the refreshing, nor keep a runtime from
//! ending.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::{MemorySource, Source, SourceErrorKind};
use vexilla_core::{Context, Filter, Limits, SourceError, Vexilla};

fn flags(count: usize, value: bool) -> FlagSet {
    (0..count)
        .map(|n| Flag::boolean(format!("flag-{n}"), value))
        .collect()
}

fn is_on(vexilla: &Vexilla) -> bool {
    vexilla.flags(Context::new("u")).bool("flag-0")
}

#[tokio::test]
async fn a_set_of_too_many_flags_is_refused_and_those_in_use_stay() {
    let source = MemorySource::new(flags(10, true));
    let builder = Vexilla::builder(source.clone()).limits(Limits::new().flags(10));
    let vexilla = builder.build().await.unwrap();
    source.update(|held| *held = flags(11, false));
    let error = vexilla.refresh().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::TooLarge);
    let status = vexilla.status();
    let shown = status.last_error.unwrap();
    assert!(
        shown.contains("11 flags are more than the limit of 10"),
        "{shown}"
    );
    assert!(is_on(&vexilla));
    assert_eq!(status.flags, 10);

    source.update(|held| *held = flags(9, false));
    assert!(vexilla.refresh().await.unwrap());
    assert!(!is_on(&vexilla));
    assert_eq!(vexilla.status().last_error, None);
}

#[tokio::test]
async fn compiling_that_takes_too_long_is_an_error_and_the_loop_goes_on() {
    let source = MemorySource::new(flags(10, false));
    let builder = Vexilla::builder(source.clone())
        .limits(Limits::new().compile_time(Duration::ZERO))
        .embedded(flags(10, true));
    let vexilla = builder.build().await.unwrap();
    for failures in 1..5 {
        let error = vexilla.refresh().await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::CompileTimeout);
        let status = vexilla.status();
        assert!(status.last_error.unwrap().contains("Limits::compile_time"));
        assert!(status.consecutive_failures > failures);
        assert!(is_on(&vexilla), "the embedded flags stay");
    }
    // What needs no compiling is no error.
    source.update(|held| *held = flags(0, false));
    assert!(vexilla.refresh().await.is_ok());
}

/// A source that reports when it is dropped.
struct Telling {
    flags: MemorySource,
    dropped: Mutex<mpsc::Sender<()>>,
}

impl Source for Telling {
    fn name(&self) -> String {
        self.flags.name()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.flags.fetch().await
    }

    async fn changed(&self) {
        self.flags.changed().await;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = self.dropped.lock().unwrap().send(());
    }
}

/// Drops a runtime while 10,000 flags are compiled in it, the first of which takes
/// until the loop has gone; tells how many more were looked at.
fn compiled_after_the_end_of(runtime: Runtime) -> usize {
    let (dropped, is_dropped) = mpsc::channel();
    let (compiling, is_compiling) = mpsc::channel();
    let is_dropped = Mutex::new(is_dropped);
    let looked_at = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looked_at);
    let filter = Filter::new().with(move |flag| {
        if flag.key == "gate" {
            compiling.send(()).unwrap();
            is_dropped.lock().unwrap().recv().unwrap();
        } else {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        true
    });
    let flags_of_source = MemorySource::new(flags(1, true));
    let source = Telling {
        flags: flags_of_source.clone(),
        dropped: Mutex::new(dropped),
    };
    let builder = Vexilla::builder(source).filter(filter);
    let vexilla = runtime.block_on(builder.build()).unwrap();
    assert_eq!(looked_at.swap(0, Ordering::Relaxed), 1);
    runtime.block_on(async {
        flags_of_source.update(|held| {
            held.flags = vec![Flag::new("gate")];
            held.flags.extend(flags(10_000, true).flags);
        });
        vexilla.hint();
        while is_compiling.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
    });
    drop(runtime);
    assert!(is_on(&vexilla), "the flags stay");
    looked_at.load(Ordering::Relaxed)
}

#[test]
fn a_runtime_that_ends_does_not_wait_for_a_compilation() {
    let here = Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(compiled_after_the_end_of(here), 0);
    let elsewhere = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(compiled_after_the_end_of(elsewhere), 0);
}

#[tokio::test]
async fn the_last_reader_of_replaced_flags_does_not_free_them() {
    let source = MemorySource::new(flags(10, true));
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    let reader = vexilla.flags(Context::new("u"));
    let known = Arc::downgrade(reader.snapshot());
    source.update(|held| *held = flags(10, false));
    assert!(vexilla.refresh().await.unwrap());
    assert!(!is_on(&vexilla) && reader.bool("flag-0"));
    drop(reader);
    assert!(known.strong_count() > 0, "the store does, at a check");
    vexilla.refresh().await.unwrap();
    while known.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}
