//! Contexts of requests that mean harm, or were made by odd clients, in no
//! framework.

mod log;

use std::any::Any;
use std::net::SocketAddr;

use log::{log, logged};
use vexilla_core::request::{
    ContextRules, InjectedContext, ReadInRules, RequestParts, RequestView, cookie,
};
use vexilla_core::{Context, EvaluationContext, Value, ValueRef};

/// A request of headers alone.
struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn new(headers: &[(&str, &[u8])]) -> Self {
        let headers = headers.iter();
        Self(
            headers
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
        )
    }

    fn context(&self, rules: &ContextRules) -> Context {
        rules.context(&RequestView::new(self))
    }
}

impl RequestParts for Headers {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.0 {
            each(name, value);
        }
    }

    fn headers_named(&self, name: &str, _: Option<usize>, each: &mut dyn FnMut(&[u8]) -> bool) {
        for (_, value) in self.0.iter().filter(|(known, _)| known == name) {
            if !each(value) {
                return;
            }
        }
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn native(&self) -> &dyn Any {
        &()
    }
}

#[test]
fn any_number_of_headers_is_injected() {
    // With the square of their number this would take many minutes.
    const HEADERS: usize = 200_000;

    let header = |n: usize, value: &str| (format!("x-{n}"), value.as_bytes().to_vec());
    let once = (0..HEADERS).map(|n| header(n, "one"));
    let again = (0..HEADERS).rev().map(|n| header(n, "two"));
    let rules = ContextRules::new().inject(InjectedContext::new().header_prefix("x-"));
    let context = Headers(once.chain(again).collect()).context(&rules);
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
    let request = |headers: &[(&str, &[u8])]| Headers::new(headers).context(&rules);
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
        role(&request(&[("x-auth_role", b"admin")])),
        Some("admin".into())
    );
    assert_eq!(logged("injected attribute"), 0);
    for headers in cases {
        assert_eq!(role(&request(headers)), Some(Value::from("guest")));
    }
    assert_eq!(logged("injected attribute"), 1);
    assert_eq!(logged("x-auth_role"), 1);

    // Flagr passes over a header whose only value is empty.
    let context = request(&[("x-auth_role", b"admin"), ("x-auth-role", b"")]);
    assert_eq!(role(&context), Some("admin".into()));
    // All other names are logged by nobody, not even by clones of the rules.
    let clone = rules.clone();
    for n in 0..100 {
        let (one, other) = (format!("x-a_{n}"), format!("x-a-{n}"));
        Headers::new(&[(&*one, b"1"), (&*other, b"2")]).context(&clone);
    }
    assert_eq!(logged("injected attribute"), 1);

    // A new layer logs anew, and cuts what it logs.
    let rules = ContextRules::new().inject(InjectedContext::new().header_prefix("x-"));
    let [underscored, dashed] = &others;
    Headers::new(&[(&**underscored, b"1"), (&**dashed, b"2")]).context(&rules);
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
        let context = Headers::new(&headers).context(&rules);
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

#[test]
fn rules_that_make_a_context_for_flags_do_so_once_at_a_time() {
    log();
    let inner = ContextRules::new();
    let rules = ContextRules::new().with(move |request, context| {
        // What a layer does for a closure that reads flags.
        for _ in 0..3 {
            assert_eq!(inner.clone().context_for_flags(request), Err(ReadInRules));
        }
        // Rules within rules are fine.
        context.set("inner", inner.context(request).entity_id());
    });
    let request = Headers::new(&[("x-user-id", b"7")]);
    for _ in 0..3 {
        let context = rules.context_for_flags(&RequestView::new(&request));
        let context = context.unwrap_or_default();
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
        let request = Headers::new(headers);
        let made = || rules.context_for_flags(&RequestView::new(&request));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(made))
    };
    assert!(made(&[("x-panic", b"1")]).is_err());
    assert!(made(&[]).is_ok_and(|context| context.is_ok()));
}
