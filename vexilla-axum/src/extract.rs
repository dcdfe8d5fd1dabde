//! The flags of a request as an argument of a handler.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use vexilla_tower::flags_from;
use vexilla_tower::request::MISSING_LAYER;

/// The flags of a request, as an argument of a handler. Derefs to
/// [`vexilla_core::Flags`](vexilla_tower::Flags), which has all the getters.
///
/// ```
/// use vexilla_axum::Flags;
///
/// async fn handler(flags: Flags) -> &'static str {
///     if flags.bool("new-feature") { "new" } else { "old" }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(handler));
/// ```
///
/// Where no [`VexillaLayer`](vexilla_tower::VexillaLayer) stands around the
/// route, the request is rejected with status 500; `Option<Flags>` is `None`
/// there.
#[derive(Debug, Clone)]
pub struct Flags(pub vexilla_tower::Flags);

impl Deref for Flags {
    type Target = vexilla_tower::Flags;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Flags> for vexilla_tower::Flags {
    fn from(flags: Flags) -> Self {
        flags.0
    }
}

impl<S: Sync> FromRequestParts<S> for Flags {
    type Rejection = MissingLayerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        flags_from(parts)
            .map(Self)
            .map_err(|_| MissingLayerRejection)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Flags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(flags_from(parts).map(Self).ok())
    }
}

/// No [`VexillaLayer`](vexilla_tower::VexillaLayer) stands around the route:
/// status 500, and a sentence that names the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingLayerRejection;

impl fmt::Display for MissingLayerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MISSING_LAYER)
    }
}

impl std::error::Error for MissingLayerRejection {}

impl IntoResponse for MissingLayerRejection {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, MISSING_LAYER).into_response()
    }
}
