//! How many requests a second a minimal axum service answers with flags, against
//! without: `cargo bench -p vexilla-axum --bench requests`, which takes a
//! minute.
//!
//! **Purpose.** What the layer, the extractor and five flags read come to where
//! a request costs what it costs: sockets, HTTP, routing.
//!
//! **Ours.** The layer and the extractor, the handlers, the load, and what stands
//! in `benches/` of the workspace: the flags and the headers.
//!
//! **Not ours.** axum and hyper, as `axum::serve` sets them up, tokio, and
//! `AddExtension` of tower-http: what it costs is what axum takes for having any
//! layer around a route, since it boxes the service and its future once more; what
//! extracting its value adds is what any extractor costs.
//!
//! **Measuring.** Each service stands behind a port of its own; the one without a
//! layer stands there twice, and what differs between these two is noise. All run
//! on one thread; another sends requests over 16 kept-alive connections, written
//! beforehand, and reads no more of the answers than how long they are, so that it
//! is the services that are waited for. They take turns of 3,200 requests (some
//! 30 ms), in an order that rotates from round to round, 200 rounds in all. A
//! ratio is that of two turns of one round, and the median of the rounds is what
//! counts: by the clock, and by the CPU time of the thread that serves, which
//! other programs on the machine disturb less.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Extension, Router};
use cpu_time::ThreadTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tower_http::add_extension::AddExtensionLayer;
use vexilla_axum::{Flags, Vexilla, VexillaLayer, flag, request};

#[path = "../../benches/flags.rs"]
mod flags;

const CONNECTIONS: usize = 16;
/// What each connection asks in one turn.
const REQUESTS: u32 = 200;
const ROUNDS: usize = 200;

const ANSWER: &str = "the answer";

/// A name, and what makes the router.
type Service = (&'static str, fn() -> Router);

/// The services; how the others compare with the first is printed.
const SERVICES: [Service; 8] = [
    ("no layer", plain),
    ("no layer, again", plain),
    ("AddExtension", || {
        plain().layer(AddExtensionLayer::new(Arc::new(7_u64)))
    }),
    ("AddExtension, extracted", || {
        let handler = async |Extension(value): Extension<Arc<u64>>| {
            black_box(value);
            ANSWER
        };
        let layer = AddExtensionLayer::new(Arc::new(7_u64));
        Router::new().route("/", get(handler)).layer(layer)
    }),
    ("layer, no flag read", || plain().layer(layer())),
    ("layer, flags extracted", || reading(layer(), [])),
    ("layer, five flags read, default rules", || {
        reading(layer(), FIVE)
    }),
    ("layer, five flags read, four headers", || {
        let vexilla = flags::vexilla("country", "BR");
        reading(
            VexillaLayer::new(vexilla).context(flags::four_headers()),
            FIVE,
        )
    }),
];

const FIVE: [&str; 5] = ["flag-7", "flag-51", "flag-90", "flag-133", "flag-180"];

fn plain() -> Router {
    Router::new().route("/", get(async || ANSWER))
}

fn layer() -> VexillaLayer {
    VexillaLayer::new(flags::vexilla("method", "GET"))
}

/// A service whose handler reads these flags.
fn reading<const N: usize>(layer: VexillaLayer, keys: [&'static str; N]) -> Router {
    let handler = async move |flags: Flags| {
        for key in keys {
            black_box(flags.bool(black_box(key)));
        }
        ANSWER
    };
    Router::new().route("/", get(handler)).layer(layer)
}

/// What one turn took.
#[derive(Clone, Copy, Default)]
struct Turn {
    clock: Duration,
    serving: Duration,
}

fn main() -> io::Result<()> {
    let (started, services) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut serving = JoinSet::new();
            for (_, router) in SERVICES {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                let _ = started.send((Handle::current(), address));
                serving.spawn(axum::serve(listener, router()).into_future());
            }
            drop(started);
            serving
                .join_all()
                .await
                .into_iter()
                .collect::<io::Result<()>>()
        })
    });
    let (handles, addresses): (Vec<_>, Vec<_>) = services.iter().unzip();
    let Some(server) = handles.first() else {
        return Err(io::Error::other("no service started"));
    };
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measuring { ROUNDS } else { 1 };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let rounds = runtime.block_on(measure(server, &addresses, rounds))?;
    report(&rounds);
    Ok(())
}

