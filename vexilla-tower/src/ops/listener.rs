//! Endpoints on an address of their own.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use vexilla_core::ops::{Endpoints, Operations, OpsError, Webhook};

use super::connection::{Stop, serve};

/// The operations endpoints on an address of their own, by default
/// [`DEFAULT_OPS_ADDR`](super::DEFAULT_OPS_ADDR).
pub type OpsListener = Listener<Operations>;

/// The webhook on an address of its own, by default
/// [`DEFAULT_WEBHOOK_ADDR`](super::DEFAULT_WEBHOOK_ADDR).
pub type WebhookListener = Listener<Webhook>;

/// [`Operations`] or a [`Webhook`] on an address of their own, by HTTP/1.1.
///
/// Serves in a task of the tokio runtime in which it was bound, one request for
/// each connection, until the handle is dropped: then it takes no more
/// connections, and answers those requests that have come in. Nothing that a
/// client does ends it.
#[must_use = "it ends when it is dropped"]
pub struct Listener<E> {
    address: SocketAddr,
    /// Gone, it says that the end has come.
    running: watch::Sender<()>,
    task: JoinHandle<()>,
    endpoints: PhantomData<fn() -> E>,
}

/// Settings of a [`Listener`].
///
/// # Default
///
/// 64 connections, 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ListenerOptions {
    max_connections: usize,
    client_timeout: Duration,
}

impl ListenerOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_connections: 64,
            client_timeout: Duration::from_secs(10),
        }
    }

    /// Sets how many connections are served at a time; more have to wait until
    /// one ends. At least one. Default: 64.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Sets how long a client may take to send the head of its request, as long
    /// again for the body, and as long again to take the answer. How long it is
    /// until there is an answer is not limited: a refresh waits for the source.
    /// Default: 10 s.
    pub const fn client_timeout(mut self, timeout: Duration) -> Self {
        self.client_timeout = timeout;
        self
    }
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Endpoints> Listener<E> {
    /// Listens on this address, port 0 for any free one.
    ///
    /// # Errors
    ///
    /// [`OpsError::NotLoopback`] if others reach the address and there is no
    /// token or secret; [`OpsError::Bind`] if it cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind(address: SocketAddr, endpoints: E) -> Result<Self, OpsError> {
        Self::bind_with(address, endpoints, ListenerOptions::new()).await
    }

    /// [`bind`](Self::bind), with settings.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind_with(
        address: SocketAddr,
        endpoints: E,
        options: ListenerOptions,
    ) -> Result<Self, OpsError> {
        if !endpoints.is_guarded() && !address.ip().to_canonical().is_loopback() {
            return Err(OpsError::NotLoopback(address));
        }
        let failed = |error| OpsError::Bind(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (running, stop) = watch::channel(());
        let task = tokio::spawn(accept(listener, endpoints, options, Stop(stop)));
        tracing::info!(%address, "listening");
        Ok(Self {
            address,
            running,
            task,
            endpoints: PhantomData,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and waits at most so long until the requests
    /// that have come in are answered; those that are not are broken off.
    pub async fn shutdown(self, timeout: Duration) {
        let Self { running, task, .. } = self;
        drop(running);
        let stop = task.abort_handle();
        if tokio::time::timeout(timeout, task).await.is_err() {
            stop.abort();
        }
    }
}

impl<E> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn accept<E: Endpoints>(
    listener: TcpListener,
    endpoints: E,
    options: ListenerOptions,
    stop: Stop,
) {
    let mut connections = JoinSet::new();
    let mut stopped = stop.clone();
    loop {
        tokio::select! {
            () = stopped.wait() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < options.max_connections => {
                match accepted {
                    Ok((stream, _)) => {
                        let limit = options.client_timeout;
                        connections.spawn(serve(stream, endpoints.clone(), limit, stop.clone()));
                    }
                    // No more descriptors, or a client that is gone already.
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
