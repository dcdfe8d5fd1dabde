//! Accepts connections and serves them, so many at a time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use vexilla_core::ops::{Endpoints, ListenerKind};

use super::connection::{Connection, Received, Stop};
use super::socket::{Socket, Stream};

/// How long a client may take to send its request while others wait for its place.
const SENDING_TIME: Duration = Duration::from_millis(100);

/// How long nothing is accepted after the system refused to.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long it is not logged again that the system refused to.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// Connections that are served, and those of them whose requests have not come in.
pub(super) struct Connections<E> {
    endpoints: E,
    /// How many are served at a time.
    most: usize,
    /// How long a client may take for each part of a request.
    client_timeout: Duration,
    stop: Stop,
    tasks: JoinSet<()>,
    /// Oldest first; some may have ended, or sent all of their request.
    sending: VecDeque<Sending>,
}

/// A connection that was still sending its request when it was looked at last.
struct Sending {
    received: Received,
    task: AbortHandle,
    since: Instant,
}

impl<E: Endpoints> Connections<E> {
    /// None yet.
    pub(super) fn new(endpoints: E, most: usize, client_timeout: Duration, stop: Stop) -> Self {
        Self {
            endpoints,
            most,
            client_timeout,
            stop,
            tasks: JoinSet::new(),
            sending: VecDeque::new(),
        }
    }

    fn are_full(&self) -> bool {
        self.tasks.len() >= self.most
    }

    /// Serves the connection that waits for its place, if there is one.
    fn serve_waiting(&mut self, waiting: &mut Option<impl Stream>, kind: ListenerKind) {
        if !self.are_full()
            && let Some(stream) = waiting.take()
        {
            self.serve(stream, kind);
        }
    }

    fn serve(&mut self, stream: impl Stream, kind: ListenerKind) {
        let received = Received::default();
        let connection = Connection {
            endpoints: self.endpoints.clone(),
            kind,
            client_timeout: self.client_timeout,
            received: received.clone(),
        };
        let task = self
            .tasks
            .spawn(connection.serve(stream, self.stop.clone()));
        self.sending.retain(Sending::is_current);
        self.sending.push_back(Sending {
            received,
            task,
            since: Instant::now(),
        });
    }

    /// Waits until a connection has ended; to make room, ends one whose request
    /// does not come in.
    async fn ended(&mut self, make_room: bool) {
        let oldest = self.sending.front().filter(|_| make_room);
        let at = oldest.map(|oldest| oldest.since + SENDING_TIME);
        tokio::select! {
            Some(ended) = self.tasks.join_next() => report(ended),
            () = sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => {
                let oldest = self.sending.pop_front();
                if let Some(oldest) = oldest.filter(Sending::is_current) {
                    tracing::debug!("a connection without a complete request was closed for another one");
                    oldest.task.abort();
                }
            }
            else => std::future::pending().await,
        }
    }
}

impl Sending {
    fn is_current(&self) -> bool {
        !self.received.is_complete() && !self.task.is_finished()
    }
}

/// Logs the panic of a connection, if it ended by one.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}

/// Accepts connections until the listener ends, then waits for those that are
/// accepted.
pub(super) async fn accept<S: Socket>(socket: S, mut connections: Connections<impl Endpoints>) {
    let mut stop = connections.stop.clone();
    // A connection that there is no room for yet.
    let mut waiting = None;
    // When connections are accepted again.
    let mut paused: Option<Instant> = None;
    let mut logged: Option<Instant> = None;
    loop {
        connections.serve_waiting(&mut waiting, S::KIND);
        tokio::select! {
            () = stop.wait() => break,
            // Without descriptors, clients that send nothing must make room, too.
            () = connections.ended(waiting.is_some() || paused.is_some()) => {}
            () = sleep_until(paused.unwrap_or_else(Instant::now)), if paused.is_some() => paused = None,
            accepted = socket.accept(), if waiting.is_none() && paused.is_none() => match accepted {
                Ok(stream) => waiting = Some(stream),
                Err(error) if is_of_client(&error) => {
                    tracing::debug!(%error, "a client was gone before its connection was accepted");
                }
                // No more descriptors or memory, say.
                Err(error) => {
                    paused = Some(Instant::now() + ACCEPT_PAUSE);
                    if logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN) {
                        logged = Some(Instant::now());
                        tracing::warn!(%error, "connections cannot be accepted; trying again");
                    }
                }
            },
        }
    }
    drop(socket);
    loop {
        connections.serve_waiting(&mut waiting, S::KIND);
        if connections.tasks.is_empty() {
            break;
        }
        // Half a request is none that has come in.
        connections.ended(true).await;
    }
}

/// Whether a connection was not accepted because its client is gone already.
fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
