//! What an input may cost at most: the bounds that properties check.
//!
//! They are of lengths and of bytes that are allocated at a time, counted, so
//! that they hold on every machine.

/// The most bytes of any error.
pub(crate) const ERROR: usize = 4 << 10;

/// The most bytes of a flag's problem.
pub(crate) const PROBLEM: usize = 1 << 10;

/// The most bytes that reading a document of flags may take at a time.
pub(crate) const fn document(input: usize) -> u64 {
    (64 << 10) + 512 * input as u64
}

/// The most bytes that compiling one pattern may take at a time.
pub(crate) const PATTERN: u64 = 16 << 20;

/// The most bytes that one evaluation may take at a time.
pub(crate) const EVALUATION: u64 = 4 << 20;

/// The most bytes that explaining one constraint may take at a time.
pub(crate) const fn explanation(input: usize) -> u64 {
    EVALUATION + 1024 * input as u64
}

/// How often an attribute is set again.
pub(crate) const REWRITES: usize = 32;

/// The most bytes at a time for setting attributes again and again, of the
/// bytes for doing it once.
pub(crate) const fn rewritten(once: u64) -> u64 {
    (4 << 10) + 4 * once
}

/// The most bytes of an explanation that is sent.
pub(crate) const fn answer(input: usize) -> usize {
    ERROR + 8 * input
}
