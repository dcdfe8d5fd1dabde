//! Flags from a Flagr server over HTTP.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;

use super::{
    DEFAULT_MAX_BYTES, FetchProgress, Source, SourceError, SourceErrorKind, SourceTimeouts,
};
use crate::FlagSet;

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
    max_bytes: usize,
    timeout: Duration,
    latest_timeout: Duration,
    connect_timeout: Duration,
}

/// One of Flagr's routes, and how long its answer may take.
struct Route<'a> {
    path: &'static str,
    url: &'a Url,
    limit: Duration,
    /// The setting that the limit comes from.
    setting: &'static str,
}

/// Settings of a [`FlagrSource`].
#[must_use]
#[derive(Clone)]
pub struct FlagrSourceBuilder {
    url: String,
    headers: Vec<(String, String)>,
    basic_auth: Option<(String, String)>,
    timeout: Duration,
    latest_timeout: Duration,
    connect_timeout: Duration,
    max_bytes: usize,
    proxy_from_env: bool,
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
        FlagrSourceBuilder {
            url: url.to_owned(),
            headers: Vec::new(),
            basic_auth: None,
            timeout: Duration::from_secs(10),
            latest_timeout: Duration::from_secs(4),
            connect_timeout: Duration::from_secs(3),
            max_bytes: DEFAULT_MAX_BYTES,
            proxy_from_env: false,
        }
    }

    fn host(&self) -> String {
        let host = self.export.host_str().unwrap_or("no host");
        match self.export.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// A failure on the way, without the address's secrets.
    fn failed(&self, what: &str, route: &Route<'_>, error: reqwest::Error) -> SourceError {
        let host = self.host();
        let (kind, message) = if error.is_timeout() && error.is_connect() {
            let limit = self.connect_timeout;
            let message =
                format!("no connection to Flagr at {host} within {limit:?} (the connect_timeout)");
            (SourceErrorKind::Timeout, message)
        } else if error.is_timeout() {
            let Route {
                path,
                limit,
                setting,
                ..
            } = route;
            let message = format!(
                "no complete answer of Flagr at {host} for /{path} within {limit:?}; if it needs longer, raise {setting}"
            );
            (SourceErrorKind::Timeout, message)
        } else {
            let message = format!("cannot {what} Flagr at {host}");
            (SourceErrorKind::Unreachable, message)
        };
        SourceError::new(kind, message).because(error.without_url())
    }

    /// Asks a route, with all that was set; takes only an answer of status 200.
    async fn get(&self, route: &Route<'_>) -> Result<Response, SourceError> {
        let mut request = self.client.get(route.url.clone()).timeout(route.limit);
        if let Some((name, password)) = &self.basic_auth {
            request = request.basic_auth(name, Some(password));
        }
        request = request.headers(self.headers.clone());
        let failed = |error| self.failed("reach", route, error);
        let response = request.send().await.map_err(failed)?;
        if response.status().as_u16() == 200 {
            Ok(response)
        } else {
            Err(self.refused(route.path, &response))
        }
    }

    /// The error for an answer of another status than 200.
    fn refused(&self, route: &str, response: &Response) -> SourceError {
        let (host, status) = (self.host(), response.status().as_u16());
        let message = match status {
            300..=399 => format!(
                "Flagr at {host} redirects with status {status}, perhaps to a login page; give its final address, or credentials"
            ),
            401 | 403 => format!(
                "Flagr at {host} answered {status}; its export needs credentials where authentication is on"
            ),
            404 => format!(
                "Flagr at {host} answered 404 for /{route}; the address may lack a path, or be that of something else"
            ),
            _ => format!("Flagr at {host} answered with status {status}"),
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
        route: &Route<'_>,
        mut response: Response,
        most: usize,
        progress: &FetchProgress,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let mut body = Vec::new();
        let failed = |error| self.failed("read the answer of", route, error);
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
        let route = Route {
            path: EXPORT,
            url: &self.export,
            limit: self.timeout,
            setting: "timeout",
        };
        progress.received(0);
        let response = self.get(&route).await?;
        let body = self.body(&route, response, self.max_bytes, progress);
        let body = body.await?.ok_or_else(|| {
            let (host, most) = (self.host(), self.max_bytes);
            let message = format!(
                "the answer of Flagr at {host} has more than {most} bytes; raise max_bytes if that is meant"
            );
            SourceError::new(SourceErrorKind::TooLarge, message)
        })?;
        let set = tokio::task::spawn_blocking(move || FlagSet::from_export(&body))
            .await
            .map_err(SourceError::other)?;
        set.map_err(|error| {
            let message = format!("the answer of Flagr at {} is no set of flags", self.host());
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
        let route = Route {
            path: MAX_ID,
            url: &self.max_id,
            limit,
            setting: match self.timeout < self.latest_timeout {
                true => "timeout",
                false => "latest_timeout",
            },
        };
        let response = self.get(&route).await?;
        let unread = FetchProgress::default();
        let body = self.body(&route, response, MAX_ID_BYTES, &unread).await?;
        let message = || format!("the answer of Flagr at {} has no valid maxID", self.host());
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

impl fmt::Debug for FlagrSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("FlagrSourceBuilder")
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl FlagrSourceBuilder {
    /// Authenticates with a bearer token.
    pub fn bearer_token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Authenticates with name and password, in place of those in the address.
    pub fn basic_auth(mut self, name: &str, password: &str) -> Self {
        self.basic_auth = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Sends this header with each request; its value is kept out of logs. Of
    /// several of one name, all are sent.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The longest that a download of the flags may take, from connecting to the
    /// last byte. Any other request may not take longer either. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest that the small request for the latest snapshot ID may take,
    /// from connecting to the last byte. It begins each check, so this is how
    /// soon a server that hangs is noticed. Default: 4 s.
    pub fn latest_timeout(mut self, timeout: Duration) -> Self {
        self.latest_timeout = timeout;
        self
    }

    /// The longest that connecting may take. Default: 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The most bytes that an answer may have, uncompressed. Default:
    /// [`DEFAULT_MAX_BYTES`].
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Goes through the proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY` name, in capital or small letters. By default Flagr is asked
    /// directly and no environment variable is read.
    pub fn proxy_from_env(mut self) -> Self {
        self.proxy_from_env = true;
        self
    }

    /// Builds the source; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// An invalid URL, another scheme than `http` and `https`, a
    /// header that cannot be sent, `https` without a TLS feature.
    pub fn build(self) -> Result<FlagrSource, SourceError> {
        let wrong = |message: String| SourceError::new(SourceErrorKind::Configuration, message);
        let mut base =
            Url::parse(&self.url).map_err(|error| wrong(format!("invalid Flagr URL: {error}")))?;
        match base.scheme() {
            "http" => {}
            "https" if cfg!(any(feature = "rustls", feature = "native-tls")) => {}
            "https" => {
                let message = "https needs the feature rustls or native-tls of vexilla-core";
                return Err(wrong(message.to_owned()));
            }
            scheme => {
                return Err(wrong(format!(
                    "invalid Flagr URL: its scheme is {scheme:?}; it must be http or https"
                )));
            }
        }
        if self.basic_auth.is_some() {
            // Only one can be sent. Fails where there is no host alone.
            let _ = base.set_username("");
            let _ = base.set_password(None);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let route = |path| {
            base.join(path)
                .map_err(|error| wrong(format!("invalid Flagr URL: {error}")))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let known = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong(format!("{name:?} is no name of a header")))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| wrong(format!("the value of header {name:?} cannot be sent")))?;
            value.set_sensitive(true);
            headers.append(known, value);
        }
        let mut client = Client::builder()
            .connect_timeout(self.connect_timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("vexilla/", env!("CARGO_PKG_VERSION")));
        if !self.proxy_from_env {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| wrong("the HTTP client cannot be built".to_owned()).because(error))?;
        Ok(FlagrSource {
            client,
            export: route(EXPORT)?,
            max_id: route(MAX_ID)?,
            headers,
            basic_auth: self.basic_auth,
            max_bytes: self.max_bytes,
            timeout: self.timeout,
            latest_timeout: self.latest_timeout,
            connect_timeout: self.connect_timeout,
        })
    }
}
