//! Why flags could not be kept, or not be read back.

use std::error::Error;
use std::fmt;

use crate::causes;

/// Why the last-known-good copy could not be saved, or not be read back.
///
/// Its text says what failed and why: it has the causes in it, each once, so
/// that it stands alone in a log or a status. [`source`](Error::source) gives
/// the same causes to programs that look for one; what prints them again, such
/// as `{:#}` of `anyhow`, says them twice.
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
    /// The store could not be read or written: no permission, no space,
    /// something else in its place, …
    Io,
    /// The document is larger than allowed, or has more flags than
    /// [`Limits::flags`](crate::Limits::flags).
    TooLarge,
    /// What is kept there was not written by Vexilla.
    Foreign,
    /// The document is of this schema, which another version of Vexilla writes.
    Schema(u16),
    /// The document is truncated, or empty.
    Truncated,
    /// The document was changed after it was written: its checksum or its
    /// length is not right.
    Corrupt,
    /// The document is compressed in a way that this build cannot read; the
    /// message names the feature that can.
    Compression,
    /// The document is complete, but its content is not a valid set of flags,
    /// or a set could not be made a document.
    Document,
    /// The document holds no flags at all, so that there is nothing to start
    /// with.
    NoFlags,
    /// The flags are older than
    /// [`max_stale`](crate::VexillaBuilder::max_stale), or of unknown age.
    TooOld,
    /// Anything else, such as the failure of a store of one's own.
    Other,
}

impl PersistErrorKind {
    /// Whether the copy that cannot be used may be a good one nevertheless, of
    /// another program, build or configuration.
    pub(crate) fn may_be_whole(self) -> bool {
        match self {
            Self::Io
            | Self::TooLarge
            | Self::Foreign
            | Self::Compression
            | Self::TooOld
            | Self::Other => true,
            Self::Schema(_) | Self::Truncated | Self::Corrupt | Self::Document | Self::NoFlags => {
                false
            }
        }
    }
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
    /// The message, and after it what caused it, each cause once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        causes::write(f, &self.message, self)
    }
}

impl Error for PersistError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::FlagSet;
    use crate::source::{SourceError, SourceErrorKind};

    #[test]
    fn each_cause_is_told_once() {
        let document = FlagSet::from_export(b"[]").unwrap_err();
        let cause = document.to_string();
        let source = SourceError::from(document);
        let told = format!("no set of flags: {cause}");
        assert_eq!(source.to_string(), told);
        let again = SourceError::new(SourceErrorKind::Other, "replica 2").because(source);
        assert_eq!(again.to_string(), format!("replica 2: {told}"));
        let error = PersistError::other(again);
        let told = format!("the store failed: replica 2: {told}");
        assert_eq!(error.to_string(), told);
        // All of them are there for those who look for one.
        let first = error.source().and_then(Error::source);
        assert!(first.is_some_and(<dyn Error>::is::<SourceError>));
        // One that does not tell its own cause.
        let error = PersistError::other(Quiet(std::io::Error::other("no space")));
        let told = "the store failed: row 7 is not written: no space";
        assert_eq!(error.to_string(), told);
    }

    /// Tells no cause, as is the custom.
    #[derive(Debug)]
    struct Quiet(std::io::Error);

    impl fmt::Display for Quiet {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("row 7 is not written")
        }
    }

    impl Error for Quiet {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
}
