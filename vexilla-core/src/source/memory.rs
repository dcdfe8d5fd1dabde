//! Flags made in code.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Source, SourceError};
use crate::FlagSet;

/// Flags made in code, which can be changed while they are served.
///
/// Clones share the flags. A change is fetched at once by what is built on the
/// source; await [`Vexilla::refresh`](crate::Vexilla::refresh) to know when.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    flags: Mutex<FlagSet>,
    changed: Notify,
}

impl MemorySource {
    /// A source of these flags.
    #[must_use]
    pub fn new(flags: impl Into<FlagSet>) -> Self {
        let source = Self::default();
        source.update(|held| *held = flags.into());
        source
    }

    /// Changes the flags.
    pub fn update(&self, change: impl FnOnce(&mut FlagSet)) {
        change(
            &mut self
                .inner
                .flags
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.inner.changed.notify_one();
    }
}

impl Source for MemorySource {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let flags = self.inner.flags.lock();
        Ok(flags.unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn changed(&self) {
        self.inner.changed.notified().await;
    }
}
