//! The flags of requests of the `http` crate: tower, axum and tonic.
//!
//! Applications use this through `vexilla-tower` and `vexilla-axum`, whose layers
//! bring the flags into requests.

#[cfg(feature = "axum-core")]
mod axum;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use ::http::request::Parts;
use ::http::{Extensions, HeaderMap, Method, Request, Uri};

use super::headers::{HeaderName, HeaderNames, HeaderValues};
use super::{FlagsFromError, Head as AnyHead, LayerSettings, RequestView};
use crate::flags::Flags;

/// The address of the other end of the connection, for servers and layers that
/// know it: put it into the request's extensions, in front of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What a framework keeps in extensions.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct InExtensions {
    /// The address of the peer.
    pub peer_addr: fn(&Extensions) -> Option<SocketAddr>,
    /// The URI as it was sent, where the request may hold a part of it.
    pub original_uri: fn(&Extensions) -> Option<&Uri>,
}

impl Default for InExtensions {
    fn default() -> Self {
        Self {
            peer_addr: |extensions| extensions.get::<PeerAddr>().map(|PeerAddr(addr)| *addr),
            original_uri: |_| None,
        }
    }
}

/// What is known of a request before its body.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    in_extensions: InExtensions,
}

impl<'a> Head<'a> {
    fn uri(&self) -> &'a Uri {
        (self.in_extensions.original_uri)(self.extensions).unwrap_or(self.uri)
    }

    pub(super) fn method(&self) -> &'a str {
        self.method.as_str()
    }

    pub(super) fn path(&self) -> &'a str {
        self.uri().path()
    }

    pub(super) fn query(&self) -> Option<&'a str> {
        self.uri().query()
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        (self.in_extensions.peer_addr)(self.extensions)
    }

    pub(super) fn headers(&self, name: &HeaderName) -> HeaderValues<'a> {
        HeaderValues::http(self.headers, name, || {
            Some(self.uri().authority()?.as_str())
        })
    }

    pub(super) fn header_names(&self) -> HeaderNames<'a> {
        HeaderNames::http(self.headers, self.uri().authority().is_some())
    }

    pub(super) fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.extensions.get::<T>().cloned()
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            in_extensions: InExtensions::default(),
        }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
            in_extensions: InExtensions::default(),
        }
    }
}

impl<'a, B> From<&'a Request<B>> for RequestView<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            head: AnyHead::Http(request.into()),
        }
    }
}

impl<'a> From<&'a Parts> for RequestView<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            head: AnyHead::Http(parts.into()),
        }
    }
}

/// What a layer leaves in the extensions of a request: made into flags at the
/// first look, then kept.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct RequestFlags {
    /// `None` where [`set_flags`] has set the flags of a request without a layer.
    settings: Option<Arc<LayerSettings>>,
    in_extensions: InExtensions,
    flags: OnceLock<Flags>,
}

impl RequestFlags {
    /// The flags of a request that nobody has looked at.
    #[must_use]
    pub fn new(settings: Arc<LayerSettings>, in_extensions: InExtensions) -> Self {
        Self {
            settings: Some(settings),
            in_extensions,
            flags: OnceLock::new(),
        }
    }

    fn flags(&self, mut head: Head<'_>) -> Result<Flags, FlagsFromError> {
        if let Some(flags) = self.flags.get() {
            return Ok(flags.clone());
        }
        let settings = self.settings.as_ref();
        let settings = settings.ok_or(FlagsFromError::MissingLayer)?;
        head.in_extensions = self.in_extensions;
        let request = RequestView {
            head: AnyHead::Http(head),
        };
        let made = settings.flags(&request)?;
        // If another thread was faster, its flags stay.
        Ok(self.flags.get_or_init(|| made).clone())
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
/// `VexillaLayer`, [`FlagsFromError::ReadInRules`] in a closure of the layer's
/// rules.
pub fn flags_from<R: HasFlags + ?Sized>(request: &R) -> Result<Flags, FlagsFromError> {
    let head = request.head();
    let record = head.extensions.get::<RequestFlags>();
    record.ok_or(FlagsFromError::MissingLayer)?.flags(head)
}

/// Sets the flags of a request: what [`flags_from`] and extractors return from now
/// on, in place of the layer's. For middleware inside of the layer, and for tests of
/// handlers without one.
///
/// ```
/// use vexilla_core::request::http::{flags_from, set_flags};
/// use vexilla_core::{Context, Overrides, Vexilla};
///
/// # fn main() -> Result<(), vexilla_core::request::FlagsFromError> {
/// let mut request = http::Request::new(());
/// let flags = Vexilla::fixed([]).flags(Context::new("user-1"));
/// let preview = Overrides::new().set("new-checkout", true);
/// set_flags(&mut request, flags.with_overrides(&preview));
/// assert!(flags_from(&request)?.bool("new-checkout"));
/// # Ok(())
/// # }
/// ```
pub fn set_flags<R: HasFlags + ?Sized>(request: &mut R, flags: Flags) {
    let extensions = request.extensions_mut();
    if let Some(eager) = extensions.get_mut::<Flags>() {
        *eager = flags.clone();
    }
    let record = match extensions.remove::<RequestFlags>() {
        Some(record) => RequestFlags {
            flags: OnceLock::from(flags),
            ..record
        },
        None => RequestFlags {
            settings: None,
            in_extensions: InExtensions::default(),
            flags: OnceLock::from(flags),
        },
    };
    extensions.insert(record);
}

/// A request, or its parts, that [`flags_from`] reads.
pub trait HasFlags: sealed::HasHead {}

impl<B> HasFlags for Request<B> {}
impl HasFlags for Parts {}

mod sealed {
    use super::{Extensions, Head, Parts, Request};

    pub trait HasHead {
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_>;

        #[doc(hidden)]
        fn extensions_mut(&mut self) -> &mut Extensions;
    }

    impl<B> HasHead for Request<B> {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_> {
            self.into()
        }

        fn extensions_mut(&mut self) -> &mut Extensions {
            Self::extensions_mut(self)
        }
    }

    impl HasHead for Parts {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn head(&self) -> Head<'_> {
            self.into()
        }

        fn extensions_mut(&mut self) -> &mut Extensions {
            &mut self.extensions
        }
    }
}
