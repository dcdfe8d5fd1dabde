//! A proxy in front of Flagr that injects faults.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use vexilla_tests::fake_flagr::{Answer, Counts, FakeFlagr, Route};
use vexilla_tests::live::random::Random;

use crate::flagr::Flagr;
use crate::http;

const BOTH: [Route; 2] = [Route::MaxId, Route::Export];

/// A proxy on loopback. Of its servers, each request for the same route goes to
/// the next one.
pub(crate) struct Proxy {
    front: FakeFlagr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Proxy {
    pub(crate) fn to(flagr: &Flagr) -> Self {
        let proxy = Self {
            front: FakeFlagr::start().unwrap(),
            servers: Arc::default(),
        };
        proxy.send_to(&[flagr]);
        proxy.heal();
        proxy
    }

    /// From now on requests go to these servers, one after the other.
    pub(crate) fn send_to(&self, servers: &[&Flagr]) {
        *self.servers.lock().unwrap() = servers.iter().map(|one| one.address()).collect();
    }

    pub(crate) fn url(&self) -> String {
        self.front.url()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// What was asked so far.
    pub(crate) fn counts(&self) -> Counts {
        self.front.counts()
    }

    /// From now on answers pass as they are.
    pub(crate) fn heal(&self) {
        self.spoil(&BOTH, |answer| answer);
    }

    /// From now on the answers of both routes are turned into others.
    pub(crate) fn spoil_both(
        &self,
        fault: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) {
        self.spoil(&BOTH, fault);
    }

    /// From now on the answers of the export are turned into others.
    pub(crate) fn spoil_export(
        &self,
        fault: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) {
        self.spoil(&[Route::Export], fault);
    }

    /// From now on both routes answer this, and Flagr is not asked.
    pub(crate) fn answer(&self, answer: &Answer) {
        for route in BOTH {
            let answer = answer.clone();
            self.front.spoil(route, move |_| answer.clone());
        }
    }

    /// From now on the latest snapshot ID is answered with this status.
    pub(crate) fn block_latest_id(&self, status: u16) {
        self.spoil(&[Route::MaxId], move |_| Answer::status(status));
    }

    /// From now on the flags of an export, in the order of their IDs, are
    /// changed.
    pub(crate) fn edit_export(
        &self,
        edit: impl Fn(&mut Vec<Value>) + Clone + Send + Sync + 'static,
    ) {
        self.spoil(&[Route::Export], move |answer| {
            answer.map_body(|body| edited(&body, &edit))
        });
    }

    /// From now on the export stays as it is now.
    pub(crate) fn freeze_export(&self) {
        let server = self.servers.lock().unwrap()[0];
        let frozen = get(server, Route::Export);
        self.spoil(&[Route::Export], move |_| frozen.clone());
    }

    /// From now on the export takes so much longer.
    pub(crate) fn delay_export(&self, delay: Duration) {
        self.spoil(&[Route::Export], move |answer| {
            thread::sleep(delay);
            answer
        });
    }

    /// From now on every second request is answered with 502, at random.
    pub(crate) fn fail_half(&self, seed: u64) {
        let random = Arc::new(Mutex::new(Random::new(seed)));
        self.spoil_both(move |answer| match random.lock().unwrap().index(2) {
            0 => Answer::status(502),
            _ => answer,
        });
    }

    /// Closes the listener and all connections.
    pub(crate) fn refuse(&self) {
        self.front.refuse();
    }

    pub(crate) fn accept_again(&self) {
        // A connection of another program may have the port for a moment.
        while self.front.accept_again().is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn spoil(
        &self,
        routes: &[Route],
        fault: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) {
        for route in routes.iter().copied() {
            let servers = Arc::clone(&self.servers);
            let (fault, next) = (fault.clone(), AtomicUsize::new(0));
            self.front.spoil(route, move |_| {
                let servers = servers.lock().unwrap().clone();
                let turn = next.fetch_add(1, Ordering::Relaxed);
                fault(get(servers[turn % servers.len()], route))
            });
        }
    }
}

/// What a server answers; if it does not, the connection is reset.
fn get(server: SocketAddr, route: Route) -> Answer {
    let path = match route {
        Route::MaxId => "/flags/snapshots/max_id",
        Route::Export => "/export/eval_cache/json",
    };
    match http::send(server, "GET", path, "") {
        Ok((200, body)) => Answer::json(body),
        Ok((status, body)) => Answer::status(status).body(body),
        Err(_) => Answer::reset(),
    }
}

fn edited(export: &[u8], edit: &impl Fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut export: Value = serde_json::from_slice(export).unwrap();
    let Some(flags) = export["Flags"].as_array_mut() else {
        panic!("no export: {export}");
    };
    flags.sort_by_key(|flag| flag["ID"].as_u64());
    edit(flags);
    json!({ "Flags": flags }).to_string().into_bytes()
}
