//! Flags in axum: through `oneshot`, and over a real socket.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower::{Layer, ServiceExt};
use vexilla_axum::flag::{Constraint, Flag, Segment, Variant};
use vexilla_axum::request::{ContextRules, RequestView};
use vexilla_axum::{
    Context, Flags, FlagsFromError, Overrides, PeerAddr, Vexilla, VexillaLayer, flags_from,
    set_flags,
};

const FLAG: &str = "new-feature";

/// On for user 7 alone.
fn vexilla() -> Vexilla {
    let segment = Segment::new()
        .rollout(100)
        .constraint(Constraint::new("user", "EQ", "\"7\""))
        .distribution("on", 100);
    let flag = Flag::new(FLAG)
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    Vexilla::fixed([flag])
}

/// A layer that knows the entity as the attribute `user`, too.
fn layer() -> VexillaLayer {
    let rules = ContextRules::new().with(|_, context| {
        let user = context.entity_id().to_owned();
        context.set("user", user);
    });
    VexillaLayer::new(vexilla()).context(rules)
}

fn fixed(value: bool) -> VexillaLayer {
    VexillaLayer::new(Vexilla::fixed([Flag::boolean(FLAG, value)]))
}

async fn read(flags: Flags) -> String {
    flags.bool(FLAG).to_string()
}

async fn read_if_there(flags: Option<Flags>) -> String {
    format!("{:?}", flags.map(|flags| flags.bool(FLAG)))
}

/// The answer to a request, without a socket.
async fn answer(app: Router, path: &str, user: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("x-user-id", user);
    let response = app
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A body of status 200, without a socket.
async fn body(app: Router, path: &str, user: &str) -> String {
    let (status, body) = answer(app, path, user).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// Serves on loopback.
async fn serve(app: Router) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    TcpStream::connect(address).await.unwrap()
}

/// Reads until these bytes have come; gives all that came.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        // A test that fails does not hang.
        let byte = timeout(Duration::from_secs(10), stream.read_u8()).await;
        let so_far = String::from_utf8_lossy(&read);
        let Ok(Ok(byte)) = byte else {
            panic!("{byte:?} after {so_far:?}");
        };
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_handler_gets_flags() {
    let app = || Router::new().route("/", get(read)).layer(layer());
    assert_eq!(body(app(), "/", "7").await, "true");
    assert_eq!(body(app(), "/", "8").await, "false");
}

#[tokio::test]
async fn a_handler_with_state_gets_flags() {
    async fn handler(State(state): State<u8>, flags: Flags, request: Request) -> String {
        let same = flags_from(&request).unwrap();
        assert!(std::ptr::eq(
            same.context().entity_id(),
            flags.context().entity_id()
        ));
        format!("{state} {}", flags.bool(FLAG))
    }
    let app = Router::new()
        .route("/", get(handler))
        .layer(layer())
        .with_state(3);
    assert_eq!(body(app, "/", "7").await, "3 true");
}

#[tokio::test]
async fn without_the_layer_a_handler_rejects_with_the_fix() {
    let app = Router::new().route("/", get(read));
    let error = FlagsFromError::MissingLayer;
    let rejection = (StatusCode::INTERNAL_SERVER_ERROR, error.body_text());
    assert_eq!(answer(app, "/", "7").await, rejection);
    assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(error.to_string(), error.body_text());
    assert_eq!(
        error.body_text(),
        "no feature flags in this request: the route is not wrapped in a VexillaLayer; add \
         VexillaLayer::new(vexilla) with .layer(…) (axum, tower) or .wrap(…) (actix-web)"
    );
}

#[tokio::test]
async fn an_optional_extractor_does_without_the_layer() {
    let app = Router::new().route("/", get(read_if_there));
    assert_eq!(body(app.clone(), "/", "7").await, "None");
    assert_eq!(body(app.layer(layer()), "/", "7").await, "Some(true)");
}

#[tokio::test]
async fn a_route_that_was_added_after_the_layer_has_no_flags() {
    let app = Router::new()
        .route("/in", get(read_if_there))
        .layer(layer())
        .route("/out", get(read_if_there));
    assert_eq!(body(app.clone(), "/in", "7").await, "Some(true)");
    assert_eq!(body(app, "/out", "7").await, "None");
}

#[tokio::test]
async fn middleware_inside_of_the_layer_reads_the_same_flags() {
    async fn gate(request: Request, next: Next) -> Response {
        match flags_from(&request) {
            Ok(flags) if flags.bool(FLAG) => next.run(request).await,
            Ok(_) => StatusCode::NOT_FOUND.into_response(),
            Err(error) => (StatusCode::IM_A_TEAPOT, error.to_string()).into_response(),
        }
    }
    let app = || {
        Router::new()
            .route("/", get(read))
            .layer(middleware::from_fn(gate))
    };
    assert_eq!(body(app().layer(layer()), "/", "7").await, "true");
    let refused = answer(app().layer(layer()), "/", "8").await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND);
    let missing = answer(app(), "/", "7").await;
    assert_eq!(
        missing,
        (
            StatusCode::IM_A_TEAPOT,
            FlagsFromError::MissingLayer.body_text()
        )
    );

    // Middleware can extract as well.
    async fn extracting(flags: Flags, request: Request, next: Next) -> Response {
        assert!(flags.bool(FLAG));
        next.run(request).await
    }
    let app = Router::new()
        .route("/", get(read))
        .layer(middleware::from_fn(extracting))
        .layer(layer());
    assert_eq!(body(app, "/", "7").await, "true");
}

