//! A Flagr on loopback that misbehaves as it is told.
//!
//! Each request gets the next answer of a script and a connection of its own.
//! Nothing here knows Flagr's API: whatever is asked for, the script answers.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A server on loopback; it ends when this is dropped.
#[derive(Debug)]
pub struct FakeFlagr {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

/// An answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    fault: Option<Fault>,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// So many bytes of the body, then the end.
    CutAfter(usize),
    /// So many bytes of the body, then nothing until the client gives up.
    StallAfter(usize),
    /// The request is read, and nothing is said until the client gives up.
    Silence,
    /// The connection is reset once a request comes.
    Reset,
}

impl FakeFlagr {
    /// Starts a server that answers 500 until it is told otherwise.
    ///
    /// # Errors
    ///
    /// No free port on loopback.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || served.serve(&listener));
        Ok(Self { address, shared })
    }

    /// Where it listens, `127.0.0.1:` and the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for a client.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an answer to the script.
    pub fn answer(&self, answer: Answer) {
        lock(&self.shared.script).push_back(answer);
    }

    /// The heads of the requests that came, from the request line on, as they
    /// were sent.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for FakeFlagr {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Answer {
    /// This status, with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            fault: None,
        }
    }

    /// Status 200 with this body, as JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200)
            .header("Content-Type", "application/json")
            .body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Compresses the body.
    ///
    /// # Errors
    ///
    /// None for a body in memory.
    pub fn gzip(mut self) -> io::Result<Self> {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(&self.body)?;
        self.body = encoder.finish()?;
        Ok(self.header("Content-Encoding", "gzip"))
    }

    /// Ends the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.fault(Fault::CutAfter(bytes))
    }

    /// Sends so many bytes of the body, and then nothing until the client gives
    /// up.
    #[must_use]
    pub fn stall_after(self, bytes: usize) -> Self {
        self.fault(Fault::StallAfter(bytes))
    }

    /// No answer: nothing is sent until the client gives up.
    #[must_use]
    pub fn silence() -> Self {
        Self::status(200).fault(Fault::Silence)
    }

    /// No answer: the connection is reset.
    #[must_use]
    pub fn reset() -> Self {
        Self::status(200).fault(Fault::Reset)
    }

    fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    fn send(&self, mut stream: &TcpStream) -> io::Result<()> {
        if matches!(self.fault, Some(Fault::Silence)) {
            return until_closed(stream);
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        if self.status != 204 && self.status != 304 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        match self.fault {
            Some(Fault::CutAfter(most)) => stream.write_all(start(&self.body, most)),
            Some(Fault::StallAfter(most)) => {
                stream.write_all(start(&self.body, most))?;
                until_closed(stream)
            }
            _ => stream.write_all(&self.body),
        }
    }
}

impl Shared {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(&self);
            // A client that goes away ends the connection: no matter.
            thread::spawn(move || shared.connection(&stream));
        }
    }

    fn connection(&self, stream: &TcpStream) -> io::Result<()> {
        // A connection without a request takes no answer.
        if stream.peek(&mut [0])? == 0 {
            return Ok(());
        }
        let answer = lock(&self.script).pop_front();
        let answer = answer.unwrap_or_else(|| Answer::status(500));
        if matches!(answer.fault, Some(Fault::Reset)) {
            // Closed with something unread, a connection is reset.
            return Ok(());
        }
        let head = head(stream)?;
        lock(&self.requests).push(head);
        answer.send(stream)?;
        stream.shutdown(Shutdown::Write)?;
        until_closed(stream)
    }
}

/// The head of a request.
fn head(stream: &TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(stream.take(64 << 10));
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    Ok(head)
}

/// Waits until the other end closes the connection.
fn until_closed(mut stream: &TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// The first bytes, at most so many.
fn start(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
