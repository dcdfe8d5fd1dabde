//! What a request allocates for its flags, exactly.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};

use actix_web::dev::{Service, ServiceRequest, Transform};
use actix_web::test::TestRequest;
use actix_web::{HttpMessage, HttpRequest};
use allocation_counter::measure;
use vexilla_actix::flag::{Constraint, Flag, Segment, Variant};
use vexilla_actix::request::{ContextRules, header};
use vexilla_actix::{Vexilla, VexillaLayer, flags_from};

/// Gives back the request that it gets.
struct Echo;

impl Service<ServiceRequest> for Echo {
    type Response = ServiceRequest;
    type Error = Infallible;
    type Future = Ready<Result<ServiceRequest, Infallible>>;

    fn poll_ready(&self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        ready(Ok(request))
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

/// A request as the server gives it: with a peer, and with a map of extensions
/// that has room, since requests are kept for the next ones.
fn request() -> TestRequest {
    TestRequest::with_uri("/cart/items?page=2")
        .peer_addr(([192, 0, 2, 7], 443).into())
        .insert_header(("user-agent", "Mozilla/5.0 ".repeat(12)))
        .insert_header(("x-user-id", "user-1234"))
        .insert_header(("x-country", "BR"))
        .insert_header(("x-plan", "pro"))
        .insert_header(("x-version", "2.3.4"))
        .insert_header(("x-tier", "premium"))
}

fn with_room(request: TestRequest) -> HttpRequest {
    let request = request.to_http_request();
    request.extensions_mut().insert(());
    request.extensions_mut().clear();
    request
}

/// The allocations of one piece of work.
fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let counted = measure(|| result = Some(work()));
    (counted.count_total, result.unwrap())
}

/// What the layer, the first and the second look at the flags of a request
/// allocate, each look with one flag read.
fn allocated(layer: &VexillaLayer, request: TestRequest) -> [u64; 3] {
    let service = layer.new_transform(Echo).into_inner().unwrap();
    let request = ServiceRequest::from_request(with_room(request));
    let (passing, request) = allocations(|| {
        let Ok(request) = service.call(request).into_inner();
        request
    });
    let look = || allocations(|| flags_from(&request).unwrap().bool("s1")).0;
    [passing, look(), look()]
}

#[test]
fn the_layer_allocates_what_any_extension_does() {
    let request = with_room(request());
    let (extension, _) = allocations(|| request.extensions_mut().insert(7_u64));
    assert_eq!(extension, 1);
    // The box of the extension.
    let [passing, ..] = allocated(&layer(), TestRequest::default());
    assert_eq!(passing, 1);
}

#[test]
fn the_first_look_allocates_the_context_and_its_text_and_no_later_one_anything() {
    // Allocated once in the life of the thread, by what pins the flags.
    allocated(&layer(), request());

    assert_eq!(allocated(&layer(), request()), [1, 2, 0]);
    assert_eq!(allocated(&layer(), TestRequest::default()), [1, 2, 0]);

    let peer = ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 443).into();
    assert_eq!(allocated(&layer(), request().peer_addr(peer)), [1, 2, 0]);

    let cookie = TestRequest::default().insert_header(("cookie", "a=b; user_id=7; c=d"));
    assert_eq!(allocated(&layer(), cookie), [1, 2, 0]);
}

#[test]
fn attributes_of_headers_allocate_nothing_of_their_own_unless_they_are_lists() {
    allocated(&layer(), request());
    let rules = ContextRules::new()
        .attribute("country", header("x-country"))
        .attribute("plan", header("X-Plan"))
        .attribute(
            "version",
            header("x-version").number().or(header("x-version")),
        )
        .attribute("tier", header("x-tier").bool());
    assert_eq!(
        allocated(&layer().context(rules.clone()), request()),
        [1, 2, 0]
    );

    let rules = rules.attribute("groups", header("x-groups").list());
    let request = request().insert_header(("x-groups", "beta, staff"));
    // The list, its two strings, and the slices that the header is cut into; and
    // the attributes, since nine of them are more than a context holds by itself.
    assert_eq!(allocated(&layer().context(rules), request), [1, 7, 0]);
}
