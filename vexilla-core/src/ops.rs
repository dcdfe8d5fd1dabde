//! Operations endpoints and the webhook, without a web framework.
//!
//! [`Operations`] answers questions about the flags that a service has loaded, and
//! [`Webhook`] is told that flags have changed. Both take an [`OpsRequest`] and
//! give an [`OpsResponse`]; the adapters (`vexilla_tower::ops`,
//! `vexilla_axum::ops`, `vexilla_actix::ops`) mount them into an application,
//! or serve them on a listener of their own.
//!
//! # Operations
//!
//! | Endpoint | Token | Answer |
//! |---|---|---|
//! | `GET /health/live` | no | 200 while the process answers |
//! | `GET /health/ready` | no | 200 once the source, or the last-known-good copy, has given flags; else 503, also once they are older than [`max_stale`](crate::VexillaBuilder::max_stale) |
//! | `GET /health` | yes | 200 with the [`Status`](crate::Status) |
//! | `GET /admin/stats` | yes | 200 with level, version, and the [`Counts`](crate::status::Counts) of checks, requests and changes; those of evaluations are [`Vexilla::evaluation_counts`](crate::Vexilla::evaluation_counts) |
//! | `GET /admin/flags` | yes | 200 with all loaded flags by key, and the problem of each that has one |
//! | `POST /admin/flags/{key}/explain` | yes | 200 with how a context's value comes about, 404 for a flag that is not loaded |
//! | `POST /admin/refresh` | yes | fetches the flags and waits: 200 with whether they changed, how many there are and their version, both before and now, the level and its reason; 502 with the source's error, 503 after a shutdown |
//! | `POST /admin/refresh?accept-loss=true` | yes | as `/admin/refresh`, and loads what the source answers even if it lacks flags or is older, see [`Vexilla::accept_loss`](crate::Vexilla::accept_loss) |
//! | `POST /admin/invalidate` | yes | as `/admin/refresh`, which accepts no loss; the body names a flag, `{"flag_key":"…"}` |
//! | `POST /admin/invalidate-all` | yes | as `/admin/refresh`, which accepts no loss |
//!
//! At most 16 requests wait for a fetch at a time, and share it; others are answered
//! with 503 at once. So they keep no probe out of a listener with more than 16
//! connections. A client that is gone keeps its place until the fetch ends.
//!
//! `GET` endpoints answer `HEAD`, too. Every body is JSON; a refusal is
//! `{"error":"…"}`: 400 for a body that is not what the endpoint reads, 401
//! without the token, 403 for what a listener of its own refuses, 404, 405, 413
//! for a body over the limit. Bodies are read as JSON whatever their content
//! type says. Where possible, a request is refused before its body is read.
//!
//! **Ready** means that there is data: [`Level::Live`](crate::Level),
//! `Stale` or `Restored`. Embedded flags and emergency defaults do not make a
//! service ready: in an outage it stops being ready when
//! [`max_stale`](crate::VexillaBuilder::max_stale) passes, and so do all its
//! replicas at about the same time. A service that can work on its defaults should
//! be probed at `/health/live` only. A source that answers with no flags makes the
//! service ready with 0 flags: at the first start, an empty Flagr looks the same as
//! one that is meant to be empty.
//! Both probes are free of the token, since probes have none, and give nothing
//! away but that one bit.
//!
//! **Explaining** takes `{"entityID":"…","entityType":"…","entityContext":{…}}`,
//! Flagr's names, each of them optional; no body at all is the empty context.
//! The answer holds the `evaluation`, the [`Explanation`](crate::explain::Explanation)
//! and the latter as `text`. The key is percent-encoded UTF-8, `a%2Fb` for
//! `a/b`.
//!
//! **Invalidating** downloads all flags; the loaded flags are served until the
//! download succeeds. The body of `/admin/invalidate` must have a key; it is
//! logged, and need not be that of a loaded flag.
//!
//! ```
//! use vexilla_core::Vexilla;
//! use vexilla_core::ops::Operations;
//!
//! # fn main() -> Result<(), vexilla_core::ops::OpsError> {
//! let vexilla = Vexilla::fixed([]);
//! let operations = Operations::new(vexilla, "a-long-random-token")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Webhook
//!
//! `POST /webhook` is a hint: the source is checked within moments, together
//! with what else is announced in that time. What the body says is logged at
//! level debug, and never applied; so a webhook that is forged, repeated or
//! lost costs a request or some seconds, never a wrong value. It answers 202;
//! 401 if the signature or the secret is missing or wrong; 413 for a body over
//! the limit, which is not read; and 400 for a body that is not valid JSON. A 401
//! is logged as a warning at most once a minute, else at level debug.
//!
//! Either of these lets a request in:
//!
//! - **A signature**: `X-Webhook-Signature` is the HMAC-SHA256 of the body
//!   under one of the [`signing_secret`](WebhookBuilder::signing_secret)s, in
//!   hexadecimal, in capital or small letters, with or without `sha256=`. The
//!   body is meant to be an event,
//!   `{"event":"flag.updated","flag_keys":["…"]}` or `flag.deleted`.
//! - **A shared secret** in a header of one's choice, for Flagr, which does not
//!   sign: see [`shared_secret`](WebhookBuilder::shared_secret).
//!
//! Secrets of both kinds can be set several times. To change one without a
//! gap, set the new beside the old, change the sender, then drop the old. A
//! header that is there twice counts as missing.
//!
//! ```
//! use vexilla_core::Vexilla;
//! use vexilla_core::ops::Webhook;
//!
//! # fn main() -> Result<(), vexilla_core::ops::OpsError> {
//! # let vexilla = Vexilla::fixed([]);
//! let webhook = Webhook::new(vexilla)
//!     .shared_secret("X-Flagr-Secret", "the-one-that-flagr-sends")
//!     .signing_secret("the-new-one")
//!     .signing_secret("the-old-one")
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! ## Flagr
//!
//! Flagr 1.2 (`pkg/notification/webhook.go`) posts
//! `{"operation":"update","flag_id":1,"flag_key":"…","component_type":"segment",…}`
//! at each change, with the headers that it is told to send. Start it with
//!
//! ```text
//! FLAGR_NOTIFICATION_WEBHOOK_ENABLED=true
//! FLAGR_NOTIFICATION_WEBHOOK_URL=http://checkout.internal:3000/webhook
//! FLAGR_NOTIFICATION_WEBHOOK_HEADERS=X-Flagr-Secret: the-one-that-flagr-sends
//! ```
//!
//! It splits the last one at commas, so that a secret has none, and cuts blanks
//! off both ends. `Authorization: Bearer …` works as well as a header of one's
//! own. It knows one address: where several instances of a service run, each
//! of which must hear, let it post to something that passes it on to all.
//! Leave `FLAGR_NOTIFICATION_DETAILED_DIFF_ENABLED` off, as it is by default,
//! or raise [`max_body_bytes`](WebhookBuilder::max_body_bytes): with it, a body
//! holds the flag twice and their difference, and Flagr does not repeat what
//! was answered with 413. It sends best effort, before its own cache is
//! renewed; the polling goes on, and
//! [`changes_without_push`](crate::status::Counts::changes_without_push) counts what no
//! webhook had announced.
//!
//! # Listeners of their own
//!
//! The adapters' `OpsListener` and `WebhookListener` (feature `listener`) serve
//! on an address of their own, by default [`DEFAULT_OPS_ADDR`] and
//! [`DEFAULT_WEBHOOK_ADDR`], or on a Unix socket. There the token, or the
//! secrets, may be left out: [`Operations::local`], [`Webhook::local`]. What is
//! served then depends on the listener:
//!
//! | Made with | Unix socket | TCP on loopback | TCP elsewhere | mounted |
//! |---|---|---|---|---|
//! | [`Operations::new`] | all, with the token | all, with the token | all, with the token | all, with the token |
//! | [`Operations::local`] | all | probes, `/admin/stats` | does not bind | nothing |
//! | [`Operations::insecure_without_token`] | all | all | does not bind | all |
//! | [`Webhook::local`] without a secret | yes | yes | does not bind | nothing |
//!
//! “With the token” excepts the probes; “nothing” is a 403 for every request.
//!
//! **A Unix socket** is protected by its file's permissions: by default only
//! the user that the service runs as (and root) can connect. Nothing else is
//! checked, so that whoever lets a proxy connect to it lets the proxy's clients
//! in. Try it with `curl --unix-socket /run/checkout/ops.sock
//! http://localhost/admin/flags`.
//!
//! **TCP on loopback** is reached by every user and container that shares the
//! network of this machine, by web pages in a browser, and by the clients of
//! every proxy that forwards to it. A proxy cannot be recognised: nginx, with
//! `proxy_pass http://127.0.0.1:19000` and nothing else, sends `Host:
//! 127.0.0.1:19000` and no header that says that it forwarded a request. That is
//! why only the probes and counts are served there without a token: one bit
//! each, and numbers and states without any name, key or error text.
//! `/health` needs more, because it carries the source's last error. A webhook
//! without a secret causes checks of the source, which are limited in rate
//! however many requests come.
//!
//! Beside that, requests without a token are refused there with 403 that
//! visibly come from elsewhere: with another `Host` than `localhost` or a
//! loopback address (a page of another site whose name was made to point here),
//! with any `Origin` or a `Sec-Fetch-Site` other than `none` (a page of another
//! site), or with a header such as `Forwarded`, `X-Forwarded-…`, `X-Real-IP` or
//! `Via` (a proxy that says so).

