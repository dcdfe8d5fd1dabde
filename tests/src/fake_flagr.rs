//! A Flagr on loopback that misbehaves as it is told.
//!
//! It serves the flags of a [`Database`] over connections that are kept alive,
//! and each of its two routes can be [spoilt](FakeFlagr::spoil): what a healthy
//! server would answer is turned into what is sent. It can refuse connections
//! for a while, and encrypt them. Beside that, the export takes answers from a
//! script, one for each request, as long as there are some.
//!
//! Until told otherwise it does not tell the number of the newest change (as a
//! Flagr that only evaluates), and answers 500 in place of an export.

mod answer;
mod database;
mod reader;
mod status;
mod tls;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

pub use answer::Answer;
pub use database::{Database, key};
pub use reader::{Reader, Readings};
pub use status::{GUARD, until};
pub use tls::{Authority, Identity};
use wire::Wire;

/// How many requests are remembered.
const REMEMBERED: usize = 100;

/// A server on loopback; it ends when this is dropped, with its connections.
#[derive(Debug)]
pub struct FakeFlagr {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The number of the newest change.
    MaxId,
    /// All flags.
    Export,
}

/// How often things happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for the number of the newest change.
    pub max_id: u64,
    /// Requests for anything else.
    pub export: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
}

/// What is sent in place of a healthy answer.
type Mode = Arc<dyn Fn(Answer) -> Answer + Send + Sync>;

struct Shared {
    database: Mutex<Database>,
    modes: Mutex<Modes>,
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<VecDeque<String>>,
    /// The authorization that requests must have, if any.
    authorization: Mutex<Option<String>>,
    identity: Mutex<Option<Identity>>,
    connections: Mutex<HashMap<u64, Weak<TcpStream>>>,
    counts: watch::Sender<Counts>,
    listening: AtomicBool,
}

struct Modes {
    max_id: Mode,
    export: Mode,
}

impl FakeFlagr {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// No free port on loopback.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let modes = Modes {
            max_id: Arc::new(|_| Answer::status(501)),
            export: Arc::new(|_| Answer::status(500)),
        };
        let shared = Arc::new(Shared {
            database: Mutex::default(),
            modes: Mutex::new(modes),
            script: Mutex::default(),
            requests: Mutex::default(),
            authorization: Mutex::default(),
            identity: Mutex::default(),
            connections: Mutex::default(),
            counts: watch::Sender::default(),
            listening: AtomicBool::new(false),
        });
        let server = Self {
            address,
            shared,
            accepting: Mutex::default(),
        };
        server.accept(listener);
        Ok(server)
    }

    /// Starts a healthy server with so many flags.
    ///
    /// # Errors
    ///
    /// No free port on loopback.
    pub fn healthy(flags: u64) -> io::Result<Self> {
        let server = Self::start()?;
        server.edit(|database| *database = Database::of(flags));
        server.heal();
        Ok(server)
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

    /// Its address for a client that encrypts.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Changes the flags.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Database) -> T) -> T {
        edit(&mut lock(&self.shared.database))
    }

    /// From now on, a route answers with what this makes of its healthy answer.
    pub fn spoil(&self, route: Route, mode: impl Fn(Answer) -> Answer + Send + Sync + 'static) {
        let mut modes = lock(&self.shared.modes);
        match route {
            Route::MaxId => modes.max_id = Arc::new(mode),
            Route::Export => modes.export = Arc::new(mode),
        }
    }

    /// From now on, both routes are healthy.
    pub fn heal(&self) {
        self.spoil(Route::MaxId, |answer| answer);
        self.spoil(Route::Export, |answer| answer);
    }

    /// From now on, requests without this header `Authorization` are answered
    /// with 401.
    pub fn authorize(&self, authorization: &str) {
        *lock(&self.shared.authorization) = Some(authorization.to_owned());
    }

    /// From now on, new connections are encrypted with this identity, or not at
    /// all; those that are open are closed.
    pub fn identify(&self, identity: Option<Identity>) {
        *lock(&self.shared.identity) = identity;
        self.shared.close_connections();
    }

    /// Refuses connections, and closes those that are open.
    pub fn refuse(&self) {
        let accepting = lock(&self.accepting).take();
        if let Some(accepting) = accepting {
            self.shared.listening.store(false, Ordering::SeqCst);
            // Wakes the thread that accepts.
            drop(TcpStream::connect(self.address));
            let _ = accepting.join();
        }
        self.shared.close_connections();
    }

    /// Accepts connections again, at the same address.
    ///
    /// # Errors
    ///
    /// Another program took the port.
    pub fn accept_again(&self) -> io::Result<()> {
        self.accept(TcpListener::bind(self.address)?);
        Ok(())
    }

    /// Adds an answer to the script of the export. The connection ends after
    /// it.
    pub fn answer(&self, answer: Answer) {
        lock(&self.shared.script).push_back(answer.last());
    }

    /// The heads of the last requests for the export, from the request line on,
    /// as they were sent.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).iter().cloned().collect()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// What is counted, as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Counts> {
        self.shared.counts.subscribe()
    }

    fn accept(&self, listener: TcpListener) {
        self.shared.listening.store(true, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        let accepting = thread::spawn(move || shared.serve(&listener));
        *lock(&self.accepting) = Some(accepting);
    }
}

