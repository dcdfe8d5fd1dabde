//! A Flagr in memory: a database, replicas that answer from caches of their
//! own, and whatever may go wrong on the way.
//!
//! What matters for freshness is modelled after Flagr 1.2: each change of a
//! flag, its deletion and its restoring included, takes the next number of one
//! counter; `snapshots/max_id` reads that counter from the database; the export
//! reads a cache that each replica renews from the database at its own times,
//! and lists flags in random order.
//!
//! Time is tokio's: the paused one in a runtime whose time is paused, the real
//! one elsewhere. Nothing runs in the background; what a replica's cache holds
//! is worked out when it is asked.
//!
//! [`Model::answer`] says what a healthy replica answers and knows nothing of
//! transports. [`Model::serve`] adds the choice of a replica, the faults and
//! the log of requests. A [`Model`] is also a [`Source`](vexilla_core::source::Source),
//! which goes through the wire form of both answers.

mod database;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use crate::live::random::Random;
pub use database::{Backup, Database};

/// How often a replica renews its cache unless set otherwise.
pub const CACHE_INTERVAL: Duration = Duration::from_secs(3);

/// A Flagr; clones are the same one.
#[derive(Debug, Clone)]
pub struct Model {
    shared: Arc<Mutex<Shared>>,
}

/// A server of a [`Model`], with a cache of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// How often it renews its cache. Zero is always.
    pub interval: Duration,
    /// How long after the model's start it does so first; before that, its cache
    /// holds what the database held at the start.
    pub phase: Duration,
}

/// Which replica gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Always this one.
    Pinned(usize),
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `GET /api/v1/flags/snapshots/max_id`
    MaxId,
    /// `GET /api/v1/export/eval_cache/json`
    Export,
}

/// A request that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub route: Route,
    /// Who was asked.
    pub replica: usize,
    /// Requests before this one.
    pub number: usize,
    /// When it came.
    pub at: Instant,
}

/// An answer, as HTTP has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The answer is this one.
    Answer(Answer),
    /// The answer is right, but comes so much later.
    Delay(Duration),
    /// No answer ever comes.
    Hang,
    /// The connection breaks.
    Break,
    /// The client's own code panics; a server cannot do that, and breaks the
    /// connection.
    Panic,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This answer, after so long.
    Answer(Duration, Answer),
    /// No answer ever comes.
    Hang,
    /// The connection breaks.
    Break,
    /// As [`Fault::Panic`].
    Panic,
}

type Faults = Arc<Mutex<dyn FnMut(&Request) -> Option<Fault> + Send>>;

struct Shared {
    start: Instant,
    random: Random,
    database: Database,
    /// Each state of the database since the start, with when it began.
    history: Vec<(Instant, Database)>,
    replicas: Vec<Replica>,
    policy: Policy,
    evaluation_only: bool,
    faults: Option<Faults>,
    requests: Vec<Request>,
}

impl Replica {
    /// Renews its cache every three seconds, first after `phase`.
    #[must_use]
    pub fn phase(phase: Duration) -> Self {
        Self {
            interval: CACHE_INTERVAL,
            phase,
        }
    }

    /// Renews its cache so often, first at once.
    #[must_use]
    pub fn interval(interval: Duration) -> Self {
        Self {
            interval,
            phase: Duration::ZERO,
        }
    }

    /// When it last renewed its cache, at a time so long after the start.
    fn renewed(self, now: Duration) -> Option<Duration> {
        let since = now.checked_sub(self.phase)?.as_nanos();
        let interval = self.interval.as_nanos().max(1);
        let renewed = u64::try_from(since / interval * interval).unwrap_or(u64::MAX);
        Some(self.phase + Duration::from_nanos(renewed))
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
        }
    }

    /// Status 200 with this body, as JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::status(200).header("Content-Type", "application/json")
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks to be left alone for so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("Retry-After", &seconds.to_string())
    }
}

impl Fault {
    /// An answer of this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer::status(status))
    }
}

