//! Values while they are evaluated, and what operators make of them.
//!
//! Types never convert. Whatever cannot be compared is a [`Mismatch`]
//! (conditions v0.2.6: `operators.go`, `resolve.go`, `float.go`).

use std::borrow::Cow;
use std::fmt;

use super::foreign;
use super::literal::{Literal, Strings};
use super::operator::Operator;
use super::pattern::Pattern;
use super::work::Work;
use crate::context::{Value, ValueRef};

/// A value while it is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operand<'a> {
    String(&'a [u8]),
    Number(f64),
    Bool(bool),
    Strings(&'a Strings),
    Numbers(&'a [f64]),
    /// A list of the context that has only strings.
    ContextStrings(&'a [Value]),
    /// A list of the context that has only numbers.
    ContextNumbers(&'a [Value]),
    Pattern(&'a Pattern),
}

/// Why there was no answer: the segment does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    AttributeMissing,
    AttributeNull,
    PathBroken,
    NotComparable,
    DifferentTypes,
    NotBoolean,
    InvalidPattern,
    BeyondLimits,
    #[cfg(feature = "cel")]
    NotDecided,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttributeMissing => "the context has no such attribute",
            Self::AttributeNull => "the attribute is null",
            Self::PathBroken => "the path leads nowhere in the attribute",
            Self::NotComparable => {
                "a constraint reads strings, finite numbers, booleans, and lists of only strings or only numbers with at least one item"
            }
            Self::DifferentTypes => "the operator does not take values of these types",
            Self::NotBoolean => "a value that is no boolean stands where one must",
            Self::InvalidPattern => "the regular expression is invalid",
            Self::BeyondLimits => {
                "beyond our limits: the regular expressions or the CEL expressions would do more work for this context than the limits `regex_work` and `cel_work` allow in one evaluation, or the context gave a regular expression that is too large"
            }
            #[cfg(feature = "cel")]
            Self::NotDecided => "the CEL expression gave no boolean",
        })
    }
}

/// A value of a context as an operand.
pub(super) fn operand(value: ValueRef<'_>) -> Result<Operand<'_>, Mismatch> {
    match value {
        ValueRef::String(value) => Ok(Operand::String(value.as_bytes())),
        ValueRef::Number(value) if value.is_finite() => Ok(Operand::Number(value)),
        ValueRef::Bool(value) => Ok(Operand::Bool(value)),
        ValueRef::List(items) => list_operand(items),
        ValueRef::Null => Err(Mismatch::AttributeNull),
        ValueRef::Number(_) | ValueRef::Map(_) => Err(Mismatch::NotComparable),
    }
}

fn list_operand(items: &[Value]) -> Result<Operand<'_>, Mismatch> {
    let is_string = |item: &Value| matches!(item, Value::String(_));
    let is_number = |item: &Value| matches!(item, Value::Number(value) if value.is_finite());
    match items.first() {
        Some(Value::String(_)) if items.iter().all(is_string) => Ok(Operand::ContextStrings(items)),
        Some(Value::Number(_)) if items.iter().all(is_number) => Ok(Operand::ContextNumbers(items)),
        _ => Err(Mismatch::NotComparable),
    }
}

pub(super) fn literal_operand(literal: &Literal) -> Operand<'_> {
    match literal {
        Literal::String(text) => Operand::String(text),
        Literal::Number(number) => Operand::Number(*number),
        Literal::Bool(value) => Operand::Bool(*value),
        Literal::Strings(strings) => Operand::Strings(strings),
        Literal::Numbers(numbers) => Operand::Numbers(numbers),
    }
}

pub(super) fn boolean(operand: Operand<'_>) -> Result<bool, Mismatch> {
    match operand {
        Operand::Bool(value) => Ok(value),
        _ => Err(Mismatch::NotBoolean),
    }
}