mod decode;
mod error;
mod exchange;
mod operations;
mod origin_check;
mod reports;
mod route;
mod secret;
mod warnings;
mod webhook;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use error::OpsError;
pub use exchange::{ListenerKind, OpsRequest, OpsResponse};
pub use operations::Operations;
pub use webhook::{Webhook, WebhookBuilder};

/// Where the operations' own listener listens unless set otherwise:
/// `127.0.0.1:19000`.
pub const DEFAULT_OPS_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 19_000);

/// Where the webhook's own listener listens unless set otherwise:
/// `127.0.0.1:18001`.
pub const DEFAULT_WEBHOOK_ADDR: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18_001);

/// The most bytes that a body may have unless set otherwise: 64 KiB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 64 << 10;

/// The paths of the operations endpoints, for routers; `{key}` stands for one
/// segment.
pub const OPS_PATHS: [&str; 9] = [
    "/health/live",
    "/health/ready",
    "/health",
    "/admin/stats",
    "/admin/flags",
    "/admin/flags/{key}/explain",
    "/admin/refresh",
    "/admin/invalidate",
    "/admin/invalidate-all",
];

/// The path of the webhook.
pub const WEBHOOK_PATH: &str = "/webhook";

/// An answer that is on its way. It holds nothing of the request.
pub type OpsFuture = std::pin::Pin<Box<dyn Future<Output = OpsResponse> + Send>>;

/// What adapters mount: [`Operations`] or a [`Webhook`].
///
/// An adapter asks [`refuse`](Self::refuse) with what it has before the body,
/// reads at most [`max_body_bytes`](Self::max_body_bytes), and then calls
/// [`handle`](Self::handle), which is complete by itself.
pub trait Endpoints: sealed::Sealed + Clone + Send + Sync + 'static {
    /// Whether something is served at this path, percent-encoded as it was
    /// sent, without prefix and query.
    fn is_mine(path: &str) -> bool;

    /// The answer, if the request is refused whatever its body is.
    fn refuse(&self, head: &OpsRequest<'_>) -> Option<OpsResponse>;

    /// Answers the request.
    fn handle(&self, request: OpsRequest<'_>) -> OpsFuture;

    /// The most bytes that a body may have.
    fn max_body_bytes(&self) -> usize;

    /// Whether everything but the two probes asks for a token or a secret, so
    /// that it may listen on an address that others reach.
    fn is_guarded(&self) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Operations {}
    impl Sealed for super::Webhook {}
}
