//! Refuses requests of web pages and proxies at a TCP listener without a token.
//!
//! Browsers reach loopback, and a page of another site can make them send
//! requests; proxies and sidecars forward requests of others. A proxy need not
//! leave a mark: nginx's default `proxy_pass` rewrites `Host` and adds no
//! header. So this check protects against web pages, and catches a
//! misconfigured proxy only sometimes; what must not reach a proxy's clients is
//! not served at such a listener at all.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::exchange::{OpsRequest, OpsResponse};
use crate::request::RequestView;

/// What proxies add, beside what starts with one of [`FORWARDED`].
const FORWARDING: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-proxyuser-ip",
    "true-client-ip",
    "fastly-client-ip",
];

const FORWARDED: [&str; 4] = ["x-forwarded", "x-envoy-", "x-amzn-", "cf-"];

/// Refuses a request that visibly did not come directly from a program on this
/// machine.
pub(super) fn refuse_foreign_origin(request: &OpsRequest<'_>) -> Option<OpsResponse> {
    let request = request.view();
    let mut hosts = request.headers("host");
    let why = match (hosts.next(), hosts.next()) {
        (None, _) => Some("there is no Host"),
        (_, Some(_)) => Some("there are several Hosts"),
        (Some(host), None) => (!is_this_machine(host)).then_some("Host names another machine"),
    };
    let why = why.or_else(|| {
        request
            .header_names()
            .find_map(|name| foreign(name, request))
    })?;
    let error = format!(
        "refused without a token: {why}; send the request to localhost from this machine, or set a token or a secret"
    );
    Some(OpsResponse::refusal(403, &error))
}

/// Why a header of this name says that the request came from elsewhere.
fn foreign(name: &str, request: &RequestView<'_>) -> Option<&'static str> {
    match name {
        "origin" => Some("it comes from a web page (Origin)"),
        "sec-fetch-site" if request.headers(name).any(|value| value != b"none") => {
            Some("it comes from a web page (Sec-Fetch-Site)")
        }
        name if FORWARDING.contains(&name) || FORWARDED.iter().any(|f| name.starts_with(f)) => {
            Some("it was forwarded")
        }
        _ => None,
    }
}

/// Whether a `Host` is `localhost` or a loopback address, with any port.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    if let Some(bracketed) = host.strip_prefix('[') {
        let Some((address, rest)) = bracketed.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok_and(|address| {
            let port = rest.strip_prefix(':');
            address.to_canonical().is_loopback() && (rest.is_empty() || port.is_some_and(is_port))
        });
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_this_machine() {
        for host in [
            "localhost",
            "LocalHost:19000",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]",
            "[::1]:19000",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(is_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":19000",
            "127.0.0.1.evil.example",
            "localhost.evil.example:19000",
            "evil.example",
            "evil.example#localhost",
            "user@localhost",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:1:2",
            "10.0.0.1",
            "0.0.0.0",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::2]",
            "::1",
            "2130706433",
            "0x7f.1",
            "127.1",
            "localhost, evil.example",
        ] {
            assert!(!is_this_machine(host.as_bytes()), "{host}");
        }
        assert!(!is_this_machine(b"\xff"));
    }
}