/// The turns of all services, round by round.
async fn measure(
    server: &Handle,
    addresses: &[SocketAddr],
    rounds: usize,
) -> io::Result<Vec<[Turn; SERVICES.len()]>> {
    let mut loads = Vec::new();
    for address in addresses {
        loads.push(Load::connect(*address).await?);
    }
    let mut turns = Vec::new();
    for round in 0..rounds {
        let mut of_round = [Turn::default(); SERVICES.len()];
        for position in 0..loads.len() {
            let service = (round + position) % loads.len();
            if let (Some(load), Some(turn)) = (loads.get_mut(service), of_round.get_mut(service)) {
                *turn = load.turn(server).await?;
            }
        }
        turns.push(of_round);
    }
    Ok(turns)
}

/// The connections to one service.
struct Load {
    connections: Vec<TcpStream>,
    /// How long each answer is, in bytes.
    answer: usize,
}

impl Load {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            connections.push(connection);
        }
        let mut answer = 0;
        for connection in &mut connections {
            connection.write_all(request_text().as_bytes()).await?;
            let mut text = Vec::new();
            while !text.ends_with(ANSWER.as_bytes()) {
                if connection.read_buf(&mut text).await? == 0 {
                    return Err(io::Error::other("a service hung up"));
                }
            }
            answer = text.len();
        }
        Ok(Self {
            connections,
            answer,
        })
    }

    /// Sends the requests of one turn over all connections at once.
    async fn turn(&mut self, server: &Handle) -> io::Result<Turn> {
        let serving = cpu_time_of(server).await?;
        let clock = Instant::now();
        let mut asking = JoinSet::new();
        for connection in self.connections.drain(..) {
            asking.spawn(ask(connection, self.answer));
        }
        for connection in asking.join_all().await {
            self.connections.push(connection?);
        }
        Ok(Turn {
            clock: clock.elapsed(),
            serving: cpu_time_of(server).await?.saturating_sub(serving),
        })
    }
}

/// Sends the requests of one turn over one connection.
async fn ask(mut connection: TcpStream, answer: usize) -> io::Result<TcpStream> {
    let request = request_text();
    let mut text = vec![0; answer];
    for _ in 0..REQUESTS {
        connection.write_all(request.as_bytes()).await?;
        connection.read_exact(&mut text).await?;
    }
    Ok(connection)
}

fn request_text() -> String {
    let headers = flags::HEADERS.map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("GET / HTTP/1.1\r\n{}\r\n", headers.concat())
}

/// The CPU time that the thread of the services has taken so far.
async fn cpu_time_of(server: &Handle) -> io::Result<Duration> {
    let time = server.spawn(async { ThreadTime::now().as_duration() });
    time.await.map_err(io::Error::other)
}

fn report(rounds: &[[Turn; SERVICES.len()]]) {
    let [per_turn, count] = [CONNECTIONS * REQUESTS as usize, rounds.len()];
    println!(
        "{count} rounds of {per_turn} requests to each service over {CONNECTIONS} connections"
    );
    println!(
        "{:<40}{:>14}{:>10}{:>16}{:>10}",
        "", "requests a s", "ratio", "a CPU second", "ratio"
    );
    let clock: fn(&Turn) -> Duration = |turn| turn.clock;
    for (service, (name, _)) in SERVICES.iter().enumerate() {
        print!("{name:<40}");
        for (time, width) in [(clock, 14), (|turn: &Turn| turn.serving, 16)] {
            let of = |round: &[Turn], service| {
                round
                    .get(service)
                    .map(time)
                    .unwrap_or_default()
                    .as_secs_f64()
            };
            let rate = median(
                rounds
                    .iter()
                    .map(|round| per_turn as f64 / of(round, service)),
            );
            let ratio = median(rounds.iter().map(|round| of(round, 0) / of(round, service)));
            print!("{rate:>width$.0}{:>8.1} %", ratio * 100.0);
        }
        println!();
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
