//! What a request allocates for its flags, exactly.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use allocation_counter::measure;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_http::add_extension::AddExtensionLayer;
use vexilla_tower::flag::{Constraint, Flag, Segment, Variant};
use vexilla_tower::request::{ContextRules, header};
use vexilla_tower::{PeerAddr, Vexilla, VexillaLayer, flags_from};

/// Gives back the request that it gets.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<Request<()>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(Response::new(request)))
    }
}

fn layer() -> VexillaLayer {
    let segment = Segment::new()
        .rollout(50)
        .constraint(Constraint::new("country", "EQ", "\"BR\""))
        .distribution("on", 100);
    VexillaLayer::new(Vexilla::fixed([Flag::new("s1")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment)]))
}

fn request() -> Request<()> {
    Request::get("/cart/items?page=2")
        .header("user-agent", "Mozilla/5.0 ".repeat(12))
        .header("x-user-id", "user-1234")
        .header("x-country", "BR")
        .header("x-plan", "pro")
        .header("x-version", "2.3.4")
        .header("x-tier", "premium")
        .body(())
        .unwrap()
}

/// The allocations of one piece of work.
fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let counted = measure(|| result = Some(work()));
    (counted.count_total, result.unwrap())
}

/// The request as it leaves a service, and what that allocates.
fn through(
    mut service: impl Service<Request<()>, Future = <Echo as Service<Request<()>>>::Future>,
    request: Request<()>,
) -> (u64, Request<()>) {
    allocations(|| {
        let Ok(response) = service.call(request).into_inner();
        response.into_body()
    })
}

/// What the first and the second look at the flags of a request allocate, each
/// with one flag read.
fn looks(layer: &VexillaLayer, request: Request<()>) -> [u64; 2] {
    let (_, request) = through(layer.layer(Echo), request);
    [(); 2].map(|()| allocations(|| flags_from(&request).unwrap().bool("s1")).0)
}

#[test]
fn the_layer_allocates_what_any_extension_does() {
    let service = AddExtensionLayer::new(Arc::new(7)).layer(Echo);
    let (extension, _) = through(service, request());
    let (ours, _) = through(layer().layer(Echo), request());
    // The map of extensions, its table, the box of the one in it.
    assert_eq!((extension, ours), (3, 3));
}

#[test]
fn the_first_look_allocates_the_context_and_its_text_and_no_later_one_anything() {
    // Allocated once in the life of the thread, by what pins the flags.
    looks(&layer(), request());

    assert_eq!(looks(&layer(), request()), [2, 0]);
    assert_eq!(looks(&layer(), Request::new(())), [2, 0]);

    let mut with_peer = request();
    let peer = PeerAddr(SocketAddr::from(([2001, 0xdb8, 0, 0, 0, 0, 0, 1], 443)));
    with_peer.extensions_mut().insert(peer);
    assert_eq!(looks(&layer(), with_peer), [2, 0]);

    let cookie = Request::builder().header("cookie", "a=b; user_id=7; c=d");
    assert_eq!(looks(&layer(), cookie.body(()).unwrap()), [2, 0]);
}

#[test]
fn attributes_of_headers_allocate_nothing_of_their_own_unless_they_are_lists() {
    looks(&layer(), request());
    let rules = ContextRules::new()
        .attribute("country", header("x-country"))
        .attribute("plan", header("X-Plan"))
        .attribute(
            "version",
            header("x-version").number().or(header("x-version")),
        )
        .attribute("tier", header("x-tier").bool());
    assert_eq!(looks(&layer().context(rules.clone()), request()), [2, 0]);

    let rules = rules.attribute("groups", header("x-groups").list());
    let mut request = request();
    let headers = request.headers_mut();
    headers.insert("x-groups", "beta, staff".parse().unwrap());
    // The list, its two strings, and the slices that the header is cut into.
    assert_eq!(looks(&layer().context(rules), request), [6, 0]);
}
