//! Requests that a proxy forwards without a mark.

use std::net::SocketAddr;

use super::Served;
use super::http::ask;
use crate::adapter::ops::{Operations, OpsListener};

/// What nginx sends to `proxy_pass http://127.0.0.1:19000` and no other
/// directive, byte for byte, for a request to `http://flags.example/…`:
/// recorded from nginx 1.22.1, and from the same with what is the default since
/// 1.29.7, `proxy_http_version 1.1` and no `Connection` header.
const BY_NGINX: [&str; 2] = [
    "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
    "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
];
const POSTS_BY_NGINX: [&str; 2] = [
    "POST {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 2\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{}",
    "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{}",
];

/// The clients of a proxy get the probes and counts of a listener without
/// token, and nothing else.
pub(crate) async fn check_proxied(served: &Served) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let operations = Operations::local(served.vexilla.clone());
    let listener = OpsListener::bind(any, operations).await.unwrap();
    let address = listener.local_addr();
    let fetches = served.source.fetches();
    for (requests, path, status) in [
        (BY_NGINX, "/health/live", 200),
        (BY_NGINX, "/health/ready", 200),
        (BY_NGINX, "/admin/stats", 200),
        (BY_NGINX, "/health", 403),
        (BY_NGINX, "/admin/flags", 403),
        (POSTS_BY_NGINX, "/admin/flags/new-feature/explain", 403),
        (POSTS_BY_NGINX, "/admin/refresh", 403),
        (POSTS_BY_NGINX, "/admin/invalidate", 403),
        (POSTS_BY_NGINX, "/admin/invalidate-all", 403),
    ] {
        for request in requests {
            let request = request.replace("{path}", path);
            let request = request.replace("{address}", &address.to_string());
            let answer = ask(address, request.as_bytes()).await;
            assert_eq!(answer.status, status, "{request}{}", answer.body);
            assert!(!answer.body.contains("new-feature"), "{}", answer.body);
        }
    }
    assert_eq!(served.source.fetches(), fetches, "nothing was fetched");
}
