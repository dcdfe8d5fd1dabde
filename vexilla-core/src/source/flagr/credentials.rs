//! Bearer tokens that expire.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;

use crate::SourceError;
use crate::source::SourceErrorKind;

type BoxError = Box<dyn Error + Send + Sync>;
type TokenFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// A bearer token from a provider, which is asked for a new one after the server
/// has refused it.
#[derive(Clone)]
pub(super) struct TokenProvider {
    provide: Arc<dyn Fn() -> TokenFuture + Send + Sync>,
    /// The value of `Authorization`. Clones of a source share it.
    current: Arc<Mutex<Option<HeaderValue>>>,
}

impl TokenProvider {
    pub(super) fn new<F, Fut, E>(provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let provide = move || -> TokenFuture {
            let token = provide();
            Box::pin(async move { token.await.map_err(Into::into) })
        };
        Self {
            provide: Arc::new(provide),
            current: Arc::default(),
        }
    }

    /// The value of `Authorization`: another one than was refused, if that is the
    /// current one.
    pub(super) async fn authorization(
        &self,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, SourceError> {
        let mut current = self.current.lock().await;
        if let Some(value) = current.as_ref().filter(|value| Some(*value) != refused) {
            return Ok(value.clone());
        }
        // Whatever comes of it, this request does not send the refused one again.
        *current = None;
        let failed = |message: &str| SourceError::new(SourceErrorKind::Credentials, message);
        let token = (self.provide)()
            .await
            .map_err(|error| failed("the provider of bearer tokens failed").because(error))?;
        if token.trim().is_empty() {
            return Err(failed("the provider's bearer token is empty"));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| failed("the provider's bearer token cannot be sent in a header"))?;
        value.set_sensitive(true);
        if refused == Some(&value) {
            let message = "the server refused the bearer token, and its provider has no other";
            return Err(failed(message));
        }
        *current = Some(value.clone());
        Ok(value)
    }

    /// A new one was refused as well: the next request gets another one.
    pub(super) async fn discard(&self, refused: &HeaderValue) {
        let mut current = self.current.lock().await;
        current.take_if(|value| value == refused);
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProvider").finish_non_exhaustive()
    }
}
