//! Why an expression cannot be used, and why a run of one did not say yes or no.

use std::fmt;

use super::super::operand::Mismatch;

/// A place in an expression: line and column from 1, the column counted in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    line: usize,
    column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// The place of the byte `offset` of `source`.
    pub(super) fn at(source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }

    /// A place as the parser gives it; what it could not place is at the start.
    pub(super) fn of_parser((line, column): (isize, isize)) -> Self {
        Self {
            line: usize::try_from(line).unwrap_or(1).max(1),
            column: usize::try_from(column).unwrap_or(1).max(1),
        }
    }
}

/// One thing that is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    position: Position,
    message: String,
    temporary: bool,
}

impl Fault {
    pub(super) const fn new(position: Position, message: String) -> Self {
        Self {
            position,
            message,
            temporary: false,
        }
    }

    /// A fault of the machine at this moment, not of the expression.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) const fn temporary(message: String) -> Self {
        Self {
            position: Position::START,
            message,
            temporary: true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(formatter, "line {line}, column {column}: {}", self.message)
    }
}

/// An expression that was refused. Shows the place by line and column (in characters, both from 1)
/// and what is wrong there; the alternate form, `{:#}`, the beginning of the expression as well. The
/// plain one goes into logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CelError {
    excerpt: Box<str>,
    fault: Fault,
}

impl CelError {
    /// Most characters of the expression that are shown.
    const EXCERPT: usize = 60;

    pub(super) fn new(source: &str, fault: Fault) -> Self {
        let mut excerpt: String = source.chars().take(Self::EXCERPT).collect();
        if excerpt.len() < source.len() {
            excerpt.push('…');
        }
        Self {
            excerpt: excerpt.into(),
            fault,
        }
    }

    /// Whether compiling the same expression later may succeed.
    pub(crate) const fn is_temporary(&self) -> bool {
        self.fault.temporary
    }
}

impl fmt::Display for CelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CEL expression ")?;
        if formatter.alternate() {
            write!(formatter, "{:?} ", self.excerpt)?;
        }
        write!(formatter, "at {}", self.fault)
    }
}

impl std::error::Error for CelError {}

/// Why running an expression gave neither `true` nor `false`. The segment does not match then, as
/// with Flagr's own operators. No values of the context are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CelMismatch {
    /// It yielded something that is no bool.
    NotABool,
    /// The context has no attribute of this name.
    Missing(Box<str>),
    /// An operator or function met a type, key or index it has no answer for, or a number was
    /// divided by zero, overflowed or could not be converted.
    Inapplicable,
    /// The expressions of the evaluation would do more work than they may.
    TooCostly,
    /// What it reads of the context nests too deep.
    TooDeep,
    /// `matches` would do more work than regular expressions may in one evaluation.
    BeyondLimits,
    /// The `cel` crate panicked.
    Panicked,
}

impl CelMismatch {
    /// What it is for the segment.
    pub(crate) fn mismatch(&self) -> Mismatch {
        match self {
            Self::TooCostly | Self::TooDeep | Self::BeyondLimits => Mismatch::BeyondLimits,
            Self::NotABool | Self::Missing(_) | Self::Inapplicable | Self::Panicked => {
                Mismatch::NotDecided
            }
        }
    }
}

impl fmt::Display for CelMismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABool => formatter.write_str("the CEL expression did not yield a bool"),
            Self::Missing(name) => write!(formatter, "the context has no attribute {name:?}"),
            Self::Inapplicable => formatter.write_str(
                "the CEL expression met a value of a type, or a number, that it cannot work with",
            ),
            Self::TooCostly => formatter.write_str(
                "beyond our limits: the CEL expressions of the flag would do more work for this context than the limit `cel_work` allows in one evaluation",
            ),
            Self::TooDeep => formatter.write_str(
                "beyond our limits: what the CEL expression reads of the context nests too deep",
            ),
            Self::BeyondLimits => Mismatch::BeyondLimits.fmt(formatter),
            Self::Panicked => formatter.write_str("running the CEL expression panicked"),
        }
    }
}

impl std::error::Error for CelMismatch {}
