//! Operations and webhook that are mounted into an application.

use std::net::SocketAddr;
use std::time::Duration;

use super::http::{HOST, TOKEN, ask, check, request};
use super::{EVENT, NOTIFICATION, Served, flags};
use crate::adapter::ops::DEFAULT_MAX_BODY_BYTES;

/// HMAC-SHA256 of [`EVENT`] under `new-secret`, `old-secret` and `other`.
const BY_NEW: &str = "ec42718a34dca87f5917145f91245d605580c2135a543fc849456c1017b3b83d";
const BY_OLD: &str = "1b3c9408ad18a295bb0cf5b0669d7df5533967c54aaf6e18448a29b3810253bf";
const BY_OTHER: &str = "c302b3761c98c8f13ef1f2417106cae3a6a5b652d394958715141d14829b93ee";
/// The same of `no json` under `new-secret`.
const NO_JSON_BY_NEW: &str = "be092ca328e7fad9ffdb2a3355a87ee896823d78609bfa2f9d04618860625372";

/// Every endpoint and refusal of operations that are mounted.
pub(crate) async fn check_operations(address: SocketAddr, served: &Served) {
    for (path, says) in [
        ("/internal/health", r#""level":"live""#),
        ("/internal/health?verbose=1", r#""level":"live""#),
        ("/internal/admin/stats", r#""problems":0"#),
        ("/internal/admin/flags", r#""key":"new-feature""#),
    ] {
        check(address, ("GET", path, &[HOST, TOKEN], ""), 200, says).await;
        let small = [HOST, "AUTHORIZATION: bearer right"];
        check(
            address,
            ("GET", path, &small, ""),
            200,
            "cache-control: no-store",
        )
        .await;
        check(address, ("HEAD", path, &[HOST, TOKEN], ""), 200, "nosniff").await;
        check(
            address,
            ("PUT", path, &[HOST, TOKEN], ""),
            405,
            "allow: get, head",
        )
        .await;
        for wrong in [
            "x: y",
            "authorization: Bearer wrong",
            "authorization: Basic right",
        ] {
            let refused = "www-authenticate: bearer";
            check(address, ("GET", path, &[HOST, wrong], ""), 401, refused).await;
        }
    }
    for path in ["/internal/health/live", "/internal/health/ready"] {
        check(address, ("GET", path, &[HOST], ""), 200, "true").await;
        check(
            address,
            ("POST", path, &[HOST], ""),
            405,
            "allow: get, head",
        )
        .await;
    }

    let context = r#"{"entityID":"7","entityContext":{"country":"BR"}}"#;
    let explain = "/internal/admin/flags/new-feature/explain";
    let odd = "/internal/admin/flags/a%20b%2Fc/explain";
    let key = r#"{"flag_key":"new-feature"}"#;
    for (path, body, says) in [
        (explain, context, r#""entityID":"7""#),
        (explain, "", r#""flagKey":"new-feature""#),
        (odd, "{}", r#""flagKey":"a b/c""#),
        ("/internal/admin/refresh", "", r#""changed":false"#),
        ("/internal/admin/invalidate", key, r#""changed":false"#),
        ("/internal/admin/invalidate-all", "", r#""changed":false"#),
    ] {
        let plain = [HOST, TOKEN, "content-type: text/plain"];
        check(address, ("POST", path, &plain, body), 200, says).await;
        check(address, ("POST", path, &[HOST], body), 401, "token").await;
        check(
            address,
            ("GET", path, &[HOST, TOKEN], ""),
            405,
            "allow: post",
        )
        .await;
    }
    for (path, body) in [
        (explain, "{"),
        (explain, "{} x"),
        ("/internal/admin/flags/%ff/explain", "{}"),
        ("/internal/admin/invalidate", ""),
        ("/internal/admin/invalidate", "new-feature"),
    ] {
        check(address, ("POST", path, &[HOST, TOKEN], body), 400, "error").await;
    }
    let nowhere = "/internal/admin/flags/nowhere/explain";
    check(address, ("POST", nowhere, &[HOST, TOKEN], "{}"), 404, "").await;
    for path in [
        "/internal/nowhere",
        "/internal/admin",
        "/internal",
        "/health/live",
        "/admin/stats",
    ] {
        check(address, ("GET", path, &[HOST, TOKEN], ""), 404, "").await;
    }
    check_sizes(address, "/internal/admin/refresh", TOKEN).await;

    // Refreshing waits for what comes of it.
    served.source.set(flags(true));
    let refresh = ("POST", "/internal/admin/refresh", &[HOST, TOKEN][..], "");
    check(address, refresh, 200, r#""changed":true"#).await;
    served.source.set(None);
    check(address, refresh, 502, "out of order").await;
    check(
        address,
        ("GET", "/internal/health/ready", &[HOST], ""),
        200,
        "true",
    )
    .await;
    served.source.set(flags(false));
    check(address, refresh, 200, r#""changed":true"#).await;
}

/// Bodies over the limit, announced and not, are refused with 413.
async fn check_sizes(address: SocketAddr, path: &str, secret: &str) {
    let length = format!("content-length: {}", DEFAULT_MAX_BODY_BYTES + 1);
    // The body never comes: who waits for it does not answer.
    check(
        address,
        ("POST", path, &[HOST, secret, &length], ""),
        413,
        "65536",
    )
    .await;
    let body = "x".repeat(DEFAULT_MAX_BODY_BYTES + 1);
    // Its end never comes either.
    let chunks = format!("{:x}\r\n{body}\r\n", body.len());
    let mut chunked = request(
        "GET",
        path,
        &[HOST, secret, "transfer-encoding: chunked"],
        &chunks,
    );
    chunked.splice(..3, *b"POST");
    assert_eq!(ask(address, &chunked).await.status, 413);
}

/// Every answer of a webhook that is mounted, and what it causes.
pub(crate) async fn check_webhook(address: SocketAddr, served: &Served) {
    let post = |header: &str, body: &'static str, status: u16| {
        let header = header.to_owned();
        async move {
            let asked = ("POST", "/webhook", &[HOST, &header][..], body);
            let says = if status == 202 { "accepted" } else { "error" };
            check(address, asked, status, says).await;
        }
    };
    let by = |signature: &str| format!("x-webhook-signature: {signature}");
    for right in [
        by(BY_NEW),
        by(BY_OLD),
        by(&BY_NEW.to_uppercase()),
        by(&format!("sha256={BY_OLD}")),
    ] {
        post(&right, EVENT, 202).await;
    }
    post("X-Flagr-Secret: shared", NOTIFICATION, 202).await;
    for wrong in [
        "x: y",
        "x-flagr-secret: SHARED",
        "x-other: shared",
        "x-flagr-secret: new-secret",
    ] {
        post(wrong, NOTIFICATION, 401).await;
    }
    for wrong in [by(BY_OTHER), by(""), by(&BY_NEW[1..]), by(NO_JSON_BY_NEW)] {
        post(&wrong, EVENT, 401).await;
    }
    post(&by(NO_JSON_BY_NEW), "no json", 400).await;
    post("x-flagr-secret: shared", "", 400).await;
    check(
        address,
        ("GET", "/webhook", &[HOST], ""),
        405,
        "allow: post",
    )
    .await;
    check_sizes(address, "/webhook", "x-flagr-secret: shared").await;

    // Until all that was announced is checked.
    served.vexilla.refresh().await.unwrap();
    let fetches = served.source.fetches();
    let mut changes = served.vexilla.changes();
    served.source.set(flags(true));
    for _ in 0..5 {
        post("x-flagr-secret: shared", NOTIFICATION, 202).await;
    }
    let change = tokio::time::timeout(Duration::from_secs(20), changes.next());
    let change = change.await.expect("it is fresh soon").unwrap();
    assert!(change.changed.contains("new-feature"), "{change:?}");
    let fetches = served.source.fetches() - fetches;
    assert!((1..=5).contains(&fetches), "{fetches}");
}
