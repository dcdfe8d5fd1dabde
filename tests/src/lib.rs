//! What the tests over several crates share: running recorded answers of a
//! real Flagr against this evaluator.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

pub mod fake_flagr;
pub mod live;
pub mod model;
pub mod vectors;

/// The programs of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/flags-file.md")]
pub struct Readme;
