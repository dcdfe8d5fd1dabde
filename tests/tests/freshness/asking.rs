//! The loop goes on, whatever a source does, and asks no more than it must.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::Source;
use vexilla_core::{Level, SourceError, Vexilla};
use vexilla_tests::model::{Fault, Model, Replica, Route};

use super::{SECOND, SETTLED, current, start, three, toggle, until, with_flags};

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
        assert_eq!(
            was.breaker,
            vexilla_core::status::BreakerState::Open,
            "{status}"
        );
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
async fn a_thousand_refreshes_at_once_on_several_threads_are_at_most_two_fetches() {
    let model = Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]);
    let model = with_flags(model, 3);
    let (gate, opened) = tokio::sync::watch::channel(true);
    let slow = Slow {
        model: model.clone(),
        opened,
    };
    let vexilla = Vexilla::builder(slow).build().await.unwrap();
    // The next answer comes when all have asked.
    let asked = Arc::new(AtomicUsize::new(0));
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
    println!("1,000 refreshes on several threads: {fetches} fetches");
    // The first may ask alone; all others, who ask while that fetch is under
    // way, share the next one.
    assert!((1..=2).contains(&fetches), "{fetches}");
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
