//! The text of an IP address, without allocating.

use std::fmt::{self, Write};
use std::net::IpAddr;

/// As many bytes as the longest address has:
/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const LONGEST: usize = 45;

/// The text of an IP address.
pub(super) struct AddressText {
    bytes: [u8; LONGEST],
    length: usize,
}

impl AddressText {
    pub(super) fn new(address: IpAddr) -> Self {
        let mut text = Self {
            bytes: [0; LONGEST],
            length: 0,
        };
        match address {
            IpAddr::V4(address) => text.push_octets(address.octets()),
            IpAddr::V6(address) => {
                // It cannot fail: no address is longer.
                let _ = write!(text, "{address}");
            }
        }
        text
    }

    /// An address of this kind by hand, since it is in every other request, and
    /// the formatter takes some 60 ns.
    fn push_octets(&mut self, octets: [u8; 4]) {
        for (index, octet) in octets.into_iter().enumerate() {
            if index > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(room) = self.bytes.get_mut(self.length) {
            *room = byte;
            self.length += 1;
        }
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_address_is_that_which_it_displays() {
        for address in [
            "192.0.2.7",
            "0.9.10.99",
            "100.101.109.200",
            "255.255.255.255",
            "::1",
            "::ffff:255.255.255.255",
            "2001:db8::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(AddressText::new(parsed).as_str(), address);
        }
    }
}
