//! Operations and webhook on a listener of their own.

use super::super::{Endpoints, Operations, Webhook};
use super::{Asked, flags};
use crate::vexilla::Vexilla;

fn asked(headers: &[(&str, &str)]) -> Asked {
    let add = |asked: Asked, (name, value): &(&str, &str)| asked.header(name, value);
    headers
        .iter()
        .fold(Asked::new("GET", "/admin/flags").on_own_listener(), add)
}

/// What only strangers send, beside a good `Host`.
const STRANGE: [(&str, &str); 15] = [
    ("host", "localhost"),
    ("origin", "http://localhost:19000"),
    ("origin", "null"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-origin"),
    ("forwarded", "for=10.0.0.1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-host", "localhost"),
    ("x-forwarded", "y"),
    ("x-real-ip", "127.0.0.1"),
    ("via", "1.1 proxy"),
    ("x-envoy-external-address", "10.0.0.1"),
    ("true-client-ip", "10.0.0.1"),
    ("cf-connecting-ip", "10.0.0.1"),
    ("x-original-forwarded-for", ""),
];

#[tokio::test]
async fn strangers_are_refused_without_a_token() {
    let vexilla = || Vexilla::fixed(flags());
    for operations in [
        Operations::loopback(vexilla()),
        Operations::insecure_without_token(vexilla()),
    ] {
        assert!(!operations.is_guarded());
        for host in ["localhost:19000", "127.0.0.1", "[::1]:19000"] {
            assert_eq!(asked(&[("host", host)]).status(&operations).await, 200);
            let typed_in = asked(&[("host", host), ("sec-fetch-site", "none")]);
            assert_eq!(typed_in.status(&operations).await, 200);
            for strange in STRANGE {
                let both = asked(&[("host", host), strange]);
                assert_eq!(both.status(&operations).await, 403, "{strange:?}");
                let head = both.request();
                assert!(operations.refuse(&head).is_some(), "before the body");
            }
        }
        assert_eq!(asked(&[]).status(&operations).await, 403);
        let foreign = asked(&[("host", "127.0.0.1.evil.example")]);
        assert_eq!(foreign.status(&operations).await, 403);
        let mut probe = asked(&[("host", "evil.example")]);
        probe.path = "/health/live".to_owned();
        assert_eq!(probe.status(&operations).await, 403);
    }
}

#[tokio::test]
async fn with_a_token_it_does_not_matter_where_a_request_comes_from() {
    let operations = Operations::new(Vexilla::fixed(flags()), "geheim").unwrap();
    let asked = asked(&[
        ("host", "flags.example"),
        ("x-forwarded-for", "10.0.0.1"),
        ("authorization", "Bearer geheim"),
    ]);
    assert_eq!(asked.status(&operations).await, 200);
}

#[tokio::test]
async fn what_is_made_for_a_listener_of_its_own_refuses_all_elsewhere() {
    let operations = Operations::loopback(Vexilla::fixed(flags()));
    for path in ["/health/live", "/admin/flags", "/nowhere"] {
        let asked = Asked::new("GET", path).header("host", "localhost");
        assert_eq!(asked.status(&operations).await, 403, "{path}");
    }
    let webhook = Webhook::loopback(Vexilla::fixed([])).build().unwrap();
    let asked = Asked::new("POST", "/webhook")
        .header("host", "localhost")
        .body("{}");
    assert_eq!(asked.status(&webhook).await, 403);
    assert_eq!(asked.on_own_listener().status(&webhook).await, 202);
}

#[tokio::test]
async fn strangers_are_refused_by_a_webhook_without_secret() {
    let webhook = Webhook::loopback(Vexilla::fixed([])).build().unwrap();
    let asked = |headers: &[(&str, &str)]| {
        let mut asked = asked(headers).body("{}");
        (asked.method, asked.path) = ("POST", "/webhook".to_owned());
        asked
    };
    let good = asked(&[("host", "127.0.0.1:18001")]);
    assert_eq!(good.status(&webhook).await, 202);
    for strange in STRANGE {
        let both = asked(&[("host", "127.0.0.1:18001"), strange]);
        assert_eq!(both.status(&webhook).await, 403, "{strange:?}");
    }

    let guarded = Webhook::loopback(Vexilla::fixed([])).signing_secret("s");
    let guarded = guarded.build().unwrap();
    let foreign = asked(&[("host", "evil.example")]);
    assert_eq!(
        foreign.status(&guarded).await,
        401,
        "asks for the secret instead"
    );
}
