//! How much memory compiled constraints take, for
//! [`Limits::constraint_set_bytes`](crate::Limits::constraint_set_bytes).
//!
//! What is counted is what is asked of the allocator, and [`PIECE`] bytes more for
//! each piece of memory. So it is at least what is asked for, and at most twice as
//! much. Compiled regular expressions are not in it: they have limits of their own.

use super::expression::{Attribute, Chain, Expression, Step, Test};
use super::literal::Literal;
use super::operator::Operator;

/// What an allocator adds to a piece of memory, about, in bytes.
const PIECE: u64 = 16;

/// A piece of so many bytes; none if there is nothing in it.
pub(super) fn piece(bytes: usize) -> u64 {
    match bytes {
        0 => 0,
        bytes => PIECE + bytes as u64,
    }
}

/// A piece with so many values of one type in it.
pub(super) fn array<T>(count: usize) -> u64 {
    piece(size_of::<T>().saturating_mul(count))
}

/// A list of texts.
pub(super) fn texts(list: &[Box<str>]) -> u64 {
    let texts = list.iter().map(|text| piece(text.len()));
    array::<Box<str>>(list.len()) + texts.sum::<u64>()
}

impl Expression {
    /// The memory behind the expression, in bytes, itself not counted.
    pub(super) fn bytes(&self) -> u64 {
        let own = match self {
            Self::Attribute(attribute) => attribute.bytes(),
            Self::Literal(literal) => literal.bytes(),
            Self::Pattern(pattern) => piece(pattern.text.len()),
            Self::Test(test) => array::<Test>(1) + test.attribute.bytes() + test.operand.bytes(),
            Self::All(operands) | Self::Any(operands) => array::<Self>(operands.len()),
            Self::Chain(chain) => {
                array::<Chain>(1) + array::<(Operator, Self)>(chain.rest.capacity())
            }
            #[cfg(feature = "cel")]
            Self::Cel(program) => program.bytes(),
        };
        self.parts().map(Self::bytes).fold(own, u64::saturating_add)
    }
}

impl Attribute {
    fn bytes(&self) -> u64 {
        let keys = self.steps.iter().map(|step| match step {
            Step::Key(key) => piece(key.len()),
            Step::Index(_) => 0,
        });
        piece(self.name.len()) + array::<Step>(self.steps.len()) + keys.sum::<u64>()
    }
}

impl Literal {
    fn bytes(&self) -> u64 {
        match self {
            Self::String(text) => piece(text.len()),
            Self::Number(_) | Self::Bool(_) => 0,
            Self::Strings(strings) => strings.bytes(),
            Self::Numbers(numbers) => array::<f64>(numbers.len()),
        }
    }
}
