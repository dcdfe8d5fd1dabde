//! The webhook: who is let in, and what it causes.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::{Endpoints, OpsError, OpsRequest, Webhook};
use super::{Asked, Told, header, json};
use crate::flag::Flag;
use crate::vexilla::Vexilla;

const EVENT: &str = r#"{"event":"flag.updated","flag_keys":["checkout"]}"#;
const NOTIFICATION: &str = r#"{"operation":"update","flag_id":123,"flag_key":"checkout","component_type":"segment","component_id":7,"user":"a@example.com","timestamp":"2026-04-26T18:51:03Z"}"#;

fn vexilla() -> Vexilla {
    Vexilla::fixed([])
}

fn post(body: impl AsRef<[u8]>) -> Asked {
    Asked::new("POST", "/webhook").body(body)
}

fn sign(secret: &str, body: impl AsRef<[u8]>) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let bytes = mac.chain_update(body).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(secret: &str, body: &str) -> Asked {
    post(body).header("x-webhook-signature", sign(secret, body))
}

#[tokio::test]
async fn a_signature_under_any_of_the_secrets_lets_in() {
    let webhook = Webhook::new(vexilla())
        .signing_secret("new")
        .signing_secret("old");
    let webhook = webhook.build().unwrap();
    for secret in ["new", "old"] {
        let signature = sign(secret, EVENT);
        for spelled in [
            signature.clone(),
            signature.to_uppercase(),
            format!("sha256={signature}"),
        ] {
            let asked = post(EVENT).header("x-webhook-signature", &spelled);
            let response = asked.of(&webhook).await;
            assert_eq!(response.status(), 202, "{spelled}");
            assert_eq!(json(&response)["accepted"], true);
        }
    }
    let right = sign("new", EVENT);
    for wrong in [
        post(EVENT),
        post(EVENT).header("x-webhook-signature", ""),
        post(EVENT).header("x-webhook-signature", "sha256="),
        post(EVENT).header("x-webhook-signature", &right[2..]),
        post(EVENT).header("x-webhook-signature", format!("sha512={right}")),
        post(EVENT).header("x-webhook-signature", b"\xff"),
        post(EVENT).header("x-signature", &right),
        post(format!("{EVENT} ")).header("x-webhook-signature", &right),
        signed("new", EVENT).header("x-webhook-signature", &right),
        signed("other", EVENT),
        signed("", EVENT),
    ] {
        let response = wrong.of(&webhook).await;
        assert_eq!(response.status(), 401, "{:?}", wrong.request.headers());
        // That is for tokens.
        assert_eq!(header(&response, "www-authenticate"), None);
    }
}

#[tokio::test]
async fn a_shared_secret_in_its_header_lets_in() {
    let webhook = Webhook::new(vexilla())
        .shared_secret("X-Flagr-Secret", "new")
        .shared_secret("X-Flagr-Secret", "old")
        .shared_secret("Authorization", "Bearer third")
        .signing_secret("signing")
        .build()
        .unwrap();
    let secret = |name: &str, value: &str| post(NOTIFICATION).header(name, value);
    for right in [
        secret("x-flagr-secret", "new"),
        secret("x-flagr-secret", "old"),
        secret("authorization", "Bearer third"),
        signed("signing", NOTIFICATION),
        // One of them is enough.
        signed("signing", NOTIFICATION).header("x-flagr-secret", "wrong"),
        secret("x-flagr-secret", "new").header("x-webhook-signature", "00"),
    ] {
        assert_eq!(
            right.status(&webhook).await,
            202,
            "{:?}",
            right.request.headers()
        );
    }
    for wrong in [
        secret("x-flagr-secret", ""),
        secret("x-flagr-secret", "NEW"),
        secret("x-flagr-secret", "newer"),
        secret("x-flagr-secret", "signing"),
        secret("x-flagr-secret", "Bearer third"),
        secret("x-other", "new"),
        secret("authorization", "third"),
        secret("x-flagr-secret", "new").header("x-flagr-secret", "new"),
        signed("new", NOTIFICATION),
    ] {
        assert_eq!(
            wrong.status(&webhook).await,
            401,
            "{:?}",
            wrong.request.headers()
        );
    }
}

#[tokio::test]
async fn any_json_is_a_hint_and_nothing_else_is() {
    let webhook = Webhook::new(vexilla()).signing_secret("s").build().unwrap();
    let bomb = "[".repeat(30_000) + &"]".repeat(30_000);
    let keys = format!(
        r#"{{"event":"flag.deleted","flag_keys":[{}"x"]}}"#,
        r#""é","#.repeat(5_000)
    );
    for good in [
        EVENT,
        NOTIFICATION,
        &keys,
        r#"{"event":"something.else"}"#,
        r#"{"event":5,"flag_keys":{}}"#,
        "5",
        "null",
        " [] ",
        &bomb,
    ] {
        assert_eq!(signed("s", good).status(&webhook).await, 202, "{good:.60}");
    }
    for bad in [
        "",
        " ",
        "{",
        "flag.updated",
        "{} x",
        r#"{"event":}"#,
        &bomb[1..],
    ] {
        assert_eq!(signed("s", bad).status(&webhook).await, 400, "{bad:.60}");
        // What is not let in is not told how its body is.
        assert_eq!(post(bad).status(&webhook).await, 401, "{bad:.60}");
    }
    let body: &[u8] = b"\"\xff\"";
    let not_utf8 = post(body).header("x-webhook-signature", sign("s", body));
    assert_eq!(not_utf8.status(&webhook).await, 400);
}

