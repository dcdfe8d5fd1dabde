//! Constant-time comparison of secrets.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A token or a shared secret. Holds its hash alone, so that all comparisons
/// are of the same length.
#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

/// A key that bodies are signed with.
#[derive(Clone)]
pub(super) struct SigningKey(Hmac<Sha256>);

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the secret.
    pub(super) fn is(&self, candidate: &[u8]) -> Choice {
        self.0.ct_eq(&Self::new(candidate).0)
    }
}

impl SigningKey {
    /// `None` if no key can be made of the secret; any that is not empty can.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// Whether this is the signature of the body.
    pub(super) fn signed(&self, body: &[u8], signature: &[u8; 32]) -> Choice {
        let mac = self.0.clone().chain_update(body).finalize();
        <[u8; 32]>::from(mac.into_bytes()).ct_eq(signature)
    }
}

/// Reads a signature: 64 hexadecimal digits in any case, perhaps behind
/// `sha256=`.
pub(super) fn signature(text: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let digits = match text.split_at_checked(7) {
        Some((algorithm, digits)) if algorithm.eq_ignore_ascii_case("sha256=") => digits,
        _ => text,
    };
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut signature = [0; 32];
    for (byte, pair) in signature.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = super::decode::hex_pair(pair)?;
    }
    Some(signature)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 2 of RFC 4231.
    const RFC_4231: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn signatures_are_those_of_the_rfc_however_they_are_spelled() {
        let key = SigningKey::new(b"Jefe").unwrap();
        let body = b"what do ya want for nothing?";
        for text in [
            RFC_4231.to_owned(),
            RFC_4231.to_uppercase(),
            format!("sha256={RFC_4231}"),
            format!("SHA256={}", RFC_4231.to_uppercase()),
            format!(" {RFC_4231} "),
        ] {
            let signature = signature(text.as_bytes()).unwrap();
            assert!(bool::from(key.signed(body, &signature)), "{text}");
            assert!(!bool::from(key.signed(b"another", &signature)), "{text}");
        }
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for text in [
            "",
            "sha256=",
            &RFC_4231[1..],
            &format!("{RFC_4231}0"),
            &format!("sha1={RFC_4231}"),
            &format!("sha256=sha256={RFC_4231}"),
            &RFC_4231.replace('5', "g"),
            &RFC_4231.replace("5b", "+b"),
            &"é".repeat(32),
        ] {
            assert_eq!(signature(text.as_bytes()), None, "{text}");
        }
        assert_eq!(signature(b"\xff\xfe"), None);
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let printed = format!(
            "{:?} {:?}",
            Secret::new(b"geheim"),
            SigningKey::new(b"geheim")
        );
        assert_eq!(printed, "Secret Some(SigningKey)");
    }
}
