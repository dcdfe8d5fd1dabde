//! The flags of one request: made at the first look, then kept.

use std::cell::{OnceCell, Ref};
use std::fmt;
use std::rc::Rc;

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use vexilla_core::Flags;
use vexilla_core::request::{MISSING_LAYER, RequestView};

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
/// If no [`VexillaLayer`](crate::VexillaLayer) stands around.
pub fn flags_from<R: HasFlags + ?Sized>(request: &R) -> Result<Flags, MissingLayer> {
    request.flags().ok_or(MissingLayer)
}

/// A request that [`flags_from`] reads, or what a guard sees of it.
pub trait HasFlags: sealed::Sealed {
    #[doc(hidden)]
    fn flags(&self) -> Option<Flags>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for actix_web::HttpRequest {}
    impl Sealed for actix_web::dev::ServiceRequest {}
    impl Sealed for actix_web::guard::GuardContext<'_> {}
}

impl HasFlags for HttpRequest {
    fn flags(&self) -> Option<Flags> {
        flags(|| self.extensions(), || ActixRequest::of_request(self))
    }
}

impl HasFlags for ServiceRequest {
    fn flags(&self) -> Option<Flags> {
        self.request().flags()
    }
}

impl HasFlags for GuardContext<'_> {
    fn flags(&self) -> Option<Flags> {
        flags(|| self.req_data(), || ActixRequest::of_guard(self))
    }
}

fn flags<'a>(
    extensions: impl Fn() -> Ref<'a, Extensions>,
    request: impl FnOnce() -> ActixRequest<'a>,
) -> Option<Flags> {
    let settings = {
        let extensions = extensions();
        let record = extensions.get::<RequestFlags>()?;
        if let Some(flags) = record.flags.get() {
            return Some(flags.clone());
        }
        Rc::clone(&record.settings)
    };
    // Closures of the rules run here, with no borrow of the extensions held.
    let request = request().known_names(settings.header_names());
    let context = settings.rules().context(&RequestView::new(&request));
    let made = settings.vexilla.flags(context);
    let extensions = extensions();
    let record = extensions.get::<RequestFlags>()?;
    Some(record.flags.get_or_init(|| made).clone())
}

/// No [`VexillaLayer`](crate::VexillaLayer) stands around the route: status
/// 500, and a sentence that names the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingLayer;

impl fmt::Display for MissingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MISSING_LAYER)
    }
}

impl std::error::Error for MissingLayer {}

impl ResponseError for MissingLayer {}
