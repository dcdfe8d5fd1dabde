//! Shows an `http` request to the rules that make contexts.

use std::any::Any;
use std::net::SocketAddr;

use http::header::HeaderName;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Uri};
use vexilla_core::request::{RequestParts, RequestView};

/// The address of the other end of the connection, for servers and layers that
/// know it: put it into the request's extensions, in front of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// How the address of the peer is found in extensions.
pub(crate) type FindPeer = fn(&Extensions) -> Option<SocketAddr>;

pub(crate) fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<PeerAddr>().map(|PeerAddr(addr)| *addr)
}

/// The parts of an `http` request, borrowed.
pub(crate) struct HttpRequest<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    find_peer: FindPeer,
    known_names: &'a [Option<HeaderName>],
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>, find_peer: FindPeer) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            find_peer,
            known_names: &[],
        }
    }

    pub(crate) fn of_parts(parts: &'a Parts, find_peer: FindPeer) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
            find_peer,
            known_names: &[],
        }
    }

    /// Sets names of headers that may be asked for by position, to be found
    /// faster.
    pub(crate) fn known_names(mut self, names: &'a [Option<HeaderName>]) -> Self {
        self.known_names = names;
        self
    }
}

impl RequestParts for HttpRequest<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.headers {
            each(name.as_str(), value.as_bytes());
        }
        // In HTTP/2 the host is not among the headers.
        if !self.headers.contains_key(http::header::HOST)
            && let Some(authority) = self.uri.authority()
        {
            each("host", authority.as_str().as_bytes());
        }
    }

    fn headers_named(
        &self,
        name: &str,
        position: Option<usize>,
        each: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        let known = position.and_then(|position| self.known_names.get(position)?.as_ref());
        let known = known.filter(|known| known.as_str() == name);
        let values = match known {
            Some(known) => self.headers.get_all(known),
            None => self.headers.get_all(name),
        };
        for value in values {
            if !each(value.as_bytes()) {
                return;
            }
        }
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        (self.find_peer)(self.extensions)
    }

    fn native(&self) -> &dyn Any {
        self.extensions
    }
}

/// Access to the extensions that other layers left in a request, for closures
/// of [`ContextRules`](vexilla_core::request::ContextRules).
///
/// ```
/// use vexilla_tower::request::ContextRules;
/// use vexilla_tower::RequestExtensions;
///
/// #[derive(Clone)]
/// struct User {
///     id: String,
/// }
///
/// let rules = ContextRules::new()
///     .entity_with(|request| request.extension::<User>().map(|user| user.id));
/// ```
pub trait RequestExtensions {
    /// The extension of this type, cloned.
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T>;
}

impl RequestExtensions for RequestView<'_> {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.native()
            .downcast_ref::<Extensions>()?
            .get::<T>()
            .cloned()
    }
}
