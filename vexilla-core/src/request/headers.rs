//! Names and values of headers, of either version of `http` that frameworks use.

use std::fmt;

use ::http::header::{self, HeaderMap, HeaderValue, Keys, ValueIter};
#[cfg(feature = "actix-web")]
use actix_web::http::header as actix;

/// The name of a header, made once so that looking it up parses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderName {
    pub(super) http: header::HeaderName,
    #[cfg(feature = "actix-web")]
    pub(super) actix: actix::HeaderName,
}

/// The name of the headers that carry cookies.
pub(super) static COOKIE: HeaderName = HeaderName {
    http: header::COOKIE,
    #[cfg(feature = "actix-web")]
    actix: actix::COOKIE,
};

impl HeaderName {
    /// The name in whatever case; `None` if no header can have it.
    pub(super) fn new(name: &str) -> Option<Self> {
        Some(Self {
            http: header::HeaderName::try_from(name).ok()?,
            #[cfg(feature = "actix-web")]
            actix: actix::HeaderName::try_from(name).ok()?,
        })
    }
}

/// The values of the headers of one name, in their order, from
/// [`RequestView::headers`](super::RequestView::headers).
#[must_use]
pub struct HeaderValues<'a>(Values<'a>);

enum Values<'a> {
    /// None, or one that does not come from a header.
    One(Option<&'a [u8]>),
    Http(ValueIter<'a, HeaderValue>),
    #[cfg(feature = "actix-web")]
    Actix(std::slice::Iter<'a, actix::HeaderValue>),
}

impl<'a> HeaderValues<'a> {
    pub(super) fn none() -> Self {
        Self(Values::One(None))
    }

    /// Those of a request whose URI has this authority: HTTP/2 has no `host`.
    pub(super) fn http(
        headers: &'a HeaderMap,
        name: &HeaderName,
        authority: impl FnOnce() -> Option<&'a str>,
    ) -> Self {
        let values = headers.get_all(&name.http).iter();
        let is_missing = name.http == header::HOST && values.size_hint().1 == Some(0);
        Self(match is_missing {
            true => Values::One(authority().map(str::as_bytes)),
            false => Values::Http(values),
        })
    }

    /// As [`http`](Self::http), of actix-web.
    #[cfg(feature = "actix-web")]
    pub(super) fn actix(
        headers: &'a actix::HeaderMap,
        name: &HeaderName,
        authority: impl FnOnce() -> Option<&'a str>,
    ) -> Self {
        let values = headers.get_all(&name.actix);
        let is_missing = name.actix == actix::HOST && values.len() == 0;
        Self(match is_missing {
            true => Values::One(authority().map(str::as_bytes)),
            false => Values::Actix(values),
        })
    }
}

impl<'a> Iterator for HeaderValues<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            Values::One(value) => value.take(),
            Values::Http(values) => values.next().map(HeaderValue::as_bytes),
            #[cfg(feature = "actix-web")]
            Values::Actix(values) => values.next().map(actix::HeaderValue::as_bytes),
        }
    }
}

impl fmt::Debug for HeaderValues<'_> {
    /// No values: headers may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderValues").finish_non_exhaustive()
    }
}

/// The names of the headers of a request, from
/// [`RequestView::header_names`](super::RequestView::header_names).
#[derive(Debug)]
#[must_use]
pub struct HeaderNames<'a> {
    names: Names<'a>,
    /// `host`, where it is not among the headers.
    host: Option<&'static str>,
}

#[derive(Debug)]
enum Names<'a> {
    Http(Keys<'a, HeaderValue>),
    #[cfg(feature = "actix-web")]
    Actix(actix::map::Keys<'a>),
}

impl<'a> HeaderNames<'a> {
    pub(super) fn http(headers: &'a HeaderMap, has_authority: bool) -> Self {
        let host = has_authority && !headers.contains_key(header::HOST);
        Self {
            names: Names::Http(headers.keys()),
            host: host.then_some("host"),
        }
    }

    #[cfg(feature = "actix-web")]
    pub(super) fn actix(headers: &'a actix::HeaderMap, has_authority: bool) -> Self {
        let host = has_authority && !headers.contains_key(actix::HOST);
        Self {
            names: Names::Actix(headers.keys()),
            host: host.then_some("host"),
        }
    }
}

impl<'a> Iterator for HeaderNames<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let name = match &mut self.names {
            Names::Http(names) => names.next().map(header::HeaderName::as_str),
            #[cfg(feature = "actix-web")]
            Names::Actix(names) => names.next().map(actix::HeaderName::as_str),
        };
        name.or_else(|| self.host.take())
    }
}
