//! The endpoints as functions. That the adapters hand in the right things, they
//! show themselves over sockets.

mod endpoints;
mod listener;
mod webhook;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{Endpoints, ListenerKind, OpsRequest, OpsResponse};
use crate::flag::{Constraint, Flag, FlagSet, Segment, Variant};
use crate::source::{Source, SourceError, SourceErrorKind};
use crate::vexilla::Vexilla;

/// A request in memory.
struct Asked {
    request: http::Request<Vec<u8>>,
    listener: Option<ListenerKind>,
}

impl Asked {
    fn new(method: &'static str, path: &str) -> Self {
        let request = http::Request::builder().method(method).uri(path);
        Self {
            request: request.body(Vec::new()).unwrap(),
            listener: None,
        }
    }

    fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = http::HeaderName::try_from(name).unwrap();
        let value = http::HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.request.headers_mut().append(name, value);
        self
    }

    fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        *self.request.body_mut() = body.as_ref().to_vec();
        self
    }

    fn at(mut self, listener: ListenerKind) -> Self {
        self.listener = Some(listener);
        self
    }

    fn request(&self) -> OpsRequest<'_> {
        let request = OpsRequest::new(&self.request).body(self.request.body());
        match self.listener {
            Some(kind) => request.on_listener(kind),
            None => request,
        }
    }

    /// The answer on its way.
    fn request_to(&self, endpoints: &impl Endpoints) -> super::OpsFuture {
        endpoints.handle(self.request())
    }

    async fn of(&self, endpoints: &impl Endpoints) -> OpsResponse {
        endpoints.handle(self.request()).await
    }

    async fn status(&self, endpoints: &impl Endpoints) -> u16 {
        self.of(endpoints).await.status()
    }
}

fn json(response: &OpsResponse) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn header(response: &OpsResponse, name: &str) -> Option<&'static str> {
    let found = response.headers().find(|(known, _)| *known == name);
    found.map(|(_, value)| value)
}

/// A flag for Brazil, one with an odd key, and one with a problem.
fn flags() -> FlagSet {
    let on = |segment: Segment| {
        Flag::new("checkout")
            .enabled(true)
            .tag("team-a")
            .variant(Variant::new("on"))
            .segment(segment.rollout(100).distribution("on", 100))
    };
    FlagSet::from(vec![
        on(Segment::new().constraint(Constraint::new("country", "EQ", "\"BR\""))),
        Flag::boolean("a b/🚩", true),
        Flag {
            key: "broken".to_owned(),
            ..on(Segment::new().constraint(Constraint::new("country", "LIKE", "\"BR\"")))
        },
    ])
}

/// A source that does as it is told, and counts.
#[derive(Clone, Default)]
struct Told {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    fails: AtomicBool,
    /// The flags are those of a server's export.
    exports: AtomicBool,
    fetches: AtomicU64,
    flags: Mutex<FlagSet>,
}

impl Told {
    /// A source whose flags are those of a server's export.
    fn exporting() -> Self {
        let source = Self::default();
        source.shared.exports.store(true, Ordering::SeqCst);
        source
    }

    fn flags(&self, flags: impl Into<FlagSet>) {
        *self.shared.flags.lock().unwrap() = flags.into();
    }

    fn fails(&self, fails: bool) {
        self.shared.fails.store(fails, Ordering::SeqCst);
    }

    fn fetches(&self) -> u64 {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    async fn vexilla(&self) -> Vexilla {
        // Nothing is fetched but for those who ask.
        Vexilla::builder(self.clone())
            .poll_interval(Duration::from_secs(36_000))
            .full_refresh_interval(Duration::from_secs(360_000))
            .embedded([])
            .build()
            .await
            .unwrap()
    }
}

impl Source for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        self.shared.fetches.fetch_add(1, Ordering::SeqCst);
        if self.shared.fails.load(Ordering::SeqCst) {
            let message = "the source is out of order";
            return Err(SourceError::new(SourceErrorKind::Status(404), message));
        }
        let flags = self.shared.flags.lock().unwrap().clone();
        if self.shared.exports.load(Ordering::SeqCst) {
            return Ok(FlagSet::from_export(&serde_json::to_vec(&flags).unwrap())?);
        }
        Ok(flags)
    }
}
