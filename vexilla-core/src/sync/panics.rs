//! A panic in foreign code, turned into a value.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Waits for a future; if it panics, gives the panic's message. (Where panics
/// abort, nothing can be caught.)
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    // A future that panicked is not polled again, and what it shares with
    // others is for its author to keep whole.
    std::future::poll_fn(|task| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(message(&*panic))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_its_message() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        let plain = caught(async { panic!("a word") }).await;
        assert_eq!(plain, Err::<(), _>("a word".to_owned()));
        let formatted = caught(async {
            tokio::task::yield_now().await;
            panic!("{} words", 2)
        });
        assert_eq!(formatted.await, Err::<(), _>("2 words".to_owned()));
        let foreign = caught(async { std::panic::panic_any(7) }).await;
        assert_eq!(
            foreign,
            Err::<(), _>("a panic without a message".to_owned())
        );
    }
}
