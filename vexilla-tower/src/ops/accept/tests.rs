//! Sockets that refuse to accept, connections that wait or panic.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll};

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio::time::{advance, sleep};
use tracing::field::{Field, Visit};
use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::ops::Operations;
use vexilla_core::source::Source;
use vexilla_core::{SourceError, Vexilla};

use super::*;

/// A connection, or one whose code panics.
struct Client(Option<DuplexStream>);

impl Client {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut DuplexStream> {
        Pin::new(self.get_mut().0.as_mut().expect("on purpose"))
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(task, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(task)
    }
}

/// Gives these connections, then goes on as it is told.
#[derive(Clone)]
struct Fake {
    clients: Arc<Mutex<VecDeque<io::Result<Client>>>>,
    /// Without one, nobody else connects.
    fault: Option<ErrorKind>,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn new(clients: impl IntoIterator<Item = io::Result<Client>>) -> Self {
        Self {
            clients: Arc::new(Mutex::new(clients.into_iter().collect())),
            fault: None,
            asked: Arc::default(),
        }
    }
}

impl Socket for Fake {
    const KIND: ListenerKind = ListenerKind::Unix;

    type Stream = Client;

    async fn accept(&self) -> io::Result<Client> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let next = self.clients.lock().unwrap().pop_front();
        match (next, self.fault) {
            (Some(client), _) => client,
            (None, Some(fault)) => Err(fault.into()),
            (None, None) => std::future::pending().await,
        }
    }
}

/// A connection as its client has it, after it sent a request.
async fn connect(request: &str) -> (DuplexStream, io::Result<Client>) {
    let (mut client, served) = duplex(64 << 10);
    let head = format!("{request} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    (client, Ok(Client(Some(served))))
}

async fn answer(mut client: DuplexStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Serves one connection at a time until the sender is dropped.
fn listen(
    socket: Fake,
    vexilla: Vexilla,
) -> (watch::Sender<()>, impl Future<Output = ()> + Send + 'static) {
    let (running, stop) = watch::channel(());
    let operations = Operations::local(vexilla);
    let connections = Connections::new(operations, 1, Duration::from_secs(10), Stop(stop));
    (running, accept(socket, connections))
}

#[tokio::test(start_paused = true)]
async fn a_system_that_accepts_nothing_is_logged_once_a_minute_and_asked_again() {
    log();
    let mut socket = Fake::new([]);
    socket.fault = Some(ErrorKind::OutOfMemory);
    let (running, accepting) = listen(socket.clone(), Vexilla::fixed([]));
    let task = tokio::spawn(accepting);
    sleep(Duration::from_secs(600) - ACCEPT_PAUSE / 2).await;
    assert_eq!(LOG.take().len(), 10);
    let asked = socket.asked.load(Ordering::Relaxed);
    assert!((5_900..=6_001).contains(&asked), "{asked}");
    // An end is not waited for.
    let before = Instant::now();
    drop(running);
    task.await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_gone_hold_up_nobody() {
    log();
    let gone = [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
    ];
    let gone = (0..99).map(|number| Err(gone[number % 3].into()));
    let (client, served) = connect("GET /health/live").await;
    let socket = Fake::new(gone.chain([served]));
    let before = Instant::now();
    let (_running, accepting) = listen(socket, Vexilla::fixed([]));
    tokio::spawn(accepting);
    let answer = answer(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(LOG.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_panics_is_logged_and_the_next_is_served() {
    log();
    let (client, served) = connect("GET /health/live").await;
    let socket = Fake::new([Ok(Client(None)), served]);
    let (running, accepting) = listen(socket, Vexilla::fixed([]));
    let task = tokio::spawn(accepting);
    let answer = answer(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    drop(running);
    task.await.unwrap();
    let lines = LOG.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("panicked") && lines[0].contains("on purpose"));
}

/// A source whose fetches wait, but for the first.
#[derive(Clone)]
struct HeldBack(Arc<Notify>);

impl Source for HeldBack {
    fn name(&self) -> String {
        "held back".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.0.notified().await;
        Ok(FlagSet::from([Flag::boolean("new", true)]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_a_connection_that_waits_for_its_place() {
    let source = HeldBack(Arc::new(Notify::new()));
    source.0.notify_one();
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    let (first, served_first) = connect("POST /admin/refresh").await;
    let (second, served_second) = connect("GET /health/live").await;
    let socket = Fake::new([served_first, served_second]);
    let clients = Arc::clone(&socket.clients);
    let (running, accepting) = listen(socket, vexilla);
    let task = tokio::spawn(accepting);
    while !clients.lock().unwrap().is_empty() {
        yield_now().await;
    }
    advance(SENDING_TIME * 2).await;
    drop(running);
    for _ in 0..100 {
        yield_now().await;
    }
    source.0.notify_one();
    for client in [first, second] {
        let answer = answer(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
    task.await.unwrap();
}

/// A connection as its client has it, after it sent a part of a request.
async fn half_a_head() -> (DuplexStream, io::Result<Client>) {
    let (mut client, served) = duplex(64 << 10);
    client.write_all(b"GET /hea").await.unwrap();
    (client, Ok(Client(Some(served))))
}

#[tokio::test(start_paused = true)]
async fn half_a_request_does_not_hold_up_a_shutdown() {
    let (client, served) = half_a_head().await;
    let socket = Fake::new([served]);
    let clients = Arc::clone(&socket.clients);
    let (running, accepting) = listen(socket, Vexilla::fixed([]));
    let task = tokio::spawn(accepting);
    while !clients.lock().unwrap().is_empty() {
        yield_now().await;
    }
    let before = Instant::now();
    drop(running);
    task.await.unwrap();
    assert!(before.elapsed() <= SENDING_TIME, "{:?}", before.elapsed());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_clients_that_send_nothing_make_room() {
    let (mut idle, served) = half_a_head().await;
    let mut socket = Fake::new([served]);
    socket.fault = Some(ErrorKind::OutOfMemory);
    let (running, stop) = watch::channel(());
    let operations = Operations::local(Vexilla::fixed([]));
    let connections = Connections::new(operations, 64, Duration::from_secs(1_000), Stop(stop));
    tokio::spawn(accept(socket, connections));
    let before = Instant::now();
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).await.unwrap();
    assert!(
        before.elapsed() <= SENDING_TIME * 3,
        "{:?}",
        before.elapsed()
    );
    drop(running);
}

thread_local! {
    /// What was logged on this thread, which is the test's own.
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps warnings and errors, for each thread. It is there for all tests: one for
/// a thread alone would miss events that another thread came across first.
struct Log;

fn log() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("vexilla_tower") && *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        LOG.with_borrow_mut(|log| log.push(line.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
