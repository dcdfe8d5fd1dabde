//! Finds rules whose closures read the flags that the rules make the context for.
//!
//! Flags are made of a context, and the context by the rules. A closure of the
//! rules that reads flags would therefore call itself again, without end.

use std::cell::Cell;

thread_local! {
    /// This thread makes a context for flags.
    static MAKING: Cell<bool> = const { Cell::new(false) };
}

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
