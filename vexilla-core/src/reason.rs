//! Why an evaluation gave what it gave, in OpenFeature's words.

use std::borrow::Cow;
use std::fmt;

use crate::excerpt::ShortName;

/// Why an evaluation gave what it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The same variant for everybody, or that of an override.
    Static,
    /// The variant of a segment whose constraints matched, or the variant of a
    /// later segment, after one whose constraints did not match.
    TargetingMatch,
    /// A variant picked by the entity's bucket.
    Split,
    /// No variant: no segment matched, the rollout left the entity out, or an
    /// override says so; or, where an emergency default answered, its variant.
    /// Which of them it is, says
    /// [`Evaluation::replaced_by`](crate::Evaluation::replaced_by).
    Default,
    /// No variant: the flag is not enabled.
    Disabled,
    /// No variant, because of an error.
    Error,
}

impl Reason {
    /// OpenFeature's word for it, such as `TARGETING_MATCH`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Default => "DEFAULT",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of error an evaluation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// There is no flag with this key.
    FlagNotFound,
    /// The flag is bad: a constraint does not parse, a percent is out of range…
    ParseError,
    /// The variant has no value of the type that was asked for.
    TypeMismatch,
    /// A rollout needs an entity and the context names none.
    TargetingKeyMissing,
    /// Anything else.
    General,
}

impl ErrorCode {
    /// OpenFeature's word for it, such as `FLAG_NOT_FOUND`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::General => "GENERAL",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a flag has no value. [`Display`](fmt::Display) gives the code, the flag's
/// key and the message: `FLAG_NOT_FOUND: flag "checkout": there is no flag with
/// this key`. Of a key of more than 64 bytes it shows the beginning.
///
/// The error of a flag that does not exist allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagError {
    code: ErrorCode,
    flag: ShortName,
    message: Cow<'static, str>,
}

impl FlagError {
    pub(crate) fn new(code: ErrorCode, flag: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            flag: ShortName::new(flag),
            message: message.into(),
        }
    }

    /// The same, of the flag that was asked for by this key.
    pub(crate) fn of_flag(self, key: &str) -> Self {
        Self {
            flag: ShortName::new(key),
            ..self
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What went wrong, for people, without the flag's key.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: flag {:?}: {}", self.code, self.flag, self.message)
    }
}

impl std::error::Error for FlagError {}
