//! What the layer costs a request: `cargo bench -p vexilla-tower --bench layer`.
//!
//! **Purpose.** The layer in front of a no-op handler, no flag read, against
//! `AddExtension`; and what the first flag read adds to it.
//!
//! **Ours.** The layer, `flags_from`, the handler, and what stands in
//! `benches/` of the workspace: the cases' taking turns, the flags, the headers.
//!
//! **Not ours.** `AddExtension` of tower-http: the least that a layer can do
//! which leaves something in a request. What it adds is a counted pointer, as is
//! what the layer adds.
//!
//! **Measuring.** Criterion for each case, then a table of all of them in turns.
//! One request with 16 headers goes round; its extensions are made anew for each
//! call, as a server makes them.
//!
//! **Allocations**, which `tests/allocations.rs` counts:
//!
//! | When | How many | What |
//! |---|---|---|
//! | `AddExtension`, or the layer | 3 | by `http`: the map of extensions, its table, the box of the one in it |
//! | first look at the flags | 2 | the context, and its text |
//! | each attribute that is a list | 2 + its items | the pieces of the header, the list, its strings |
//! | the address of the peer, where it is known | 0 | |
//! | every later look, every flag read | 0 | |

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Extensions, Request, Response};
use tower::{Layer, Service};
use tower_http::add_extension::AddExtensionLayer;
use vexilla_tower::{Vexilla, VexillaLayer, flag, flags_from, request};

#[path = "../../benches/cases.rs"]
mod cases;
#[path = "../../benches/flags.rs"]
mod flags;

use cases::{Case, measure};

/// Looks at the request, and gives it back.
#[derive(Clone, Copy)]
struct Handler(fn(&Request<()>));

impl Service<Request<()>> for Handler {
    type Response = Response<Request<()>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        (self.0)(&request);
        ready(Ok(Response::new(request)))
    }
}

/// One request goes through a service again and again.
fn case<'a, S>(name: &'static str, mut service: S) -> Case<'a>
where
    S: Service<Request<()>, Future = <Handler as Service<Request<()>>>::Future> + 'a,
{
    let headers = flags::HEADERS.into_iter();
    let mut request = headers
        .fold(
            Request::get("/cart/items?page=2"),
            |request, (name, value)| request.header(name, value),
        )
        .body(())
        .unwrap_or_default();
    Case::new(name, move || {
        let Ok(response) = service.call(std::mem::take(&mut request)).into_inner();
        request = response.into_body();
        *request.extensions_mut() = Extensions::new();
    })
}

fn layer(c: &mut Criterion) {
    let no_read = Handler(|request| {
        black_box(request);
    });
    let one_read = Handler(|request| {
        let flags = flags_from(request);
        black_box(flags.is_ok_and(|flags| flags.bool(black_box("flag-7"))));
    });
    let add = AddExtensionLayer::new(Arc::new(black_box(7_u64)));
    let layer = VexillaLayer::new(flags::vexilla("method", "GET"));
    let of_headers = VexillaLayer::new(flags::vexilla("country", "BR"));
    let of_headers = of_headers.context(flags::four_headers());
    let cases = vec![
        case("AddExtension", add.layer(no_read)),
        case("layer, no flag read", layer.layer(no_read)),
        case("layer, one flag read, default rules", layer.layer(one_read)),
        case(
            "layer, one flag read, four headers",
            of_headers.layer(one_read),
        ),
        case("no layer", no_read),
    ];
    measure(c, "layer", cases);
}

criterion_group!(benches, layer);
criterion_main!(benches);
