//! Operations and webhook as plain tower services, over sockets.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use vexilla_tower as adapter;

#[path = "../../tests/shared/ops/mod.rs"]
mod shared;

use std::net::SocketAddr;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use shared::{
    Served, check_connections, check_listeners, check_operations, check_proxied, check_shutdown,
    check_slow_clients, check_webhook,
};
use tower::ServiceExt;
use vexilla_tower::Vexilla;
use vexilla_tower::ops::{Endpoints, EndpointsService, Operations, OpsService, WebhookService};

/// Serves on loopback.
async fn serve<E: Endpoints>(service: EndpointsService<E>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

#[tokio::test]
async fn operations_answer_over_a_socket() {
    let served = Served::new().await;
    let service = OpsService::new(served.operations()).prefix("/internal");
    check_operations(serve(service).await, &served).await;
}

#[tokio::test]
async fn the_webhook_answers_over_a_socket() {
    let served = Served::new().await;
    let service = WebhookService::new(served.webhook());
    check_webhook(serve(service).await, &served).await;
}

#[tokio::test]
async fn listeners_of_their_own_serve_probes_and_counts_without_token() {
    check_listeners(&Served::new().await).await;
}

#[tokio::test]
async fn clients_of_a_proxy_get_no_more_than_probes_and_counts() {
    check_proxied(&Served::new().await).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_all_without_token() {
    shared::check_unix_sockets(&Served::new().await).await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_a_stale_socket_is_replaced() {
    shared::check_stale_sockets(&Served::new().await).await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_under_way_end() {
    check_shutdown(&Served::new().await).await;
}

#[tokio::test]
async fn connections_are_limited_in_number_and_time() {
    check_connections().await;
}

#[tokio::test]
async fn slow_clients_keep_nobody_out() {
    check_slow_clients(&Served::new().await).await;
}

#[tokio::test]
async fn what_is_made_for_a_listener_refuses_all_as_a_mere_service() {
    let service = OpsService::new(Operations::local(Vexilla::fixed([])));
    let request = Request::get("/health/live").header("host", "localhost");
    let request = request.body(Full::<&[u8]>::default()).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"error\":\"operations made with local"));
}

#[tokio::test]
async fn a_prefix_ends_at_a_slash() {
    let service = OpsService::new(Operations::insecure_without_token(Vexilla::fixed([])));
    for (prefix, path, status) in [
        ("/internal", "/internal/health", 200),
        ("/internal/", "/internal/health", 200),
        ("", "/health", 200),
        ("/", "/health", 200),
        ("/internal", "/internalhealth", 404),
        ("/internal", "/internal2/health", 404),
        ("/internal", "/health", 404),
    ] {
        let service = service.clone().prefix(prefix);
        let request = Request::get(path).body(Full::<&[u8]>::default()).unwrap();
        let answer = service.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{prefix} {path}");
    }
}
