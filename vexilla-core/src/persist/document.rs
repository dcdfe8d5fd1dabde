//! The form in which flags are kept: a header, and a payload that a person can
//! read.
//!
//! | Bytes | Header, numbers little-endian |
//! |---|---|
//! | 8 | magic, `vexilla` and a zero byte |
//! | 2 | schema, now 2 |
//! | 1 | compression of the payload: 0 none, 1 zstd |
//! | 8 | when the flags were had, milliseconds since 1970 |
//! | 8 | length of the payload, unpacked |
//! | 8 | length of the payload, as it follows |
//! | 4 | CRC-32 of the header before it and the payload as it follows |
//!
//! The payload is two lines of JSON: what Flagr's export form has no place for
//! (the source's name and [`Identity`], the origin, the change id, the faults
//! of flags), then the set in that form, which the decoder of exports reads
//! back. No ids are assigned.
//!
//! Schemas are not translated: a document of another one is told apart and left
//! to the version that wrote it, because the source gives the flags again.
//! Schema 1 named its source by the name only.
//!
//! What comes back equals what was kept, down to the text of attachments, with
//! two exceptions that only sets made in code can show: a `created_at` or
//! `updated_at` that is Go's zero time comes back as `None`, which is what it
//! means; and an attachment that is no object comes back as that fault of its
//! flag, which cannot be evaluated either way.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Packing, PersistError, PersistErrorKind};
use crate::flag::{FlagSet, Origin};

const MAGIC: [u8; 8] = *b"vexilla\0";
const SCHEMA: u16 = 2;

/// Flags as they were kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    /// All flags, before filtering, without ids that the source did not give.
    pub(crate) set: FlagSet,
    /// Where and when they were had.
    pub(crate) provenance: Provenance,
}

/// Where and when flags were had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// [`Source::name`](crate::source::Source::name) of the source that gave them.
    pub(crate) source: String,
    /// That of the source.
    pub(crate) identity: Identity,
    /// When they were had; kept in whole milliseconds since 1970.
    pub(crate) saved_at: SystemTime,
    /// The change id that the flags were confirmed for.
    pub(crate) id: u64,
}

/// A hash of [`Source::identity`](crate::source::Source::identity), 64-bit FNV-1a:
/// enough to tell one's own sources apart, and nothing is learned from it of a
/// path that is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(u64);

impl Identity {
    /// The hash of a source's identity.
    pub(crate) fn of(identity: &str) -> Self {
        let hash = identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }
}

/// The first line of the payload.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About<'a> {
    source: Cow<'a, str>,
    identity: Identity,
    change: u64,
    exported: bool,
    /// The place of each flag that could not be read in full, and its fault.
    faults: Vec<(usize, Cow<'a, str>)>,
}

/// Makes a document. Blocks for some milliseconds per 1,000 flags.
///
/// # Errors
///
/// `TooLarge` for more bytes than the packing allows, before or after
/// compression.
pub(crate) fn encode(
    set: &FlagSet,
    provenance: &Provenance,
    packing: Packing,
) -> Result<Vec<u8>, PersistError> {
    let payload = payload_of(set, provenance).map_err(|error| {
        let message = "the flags cannot be written as a document";
        PersistError::new(PersistErrorKind::Document, message).because(error)
    })?;
    seal(payload, provenance.saved_at, packing)
}

/// Puts the header in front of a payload.
pub(crate) fn seal(
    payload: Vec<u8>,
    saved_at: SystemTime,
    packing: Packing,
) -> Result<Vec<u8>, PersistError> {
    let plain = payload.len();
    let (method, body) = packing.pack(payload)?;

    let since = saved_at.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    let mut document = Vec::with_capacity(HEADER + body.len());
    document.extend_from_slice(&MAGIC);
    document.extend_from_slice(&SCHEMA.to_le_bytes());
    document.push(method);
    document.extend_from_slice(&u64::try_from(millis).unwrap_or(u64::MAX).to_le_bytes());
    document.extend_from_slice(&(plain as u64).to_le_bytes());
    document.extend_from_slice(&(body.len() as u64).to_le_bytes());
    document.extend_from_slice(&checksum(&document, &body).to_le_bytes());
    document.extend_from_slice(&body);
    packing.check_size(document.len())?;
    Ok(document)
}