/// Applies any operator but AND and OR, which need not look at their right.
pub(super) fn apply(
    operator: Operator,
    left: Operand<'_>,
    right: Operand<'_>,
    work: &mut Work,
) -> Result<bool, Mismatch> {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => equal(left, right).map(|equal| !equal),
        Operator::Less => compare(left, right, |a, b| a < b),
        Operator::LessOrEqual => compare(left, right, |a, b| a < b || nearly_equal(a, b)),
        Operator::Greater => compare(left, right, |a, b| a > b),
        Operator::GreaterOrEqual => compare(left, right, |a, b| a > b || nearly_equal(a, b)),
        Operator::Matches => is_match(left, right, work),
        Operator::NotMatches => is_match(left, right, work).map(|matches| !matches),
        Operator::In => is_in(left, right),
        Operator::NotIn => is_in(left, right).map(|found| !found),
        Operator::Contains => is_in(right, left),
        Operator::NotContains => is_in(right, left).map(|found| !found),
        Operator::Xor => Ok(boolean(left)? != boolean(right)?),
        Operator::Nand => Ok(!(boolean(left)? & boolean(right)?)),
        Operator::And => Ok(boolean(left)? & boolean(right)?),
        Operator::Or => Ok(boolean(left)? | boolean(right)?),
    }
}

fn equal(left: Operand<'_>, right: Operand<'_>) -> Result<bool, Mismatch> {
    match (left, right) {
        (Operand::String(left), Operand::String(right)) => Ok(left == right),
        (Operand::Number(left), Operand::Number(right)) => Ok(nearly_equal(left, right)),
        (Operand::Bool(left), Operand::Bool(right)) => Ok(left == right),
        _ => Err(Mismatch::DifferentTypes),
    }
}

fn compare(
    left: Operand<'_>,
    right: Operand<'_>,
    holds: fn(f64, f64) -> bool,
) -> Result<bool, Mismatch> {
    match (left, right) {
        (Operand::Number(left), Operand::Number(right)) => Ok(holds(left, right)),
        _ => Err(Mismatch::DifferentTypes),
    }
}

/// Flagr's equality of numbers: near in both absolute and relative terms
/// (conditions v0.2.6, `float.go`).
pub(super) fn nearly_equal(left: f64, right: f64) -> bool {
    const EPSILON: f64 = 1e-6;
    /// The smallest 32-bit float above 0, as a 64-bit one.
    const SMALLEST: f64 = 1.401_298_464_324_817e-45;
    if left == right {
        return true;
    }
    let difference = (left - right).abs();
    if difference > EPSILON {
        return false;
    }
    if left == 0.0 || right == 0.0 {
        return difference < EPSILON * SMALLEST;
    }
    difference / left.abs().max(right.abs()) < EPSILON
}

fn is_match(left: Operand<'_>, right: Operand<'_>, work: &mut Work) -> Result<bool, Mismatch> {
    let Operand::String(text) = left else {
        return Err(Mismatch::DifferentTypes);
    };
    match right {
        Operand::Pattern(pattern) => {
            let program = pattern.program.as_ref().ok_or(Mismatch::InvalidPattern)?;
            let text = decoded(text);
            work.take(program.work(text.len()))?;
            Ok(program.is_match(&text))
        }
        Operand::String(pattern) => {
            let program = foreign::compile(pattern, work)?;
            let text = decoded(text);
            foreign::take_search(&program, text.len(), work)?;
            Ok(program.is_match(&text))
        }
        _ => Err(Mismatch::DifferentTypes),
    }
}

/// Go reads each byte that is no UTF-8 as U+FFFD; only a literal can have one.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let characters = text.utf8_chunks().flat_map(|chunk| {
        let broken = chunk.invalid().iter();
        chunk
            .valid()
            .chars()
            .chain(broken.map(|_| char::REPLACEMENT_CHARACTER))
    });
    Cow::Owned(characters.collect())
}

fn is_in(item: Operand<'_>, list: Operand<'_>) -> Result<bool, Mismatch> {
    match (item, list) {
        (Operand::String(item), Operand::Strings(strings)) => {
            Ok(std::str::from_utf8(item).is_ok_and(|item| strings.contains(item)))
        }
        (Operand::String(item), Operand::ContextStrings(items)) => Ok(items
            .iter()
            .any(|other| matches!(other, Value::String(other) if other.as_bytes() == item))),
        (Operand::Number(item), Operand::Numbers(numbers)) => {
            Ok(numbers.iter().any(|number| nearly_equal(item, *number)))
        }
        (Operand::Number(item), Operand::ContextNumbers(items)) => Ok(items
            .iter()
            .any(|other| matches!(other, Value::Number(other) if nearly_equal(item, *other)))),
        _ => Err(Mismatch::DifferentTypes),
    }
}
