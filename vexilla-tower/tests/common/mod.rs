//! From a real request to the context that a layer makes of it.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};

use http::request::Builder;
use http::{HeaderValue, Request};
use tower::{Layer, Service};
use vexilla_tower::request::ContextRules;
use vexilla_tower::{Context, Flags, Vexilla, VexillaLayer, flags_from};

/// Answers with the flags that it gets.
struct ReadFlags;

impl Service<Request<()>> for ReadFlags {
    type Response = Flags;
    type Error = Infallible;
    type Future = Ready<Result<Flags, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(flags_from(&request).expect("the layer")))
    }
}

/// The context that a layer makes of a request.
pub(crate) fn context(layer: &VexillaLayer, request: Builder) -> Context {
    let request = request.body(()).expect("a request");
    let Ok(flags) = layer.layer(ReadFlags).call(request).into_inner();
    flags.context().clone()
}

/// The context that rules make of a request.
pub(crate) fn by(rules: ContextRules, request: Builder) -> Context {
    context(
        &VexillaLayer::new(Vexilla::fixed([])).context(rules),
        request,
    )
}

/// A request with these headers, repeated ones included.
pub(crate) fn with(headers: &[(&str, &[u8])]) -> Builder {
    headers
        .iter()
        .fold(Request::builder(), |request, (name, value)| {
            request.header(*name, HeaderValue::from_bytes(value).expect("a header"))
        })
}
