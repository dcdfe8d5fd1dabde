//! Operations and webhook in actix-web applications, over sockets.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use vexilla_actix as adapter;

#[path = "../../tests/shared/ops/mod.rs"]
mod shared;

use std::net::SocketAddr;

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};
use shared::{
    Served, check_connections, check_listeners, check_operations, check_proxied, check_shutdown,
    check_slow_clients, check_webhook,
};
use vexilla_actix::ops::{configure, scope, webhook};
use vexilla_actix::{Vexilla, VexillaLayer};

/// Serves on loopback.
fn serve(
    vexilla: Vexilla,
    app: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> SocketAddr {
    let layer = VexillaLayer::new(vexilla);
    let app = move || App::new().wrap(layer.clone()).configure(app.clone());
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let [address] = server.addrs()[..] else {
        panic!("one address");
    };
    actix_web::rt::spawn(server.run());
    address
}

#[actix_web::test]
async fn operations_answer_over_a_socket() {
    let served = Served::new().await;
    let operations = served.operations();
    let address = serve(served.vexilla.clone(), move |config| {
        config.service(scope("/internal", operations.clone()));
    });
    check_operations(address, &served).await;
}

#[actix_web::test]
async fn the_webhook_answers_over_a_socket() {
    let served = Served::new().await;
    let hook = served.webhook();
    let address = serve(served.vexilla.clone(), move |config| {
        config.service(webhook(hook.clone()));
    });
    check_webhook(address, &served).await;
}

#[actix_web::test]
async fn listeners_of_their_own_serve_probes_and_counts_without_token() {
    check_listeners(&Served::new().await).await;
}

#[actix_web::test]
async fn clients_of_a_proxy_get_no_more_than_probes_and_counts() {
    check_proxied(&Served::new().await).await;
}

#[cfg(unix)]
#[actix_web::test]
async fn a_unix_socket_serves_all_without_token() {
    shared::check_unix_sockets(&Served::new().await).await;
}

#[cfg(unix)]
#[actix_web::test]
async fn only_a_stale_socket_is_replaced() {
    shared::check_stale_sockets(&Served::new().await).await;
}

#[actix_web::test]
async fn a_shutdown_lets_requests_under_way_end() {
    check_shutdown(&Served::new().await).await;
}

#[actix_web::test]
async fn connections_are_limited_in_number_and_time() {
    check_connections().await;
}

#[actix_web::test]
async fn slow_clients_keep_nobody_out() {
    check_slow_clients(&Served::new().await).await;
}

#[actix_web::test]
async fn configured_without_a_scope_they_leave_other_paths_alone() {
    let served = Served::new().await;
    let app = App::new()
        .configure(configure(served.operations()))
        .route("/health/database", web::get().to(|| async { "up" }))
        .route("/admin", web::get().to(|| async { "the admin page" }));
    let app = init_service(app).await;
    for (path, status) in [
        ("/health/database", 200),
        ("/admin", 200),
        ("/health/ready", 200),
        ("/health", 401),
        ("/nowhere", 404),
    ] {
        let request = TestRequest::get().uri(path).to_request();
        let answer = call_service(&app, request).await;
        assert_eq!(answer.status(), status, "{path}");
    }
}
