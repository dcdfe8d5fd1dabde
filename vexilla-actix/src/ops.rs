//! Operations endpoints and the webhook, as an actix-web scope and resource.
//!
//! See [`vexilla_core::ops`] for the endpoints and for who may use them; all of it
//! is re-exported here.
//!
//! ```
//! use actix_web::App;
//! use vexilla_actix::Vexilla;
//! use vexilla_actix::ops::{self, Operations, Webhook};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vexilla = Vexilla::fixed([]);
//! let operations = Operations::new(vexilla.clone(), "a-long-random-token")?;
//! let webhook = Webhook::new(vexilla)
//!     .shared_secret("X-Flagr-Secret", "the-one-that-flagr-sends")
//!     .build()?;
//! // In HttpServer::new(move || …):
//! let app = App::new()
//!     // GET /internal/health/ready, POST /internal/admin/refresh, …
//!     .service(ops::scope("/internal", operations.clone()))
//!     // POST /webhook
//!     .service(ops::webhook(webhook.clone()));
//! # Ok(())
//! # }
//! ```
//!
//! [`configure`] mounts the operations where no prefix is wanted.
//!
//! # Listeners of their own
//!
//! `OpsListener` and `WebhookListener` (feature `listener`) are those of
//! `vexilla-tower`: there is one, tested once, by hyper instead of actix's own
//! server. They run on the runtime of `#[actix_web::main]` as on any of tokio,
//! and nothing of `http` is in what they take.
//!
//! ```
//! # #[cfg(feature = "listener")]
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let vexilla = vexilla_actix::Vexilla::fixed([]);
//! use vexilla_actix::ops::{Operations, OpsListener};
//! # let DEFAULT_OPS_ADDR = "127.0.0.1:0".parse()?;
//!
//! // Without a token: probes and counts; for the rest, see bind_unix.
//! let operations = Operations::local(vexilla);
//! let operations = OpsListener::bind(DEFAULT_OPS_ADDR, operations).await?;
//! println!("operations on http://{}", operations.local_addr());
//! // …for as long as the handle lives.
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "listener"))]
//! # fn main() {}
//! ```

use actix_web::http::StatusCode;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, Scope};
#[doc(inline)]
pub use vexilla_core::ops::*;
#[cfg(feature = "listener")]
#[doc(inline)]
pub use vexilla_tower::ops::{Listener, ListenerOptions, OpsListener, WebhookListener};

/// A scope of the operations endpoints, below a path such as `/internal`.
pub fn scope(path: &str, operations: Operations) -> Scope {
    let nothing = route(operations.clone(), 0);
    web::scope(path)
        .configure(configure(operations))
        .default_service(nothing)
}

/// Mounts the operations endpoints without a path in front of theirs, for
/// [`App::configure`](actix_web::App::configure).
pub fn configure(operations: Operations) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        for path in OPS_PATHS {
            config.service(resource(path, operations.clone()));
        }
    }
}

/// The webhook, `POST /webhook`.
pub fn webhook(webhook: Webhook) -> Resource {
    resource(WEBHOOK_PATH, webhook)
}

fn resource(path: &str, endpoints: impl Endpoints) -> Resource {
    let segments = path.matches('/').count();
    web::resource(path).route(route(endpoints, segments))
}

/// Answers requests whose path has so many segments behind the prefix of where
/// it is mounted.
fn route(endpoints: impl Endpoints, segments: usize) -> Route {
    web::to(move |request: HttpRequest, body: Payload| {
        let endpoints = endpoints.clone();
        async move { response(answer(&endpoints, &request, segments, body).await) }
    })
}

async fn answer(
    endpoints: &impl Endpoints,
    request: &HttpRequest,
    segments: usize,
    body: Payload,
) -> OpsResponse {
    // As it was sent: what matches in actix is decoded in part.
    let path = last_segments(request.uri().path(), segments);
    let refusal = { endpoints.refuse(&OpsRequest::new(request).path(path)) };
    if let Some(refusal) = refusal {
        return refusal;
    }
    let limit = endpoints.max_body_bytes();
    let body = match body.to_bytes_limited(limit).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return OpsResponse::broken_off(),
        Err(_) => return OpsResponse::too_large(limit),
    };
    let answer = { endpoints.handle(OpsRequest::new(request).path(path).body(&body)) };
    answer.await
}

/// The end of a path that has so many segments, with its leading slash.
fn last_segments(path: &str, segments: usize) -> &str {
    let start = match segments {
        0 => None,
        _ => path.rmatch_indices('/').nth(segments - 1),
    };
    start
        .and_then(|(start, _)| path.get(start..))
        .unwrap_or_default()
}

fn response(answer: OpsResponse) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for header in answer.headers() {
        response.insert_header(header);
    }
    response.body(answer.into_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segments_are_those_of_the_path_as_sent() {
        for (path, segments, last) in [
            ("/internal/health/live", 2, "/health/live"),
            ("/health/live", 2, "/health/live"),
            (
                "/a/admin/flags/x%2Fy/explain",
                4,
                "/admin/flags/x%2Fy/explain",
            ),
            ("/health", 2, ""),
            ("/health", 0, ""),
        ] {
            assert_eq!(last_segments(path, segments), last);
        }
    }
}