#[tokio::test]
async fn of_two_layers_the_inner_one_wins() {
    let inner = Router::new().route("/", get(read)).layer(fixed(true));
    let app = Router::new()
        .route("/outer", get(read))
        .nest("/inner", inner)
        .layer(fixed(false));
    assert_eq!(body(app.clone(), "/inner", "7").await, "true");
    assert_eq!(body(app, "/outer", "7").await, "false");
}

#[tokio::test]
async fn the_path_is_the_one_that_was_sent_in_nested_routers_whoever_reads_first() {
    async fn path(flags: Flags) -> String {
        format!("{:?}", flags.context().attribute("path"))
    }
    async fn look(request: Request, next: Next) -> Response {
        assert!(flags_from(&request).is_ok());
        next.run(request).await
    }
    let nested = || Router::new().route("/there", get(path));
    let looking = || middleware::from_fn(look);
    let layer = || fixed(true);
    let outside = |router: Router| Router::new().nest("/here", router);
    for (place, app) in [
        ("the handler", outside(nested()).layer(layer())),
        ("an eager layer", outside(nested()).layer(layer().eager())),
        (
            "middleware outside of the router",
            outside(nested()).layer(looking()).layer(layer()),
        ),
        (
            "middleware of the nested router",
            outside(nested().layer(looking())).layer(layer()),
        ),
        ("a layer inside", outside(nested().layer(layer()))),
        (
            "an eager layer inside",
            outside(nested().layer(layer().eager())),
        ),
        (
            "a service",
            Router::new().nest_service("/here", nested()).layer(layer()),
        ),
    ] {
        let answer = body(app, "/here/there?x=1", "7").await;
        assert_eq!(answer, "Some(String(\"/here/there\"))", "{place}");
    }
    // Without a router.
    let request = Request::get("/alone").body(Body::empty()).unwrap();
    let service = layer().layer(tower::service_fn(async |request: Request| {
        let flags = flags_from(&request).unwrap();
        Ok::<_, std::convert::Infallible>(path(flags).await)
    }));
    assert_eq!(
        service.oneshot(request).await.unwrap(),
        "Some(String(\"/alone\"))"
    );
}