/// Reads a document back. Blocks for some milliseconds per 1,000 flags.
///
/// # Errors
///
/// Whenever the document is not whole and exactly as it was made, has more
/// bytes than the packing allows, or needs a version or feature that this build
/// is not.
pub(crate) fn decode(document: &[u8], packing: Packing) -> Result<Saved, PersistError> {
    packing.check_size(document.len())?;
    let (header, body) = Header::read(document)?;
    let payload = packing.unpack(header.method, body, header.plain)?;
    let unreadable = |cause: Box<dyn std::error::Error + Send + Sync>| {
        let message = "the copy is complete, but its content is not a valid set of flags";
        PersistError::new(PersistErrorKind::Document, message).because(cause)
    };
    let saved_at = SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(header.saved_at))
        .ok_or_else(|| unreadable("the time of saving is out of range".into()))?;
    set_of(&payload, saved_at).map_err(unreadable)
}

fn payload_of(set: &FlagSet, provenance: &Provenance) -> serde_json::Result<Vec<u8>> {
    let faulty = set.flags.iter().enumerate();
    let about = About {
        source: Cow::Borrowed(&provenance.source),
        identity: provenance.identity,
        change: provenance.id,
        exported: match set.origin {
            Origin::Export => true,
            Origin::File => false,
        },
        faults: faulty
            .filter_map(|(index, flag)| Some((index, Cow::Borrowed(flag.fault.as_deref()?))))
            .collect(),
    };
    let mut payload = serde_json::to_vec(&about)?;
    payload.push(b'\n');
    serde_json::to_writer(&mut payload, set)?;
    Ok(payload)
}

fn set_of(
    payload: &[u8],
    saved_at: SystemTime,
) -> Result<Saved, Box<dyn std::error::Error + Send + Sync>> {
    let mut lines = payload.splitn(2, |byte| *byte == b'\n');
    let about: About<'_> = serde_json::from_slice(lines.next().unwrap_or_default())?;
    let mut set = FlagSet::from_export(lines.next().unwrap_or_default())?;
    set.origin = if about.exported {
        Origin::Export
    } else {
        Origin::File
    };
    for (index, fault) in about.faults {
        let flag = set.flags.get_mut(index);
        let flag = flag.ok_or_else(|| {
            format!("the copy records an error for flag {index}, which does not exist")
        })?;
        flag.fault = Some(fault.into());
    }
    Ok(Saved {
        set,
        provenance: Provenance {
            source: about.source.into_owned(),
            identity: about.identity,
            saved_at,
            id: about.change,
        },
    })
}

/// What a document says of itself.
struct Header {
    /// How the body is packed.
    method: u8,
    saved_at: u64,
    /// The length of the body unpacked.
    plain: u64,
}

/// How many bytes a header has.
pub(crate) const HEADER: usize = 8 + 2 + 1 + 3 * 8 + 4;

impl Header {
    /// Splits a document into header and body, both checked.
    fn read(document: &[u8]) -> Result<(Self, &[u8]), PersistError> {
        let truncated = || {
            let message = match document.len() {
                0 => "the copy is empty".to_owned(),
                length => format!("the copy is truncated at {length} bytes"),
            };
            PersistError::new(PersistErrorKind::Truncated, message)
        };
        if !document.starts_with(&MAGIC) {
            if MAGIC.starts_with(document) {
                return Err(truncated());
            }
            let message = "what is there was not written by Vexilla; name another place";
            return Err(PersistError::new(PersistErrorKind::Foreign, message));
        }
        let mut rest = document.get(MAGIC.len()..).unwrap_or_default();
        let schema = u16::from_le_bytes(*take(&mut rest).ok_or_else(truncated)?);
        if schema != SCHEMA {
            let by = if schema > SCHEMA {
                "a newer"
            } else {
                "an older"
            };
            let message = format!(
                "the copy has schema {schema}, written by {by} version of Vexilla, and this one reads schema \
                 {SCHEMA}; the next save replaces it"
            );
            return Err(PersistError::new(PersistErrorKind::Schema(schema), message));
        }
        let mut fields = || {
            let [method] = *take(&mut rest)?;
            let saved_at = u64::from_le_bytes(*take(&mut rest)?);
            let plain = u64::from_le_bytes(*take(&mut rest)?);
            let packed = u64::from_le_bytes(*take(&mut rest)?);
            let sum = u32::from_le_bytes(*take(&mut rest)?);
            let header = Self {
                method,
                saved_at,
                plain,
            };
            Some((header, packed, sum, rest))
        };
        let (header, packed, sum, body) = fields().ok_or_else(truncated)?;
        let summed = document.get(..HEADER - 4).unwrap_or_default();
        let length = body.len() as u64;
        if length < packed {
            return Err(truncated());
        }
        if length > packed || checksum(summed, body) != sum {
            let message =
                "the copy was changed after it was written: its checksum or length is not right";
            return Err(PersistError::new(PersistErrorKind::Corrupt, message));
        }
        Ok((header, body))
    }
}

/// Takes the first bytes off, where there are so many.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
