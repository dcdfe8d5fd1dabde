//! The webhook, and the endpoints of operations that read a body or a key.
//!
//! An input is header lines, an empty line and a body. The header `path` is the
//! path of the request to the operations.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hmac::{Hmac, KeyInit, Mac};
use serde::de::IgnoredAny;
use sha2::Sha256;
use vexilla_core::Vexilla;
use vexilla_core::flag::Flag;
use vexilla_core::ops::{Endpoints, ListenerKind, Operations, OpsRequest, OpsResponse, Webhook};

use super::request::Headers;
use crate::{Recorded, Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "webhook",
    run,
    seeds,
    tokens: &[
        "x-webhook-signature: ",
        "sha256=",
        "x-flagr-secret: shared\n",
        "content-length: 70000\n",
        "\n\n",
        "{}",
        "{\"event\":\"flag.updated\",\"flag_keys\":[\"a\"]}",
        "{\"flag_key\":\"a\"}",
        "{\"entityID\":\"7\"}",
        "[[[[",
        "path: /admin/flags/a/explain\n",
        "path: /admin/flags/%ff/explain\n",
        "path: /admin/invalidate\n",
        "path: /admin/refresh\n",
        "%2F",
        "%",
        "null",
        "\"",
        "\\u0000",
    ],
    mutations: 1_500,
};

fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let fixed = [
        "x-flagr-secret: shared\n\n{\"operation\":\"update\",\"flag_id\":1,\"flag_key\":\"a\",\"component_type\":\"flag\"}",
        "x-webhook-signature: sha256=1b3c9408ad18a295bb0cf5b0669d7df5533967c54aaf6e18448a29b3810253bf\n\n{\"event\":\"flag.updated\",\"flag_keys\":[\"new-feature\"]}",
        "path: /admin/invalidate\n\n{\"flag_key\":\"a\"}",
    ];
    let contexts = recorded.contexts.iter().step_by(4);
    let explained =
        contexts.map(|context| format!("path: /admin/flags/a%20b/explain\n\n{context}"));
    let fixed = fixed.map(str::to_owned);
    fixed.into_iter().chain(explained).map(Into::into).collect()
}

const SIGNING_SECRET: &[u8] = b"old-secret";

/// - A webhook answers 202 to JSON with the secret or the right signature, 400
///   to what is no JSON, 401 without either, and 413 to a body that is too long.
/// - Operations never answer with an error of their own (500), always in JSON,
///   and with a short text where they refuse a request.
/// - On a TCP listener without a token, no posted request is answered.
pub fn run(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (&[][..], data),
    };
    let mut headers = Headers::of(head);
    let is_json =
        str::from_utf8(body).is_ok_and(|body| serde_json::from_str::<IgnoredAny>(body).is_ok());

    let webhook = Webhook::new(Vexilla::fixed([]))
        .signing_secret(SIGNING_SECRET)
        .shared_secret("X-Flagr-Secret", "shared");
    let webhook = webhook.build().expect("a webhook with secrets");
    let unsigned = answer(&webhook, "/webhook", &headers, body);
    assert!([202, 400, 401, 413].contains(&unsigned));

    let signature = signature(body);
    headers.0.retain(|(name, _)| name != "x-webhook-signature");
    let without = answer(&webhook, "/webhook", &headers, body);
    headers
        .0
        .push(("x-webhook-signature".to_owned(), signature.as_bytes()));
    let signed = answer(&webhook, "/webhook", &headers, body);
    match signed {
        413 => assert_eq!((unsigned, without), (413, 413)),
        status => assert_eq!(status, if is_json { 202 } else { 400 }),
    }
    if unsigned == 202 {
        let shared: Vec<_> = head_values(&headers, "x-flagr-secret");
        let sent = Headers::of(head);
        let signed = match &head_values(&sent, "x-webhook-signature")[..] {
            [one] => one.to_ascii_lowercase().ends_with(signature.as_bytes()),
            _ => false,
        };
        assert!(signed || shared == [b"shared"], "let in by {head:?}");
    }

    let flags = [Flag::boolean("a", true), Flag::boolean("a b", true)];
    let vexilla = Vexilla::fixed(flags);
    let local = Operations::local(vexilla.clone());
    let operations = Operations::insecure_without_token(vexilla);
    let named = head_values(&headers, "path").first().copied();
    let path = named.and_then(|path| str::from_utf8(path).ok());
    // What no server hands on is no path.
    let path = path.filter(|path| path.starts_with('/') && path.parse::<http::Uri>().is_ok());
    for path in [
        path.unwrap_or("/"),
        "/admin/flags/a/explain",
        "/admin/invalidate",
    ] {
        let status = answer(&operations, path, &headers, body);
        assert!(
            [200, 400, 404, 405, 413].contains(&status),
            "{path} {status}"
        );
        let direct = Headers(vec![("host".to_owned(), b"127.0.0.1:19000")]);
        let posted = direct.request("POST", path);
        let request = OpsRequest::new(&posted).body(body);
        let refused = ready(local.handle(request.on_listener(ListenerKind::Tcp)));
        assert!((400..500).contains(&refused.status()), "{path} is served");
    }
}

fn head_values<'a>(headers: &Headers<'a>, name: &str) -> Vec<&'a [u8]> {
    let named = headers.0.iter().filter(|(known, _)| known == name);
    named.map(|(_, value)| *value).collect()
}

fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET).expect("any key");
    let bytes = mac.chain_update(body).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The status of the answer, which is the same when it is asked again.
fn answer(endpoints: &impl Endpoints, path: &str, headers: &Headers<'_>, body: &[u8]) -> u16 {
    let posted = headers.request("POST", path);
    let request = || OpsRequest::new(&posted).body(body);
    let refused = endpoints.refuse(&request());
    let response = ready(endpoints.handle(request()));
    let again = ready(endpoints.handle(request()));
    assert_eq!(response.status(), again.status(), "the same again");
    if let Some(refused) = refused {
        assert_eq!(refused, response, "refused before the body was read");
    }
    let parsed = serde_json::from_slice::<IgnoredAny>(response.body());
    assert!(parsed.is_ok(), "an answer in JSON");
    let length = response.body().len();
    let most = if response.status() == 200 {
        limits::answer(body.len())
    } else {
        limits::ERROR
    };
    assert!(length <= most, "an answer of {length} B to {path}");
    response.status()
}

/// The result of a future that waits for nothing.
fn ready(future: impl Future<Output = OpsResponse>) -> OpsResponse {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).as_mut().poll(&mut context) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("it waits, though its flags have no source"),
    }
}
