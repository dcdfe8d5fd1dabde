//! Requests as they go over a socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) async fn send(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> Answer {
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

pub(super) async fn ask(address: SocketAddr, request: &[u8]) -> Answer {
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
pub(super) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
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

pub(super) const HOST: &str = "host: app.example";
pub(super) const TOKEN: &str = "authorization: Bearer right";

/// Asks, and checks the status and what the answer says.
pub(super) async fn check(
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
    if method == "HEAD" {
        assert_eq!(answer.body, "", "{path}");
    } else if status != 404 {
        let json = answer.body.starts_with('{') && answer.body.ends_with('}');
        assert!(
            json && answer.head.contains("content-type: application/json"),
            "{text}"
        );
    }
}
