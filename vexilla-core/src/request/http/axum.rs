//! The flags of a request as an argument of an axum handler.

use std::convert::Infallible;

use ::http::StatusCode;
use ::http::request::Parts;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};

use super::flags_from;
use crate::flags::Flags;
use crate::request::FlagsFromError;

/// An argument of axum handlers. Where the route is not wrapped in a
/// `VexillaLayer`, the request is rejected with status 500; `Option<Flags>` is
/// `None` there.
#[cfg_attr(docsrs, doc(cfg(feature = "axum-core")))]
impl<S: Sync> FromRequestParts<S> for Flags {
    type Rejection = FlagsFromError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, FlagsFromError> {
        flags_from(parts)
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "axum-core")))]
impl<S: Sync> OptionalFromRequestParts<S> for Flags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(flags_from(parts).ok())
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "axum-core")))]
impl FlagsFromError {
    /// The status of the response: 500.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    /// The body of the response: the message.
    #[must_use]
    pub fn body_text(self) -> String {
        self.text().to_owned()
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "axum-core")))]
impl IntoResponse for FlagsFromError {
    fn into_response(self) -> Response {
        (self.status(), self.text()).into_response()
    }
}