impl Model {
    /// A Flagr with an empty database and one replica; all that is random in it
    /// follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_replicas(seed, vec![Replica::phase(Duration::ZERO)])
    }

    /// The same with these replicas, of which each request gets any.
    #[must_use]
    pub fn with_replicas(seed: u64, replicas: Vec<Replica>) -> Self {
        let start = now();
        let database = Database::default();
        let shared = Shared {
            start,
            random: Random::new(seed),
            history: vec![(start, database.clone())],
            database,
            replicas,
            policy: Policy::Random,
            evaluation_only: false,
            faults: None,
            requests: Vec::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Changes the database, at once.
    pub fn change<T>(&self, change: impl FnOnce(&mut Database) -> T) -> T {
        let mut shared = self.shared();
        let changed = change(&mut shared.database);
        let state = (now(), shared.database.clone());
        shared.history.push(state);
        changed
    }

    /// The database as it is.
    #[must_use]
    pub fn database(&self) -> Database {
        self.shared().database.clone()
    }

    /// Sets which replica gets a request. Any, until then.
    pub fn choose(&self, policy: Policy) {
        self.shared().policy = policy;
    }

    /// Sets whether the server knows no database: every route but the export
    /// answers 501.
    pub fn evaluation_only(&self, set: bool) {
        self.shared().evaluation_only = set;
    }

    /// Sets what goes wrong with each request from now on.
    pub fn fault(&self, faults: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.shared().faults = Some(Arc::new(Mutex::new(faults)));
    }

    /// From now on nothing goes wrong.
    pub fn heal(&self) {
        self.shared().faults = None;
    }

    /// The requests that came, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared().requests.clone()
    }

    /// How many requests came for this.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        let shared = self.shared();
        shared
            .requests
            .iter()
            .filter(|one| one.route == route)
            .count()
    }

    /// When every replica's cache has been renewed after now. Whatever the
    /// database holds now is in all exports then.
    #[must_use]
    pub fn carried(&self) -> Instant {
        let shared = self.shared();
        let since = now().saturating_duration_since(shared.start);
        let next = |replica: &Replica| match replica.renewed(since) {
            Some(renewed) if renewed == since => since,
            Some(renewed) => renewed + replica.interval.max(Duration::from_nanos(1)),
            None => replica.phase,
        };
        let last = shared.replicas.iter().map(next).max();
        shared.start + last.unwrap_or_default()
    }

    /// What a replica answers now, if nothing goes wrong.
    #[must_use]
    pub fn answer(&self, route: Route, replica: usize) -> Answer {
        self.shared().answer(route, replica)
    }

    /// Takes a request: notes it, and says what becomes of it.
    #[must_use]
    pub fn serve(&self, route: Route) -> Reply {
        let mut shared = self.shared();
        let request = shared.note(route);
        let faults = shared.faults.clone();
        // A fault may look at the model.
        drop(shared);
        let fault = faults.and_then(|faults| {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            (*faults)(&request)
        });
        let answer = |after| Reply::Answer(after, self.answer(route, request.replica));
        match fault {
            None => answer(Duration::ZERO),
            Some(Fault::Delay(delay)) => answer(delay),
            Some(Fault::Answer(answer)) => Reply::Answer(Duration::ZERO, answer),
            Some(Fault::Hang) => Reply::Hang,
            Some(Fault::Break) => Reply::Break,
            Some(Fault::Panic) => Reply::Panic,
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn note(&mut self, route: Route) -> Request {
        let number = self.requests.len();
        let replica = match self.policy {
            Policy::Pinned(replica) => replica,
            Policy::RoundRobin => number % self.replicas.len(),
            Policy::Random => self.random.index(self.replicas.len()),
        };
        let request = Request {
            route,
            replica,
            number,
            at: now(),
        };
        self.requests.push(request);
        request
    }

    fn answer(&mut self, route: Route, replica: usize) -> Answer {
        match route {
            Route::MaxId if self.evaluation_only => Answer {
                status: 501,
                ..Answer::json("\"not implemented in the evaluation-only mode\"")
            },
            Route::MaxId => Answer::json(self.database.max_id_document()),
            Route::Export => {
                let cached = self.cached(replica);
                Answer::json(cached.export_document(&mut self.random))
            }
        }
    }

    /// What a replica's cache holds: the database as it was when the cache was
    /// last renewed while the database answered.
    fn cached(&self, replica: usize) -> Database {
        let replica = self.replicas[replica];
        let mut at = now().saturating_duration_since(self.start);
        while let Some(renewed) = replica.renewed(at) {
            let state = self.at(self.start + renewed);
            if !state.is_failing() {
                return state.clone();
            }
            match renewed.checked_sub(Duration::from_nanos(1)) {
                Some(before) => at = before,
                None => break,
            }
        }
        self.history[0].1.clone()
    }

    /// The database as it was then.
    fn at(&self, then: Instant) -> &Database {
        let after = self.history.partition_point(|(since, _)| *since <= then);
        &self.history[after.saturating_sub(1)].1
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("database", &self.database)
            .field("replicas", &self.replicas)
            .field("requests", &self.requests.len())
            .finish_non_exhaustive()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
