//! What the project's fuzz targets need and the public interface does not have.
//! No part of it: anything here may change in any release.

use std::time::{Duration, SystemTime};

use crate::flag::FlagSet;
use crate::persist::{HEADER, Identity, Packing, PersistError, Provenance, decode, encode, seal};

/// A decoded last-known-good copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    set: FlagSet,
    provenance: Provenance,
}

impl Copy {
    /// Decodes a copy.
    ///
    /// # Errors
    ///
    /// As at a start from the copy.
    pub fn decode(document: &[u8]) -> Result<Self, PersistError> {
        let saved = decode(document, Packing::new())?;
        Ok(Self {
            set: saved.set,
            provenance: saved.provenance,
        })
    }

    /// Encodes it again.
    ///
    /// # Errors
    ///
    /// If it is too large.
    pub fn encode(&self) -> Result<Vec<u8>, PersistError> {
        encode(&self.set, &self.provenance, Packing::new())
    }

    /// The flags.
    #[must_use]
    pub fn flags(&self) -> &FlagSet {
        &self.set
    }
}

/// The payload of a copy of these flags, without header.
///
/// # Errors
///
/// If it is too large.
pub fn copy_payload(set: FlagSet) -> Result<Vec<u8>, PersistError> {
    let provenance = Provenance {
        source: "Flagr at flagr.example".to_owned(),
        identity: Identity::of("Flagr at flagr.example"),
        saved_at: saved_at(),
        id: 7,
    };
    let document = Copy { set, provenance }.encode()?;
    Ok(document.get(HEADER..).unwrap_or_default().to_vec())
}

/// A copy of this payload, whatever it is, with a right header and checksum.
///
/// # Errors
///
/// If it is too large.
pub fn seal_copy(payload: &[u8]) -> Result<Vec<u8>, PersistError> {
    seal(payload.to_vec(), saved_at(), Packing::new())
}

fn saved_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}
