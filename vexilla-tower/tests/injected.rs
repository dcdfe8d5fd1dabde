//! The attributes that a Flagr server can add, made of real requests.

mod common;

use std::time::{Duration, SystemTime};

use common::{by, with};
use http::Request;
use http::request::Builder;
use vexilla_tower::Value;
use vexilla_tower::request::{ContextRules, InjectedContext};
use vexilla_tower::vexilla_core::context::ValueRef;

/// The injected attributes of a request, sorted by name.
fn injected(injected: InjectedContext, request: Builder) -> Vec<(String, Value)> {
    let rules = ContextRules::new()
        .without_request_attributes()
        .inject(injected.clock(|| SystemTime::UNIX_EPOCH));
    let context = by(rules, request);
    let mut found: Vec<_> = context
        .attributes()
        .filter(|(name, _)| name.starts_with("@http_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn text(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), value.into())
}

#[test]
fn the_injected_time_is_utc_and_goes_before_everything() {
    // 2024-02-29T23:59:59.9Z, a Thursday.
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_251_199_900);
    let rules = ContextRules::new()
        .with(|_, context| context.set("@ts_hour", "of the caller"))
        .inject(InjectedContext::new().clock(move || time));
    let context = by(rules, Request::builder());
    for (name, value) in [
        ("@ts", 1_709_251_199.0),
        ("@ts_hour", 23.0),
        ("@ts_weekday", 4.0),
        ("@ts_month", 2.0),
    ] {
        assert_eq!(
            context.attribute(name),
            Some(ValueRef::Number(value)),
            "{name}"
        );
    }
}

#[test]
fn nothing_is_injected_unless_asked_for() {
    let context = by(ContextRules::new(), with(&[("x-country", b"BR")]));
    assert!(context.attributes().all(|(name, _)| !name.starts_with('@')));
}

#[test]
fn injected_headers_are_named_or_prefixed() {
    let request = || {
        with(&[
            ("x-country", b"BR"),
            ("x-app-version", b"1.2"),
            ("x-app-beta", b""),
            ("x-application", b"other"),
            ("authorization", b"secret"),
        ])
    };
    assert_eq!(injected(InjectedContext::new(), request()), []);
    assert_eq!(
        injected(InjectedContext::new().header(" X-Country "), request()),
        [text("@http_x_country", "BR")]
    );
    assert_eq!(
        injected(InjectedContext::new().header_prefix(" X-App- "), request()),
        [text("@http_x_app_version", "1.2")]
    );
    assert_eq!(
        injected(
            InjectedContext::new()
                .header("x-country")
                .header("x-none")
                .header_prefix("x-app"),
            request()
        ),
        [
            text("@http_x_app_version", "1.2"),
            text("@http_x_application", "other"),
            text("@http_x_country", "BR"),
        ]
    );
    let blank = InjectedContext::new().header("").header_prefix(" ");
    assert_eq!(injected(blank, request()), []);
}

#[test]
fn injected_headers_of_several_values_are_joined() {
    let rules = || InjectedContext::new().header("x-it");
    let request = |values: &[&[u8]]| {
        let headers: Vec<_> = values.iter().map(|value| ("x-it", *value)).collect();
        injected(rules(), with(&headers))
    };
    assert_eq!(
        request(&[b"a", b"b, c", b"d"]),
        [text("@http_x_it", "a, b, c, d")]
    );
    assert_eq!(request(&[b"a", b""]), [text("@http_x_it", "a, ")]);
    assert_eq!(request(&[b"", b""]), [text("@http_x_it", ", ")]);
    assert_eq!(request(&[b""]), []);
    assert_eq!(request(&[]), []);
    // As Go's JSON would print it.
    assert_eq!(request(&[b"a\xffb"]), [text("@http_x_it", "a\u{fffd}b")]);
}

#[test]
fn the_injected_host_is_named_but_never_prefixed() {
    let host = || InjectedContext::new().header("Host");
    let named = [text("@http_host", "example.com:81")];
    // HTTP/1 has the host in a header, HTTP/2 in the address.
    let http1 = || Request::builder().header("host", "example.com:81");
    let http2 = || Request::builder().uri("http://example.com:81/");
    assert_eq!(injected(host(), http1()), named);
    assert_eq!(injected(host(), http2()), named);
    assert_eq!(injected(host(), Request::builder()), []);
    let prefix = || InjectedContext::new().header_prefix("ho");
    assert_eq!(injected(prefix(), http1()), []);
    assert_eq!(injected(prefix(), http2()), []);
}

#[test]
fn an_injected_header_replaces_the_callers_and_without_it_the_callers_stays() {
    let rules = || {
        ContextRules::new()
            .with(|_, context| context.set("@http_x_country", "of the caller"))
            .inject(InjectedContext::new().header("x-country"))
    };
    let country = |headers: &[(&str, &[u8])]| {
        let context = by(rules(), with(headers));
        context.attribute("@http_x_country").map(ValueRef::to_owned)
    };
    assert_eq!(country(&[("x-country", b"BR")]), Some("BR".into()));
    assert_eq!(country(&[("x-country", b"")]), Some("of the caller".into()));
    assert_eq!(country(&[]), Some("of the caller".into()));
}
