//! How well flags are said to be, what is served meanwhile, and how a source
//! that fails is asked: retries, the circuit breaker, the last-known-good copy,
//! and those who listen.
//!
//! Paused time throughout.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod asking;
mod copies;
mod ladder;
#[path = "../log/mod.rs"]
mod log;
mod starts;

use std::time::Duration;

use tokio::time::{sleep, timeout};
use vexilla_core::flag::Flag;
use vexilla_core::status::StatusWatch;
use vexilla_core::{Context, Level, Vexilla, VexillaBuilder};
use vexilla_tests::model::{Model, Replica};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A Flagr without a lagging cache, with one flag that is on.
fn model() -> Model {
    let model = Model::with_replicas(1, vec![Replica::interval(Duration::ZERO)]);
    model.change(|database| database.create(Flag::boolean("new", true)));
    model
}

fn builder(model: &Model) -> VexillaBuilder {
    Vexilla::builder(model.clone())
}

async fn start(model: &Model) -> Vexilla {
    builder(model).build().await.unwrap()
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(MINUTE * 10, wait).await.unwrap();
}

/// Waits until the level is this.
async fn until_level(statuses: &mut StatusWatch, level: Level) {
    let wait = async { while statuses.next().await.unwrap().level != level {} };
    timeout(MINUTE * 10, wait).await.unwrap();
}

fn is_on(vexilla: &Vexilla) -> bool {
    vexilla.flags(Context::new("u")).bool("new")
}
