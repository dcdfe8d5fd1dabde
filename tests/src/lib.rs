//! What the tests over several crates share: running recorded answers of a
//! real Flagr against this evaluator.

pub mod fake_flagr;
pub mod vectors;

/// The programs of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
