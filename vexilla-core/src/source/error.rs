//! Why flags could not be had from a source.

use std::error::Error;
use std::fmt;

use crate::flag::DocumentError;

/// Why flags could not be had from a source.
///
/// Never contains credentials; of an address only host and port are named.
#[derive(Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`SourceError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The source is set up wrongly: an address that is none, a header that
    /// cannot be sent.
    Configuration,
    /// The source could not be reached or read.
    Unreachable,
    /// It took too long.
    Timeout,
    /// The server answered with this status.
    Status(u16),
    /// What came is no set of flags.
    Document,
    /// What came is larger than allowed.
    TooLarge,
    /// Anything else.
    Other,
}

impl SourceError {
    pub(crate) fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// Any other error, for sources of one's own.
    pub fn other(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(SourceErrorKind::Other, "the source failed").because(cause)
    }

    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// Where a document is broken, if that is why.
    #[must_use]
    pub fn document(&self) -> Option<&DocumentError> {
        self.cause.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for SourceError {
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

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

impl From<DocumentError> for SourceError {
    fn from(error: DocumentError) -> Self {
        Self::new(SourceErrorKind::Document, "no set of flags").because(error)
    }
}
