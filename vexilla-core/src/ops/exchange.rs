//! What an adapter hands in, and what it gets back.

use std::fmt;

use serde::Serialize;

use crate::request::RequestView;

/// A request as an adapter hands it in.
#[derive(Clone, Copy)]
pub struct OpsRequest<'a> {
    view: RequestView<'a>,
    path: &'a str,
    body: &'a [u8],
    listener: Option<ListenerKind>,
}

/// The kind of a listener that serves nothing but operations or a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerKind {
    /// A TCP listener. Without a token or secret it is bound to loopback, which
    /// every program of this machine reaches, and whoever a proxy forwards.
    Tcp,
    /// A Unix socket. Its file's permissions say who can connect.
    Unix,
}

impl<'a> OpsRequest<'a> {
    /// A request without body, mounted at the root of an application.
    #[must_use]
    pub fn new(request: impl Into<RequestView<'a>>) -> Self {
        let view = request.into();
        Self {
            view,
            path: view.path(),
            body: &[],
            listener: None,
        }
    }

    /// Sets the rest of the path, behind the prefix of where it is mounted: as
    /// it was sent, percent-encoded, with its leading slash.
    #[must_use]
    pub fn path(mut self, path: &'a str) -> Self {
        self.path = path;
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Says that the request came in at a listener of its own, of this kind.
    ///
    /// Only for such listeners: endpoints made with `local` answer there
    /// without a token. A TCP listener that others than this machine reach must
    /// refuse endpoints that are not [guarded](super::Endpoints::is_guarded).
    #[must_use]
    pub fn on_listener(mut self, kind: ListenerKind) -> Self {
        self.listener = Some(kind);
        self
    }

    pub(super) fn method(&self) -> &'a str {
        self.view.method()
    }

    pub(super) fn path_sent(&self) -> &'a str {
        self.path
    }

    /// The query, without `?`; empty if there is none.
    pub(super) fn query_sent(&self) -> &'a str {
        self.view.query().unwrap_or_default()
    }

    pub(super) fn body_sent(&self) -> &'a [u8] {
        self.body
    }

    /// The listener of its own at which the request came in, if any.
    pub(super) fn listener(&self) -> Option<ListenerKind> {
        self.listener
    }

    pub(super) fn view(&self) -> &RequestView<'a> {
        &self.view
    }

    /// The value of a header, if it is there once.
    pub(super) fn only_header(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.view.headers(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Whether the body is larger than this, or says that it will be.
    pub(super) fn is_larger_than(&self, limit: usize) -> bool {
        let announced = self.only_header("content-length");
        let announced = announced.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        self.body.len() > limit || announced.is_some_and(|length: u128| length > limit as u128)
    }
}

impl fmt::Debug for OpsRequest<'_> {
    /// Method and path; headers and body may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpsRequest")
            .field("view", &self.view)
            .field("path", &self.path)
            .field("body", &self.body.len())
            .field("listener", &self.listener)
            .finish()
    }
}

/// The answer to an [`OpsRequest`], which an adapter sends.
#[derive(Clone, PartialEq, Eq)]
pub struct OpsResponse {
    status: u16,
    /// What it takes to be let in, for a 401.
    challenge: Option<&'static str>,
    allow: Option<&'static str>,
    body: Vec<u8>,
}

/// What a refusal says.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

impl fmt::Debug for OpsResponse {
    /// The status and the length of the body, which can hold flags.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpsResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl OpsResponse {
    /// The status, 200 to 503.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers to send, names in small letters; beside them, the server's
    /// own.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ]
        .into_iter()
        .chain(self.challenge.map(|scheme| ("www-authenticate", scheme)))
        .chain(self.allow.map(|methods| ("allow", methods)))
    }

    /// The body, JSON.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, JSON.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// 413, for a body over the limit.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::refusal(413, &format!("the body has more than {limit} bytes"))
    }

    /// 400, for a body that ended early.
    #[must_use]
    pub fn broken_off() -> Self {
        Self::refusal(400, "the request body ended early")
    }

    /// 408, for a body that did not come in time.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::refusal(408, "the body did not come in time")
    }

    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self {
                status,
                challenge: None,
                allow: None,
                body,
            },
            Err(_) => Self::refusal(500, "the answer cannot be written as JSON"),
        }
    }

    pub(super) fn refusal(status: u16, error: &str) -> Self {
        Self {
            status,
            challenge: None,
            allow: None,
            // Strings are always JSON.
            body: serde_json::to_vec(&Refusal { error }).unwrap_or_default(),
        }
    }

    /// 401, for a request without the bearer token.
    pub(super) fn needs_bearer_token(error: &str) -> Self {
        Self {
            challenge: Some("Bearer"),
            ..Self::refusal(401, error)
        }
    }

    pub(super) fn not_found() -> Self {
        Self::refusal(404, "nothing is served at this path")
    }

    /// 405, for a method other than these.
    pub(super) fn not_allowed(methods: &'static str) -> Self {
        Self {
            allow: Some(methods),
            ..Self::refusal(405, &format!("this path answers only to {methods}"))
        }
    }
}
