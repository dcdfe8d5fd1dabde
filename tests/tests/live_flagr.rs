//! Random flags against a running Flagr; does nothing without one.
//!
//! ```text
//! FLAGR_URL=http://127.0.0.1:18000 cargo test --release -p vexilla-tests --test live_flagr -- --nocapture
//! ```
//!
//! `VEXILLA_SEED` repeats a run (the seed of each run is printed),
//! `VEXILLA_ROUNDS` sets its length; a round compares about 8,000 evaluations.
//! The flags that are created are deleted again. Use a Flagr of its own: while
//! the test runs, no other flags should change.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use std::hash::{BuildHasher, RandomState};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test]
async fn a_running_flagr_answers_the_same() {
    let Ok(url) = std::env::var("FLAGR_URL") else {
        println!("FLAGR_URL is not set: nothing compared");
        return;
    };
    let seed = number("VEXILLA_SEED").unwrap_or_else(|| RandomState::new().hash_one(()) >> 16);
    let rounds = number("VEXILLA_ROUNDS").unwrap_or(20);
    println!("VEXILLA_SEED={seed} VEXILLA_ROUNDS={rounds}");
    let report =
        vexilla_tests::live::run(&url, seed, rounds, |difference| println!("{difference}\n"))
            .await
            .expect("a reachable Flagr");
    println!("{report}");
    assert!(rounds == 0 || report.evaluations() > 0, "nothing compared");
    assert_eq!(report.differences(), 0, "answers that differ from Flagr's");
}
