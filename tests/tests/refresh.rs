//! The refreshing, in paused time: when it fetches, what it keeps, how it ends.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use vexilla_core::flag::Flag;
use vexilla_core::{Context, FlagSet, Source, SourceError, Vexilla};

/// A source that tells when it was asked.
#[derive(Clone, Default)]
struct Scripted {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    fetches: AtomicUsize,
    times: Mutex<Vec<Instant>>,
    /// Fetches from this one on fail…
    fails_from: AtomicUsize,
    /// …until this one.
    fails_until: AtomicUsize,
    changed: Notify,
    fetched: Notify,
}

impl Source for Scripted {
    fn name(&self) -> String {
        "a script".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let number = self.inner.fetches.fetch_add(1, Ordering::SeqCst);
        self.inner.times.lock().unwrap().push(Instant::now());
        self.inner.fetched.notify_one();
        let (from, until) = (&self.inner.fails_from, &self.inner.fails_until);
        if (from.load(Ordering::SeqCst)..until.load(Ordering::SeqCst)).contains(&number) {
            return Err(SourceError::other("scripted"));
        }
        Ok(FlagSet::from([Flag::boolean("even", number % 2 == 0)]))
    }

    async fn changed(&self) {
        self.inner.changed.notified().await;
    }
}

impl Scripted {
    fn fails(from: usize, until: usize) -> Self {
        let source = Self::default();
        source.inner.fails_from.store(from, Ordering::SeqCst);
        source.inner.fails_until.store(until, Ordering::SeqCst);
        source
    }

    /// Waits for the next fetch.
    async fn fetched(&self) {
        self.inner.fetched.notified().await;
    }
}

async fn start(source: &Scripted) -> Vexilla {
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    source.fetched().await;
    vexilla
}

#[tokio::test(start_paused = true)]
async fn flags_are_fetched_at_the_interval_give_or_take() {
    let source = Scripted::default();
    let _vexilla = start(&source).await;
    for _ in 0..20 {
        source.fetched().await;
    }
    let times = source.inner.times.lock().unwrap();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (least, most) = (Duration::from_millis(8_999), Duration::from_millis(11_005));
    assert!(gaps.iter().all(|gap| (least..most).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "no two services in step");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_source_tells_of_is_fetched_at_once() {
    let source = Scripted::default();
    let vexilla = start(&source).await;
    assert!(vexilla.flags(Context::new("u")).bool("even"));
    let before = Instant::now();
    source.inner.changed.notify_one();
    source.fetched().await;
    assert_eq!(Instant::now(), before, "without waiting for the interval");
}

#[tokio::test(start_paused = true)]
async fn failures_keep_the_flags_and_the_fetching_goes_on() {
    let source = Scripted::fails(1, 4);
    let vexilla = start(&source).await;
    for _ in 0..4 {
        assert!(vexilla.flags(Context::new("u")).bool("even"), "those of the first fetch");
        source.fetched().await;
    }
    // The fourth succeeds; wait until what it brought is served.
    while vexilla.is_stale() {
        tokio::task::yield_now().await;
    }
    assert!(vexilla.flags(Context::new("u")).bool("even"));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_source_fails_unless_that_is_meant() {
    let refused = Vexilla::builder(Scripted::fails(0, 1)).build().await;
    assert!(refused.unwrap_err().to_string().contains("scripted"));

    let source = Scripted::fails(0, 1);
    let vexilla = Vexilla::builder(source.clone())
        .start_without_flags()
        .build()
        .await
        .unwrap();
    assert!(vexilla.is_stale() && vexilla.snapshot().is_empty());
    assert!(vexilla.flags(Context::new("u")).bool_or("even", true));
    assert!(vexilla.refresh().await.unwrap());
    assert!(!vexilla.is_stale() && !vexilla.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_fetching() {
    let source = Scripted::default();
    let alive = Arc::downgrade(&source.inner);
    let vexilla = start(&source).await;
    let clone = vexilla.clone();
    drop(vexilla);
    source.fetched().await;
    drop(source);
    assert!(alive.upgrade().is_some(), "a clone is left");
    drop(clone);
    while alive.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn overrides_outlive_a_refresh() {
    let source = Scripted::default();
    let vexilla = start(&source).await;
    vexilla.set_overrides(vexilla_core::Overrides::new().set("even", true));
    assert!(vexilla.refresh().await.unwrap());
    assert!(vexilla.flags(Context::new("u")).bool("even"));
    vexilla.set_overrides(vexilla_core::Overrides::new());
    assert!(!vexilla.flags(Context::new("u")).bool("even"));
}