#[tokio::test]
async fn other_methods_paths_and_sizes_are_refused() {
    let webhook = Webhook::new(vexilla())
        .signing_secret("s")
        .max_body_bytes(64);
    let webhook = webhook.build().unwrap();
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let response = Asked::new(method, "/webhook").of(&webhook).await;
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(header(&response, "allow"), Some("POST"));
    }
    for path in ["/", "/webhook/", "/health/live"] {
        assert_eq!(
            Asked::new("POST", path).status(&webhook).await,
            404,
            "{path}"
        );
        assert!(!Webhook::is_mine(path));
    }
    let large = format!("\"{}\"", "x".repeat(63));
    assert_eq!(signed("s", &large).status(&webhook).await, 413);
    assert_eq!(signed("s", &large[1..65]).status(&webhook).await, 400);
    let announced = post("").header("content-length", "65");
    let refusal = webhook.refuse(&OpsRequest::new(&announced.request));
    assert_eq!(refusal.unwrap().status(), 413);
}

#[test]
fn secrets_that_cannot_be_are_refused_and_none_is_printed() {
    let error = |builder: super::super::WebhookBuilder| builder.build().unwrap_err();
    let new = || Webhook::new(vexilla());
    assert!(matches!(error(new()), OpsError::NoSecret));
    assert!(matches!(
        error(new().signing_secret("")),
        OpsError::EmptySecret
    ));
    assert!(matches!(
        error(new().signing_secret(" ")),
        OpsError::EmptySecret
    ));
    let shared = |name: &str, secret: &str| error(new().shared_secret(name, secret));
    assert!(matches!(shared("x", " "), OpsError::EmptySecret));
    assert!(matches!(shared("x", " a"), OpsError::BadSecret));
    assert!(matches!(shared("x", "é"), OpsError::BadSecret));
    assert!(matches!(shared("x", "a\r\nb: c"), OpsError::BadSecret));
    for name in ["", "a b", "a:", "é"] {
        assert!(matches!(shared(name, "s"), OpsError::BadHeaderName));
    }
    // A wrong one is not forgiven for a right one.
    let both = new().signing_secret("").signing_secret("s");
    assert!(matches!(error(both), OpsError::EmptySecret));

    let open = new().insecure_without_secret().build().unwrap();
    assert!(!open.is_guarded());
    let guarded = new().signing_secret("geheim").shared_secret("x", "geheim");
    let printed = format!("{guarded:?} {:?}", guarded.clone().build());
    assert!(!printed.contains("geheim"), "{printed}");
}

#[tokio::test]
async fn without_secret_everybody_is_let_in_if_told_so() {
    let webhook = Webhook::new(vexilla()).insecure_without_secret();
    assert_eq!(post(EVENT).status(&webhook.build().unwrap()).await, 202);
}

#[tokio::test(start_paused = true)]
async fn webhooks_make_the_flags_fresh_with_one_fetch() {
    let source = Told::default();
    source.flags([Flag::boolean("checkout", false)]);
    let vexilla = source.vexilla().await;
    let webhook = Webhook::new(vexilla.clone()).signing_secret("s");
    let webhook = webhook.build().unwrap();
    let before = source.fetches();
    source.flags([Flag::boolean("checkout", true)]);
    let mut changes = vexilla.changes();
    for _ in 0..100 {
        assert_eq!(signed("s", EVENT).status(&webhook).await, 202);
    }
    let change = changes.next().await.unwrap();
    assert!(change.changed.contains("checkout"), "{change:?}");
    assert_eq!(source.fetches() - before, 1);
    assert_eq!(vexilla.status().counts.pushes, 100);

    // Refused ones cause nothing.
    for _ in 0..10 {
        assert_eq!(post(EVENT).status(&webhook).await, 401);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(source.fetches() - before, 1);
}

#[test]
fn an_error_says_what_caused_it() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 29_001));
    let in_use = || std::io::Error::from(std::io::ErrorKind::AddrInUse);
    let cause = in_use().to_string();
    assert_eq!(
        OpsError::Bind(address, in_use()).to_string(),
        format!("cannot listen on 127.0.0.1:29001: {cause}")
    );
    assert_eq!(
        OpsError::BindUnix("/run/ops.sock".into(), in_use()).to_string(),
        format!("cannot listen on the Unix socket /run/ops.sock: {cause}")
    );
}
