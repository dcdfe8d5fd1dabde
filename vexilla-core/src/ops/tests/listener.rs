//! Operations and webhook on a listener of their own.

use super::super::{Endpoints, ListenerKind, Operations, Webhook};
use super::endpoints::ALL;
use super::{Asked, flags};
use crate::vexilla::Vexilla;

fn asked(headers: &[(&str, &str)]) -> Asked {
    sent("GET", "/admin/stats", headers)
}

fn sent(method: &'static str, path: &str, headers: &[(&str, &str)]) -> Asked {
    let add = |asked: Asked, (name, value): &(&str, &str)| asked.header(name, value);
    headers
        .iter()
        .fold(Asked::new(method, path).at(ListenerKind::Tcp), add)
}

/// What only web pages and proxies send, beside a good `Host`.
const FOREIGN: [(&str, &str); 15] = [
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

/// The statuses of all endpoints, asked at this kind of listener by a program
/// on this machine, or by a proxy that leaves no mark.
async fn statuses(operations: &Operations, listener: ListenerKind) -> Vec<(&'static str, u16)> {
    let mut statuses = Vec::new();
    for (method, path) in ALL {
        let asked = Asked::new(method, path).at(listener);
        let asked = asked.header("host", "127.0.0.1:19000");
        let body = match method {
            "POST" => r#"{"flag_key":"checkout"}"#,
            _ => "",
        };
        let head = asked.request();
        let refused = operations.refuse(&head).map(|refusal| refusal.status());
        let status = asked.body(body).status(operations).await;
        if let Some(refused) = refused {
            assert_eq!(refused, status, "{path}: before the body");
        }
        statuses.push((path, status));
    }
    statuses
}

#[tokio::test]
async fn without_a_token_a_tcp_listener_serves_probes_and_counts_alone() {
    let operations = Operations::local(Vexilla::fixed(flags()));
    assert!(!operations.is_guarded());
    for (path, status) in statuses(&operations, ListenerKind::Tcp).await {
        let open = ["/health/live", "/health/ready", "/admin/stats"].contains(&path);
        assert_eq!(status, if open { 200 } else { 403 }, "{path}");
    }
}

#[tokio::test]
async fn a_unix_socket_and_an_insecure_setting_serve_all_without_a_token() {
    let local = Operations::local(Vexilla::fixed(flags()));
    let insecure = Operations::insecure_without_token(Vexilla::fixed(flags()));
    for (operations, listener) in [
        (&local, ListenerKind::Unix),
        (&insecure, ListenerKind::Unix),
        (&insecure, ListenerKind::Tcp),
    ] {
        for (path, status) in statuses(operations, listener).await {
            assert_eq!(status, 200, "{listener:?} {path}");
        }
    }
    // Clients of Unix sockets name any host, and proxies are let in on purpose.
    let asked = Asked::new("GET", "/admin/flags").at(ListenerKind::Unix);
    let asked = asked.header("host", "evil.example").header("via", "proxy");
    assert_eq!(asked.status(&local).await, 200);
}

#[tokio::test]
async fn the_token_is_needed_at_every_kind_of_listener() {
    let operations = Operations::new(Vexilla::fixed(flags()), "geheim").unwrap();
    for listener in [ListenerKind::Tcp, ListenerKind::Unix] {
        for (path, status) in statuses(&operations, listener).await {
            let probe = ["/health/live", "/health/ready"].contains(&path);
            assert_eq!(status, if probe { 200 } else { 401 }, "{path}");
        }
    }
}

#[tokio::test]
async fn counts_carry_no_name_and_no_text_of_a_flag() {
    let operations = Operations::local(Vexilla::fixed(flags()));
    let stats = asked(&[("host", "localhost")]).of(&operations).await;
    let stats = String::from_utf8(stats.into_body()).unwrap();
    for word in ["checkout", "broken", "team-a", "country", "LIKE", "BR"] {
        assert!(!stats.contains(word), "{word}: {stats}");
    }
}

#[tokio::test]
async fn web_pages_and_proxies_that_say_so_are_refused_without_a_token() {
    let vexilla = || Vexilla::fixed(flags());
    for operations in [
        Operations::local(vexilla()),
        Operations::insecure_without_token(vexilla()),
    ] {
        for host in ["localhost:19000", "127.0.0.1", "[::1]:19000"] {
            assert_eq!(asked(&[("host", host)]).status(&operations).await, 200);
            let typed_in = asked(&[("host", host), ("sec-fetch-site", "none")]);
            assert_eq!(typed_in.status(&operations).await, 200);
            for foreign in FOREIGN {
                let both = asked(&[("host", host), foreign]);
                assert_eq!(both.status(&operations).await, 403, "{foreign:?}");
                let head = both.request();
                assert!(operations.refuse(&head).is_some(), "before the body");
            }
        }
        assert_eq!(asked(&[]).status(&operations).await, 403);
        let foreign = asked(&[("host", "127.0.0.1.evil.example")]);
        assert_eq!(foreign.status(&operations).await, 403);
        let probe = sent("GET", "/health/live", &[("host", "evil.example")]);
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
    let operations = Operations::local(Vexilla::fixed(flags()));
    for path in ["/health/live", "/admin/flags", "/nowhere"] {
        let asked = Asked::new("GET", path).header("host", "localhost");
        assert_eq!(asked.status(&operations).await, 403, "{path}");
    }
    let webhook = Webhook::local(Vexilla::fixed([])).build().unwrap();
    let asked = Asked::new("POST", "/webhook")
        .header("host", "localhost")
        .body("{}");
    assert_eq!(asked.status(&webhook).await, 403);
    assert_eq!(asked.at(ListenerKind::Tcp).status(&webhook).await, 202);
}

#[tokio::test]
async fn a_webhook_without_secret_refuses_web_pages_and_proxies_that_say_so() {
    let webhook = Webhook::local(Vexilla::fixed([])).build().unwrap();
    let asked = |headers: &[(&str, &str)]| sent("POST", "/webhook", headers).body("{}");
    let good = asked(&[("host", "127.0.0.1:18001")]);
    assert_eq!(good.status(&webhook).await, 202);
    for foreign in FOREIGN {
        let both = asked(&[("host", "127.0.0.1:18001"), foreign]);
        assert_eq!(both.status(&webhook).await, 403, "{foreign:?}");
        let at_socket = both.at(ListenerKind::Unix);
        assert_eq!(at_socket.status(&webhook).await, 202, "{foreign:?}");
    }

    let guarded = Webhook::local(Vexilla::fixed([])).signing_secret("s");
    let guarded = guarded.build().unwrap();
    for listener in [ListenerKind::Tcp, ListenerKind::Unix] {
        let foreign = asked(&[("host", "evil.example")]).at(listener);
        assert_eq!(
            foreign.status(&guarded).await,
            401,
            "asks for the secret instead"
        );
    }
}
