//! Flags from a Flagr server over HTTP.

mod builder;
mod credentials;

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::{FetchProgress, Source, SourceError, SourceErrorKind, SourceTimeouts};
use crate::flag::FlagSet;

pub use builder::FlagrSourceBuilder;
use credentials::TokenProvider;

/// Where Flagr 1.2 exports the flags that it evaluates…
const EXPORT: &str = "api/v1/export/eval_cache/json";
/// …and where it gives its latest snapshot ID.
const MAX_ID: &str = "api/v1/flags/snapshots/max_id";
/// The most bytes that the answer with that number may have.
const MAX_ID_BYTES: usize = 64 << 10;
/// How long a document may be read after it came, and how much later than the
/// client the loop gives up.
const READING: Duration = Duration::from_secs(30);

/// Flags from a Flagr server.
///
/// Fetches `GET /api/v1/export/eval_cache/json`, and asks
/// `GET /api/v1/flags/snapshots/max_id` whether that is worthwhile. An answer
/// that is no set of flags (a page, a redirect to a login, an error, a document without `Flags`)
/// is an error and never takes the place of flags.
///
/// A last-known-good copy is restored for the scheme, host, port and path that it
/// was saved for. Two sources that differ by their headers only need a file each.
///
/// Where authentication is on, Flagr lets nobody read the export without
/// credentials, whatever its white lists say.
///
/// ```no_run
/// use std::time::Duration;
/// use vexilla_core::FlagrSource;
///
/// # fn main() -> Result<(), vexilla_core::SourceError> {
/// let source = FlagrSource::builder("https://flagr.example.com")
///     .bearer_token("…")
///     .timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FlagrSource {
    client: Client,
    export: Url,
    max_id: Url,
    /// Beside those of the client, which knows one of each name.
    headers: HeaderMap,
    basic_auth: Option<(String, String)>,
    token: Option<TokenProvider>,
    max_bytes: usize,
    timeout: Duration,
    latest_timeout: Duration,
    connect_timeout: Duration,
}

/// A request to one of Flagr's routes. All that it takes, the provider of tokens
/// and a repetition included, is within its limit.
struct Request<'a> {
    path: &'static str,
    url: &'a Url,
    limit: Duration,
    /// The setting that the limit comes from.
    setting: &'static str,
    began: Instant,
}

impl Request<'_> {
    /// How much of the limit is left.
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }
}

