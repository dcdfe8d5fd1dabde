//! A regular expression that a constraint carries.

use regex::Regex;

use super::go_regex;

/// A regular expression in Go's dialect; `None` if Go refuses it, which makes
/// every comparison with it a mismatch.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: Box<[u8]>,
    pub(crate) regex: Option<Regex>,
}

impl Pattern {
    /// # Errors
    ///
    /// A pattern that Go would run, but that is beyond our limits.
    pub(super) fn new(text: Box<[u8]>) -> Result<Self, String> {
        let regex = match std::str::from_utf8(&text).map(go_regex::compile) {
            Ok(Ok(regex)) => Some(regex),
            Ok(Err(error)) if error.is_beyond_limits() => return Err(error.to_string()),
            _ => None,
        };
        Ok(Self { text, regex })
    }
}
