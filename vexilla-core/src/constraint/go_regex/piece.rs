//! What the parser remembers of a part of the pattern it has already written.
//!
//! Go builds a syntax tree and refuses it when it is too high, too large, or repeats too often.
//! The translation needs no tree; a [`Piece`] keeps the measures that Go would have taken of one.
//! The merging of neighbours here mirrors the merging that decides how high Go's tree is.

use super::error::{Fault, GoRegexError};
use super::repeat::{Bounds, Quantifier};

/// Greatest height of a syntax tree (`maxHeight` in Go's `regexp/syntax`).
const MAX_HEIGHT: u32 = 1000;

/// Greatest size of a program, in Go's instructions of 40 bytes (`maxSize`: 128 MiB).
const MAX_SIZE: u64 = (128 << 20) / 40;

/// Greatest product of nested repeat counts.
const MAX_REPEATS: u32 = 1000;

/// One operand of a concatenation or alternation: what a repetition operator applies to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Where its text begins in the output.
    pub(super) start: usize,
    /// Height of Go's syntax tree.
    pub(super) height: u32,
    /// The operator that its text ends in.
    pub(super) quantifier: Quantifier,
    /// Size of Go's program in instructions.
    size: u64,
    shape: Shape,
    /// Greatest product of repeat counts on a path down the tree.
    repeats: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Empty,
    Literal { fold_case: bool },
    Class,
    Concat,
    Alternate,
    Other,
}

impl Piece {
    /// An assertion.
    pub(super) fn assertion(start: usize) -> Self {
        Self::leaf(start, Shape::Other)
    }

    /// A character.
    pub(super) fn literal(start: usize, fold_case: bool) -> Self {
        Self::leaf(start, Shape::Literal { fold_case })
    }

    /// A character class.
    pub(super) fn class(start: usize) -> Self {
        Self::leaf(start, Shape::Class)
    }

    fn leaf(start: usize, shape: Shape) -> Self {
        Self {
            start,
            height: 1,
            quantifier: Quantifier::None,
            shape,
            size: 1,
            repeats: 1,
        }
    }

    /// Appends a piece to a concatenation. Adjacent characters become one string as soon as the
    /// second is out of reach for an operator.
    pub(super) fn push(items: &mut Vec<Self>, piece: Self) {
        Self::join_literals(items);
        items.push(piece);
    }

    fn join_literals(items: &mut Vec<Self>) {
        if let [.., left, right] = items.as_mut_slice()
            && matches!(left.shape, Shape::Literal { .. })
            && left.shape == right.shape
        {
            left.size += right.size;
            items.pop();
        }
    }

    /// The concatenation of `items`, which begins at `start`.
    pub(super) fn concat(start: usize, mut items: Vec<Self>) -> Result<Self, GoRegexError> {
        Self::join_literals(&mut items);
        if items.is_empty() {
            return Ok(Self::leaf(start, Shape::Empty));
        }
        Self::collapse(start, &items, Shape::Concat)
    }

    /// Appends a branch to an alternation. Adjacent single characters and classes become one
    /// class; an empty branch after another is not appended, and then the answer is `false`.
    pub(super) fn push_branch(branches: &mut Vec<Self>, branch: Self) -> bool {
        match branches.last_mut() {
            Some(last) if last.is_one_char() && branch.is_one_char() => last.shape = Shape::Class,
            Some(last) if last.shape == Shape::Empty && branch.shape == Shape::Empty => {
                return false;
            }
            _ => branches.push(branch),
        }
        true
    }

    fn is_one_char(&self) -> bool {
        self.shape == Shape::Class || matches!(self.shape, Shape::Literal { .. }) && self.size == 1
    }

    /// The alternation of `branches`, which begins at `start`.
    pub(super) fn alternate(start: usize, branches: &[Self]) -> Result<Self, GoRegexError> {
        Self::collapse(start, branches, Shape::Alternate)
    }

    /// The node above `parts`; nodes of the same shape are taken in, not nested.
    fn collapse(start: usize, parts: &[Self], shape: Shape) -> Result<Self, GoRegexError> {
        if let [only] = parts {
            return Ok(Self { start, ..*only });
        }
        let mut node = Self::leaf(start, shape);
        node.size = match shape {
            Shape::Alternate => parts.len() as u64 - 1,
            _ => 0,
        };
        for part in parts {
            let nested = u32::from(part.shape != shape);
            node.height = node.height.max(part.height + nested);
            node.size = node.size.saturating_add(part.size);
            node.repeats = node.repeats.max(part.repeats);
        }
        node.size = node.size.max(1);
        node.checked()
    }

    /// The piece in parentheses, whose text now begins at `start`.
    pub(super) fn group(self, start: usize, captures: bool) -> Result<Self, GoRegexError> {
        let group = Self {
            start,
            quantifier: Quantifier::None,
            ..self
        };
        if !captures {
            return Ok(group);
        }
        Self {
            shape: Shape::Other,
            height: self.height + 1,
            size: self.size.saturating_add(2),
            ..group
        }
        .checked()
    }

    /// The piece repeated by the operator at the beginning of `near`. The caller sets the
    /// quantifier with the text.
    pub(super) fn repeat(self, bounds: Bounds, near: &str) -> Result<Self, GoRegexError> {
        let Bounds { min, max, braces } = bounds;
        let copies = max.unwrap_or(min);
        let size = match max {
            _ if !braces => self
                .size
                .saturating_add(1 + u64::from(min == 0 && max.is_none())),
            None if min == 0 => self.size.saturating_add(2),
            None => self.size.saturating_mul(u64::from(min)).saturating_add(1),
            Some(max) => self
                .size
                .saturating_mul(u64::from(max))
                .saturating_add(u64::from(max.saturating_sub(min))),
        };
        let repeats = match max {
            _ if !braces => self.repeats,
            Some(0) => 1,
            _ => self.repeats.saturating_mul(copies.max(1)),
        };
        if repeats > MAX_REPEATS {
            return Err(GoRegexError::new(Fault::RepeatSize, near));
        }
        Self {
            shape: Shape::Other,
            height: self.height + 1,
            size: size.max(1),
            repeats,
            ..self
        }
        .checked()
    }

    fn checked(self) -> Result<Self, GoRegexError> {
        if self.height > MAX_HEIGHT {
            Err(GoRegexError::new(Fault::TooDeep, ""))
        } else if self.size > MAX_SIZE {
            Err(GoRegexError::new(Fault::TooLarge, ""))
        } else {
            Ok(self)
        }
    }
}
