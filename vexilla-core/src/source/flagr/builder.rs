//! Settings of a source that asks a Flagr server.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};

use super::credentials::TokenProvider;
use super::{EXPORT, FlagrSource, MAX_ID};
use crate::SourceError;
use crate::source::DEFAULT_MAX_BYTES;
use crate::source::SourceErrorKind;

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
    token: Option<TokenProvider>,
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
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: Vec::new(),
            basic_auth: None,
            token: None,
            timeout: Duration::from_secs(10),
            latest_timeout: Duration::from_secs(4),
            connect_timeout: Duration::from_secs(3),
            max_bytes: DEFAULT_MAX_BYTES,
            proxy_from_env: false,
        }
    }

    /// Authenticates with a bearer token. One that expires is better given by
    /// [`bearer_token_with`](Self::bearer_token_with).
    pub fn bearer_token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Authenticates with bearer tokens of a provider, such as one that reads a
    /// file that is renewed, or asks an identity service.
    ///
    /// The provider is called before the first request. Its token is kept until
    /// Flagr refuses it with 401: then the provider is called again, and the
    /// request is repeated once with the new token. White space around a token is
    /// removed. An error of the provider is a failed check
    /// ([`SourceErrorKind::Credentials`]), which is retried soon, and so is a token
    /// that is empty, or that was refused a moment ago: each check asks the provider
    /// for another one, and sends the old one at most once. The time that the provider takes counts
    /// towards the time limit of the request that it is called for.
    ///
    /// Replaces [`bearer_token`](Self::bearer_token) and
    /// [`basic_auth`](Self::basic_auth).
    ///
    /// ```no_run
    /// use vexilla_core::FlagrSource;
    ///
    /// # fn main() -> Result<(), vexilla_core::SourceError> {
    /// const TOKEN: &str = "/var/run/secrets/flagr/token";
    ///
    /// // A small file on a local disk; `tokio::fs` reads any other.
    /// let source = FlagrSource::builder("https://flagr.example.com")
    ///     .bearer_token_with(|| async { std::fs::read_to_string(TOKEN) })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bearer_token_with<F, Fut, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.token = Some(TokenProvider::new(provider));
        self
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
    /// last byte, with the provider of
    /// [bearer tokens](Self::bearer_token_with) and a repetition after a refused
    /// token. Any other request may not take longer either. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest that the small request for the latest snapshot ID may take,
    /// as [`timeout`](Self::timeout) counts. It begins each check, so this is how
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
        if self.basic_auth.is_some() || self.token.is_some() {
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
        if self.token.is_some() {
            headers.remove(AUTHORIZATION);
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
            basic_auth: self.basic_auth.filter(|_| self.token.is_none()),
            token: self.token,
            max_bytes: self.max_bytes,
            timeout: self.timeout,
            latest_timeout: self.latest_timeout,
            connect_timeout: self.connect_timeout,
        })
    }
}
