//! Listeners of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::http::{HOST, TOKEN, check, send};
use super::{EVENT, Served};
use crate::adapter::flag::Flag;
use crate::adapter::ops::{
    ListenerOptions, Operations, OpsError, OpsListener, Webhook, WebhookListener,
};
use crate::adapter::vexilla_core::flag::FlagSet;
use crate::adapter::vexilla_core::source::Source;
use crate::adapter::{SourceError, Vexilla};

const LIVE: (&str, &str, &[&str], &str) = ("GET", "/health/live", &["host: localhost"], "");

/// Listeners of their own: whom they let in without token, and whom not.
pub(crate) async fn check_listeners(served: &Served) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let operations = Operations::local(served.vexilla.clone());
    let operations = OpsListener::bind(any, operations).await.unwrap();
    let insecure = Operations::insecure_without_token(served.vexilla.clone());
    let insecure = OpsListener::bind(any, insecure).await.unwrap();
    let webhook = Webhook::local(served.vexilla.clone()).build().unwrap();
    let webhook = WebhookListener::bind(any, webhook).await.unwrap();
    let refresh = ("POST", "/admin/refresh", "");
    let flags = ("GET", "/admin/flags", "");
    for (address, (method, path, body), good) in [
        (operations.local_addr(), ("GET", "/health/live", ""), 200),
        (operations.local_addr(), ("GET", "/health/ready", ""), 200),
        (operations.local_addr(), ("GET", "/admin/stats", ""), 200),
        (operations.local_addr(), ("GET", "/health", ""), 403),
        (operations.local_addr(), flags, 403),
        (operations.local_addr(), refresh, 403),
        (insecure.local_addr(), flags, 200),
        (insecure.local_addr(), refresh, 200),
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
            for foreign in [
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
                let both = [&*host, foreign];
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
        Operations::local(served.vexilla.clone()),
        Operations::insecure_without_token(served.vexilla.clone()),
    ] {
        let refused = OpsListener::bind(open, operations).await;
        assert!(
            matches!(refused, Err(OpsError::NotLoopback(_))),
            "{refused:?}"
        );
    }
    let webhook = Webhook::local(served.vexilla.clone()).build().unwrap();
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
    let operations = Operations::insecure_without_token(served.vexilla.clone());
    let listener = OpsListener::bind_with(any, operations, options)
        .await
        .unwrap();
    let address = listener.local_addr();
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
        check(address, LIVE, 200, "live").await;
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
    // Those who never send their request give way to others, long before their time is over.
    let options = options.client_timeout(Duration::from_secs(3600));
    let operations = Operations::insecure_without_token(served.vexilla.clone());
    let patient = OpsListener::bind_with(any, operations, options)
        .await
        .unwrap();
    let mut slow = Vec::new();
    for begun in [
        "",
        "GET /health",
        "POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n12",
        "POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(patient.local_addr()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    check(patient.local_addr(), LIVE, 200, "live").await;
    for nonsense in [
        "\r\n\r\n\r\n",
        "\0\0\0\0",
        "GET / HTTP/9\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        drop(stream);
        check(address, LIVE, 200, "live").await;
    }
    drop(listener);
    // The port is free in the end.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// A request that has begun when the end comes is answered.
pub(crate) async fn check_shutdown(served: &Served) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let operations = Operations::insecure_without_token(served.vexilla.clone());
    let listener = OpsListener::bind(any, operations).await.unwrap();
    let address = listener.local_addr();
    let mut begun = TcpStream::connect(address).await.unwrap();
    let head = b"POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
    begun.write_all(head).await.unwrap();
    // Connections are accepted in order.
    check(address, LIVE, 200, "live").await;
    let end = tokio::spawn(listener.shutdown(Duration::from_secs(20)));
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let answer = send(&mut begun, b"{}").await;
    assert!(answer.body.contains("\"changed\":false"), "{}", answer.body);
    end.await.unwrap();
}

/// No more connections are served than are allowed, and those who do not take
/// their answer do not keep theirs.
pub(crate) async fn check_connections() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    // Far more than what the system takes for a client that does not read.
    let tag = "x".repeat(1 << 20);
    let flag = |id: u32| Flag::boolean(format!("flag-{id}"), true).tag(&tag);
    let vexilla = Vexilla::fixed((0..32).map(flag).collect::<Vec<_>>());
    let listen = |timeout| {
        let options = ListenerOptions::new()
            .max_connections(1)
            .client_timeout(timeout);
        OpsListener::bind_with(
            any,
            Operations::insecure_without_token(vexilla.clone()),
            options,
        )
    };

    let listener = listen(Duration::from_millis(200)).await.unwrap();
    let mut idle = TcpStream::connect(listener.local_addr()).await.unwrap();
    let list = b"GET /admin/flags HTTP/1.1\r\nhost: localhost\r\n\r\n";
    idle.write_all(list).await.unwrap();
    check(listener.local_addr(), LIVE, 200, "live").await;

    // Who is being answered keeps the place, however long that takes.
    let source = HeldBack::default();
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    let operations = Operations::insecure_without_token(vexilla);
    let options = ListenerOptions::new().max_connections(1);
    let listener = OpsListener::bind_with(any, operations, options)
        .await
        .unwrap();
    let mut first = TcpStream::connect(listener.local_addr()).await.unwrap();
    let mut second = TcpStream::connect(listener.local_addr()).await.unwrap();
    let refresh = b"POST /admin/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    first.write_all(refresh).await.unwrap();
    let live = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    second.write_all(live).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), second.readable()).await;
    assert!(early.is_err(), "the first has not ended");
    source.0.notify_one();
    assert_eq!(send(&mut first, b"").await.status, 200);
    assert_eq!(send(&mut second, b"").await.status, 200);
}

/// A source whose fetches wait, but for the first.
#[derive(Clone)]
struct HeldBack(Arc<Notify>);

impl Default for HeldBack {
    fn default() -> Self {
        let first = Notify::new();
        first.notify_one();
        Self(Arc::new(first))
    }
}

impl Source for HeldBack {
    fn name(&self) -> String {
        "held back".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.notified().await;
        Ok(FlagSet::from([Flag::boolean("new-feature", true)]))
    }
}
