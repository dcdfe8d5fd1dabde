//! Flags in actix-web over a real socket.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::rt::time::timeout;
use actix_web::web::{self, get};
use actix_web::{App, HttpResponse, HttpServer};
use common::{FLAG, layer, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vexilla_actix::Flags;

/// Serves on loopback.
macro_rules! serve {
    ($app:expr) => {{
        let server = HttpServer::new(move || $app)
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address: SocketAddr = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        TcpStream::connect(address).await.unwrap()
    }};
}

/// Reads until these bytes have come; gives all that came.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        // A test that fails does not hang.
        let byte = timeout(Duration::from_secs(10), stream.read_u8()).await;
        let so_far = String::from_utf8_lossy(&read);
        let Ok(Ok(byte)) = byte else {
            panic!("{byte:?} after {so_far:?}");
        };
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

#[actix_web::test]
async fn flags_are_read_over_a_socket() {
    async fn handler(flags: Flags) -> String {
        let peer = flags.context().attribute("remote_addr").is_some();
        format!("{} {peer}", flags.bool(FLAG))
    }
    let layer = layer();
    let mut stream = serve!(App::new().wrap(layer.clone()).route("/", get().to(handler)));
    // One connection, one user after the other.
    for (user, value) in [("7", "true true"), ("8", "false true"), ("7", "true true")] {
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx-user-id: {user}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        read_until(&mut stream, value).await;
    }
}

#[actix_web::test]
async fn headers_that_are_no_text_or_huge_are_safe_over_a_socket() {
    let layer = layer();
    let mut stream = serve!(App::new().wrap(layer.clone()).route("/", get().to(read)));
    let huge = vec![b'7'; 100_000];
    for value in [&b"\xff\xfe"[..], &huge, b"", b" \t "] {
        let request = [
            &b"GET / HTTP/1.1\r\nhost: x\r\nx-user-id: "[..],
            value,
            b"\r\n\r\n",
        ];
        stream.write_all(&request.concat()).await.unwrap();
        read_until(&mut stream, "\r\n\r\nfalse").await;
    }
}

#[actix_web::test]
async fn a_streaming_body_passes_in_both_directions_as_it_comes() {
    async fn echo(flags: Flags, body: web::Payload) -> HttpResponse {
        assert!(flags.bool(FLAG));
        HttpResponse::Ok()
            .content_type("text/event-stream")
            .streaming(body)
    }
    let layer = layer().eager();
    let mut stream = serve!(
        App::new()
            .wrap(layer.clone())
            .route("/", web::post().to(echo))
    );
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-user-id: 7\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    // Each event comes back before the next one is sent.
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        let chunk = format!("{:X}\r\n{event}\r\n", event.len());
        stream.write_all(chunk.as_bytes()).await.unwrap();
        read_until(&mut stream, &chunk).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "0\r\n\r\n").await;
}

#[actix_web::test]
async fn an_upgrade_passes() {
    async fn upgrade(flags: Flags, body: web::Payload) -> HttpResponse {
        assert!(flags.bool(FLAG));
        HttpResponse::SwitchingProtocols()
            .upgrade("websocket")
            .streaming(body)
    }
    let layer = layer();
    let mut stream = serve!(App::new().wrap(layer.clone()).route("/", get().to(upgrade)));
    let head = "GET / HTTP/1.1\r\nhost: x\r\nx-user-id: 7\r\n\
                connection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for word in ["hello", "world"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        read_until(&mut stream, word).await;
    }
}
