//! The beginning of a text that may be long.

use std::borrow::Cow;

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
}
