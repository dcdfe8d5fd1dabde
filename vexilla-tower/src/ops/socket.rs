//! The sockets that a listener accepts connections on.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use vexilla_core::ops::ListenerKind;

/// How many connections the system keeps that are not accepted yet, if it allows
/// so many.
pub(super) const BACKLOG: u32 = 1024;

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A bound socket. Dropping it closes it and cleans up.
pub(super) trait Socket: Send + Sync + 'static {
    /// What a request that comes in here may do without a token.
    const KIND: ListenerKind;

    /// A connection.
    type Stream: Stream;

    /// Accepts the next connection. Cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Socket for TcpListener {
    const KIND: ListenerKind = ListenerKind::Tcp;

    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Ok(Self::accept(self).await?.0)
    }
}
