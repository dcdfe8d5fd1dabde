//! What the operations and the webhook answer over sockets: one table for every
//! adapter. The file that includes it names its crate `adapter`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::adapter::flag::Flag;
use crate::adapter::ops::{DEFAULT_MAX_BODY_BYTES, ListenerOptions};
use crate::adapter::ops::{Operations, OpsError, OpsListener, Webhook, WebhookListener};
use crate::adapter::{FlagSet, Source, SourceError, SourceErrorKind, Vexilla};

const EVENT: &str = r#"{"event":"flag.updated","flag_keys":["new-feature"]}"#;
/// Flagr 1.2, `pkg/notification/notifier.go`.
const NOTIFICATION: &str = r#"{"operation":"update","flag_id":1,"flag_key":"new-feature","component_type":"flag","component_id":1,"user":"a@example.com","timestamp":"2026-04-26T18:51:03Z"}"#;
/// HMAC-SHA256 of [`EVENT`] under `new-secret`, `old-secret` and `other`.
const BY_NEW: &str = "ec42718a34dca87f5917145f91245d605580c2135a543fc849456c1017b3b83d";
const BY_OLD: &str = "1b3c9408ad18a295bb0cf5b0669d7df5533967c54aaf6e18448a29b3810253bf";
const BY_OTHER: &str = "c302b3761c98c8f13ef1f2417106cae3a6a5b652d394958715141d14829b93ee";
/// The same of `no json` under `new-secret`.
const NO_JSON_BY_NEW: &str = "be092ca328e7fad9ffdb2a3355a87ee896823d78609bfa2f9d04618860625372";

/// A source that says nothing by itself of its changes.
#[derive(Clone, Default)]
pub(crate) struct Quiet(Arc<Held>);

#[derive(Default)]
struct Held {
    flags: Mutex<Option<FlagSet>>,
    fetches: AtomicU64,
}

impl Quiet {
    /// Sets the flags; without, every fetch fails.
    fn set(&self, flags: Option<FlagSet>) {
        *self.0.flags.lock().unwrap() = flags;
    }

    fn fetches(&self) -> u64 {
        self.0.fetches.load(Ordering::SeqCst)
    }
}

impl Source for Quiet {
    fn name(&self) -> String {
        "quiet".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        let failed = || SourceError::new(SourceErrorKind::Status(404), "out of order");
        self.0.flags.lock().unwrap().clone().ok_or_else(failed)
    }
}

fn flags(on: bool) -> Option<FlagSet> {
    Some(FlagSet::from(vec![
        Flag::boolean("new-feature", on),
        Flag::boolean("a b/c", on),
    ]))
}

/// What is served by operations that are mounted with [`token`] below
/// `/internal`, and by a webhook that is mounted at the root.
pub(crate) struct Served {
    pub(crate) source: Quiet,
    pub(crate) vexilla: Vexilla,
}

impl Served {
    pub(crate) async fn new() -> Self {
        let source = Quiet::default();
        source.set(flags(false));
        let vexilla = Vexilla::builder(source.clone())
            .poll_interval(Duration::from_secs(3600))
            .full_refresh_interval(Duration::from_secs(36_000))
            .build()
            .await
            .unwrap();
        Self { source, vexilla }
    }

    pub(crate) fn operations(&self) -> Operations {
        Operations::new(self.vexilla.clone(), "right").unwrap()
    }

    pub(crate) fn webhook(&self) -> Webhook {
        Webhook::new(self.vexilla.clone())
            .signing_secret("new-secret")
            .signing_secret("old-secret")
            .shared_secret("X-Flagr-Secret", "shared")
            .build()
            .unwrap()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn send(stream: &mut TcpStream, request: &[u8]) -> Answer {
    // What refuses a body may not read all of it.
    let _ = stream.write_all(request).await;
    let mut read = Vec::new();
    let mut head = None;
    let (head, length) = loop {
        if let Some(head) = head.take() {
            break head;
        }
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "no answer");
        head = read
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .map(|end| {
                let head = String::from_utf8(read.drain(..end + 4).collect()).unwrap();
                let head = head.to_ascii_lowercase();
                let length = head.split_once("content-length: ").map(|(_, rest)| {
                    let (length, _) = rest.split_once("\r\n").unwrap();
                    length.parse::<usize>().unwrap()
                });
                (head, length.filter(|_| !request.starts_with(b"HEAD")))
            });
    };
    while length.is_none_or(|length| read.len() < length)
        && stream.read_buf(&mut read).await.unwrap() > 0
    {}
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = String::from_utf8(read).unwrap();
    Answer { status, head, body }
}

async fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    // A test that fails does not hang.
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        send(&mut stream, request).await
    });
    let asked = String::from_utf8_lossy(request);
    answer
        .await
        .unwrap_or_else(|_| panic!("no answer to {asked:.300}"))
}

/// A request with these lines of headers beside `connection` and the length.
fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut lines = vec![format!("{method} {path} HTTP/1.1")];
    lines.extend(headers.iter().map(|line| (*line).to_owned()));
    lines.push("connection: close".to_owned());
    let has_length = headers
        .iter()
        .any(|line| line.starts_with("content-length"));
    if method == "POST" && !has_length {
        lines.push(format!("content-length: {}", body.len()));
    }
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

const HOST: &str = "host: app.example";
const TOKEN: &str = "authorization: Bearer right";

