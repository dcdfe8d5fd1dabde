//! The flags of a request as an argument of a handler.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::flags::{FlagsFromError, flags_from};

/// The flags of a request, as an argument of a handler. Derefs to
/// [`vexilla_core::Flags`], which has all the getters.
///
/// ```
/// use vexilla_actix::Flags;
///
/// #[actix_web::get("/")]
/// async fn handler(flags: Flags) -> &'static str {
///     if flags.bool("new-feature") { "new" } else { "old" }
/// }
/// ```
///
/// Where no [`VexillaLayer`](crate::VexillaLayer) stands around the route, the
/// request is rejected with status 500; `Option<Flags>` is `None` there.
#[derive(Debug, Clone)]
pub struct Flags(pub vexilla_core::Flags);

impl Deref for Flags {
    type Target = vexilla_core::Flags;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Flags> for vexilla_core::Flags {
    fn from(flags: Flags) -> Self {
        flags.0
    }
}

impl FromRequest for Flags {
    type Error = FlagsFromError;
    type Future = Ready<Result<Self, FlagsFromError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(flags_from(request).map(Self))
    }
}
