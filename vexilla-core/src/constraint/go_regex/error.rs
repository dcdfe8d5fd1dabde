//! Why a Go pattern was not compiled.

use std::error::Error;
use std::fmt;

use super::super::program::Exceeded;

/// Number of characters of the pattern that an error shows at most.
const SHOWN: usize = 40;

/// A Go regular expression that cannot be used: Go refuses it, or it exceeds the limits of this
/// library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoRegexError {
    fault: Fault,
    near: String,
}

/// What is wrong with a pattern: the error codes of Go's `regexp/syntax`, then our own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    CharClass,
    CharRange,
    Escape,
    NamedCapture,
    PerlSyntax,
    NestedRepeat,
    RepeatSize,
    MissingBracket,
    MissingParen,
    UnexpectedParen,
    MissingRepeatArgument,
    TrailingBackslash,
    TooDeep,
    TooLarge,
    /// Longer than so many bytes.
    TextTooLarge(usize),
    Beyond(Exceeded),
    TooDeepHere,
    TooNested,
    Untranslatable,
}

impl GoRegexError {
    /// An error about `near`, of which only the beginning is kept.
    pub(super) fn new(fault: Fault, near: &str) -> Self {
        Self {
            fault,
            near: near.chars().take(SHOWN).collect(),
        }
    }

    /// Whether a limit of this library was met rather than a rule of Go: Go would have run the
    /// pattern, so "never matches" would be a guess.
    pub(crate) fn is_beyond_limits(&self) -> bool {
        matches!(
            self.fault,
            Fault::TextTooLarge(_)
                | Fault::Beyond(_)
                | Fault::TooDeepHere
                | Fault::TooNested
                | Fault::Untranslatable
        )
    }

    /// The memory that the program would take, in bytes, if that is why it was
    /// refused.
    pub(crate) fn needs(&self) -> Option<u64> {
        match self.fault {
            Fault::Beyond(exceeded) => exceeded.needs(),
            _ => None,
        }
    }

    /// Whether the pattern may compile at another time: the system had no thread
    /// to compile it on.
    pub(crate) fn is_temporary(&self) -> bool {
        self.fault == Fault::TooDeepHere
    }
}

/// The alternate form, `{:#}`, shows where in the pattern. The plain one shows nothing of the pattern:
/// it goes into logs.
impl fmt::Display for GoRegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::CharClass => "unknown character class",
            Fault::CharRange => "invalid character class range",
            Fault::Escape => "invalid escape sequence",
            Fault::NamedCapture => "invalid named capture",
            Fault::PerlSyntax => "invalid or unsupported Perl syntax",
            Fault::NestedRepeat => "invalid nested repetition operator",
            Fault::RepeatSize => "invalid repeat count (at most 1000 in all)",
            Fault::MissingBracket => "missing closing ]",
            Fault::MissingParen => "missing closing )",
            Fault::UnexpectedParen => "unexpected )",
            Fault::MissingRepeatArgument => "missing argument to repetition operator",
            Fault::TrailingBackslash => "trailing backslash at end of expression",
            Fault::TooDeep => "expression nests more than 1000 levels deep",
            Fault::TooLarge => "expression is too large for Go",
            Fault::TextTooLarge(limit) => {
                return write!(
                    f,
                    "expression is larger than {limit} bytes with its character classes \
                     written out, use fewer or smaller classes"
                );
            }
            Fault::Beyond(exceeded) => return exceeded.fmt(f),
            Fault::TooDeepHere => "expression nests too deeply to be compiled here",
            Fault::TooNested => {
                "groups nest too deeply for their length, use fewer or shorter groups"
            }
            Fault::Untranslatable => "expression has no equivalent here",
        };
        f.write_str(what)?;
        if f.alternate() && !self.near.is_empty() {
            write!(f, " near `{}`", self.near)?;
        }
        Ok(())
    }
}

impl Error for GoRegexError {}