#[tokio::test]
async fn an_authentication_layer_may_stand_on_either_side() {
    #[derive(Clone)]
    struct User(&'static str);

    async fn authenticate(mut request: Request, next: Next) -> Response {
        request.extensions_mut().insert(User("7"));
        next.run(request).await
    }
    let rules = ContextRules::new()
        .entity_with(|request| request.extension::<User>().map(|user| user.0.to_owned()))
        .with(|_, context| {
            let user = context.entity_id().to_owned();
            context.set("user", user);
        });
    let layer = VexillaLayer::new(vexilla()).context(rules);
    let app = || Router::new().route("/", get(read));
    let authentication = || middleware::from_fn(authenticate);
    let outside = app().layer(layer.clone()).layer(authentication());
    assert_eq!(body(outside, "/", "forged").await, "true");
    let inside = app().layer(authentication()).layer(layer.clone());
    assert_eq!(body(inside, "/", "forged").await, "true");
    let eager_inside = app().layer(layer.eager()).layer(authentication());
    assert_eq!(body(eager_inside, "/", "forged").await, "true");
}

#[tokio::test]
async fn flags_go_into_a_task() {
    async fn handler(flags: Flags) -> String {
        let read = tokio::spawn(async move { flags.bool(FLAG) });
        read.await.unwrap().to_string()
    }
    let app = Router::new().route("/", get(handler)).layer(layer());
    assert_eq!(body(app, "/", "7").await, "true");
}

#[tokio::test]
async fn flags_are_extracted_from_parts() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let rejection = Flags::from_request_parts(&mut parts, &()).await;
    assert_eq!(rejection.unwrap_err(), FlagsFromError::MissingLayer);
}

#[tokio::test]
async fn flags_are_read_over_a_socket() {
    let app = Router::new().route("/", get(read)).layer(layer());
    let mut stream = serve(app).await;
    // One connection, one user after the other.
    for (user, value) in [("7", "true"), ("8", "false"), ("7", "true")] {
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx-user-id: {user}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        read_until(&mut stream, value).await;
    }
}

#[tokio::test]
async fn headers_that_are_no_text_or_huge_are_safe_over_a_socket() {
    let app = Router::new().route("/", get(read)).layer(layer());
    let mut stream = serve(app).await;
    let huge = vec![b'7'; 100_000];
    for value in [&b"\xff\xfe"[..], &huge, b"", b" \t "] {
        let request = [
            &b"GET / HTTP/1.1\r\nhost: x\r\nx-user-id: "[..],
            value,
            b"\r\n\r\n",
        ];
        stream.write_all(&request.concat()).await.unwrap();
        read_until(&mut stream, "\r\n\r\nfalse").await;
    }
}

#[cfg(feature = "connect-info")]
#[tokio::test]
async fn the_peer_is_that_of_the_connection() {
    async fn peer(flags: Flags) -> String {
        format!("{:?}", flags.context().attribute("remote_addr"))
    }
    let app = |layer: VexillaLayer| Router::new().route("/", get(peer)).layer(layer);
    for (layer, address) in [
        (layer(), "Some(String(\"127.0.0.1\"))"),
        (layer().peer_addr(|_| None), "None"),
    ] {
        let mut stream = serve(app(layer)).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, address).await;
    }
    // Where nothing knows of connections, or something else does.
    assert_eq!(body(app(layer()), "/", "7").await, "None");
    let addr = PeerAddr(SocketAddr::from(([192, 0, 2, 7], 4711)));
    let known = app(layer()).layer(axum::Extension(addr));
    assert_eq!(body(known, "/", "7").await, "Some(String(\"192.0.2.7\"))");
}

#[tokio::test]
async fn a_streaming_body_passes_in_both_directions_as_it_comes() {
    async fn echo(flags: Flags, request: Request) -> Response {
        assert!(flags.bool(FLAG));
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        (kind, request.into_body()).into_response()
    }
    let app = Router::new().route("/", post(echo)).layer(layer().eager());
    let mut stream = serve(app).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-user-id: 7\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    // Each event comes back before the next one is sent.
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        stream.write_all(chunk.as_bytes()).await.unwrap();
        read_until(&mut stream, &chunk).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "0\r\n\r\n").await;
}

