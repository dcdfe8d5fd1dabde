//! The operations endpoints.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::error::OpsError;
use super::exchange::{ListenerKind, OpsRequest, OpsResponse};
use super::origin_check::refuse_foreign_origin;
use super::route::{Exposure, Route};
use super::secret::Secret;
use super::{DEFAULT_MAX_BODY_BYTES, Endpoints, OpsFuture, decode, reports};
use crate::vexilla::Vexilla;

/// The operations endpoints, see the [module](super).
///
/// Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Operations {
    vexilla: Vexilla,
    access: Access,
    max_body_bytes: usize,
    /// One permit for each request that may wait for a fetch.
    waiting: Arc<Semaphore>,
}

/// How many requests may wait for a fetch at a time. They share one fetch, and
/// those beyond it would only keep connections that probes need.
const MAX_WAITING: usize = 16;

/// Who may use the endpoints.
#[derive(Debug, Clone)]
enum Access {
    /// Clients that send the token; everybody for the probes.
    Token(Secret),
    /// Everybody who can connect.
    Anybody,
    /// Programs on this machine, at a listener of its own: at a Unix socket all
    /// endpoints, at a TCP listener the probes and counts.
    Local,
}

impl Operations {
    /// Operations that ask for this bearer token: `Authorization: Bearer …`.
    ///
    /// # Errors
    ///
    /// [`OpsError::EmptyToken`], [`OpsError::BadToken`].
    pub fn new(vexilla: Vexilla, token: &str) -> Result<Self, OpsError> {
        if token.trim().is_empty() {
            return Err(OpsError::EmptyToken);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OpsError::BadToken);
        }
        let token = Secret::new(token.as_bytes());
        Ok(Self::with_access(vexilla, Access::Token(token)))
    }

    /// All operations for everybody who can connect: something in front of them
    /// must keep others out.
    ///
    /// On a TCP listener of its own, which must then be bound to loopback, web
    /// pages and requests that say that they were forwarded are refused. A proxy
    /// that does not say so, such as nginx with a plain `proxy_pass`, makes all
    /// operations available to its clients.
    #[must_use]
    pub fn insecure_without_token(vexilla: Vexilla) -> Self {
        Self::with_access(vexilla, Access::Anybody)
    }

    /// Operations without a token for programs on this machine, for a listener
    /// of their own.
    ///
    /// At a Unix socket they serve all endpoints. At a TCP listener, which must
    /// be bound to loopback, they serve `/health/live`, `/health/ready` and
    /// `/admin/stats`, and answer 403 to the rest. Mounted into an application
    /// they answer 403 to everything.
    #[must_use]
    pub fn local(vexilla: Vexilla) -> Self {
        Self::with_access(vexilla, Access::Local)
    }

    fn with_access(vexilla: Vexilla, access: Access) -> Self {
        Self {
            vexilla,
            access,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Sets the most bytes that a body may have. Default: 64 KiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// The requested endpoint, or the refusal of the request.
    fn admit<'a>(&self, request: &OpsRequest<'a>) -> Result<Route<'a>, OpsResponse> {
        let listener = request.listener();
        match (&self.access, listener) {
            (Access::Local, None) => {
                let error = "operations made with local answer only on a listener of their own: mount operations with a token";
                return Err(OpsResponse::refusal(403, error));
            }
            (Access::Anybody | Access::Local, Some(ListenerKind::Tcp)) => {
                if let Some(refusal) = refuse_foreign_origin(request) {
                    return Err(refusal);
                }
            }
            (Access::Token(_), _)
            | (Access::Anybody, None)
            | (Access::Anybody | Access::Local, Some(ListenerKind::Unix)) => {}
        }
        let route = Route::of(request.path_sent()).ok_or_else(OpsResponse::not_found)?;
        match &self.access {
            Access::Token(token)
                if route.exposure() > Exposure::Probe && !has_token(request, token) =>
            {
                let error = "this path needs the operations' token, as Authorization: Bearer";
                return Err(OpsResponse::needs_bearer_token(error));
            }
            Access::Local
                if route.exposure() > Exposure::Counts && listener == Some(ListenerKind::Tcp) =>
            {
                let error = "without a token, this path is served only on a Unix socket: set a token, or use bind_unix";
                return Err(OpsResponse::refusal(403, error));
            }
            Access::Token(_) | Access::Anybody | Access::Local => {}
        }
        if !route.answers(request.method()) {
            return Err(OpsResponse::not_allowed(route.methods()));
        }
        if request.is_larger_than(self.max_body_bytes) {
            return Err(OpsResponse::too_large(self.max_body_bytes));
        }
        Ok(route)
    }

    /// The answer, unless flags have to be fetched for it.
    fn answer(&self, request: &OpsRequest<'_>) -> Result<Answer, OpsResponse> {
        let vexilla = &self.vexilla;
        let response = match self.admit(request)? {
            Route::Live => reports::live(),
            Route::Ready => reports::ready(vexilla),
            Route::Health => reports::health(vexilla),
            Route::Stats => reports::stats(vexilla),
            Route::Flags => reports::flags(&vexilla.snapshot()),
            Route::Explain(key) => match decode::percent(key) {
                Some(key) => reports::explain(vexilla, &key, request.body_sent()),
                None => {
                    OpsResponse::refusal(400, "the flag key is not valid percent-encoded UTF-8")
                }
            },
            Route::Refresh => match request.query_sent() {
                "" | "accept-loss=false" => return Ok(Answer::Refresh),
                "accept-loss=true" => {
                    tracing::warn!("a refresh that accepts any loss was requested");
                    return Ok(Answer::AcceptLoss);
                }
                _ => OpsResponse::refusal(400, "the only parameter is accept-loss=true or =false"),
            },
            Route::Invalidate => {
                let key = key_to_invalidate(request.body_sent())?;
                tracing::info!(key, "fetching all flags: a flag was invalidated");
                return Ok(Answer::Refresh);
            }
            Route::InvalidateAll => {
                tracing::info!("fetching all flags: all were invalidated");
                return Ok(Answer::Refresh);
            }
        };
        Ok(Answer::Ready(response))
    }
}

