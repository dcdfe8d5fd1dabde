//! What the middleware costs a request:
//! `cargo bench -p vexilla-actix --bench middleware`.
//!
//! **Purpose.** The middleware in front of a no-op handler, no flag read, against
//! one that does nothing but insert an extension; and what the extractor and the
//! first flag read add to it.
//!
//! **Ours.** All of it but actix-web: the middleware, the extractor, the handler,
//! the one that inserts an extension (the least that a middleware can do which
//! leaves something in a request), and what stands in `benches/` of the
//! workspace: the cases' taking turns, the flags, the headers.
//!
//! **Not ours.** What actix-web itself does for a request.
//!
//! **Measuring.** Criterion for each case, then a table of all of them in turns.
//! One request with 16 headers and a peer goes round; its extensions are cleared
//! after each call, as the server does that keeps requests for the next ones.
//!
//! **Allocations**, which `tests/allocations.rs` counts:
//!
//! | When | How many | What |
//! |---|---|---|
//! | inserting an extension, or the middleware | 1 | by actix-web: the box of the extension (and a table, for the first requests of a connection) |
//! | first look at the flags | 2 | the context, and its text |
//! | each attribute that is a list | 2 + its items | the pieces of the header, the list, its strings |
//! | every later look, every flag read | 0 | |

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::dev::{Payload, Service, ServiceRequest, Transform};
use actix_web::test::TestRequest;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use criterion::{Criterion, criterion_group, criterion_main};
use vexilla_actix::{Flags, Vexilla, VexillaLayer, flag, request};

#[path = "../../benches/cases.rs"]
mod cases;
#[path = "../../benches/flags.rs"]
mod flags;

use cases::{Case, measure};

/// Looks at the request, and gives it back.
#[derive(Clone, Copy)]
struct Handler(fn(&HttpRequest));

impl Service<ServiceRequest> for Handler {
    type Response = ServiceRequest;
    type Error = Infallible;
    type Future = Ready<Result<ServiceRequest, Infallible>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        (self.0)(request.request());
        ready(Ok(request))
    }
}

/// Inserts one extension, and does nothing else.
struct AddExtension<S> {
    inner: S,
    value: Arc<u64>,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for AddExtension<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.value));
        self.inner.call(request)
    }
}

/// One request goes through a service again and again.
fn case<'a, S>(name: &'static str, service: S) -> Case<'a>
where
    S: Service<ServiceRequest, Future = <Handler as Service<ServiceRequest>>::Future> + 'a,
{
    let peer = ([127, 0, 0, 1], 50_000).into();
    let request = TestRequest::with_uri("/cart/items?page=2").peer_addr(peer);
    let headers = flags::HEADERS.into_iter();
    let request = headers.fold(request, TestRequest::append_header);
    let request = request.to_http_request();
    Case::new(name, move || {
        let request = ServiceRequest::from_request(request.clone());
        let Ok(request) = service.call(request).into_inner();
        request.extensions_mut().clear();
    })
}

/// The middleware around a handler.
fn around(
    layer: &VexillaLayer,
    handler: Handler,
) -> <VexillaLayer as Transform<Handler, ServiceRequest>>::Transform {
    let Ok(service) = layer.new_transform(handler).into_inner() else {
        unreachable!("the middleware cannot fail to be made")
    };
    service
}

fn middleware(c: &mut Criterion) {
    let no_read = Handler(|request| {
        black_box(request);
    });
    let one_read = Handler(|request| {
        let flags = Flags::from_request(request, &mut Payload::None).into_inner();
        black_box(flags.is_ok_and(|flags| flags.bool(black_box("flag-7"))));
    });
    let value = Arc::new(black_box(7_u64));
    let inner = no_read;
    let layer = VexillaLayer::new(flags::vexilla("method", "GET"));
    let of_headers = VexillaLayer::new(flags::vexilla("country", "BR"));
    let of_headers = of_headers.context(flags::four_headers());
    let cases = vec![
        case("one extension", AddExtension { inner, value }),
        case("layer, no flag read", around(&layer, no_read)),
        case(
            "layer, one flag read, default rules",
            around(&layer, one_read),
        ),
        case(
            "layer, one flag read, four headers",
            around(&of_headers, one_read),
        ),
        case("no layer", no_read),
    ];
    measure(c, "middleware", cases);
}

criterion_group!(benches, middleware);
criterion_main!(benches);
