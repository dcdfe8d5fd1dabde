//! Every row was answered by Go 1.26 itself.

use super::super::program::{Budget, Program};
use super::GoRegexError;

mod limits;
mod matching;
mod refusals;
mod unicode;

/// Compiles whatever memory it takes.
fn compile(pattern: &str) -> Result<Program, GoRegexError> {
    super::compile(pattern, Budget::UNLIMITED)
}
