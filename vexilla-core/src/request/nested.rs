//! Rules whose closures read the flags that the rules make the context for.
//!
//! Flags are made of a context, and the context of the rules. A closure of the
//! rules that reads flags would therefore run itself again, without end.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

thread_local! {
    /// This thread makes a context for flags.
    static MAKING: Cell<bool> = const { Cell::new(false) };
}

/// A closure of [`ContextRules`](super::ContextRules) reads flags of a request
/// that has none yet, since their context is made of these rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadInRules;

impl fmt::Display for ReadInRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a closure of the context rules reads flags, whose context the rules are still making; read flags in middleware or in the handler",
        )
    }
}

impl Error for ReadInRules {}

/// While it lives, this thread makes a context for flags.
pub(super) struct Making(());

impl Making {
    /// `None` if the thread makes one already.
    pub(super) fn begin() -> Option<Self> {
        (!MAKING.replace(true)).then(|| Self(()))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKING.set(false);
    }
}
