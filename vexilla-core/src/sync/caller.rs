//! One request to the source.
//!
//! Every request ends with an answer or an error: a panic is
//! caught, and silence ends at the time limit that the source names
//! ([`Source::timeouts`](crate::source::Source::timeouts)).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::degradation::Degradation;
use super::panics::caught;
use crate::flag::FlagSet;
use crate::source::{AnySource, FetchProgress, SourceError, SourceErrorKind};

/// Asks the source.
pub(super) struct Caller {
    source: Arc<dyn AnySource>,
    degradation: Arc<Degradation>,
}

/// The status says that flags are being downloaded until this is dropped.
struct Downloading<'a>(&'a Degradation);

impl Drop for Downloading<'_> {
    fn drop(&mut self) {
        self.0.downloading(None);
    }
}

impl Caller {
    pub(super) fn new(source: Arc<dyn AnySource>, degradation: Arc<Degradation>) -> Self {
        Self {
            source,
            degradation,
        }
    }

    /// Asks for the latest snapshot ID.
    pub(super) async fn latest(&self) -> Result<Option<u64>, SourceError> {
        let limit = self.source.timeouts().latest;
        // Even making the future is the source's own code.
        let answer = async { self.source.latest().await };
        self.call("the latest snapshot ID", limit, answer).await
    }

    /// Downloads the flags; meanwhile the status says so.
    pub(super) async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let limit = self.source.timeouts().fetch;
        let progress = FetchProgress::default();
        self.degradation.downloading(Some(progress.clone()));
        let _downloading = Downloading(&self.degradation);
        let answer = async { self.source.fetch(&progress).await };
        self.call("the flags", limit, answer).await
    }

    async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        answer: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        self.degradation.count(|counts| counts.requests += 1);
        match timeout(limit, caught(answer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                self.degradation.count(|counts| counts.panics += 1);
                let message = format!("{} panicked: {panic}", self.source.name());
                Err(SourceError::new(SourceErrorKind::Panicked, message))
            }
            Err(_) => {
                let name = self.source.name();
                let message = format!(
                    "{name} did not give {what} within {limit:?}, the time limit that its Source::timeouts sets"
                );
                Err(SourceError::new(SourceErrorKind::Timeout, message))
            }
        }
    }
}
