//! A blocking HTTP client: one request for each connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any healthy answer takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Sends a request, with a JSON body unless it is empty; returns the status and
/// the body of the answer.
pub(crate) fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    // An answer to HTTP/1.0 is not chunked, and ends with the connection.
    let head = format!(
        "{method} /api/v1{path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = answer.split_off(end.ok_or_else(invalid)? + 4);
    let head = String::from_utf8_lossy(&answer);
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.ok_or_else(invalid)?, body))
}
