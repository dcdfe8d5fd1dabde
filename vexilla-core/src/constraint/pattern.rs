//! A regular expression that a constraint carries.

use std::collections::HashMap;

use regex::Regex;

use super::go_regex;

/// A regular expression in Go's dialect; `None` if Go refuses it, which makes
/// every comparison with it a mismatch.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: Box<[u8]>,
    pub(crate) regex: Option<Regex>,
}

/// The patterns of a set of flags, each compiled once: many constraints have the
/// same, and compiling one costs more than compiling the rest of its flag.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<Box<[u8]>, Pattern>);

impl Patterns {
    /// The pattern of this text. A clone shares its program, not the memory that
    /// matching works in.
    ///
    /// # Errors
    ///
    /// As [`Pattern::new`].
    pub(super) fn get(&mut self, text: Box<[u8]>) -> Result<Pattern, String> {
        if let Some(known) = self.0.get(&text) {
            return Ok(known.clone());
        }
        let pattern = Pattern::new(text)?;
        self.0.insert(pattern.text.clone(), pattern.clone());
        Ok(pattern)
    }
}

impl Pattern {
    /// # Errors
    ///
    /// A pattern that Go would run, but that is beyond our limits.
    fn new(text: Box<[u8]>) -> Result<Self, String> {
        let regex = match std::str::from_utf8(&text).map(go_regex::compile) {
            Ok(Ok(regex)) => Some(regex),
            Ok(Err(error)) if error.is_beyond_limits() => return Err(error.to_string()),
            _ => None,
        };
        Ok(Self { text, regex })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compiled_once_whatever_became_of_it() {
        let mut patterns = Patterns::default();
        let mut matches = |text: &str, subject: &str| {
            let pattern = patterns.get(text.as_bytes().into())?;
            Ok::<_, String>(pattern.regex.map(|regex| regex.is_match(subject)))
        };
        for _ in 0..2 {
            assert_eq!(matches("^a", "ab"), Ok(Some(true)));
            assert_eq!(matches("^b", "ab"), Ok(Some(false)));
            assert_eq!(matches("a**", "a"), Ok(None), "Go refuses it");
            assert!(matches(r"[\pL\pN]{1000}[\pL\pN]{1000}", "a").is_err());
        }
        assert_eq!(patterns.0.len(), 3);
    }
}
