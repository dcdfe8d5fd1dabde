//! A regular expression that a constraint carries.

mod memory;

use std::sync::Arc;

pub(crate) use memory::{Memory, Needs, Patterns};

use super::program::Program;

/// A regular expression in Go's dialect.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: Box<[u8]>,
    /// `None` if Go refuses it, which makes every comparison with it a mismatch.
    pub(crate) program: Option<Arc<Program>>,
}
