//! The example serves flags over a real socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn actix_serves_flags() {
    let process = Command::new(env!("CARGO_BIN_EXE_vexilla-example-actix"))
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Killed(process);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("serving on http://").unwrap();
    let get = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(get("/checkout", "x-user-id: dora"), "the new checkout\n");
    assert_eq!(
        get("/checkout", "cookie: user_id=alice"),
        "the old checkout\n"
    );
    let shipping = get("/flags/express_shipping", "x-country: BR");
    assert!(shipping.contains("TARGETING_MATCH"), "{shipping}");
}
