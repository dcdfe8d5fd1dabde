//! How long a start waits for the first fetch, and for the save of what it gave.

use std::time::Duration;

use tokio::time::timeout;

use super::inbox::Refreshed;
use super::{Settings, Sync};
use crate::source::SourceError;

/// How long a start waits for the source if nothing was restored and flags are not
/// required, unless another time was set.
const WITHOUT_FLAGS: Duration = Duration::from_secs(5);

/// How long a start waits for the save of the fetched flags, unless another time
/// was set.
const SAVE: Duration = Duration::from_secs(1);

/// How long a start waits for the first fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// At most so long, because there is something to serve without it; `None`
    /// where the flags are required.
    fetch: Option<Duration>,
    /// How long the save of what was fetched may take after that.
    save: Duration,
}

impl Wait {
    pub(super) fn new(settings: &Settings, restored: bool) -> Self {
        let default = match restored {
            true => Some(Duration::ZERO),
            false => settings.starts_without_flags.then_some(WITHOUT_FLAGS),
        };
        Self {
            fetch: default.map(|default| settings.start_wait.unwrap_or(default)),
            save: settings.start_wait.unwrap_or(SAVE),
        }
    }

    /// Whether the start waits at all.
    pub(super) fn is_wanted(self) -> bool {
        self.fetch != Some(Duration::ZERO)
    }
}

impl Sync {
    /// Waits for the first fetch, and then until what it gave was saved, or could
    /// not be saved.
    ///
    /// # Errors
    ///
    /// The source's, where the flags are required.
    pub(super) async fn await_start(
        &self,
        wait: Wait,
        fetched: impl Future<Output = Refreshed>,
    ) -> Result<(), SourceError> {
        let saved = async {
            if let Some(saver) = &self.saver {
                let _ = timeout(wait.save, saver.tried()).await;
            }
        };
        let Some(limit) = wait.fetch else {
            fetched.await.map_err(|error| self.with_copy_error(error))?;
            saved.await;
            return Ok(());
        };
        let both = async {
            // Either way there is something to serve.
            let _ = fetched.await;
            saved.await;
        };
        let _ = timeout(limit, both).await;
        Ok(())
    }

    /// Adds why the last-known-good copy could not be used, if there is one.
    fn with_copy_error(&self, error: SourceError) -> SourceError {
        match self.status().last_known_good_error {
            Some(copy) => {
                error.with_note(format!("the last-known-good copy cannot be used: {copy}"))
            }
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_start_that_requires_flags_waits_without_a_limit() {
        const SET: Duration = Duration::from_millis(1);
        for (restored, without_flags, start_wait, fetch, save) in [
            (true, false, None, Some(Duration::ZERO), SAVE),
            (true, true, None, Some(Duration::ZERO), SAVE),
            (true, false, Some(SET), Some(SET), SET),
            (false, true, None, Some(WITHOUT_FLAGS), SAVE),
            (false, true, Some(SET), Some(SET), SET),
            (false, false, None, None, SAVE),
            (false, false, Some(SET), None, SET),
        ] {
            let settings = Settings {
                start_wait,
                starts_without_flags: without_flags,
                ..Settings::default()
            };
            let wait = Wait::new(&settings, restored);
            assert_eq!(wait, Wait { fetch, save });
            assert_eq!(wait.is_wanted(), fetch != Some(Duration::ZERO));
        }
    }
}
