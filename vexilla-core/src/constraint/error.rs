//! Why the constraints of a segment cannot be compiled.

use std::fmt;

/// Why the constraints of a segment cannot be compiled.
///
/// Most errors are permanent: compiling the same constraints fails the same way
/// each time, so that a later snapshot need not try again. An error made of a
/// `String` is permanent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionError {
    message: String,
    temporary: bool,
}

impl ConditionError {
    /// An error that may be gone at the next attempt, with the same constraints.
    #[cfg(feature = "cel")]
    pub(super) fn temporary(message: String) -> Self {
        Self {
            message,
            temporary: true,
        }
    }

    /// Whether compiling the same constraints later may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// The same error with another message.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        Self {
            message: change(self.message),
            ..self
        }
    }
}

impl From<String> for ConditionError {
    fn from(message: String) -> Self {
        Self {
            message,
            temporary: false,
        }
    }
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
