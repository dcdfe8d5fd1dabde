//! Fuzz targets for everything that is parsed from outside.
//!
//! A target is a function of bytes that panics when one of its properties does
//! not hold. `tests/short.rs` runs each with seeds from the recorded answers of
//! a real Flagr, with the inputs in `inputs/`, and with a fixed number of
//! mutations of both: on stable Rust, the same in every run. `libfuzzer/` runs
//! the same functions with coverage guidance; see the README of this folder.

#![expect(clippy::expect_used, reason = "a target fails by panicking")]

mod generate;
mod limits;
mod seeds;
mod targets;

use std::path::Path;

pub use generate::Generator;
pub use seeds::Recorded;
pub use targets::{cel, constraint, context, copy, document, regex, request, webhook};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder in `inputs` and of its program in
    /// `libfuzzer`.
    pub name: &'static str,
    /// Panics if a property does not hold for this input.
    pub run: fn(&[u8]),
    /// Its seeds.
    pub seeds: fn(&Recorded) -> Vec<Vec<u8>>,
    /// What mutations put in, beside parts of other inputs.
    pub tokens: &'static [&'static str],
    /// How many mutated inputs the short run tries.
    pub mutations: usize,
}

/// All targets.
pub const TARGETS: [Target; 8] = [
    document::TARGET,
    constraint::TARGET,
    regex::TARGET,
    cel::TARGET,
    copy::TARGET,
    webhook::TARGET,
    request::TARGET,
    context::TARGET,
];

/// The committed inputs of a target, with their names, in the order of these.
///
/// # Panics
///
/// If they cannot be read.
#[must_use]
pub fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("inputs")
        .join(target.name);
    let entries = std::fs::read_dir(&folder).expect("the folder of the target's inputs");
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry of the folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = std::fs::read(&path).expect("an input");
            (name.into_owned(), bytes)
        })
        .collect();
    inputs.sort();
    inputs
}
