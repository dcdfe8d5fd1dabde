//! The refreshing, in paused time: when it fetches, what it keeps, how it ends.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod log;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::{log, logged};
use tokio::sync::Notify;
use tokio::time::Instant;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment};
use vexilla_core::source::{MemorySource, Source};
use vexilla_core::{Context, Reason, SourceError, Vexilla};

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
        Ok(FlagSet::from([Flag::boolean(
            "even",
            number.is_multiple_of(2),
        )]))
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

/// Waits until something is so, for less than an interval. Flags are compiled
/// on a thread of their own; paused time waits for it.
async fn until(so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came");
}

async fn start(source: &Scripted) -> Vexilla {
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    source.fetched().await;
    vexilla
}

#[tokio::test(start_paused = true)]
async fn flags_are_fetched_at_the_interval_give_or_take() {
    let source = Scripted::default();
    let never = Duration::from_secs(u32::MAX.into());
    let _vexilla = Vexilla::builder(source.clone())
        .full_refresh_interval(never)
        .build()
        .await
        .unwrap();
    source.fetched().await;
    for _ in 0..20 {
        source.fetched().await;
    }
    let times = source.inner.times.lock().unwrap();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The first is a random part of one, so that a fleet does not march in step.
    let (first, gaps) = gaps.split_first().unwrap();
    assert!(*first < Duration::from_millis(10_005), "{first:?}");
    let (least, most) = (Duration::from_millis(8_999), Duration::from_millis(11_005));
    assert!(
        gaps.iter().all(|gap| (least..most).contains(gap)),
        "{gaps:?}"
    );
    assert!(
        gaps.iter().any(|gap| *gap != gaps[0]),
        "no two services in step"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_source_tells_of_is_fetched_at_once() {
    let source = Scripted::default();
    let vexilla = start(&source).await;
    assert!(vexilla.flags(Context::new("u")).bool("even"));
    let before = Instant::now();
    source.inner.changed.notify_one();
    source.fetched().await;
    let waited = before.elapsed();
    assert!(
        waited <= Duration::from_millis(6),
        "{waited:?}, not the interval"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_keep_the_flags_and_the_fetching_goes_on() {
    let source = Scripted::fails(1, 4);
    let vexilla = start(&source).await;
    for _ in 0..4 {
        assert!(
            vexilla.flags(Context::new("u")).bool("even"),
            "those of the first fetch"
        );
        source.fetched().await;
    }
    // The fourth succeeds; wait until what it brought is served.
    until(|| !vexilla.is_stale()).await;
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
    until(|| alive.upgrade().is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn flags_that_were_read_outlive_the_fetching() {
    let source = Scripted::default();
    let alive = Arc::downgrade(&source.inner);
    let vexilla = start(&source).await;
    let flags = vexilla.flags(Context::new("u"));
    let pinned = vexilla.pin();
    drop((source, vexilla));
    until(|| alive.upgrade().is_none()).await;
    assert!(flags.bool("even") && pinned.flags(Context::new("u")).bool("even"));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_a_fetch_under_way() {
    /// Gives flags once, then never answers.
    struct Hanging(Arc<AtomicUsize>);

    impl Source for Hanging {
        fn name(&self) -> String {
            "hanging".to_owned()
        }

        async fn fetch(&self) -> Result<FlagSet, SourceError> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(FlagSet::default()),
                _ => pending().await,
            }
        }

        async fn changed(&self) {}
    }

    let fetches = Arc::new(AtomicUsize::new(0));
    let vexilla = Vexilla::builder(Hanging(Arc::clone(&fetches)));
    let vexilla = vexilla.build().await.unwrap();
    until(|| fetches.load(Ordering::SeqCst) == 2).await;
    drop(vexilla);
    until(|| Arc::strong_count(&fetches) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_in_memory_is_fetched_at_once_by_all_that_share_it() {
    let source = MemorySource::new([Flag::boolean("new", false)]);
    let one = Vexilla::builder(source.clone()).build().await.unwrap();
    let other = Vexilla::builder(source.clone()).build().await.unwrap();
    let before = Instant::now();
    for value in [true, false, true] {
        source.update(|set| set.flags = vec![Flag::boolean("new", value)]);
        for vexilla in [&one, &other] {
            until(|| vexilla.flags(Context::new("u")).bool("new") == value).await;
        }
    }
    let least = Duration::from_secs(9);
    assert!(before.elapsed() < least, "without waiting for the interval");
}

#[tokio::test(start_paused = true)]
async fn a_bad_flag_is_left_by_itself_and_logged_once() {
    log();
    let bad = |value: &str| {
        let constraint = Constraint::new("country", "EQ", value);
        let segment = Segment::new().rollout(100).constraint(constraint);
        Flag::new("bad").enabled(true).segment(segment)
    };
    let set = |bad, good| FlagSet::from([bad, Flag::boolean("good", good)]);

    let source = MemorySource::new(set(bad("BR"), true));
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.bool("good") && flags.bool_or("bad", true));
    assert_eq!(flags.evaluate("bad").reason(), Reason::Error);
    let message = "a flag cannot be evaluated";
    assert_eq!(logged(message), 1);
    assert_eq!(logged("flag=\"bad\""), 1);

    assert!(!vexilla.refresh().await.unwrap());
    source.update(|held| *held = set(bad("BR"), false));
    assert!(vexilla.refresh().await.unwrap());
    assert!(!vexilla.flags(Context::new("u")).bool("good"));
    assert_eq!(logged(message), 1, "the problem is known");

    source.update(|held| *held = set(bad("BR OR"), false));
    assert!(vexilla.refresh().await.unwrap());
    assert_eq!(logged(message), 2, "another problem");

    source.update(|held| *held = set(bad("\"BR\""), false));
    assert!(vexilla.refresh().await.unwrap());
    assert_eq!(
        vexilla.flags(Context::new("u")).evaluate("bad").error(),
        None
    );
    source.update(|held| *held = set(bad("BR"), false));
    assert!(vexilla.refresh().await.unwrap());
    assert_eq!(logged(message), 3, "it came back");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_logged_with_what_is_still_held() {
    log();
    let source = Scripted::fails(1, 2);
    let vexilla = start(&source).await;
    vexilla.refresh().await.unwrap_err();
    assert_eq!(logged("the check failed"), 1);
    assert_eq!(logged("flags=1"), 2, "the flags that came, and that stay");
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

#[tokio::test(start_paused = true)]
async fn a_source_whose_names_and_limits_panic_is_read_all_the_same() {
    struct Panicking;

    impl Source for Panicking {
        fn name(&self) -> String {
            panic!("no name")
        }

        fn identity(&self) -> String {
            panic!("no identity")
        }

        fn timeouts(&self) -> vexilla_core::source::SourceTimeouts {
            panic!("no limits")
        }

        async fn fetch(&self) -> Result<FlagSet, SourceError> {
            Ok([Flag::boolean("on", true)].into())
        }
    }

    let vexilla = Vexilla::builder(Panicking).build().await.unwrap();
    assert!(vexilla.flags(Context::new("u")).bool("on"));
    assert!(!vexilla.refresh().await.unwrap());
    let status = vexilla.status();
    assert_eq!(
        (status.level, status.last_error),
        (vexilla_core::Level::Live, None)
    );
}
