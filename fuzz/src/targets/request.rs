//! Headers and cookies of a request, and the context that rules make of them.
//!
//! An input is header lines, `name: value`.

use std::time::SystemTime;

use http::Request;
use http::header::{HeaderName, HeaderValue};
use vexilla_core::context::ValueRef;
use vexilla_core::request::{ContextRules, InjectedContext, RequestView, cookie, header};

use crate::{Recorded, Target};

/// The target.
pub const TARGET: Target = Target {
    name: "request",
    run,
    seeds,
    tokens: &[
        "cookie: ",
        "x-user-id: ",
        "x-plan: ",
        "x-age: ",
        "x-groups: ",
        "user-agent: ",
        "x-auth-role: ",
        "x-auth_role: ",
        "\n",
        "; ",
        ";",
        "=",
        "user_id=",
        "plan=",
        "\"",
        "\\",
        ",",
        " ",
        "\t",
        "true",
        "1e5",
        "NaN",
        "inf",
        "-0",
        "é",
        "%20",
    ],
    mutations: 3_000,
};

fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let fixed = [
        "x-user-id: 7\nuser-agent: curl/7.88.1\nx-plan: pro\nx-age: 31\nx-beta: true\nx-groups: a, b",
        "cookie: user_id=7; plan=\"pro\"; theme=dark\ncookie: other=1",
        "x-auth-role: admin\nx-auth_role: guest\nhost: app.example\nx-forwarded-for: 10.0.0.1, 10.0.0.2",
    ];
    let contexts = recorded.contexts.iter().step_by(8);
    let cookies = contexts.map(|context| format!("cookie: a={context}; user_id=8"));
    let fixed = fixed.map(str::to_owned);
    fixed.into_iter().chain(cookies).map(Into::into).collect()
}

/// The headers of a request.
pub(crate) struct Headers<'a>(pub(crate) Vec<(String, &'a [u8])>);

impl<'a> Headers<'a> {
    /// The headers of these lines; what no header has as name or value is passed
    /// over.
    pub(crate) fn of(data: &'a [u8]) -> Self {
        let lines = data.split(|byte| *byte == b'\n');
        let headers = lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let name = str::from_utf8(name).ok()?.to_ascii_lowercase();
            let value = value.get(1..)?.trim_ascii();
            let is_header =
                HeaderName::try_from(&name).is_ok() && HeaderValue::from_bytes(value).is_ok();
            is_header.then_some((name, value))
        });
        Self(headers.collect())
    }

    /// A request with these headers.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request<()> {
        let start = Request::builder().method(method).uri(path);
        let headers = self.0.iter();
        let builder = headers.fold(start, |builder, (name, value)| builder.header(name, *value));
        builder.body(()).expect("names and values of headers")
    }
}

fn rules() -> ContextRules {
    let injected = InjectedContext::new()
        .header_prefix("x-")
        .clock(|| SystemTime::UNIX_EPOCH);
    ContextRules::new()
        .attribute("plan", header("x-plan").or(cookie("plan")))
        .attribute("age", header("x-age").number())
        .attribute("beta", header("x-beta").bool())
        .attribute("groups", header("x-groups").list())
        .attribute("probe", cookie(PROBE))
        .inject(injected)
}

/// A cookie that no input has by chance.
const PROBE: &str = "vexilla-fuzz-probe";

/// - The same request gives the same context.
/// - What a field gives is of its type, not empty and not too long.
/// - A cookie is found behind every other cookie of its header and behind every
///   other header, whatever those are.
pub fn run(data: &[u8]) {
    let mut headers = Headers::of(data);
    let rules = rules();
    let request = headers.request("GET", "/path");
    let context = rules.context(&RequestView::from(&request));
    assert_eq!(context, rules.context(&RequestView::from(&request)));
    for (name, value) in context.attributes() {
        let is_right = match (name, value) {
            ("plan" | "user_agent", ValueRef::String(text)) => {
                !text.is_empty() && text.len() <= 8 << 10
            }
            ("plan" | "user_agent", _) => false,
            ("age", value) => matches!(value, ValueRef::Number(n) if n.is_finite()),
            ("beta", value) => matches!(value, ValueRef::Bool(_)),
            ("groups", value) => matches!(value, ValueRef::List(items) if !items.is_empty()),
            _ => true,
        };
        assert!(is_right, "{name}: {value:?}");
    }

    if data
        .windows(PROBE.len())
        .any(|part| part == PROBE.as_bytes())
    {
        return;
    }
    let probe = format!("{PROBE}=found");
    headers.0.push(("cookie".to_owned(), probe.as_bytes()));
    assert_probe(&headers, "in a header of its own");
    headers.0.pop();
    for (position, (name, value)) in headers.0.iter().enumerate() {
        if name == "cookie" {
            let longer = [value, &b"; "[..], probe.as_bytes()].concat();
            let mut headers = Headers(headers.0.clone());
            headers.0[position].1 = &longer;
            assert_probe(&headers, "behind the others of its header");
        }
    }
}

fn assert_probe(headers: &Headers<'_>, place: &str) {
    let request = headers.request("GET", "/path");
    let view = RequestView::from(&request);
    assert_eq!(view.cookie(PROBE), Some("found"), "{place}");
    let context = rules().context(&view);
    let found = context.attribute("probe");
    assert_eq!(found, Some(ValueRef::String("found")), "{place}");
}
