//! A [`Model`] as a source of flags, without a transport.

use std::future::pending;
use std::time::Duration;

use serde::Deserialize;
use vexilla_core::SourceError;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::{Source, SourceErrorKind, SourceTimeouts};

use super::{Answer, Model, Reply, Route};

impl Source for Model {
    fn name(&self) -> String {
        "a modelled Flagr".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let answer = ask(self, Route::Export).await?;
        FlagSet::from_export(&answer.body).map_err(no_document)
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        #[derive(Deserialize)]
        struct MaxId {
            #[serde(rename = "maxID")]
            max_id: Option<u64>,
        }

        let answer = ask(self, Route::MaxId).await?;
        let document: MaxId = serde_json::from_slice(&answer.body).map_err(no_document)?;
        Ok(document.max_id)
    }

    /// Those of a `FlagrSource`.
    fn timeouts(&self) -> SourceTimeouts {
        SourceTimeouts::new()
            .latest(Duration::from_secs(4))
            .fetch(Duration::from_secs(10))
    }
}

/// Asks; gives an answer of status 200, or the error that a client makes of
/// another one.
async fn ask(model: &Model, route: Route) -> Result<Answer, SourceError> {
    let answer = match model.serve(route) {
        Reply::Answer(after, answer) => {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            answer
        }
        Reply::Hang => pending().await,
        Reply::Break => {
            let message = "the connection broke";
            return Err(SourceError::new(SourceErrorKind::Unreachable, message));
        }
        Reply::Panic => panic!("a modelled panic"),
    };
    if answer.status == 200 {
        return Ok(answer);
    }
    let message = format!("the modelled Flagr answered {}", answer.status);
    let error = SourceError::new(SourceErrorKind::Status(answer.status), message);
    Err(match retry_after(&answer) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    })
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let (_, value) = answer
        .headers
        .iter()
        .find(|(name, _)| name == "Retry-After")?;
    Some(Duration::from_secs(value.parse().ok()?))
}

fn no_document(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SourceError {
    SourceError::new(
        SourceErrorKind::Document,
        "the modelled answer cannot be read",
    )
    .because(error)
}
