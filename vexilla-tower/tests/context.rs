//! What of a real request becomes entity and attributes.

mod common;

use std::future::ready;
use std::net::SocketAddr;

use common::{by, context, with};
use http::Request;
use tower::{Layer, Service};
use vexilla_tower::request::{ContextRules, Field, cookie, header};
use vexilla_tower::vexilla_core::context::ValueRef;
use vexilla_tower::{FlagsFromError, PeerAddr, Value, Vexilla, VexillaLayer, flags_from};

/// The entity that the default rules find in headers.
fn entity(headers: &[(&str, &[u8])]) -> String {
    by(ContextRules::new(), with(headers))
        .entity_id()
        .to_owned()
}

/// The attribute that a field makes of headers.
fn attribute(field: Field, headers: &[(&str, &[u8])]) -> Option<Value> {
    let rules = ContextRules::new()
        .without_request_attributes()
        .attribute("it", field);
    let context = by(rules, with(headers));
    context.attribute("it").map(ValueRef::to_owned)
}

#[test]
fn the_entity_is_the_header_then_the_cookie() {
    assert_eq!(entity(&[]), "");
    assert_eq!(entity(&[("x-user-id", b"7")]), "7");
    assert_eq!(entity(&[("X-User-ID", b"7")]), "7");
    assert_eq!(entity(&[("cookie", b"user_id=8")]), "8");
    assert_eq!(
        entity(&[("cookie", b"user_id=8"), ("x-user-id", b"7")]),
        "7"
    );
    assert_eq!(entity(&[("cookie", b"user_id=8"), ("x-user-id", b"")]), "8");
}

#[test]
fn the_default_attributes_are_those_of_the_request() {
    let request = Request::builder()
        .method("PUT")
        .uri("https://example.com/cart/%41?secret=1")
        .header("user-agent", "curl/8")
        .extension(PeerAddr(SocketAddr::from(([192, 0, 2, 7], 4711))));
    let context = by(ContextRules::new(), request);
    let mut attributes: Vec<_> = context.attributes().collect();
    attributes.sort_by_key(|(name, _)| *name);
    assert_eq!(
        attributes,
        [
            ("method", ValueRef::String("PUT")),
            ("path", ValueRef::String("/cart/%41")),
            ("remote_addr", ValueRef::String("192.0.2.7")),
            ("user_agent", ValueRef::String("curl/8")),
        ]
    );
    assert_eq!(context.entity_type(), "user");

    let bare = by(ContextRules::new(), Request::builder());
    assert_eq!(bare.attribute("remote_addr"), None);
    assert_eq!(bare.attribute("user_agent"), None);

    let rules = ContextRules::new()
        .without_request_attributes()
        .entity_type("device");
    let none = by(rules, Request::builder().header("user-agent", "curl/8"));
    assert_eq!(none.attributes().count(), 0);
    assert_eq!(none.entity_type(), "device");
}

#[test]
fn the_peer_can_be_found_elsewhere() {
    #[derive(Clone)]
    struct Connection(SocketAddr);

    let layer = VexillaLayer::new(Vexilla::fixed([]))
        .peer_addr(|extensions| extensions.get().map(|Connection(addr)| *addr));
    let addr = "[2001:db8::1]:443".parse().unwrap();
    let context = context(&layer, Request::builder().extension(Connection(addr)));
    assert_eq!(
        context.attribute("remote_addr"),
        Some(ValueRef::String("2001:db8::1"))
    );
}

#[test]
fn cookies_are_found_among_others_and_in_several_headers() {
    for cookies in [
        &["user_id=7"][..],
        &["a=b; user_id=7; c=d"],
        &["a=b;user_id=7;c=d"],
        &["  user_id = 7 "],
        &["user_id=\"7\""],
        &["a=b", "c=d; user_id=7"],
        &["user_id", "user_id=7"],
        &["user_id=7; user_id=8", "user_id=9"],
        &["not_user_id=1; user_id2=2; USER_ID=3; user_id=7"],
        &["x=\"user_id=8\"; user_id=7"],
        &["; ;=;==; user_id=7"],
    ] {
        let headers: Vec<_> = cookies
            .iter()
            .map(|value| ("cookie", value.as_bytes()))
            .collect();
        assert_eq!(entity(&headers), "7", "{cookies:?}");
    }
    assert_eq!(entity(&[("cookie", b"user_id=a=b")]), "a=b");
    assert_eq!(entity(&[("cookie", b"user_id=\"")]), "\"");
    assert_eq!(entity(&[("cookie", b"user_id=\"\"")]), "");
    assert_eq!(entity(&[("cookie", b"user_id=\"a b")]), "\"a b");
    assert_eq!(entity(&[("cookie", b"user_id=%37")]), "%37");
}

