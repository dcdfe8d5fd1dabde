//! An axum application with health, operations and webhook: below its own
//! routes for those who have the token, and on listeners of their own for this
//! machine. Without a token, a TCP listener serves the probes and counts; a Unix
//! socket, which only this user can connect to, serves all operations.
//!
//! `cargo run -p vexilla-examples --bin operations`, on port `PORT` or a free
//! one. `FLAGR_URL` takes the flags from a Flagr server instead of
//! `examples/flags.json`. `OPS_TOKEN` and `WEBHOOK_SECRET` are the secrets, by
//! default `example-token` and `example-secret`; `OPS_ADDR` and `WEBHOOK_ADDR`
//! are the addresses of the listeners, by default 127.0.0.1:19000 and
//! 127.0.0.1:18001. `OPS_SOCKET` is the path of the Unix socket, by default
//! `vexilla-ops.sock` in the folder for temporary files; a service has a folder
//! of its own for it, such as `/run/checkout`.
//!
//! A Flagr on this machine announces its changes if it is started with
//! `FLAGR_NOTIFICATION_WEBHOOK_ENABLED=true` and
//! `FLAGR_NOTIFICATION_WEBHOOK_URL=http://127.0.0.1:18001/webhook`.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use vexilla_axum::ops::{
    DEFAULT_OPS_ADDR, DEFAULT_WEBHOOK_ADDR, Operations, OpsListener, Webhook, WebhookListener,
    router, webhook_router,
};
use vexilla_axum::{FileSource, FlagrSource, Flags, Vexilla, VexillaLayer};

/// How long the end may take, each part of it.
const PATIENCE: Duration = Duration::from_secs(5);

async fn home(flags: Flags) -> &'static str {
    if flags.bool("new-feature") {
        "the new page\n"
    } else {
        "the old page\n"
    }
}

async fn vexilla() -> Result<Vexilla, Box<dyn Error>> {
    let builder = match std::env::var("FLAGR_URL") {
        Ok(url) => Vexilla::builder(FlagrSource::new(&url)?),
        Err(_) => {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/flags.json");
            Vexilla::builder(FileSource::new(file))
        }
    };
    Ok(builder.build().await?)
}

/// The secret of this name, else one that everybody knows.
fn secret(name: &str, example: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| example.to_owned())
}

fn address(name: &str, default: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    Ok(std::env::var(name).map_or(Ok(default), |address| address.parse())?)
}

/// Waits for ctrl-c or, on Unix, for SIGTERM, by which service managers end a process.
async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let vexilla = vexilla().await?;

    // Below the application's own routes: whoever reaches it must have a secret.
    let token = secret("OPS_TOKEN", "example-token");
    let operations = Operations::new(vexilla.clone(), &token)?;
    let webhook = Webhook::new(vexilla.clone())
        .shared_secret(
            "X-Flagr-Secret",
            &secret("WEBHOOK_SECRET", "example-secret"),
        )
        .build()?;
    let app = Router::new()
        .route("/", get(home))
        .nest("/internal", router(operations))
        .merge(webhook_router(webhook))
        .layer(VexillaLayer::new(vexilla.clone()));

    // On listeners of their own: programs on this machine need none.
    let local = Operations::local(vexilla.clone());
    let operations = OpsListener::bind(address("OPS_ADDR", DEFAULT_OPS_ADDR)?, local.clone());
    let operations = operations.await?;
    let path = std::env::var_os("OPS_SOCKET").map_or_else(
        || std::env::temp_dir().join("vexilla-ops.sock"),
        PathBuf::from,
    );
    let socket = OpsListener::bind_unix(path, local).await?;
    let webhook = Webhook::local(vexilla.clone()).build()?;
    let webhook =
        WebhookListener::bind(address("WEBHOOK_ADDR", DEFAULT_WEBHOOK_ADDR)?, webhook).await?;

    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let served = listener.local_addr()?;
    println!("serving on http://{served}, try:");
    println!("$ curl {served}/internal/health/ready");
    println!("$ curl -H 'Authorization: Bearer …' {served}/internal/admin/stats");
    println!("on this machine, without a token:");
    println!("$ curl http://{}/admin/stats", operations.local_addr());
    let path = socket.path().display();
    println!("$ curl --unix-socket {path} http://localhost/admin/flags");
    println!("$ curl -d '{{}}' http://{}/webhook", webhook.local_addr());
    println!("ctrl-c or SIGTERM ends it");
    axum::serve(listener, app)
        .with_graceful_shutdown(async { _ = stop_signal().await })
        .await?;
    operations.shutdown(PATIENCE).await;
    socket.shutdown(PATIENCE).await;
    webhook.shutdown(PATIENCE).await;
    vexilla.shutdown(PATIENCE).await;
    Ok(())
}
