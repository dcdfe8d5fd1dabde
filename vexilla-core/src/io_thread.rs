//! Work that may never end, such as reading from a file system that hangs, on a
//! thread of its own.
//!
//! A runtime that ends waits for its blocking threads, and so would a process
//! whose flags file is on an NFS server that is gone. A plain thread is waited
//! for by nobody. Callers must not start new work while earlier work hangs: each
//! call that hangs keeps its thread.
//!
//! While a caller waits, one of the runtime's blocking threads waits as well, so
//! that the limit is one of real time and a paused clock of tokio (in tests) does
//! not run ahead. It is released as soon as the caller no longer waits.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum IoThreadError {
    /// The work goes on after the limit.
    TookTooLong,
    /// The thread could not be started, the work panicked, or the runtime ends.
    Failed(io::Error),
}

/// What is heard of the work.
enum News<T> {
    Done(T),
    Panicked,
    /// Nobody waits any more.
    Abandoned,
}

/// Does some work on a thread of its own, and waits at most so long for it. The
/// work goes on even when nobody waits for it.
pub(crate) async fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, IoThreadError> {
    let (news, waiting) = channel();
    let _abandons = LastWord(news.clone(), || News::Abandoned);
    let spawned = std::thread::Builder::new()
        .name("vexilla-io".to_owned())
        .spawn(move || {
            let panics = LastWord(news, || News::Panicked);
            // Whoever waited may have gone.
            let _ = panics.0.send(News::Done(work()));
        });
    spawned.map_err(IoThreadError::Failed)?;
    let heard = tokio::task::spawn_blocking(move || waiting.recv_timeout(limit)).await;
    let failed = |why: &str| IoThreadError::Failed(io::Error::other(why.to_owned()));
    match heard {
        Ok(Ok(News::Done(done))) => Ok(done),
        Ok(Err(RecvTimeoutError::Timeout)) => Err(IoThreadError::TookTooLong),
        Ok(Ok(News::Panicked)) => Err(failed("the thread panicked")),
        Ok(Ok(News::Abandoned) | Err(RecvTimeoutError::Disconnected)) | Err(_) => {
            Err(failed("the runtime is ending"))
        }
    }
}

/// Sends something when it is dropped, for whoever still listens.
struct LastWord<T>(Sender<News<T>>, fn() -> News<T>);

impl<T> Drop for LastWord<T> {
    fn drop(&mut self) {
        let _ = self.0.send((self.1)());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_done_and_a_panic_is_an_error() {
        // Auto-advance of the paused clock must not outrun the thread.
        let limited = tokio::time::timeout(Duration::from_secs(1), run(Duration::MAX, || 7));
        assert_eq!(limited.await.unwrap().unwrap(), 7);
        let panicked = run(Duration::MAX, || panic!("on purpose")).await;
        assert!(
            matches!(panicked, Err(IoThreadError::Failed(error)) if error.to_string().contains("panicked"))
        );
    }

    #[test]
    fn work_that_hangs_does_not_keep_a_runtime_from_ending() {
        let (release, hang) = mpsc::channel::<()>();
        let (ended, end) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (started, start) = tokio::sync::oneshot::channel();
            tokio::spawn(run(Duration::MAX, move || {
                let _ = started.send(());
                let _ = hang.recv();
                let _ = ended.send(());
            }));
            start.await.unwrap();
            // Let it come to wait.
            tokio::task::yield_now().await;
        });
        // Waits for all blocking threads of the runtime.
        drop(runtime);
        assert!(end.try_recv().is_err(), "the work goes on");
        drop(release);
        end.recv().unwrap();
    }

    #[tokio::test]
    async fn work_that_hangs_is_given_up_after_the_limit() {
        let (release, hang) = mpsc::channel::<()>();
        let outcome = run(Duration::from_millis(1), move || hang.recv().is_err()).await;
        assert!(matches!(outcome, Err(IoThreadError::TookTooLong)));
        drop(release);
    }
}
