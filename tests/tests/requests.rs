//! Contexts of requests that mean harm, or were made by odd clients, in no
//! framework.

mod log;

use std::sync::Arc;

use http::Request;
use log::{log, logged};
use vexilla_core::context::ValueRef;
use vexilla_core::request::http::{InExtensions, RequestFlags, flags_from};
use vexilla_core::request::{
    ContextRules, FlagsFromError, InjectedContext, LayerSettings, RequestView, cookie,
};
use vexilla_core::{Context, Value, Vexilla};

/// A request with these headers.
#[expect(clippy::expect_used, reason = "a test may fail by panicking")]
fn request<N: AsRef<str>>(headers: &[(N, &[u8])]) -> Request<()> {
    let headers = headers.iter();
    let request = headers.fold(Request::builder(), |request, (name, value)| {
        request.header(name.as_ref(), *value)
    });
    request.body(()).expect("names and values of headers")
}

fn context_of(request: &Request<()>, rules: &ContextRules) -> Context {
    rules.context(&RequestView::from(request))
}

#[test]
fn any_number_of_headers_is_injected() {
    // The most that a request can have.
    const HEADERS: usize = 24_000;

    let names: Vec<_> = (0..HEADERS).map(|n| format!("x-{n}")).collect();
    let once = names.iter().map(|name| (name, &b"one"[..]));
    let again = names.iter().rev().map(|name| (name, &b"two"[..]));
    let headers: Vec<_> = once.chain(again).collect();
    let rules = ContextRules::new().inject(InjectedContext::new().header_prefix("x-"));
    let context = context_of(&request(&headers), &rules);
    for n in [0, 1, HEADERS / 2, HEADERS - 1] {
        let value = context.attribute(&format!("@http_x_{n}"));
        assert_eq!(value, Some(ValueRef::String("one, two")), "{n}");
    }
}

#[test]
fn an_injected_header_with_dashes_wins_and_the_other_is_logged_once() {
    log();
    let injected = InjectedContext::new().header_prefix("x-").header("y_z");
    let rules = ContextRules::new().inject(injected);
    let long = format!("x-{}", "a-".repeat(500));
    let others = [long.replacen("a-a", "a_a", 1), long.clone()];
    let context = |headers: &[(&str, &[u8])]| context_of(&request(headers), &rules);
    let cases: [&[(&str, &[u8])]; 3] = [
        &[("x-auth_role", b"admin"), ("x-auth-role", b"guest")],
        &[("x-auth-role", b"guest"), ("x-auth_role", b"admin")],
        &[
            ("x-auth_role", b"admin"),
            ("x-auth_role", b"root"),
            ("x-auth-role", b"guest"),
            ("x-auth", b""),
        ],
    ];
    let role = |context: &Context| {
        let role = context.attribute("@http_x_auth_role");
        role.map(ValueRef::to_owned)
    };
    assert_eq!(
        role(&context(&[("x-auth_role", b"admin")])),
        Some("admin".into())
    );
    assert_eq!(logged("injected attribute"), 0);
    for headers in cases {
        assert_eq!(role(&context(headers)), Some(Value::from("guest")));
    }
    assert_eq!(logged("injected attribute"), 1);
    assert_eq!(logged("x-auth_role"), 1);

    // Flagr passes over a header whose only value is empty.
    let context = context(&[("x-auth_role", b"admin"), ("x-auth-role", b"")]);
    assert_eq!(role(&context), Some("admin".into()));
    // All other names are logged by nobody, not even by clones of the rules.
    let clone = rules.clone();
    for n in 0..100 {
        let (one, other) = (format!("x-a_{n}"), format!("x-a-{n}"));
        context_of(&request(&[(&*one, b"1"), (&*other, b"2")]), &clone);
    }
    assert_eq!(logged("injected attribute"), 1);

    // A new layer logs anew, and cuts what it logs.
    let rules = ContextRules::new().inject(InjectedContext::new().header_prefix("x-"));
    let [underscored, dashed] = &others;
    context_of(&request(&[(underscored, b"1"), (dashed, b"2")]), &rules);
    assert_eq!(logged("injected attribute"), 2);
    assert_eq!(logged(&underscored[..64]), 1);
    assert_eq!(logged(&underscored[..65]), 0);
}

#[test]
fn a_cookie_that_is_no_text_is_lost_alone() {
    let rules = ContextRules::new()
        .without_request_attributes()
        .attribute("plan", cookie("plan"))
        .attribute("theme", cookie("theme"));
    let entity_and_plan = |cookies: &[&[u8]]| {
        let headers: Vec<_> = cookies.iter().map(|value| ("cookie", *value)).collect();
        let context = context_of(&request(&headers), &rules);
        assert_eq!(context.attribute("theme"), None);
        let plan = context.attribute("plan").map(ValueRef::to_owned);
        (context.entity_id().to_owned(), plan)
    };
    let both = ("7".to_owned(), Some(Value::from("pro")));
    for cookies in [
        &[&b"theme=\xff; user_id=7; plan=pro"[..]][..],
        &[b"user_id=7; plan=pro; theme=caf\xe9"],
        &[b"user_id=7; \xff\xfe; plan=\"pro\""],
        &[b"\xff=\xff;user_id=7;plan=pro"],
        &[b"user_id=7; plan=\xff; plan=pro"],
        &[b"plan=\xff; user_id=7", b"plan=pro"],
    ] {
        assert_eq!(entity_and_plan(cookies), both, "{cookies:?}");
    }
    assert_eq!(entity_and_plan(&[b"user_id=\xff"]), (String::new(), None));
}

/// A request behind a layer with these rules.
fn layered(rules: ContextRules, headers: &[(&str, &[u8])]) -> Request<()> {
    let settings = LayerSettings {
        rules,
        ..LayerSettings::new(Vexilla::fixed([]))
    };
    let record = RequestFlags::new(Arc::new(settings), InExtensions::default());
    let mut request = request(headers);
    request.extensions_mut().insert(record);
    request
}

#[test]
fn rules_that_make_a_context_for_flags_do_so_once_at_a_time() {
    log();
    let inner = ContextRules::new();
    let rules = ContextRules::new().with(move |view, context| {
        // Whatever flags a closure reads, those of its own request could call it
        // without end.
        for _ in 0..3 {
            let other = layered(inner.clone(), &[]);
            let error = flags_from(&other).map(|_| ());
            assert_eq!(error, Err(FlagsFromError::ReadInRules));
        }
        // Rules within rules are fine.
        context.set("inner", inner.context(view).entity_id());
    });
    for _ in 0..3 {
        let request = layered(rules.clone(), &[("x-user-id", b"7")]);
        let flags = flags_from(&request).unwrap();
        let context = flags.context();
        assert_eq!(context.entity_id(), "7");
        assert_eq!(context.attribute("inner"), Some(ValueRef::String("7")));
    }
    assert_eq!(logged("a closure of the context rules reads flags"), 1);
}

#[test]
fn rules_that_panicked_make_contexts_again() {
    let rules = ContextRules::new().with(|request, context| {
        assert!(request.header("x-panic").is_none(), "as the test asks for");
        context.set("made", true);
    });
    let made = |headers: &[(&str, &[u8])]| {
        let request = layered(rules.clone(), headers);
        let made = || flags_from(&request).is_ok();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(made))
    };
    assert!(made(&[("x-panic", b"1")]).is_err());
    assert!(made(&[]).is_ok_and(|made| made));
}
