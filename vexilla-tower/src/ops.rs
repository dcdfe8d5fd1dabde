//! Operations endpoints and the webhook, as tower services.
//!
//! See [`vexilla_core::ops`] for the endpoints and for who may use them; all of it
//! is re-exported here. [`OpsService`] and [`WebhookService`] are services to be
//! mounted into an application that routes requests itself. They never fail,
//! and read a body only when the request is let in.
//!
//! ```
//! use http::Request;
//! use http_body_util::Full;
//! use tower::ServiceExt;
//! use vexilla_tower::Vexilla;
//! use vexilla_tower::ops::{Operations, OpsService};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vexilla = Vexilla::fixed([]);
//! let operations = Operations::new(vexilla, "a-long-random-token")?;
//! let service = OpsService::new(operations).prefix("/internal");
//!
//! let request = Request::get("/internal/health/ready").body(Full::<&[u8]>::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Listeners of their own
//!
//! With the feature `listener`, both serve on an address of their own, which
//! other services and the network need not reach:
//!
//! ```
//! # #[cfg(feature = "listener")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let vexilla = vexilla_tower::Vexilla::fixed([]);
//! # use std::time::Duration;
//! use vexilla_tower::ops::{Operations, OpsListener, Webhook, WebhookListener};
//! # let DEFAULT_OPS_ADDR = "127.0.0.1:0".parse()?;
//! # let DEFAULT_WEBHOOK_ADDR = "127.0.0.1:0".parse()?;
//!
//! // Without a token: probes and counts on loopback …
//! let operations = Operations::local(vexilla.clone());
//! let operations = OpsListener::bind(DEFAULT_OPS_ADDR, operations).await?;
//! let webhook = Webhook::local(vexilla).build()?;
//! let webhook = WebhookListener::bind(DEFAULT_WEBHOOK_ADDR, webhook).await?;
//! println!("operations on http://{}", operations.local_addr());
//! // …for as long as the handles live.
//! operations.shutdown(Duration::from_secs(5)).await;
//! webhook.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "listener"))]
//! # fn main() {}
//! ```
//!
//! … and everything on a Unix socket, with `OpsListener::bind_unix`.

#[cfg(feature = "listener")]
mod accept;
#[cfg(feature = "listener")]
mod connection;
#[cfg(feature = "listener")]
mod listener;
mod service;
#[cfg(feature = "listener")]
mod socket;
#[cfg(all(feature = "listener", unix))]
mod unix;

#[cfg(feature = "listener")]
pub use listener::{Listener, ListenerOptions, OpsListener, WebhookListener};
pub use service::{AnswerFuture, EndpointsService, OpsService, WebhookService};
#[doc(inline)]
pub use vexilla_core::ops::*;
