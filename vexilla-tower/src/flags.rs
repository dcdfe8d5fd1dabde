//! The flags of one request: made at the first look, then kept.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use http::Request;
use http::request::Parts;
use vexilla_core::Flags;
use vexilla_core::request::{MISSING_LAYER, RequestView};

use crate::settings::Settings;
use crate::view::{FindPeer, HttpRequest};

/// What the layer leaves in the extensions of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestFlags {
    settings: Arc<Settings>,
    flags: OnceLock<Flags>,
}

impl RequestFlags {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            flags: OnceLock::new(),
        }
    }

    pub(crate) fn flags<'a>(&'a self, request: impl FnOnce(FindPeer) -> HttpRequest<'a>) -> Flags {
        let make = || {
            let settings = &*self.settings;
            let request = request(settings.find_peer).known_names(settings.header_names());
            let context = settings.rules().context(&RequestView::new(&request));
            settings.vexilla.flags(context)
        };
        self.flags.get_or_init(make).clone()
    }
}

/// The flags of a request, for middleware and handlers of plain tower services.
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

/// A request, or its parts, that [`flags_from`] reads.
pub trait HasFlags: sealed::Sealed {
    #[doc(hidden)]
    fn flags(&self) -> Option<Flags>;
}

mod sealed {
    pub trait Sealed {}
    impl<B> Sealed for http::Request<B> {}
    impl Sealed for http::request::Parts {}
}

impl<B> HasFlags for Request<B> {
    fn flags(&self) -> Option<Flags> {
        let record = self.extensions().get::<RequestFlags>()?;
        Some(record.flags(|find_peer| HttpRequest::of(self, find_peer)))
    }
}

impl HasFlags for Parts {
    fn flags(&self) -> Option<Flags> {
        let record = self.extensions.get::<RequestFlags>()?;
        Some(record.flags(|find_peer| HttpRequest::of_parts(self, find_peer)))
    }
}

/// No [`VexillaLayer`](crate::VexillaLayer) stands around the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingLayer;

impl fmt::Display for MissingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MISSING_LAYER)
    }
}

impl Error for MissingLayer {}