impl Drop for FakeFlagr {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("counts", &*self.counts.borrow())
            .finish_non_exhaustive()
    }
}

impl Counts {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.max_id + self.export
    }
}

impl Shared {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if !self.listening.load(Ordering::SeqCst) {
                return;
            }
            let connection = Connection::new(Arc::clone(&self), stream);
            // A client that goes away ends the connection: no matter.
            thread::spawn(move || connection.converse());
        }
    }

    fn close_connections(&self) {
        let connections = lock(&self.connections);
        for stream in connections.values().filter_map(Weak::upgrade) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(count);
    }

    /// The answer to a request.
    fn answer(&self, head: String) -> Answer {
        let route = match head.contains("/snapshots/max_id ") {
            true => Route::MaxId,
            false => Route::Export,
        };
        let authorized = self.is_authorized(&head);
        let modes = lock(&self.modes);
        let (mode, healthy) = match route {
            Route::MaxId => (&modes.max_id, lock(&self.database).max_id()),
            Route::Export => (&modes.export, lock(&self.database).export()),
        };
        let mode = Arc::clone(mode);
        drop(modes);
        let scripted = match route {
            Route::MaxId => None,
            Route::Export => {
                let mut requests = lock(&self.requests);
                requests.push_back(head);
                if requests.len() > REMEMBERED {
                    requests.pop_front();
                }
                lock(&self.script).pop_front()
            }
        };
        self.count(|counts| match route {
            Route::MaxId => counts.max_id += 1,
            Route::Export => counts.export += 1,
        });
        match scripted {
            Some(scripted) => scripted,
            None if authorized => mode(Answer::json(healthy)),
            None => Answer::status(401),
        }
    }

    fn is_authorized(&self, head: &str) -> bool {
        let wanted = lock(&self.authorization);
        wanted.as_ref().is_none_or(|wanted| {
            head.lines()
                .filter_map(|line| line.split_once(": "))
                .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == wanted)
        })
    }
}

/// A connection, counted until it is closed.
struct Connection {
    number: u64,
    stream: Option<Arc<TcpStream>>,
    shared: Arc<Shared>,
}

impl Connection {
    fn new(shared: Arc<Shared>, stream: TcpStream) -> Self {
        let stream = Arc::new(stream);
        let mut number = 0;
        shared.count(|counts| {
            counts.connections += 1;
            counts.open += 1;
            number = counts.connections;
        });
        lock(&shared.connections).insert(number, Arc::downgrade(&stream));
        Self {
            number,
            stream: Some(stream),
            shared,
        }
    }

    fn converse(&self) -> io::Result<()> {
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        let identity = lock(&self.shared.identity).clone();
        let mut wire = Wire::new(stream, identity.map(|identity| identity.0))?;
        while let Some(head) = wire.head()? {
            if !self.shared.answer(head).send(&mut wire)? {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.shared.connections).remove(&self.number);
        self.stream = None;
        self.shared.count(|counts| counts.open -= 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
