//! One connection of a listener: one request, in limited time.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use vexilla_core::ops::{Endpoints, ListenerKind, OpsResponse};

use super::service::{Head, answer, read};

/// The most bytes that the head of a request may have.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Hears that the listener ends.
#[derive(Debug, Clone)]
pub(super) struct Stop(pub(super) watch::Receiver<()>);

impl Stop {
    /// Waits for the end, which is when the sender is gone.
    pub(super) async fn wait(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Answers the request of a connection, and closes it.
pub(super) async fn serve<E: Endpoints>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    kind: ListenerKind,
    endpoints: E,
    client_timeout: Duration,
    mut stop: Stop,
) {
    let answered = Notify::new();
    let service = service_fn(|request| {
        let endpoints = &endpoints;
        let answered = &answered;
        async move {
            let answer = handle(endpoints, kind, request, client_timeout).await;
            answered.notify_one();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(client_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut overdue = pin!(async {
        answered.notified().await;
        sleep(client_timeout).await;
    });
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            () = &mut overdue => {
                tracing::debug!("a client did not take its answer");
                return;
            }
            () = stop.wait(), if !stopping => {
                stopping = true;
                // Without a request under way, that closes it.
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn handle<E: Endpoints>(
    endpoints: &E,
    kind: ListenerKind,
    request: Request<Incoming>,
    client_timeout: Duration,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let head = Head {
        parts: &parts,
        prefix: None,
        listener: Some(kind),
    };
    let body = async {
        let body = read(body, endpoints.max_body_bytes());
        match timeout(client_timeout, body).await {
            Ok(body) => body,
            Err(_) => Err(OpsResponse::too_slow()),
        }
    };
    answer(endpoints, head, body).await
}
