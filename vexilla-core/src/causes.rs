//! The text of an error with its causes.

use std::error::Error;
use std::fmt::{self, Write};

/// Writes a message and the causes of an error, each after a colon. One that the
/// text before it ends with is left out: errors of this crate tell their causes
/// themselves, others do not.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, message: &str, error: &dyn Error) -> fmt::Result {
    let mut text = message.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            write!(text, ": {told}")?;
        }
        cause = error.source();
    }
    f.write_str(&text)
}
