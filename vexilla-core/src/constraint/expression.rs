//! The compiled form of constraints: what is evaluated, explained and rendered.
//!
//! Evaluating follows conditions v0.2.6 (`evaluator.go`, `operators.go`,
//! `resolve.go`, `float.go`). Types never convert, whatever cannot be compared
//! is a [`Mismatch`], and a mismatch anywhere that is evaluated is one of the
//! whole: no operator, not even a negated one or an `OR`, makes it a match.

use std::fmt;

use regex::Regex;

#[cfg(feature = "cel")]
use super::cel::CelProgram;
use super::go_regex;
use super::literal::Literal;
use super::operator::Operator;
use crate::context::{EvaluationContext, Value, ValueRef};

/// An expression over the attributes of a context.
#[derive(Debug)]
pub(crate) enum Expression {
    Attribute(Attribute),
    Literal(Literal),
    /// A pattern on the right of `=~` or `!~`.
    Pattern(Pattern),
    /// `{attribute} operator literal`, what nearly every constraint is.
    Test(Box<Test>),
    /// Operands joined by AND alone.
    All(Box<[Expression]>),
    /// Operands joined by OR alone.
    Any(Box<[Expression]>),
    /// Operands joined by any operators, applied from left to right.
    Chain(Box<Chain>),
    /// An expression in CEL.
    #[cfg(feature = "cel")]
    Cel(Box<CelProgram>),
}

/// Operands applied from left to right.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) first: Expression,
    pub(crate) rest: Vec<(Operator, Expression)>,
}

/// A comparison of one attribute with something written.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) attribute: Attribute,
    pub(crate) operator: Operator,
    /// A [`Expression::Literal`] or a [`Expression::Pattern`].
    pub(crate) operand: Expression,
}

/// Where in a context a value is found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) name: Box<str>,
    pub(crate) steps: Box<[Step]>,
}

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The member of an object.
    Key(Box<str>),
    /// The item of a list; below 0 counted from its end.
    Index(i64),
}

/// A regular expression in Go's dialect; `None` if Go refuses it, which makes
/// every comparison with it a mismatch.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: Box<[u8]>,
    pub(crate) regex: Option<Regex>,
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
            Self::NotDecided => "the CEL expression gave no boolean",
        })
    }
}

/// A value while it is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operand<'a> {
    String(&'a [u8]),
    Number(f64),
    Bool(bool),
    Strings(&'a super::literal::Strings),
    Numbers(&'a [f64]),
    /// A list of the context that has only strings.
    ContextStrings(&'a [Value]),
    /// A list of the context that has only numbers.
    ContextNumbers(&'a [Value]),
    Pattern(&'a Pattern),
}

/// Is told what an evaluation does. `()` is told nothing and costs nothing.
pub(crate) trait Observer {
    /// An expression is about to be evaluated.
    fn enter(&mut self, expression: &Expression) {
        let _ = expression;
    }

    /// What the attribute of a [`Test`] or an [`Expression::Attribute`] was.
    fn value(&mut self, value: Option<ValueRef<'_>>) {
        let _ = value;
    }

    /// What the expression that was entered last and not left was.
    fn leave(&mut self, outcome: Result<Operand<'_>, Mismatch>) {
        let _ = outcome;
    }
}

impl Observer for () {}

impl Expression {
    /// Whether the context matches.
    #[inline]
    pub(crate) fn matches<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        self.evaluate(context, observer).and_then(boolean)
    }

    fn evaluate<'a, C: EvaluationContext, O: Observer>(
        &'a self,
        context: &'a C,
        observer: &mut O,
    ) -> Result<Operand<'a>, Mismatch> {
        observer.enter(self);
        let outcome = match self {
            Self::Test(test) => {
                let value = test.attribute.find(context);
                observer.value(value.ok());
                value.and_then(|value| test.apply(value)).map(Operand::Bool)
            }
            Self::All(operands) => all(operands, context, observer).map(Operand::Bool),
            Self::Any(operands) => any(operands, context, observer).map(Operand::Bool),
            Self::Chain(chain) => chain.evaluate(context, observer),
            Self::Attribute(attribute) => {
                let value = attribute.find(context);
                observer.value(value.ok());
                value.and_then(operand)
            }
            Self::Literal(literal) => Ok(literal_operand(literal)),
            Self::Pattern(pattern) => Ok(Operand::Pattern(pattern)),
            #[cfg(feature = "cel")]
            Self::Cel(program) => program
                .evaluate(
                    context.entity_id(),
                    context.entity_type(),
                    context.attributes(),
                )
                .map(Operand::Bool)
                .map_err(|_| Mismatch::NotDecided),
        };
        observer.leave(outcome);
        outcome
    }

    /// What the expression is made of, in order of evaluation.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Self> {
        let (operands, chain) = match self {
            Self::All(operands) | Self::Any(operands) => (&**operands, None),
            Self::Chain(chain) => (&[][..], Some(chain)),
            _ => (&[][..], None),
        };
        operands.iter().chain(chain.into_iter().flat_map(|chain| {
            std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, operand)| operand))
        }))
    }

    /// The same expression with patterns compiled and common shapes made
    /// direct; it evaluates as before.
    pub(super) fn optimized(self) -> Self {
        match self {
            Self::Chain(chain) => chain.optimized(),
            other => other,
        }
    }
}

