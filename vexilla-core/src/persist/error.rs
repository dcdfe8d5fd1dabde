//! Why flags could not be kept, or not be read back.

use std::error::Error;
use std::fmt;

/// Why the last-known-good copy could not be saved, or not be read back.
#[derive(Debug)]
pub struct PersistError {
    kind: PersistErrorKind,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`PersistError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PersistErrorKind {
    /// The store could not be read or written: no permission, no space, something else in its place, …
    Io,
    /// The document is larger than allowed.
    TooLarge,
    /// What is kept there was not written by Vexilla.
    Foreign,
    /// The document is of this schema, which another version of Vexilla writes.
    Schema(u16),
    /// The document is broken off, or empty.
    Truncated,
    /// The document was changed after it was written: its checksum or its length is not right.
    Corrupt,
    /// The document is compressed in a way that this build cannot read; the message names the feature that can.
    Compression,
    /// The document is whole, but what is in it is no set of flags, or a set could not be made a document.
    Document,
    /// The document holds no flags at all, so that there is nothing to start with.
    NoFlags,
    /// The flags are older than [`max_stale`](crate::VexillaBuilder::max_stale), or of unknown age.
    TooOld,
    /// Anything else, such as the failure of a store of one's own.
    Other,
}

impl PersistError {
    /// An error without a cause.
    pub(crate) fn new(kind: PersistErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// Any other error, for stores of one's own.
    pub fn other(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(PersistErrorKind::Other, "the store failed").because(cause)
    }

    /// The same error with its cause.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> PersistErrorKind {
        self.kind
    }
}

impl fmt::Display for PersistError {
    /// The message and all that caused it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for PersistError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
