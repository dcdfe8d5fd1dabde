//! The flags that requests read in benches. A part of several, which include it
//! by its path and bring the names of the crate that they measure.

use super::Vexilla;
use super::flag::{Constraint, Flag, Segment, Variant};
use super::request::{ContextRules, header};

/// 200 flags of one form (S1): an attribute must be this string, then half of the
/// users follow.
pub(crate) fn vexilla(attribute: &str, value: &str) -> Vexilla {
    let flag = |n: u32| {
        let segment = Segment::new()
            .rollout(50)
            .constraint(Constraint::new(attribute, "EQ", format!("{value:?}")))
            .distribution("on", 100);
        Flag::new(format!("flag-{n}"))
            .enabled(true)
            .variant(Variant::new("on"))
            .segment(segment)
    };
    Vexilla::fixed((0..200).map(flag).collect::<Vec<_>>())
}

/// A request as a gateway passes it on from a browser: of its 16 headers, five
/// are the entity and the attributes of [`four_headers`].
pub(crate) const HEADERS: [(&str, &str); 16] = [
    ("host", "shop.example.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9",
    ),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-user-id", "user-1234"),
    ("x-country", "BR"),
    ("x-plan", "pro"),
    ("x-version", "2.3.4"),
    ("x-tier", "premium"),
];

/// Rules that make attributes of four headers, and of nothing else.
pub(crate) fn four_headers() -> ContextRules {
    ContextRules::new()
        .without_request_attributes()
        .attribute("country", header("x-country"))
        .attribute("plan", header("x-plan"))
        .attribute("version", header("x-version"))
        .attribute("tier", header("x-tier"))
}