#[test]
fn bytes_that_are_no_text_are_passed_over() {
    let broken = b"\xff\xfe";
    assert_eq!(entity(&[("x-user-id", broken)]), "");
    assert_eq!(entity(&[("x-user-id", broken), ("x-user-id", b"7")]), "7");
    assert_eq!(
        entity(&[("x-user-id", broken), ("cookie", b"user_id=8")]),
        "8"
    );
    let cookies: [(_, &[u8]); 2] = [("cookie", b"user_id=\xff; a=1"), ("cookie", b"user_id=8")];
    assert_eq!(entity(&cookies), "8");
    assert_eq!(entity(&[("cookie", b"a=\xff; user_id=7")]), "7");
    assert_eq!(entity(&[("x-user-id", "Zoë".as_bytes())]), "Zoë");
    let context = by(ContextRules::new(), with(&[("user-agent", broken)]));
    assert_eq!(context.attribute("user_agent"), None);
}

#[test]
fn what_is_longer_than_8_kib_is_passed_over() {
    let most = vec![b'a'; 8 << 10];
    let huge = vec![b'a'; (8 << 10) + 1];
    assert_eq!(entity(&[("x-user-id", &most)]).len(), most.len());
    assert_eq!(entity(&[("x-user-id", &huge)]), "");
    assert_eq!(entity(&[("x-user-id", &huge), ("x-user-id", b"7")]), "7");
    assert_eq!(
        entity(&[("x-user-id", &huge), ("cookie", b"user_id=8")]),
        "8"
    );
    let small_in_huge = [&b"x="[..], &huge, b"; user_id=8"].concat();
    assert_eq!(entity(&[("cookie", &small_in_huge)]), "8");
    let context = by(ContextRules::new(), with(&[("user-agent", &huge)]));
    assert_eq!(context.attribute("user_agent"), None);
}

#[test]
fn of_repeated_headers_the_first_counts() {
    assert_eq!(entity(&[("x-user-id", b"7"), ("x-user-id", b"8")]), "7");
}

#[test]
fn an_empty_header_is_none() {
    for kind in [
        header("x-it"),
        header("x-it").number(),
        header("x-it").bool(),
        header("x-it").list(),
    ] {
        assert_eq!(attribute(kind.clone(), &[("x-it", b"")]), None, "{kind:?}");
        assert_eq!(attribute(kind.clone(), &[]), None, "{kind:?}");
    }
    assert_eq!(entity(&[("x-user-id", b""), ("x-user-id", b"7")]), "7");
}

