//! Why a request has no flags.

use std::error::Error;
use std::fmt;

/// Why a request has no flags; its message names the fix. As a response it is a
/// 500 with that message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagsFromError {
    /// The route is not wrapped in a `VexillaLayer`.
    MissingLayer,
    /// A closure of [`ContextRules`](super::ContextRules) reads flags, while the
    /// rules make the context that flags are read for.
    ReadInRules,
}

impl FlagsFromError {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::MissingLayer => {
                "no feature flags in this request: the route is not wrapped in a VexillaLayer; add VexillaLayer::new(vexilla) with .layer(…) (axum, tower) or .wrap(…) (actix-web)"
            }
            Self::ReadInRules => {
                "a closure of the context rules reads flags, whose context the rules are still making; read flags in middleware or in the handler"
            }
        }
    }
}

impl fmt::Display for FlagsFromError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for FlagsFromError {}
