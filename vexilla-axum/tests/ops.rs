//! Operations and webhook in axum applications, over sockets.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use vexilla_axum as adapter;

#[path = "../../tests/shared/ops/mod.rs"]
mod shared;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use shared::{
    Served, check_connections, check_listeners, check_operations, check_proxied, check_shutdown,
    check_slow_clients, check_webhook,
};
use tower::ServiceExt;
use vexilla_axum::ops::{router, webhook_router};
use vexilla_axum::{Flags, VexillaLayer};

/// Serves on loopback.
async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// An application that has a layer, a state, and a fallback of its own.
fn application(served: &Served) -> Router {
    async fn home(flags: Flags, State(greeting): State<&'static str>) -> String {
        format!("{greeting} {}", flags.bool("new-feature"))
    }
    Router::new()
        .route("/", get(home))
        .nest("/internal", router(served.operations()))
        .merge(webhook_router(served.webhook()))
        .fallback(|| async { (axum::http::StatusCode::NOT_FOUND, "no page") })
        .layer(VexillaLayer::new(served.vexilla.clone()))
        .with_state("hello")
}

#[tokio::test]
async fn operations_answer_over_a_socket() {
    let served = Served::new().await;
    check_operations(serve(application(&served)).await, &served).await;
}

#[tokio::test]
async fn the_webhook_answers_over_a_socket() {
    let served = Served::new().await;
    check_webhook(serve(application(&served)).await, &served).await;
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
async fn merged_into_a_router_they_leave_its_own_paths_alone() {
    let served = Served::new().await;
    let app: Router = Router::new()
        .route("/health/database", get(|| async { "up" }))
        .route("/admin", get(|| async { "the admin page" }))
        .merge(router(served.operations()));
    for (path, status) in [
        ("/health/database", 200),
        ("/admin", 200),
        ("/health/ready", 200),
        ("/health", 401),
        ("/nowhere", 404),
    ] {
        let request = axum::http::Request::get(path);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}
