//! A system that gives no thread to compile an expression on, for tests.

use std::sync::{Mutex, PoisonError};

static REFUSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// While it lives, no thread compiles this expression.
#[derive(Debug)]
pub(crate) struct NoThreadFor(String);

impl NoThreadFor {
    pub(crate) fn new(source: &str) -> Self {
        let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(source.to_owned());
        Self(source.to_owned())
    }
}

impl Drop for NoThreadFor {
    fn drop(&mut self) {
        let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|source| *source != self.0);
    }
}

/// The stack to compile an expression with, in bytes: more than any machine has
/// if it is to get no thread.
pub(super) fn stack_for(source: &str) -> usize {
    let refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if refused.iter().any(|refused| refused == source) {
        usize::MAX / 4
    } else {
        super::STACK
    }
}
