//! Hexadecimal digits and percent-encoding.

/// The byte that two hexadecimal digits spell.
pub(super) fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = *pair else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// What a percent-encoded part of a path says; `None` if it is not
/// percent-encoded UTF-8. A plus sign is one.
pub(super) fn percent(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let (pair, behind) = behind.split_at_checked(2)?;
            decoded.push(hex_pair(pair)?);
            rest = behind;
        } else {
            decoded.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_read_to_the_letter() {
        for (text, said) in [
            ("plain", Some("plain")),
            ("a%20b%2Fc%2fd", Some("a b/c/d")),
            ("%F0%9F%9A%A9", Some("🚩")),
            ("a+b", Some("a+b")),
            ("%2525", Some("%25")),
            ("100%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(percent(text).as_deref(), said, "{text}");
        }
    }
}
