//! Shows an actix-web request to the rules that make contexts.

use std::any::Any;
use std::cell::Ref;
use std::net::SocketAddr;

use actix_web::dev::{Extensions, RequestHead};
use actix_web::guard::GuardContext;
use actix_web::http::header::HeaderName;
use actix_web::{HttpMessage, HttpRequest};
use vexilla_core::request::{RequestParts, RequestView};

/// An actix-web request, borrowed.
pub(crate) struct ActixRequest<'a> {
    head: &'a RequestHead,
    known_names: &'a [Option<HeaderName>],
    peer_addr: Option<SocketAddr>,
    native: Native<'a>,
}

/// What leads to the extensions.
enum Native<'a> {
    /// Borrows them only while one is cloned.
    Request(&'a HttpRequest),
    /// A guard is shown no request.
    Extensions(Ref<'a, Extensions>),
}

impl<'a> ActixRequest<'a> {
    pub(crate) fn of_request(request: &'a HttpRequest) -> Self {
        Self {
            head: request.head(),
            known_names: &[],
            peer_addr: request.peer_addr(),
            native: Native::Request(request),
        }
    }

    pub(crate) fn of_guard(guard: &'a GuardContext<'_>) -> Self {
        Self {
            head: guard.head(),
            known_names: &[],
            peer_addr: guard.head().peer_addr,
            native: Native::Extensions(guard.req_data()),
        }
    }

    /// Sets names of headers that may be asked for by position, to be found
    /// faster.
    pub(crate) fn known_names(mut self, names: &'a [Option<HeaderName>]) -> Self {
        self.known_names = names;
        self
    }
}

impl RequestParts for ActixRequest<'_> {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    fn path(&self) -> &str {
        self.head.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.head.headers() {
            each(name.as_str(), value.as_bytes());
        }
        // In HTTP/2 the host is not among the headers.
        if !self.head.headers().contains_key("host")
            && let Some(authority) = self.head.uri.authority()
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
            Some(known) => self.head.headers().get_all(known),
            None => self.head.headers().get_all(name),
        };
        for value in values {
            if !each(value.as_bytes()) {
                return;
            }
        }
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    fn native(&self) -> &dyn Any {
        match &self.native {
            Native::Request(request) => *request,
            Native::Extensions(extensions) => &**extensions,
        }
    }
}

/// Access to the extensions that other middleware left in a request, for
/// closures of [`ContextRules`](vexilla_core::request::ContextRules).
///
/// ```
/// use vexilla_actix::RequestExtensions;
/// use vexilla_actix::request::ContextRules;
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
    fn extension<T: Clone + 'static>(&self) -> Option<T>;
}

impl RequestExtensions for RequestView<'_> {
    fn extension<T: Clone + 'static>(&self) -> Option<T> {
        if let Some(request) = self.native().downcast_ref::<HttpRequest>() {
            return request.extensions().get::<T>().cloned();
        }
        self.native()
            .downcast_ref::<Extensions>()?
            .get::<T>()
            .cloned()
    }
}
