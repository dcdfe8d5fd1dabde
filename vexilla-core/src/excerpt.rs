//! The beginning of a text that may be long.

use std::borrow::Cow;
use std::fmt;

/// How many bytes of a key or a name an error, a log line or `Debug` shows.
pub(crate) const NAME: usize = 64;

/// The beginning of a text: at most so many bytes, cut between two characters;
/// `…` stands for the rest.
pub(crate) fn excerpt(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    format!("{}…", beginning(text, most)).into()
}

/// The beginning of a name, see [`NAME`].
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    excerpt(text, NAME)
}

/// The beginning of a name, see [`NAME`], kept without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShortName {
    bytes: [u8; NAME],
    len: u8,
    is_cut: bool,
}

impl ShortName {
    pub(crate) fn new(text: &str) -> Self {
        let shown = beginning(text, NAME);
        let mut bytes = [0; NAME];
        for (byte, from) in bytes.iter_mut().zip(shown.bytes()) {
            *byte = from;
        }
        Self {
            bytes,
            // It has at most NAME bytes.
            len: u8::try_from(shown.len()).unwrap_or_default(),
            is_cut: shown.len() < text.len(),
        }
    }

    fn shown(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len));
        let text = bytes.and_then(|bytes| str::from_utf8(bytes).ok());
        text.unwrap_or_default()
    }
}

impl fmt::Debug for ShortName {
    /// As [`name`] gives it, in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_cut {
            true => fmt::Debug::fmt(&format_args!("{}…", self.shown()).to_string(), f),
            false => fmt::Debug::fmt(self.shown(), f),
        }
    }
}

/// As much of a text as has at most so many bytes.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let end = most.min(text.len());
    let end = (0..=end).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("abcd", 3), "abc…");
        assert_eq!(excerpt("aéé", 2), "a…");
        assert_eq!(excerpt("é", 1), "…");
        assert_eq!(excerpt("", 0), "");
        assert_eq!(beginning("aé", 9), "aé");
    }

    #[test]
    fn a_short_name_shows_what_an_excerpt_does() {
        let cases = [0, 1, NAME - 1, NAME, NAME + 1].map(|length| "k".repeat(length));
        let accented = format!("{}é", "k".repeat(NAME - 1));
        for text in cases.iter().chain([&accented, &"\"\n".to_owned()]) {
            assert_eq!(
                format!("{:?}", ShortName::new(text)),
                format!("{:?}", name(text))
            );
        }
    }
}
