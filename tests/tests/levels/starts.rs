//! How long a start waits: for the source, and for the save of what it gave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use vexilla_core::Level;
use vexilla_core::flag::Flag;
use vexilla_core::persist::{LastKnownGood, PersistError};
use vexilla_core::source::SourceErrorKind;
use vexilla_tests::model::{Fault, Route};

use super::log::{log, logged};
use super::{SECOND, builder, is_on, model, until};

const HALF: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn a_start_that_does_not_require_flags_waits_for_a_source_that_hangs_only_so_long() {
    log();
    for (start_wait, expected) in [
        (None, 5 * SECOND),
        (Some(HALF), HALF),
        (Some(7 * SECOND), 7 * SECOND),
        (Some(Duration::ZERO), Duration::ZERO),
        // The fetch itself ends earlier.
        (Some(30 * SECOND), 14 * SECOND),
    ] {
        for embedded in [false, true] {
            let model = model();
            model.fault(|_| Some(Fault::Hang));
            let mut vexilla = match embedded {
                true => builder(&model).embedded([Flag::boolean("new", true)]),
                false => builder(&model).start_without_flags(),
            };
            if let Some(wait) = start_wait {
                vexilla = vexilla.start_wait(wait);
            }
            let begun = Instant::now();
            let vexilla = vexilla.build().await.unwrap();
            let took = begun.elapsed();
            assert!(took >= expected && took < expected + HALF, "{took:?}");
            assert_eq!(vexilla.status().level, Level::Defaults);
            assert_eq!(is_on(&vexilla), embedded);

            // The fetch goes on, and its failure is logged once.
            until(|| vexilla.status().consecutive_failures == 1).await;
            assert_eq!(logged("the check failed"), 1);
            model.heal();
            until(|| vexilla.status().level == Level::Live).await;
            assert!(is_on(&vexilla));
            log();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_requires_flags_fails_with_the_reason_and_logs_no_defaults() {
    log();
    let model = model();
    model.fault(|_| Some(Fault::Hang));
    for start_wait in [None, Some(SECOND)] {
        let mut vexilla = builder(&model);
        if let Some(wait) = start_wait {
            vexilla = vexilla.start_wait(wait);
        }
        let begun = Instant::now();
        let error = vexilla.build().await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Timeout);
        let took = begun.elapsed();
        // Once the time limits of the latest snapshot ID and of the flags.
        assert!((14 * SECOND..15 * SECOND).contains(&took), "{took:?}");
    }
    assert_eq!(logged("defaults are served"), 0);
    assert_eq!(logged("ERROR"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_fetches_once() {
    let model = model();
    let _vexilla = builder(&model).build().await.unwrap();
    let requests = model.requests();
    let exports = requests.iter().filter(|r| r.route == Route::Export);
    assert_eq!(exports.count(), 1);
}

/// A store that takes its time.
#[derive(Clone)]
struct SlowCopy {
    takes: Duration,
    /// The first save fails.
    fails: Arc<AtomicBool>,
    saved: Arc<Notify>,
}

impl LastKnownGood for SlowCopy {
    fn name(&self) -> String {
        "a slow copy".to_owned()
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        Ok(None)
    }

    async fn save(&self, _: Vec<u8>) -> Result<(), PersistError> {
        sleep(self.takes).await;
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(PersistError::other("no space left"));
        }
        self.saved.notify_one();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_first_save_only_so_long() {
    for (takes, fails, start_wait, expected) in [
        (HALF, false, None, HALF),
        (HALF, true, None, HALF),
        (5 * SECOND, false, None, SECOND),
        (5 * SECOND, false, Some(2 * SECOND), 2 * SECOND),
        (5 * SECOND, false, Some(7 * SECOND), 5 * SECOND),
    ] {
        for required in [true, false] {
            let model = model();
            let copy = SlowCopy {
                takes,
                fails: Arc::new(AtomicBool::new(fails)),
                saved: Arc::default(),
            };
            let mut vexilla = builder(&model).last_known_good(copy.clone());
            if let Some(wait) = start_wait {
                vexilla = vexilla.start_wait(wait);
            }
            if !required {
                vexilla = vexilla.start_without_flags();
            }
            let begun = Instant::now();
            let vexilla = vexilla.build().await.unwrap();
            let took = begun.elapsed();
            assert!(took >= expected && took < expected + HALF / 5, "{took:?}");
            assert_eq!(vexilla.status().level, Level::Live);
            assert_eq!(vexilla.status().last_known_good_error.is_some(), fails);
            // One that failed is repeated, and one that takes longer goes on.
            copy.saved.notified().await;
        }
    }
}
