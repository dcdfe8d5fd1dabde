//! Why flags could not be had from a source.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::causes;
use crate::flag::DocumentError;

/// Why flags could not be had from a source.
///
/// Never contains credentials; of an address only host and port are named.
/// Clones share what caused it.
///
/// Its text says what failed and why: it has the causes in it, each once, so that
/// it stands alone in a log or a status. [`source`](Error::source) gives the same
/// causes to programs that look for one; what prints them again, such as `{:#}`
/// of `anyhow`, says them twice.
#[derive(Debug, Clone)]
pub struct SourceError {
    kind: SourceErrorKind,
    message: String,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
    note: Option<String>,
}

/// What kind of failure a [`SourceError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The source is set up wrongly: an invalid URL, a header that
    /// cannot be sent.
    Configuration,
    /// A provider of credentials failed, or gave some that cannot be sent.
    Credentials,
    /// The source could not be reached, or the connection broke.
    Unreachable,
    /// A file could not be read.
    Unreadable,
    /// It took too long.
    Timeout,
    /// The server answered with this status.
    Status(u16),
    /// What came is no set of flags.
    Document,
    /// What came is larger than allowed, or has more flags than
    /// [`Limits::flags`](crate::Limits::flags).
    TooLarge,
    /// Compiling the flags that came took longer than
    /// [`Limits::compile_time`](crate::Limits::compile_time).
    CompileTimeout,
    /// The source's code panicked.
    Panicked,
    /// Nothing was asked: the refreshing was shut down.
    ShutDown,
    /// Anything else.
    Other,
}

impl SourceError {
    /// An error of this kind, for sources of one's own. The message is a lower
    /// case sentence that says what is wrong and where.
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            cause: None,
            note: None,
        }
    }

    /// Any other error, for sources of one's own, as one that does not pass by
    /// itself: the next check is a poll interval later.
    ///
    /// For a failure that may be over soon, use [`new`](Self::new) with
    /// [`SourceErrorKind::Unreachable`] (no connection, or it broke),
    /// [`SourceErrorKind::Timeout`] (no answer in time) or
    /// [`SourceErrorKind::Status`] (an HTTP status), and
    /// [`because`](Self::because) for its cause: the check is then repeated after
    /// a short delay, see [`is_transient`](Self::is_transient).
    pub fn other(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(SourceErrorKind::Other, "the source failed").because(cause)
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// The same error, with something else that its reader should know.
    #[cfg(feature = "refresh")]
    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    /// The same error of a source that asks to be left alone for so long.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// How long the source asks to be left alone (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the next attempt may well succeed: a time-out, a broken
    /// connection, a provider of credentials that failed, or one of the statuses
    /// 408, 425, 429 and 5xx except 501. Such a check is repeated after a short
    /// delay, any other at the next poll, or later after a
    /// [refusal](Self::is_refusal).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            SourceErrorKind::Unreachable
            | SourceErrorKind::Timeout
            | SourceErrorKind::Credentials => true,
            SourceErrorKind::Status(501) => false,
            SourceErrorKind::Status(status) => {
                matches!(status, 408 | 425 | 429) || (500..600).contains(&status)
            }
            _ => false,
        }
    }

    /// Whether the source is there and says no, which does not pass by itself:
    /// a status of 4xx that [`is_transient`](Self::is_transient) leaves out
    /// (401, 403, 404, …), or 501.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self.kind {
            SourceErrorKind::Status(501) => true,
            SourceErrorKind::Status(status) => (400..500).contains(&status) && !self.is_transient(),
            _ => false,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// Where a document is broken, if that is why.
    #[must_use]
    pub fn document(&self) -> Option<&DocumentError> {
        let cause: &(dyn Error + 'static) = &**self.cause.as_ref()?;
        cause.downcast_ref()
    }
}

impl fmt::Display for SourceError {
    /// The message, and after it what caused it, each cause once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        causes::write(f, &self.message, self)?;
        match &self.note {
            Some(note) => write!(f, "; {note}"),
            None => Ok(()),
        }
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
