//! One connection of a listener: one request, in limited time.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use vexilla_core::ops::{Endpoints, ListenerKind, OpsResponse};

use super::service::{Head, answer, read};
use super::socket::Stream;

/// The most bytes of a request that are buffered. A head may be somewhat longer than that: it is
/// refused if it is not complete once they have been read.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// Hears that the listener ends.
#[derive(Debug, Clone)]
pub(super) struct Stop(pub(super) watch::Receiver<()>);

impl Stop {
    /// Waits for the end, which is when the sender is gone.
    pub(super) async fn wait(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Says whether all of a request has come in.
#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<AtomicBool>);

impl Received {
    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn complete(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that is served.
pub(super) struct Connection<E> {
    pub(super) endpoints: E,
    pub(super) kind: ListenerKind,
    pub(super) client_timeout: Duration,
    pub(super) received: Received,
}

impl<E: Endpoints> Connection<E> {
    /// Answers the request, and closes the connection.
    pub(super) async fn serve(self, stream: impl Stream, mut stop: Stop) {
        let answered = Notify::new();
        let service = service_fn(|request| async {
            let answer = self.answer(request).await;
            answered.notify_one();
            Ok::<_, Infallible>(answer)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.client_timeout)
                .max_buf_size(MAX_BUFFER_BYTES)
                .keep_alive(false)
                // Some clients close their side once they have sent the request.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
        );
        let mut overdue = pin!(async {
            answered.notified().await;
            sleep(self.client_timeout).await;
        });
        let mut stopping = false;
        loop {
            tokio::select! {
                // What has come in is read before a shutdown closes the connection.
                biased;
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

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let head = Head {
            parts: &parts,
            prefix: None,
            listener: Some(self.kind),
        };
        let body = async {
            let body = read(body, self.endpoints.max_body_bytes());
            let body = timeout(self.client_timeout, body).await;
            self.received.complete();
            body.unwrap_or_else(|_| Err(OpsResponse::too_slow()))
        };
        answer(&self.endpoints, head, body).await
    }
}
