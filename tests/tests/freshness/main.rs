//! Which answers of a Flagr are taken, and when: caches that lag behind the
//! database, replicas that differ, deletions, databases that are put back.
//!
//! Paused time throughout. Tests that draw at random print their seed, and take
//! another one from `VEXILLA_SEED`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and prints what it measured"
)]

mod answers;
mod asking;
mod histories;
#[path = "../log/mod.rs"]
mod log;
mod losses;
mod times;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vexilla_core::flag::Flag;
use vexilla_core::{Vexilla, VexillaBuilder};
use vexilla_tests::model::Model;

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for caches and for whatever is waited for.
const SETTLED: Duration = Duration::from_secs(60);

/// Three flags, made before anybody asks.
fn three() -> Model {
    with_flags(Model::new(7), 3)
}

fn with_flags(model: Model, flags: u64) -> Model {
    model.change(|database| {
        for number in 1..=flags {
            database.create(Flag::boolean(format!("flag-{number}"), false));
        }
    });
    model
}

fn builder(model: &Model) -> VexillaBuilder {
    Vexilla::builder(model.clone()).poll_interval(SECOND)
}

/// Started when all caches hold what the database does.
async fn start(model: &Model) -> Vexilla {
    sleep(Duration::from_secs(3)).await;
    let vexilla = builder(model).build().await.unwrap();
    sleep(SETTLED).await;
    assert!(current(&vexilla, model));
    vexilla
}

/// Whether what is served is what the database holds.
fn current(vexilla: &Vexilla, model: &Model) -> bool {
    vexilla.snapshot().same_flags(&model.database().snapshot())
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SETTLED, wait).await.unwrap();
}

fn number(vexilla: &Vexilla, key: &str) -> Option<u64> {
    Some(vexilla.snapshot().flag(key)?.snapshot_id)
}

fn toggle(flag: &mut Flag) {
    flag.enabled = !flag.enabled;
}

fn seed() -> u64 {
    let seed = std::env::var("VEXILLA_SEED").ok();
    let seed = seed.map_or(20_261, |seed| seed.parse().unwrap());
    println!("VEXILLA_SEED={seed}");
    seed
}

/// Waits until what is served is what the database holds.
async fn arrival(vexilla: &Vexilla, model: &Model) {
    let mut changes = vexilla.changes();
    let expected = model.database().snapshot();
    let arrived = async {
        while !vexilla.snapshot().same_flags(&expected) {
            changes.next().await.unwrap();
        }
    };
    tokio::time::timeout(SETTLED * 10, arrived).await.unwrap();
}

/// How long that takes from when every replica's export has it.
async fn propagation(vexilla: &Vexilla, model: &Model) -> Duration {
    let exported = model.carried();
    arrival(vexilla, model).await;
    let now = Instant::now().into_std();
    now.saturating_duration_since(exported)
}
