//! The flags of one request: made at the first look, then kept.

use std::cell::{OnceCell, Ref};
use std::fmt;
use std::rc::Rc;

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use vexilla_core::Flags;
use vexilla_core::request::{MISSING_LAYER, ReadInRules, RequestView};

use crate::settings::Settings;
use crate::view::ActixRequest;

/// What the layer leaves in the extensions of a request.
#[derive(Debug)]
pub(crate) struct RequestFlags {
    settings: Rc<Settings>,
    flags: OnceCell<Flags>,
}

impl RequestFlags {
    pub(crate) fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            flags: OnceCell::new(),
        }
    }
}

/// The flags of a request, for middleware, guards and handlers.
///
/// At the first call the context is made of the request as it is then, and the
/// flags are pinned as they are then; every later call, and every extractor, gets
/// the same.
///
/// # Errors
///
/// [`FlagsFromError::MissingLayer`] if the route is not wrapped in a
/// [`VexillaLayer`](crate::VexillaLayer), [`FlagsFromError::ReadInRules`] in a
/// closure of the layer's rules.
pub fn flags_from<R: HasFlags + ?Sized>(request: &R) -> Result<Flags, FlagsFromError> {
    request.flags()
}

/// A request that [`flags_from`] reads, or what a guard sees of it.
pub trait HasFlags: sealed::Sealed {
    #[doc(hidden)]
    fn flags(&self) -> Result<Flags, FlagsFromError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for actix_web::HttpRequest {}
    impl Sealed for actix_web::dev::ServiceRequest {}
    impl Sealed for actix_web::guard::GuardContext<'_> {}
}

impl HasFlags for HttpRequest {
    fn flags(&self) -> Result<Flags, FlagsFromError> {
        flags(|| self.extensions(), || ActixRequest::of_request(self))
    }
}

impl HasFlags for ServiceRequest {
    fn flags(&self) -> Result<Flags, FlagsFromError> {
        self.request().flags()
    }
}

impl HasFlags for GuardContext<'_> {
    fn flags(&self) -> Result<Flags, FlagsFromError> {
        flags(|| self.req_data(), || ActixRequest::of_guard(self))
    }
}

fn flags<'a>(
    extensions: impl Fn() -> Ref<'a, Extensions>,
    request: impl FnOnce() -> ActixRequest<'a>,
) -> Result<Flags, FlagsFromError> {
    let missing = FlagsFromError::MissingLayer;
    let settings = {
        let extensions = extensions();
        let record = extensions.get::<RequestFlags>().ok_or(missing)?;
        if let Some(flags) = record.flags.get() {
            return Ok(flags.clone());
        }
        Rc::clone(&record.settings)
    };
    // Closures of the rules run here, with no borrow of the extensions held.
    let request = request().known_names(settings.header_names());
    let rules = settings.rules();
    let context = rules.context_for_flags(&RequestView::new(&request))?;
    let made = settings.vexilla.flags(context);
    let extensions = extensions();
    let record = extensions.get::<RequestFlags>().ok_or(missing)?;
    Ok(record.flags.get_or_init(|| made).clone())
}

/// Why a request has no flags: status 500, and a sentence that names the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagsFromError {
    /// The route is not wrapped in a [`VexillaLayer`](crate::VexillaLayer).
    MissingLayer,
    /// A closure of [`ContextRules`](vexilla_core::request::ContextRules) reads
    /// flags, while the rules make the context that flags are read for.
    ReadInRules,
}

impl From<ReadInRules> for FlagsFromError {
    fn from(_: ReadInRules) -> Self {
        Self::ReadInRules
    }
}

impl fmt::Display for FlagsFromError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingLayer => f.write_str(MISSING_LAYER),
            Self::ReadInRules => ReadInRules.fmt(f),
        }
    }
}

impl std::error::Error for FlagsFromError {}

impl ResponseError for FlagsFromError {}
