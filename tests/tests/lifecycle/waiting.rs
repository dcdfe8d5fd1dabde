//! What callers learn that wait for a check when the loop ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Builder;
use vexilla_core::SourceError;
use vexilla_core::source::SourceErrorKind;
use vexilla_tests::fake_flagr::{FakeFlagr, GUARD};

use super::{HOUR, at, hang};

type Outcome = Result<bool, SourceError>;

/// A caller that goes on at the very moment when it is woken, as one on another
/// thread may.
#[derive(Default)]
struct Caller {
    waits: Mutex<Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>>,
    outcome: Mutex<Option<Outcome>>,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        let Ok(mut waits) = self.waits.try_lock() else {
            return;
        };
        let waker = Waker::from(Arc::clone(&self));
        if let Some(future) = waits.as_mut()
            && let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            *waits = None;
            *self.outcome.lock().unwrap() = Some(outcome);
        }
    }
}

#[test]
fn an_end_of_the_loop_is_no_panic_for_those_who_wait() {
    for shuts_down in [true, false] {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let server = FakeFlagr::healthy(1).unwrap();
        let caller = Arc::new(Caller::default());
        let vexilla = runtime.block_on(async {
            // No check but that for the caller.
            let vexilla = at(&server)
                .poll_interval(HOUR)
                .full_refresh_interval(HOUR * 2);
            let vexilla = vexilla.build().await.unwrap();
            let refreshed = vexilla.clone();
            let refresh = async move { refreshed.refresh().await };
            *caller.waits.lock().unwrap() = Some(Box::pin(refresh));
            let asks = async { Arc::clone(&caller).wake() };
            tokio::join!(hang(&server), asks);
            if shuts_down {
                assert!(vexilla.shutdown(GUARD).await.ended);
            }
            vexilla
        });
        drop(runtime);
        let outcome = caller.outcome.lock().unwrap().take().unwrap();
        let kind = outcome.unwrap_err().kind();
        assert_eq!(kind, SourceErrorKind::ShutDown, "{shuts_down}");
        drop(vexilla);
    }
}