#[tokio::test]
async fn an_upgrade_passes() {
    async fn upgrade(flags: Flags, headers: HeaderMap, mut request: Request) -> Response {
        assert_eq!(headers[header::UPGRADE], "shout");
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut connection = TokioIo::new(upgraded.await.unwrap());
            let mut said = [0; 5];
            connection.read_exact(&mut said).await.unwrap();
            let reply = format!("{} {}", String::from_utf8_lossy(&said), flags.bool(FLAG));
            connection
                .write_all(reply.to_uppercase().as_bytes())
                .await
                .unwrap();
        });
        let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "shout")];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
    for layer in [layer(), layer().eager()] {
        let mut stream = serve(Router::new().route("/", get(upgrade)).layer(layer)).await;
        let head = "GET / HTTP/1.1\r\nhost: x\r\nx-user-id: 7\r\n\
                    connection: upgrade\r\nupgrade: shout\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(b"hello").await.unwrap();
        read_until(&mut stream, "HELLO TRUE").await;
    }
}

/// The preview that a request asks for; a real service would check who asks.
fn preview(request: &RequestView<'_>) -> Option<Overrides> {
    let value = request.header_str("x-preview")?;
    Some(Overrides::new().set(FLAG, value == "on"))
}

#[tokio::test]
async fn a_layer_makes_the_overrides_of_a_request() {
    let vexilla = Vexilla::fixed([Flag::boolean(FLAG, false)]);
    vexilla.set_overrides(Overrides::new().set(FLAG, false));
    for layer in [
        VexillaLayer::new(vexilla.clone()).overrides(preview),
        VexillaLayer::new(vexilla).overrides(preview).eager(),
    ] {
        let app = Router::new().route("/", get(read)).layer(layer);
        let answer = |preview: Option<&str>| {
            let mut request = Request::get("/");
            if let Some(preview) = preview {
                request = request.header("x-preview", preview);
            }
            let request = request.body(Body::empty()).unwrap();
            let app = app.clone();
            async move {
                let response = app.oneshot(request).await.unwrap();
                to_bytes(response.into_body(), 100).await.unwrap()
            }
        };
        assert_eq!(answer(Some("on")).await, "true");
        assert_eq!(answer(Some("off")).await, "false");
        assert_eq!(answer(None).await, "false");
    }
}

#[tokio::test]
async fn flags_that_middleware_sets_are_what_every_later_reader_gets() {
    async fn turn_on(mut request: Request, next: Next) -> Response {
        let flags = flags_from(&request).unwrap();
        let flags = flags.with_overrides(&Overrides::new().set(FLAG, true));
        set_flags(&mut request, flags);
        assert!(flags_from(&request).unwrap().bool(FLAG));
        next.run(request).await
    }
    async fn read_extension(flags: Option<axum::Extension<Flags>>) -> String {
        flags.map_or_else(String::new, |flags| flags.bool(FLAG).to_string())
    }
    for (layer, extension) in [(fixed(false), ""), (fixed(false).eager(), "true")] {
        let app = Router::new()
            .route("/", get(read))
            .route("/extension", get(read_extension))
            .layer(middleware::from_fn(turn_on))
            .layer(layer);
        assert_eq!(body(app.clone(), "/", "8").await, "true");
        assert_eq!(body(app, "/extension", "8").await, extension);
    }
    // A handler in a test needs no layer.
    let flags = Vexilla::fixed([Flag::boolean(FLAG, true)]).flags(Context::new("7"));
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    set_flags(&mut request, flags);
    let response = Router::new().route("/", get(read)).oneshot(request).await;
    assert_eq!(
        to_bytes(response.unwrap().into_body(), 100).await.unwrap(),
        "true"
    );
}
