//! Operations endpoints and the webhook, as axum routers.
//!
//! See [`vexilla_core::ops`] for the endpoints and for who may use them; all of it
//! is re-exported here, and so are the listeners of `vexilla-tower`
//! (feature `listener`), which serve both on an address of their own.
//!
//! ```
//! use axum::Router;
//! use vexilla_axum::Vexilla;
//! use vexilla_axum::ops::{Operations, Webhook, router, webhook_router};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vexilla = Vexilla::fixed([]);
//! let operations = Operations::new(vexilla.clone(), "a-long-random-token")?;
//! let webhook = Webhook::new(vexilla)
//!     .shared_secret("X-Flagr-Secret", "the-one-that-flagr-sends")
//!     .build()?;
//! let app: Router = Router::new()
//!     // GET /internal/health/ready, POST /internal/admin/refresh, …
//!     .nest("/internal", router(operations))
//!     // POST /webhook
//!     .merge(webhook_router(webhook));
//! # Ok(())
//! # }
//! ```
//!
//! The routers hold the paths of the endpoints and no other, so that they can
//! be nested or merged; what an unknown path answers is the application's
//! matter.

use axum::Router;
#[doc(inline)]
pub use vexilla_tower::ops::*;

/// A router of the operations endpoints.
pub fn router<S: Clone + Send + Sync + 'static>(operations: Operations) -> Router<S> {
    let service = OpsService::new(operations);
    OPS_PATHS.into_iter().fold(Router::new(), |router, path| {
        router.route_service(path, service.clone())
    })
}

/// A router of the webhook, `POST /webhook`.
pub fn webhook_router<S: Clone + Send + Sync + 'static>(webhook: Webhook) -> Router<S> {
    Router::new().route_service(WEBHOOK_PATH, WebhookService::new(webhook))
}