fn all<C: EvaluationContext, O: Observer>(
    operands: &[Expression],
    context: &C,
    observer: &mut O,
) -> Result<bool, Mismatch> {
    for operand in operands {
        if !operand.matches(context, observer)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any<C: EvaluationContext, O: Observer>(
    operands: &[Expression],
    context: &C,
    observer: &mut O,
) -> Result<bool, Mismatch> {
    for operand in operands {
        if operand.matches(context, observer)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Chain {
    fn evaluate<'a, C: EvaluationContext, O: Observer>(
        &'a self,
        context: &'a C,
        observer: &mut O,
    ) -> Result<Operand<'a>, Mismatch> {
        let mut left = self.first.evaluate(context, observer)?;
        for (operator, right) in &self.rest {
            left = Operand::Bool(match operator {
                Operator::And => boolean(left)? && right.matches(context, observer)?,
                Operator::Or => boolean(left)? || right.matches(context, observer)?,
                _ => apply(*operator, left, right.evaluate(context, observer)?)?,
            });
        }
        Ok(left)
    }

    fn optimized(self) -> Expression {
        let first = self.first.optimized();
        let mut rest = Vec::with_capacity(self.rest.len());
        for (operator, operand) in self.rest {
            let operand = match (operator, operand.optimized()) {
                (
                    Operator::Matches | Operator::NotMatches,
                    Expression::Literal(Literal::String(text)),
                ) => Expression::Pattern(Pattern::new(text)),
                (_, operand) => operand,
            };
            rest.push((operator, operand));
        }
        let only = |wanted| rest.iter().all(|(operator, _)| *operator == wanted);
        if only(Operator::And) {
            return Expression::All(flattened(first, rest, |expression| match expression {
                Expression::All(operands) => Ok(operands),
                other => Err(other),
            }));
        }
        if only(Operator::Or) {
            return Expression::Any(flattened(first, rest, |expression| match expression {
                Expression::Any(operands) => Ok(operands),
                other => Err(other),
            }));
        }
        let is_test = matches!(
            (&first, rest.as_slice()),
            (
                Expression::Attribute(_),
                [(_, Expression::Literal(_) | Expression::Pattern(_))]
            )
        );
        match (first, rest.pop()) {
            (Expression::Attribute(attribute), Some((operator, operand))) if is_test => {
                Expression::Test(Box::new(Test {
                    attribute,
                    operator,
                    operand,
                }))
            }
            (first, last) => {
                rest.extend(last);
                Expression::Chain(Box::new(Self { first, rest }))
            }
        }
    }
}

/// The conjunction of the first expression and the others, in this order;
/// `None` if there is nothing.
pub(super) fn joined(first: Option<Expression>, others: Vec<Expression>) -> Option<Expression> {
    let mut operands: Vec<_> = match first {
        Some(Expression::All(operands)) => operands.into(),
        first => first.into_iter().collect(),
    };
    operands.extend(others);
    match operands.len() {
        0 | 1 => operands.pop(),
        _ => Some(Expression::All(operands.into())),
    }
}

/// All operands in one list; those that `inner` takes apart are joined by the
/// same operator, so that it makes no difference in which list they stand.
fn flattened(
    first: Expression,
    rest: Vec<(Operator, Expression)>,
    inner: fn(Expression) -> Result<Box<[Expression]>, Expression>,
) -> Box<[Expression]> {
    let mut operands = Vec::with_capacity(rest.len() + 1);
    for operand in std::iter::once(first).chain(rest.into_iter().map(|(_, operand)| operand)) {
        match inner(operand) {
            Ok(inner) => operands.extend(inner),
            Err(operand) => operands.push(operand),
        }
    }
    operands.into()
}

impl Test {
    /// The common cases without a detour; all others as [`apply`] has them.
    #[inline]
    fn apply(&self, value: ValueRef<'_>) -> Result<bool, Mismatch> {
        match (value, self.operator, &self.operand) {
            (
                ValueRef::String(value),
                Operator::Equal,
                Expression::Literal(Literal::String(literal)),
            ) => Ok(value.as_bytes() == &**literal),
            (
                ValueRef::String(value),
                Operator::In,
                Expression::Literal(Literal::Strings(literal)),
            ) => Ok(literal.contains(value)),
            _ => apply(
                self.operator,
                operand(value)?,
                match &self.operand {
                    Expression::Literal(literal) => literal_operand(literal),
                    Expression::Pattern(pattern) => Operand::Pattern(pattern),
                    _ => return Err(Mismatch::NotComparable),
                },
            ),
        }
    }
}

impl Attribute {
    pub(super) fn new(name: String, steps: Vec<Step>) -> Self {
        Self {
            name: name.into(),
            steps: steps.into(),
        }
    }

    /// Walks to the value; a missing one and null are mismatches.
    #[inline]
    pub(crate) fn find<'a, C: EvaluationContext>(
        &self,
        context: &'a C,
    ) -> Result<ValueRef<'a>, Mismatch> {
        let mut value = context
            .attribute(&self.name)
            .ok_or(Mismatch::AttributeMissing)?;
        for step in &self.steps {
            value = step.take(value).ok_or(Mismatch::PathBroken)?;
        }
        match value {
            ValueRef::Null => Err(Mismatch::AttributeNull),
            value => Ok(value),
        }
    }
}

