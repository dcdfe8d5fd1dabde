//! Whether a document becomes the previous generation.

use std::collections::HashSet;
use std::time::Duration;

use super::document::{Identity, decode};
use super::{Packing, PersistError};

/// Losses that follow each other within this time are steps of one.
const ONE_LOSS: Duration = Duration::from_secs(24 * 60 * 60);

/// The previous generation as it is.
pub(super) struct Previous {
    pub(super) document: Vec<u8>,
    /// How long ago it was written.
    pub(super) age: Duration,
}

/// Whether the current document, which a new one without some flags is about to
/// replace, is to become the previous generation; blocks.
///
/// The rule is in the documentation of
/// [`LastKnownGoodFile`](super::LastKnownGoodFile#the-previous-generation).
pub(super) fn is_kept(
    current: &[u8],
    new: &[u8],
    previous: Option<&Previous>,
    packing: Packing,
) -> bool {
    let current = match Held::of(current, packing) {
        Ok(current) => current,
        Err(error) => return error.kind().may_be_whole(),
    };
    let new = Held::of(new, packing);
    if new.is_ok_and(|new| new.identity == current.identity && !current.exceeds(&new)) {
        return false;
    }
    let previous = previous.filter(|previous| previous.age <= ONE_LOSS);
    let previous = previous.and_then(|previous| Held::of(&previous.document, packing).ok());
    previous
        .is_none_or(|previous| previous.identity != current.identity || !previous.exceeds(&current))
}

/// What a document holds.
struct Held {
    identity: Identity,
    flags: HashSet<Name>,
}

/// Tells flags apart.
#[derive(PartialEq, Eq, Hash)]
enum Name {
    Id(u64),
    /// Of a flag without an ID.
    Key(String),
}

impl Held {
    fn of(document: &[u8], packing: Packing) -> Result<Self, PersistError> {
        let saved = decode(document, packing)?;
        let flags = saved.set.flags.into_iter().map(|flag| match flag.id {
            0 => Name::Key(flag.key),
            id => Name::Id(id),
        });
        Ok(Self {
            identity: saved.provenance.identity,
            flags: flags.collect(),
        })
    }

    /// Whether it has flags that another one lacks.
    fn exceeds(&self, other: &Self) -> bool {
        !self.flags.is_subset(&other.flags)
    }
}