/// Asks, and checks the status and what the answer says.
async fn check(
    address: SocketAddr,
    (method, path, headers, body): (&str, &str, &[&str], &str),
    status: u16,
    says: &str,
) {
    let answer = ask(address, &request(method, path, headers, body)).await;
    let text = format!("{}{}", answer.head, answer.body);
    assert_eq!(
        answer.status, status,
        "{method} {path} {headers:?} {body:.80}: {text}"
    );
    assert!(text.contains(says), "{method} {path} says {says:?}: {text}");
    if status != 404 && method != "HEAD" {
        let json = answer.body.starts_with('{') && answer.body.ends_with('}');
        assert!(
            json && answer.head.contains("content-type: application/json"),
            "{text}"
        );
    }
}

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
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
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

/// Listeners of their own: whom they let in without token, and whom not.
pub(crate) async fn check_listeners(served: &Served) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let operations = Operations::loopback(served.vexilla.clone());
    let operations = OpsListener::bind(any, operations).await.unwrap();
    let webhook = Webhook::loopback(served.vexilla.clone()).build().unwrap();
    let webhook = WebhookListener::bind(any, webhook).await.unwrap();
    let refresh = ("POST", "/admin/refresh", "");
    for (address, (method, path, body), good) in [
        (operations.local_addr(), ("GET", "/health/live", ""), 200),
        (operations.local_addr(), ("GET", "/admin/flags", ""), 200),
        (operations.local_addr(), refresh, 200),
        (webhook.local_addr(), ("POST", "/webhook", EVENT), 202),
    ] {
        let port = address.port();
        for host in [
            format!("host: localhost:{port}"),
            format!("host: LOCALHOST:{port}"),
            format!("host: 127.0.0.1:{port}"),
            "host: localhost:19000".to_owned(),
            "host: [::1]:19000".to_owned(),
        ] {
            check(address, (method, path, &[&host], body), good, "").await;
            for strange in [
                "origin: http://localhost:3000",
                "origin: null",
                "sec-fetch-site: cross-site",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-proto: https",
                "x-real-ip: 127.0.0.1",
                "forwarded: for=127.0.0.1",
                "via: 1.1 sidecar",
                "host: localhost",
            ] {
                let both = [&*host, strange];
                check(address, (method, path, &both, body), 403, "error").await;
            }
        }
        for foreign in [
            &["host: 127.0.0.1.evil.example"][..],
            &["host: evil.example"],
            &["host: evil.example:19000"],
            &["host: localhost.evil.example"],
            &["host:"],
            &[],
        ] {
            check(address, (method, path, foreign, body), 403, "error").await;
        }
    }
    let address = operations.local_addr();
    operations.shutdown(Duration::from_secs(20)).await;
    assert!(TcpStream::connect(address).await.is_err());

    // Others reach it: there must be a token, or a secret.
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    for operations in [
        Operations::loopback(served.vexilla.clone()),
        Operations::insecure_without_token(served.vexilla.clone()),
    ] {
        let refused = OpsListener::bind(open, operations).await;
        assert!(
            matches!(refused, Err(OpsError::NotLoopback(_))),
            "{refused:?}"
        );
    }
    let webhook = Webhook::loopback(served.vexilla.clone()).build().unwrap();
    let refused = WebhookListener::bind(open, webhook).await;
    assert!(
        matches!(refused, Err(OpsError::NotLoopback(_))),
        "{refused:?}"
    );
    let guarded = OpsListener::bind(open, served.operations()).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], guarded.local_addr().port()));
    let stats = "/admin/stats";
    check(address, ("GET", stats, &[HOST, TOKEN], ""), 200, "flags").await;
    check(
        address,
        ("GET", stats, &["host: localhost"], ""),
        401,
        "token",
    )
    .await;
    let taken = OpsListener::bind(address, served.operations()).await;
    assert!(matches!(taken, Err(OpsError::Bind(..))), "{taken:?}");
}

/// Clients that are slow, gone or talk nonsense keep nobody else out.
pub(crate) async fn check_slow_clients(served: &Served) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ListenerOptions::new()
        .max_connections(2)
        .client_timeout(Duration::from_millis(200));
    let operations = Operations::loopback(served.vexilla.clone());
    let listener = OpsListener::bind_with(any, operations, options)
        .await
        .unwrap();
    let address = listener.local_addr();
    let live = ("GET", "/health/live", &["host: localhost"][..], "");
    for begun in [
        "",
        "GET /health",
        "GET /health/live HTTP/1.1\r\nhost: loc",
        "POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n12",
        "POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut slow = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        check(address, live, 200, "live").await;
        for mut stream in slow {
            let mut rest = Vec::new();
            // It ends by itself, whether with 408, a reset or nothing.
            let ended = stream.read_to_end(&mut rest);
            let ended = tokio::time::timeout(Duration::from_secs(20), ended);
            assert!(ended.await.is_ok(), "{begun:?}");
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert!(!rest.contains(" 200 "), "{begun:?}: {rest}");
        }
    }
    for nonsense in [
        "\r\n\r\n\r\n",
        "\0\0\0\0",
        "GET / HTTP/9\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        drop(stream);
        check(address, live, 200, "live").await;
    }
    drop(listener);
    // The port is free in the end.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Sends a part of a request.
pub(crate) async fn say(stream: &mut TcpStream, part: &[u8]) {
    stream.write_all(part).await.unwrap();
}

/// Sends the rest of a request and gives the body of the answer.
pub(crate) async fn say_and_hear(stream: &mut TcpStream, rest: &[u8]) -> String {
    send(stream, rest).await.body
}

/// Checks that a listener on loopback answers.
pub(crate) async fn check_live(address: SocketAddr) {
    check(
        address,
        ("GET", "/health/live", &["host: localhost"], ""),
        200,
        "live",
    )
    .await;
}