#[test]
fn numbers_are_decimal() {
    let number = |value: &str| attribute(header("x-it").number(), &[("x-it", value.as_bytes())]);
    for (text, value) in [
        ("31", 31.0),
        (" 31 ", 31.0),
        ("-0.5", -0.5),
        ("+2", 2.0),
        ("1e3", 1000.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
    ] {
        assert_eq!(number(text), Some(Value::Number(value)), "{text:?}");
    }
    for text in [
        "x",
        "1,5",
        "1 5",
        "0x1f",
        "1_000",
        "NaN",
        "inf",
        "-infinity",
        "1e999",
        "--1",
        "1e",
        ".",
        "٣",
    ] {
        assert_eq!(number(text), None, "{text:?}");
    }
}

#[test]
fn booleans_are_words_or_digits() {
    let bool = |value: &str| attribute(header("x-it").bool(), &[("x-it", value.as_bytes())]);
    for (text, value) in [
        ("true", true),
        ("TRUE", true),
        (" 1 ", true),
        ("false", false),
        ("False", false),
        ("0", false),
    ] {
        assert_eq!(bool(text), Some(Value::Bool(value)), "{text:?}");
    }
    for text in ["yes", "on", "2", "01", "truefalse", "t"] {
        assert_eq!(bool(text), None, "{text:?}");
    }
}

#[test]
fn lists_are_separated_by_commas() {
    let list = |value: &str| attribute(header("x-it").list(), &[("x-it", value.as_bytes())]);
    assert_eq!(list("beta"), Some(["beta"].into()));
    assert_eq!(
        list(" beta , staff,,a b, "),
        Some(["beta", "staff", "a b"].into())
    );
    assert_eq!(list("1,2"), Some(["1", "2"].into()));
    for text in [",", " , ,", ",,,"] {
        assert_eq!(list(text), None, "{text:?}");
    }
}

#[test]
fn an_attribute_can_come_from_a_cookie() {
    let headers: [(_, &[u8]); 1] = [("cookie", b"age=31; beta=1; plan=\"gold\"")];
    assert_eq!(attribute(cookie("plan"), &headers), Some("gold".into()));
    assert_eq!(attribute(cookie("age").number(), &headers), Some(31.into()));
    assert_eq!(
        attribute(cookie("beta").bool(), &headers),
        Some(true.into())
    );
    assert_eq!(attribute(cookie("none"), &headers), None);
}

#[test]
fn fields_can_be_chained() {
    let chain = || {
        header("x-age")
            .number()
            .or(cookie("age").number())
            .or(header("x-age"))
            .or(header("x-fallback"))
    };
    let found = |headers: &[(&str, &[u8])]| attribute(chain(), headers);
    assert_eq!(
        found(&[("x-age", b"1"), ("cookie", b"age=2")]),
        Some(1.into())
    );
    assert_eq!(
        found(&[("x-age", b"old"), ("cookie", b"age=2")]),
        Some(2.into())
    );
    assert_eq!(
        found(&[("x-age", b"old"), ("cookie", b"age=older")]),
        Some("old".into())
    );
    assert_eq!(found(&[("x-fallback", b"x")]), Some("x".into()));
    assert_eq!(found(&[]), None);

    let rules = ContextRules::new().entity(
        header("x-account")
            .or(cookie("account"))
            .or(header("x-user-id")),
    );
    let context = by(rules, with(&[("x-user-id", b"7")]));
    assert_eq!(context.entity_id(), "7");
}

#[test]
fn the_entity_can_come_from_an_authentication_layer() {
    #[derive(Clone)]
    struct User {
        id: u64,
        groups: Vec<String>,
    }

    let rules = || {
        ContextRules::new()
            .entity_with(|request| Some(request.extension::<User>()?.id.to_string()))
            .with(|request, context| {
                if let Some(user) = request.extension::<User>() {
                    context.set("groups", user.groups);
                }
            })
    };
    let user = User {
        id: 7,
        groups: vec!["staff".to_owned()],
    };
    let known = by(rules(), with(&[("x-user-id", b"forged")]).extension(user));
    assert_eq!(known.entity_id(), "7");
    assert_eq!(
        known.attribute("groups"),
        Some(Value::from(["staff"]).as_ref())
    );
    let unknown = by(rules(), with(&[("x-user-id", b"forged")]));
    assert_eq!(unknown.entity_id(), "");
    assert_eq!(unknown.attribute("groups"), None);
}

#[test]
fn closures_go_before_attributes_and_in_their_order() {
    let rules = ContextRules::new()
        .with(|request, context| {
            assert_eq!(context.attribute("plan"), Some(ValueRef::String("free")));
            assert_eq!(request.query(), Some("plan=gold"));
            context.set("plan", request.query());
        })
        .with(|request, context| {
            assert_eq!(
                context.attribute("plan"),
                Some(ValueRef::String("plan=gold"))
            );
            context.set("method", request.method().to_lowercase());
            context.set_entity_id("changed");
        })
        .attribute("plan", header("x-plan"));
    let request = with(&[("x-plan", b"free")]).uri("/?plan=gold");
    let context = by(rules, request);
    assert_eq!(
        context.attribute("plan"),
        Some(ValueRef::String("plan=gold"))
    );
    assert_eq!(context.attribute("method"), Some(ValueRef::String("get")));
    assert_eq!(context.entity_id(), "changed");
}

#[test]
fn rules_within_rules_read_their_own_headers() {
    let within = ContextRules::new()
        .entity(header("x-country"))
        .attribute("tier", header("x-tier"));
    let rules = ContextRules::new()
        .attribute("nothing", header("no such name"))
        .attribute("plan", header("x-plan"))
        .with(move |request, context| {
            let within = within.context(request);
            context.set("country", within.entity_id());
            context.set("tier", within.attribute("tier"));
        });
    let context = by(
        rules,
        with(&[
            ("x-tier", b"premium"),
            ("x-plan", b"pro"),
            ("x-country", b"BR"),
        ]),
    );
    assert_eq!(context.attribute("nothing"), None);
    for (name, value) in [("plan", "pro"), ("country", "BR"), ("tier", "premium")] {
        assert_eq!(context.attribute(name), Some(ValueRef::String(value)));
    }
}

#[test]
fn rules_that_read_flags_get_an_error_and_the_request_gets_its_flags() {
    let rules = ContextRules::new().with(|_, context| {
        // Those of another request: they could lead back to these rules.
        let read = tower::service_fn(|request: Request<()>| ready(flags_from(&request)));
        let mut other = VexillaLayer::new(Vexilla::fixed([])).layer(read);
        let error = other.call(Request::new(())).into_inner().unwrap_err();
        assert_eq!(error, FlagsFromError::ReadInRules);
        context.set("error", error.to_string());
    });
    let context = by(rules, with(&[("x-user-id", b"7")]));
    assert_eq!(context.entity_id(), "7");
    let error = FlagsFromError::ReadInRules.to_string();
    assert_eq!(context.attribute("error"), Some(ValueRef::String(&error)));
}
