//! From a request to a context, in whatever framework.
//!
//! An adapter shows a request as a [`RequestView`]; [`ContextRules`] say what
//! of it becomes the entity and the attributes. By default the entity is the
//! `x-user-id` header, else the `user_id` cookie, and the attributes are
//! `user_agent`, `path`, `method` and, where known, `remote_addr`.
//!
//! **Headers and cookies can be forged.** Whoever can name the entity can pick
//! the variant; where that matters, take the entity from what an
//! authentication layer has established:
//!
//! ```
//! use vexilla_core::request::{ContextRules, header};
//!
//! let rules = ContextRules::new()
//!     // With the adapters' `extension`: request.extension::<User>()
//!     .entity_with(|request| request.header("x-authenticated-user").map(Into::into))
//!     .attribute("plan", header("x-plan"))
//!     .attribute("age", header("x-age").number());
//! ```

mod address;
mod field;
mod injected;
mod nested;
mod rules;

use std::any::Any;
use std::borrow::Cow;
use std::net::SocketAddr;

pub use field::{Field, cookie, header};
pub use injected::InjectedContext;
pub use nested::ReadInRules;
pub use rules::ContextRules;

/// What a handler is told when no Vexilla layer stands around its route.
pub const MISSING_LAYER: &str = "no feature flags in this request: no VexillaLayer stands around its route; add VexillaLayer::new(vexilla) with .layer(…) (axum, tower) or .wrap(…) (actix-web)";

/// The header that cookies come in.
const COOKIE: &str = "cookie";

/// A request as an adapter sees it.
pub trait RequestParts {
    /// The method, in capital letters.
    fn method(&self) -> &str;

    /// The path, without the query, as it was sent.
    fn path(&self) -> &str;

    /// The query, without `?`.
    fn query(&self) -> Option<&str>;

    /// Calls `each` with every header: its name in small letters, and its
    /// value, which may be no text.
    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8]));

    /// The values of the headers of this name, in small letters, in order, up
    /// to the first for which `each` gives `false`.
    ///
    /// The name may stand at `position` of [`ContextRules::header_names`]: a
    /// hint for adapters that have prepared those to be looked up faster. The
    /// rules that ask may be others, so that the name must be compared.
    fn headers_named(
        &self,
        name: &str,
        position: Option<usize>,
        each: &mut dyn FnMut(&[u8]) -> bool,
    );

    /// The address of the other end of the connection.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// The framework's request, for the adapter's own access to extensions.
    fn native(&self) -> &dyn Any;
}

/// A request as rules and closures see it, the same in every framework.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    parts: &'a dyn RequestParts,
}

impl<'a> RequestView<'a> {
    /// A view of what an adapter shows.
    #[must_use]
    pub fn new(parts: &'a dyn RequestParts) -> Self {
        Self { parts }
    }

    /// The method, in capital letters.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.parts.method()
    }

    /// The path, without the query, as it was sent.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.parts.path()
    }

    /// The query, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.parts.query()
    }

    /// The address of the other end of the connection, where the framework
    /// knows it. Behind a proxy that is the proxy.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.parts.peer_addr()
    }

    /// The first header of this name (in whatever case) that is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found = None;
        self.each_header_named(name, |value| {
            found = Some(value.to_owned());
            false
        });
        found
    }

    /// The first cookie of this name that is UTF-8, as it was sent: nothing is
    /// decoded, but double quotes around the value are taken off. Other cookies
    /// of the header may be anything.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let mut found = None;
        self.lend_cookie(name, None, |value| found = Some(value.to_owned()));
        found
    }

    /// Calls `take` with the first cookie of this name, if there is one; for
    /// `position` see [`RequestParts::headers_named`].
    fn lend_cookie(&self, name: &str, position: Option<usize>, mut take: impl FnMut(&str)) {
        self.parts.headers_named(COOKIE, position, &mut |cookies| {
            let value = cookies.split(|byte| *byte == b';').find_map(|pair| {
                let equals = pair.iter().position(|byte| *byte == b'=')?;
                let (known, value) = pair.split_at(equals);
                let is_named = known.trim_ascii() == name.as_bytes();
                let value = value.get(1..).filter(|_| is_named)?;
                std::str::from_utf8(value.trim_ascii()).ok()
            });
            let Some(value) = value else { return true };
            let unquoted = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            take(unquoted.unwrap_or(value));
            false
        });
    }

    /// Calls `each` with the value of every header of this name (in whatever
    /// case) that is UTF-8, until it gives `false`.
    pub fn each_header_named(&self, name: &str, each: impl FnMut(&str) -> bool) {
        self.lend_headers(&small_letters(Cow::Borrowed(name)), None, each);
    }

    /// [`each_header_named`](Self::each_header_named), of a name in small
    /// letters; for `position` see [`RequestParts::headers_named`].
    fn lend_headers(
        &self,
        name: &str,
        position: Option<usize>,
        mut each: impl FnMut(&str) -> bool,
    ) {
        self.parts.headers_named(name, position, &mut |value| {
            std::str::from_utf8(value).map_or(true, &mut each)
        });
    }

    /// Calls `each` with every header: its name in small letters, and its
    /// value, which may be no text.
    pub fn each_header(&self, mut each: impl FnMut(&str, &[u8])) {
        self.parts.each_header(&mut each);
    }

    /// The framework's request, for the adapter's own access to extensions.
    #[must_use]
    pub fn native(&self) -> &'a dyn Any {
        self.parts.native()
    }
}

/// The name of a header, as [`RequestParts`] have it.
fn small_letters(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        name
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
