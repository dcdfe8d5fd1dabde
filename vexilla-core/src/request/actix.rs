//! The flags of requests of actix-web.
//!
//! Applications use this through `vexilla-actix`, whose layer brings the flags into
//! requests.

use std::cell::{OnceCell, Ref};
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::rc::Rc;

use actix_web::dev::{Extensions, Payload, RequestHead, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};

use super::headers::{HeaderName, HeaderNames, HeaderValues};
use super::{FlagsFromError, Head as AnyHead, LayerSettings, RequestView};
use crate::flags::Flags;

/// What is known of a request before its body.
#[derive(Clone, Copy)]
pub(super) enum Head<'a> {
    Request(&'a HttpRequest),
    /// A guard is shown no request.
    Guard(&'a GuardContext<'a>),
}

impl<'a> Head<'a> {
    fn head(&self) -> &'a RequestHead {
        match self {
            Self::Request(request) => request.head(),
            Self::Guard(guard) => guard.head(),
        }
    }

    fn extensions(&self) -> Ref<'a, Extensions> {
        match self {
            Self::Request(request) => request.extensions(),
            Self::Guard(guard) => guard.req_data(),
        }
    }

    pub(super) fn method(&self) -> &'a str {
        self.head().method.as_str()
    }

    pub(super) fn path(&self) -> &'a str {
        self.head().uri.path()
    }

    pub(super) fn query(&self) -> Option<&'a str> {
        self.head().uri.query()
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Request(request) => request.peer_addr(),
            Self::Guard(guard) => guard.head().peer_addr,
        }
    }

    pub(super) fn headers(&self, name: &HeaderName) -> HeaderValues<'a> {
        let head = self.head();
        HeaderValues::actix(&head.headers, name, || Some(head.uri.authority()?.as_str()))
    }

    pub(super) fn header_names(&self) -> HeaderNames<'a> {
        let head = self.head();
        HeaderNames::actix(&head.headers, head.uri.authority().is_some())
    }

    pub(super) fn extension<T: Clone + 'static>(&self) -> Option<T> {
        self.extensions().get::<T>().cloned()
    }
}

impl RequestView<'_> {
    /// As [`extension`](Self::extension), of a type that stays on its thread: in
    /// requests of actix-web alone.
    #[cfg_attr(docsrs, doc(cfg(feature = "actix-web")))]
    #[must_use]
    pub fn local_extension<T: Clone + 'static>(&self) -> Option<T> {
        match &self.head {
            AnyHead::Actix(head) => head.extension(),
            AnyHead::Http(_) => None,
        }
    }
}

impl<'a> From<&'a HttpRequest> for RequestView<'a> {
    fn from(request: &'a HttpRequest) -> Self {
        Head::Request(request).into()
    }
}

impl<'a> From<Head<'a>> for RequestView<'a> {
    fn from(head: Head<'a>) -> Self {
        Self {
            head: AnyHead::Actix(head),
        }
    }
}

/// What the layer leaves in the extensions of a request: made into flags at the
/// first look, then kept.
#[doc(hidden)]
#[derive(Debug)]
pub struct RequestFlags {
    /// `None` where [`set_flags`] has set the flags of a request without a layer.
    settings: Option<Rc<LayerSettings>>,
    flags: OnceCell<Flags>,
}

impl RequestFlags {
    /// The flags of a request that nobody has looked at.
    #[must_use]
    pub fn new(settings: Rc<LayerSettings>) -> Self {
        Self {
            settings: Some(settings),
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
/// `VexillaLayer`, [`FlagsFromError::ReadInRules`] in a closure of the layer's
/// rules.
pub fn flags_from<R: HasFlags + ?Sized>(request: &R) -> Result<Flags, FlagsFromError> {
    let missing = FlagsFromError::MissingLayer;
    let head = request.head();
    let settings = {
        let extensions = head.extensions();
        let record = extensions.get::<RequestFlags>().ok_or(missing)?;
        if let Some(flags) = record.flags.get() {
            return Ok(flags.clone());
        }
        Rc::clone(record.settings.as_ref().ok_or(missing)?)
    };
    // Closures of the rules run here, with no borrow of the extensions held.
    let made = settings.flags(&head.into())?;
    let extensions = head.extensions();
    let record = extensions.get::<RequestFlags>().ok_or(missing)?;
    Ok(record.flags.get_or_init(|| made).clone())
}

/// Sets the flags of a request: what [`flags_from`] and extractors return from now
/// on, in place of the layer's. For middleware inside of the layer, and for tests of
/// handlers without one.
///
/// # Panics
///
/// While the extensions of the request are borrowed.
pub fn set_flags(request: &impl HttpMessage, flags: Flags) {
    let mut extensions = request.extensions_mut();
    if let Some(eager) = extensions.get_mut::<Flags>() {
        *eager = flags.clone();
    }
    let record = extensions.remove::<RequestFlags>();
    let settings = record.and_then(|record| record.settings);
    extensions.insert(RequestFlags {
        settings,
        flags: OnceCell::from(flags),
    });
}

/// A request that [`flags_from`] reads, or what a guard sees of it.
pub trait HasFlags: sealed::HasHead {}

impl HasFlags for HttpRequest {}
impl HasFlags for ServiceRequest {}
impl HasFlags for GuardContext<'_> {}

mod sealed {
    use super::{GuardContext, Head, HttpRequest, ServiceRequest};

    pub trait HasHead {
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_>;
    }

    impl HasHead for HttpRequest {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_> {
            Head::Request(self)
        }
    }

    impl HasHead for ServiceRequest {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_> {
            Head::Request(self.request())
        }
    }

    impl HasHead for GuardContext<'_> {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_> {
            Head::Guard(self)
        }
    }
}

/// An argument of actix-web handlers. Where the route is not wrapped in a
/// `VexillaLayer`, the request is rejected with status 500; `Option<Flags>` is
/// `None` there.
#[cfg_attr(docsrs, doc(cfg(feature = "actix-web")))]
impl FromRequest for Flags {
    type Error = FlagsFromError;
    type Future = Ready<Result<Self, FlagsFromError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(flags_from(request))
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "actix-web")))]
impl ResponseError for FlagsFromError {}