/// How a request is answered.
enum Answer {
    /// With this.
    Ready(OpsResponse),
    /// With the outcome of [`Vexilla::refresh`].
    Refresh,
    /// With the outcome of [`Vexilla::accept_loss`].
    AcceptLoss,
}

impl Endpoints for Operations {
    fn is_mine(path: &str) -> bool {
        Route::of(path).is_some()
    }

    fn refuse(&self, head: &OpsRequest<'_>) -> Option<OpsResponse> {
        self.admit(head).err()
    }

    fn handle(&self, request: OpsRequest<'_>) -> OpsFuture {
        let accepts_loss = match self.answer(&request) {
            Ok(Answer::Ready(response)) | Err(response) => {
                return Box::pin(std::future::ready(response));
            }
            Ok(Answer::Refresh) => false,
            Ok(Answer::AcceptLoss) => true,
        };
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
            let error = format!("{MAX_WAITING} requests are waiting for a fetch already");
            return Box::pin(std::future::ready(OpsResponse::refusal(503, &error)));
        };
        let vexilla = self.vexilla.clone();
        Box::pin(async move {
            let _permit = permit;
            let before = vexilla.snapshot();
            let outcome = match accepts_loss {
                true => vexilla.accept_loss().await,
                false => vexilla.refresh().await,
            };
            reports::refreshed(&vexilla, &before, outcome)
        })
    }

    fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    fn is_guarded(&self) -> bool {
        matches!(self.access, Access::Token(_))
    }
}

/// Whether the request has the token.
fn has_token(request: &OpsRequest<'_>, token: &Secret) -> bool {
    let Some(credentials) = request.only_header("authorization") else {
        return false;
    };
    let Some((scheme, candidate)) = credentials.split_at_checked(7) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer ") && token.is(candidate.trim_ascii()).into()
}

/// The key in the body of an invalidation, cut to a length for the log.
fn key_to_invalidate(body: &[u8]) -> Result<String, OpsResponse> {
    #[derive(Deserialize)]
    struct Invalidation {
        flag_key: String,
    }
    match serde_json::from_slice::<Invalidation>(body) {
        Ok(Invalidation { flag_key }) if !flag_key.is_empty() => {
            Ok(flag_key.chars().take(64).collect())
        }
        Ok(_) => Err(OpsResponse::refusal(400, "the flag_key is empty")),
        Err(error) => {
            let error = format!("the body is not {{\"flag_key\":\"…\"}} in JSON: {error}");
            Err(OpsResponse::refusal(400, &error))
        }
    }
}
