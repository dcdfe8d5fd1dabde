//! Estimates the size of a compiled regular expression from its syntax tree, so
//! that one that is too large is never compiled.
//!
//! The bytes are about those of the two automata that `regex-automata` 0.4 builds,
//! one for each direction: for most expressions within a fifth, and never less
//! than half of them. A counted repetition copies
//! what it repeats, and a class beyond ASCII becomes one state for almost each of
//! the byte sequences that encode its ranges.

use regex_syntax::hir::{self, Class, ClassUnicode, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// A state of an automaton, in bytes.
const STATE: u64 = 24;
/// One of several transitions of a state, in bytes.
const TRANSITION: u64 = 8;
/// One of several states that a state leads to without reading, in bytes.
const BRANCH: u64 = 4;
/// What each expression takes besides: structures of fixed size, in bytes.
const FIXED: u64 = 2 << 10;

/// The size of a compiled regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Memory for the program, about.
    pub(crate) bytes: u64,
    /// Instructions: characters, classes, assertions and branchings, each
    /// repetition written out. What a byte of text costs at worst grows with it.
    pub(crate) instructions: u64,
}

impl Size {
    /// The size of what a syntax tree compiles to.
    pub(crate) fn of(hir: &Hir) -> Self {
        let size = hir::visit(hir, Measurer::default()).unwrap_or_default();
        Self {
            bytes: size.bytes.saturating_add(FIXED),
            instructions: size.instructions.max(1),
        }
    }

    fn leaf(bytes: u64) -> Self {
        Self {
            bytes,
            instructions: 1,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            instructions: self.instructions.saturating_add(other.instructions),
        }
    }

    fn times(self, count: u32) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(u64::from(count)),
            instructions: self.instructions.saturating_mul(u64::from(count)),
        }
    }
}

/// A branching between so many states.
fn branching(branches: u64) -> Size {
    Size::leaf(2 * (STATE + BRANCH * branches))
}

/// Walks over a tree without recursion and keeps the sizes of the parts whose
/// whole is not finished.
#[derive(Default)]
struct Measurer {
    parts: Vec<Size>,
}

impl Measurer {
    fn join(&mut self, count: usize) -> Size {
        let parts = self.parts.split_off(self.parts.len().saturating_sub(count));
        parts.into_iter().fold(Size::default(), Size::plus)
    }
}

impl hir::Visitor for Measurer {
    type Output = Size;
    type Err = std::convert::Infallible;

    fn finish(mut self) -> Result<Size, Self::Err> {
        Ok(self.parts.pop().unwrap_or_default())
    }

    fn visit_post(&mut self, hir: &Hir) -> Result<(), Self::Err> {
        let size = match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Size::leaf(2 * STATE),
            HirKind::Literal(literal) => {
                let length = u32::try_from(literal.0.len()).unwrap_or(u32::MAX);
                Size::leaf(2 * STATE).times(length)
            }
            HirKind::Class(Class::Unicode(class)) => Size::leaf(class_bytes(class)),
            HirKind::Class(Class::Bytes(class)) => {
                Size::leaf(2 * (STATE + TRANSITION * class.ranges().len() as u64))
            }
            HirKind::Repetition(repetition) => {
                let once = self.join(1);
                let min = repetition.min;
                match repetition.max {
                    None => once.times(min.max(1)).plus(branching(2)),
                    Some(max) => {
                        let optional = branching(2).times(max.saturating_sub(min));
                        once.times(max).plus(optional)
                    }
                }
            }
            HirKind::Capture(_) => self.join(1),
            HirKind::Concat(parts) => self.join(parts.len()),
            HirKind::Alternation(parts) => {
                let sum = self.join(parts.len());
                sum.plus(branching(parts.len() as u64))
            }
        };
        self.parts.push(size);
        Ok(())
    }
}

/// The states of a class of characters in both automata.
fn class_bytes(class: &ClassUnicode) -> u64 {
    let ranges = class.ranges();
    if class.is_ascii() {
        return 2 * (STATE + TRANSITION * ranges.len() as u64);
    }
    let sequences = ranges
        .iter()
        .flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
    let (count, length) = sequences.fold((0_u64, 0_u64), |(count, length), sequence| {
        (count + 1, length + sequence.len() as u64)
    });
    // The more sequences there are, the more states they have in common.
    let own = length * (STATE + TRANSITION);
    let shared = 512 + length * (STATE + TRANSITION) / 2;
    2 * STATE + own.min(shared) + count * BRANCH
}
