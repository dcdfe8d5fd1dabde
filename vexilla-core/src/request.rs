//! From a request to its context and its flags, in every framework.
//!
//! [`ContextRules`] say what of a request becomes the entity and the attributes.
//! By default the entity is the `x-user-id` header, else the `user_id` cookie, and
//! the attributes are `user_agent`, `path`, `method` and, where known,
//! `remote_addr`. Rules and their closures see every request as a [`RequestView`].
//!
//! **Headers and cookies can be forged.** Whoever can name the entity can pick
//! the variant; where that matters, take the entity from what an
//! authentication layer has established:
//!
//! ```
//! use vexilla_core::request::{ContextRules, header};
//!
//! #[derive(Clone)]
//! struct User {
//!     id: String,
//! }
//!
//! let rules = ContextRules::new()
//!     .entity_with(|request| request.extension::<User>().map(|user| user.id))
//!     .attribute("plan", header("x-plan"))
//!     .attribute("age", header("x-age").number());
//! ```
//!
//! Rules can be tried without a server:
//!
//! ```
//! use vexilla_core::request::{ContextRules, RequestView};
//!
//! # fn main() -> Result<(), http::Error> {
//! let request = http::Request::get("/cart").header("x-user-id", "user-1").body(())?;
//! let context = ContextRules::new().context(&RequestView::from(&request));
//! assert_eq!(context.entity_id(), "user-1");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "actix-web")]
pub mod actix;
mod address;
mod error;
mod field;
mod headers;
pub mod http;
mod injected;
mod making;
mod rules;
mod settings;

use std::net::SocketAddr;

pub use error::FlagsFromError;
pub use field::{Field, cookie, header};
pub use headers::{HeaderNames, HeaderValues};
pub use injected::InjectedContext;
pub use rules::ContextRules;
#[doc(hidden)]
pub use settings::LayerSettings;

use headers::{COOKIE, HeaderName};

/// A request as rules and closures see it, the same in every framework.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    head: Head<'a>,
}

/// What a framework knows of a request before its body.
#[derive(Clone, Copy)]
enum Head<'a> {
    Http(http::Head<'a>),
    #[cfg(feature = "actix-web")]
    Actix(actix::Head<'a>),
}

/// Reads the same of the head of either framework.
macro_rules! of_head {
    ($view:expr, $head:ident => $read:expr) => {
        match &$view.head {
            Head::Http($head) => $read,
            #[cfg(feature = "actix-web")]
            Head::Actix($head) => $read,
        }
    };
}

impl<'a> RequestView<'a> {
    /// The method, in capital letters.
    #[must_use]
    pub fn method(&self) -> &'a str {
        of_head!(self, head => head.method())
    }

    /// The path, without the query, as it was sent, or as middleware in front of the
    /// layer has rewritten it.
    #[must_use]
    pub fn path(&self) -> &'a str {
        of_head!(self, head => head.path())
    }

    /// The query, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        of_head!(self, head => head.query())
    }

    /// The address of the other end of the connection, where the framework
    /// knows it. Behind a proxy that is the proxy.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        of_head!(self, head => head.peer_addr())
    }

    /// The first header of this name; the case of names does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The first header of this name whose value is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&'a str> {
        self.headers(name)
            .find_map(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all headers of this name, in their order. Where a request has no
    /// `host`, as in HTTP/2, the authority of its URI is the value.
    pub fn headers(&self, name: &str) -> HeaderValues<'a> {
        match HeaderName::new(name) {
            Some(name) => self.headers_of(&name),
            None => HeaderValues::none(),
        }
    }

    /// The names of all headers, each once, in small letters, in no order.
    pub fn header_names(&self) -> HeaderNames<'a> {
        of_head!(self, head => head.header_names())
    }

    /// The first cookie of this name that is UTF-8, as it was sent: nothing is
    /// decoded, but double quotes around the value are taken off. All `cookie`
    /// headers are read; other cookies in them may be anything.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.headers_of(&COOKIE).find_map(|cookies| {
            let value = cookies.split(|byte| *byte == b';').find_map(|pair| {
                let equals = pair.iter().position(|byte| *byte == b'=')?;
                let (known, value) = pair.split_at(equals);
                let is_named = known.trim_ascii() == name.as_bytes();
                let value = value.get(1..).filter(|_| is_named)?;
                std::str::from_utf8(value.trim_ascii()).ok()
            })?;
            let unquoted = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            Some(unquoted.unwrap_or(value))
        })
    }

    /// What middleware has put into the extensions of the request, by its type,
    /// cloned.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        of_head!(self, head => head.extension())
    }

    /// The values of all headers of a name that was made beforehand.
    fn headers_of(&self, name: &HeaderName) -> HeaderValues<'a> {
        of_head!(self, head => head.headers(name))
    }
}

impl std::fmt::Debug for RequestView<'_> {
    /// Method and path; headers may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
