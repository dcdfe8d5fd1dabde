//! Dropping what is large away from the runtime's own threads.
//!
//! Freeing 10,000 flags takes milliseconds, in which a runtime's thread would
//! serve nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::Handle;

/// Drops a value on a thread of the runtime's that may block. Outside a runtime,
/// and in one that shuts down, it is dropped here.
pub(crate) fn drop_elsewhere<T: Send + 'static>(value: T) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    // It panics where the system gives no thread; the value is dropped even then.
    let dropping = AssertUnwindSafe(|| drop(runtime.spawn_blocking(move || drop(value))));
    let _ = catch_unwind(dropping);
}

/// A value that is [dropped elsewhere](drop_elsewhere), whichever way it goes.
pub(super) struct Offloaded<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Offloaded<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// The value, which is an ordinary one then.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send + 'static> Drop for Offloaded<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_elsewhere(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    /// Tells on which thread it is dropped.
    struct Telling(mpsc::Sender<ThreadId>);

    impl Drop for Telling {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[test]
    fn a_value_is_dropped_on_another_thread_of_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (telling, told) = mpsc::channel();
        runtime.block_on(async {
            drop_elsewhere(Telling(telling.clone()));
            drop(Offloaded::new(Telling(telling.clone())));
        });
        for _ in 0..2 {
            assert_ne!(told.recv().unwrap(), thread::current().id());
        }
        runtime.block_on(async {
            drop(Offloaded::new(Telling(telling)).into_inner());
        });
        assert_eq!(told.recv().unwrap(), thread::current().id());
    }

    #[test]
    fn outside_a_runtime_a_value_is_dropped_here() {
        let (telling, told) = mpsc::channel();
        drop_elsewhere(Telling(telling));
        assert_eq!(told.recv().unwrap(), thread::current().id());
    }
}
