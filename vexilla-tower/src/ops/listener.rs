//! Endpoints on an address of their own.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vexilla_core::ops::{Endpoints, Operations, OpsError, Webhook};

use super::accept::{Connections, accept};
use super::connection::Stop;
use super::socket::{BACKLOG, Socket};
#[cfg(unix)]
use super::unix::BoundSocket;

/// The longest time limit of a client. A later moment may be beyond what clocks can
/// tell.
const MAX_CLIENT_TIMEOUT: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// The operations endpoints on an address of their own, by default
/// [`DEFAULT_OPS_ADDR`](super::DEFAULT_OPS_ADDR), or on a Unix socket.
pub type OpsListener<A = SocketAddr> = Listener<Operations, A>;

/// The webhook on an address of its own, by default
/// [`DEFAULT_WEBHOOK_ADDR`](super::DEFAULT_WEBHOOK_ADDR), or on a Unix socket.
pub type WebhookListener<A = SocketAddr> = Listener<Webhook, A>;

/// [`Operations`] or a [`Webhook`] on an address of their own, by HTTP/1.1.
///
/// The second parameter is the kind of address: [`SocketAddr`] for TCP, or
/// [`PathBuf`](std::path::PathBuf) for a Unix socket.
///
/// Serves in a task of the tokio runtime in which it was bound, one request for
/// each connection, until the handle is dropped: then it accepts no more
/// connections, and answers the requests that have come in on those that it has
/// accepted. Nothing that a client does ends it.
#[must_use = "it ends when it is dropped"]
pub struct Listener<E, A = SocketAddr> {
    address: A,
    /// Gone, it says that the end has come.
    running: watch::Sender<()>,
    task: JoinHandle<()>,
    endpoints: PhantomData<fn() -> E>,
}

/// Settings of a [`Listener`].
///
/// # Default
///
/// 64 connections, 10 s, a Unix socket for this user alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ListenerOptions {
    max_connections: usize,
    client_timeout: Duration,
    unix_mode: u32,
}

impl ListenerOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_connections: 64,
            client_timeout: Duration::from_secs(10),
            unix_mode: 0o600,
        }
    }

    /// Sets how many connections are served at a time. Another one waits until one
    /// of them ends, or closes the one that has been sending its request for the
    /// longest time, once that is more than 100 ms. So clients that open
    /// connections and send nothing, up to about 600 a second by default, do not
    /// keep out a probe. At least one. Default: 64.
    ///
    /// Beside these the system keeps up to 1024 connections that are not accepted
    /// yet, or fewer if it is set up so (`net.core.somaxconn` of Linux).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Sets how long a client may take to send the head of its request, as long
    /// again for the body, and as long again to take the answer. How long it is
    /// until there is an answer is not limited: a refresh waits for the source.
    /// At most a year. Default: 10 s.
    pub fn client_timeout(mut self, timeout: Duration) -> Self {
        self.client_timeout = timeout.min(MAX_CLIENT_TIMEOUT);
        self
    }

    /// Sets the permissions of a Unix socket's file, as of `chmod`: who can
    /// write can connect. `0o660` lets in the file's group, too. Default:
    /// `0o600`. TCP listeners ignore it.
    pub const fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = mode & 0o777;
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
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "listening");
        Ok(Self::spawn(address, listener, endpoints, options))
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(unix)]
impl<E: Endpoints> Listener<E, PathBuf> {
    /// Creates a Unix socket at this path and listens on it.
    ///
    /// Only the user that the process runs as (and root) can connect; see
    /// [`ListenerOptions::unix_mode`]. Put it into a folder that others cannot
    /// write into, or they can put a socket of theirs in its place. A socket
    /// that nobody listens on, left by a process that was killed, is replaced.
    /// The file is removed when the listener ends.
    ///
    /// # Errors
    ///
    /// [`OpsError::BindUnix`] if the socket cannot be created: the path is
    /// longer than the system allows (about 100 bytes), another process listens
    /// there, or it is the path of another kind of file.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let vexilla = vexilla_tower::Vexilla::fixed([]);
    /// # let folder = std::env::temp_dir();
    /// # let path = folder.join(format!("vexilla-doc-{}.sock", std::process::id()));
    /// use vexilla_tower::ops::{Operations, OpsListener};
    ///
    /// // curl --unix-socket /run/checkout/ops.sock http://localhost/admin/flags
    /// let operations = Operations::local(vexilla);
    /// let operations = OpsListener::bind_unix(&path, operations).await?;
    /// assert!(operations.path().exists());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind_unix(path: impl AsRef<Path>, endpoints: E) -> Result<Self, OpsError> {
        Self::bind_unix_with(path, endpoints, ListenerOptions::new()).await
    }

    /// [`bind_unix`](Self::bind_unix), with settings.
    ///
    /// # Errors
    ///
    /// As [`bind_unix`](Self::bind_unix).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind_unix_with(
        path: impl AsRef<Path>,
        endpoints: E,
        options: ListenerOptions,
    ) -> Result<Self, OpsError> {
        let path = path.as_ref();
        let bound = BoundSocket::bind(path, options.unix_mode).await;
        let socket = bound.map_err(|error| OpsError::BindUnix(path.to_owned(), error))?;
        let path = socket.path().to_owned();
        tracing::info!(path = %path.display(), "listening");
        Ok(Self::spawn(path, socket, endpoints, options))
    }

    /// The absolute path of the socket's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.address
    }
}

impl<E: Endpoints, A> Listener<E, A> {
    /// Serves in a task.
    fn spawn(address: A, socket: impl Socket, endpoints: E, options: ListenerOptions) -> Self {
        let (running, stop) = watch::channel(());
        let ListenerOptions {
            max_connections,
            client_timeout,
            ..
        } = options;
        let connections = Connections::new(endpoints, max_connections, client_timeout, Stop(stop));
        let task = tokio::spawn(accept(socket, connections));
        Self {
            address,
            running,
            task,
            endpoints: PhantomData,
        }
    }

    /// Accepts no more connections, and waits at most so long until the requests
    /// that have come in on those that it has accepted are answered; those that
    /// are not are broken off. A client that is still sending its request has
    /// 100 ms.
    pub async fn shutdown(self, timeout: Duration) {
        let Self { running, task, .. } = self;
        drop(running);
        let stop = task.abort_handle();
        if tokio::time::timeout(timeout, task).await.is_err() {
            stop.abort();
        }
    }
}

impl<E, A: fmt::Debug> fmt::Debug for Listener<E, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Listens as [`TcpListener::bind`] does, with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows others could take the address.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use vexilla_core::Vexilla;

    use super::*;

    #[tokio::test]
    async fn a_client_may_have_all_the_time_there_is() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ListenerOptions::new().client_timeout(Duration::MAX);
        let operations = Operations::local(Vexilla::fixed([]));
        let listener = OpsListener::bind_with(any, operations, options)
            .await
            .unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let live = b"GET /health/live HTTP/1.1\r\nhost: localhost:1\r\n\r\n";
        client.write_all(live).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }

    #[tokio::test]
    async fn a_client_that_closes_its_side_is_answered() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let operations = Operations::local(Vexilla::fixed([]));
        let listener = OpsListener::bind(any, operations).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let live = b"GET /health/live HTTP/1.1\r\nhost: localhost:1\r\n\r\n";
        client.write_all(live).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}
