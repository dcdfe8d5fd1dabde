//! The flags of one request: made at the first look, then kept.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use http::Request;
use http::request::Parts;
use vexilla_core::Flags;
use vexilla_core::request::{MISSING_LAYER, ReadInRules, RequestView};

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

    pub(crate) fn flags<'a>(
        &'a self,
        request: impl FnOnce(FindPeer) -> HttpRequest<'a>,
    ) -> Result<Flags, ReadInRules> {
        if let Some(flags) = self.flags.get() {
            return Ok(flags.clone());
        }
        let settings = &*self.settings;
        let request = request(settings.find_peer).known_names(settings.header_names());
        let rules = settings.rules();
        let context = rules.context_for_flags(&RequestView::new(&request))?;
        // If another thread was faster, its flags stay.
        let flags = self.flags.get_or_init(|| settings.vexilla.flags(context));
        Ok(flags.clone())
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
/// [`FlagsFromError::MissingLayer`] if the route is not wrapped in a
/// [`VexillaLayer`](crate::VexillaLayer), [`FlagsFromError::ReadInRules`] in a
/// closure of the layer's rules.
pub fn flags_from<R: HasFlags + ?Sized>(request: &R) -> Result<Flags, FlagsFromError> {
    request.flags()
}

/// A request, or its parts, that [`flags_from`] reads.
pub trait HasFlags: sealed::Sealed {
    #[doc(hidden)]
    fn flags(&self) -> Result<Flags, FlagsFromError>;
}

mod sealed {
    pub trait Sealed {}
    impl<B> Sealed for http::Request<B> {}
    impl Sealed for http::request::Parts {}
}

impl<B> HasFlags for Request<B> {
    fn flags(&self) -> Result<Flags, FlagsFromError> {
        let record = self.extensions().get::<RequestFlags>();
        let record = record.ok_or(FlagsFromError::MissingLayer)?;
        Ok(record.flags(|find_peer| HttpRequest::of(self, find_peer))?)
    }
}

impl HasFlags for Parts {
    fn flags(&self) -> Result<Flags, FlagsFromError> {
        let record = self.extensions.get::<RequestFlags>();
        let record = record.ok_or(FlagsFromError::MissingLayer)?;
        Ok(record.flags(|find_peer| HttpRequest::of_parts(self, find_peer))?)
    }
}

/// Why a request has no flags. Its sentence names the fix.
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

impl Error for FlagsFromError {}