impl FlagrSource {
    /// Flags of the server at this address, such as `http://localhost:18000`;
    /// a path in it stands before Flagr's own. Name and password in it are sent
    /// as basic authentication.
    ///
    /// # Errors
    ///
    /// An invalid URL.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        Self::builder(url).build()
    }

    /// Settings beyond the address.
    pub fn builder(url: &str) -> FlagrSourceBuilder {
        FlagrSourceBuilder::new(url)
    }

    fn host(&self) -> String {
        let host = self.export.host_str().unwrap_or("no host");
        match self.export.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// A failure on the way, without the address's secrets; `message` is for one
    /// that is no time-out.
    fn failed(&self, message: String, request: &Request<'_>, error: reqwest::Error) -> SourceError {
        let host = self.host();
        let (kind, message) = if error.is_timeout() && error.is_connect() {
            let limit = self.connect_timeout;
            let message =
                format!("no connection to Flagr at {host} within {limit:?} (the connect_timeout)");
            (SourceErrorKind::Timeout, message)
        } else if error.is_timeout() {
            let Request {
                path,
                limit,
                setting,
                ..
            } = request;
            let provider = match self.token {
                Some(_) => ", the provider of bearer tokens included",
                None => "",
            };
            let message = format!(
                "no complete answer of Flagr at {host} for /{path} within {limit:?}{provider}; if it needs longer, raise {setting}"
            );
            (SourceErrorKind::Timeout, message)
        } else {
            (SourceErrorKind::Unreachable, message)
        };
        SourceError::new(kind, message).because(error.without_url())
    }

    /// Sends a request; takes only an answer of status 200.
    async fn get(&self, request: &Request<'_>) -> Result<Response, SourceError> {
        let response = match &self.token {
            None => self.send(request, None).await?,
            Some(provider) => self.send_with_token(request, provider).await?,
        };
        if response.status().as_u16() == 200 {
            Ok(response)
        } else {
            Err(self.refused(request.path, &response))
        }
    }

    /// Sends a request with the provider's token; where that is refused, again with
    /// a new one.
    async fn send_with_token(
        &self,
        request: &Request<'_>,
        provider: &TokenProvider,
    ) -> Result<Response, SourceError> {
        let token = self.authorization(request, provider, None).await?;
        let response = self.send(request, Some(&token)).await?;
        if response.status().as_u16() != 401 {
            return Ok(response);
        }
        let token = self.authorization(request, provider, Some(&token)).await?;
        let response = self.send(request, Some(&token)).await?;
        if response.status().as_u16() == 401 {
            // Where another request waits for a new token, this one is gone already.
            let _ = timeout(request.left(), provider.discard(&token)).await;
        }
        Ok(response)
    }

    /// Sends a request, with all that was set.
    async fn send(
        &self,
        request: &Request<'_>,
        token: Option<&HeaderValue>,
    ) -> Result<Response, SourceError> {
        let mut sent = self.client.get(request.url.clone());
        sent = sent.timeout(request.left());
        if let Some((name, password)) = &self.basic_auth {
            sent = sent.basic_auth(name, Some(password));
        }
        sent = sent.headers(self.headers.clone());
        if let Some(token) = token {
            sent = sent.header(AUTHORIZATION, token);
        }
        let message = || format!("cannot reach Flagr at {}", self.host());
        let failed = |error| self.failed(message(), request, error);
        sent.send().await.map_err(failed)
    }

    /// The provider's token, another one than was refused.
    async fn authorization(
        &self,
        request: &Request<'_>,
        provider: &TokenProvider,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, SourceError> {
        let token = timeout(request.left(), provider.authorization(refused));
        token.await.unwrap_or_else(|_| {
            let Request { limit, setting, .. } = request;
            let message = format!(
                "the provider of bearer tokens gave none within the {limit:?} of the whole request; if it needs longer, raise {setting}"
            );
            Err(SourceError::new(SourceErrorKind::Timeout, message))
        })
    }

    /// The error for an answer of another status than 200.
    fn refused(&self, route: &str, response: &Response) -> SourceError {
        let (host, status) = (self.host(), response.status().as_u16());
        let message = match status {
            300..=399 => format!(
                "Flagr at {host} redirects /{route} with status {status}, perhaps to a login page; give its final address, or credentials"
            ),
            401 | 403 => format!(
                "Flagr at {host} answered {status} for /{route}, which needs credentials where authentication is on; after fixing them, a refresh checks at once"
            ),
            404 if self.export.path().contains("/api/v1/api/v1/") => format!(
                "Flagr at {host} answered 404 for {}; the address must not end in /api/v1",
                self.export.path()
            ),
            404 => format!(
                "Flagr at {host} answered 404 for /{route}; the address may lack a path, or be that of something else"
            ),
            _ => format!("Flagr at {host} answered {status} for /{route}"),
        };
        let error = SourceError::new(SourceErrorKind::Status(status), message);
        match retry_after(response.headers(), SystemTime::now()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// The body of an answer; `None` if it has more bytes than that.
    async fn body(
        &self,
        request: &Request<'_>,
        mut response: Response,
        most: usize,
        progress: &FetchProgress,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let mut body = Vec::new();
        let (host, path) = (self.host(), request.path);
        let message = || format!("cannot read the answer of Flagr at {host} for /{path}");
        let failed = |error| self.failed(message(), request, error);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
            progress.received(chunk.len().try_into().unwrap_or(u64::MAX));
        }
        Ok(Some(body))
    }
}

impl Source for FlagrSource {
    fn name(&self) -> String {
        format!("Flagr at {}", self.host())
    }

    fn identity(&self) -> String {
        // It ends with a route of Flagr's, the same for all; what is secret, or
        // may change, stays out: user, password, headers.
        let (scheme, path) = (self.export.scheme(), self.export.path());
        let port = self.export.port_or_known_default().unwrap_or_default();
        let host = self.export.host_str().unwrap_or_default();
        format!("Flagr {scheme}://{host}:{port}{path}")
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.fetch_with_progress(&FetchProgress::default()).await
    }

    async fn fetch_with_progress(&self, progress: &FetchProgress) -> Result<FlagSet, SourceError> {
        let request = Request {
            path: EXPORT,
            url: &self.export,
            limit: self.timeout,
            setting: "timeout",
            began: Instant::now(),
        };
        progress.received(0);
        let response = self.get(&request).await?;
        let body = self.body(&request, response, self.max_bytes, progress);
        let body = body.await?.ok_or_else(|| {
            let (host, most) = (self.host(), self.max_bytes);
            let message = format!(
                "the answer of Flagr at {host} for /{EXPORT} has more than {most} bytes; raise max_bytes if that is meant"
            );
            SourceError::new(SourceErrorKind::TooLarge, message)
        })?;
        let set = tokio::task::spawn_blocking(move || FlagSet::from_export(&body))
            .await
            .map_err(SourceError::other)?;
        set.map_err(|error| {
            let host = self.host();
            let message = format!("the answer of Flagr at {host} for /{EXPORT} is no set of flags");
            SourceError::new(SourceErrorKind::Document, message).because(error)
        })
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        #[derive(Deserialize)]
        struct MaxId {
            #[serde(rename = "maxID")]
            max_id: Option<u64>,
        }

        let limit = self.latest_timeout.min(self.timeout);
        let request = Request {
            path: MAX_ID,
            url: &self.max_id,
            limit,
            setting: match self.timeout < self.latest_timeout {
                true => "timeout",
                false => "latest_timeout",
            },
            began: Instant::now(),
        };
        let response = self.get(&request).await?;
        let unread = FetchProgress::default();
        let body = self.body(&request, response, MAX_ID_BYTES, &unread).await?;
        let host = self.host();
        let message = || format!("the answer of Flagr at {host} for /{MAX_ID} has no valid maxID");
        let wrong = || SourceError::new(SourceErrorKind::Document, message());
        let answer: MaxId = serde_json::from_slice(&body.ok_or_else(wrong)?)
            .map_err(|error| wrong().because(error))?;
        Ok(answer.max_id)
    }

    fn timeouts(&self) -> SourceTimeouts {
        SourceTimeouts::new()
            .latest(
                self.latest_timeout
                    .min(self.timeout)
                    .saturating_add(READING),
            )
            .fetch(self.timeout.saturating_add(READING))
    }
}

/// How long a server asks to be left alone, in seconds or until a date
/// (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

impl fmt::Debug for FlagrSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagrSource")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}
