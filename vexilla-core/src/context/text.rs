//! Texts that are compared over and over: names of attributes and the strings
//! that constraints ask for.
//!
//! Most are short. A [`Head`] holds a text of up to seven bytes whole, as one
//! number, so that comparing two of them is one instruction and touches no text.

/// A text, prepared to be compared many times.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    bytes: &'a [u8],
    head: Head,
}

/// The first seven bytes of a text, zeros behind a shorter one, and its length
/// up to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(u64);

impl<'a> Text<'a> {
    /// Prepares a text.
    #[must_use]
    #[inline]
    pub fn new(text: &'a str) -> Self {
        Self::with_head(text.as_bytes(), Head::of(text.as_bytes()))
    }

    /// A text whose head is known already.
    #[inline]
    pub(crate) fn with_head(bytes: &'a [u8], head: Head) -> Self {
        Self { bytes, head }
    }

    /// The text, in UTF-8 unless a constraint spells something else.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it is the text with this head; `bytes` gives those of that text.
    #[inline]
    pub(crate) fn is<'t>(&self, head: Head, bytes: impl FnOnce() -> &'t [u8]) -> bool {
        self.head == head && (head.is_whole() || self.bytes == bytes())
    }
}

impl Head {
    const BYTES: usize = 7;
    const MASK: u64 = (1 << (8 * Self::BYTES)) - 1;

    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let length = bytes.len();
        let at = |byte: u8, index: usize| u64::from(byte) << (8 * index);
        // Loads of fixed size that overlap, in place of a loop over the bytes.
        let head = match (bytes, bytes.first_chunk(), bytes.last_chunk()) {
            ([first, .., last], None, _) => {
                at(*first, 0) | at(bytes[length / 2], length / 2) | at(*last, length - 1)
            }
            ([only], ..) => at(*only, 0),
            (_, Some(first), Some(last)) if length <= Self::BYTES => {
                let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
                u64::from(first) | u64::from(last) << (8 * (length - 4))
            }
            _ => bytes
                .first_chunk()
                .map_or(0, |first| u64::from_le_bytes(*first) & Self::MASK),
        };
        let length = u8::try_from(length).unwrap_or(u8::MAX);
        Self(head | at(length, Self::BYTES))
    }

    /// Whether the head is all of its text.
    #[inline]
    fn is_whole(self) -> bool {
        let [.., length] = self.0.to_le_bytes();
        usize::from(length) <= Self::BYTES
    }
}

/// Whether two texts are equal, for texts without heads: a few instructions
/// where a call of the system's comparison would cost more than the work.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>()
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        4..=7 => {
            one.first_chunk::<4>() == other.first_chunk::<4>()
                && one.last_chunk::<4>() == other.last_chunk::<4>()
        }
        2..=3 => {
            one.first_chunk::<2>() == other.first_chunk::<2>()
                && one.last_chunk::<2>() == other.last_chunk::<2>()
        }
        1 => one.first() == other.first(),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every length around the bounds, equal and nearly equal.
    fn texts() -> Vec<Vec<u8>> {
        let lengths = (0..20).chain(253..258);
        let mut texts: Vec<Vec<u8>> = lengths.map(|length| vec![b'a'; length]).collect();
        for text in texts.clone() {
            for index in 0..text.len() {
                let mut other = text.clone();
                other[index] = if index % 2 == 0 { b'b' } else { 0 };
                texts.push(other);
            }
        }
        texts
    }

    #[test]
    fn comparing_is_that_of_the_bytes() {
        let texts = texts();
        for one in &texts {
            let text = Text::with_head(one, Head::of(one));
            for other in &texts {
                assert_eq!(text.is(Head::of(other), || other), one == other);
                assert_eq!(same(one, other), one == other);
            }
        }
    }
}
