//! How documents are packed: compressed or not, and how large they may be.

use std::borrow::Cow;

use super::{PersistError, PersistErrorKind};
use crate::source::DEFAULT_MAX_BYTES;

/// The number of no compression.
pub(super) const PLAIN: u8 = 0;
/// The number of zstd.
pub(super) const ZSTD: u8 = 1;
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 3;

/// How documents of flags are made for a store.
///
/// # Default
///
/// Not compressed, at most [`DEFAULT_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Packing {
    max_bytes: usize,
    #[cfg(feature = "zstd")]
    zstd: bool,
}

impl Packing {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_bytes: DEFAULT_MAX_BYTES,
            #[cfg(feature = "zstd")]
            zstd: false,
        }
    }

    /// Sets the most bytes that a document may have, packed and unpacked. A
    /// larger one is neither saved nor read. Default: [`DEFAULT_MAX_BYTES`].
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Has documents compressed by zstd at level 3. Whether or not they are,
    /// both kinds are read. Default: not.
    #[cfg(feature = "zstd")]
    pub const fn zstd(mut self) -> Self {
        self.zstd = true;
        self
    }

    /// The most bytes that a document may have.
    pub(super) const fn most(self) -> usize {
        self.max_bytes
    }

    /// Refuses what is too large.
    pub(super) fn check_size(self, bytes: usize) -> Result<(), PersistError> {
        let most = self.max_bytes;
        if bytes <= most {
            return Ok(());
        }
        let message =
            format!("the copy has more than {most} bytes; raise max_bytes if that is meant");
        Err(PersistError::new(PersistErrorKind::TooLarge, message))
    }

    /// Packs a payload; gives the number of the method, too.
    pub(super) fn pack(self, payload: Vec<u8>) -> Result<(u8, Vec<u8>), PersistError> {
        self.check_size(payload.len())?;
        #[cfg(feature = "zstd")]
        if self.zstd {
            let packed = zstd::bulk::compress(&payload, ZSTD_LEVEL).map_err(|error| {
                let message = "the flags cannot be compressed";
                PersistError::new(PersistErrorKind::Compression, message).because(error)
            })?;
            return Ok((ZSTD, packed));
        }
        Ok((PLAIN, payload))
    }

    /// Unpacks what the method of this number packed, and what has `plain`
    /// bytes then. Never makes more.
    pub(super) fn unpack(
        self,
        method: u8,
        packed: &[u8],
        plain: u64,
    ) -> Result<Cow<'_, [u8]>, PersistError> {
        let plain = usize::try_from(plain).unwrap_or(usize::MAX);
        self.check_size(plain)?;
        let payload = match method {
            PLAIN => Cow::Borrowed(packed),
            ZSTD => Cow::Owned(unpack_zstd(packed, plain)?),
            other => {
                let message = format!(
                    "the copy is compressed by method {other}, which this version of Vexilla does not know"
                );
                return Err(PersistError::new(PersistErrorKind::Compression, message));
            }
        };
        if payload.len() != plain {
            let message = format!(
                "the copy has {} bytes, but its header says {plain}",
                payload.len()
            );
            return Err(PersistError::new(PersistErrorKind::Corrupt, message));
        }
        Ok(payload)
    }
}

impl Default for Packing {
    fn default() -> Self {
        Self::new()
    }
}

/// Unpacks at most so many bytes.
#[cfg(feature = "zstd")]
fn unpack_zstd(packed: &[u8], plain: usize) -> Result<Vec<u8>, PersistError> {
    zstd::bulk::decompress(packed, plain).map_err(|error| {
        let message = "the copy cannot be unpacked";
        PersistError::new(PersistErrorKind::Corrupt, message).because(error)
    })
}

#[cfg(not(feature = "zstd"))]
fn unpack_zstd(_: &[u8], _: usize) -> Result<Vec<u8>, PersistError> {
    let message =
        "the copy is compressed by zstd, which only a program with the feature `zstd` reads";
    Err(PersistError::new(PersistErrorKind::Compression, message))
}