impl Step {
    fn take<'a>(&self, value: ValueRef<'a>) -> Option<ValueRef<'a>> {
        let inner = match (self, value) {
            (Self::Key(key), ValueRef::Map(members)) => members.get(&**key),
            (Self::Index(index), ValueRef::List(items)) => {
                let length = i64::try_from(items.len()).ok()?;
                let index = if *index < 0 { length.checked_add(*index)? } else { *index };
                items.get(usize::try_from(index).ok()?)
            }
            _ => None,
        };
        inner.map(Value::as_ref)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for step in &self.steps {
            match step {
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Pattern {
    fn new(text: Box<[u8]>) -> Self {
        let regex = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| go_regex::compile(text).ok());
        Self { text, regex }
    }
}

/// A value of a context as an operand.
fn operand(value: ValueRef<'_>) -> Result<Operand<'_>, Mismatch> {
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

fn literal_operand(literal: &Literal) -> Operand<'_> {
    match literal {
        Literal::String(text) => Operand::String(text),
        Literal::Number(number) => Operand::Number(*number),
        Literal::Bool(value) => Operand::Bool(*value),
        Literal::Strings(strings) => Operand::Strings(strings),
        Literal::Numbers(numbers) => Operand::Numbers(numbers),
    }
}

fn boolean(operand: Operand<'_>) -> Result<bool, Mismatch> {
    match operand {
        Operand::Bool(value) => Ok(value),
        _ => Err(Mismatch::NotBoolean),
    }
}

/// Applies any operator but AND and OR, which need not look at their right.
fn apply(operator: Operator, left: Operand<'_>, right: Operand<'_>) -> Result<bool, Mismatch> {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => equal(left, right).map(|equal| !equal),
        Operator::Less => compare(left, right, |a, b| a < b),
        Operator::LessOrEqual => compare(left, right, |a, b| a < b || nearly_equal(a, b)),
        Operator::Greater => compare(left, right, |a, b| a > b),
        Operator::GreaterOrEqual => compare(left, right, |a, b| a > b || nearly_equal(a, b)),
        Operator::Matches => is_match(left, right),
        Operator::NotMatches => is_match(left, right).map(|matches| !matches),
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
pub(crate) fn nearly_equal(left: f64, right: f64) -> bool {
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

fn is_match(left: Operand<'_>, right: Operand<'_>) -> Result<bool, Mismatch> {
    let Operand::String(text) = left else {
        return Err(Mismatch::DifferentTypes);
    };
    match right {
        Operand::Pattern(pattern) => {
            let regex = pattern.regex.as_ref().ok_or(Mismatch::InvalidPattern)?;
            Ok(matches_bytes(regex, text))
        }
        // A pattern out of the context: compiled each time, never kept.
        Operand::String(pattern) => {
            let regex = std::str::from_utf8(pattern)
                .ok()
                .and_then(|pattern| go_regex::compile(pattern).ok())
                .ok_or(Mismatch::InvalidPattern)?;
            Ok(matches_bytes(&regex, text))
        }
        _ => Err(Mismatch::DifferentTypes),
    }
}

/// Go reads each byte that is no UTF-8 as U+FFFD; only a literal can have one.
fn matches_bytes(regex: &Regex, text: &[u8]) -> bool {
    match std::str::from_utf8(text) {
        Ok(text) => regex.is_match(text),
        Err(_) => {
            let text: String = text
                .utf8_chunks()
                .flat_map(|chunk| {
                    let broken = chunk.invalid().iter();
                    chunk
                        .valid()
                        .chars()
                        .chain(broken.map(|_| char::REPLACEMENT_CHARACTER))
                })
                .collect();
            regex.is_match(&text)
        }
    }
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
