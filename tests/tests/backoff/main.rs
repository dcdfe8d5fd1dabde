//! How a source that fails is retried, against what the project promises: how
//! soon flags are right again after an outage, how fresh they are while half of
//! all requests fail, and what an outage costs the source.
//!
//! Paused time throughout. The model's faults follow from a seed, which
//! `VEXILLA_SEED` replaces; delays are drawn by the library itself, so that
//! figures vary a little from run to run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and prints what it measured"
)]

mod costs;
mod half_failing;
mod recovery;

use std::time::Duration;

use vexilla_core::flag::Flag;
use vexilla_core::{Vexilla, VexillaBuilder};
use vexilla_tests::model::{Answer, Fault, Model, Random, Replica};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A Flagr whose export lags behind by nothing, with three flags.
fn model(seed: u64) -> Model {
    let model = Model::with_replicas(seed, vec![Replica::interval(Duration::ZERO)]);
    model.change(|database| {
        for number in 1..=3 {
            database.create(Flag::boolean(format!("flag-{number}"), false));
        }
    });
    model
}

fn builder(model: &Model, poll: Duration) -> VexillaBuilder {
    Vexilla::builder(model.clone()).poll_interval(poll)
}

fn edit(model: &Model) {
    model.change(|database| database.edit(1, |flag| flag.enabled = !flag.enabled));
}

/// Whether what is served is what the database holds.
fn current(vexilla: &Vexilla, model: &Model) -> bool {
    vexilla.snapshot().same_flags(&model.database().snapshot())
}

/// The outages that a retry may end.
fn outages() -> [(&'static str, Fault); 4] {
    [
        ("connections break", Fault::Break),
        ("status 502", Fault::status(502)),
        ("no answer", Fault::Hang),
        ("a page", Fault::Answer(Answer::json("<html></html>"))),
    ]
}

fn seeded() -> Random {
    let seed = std::env::var("VEXILLA_SEED").ok();
    let seed = seed.map_or(20_261, |seed| seed.parse().unwrap());
    println!("VEXILLA_SEED={seed}");
    Random::new(seed)
}
