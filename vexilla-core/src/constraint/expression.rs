//! The compiled form of constraints: what is evaluated, explained and rendered.
//!
//! Evaluating follows conditions v0.2.6 (`evaluator.go`). A [`Mismatch`]
//! anywhere that is evaluated is one of the whole: no operator, not even a
//! negated one or an `OR`, makes it a match.

use std::fmt;

#[cfg(feature = "cel")]
use super::cel::CelProgram;
use super::literal::Literal;
use super::operand::{Mismatch, Operand, apply, boolean, literal_operand, operand};
use super::operator::Operator;
use super::pattern::{Pattern, Patterns};
use super::work::Work;
use crate::context::text::Head;
use crate::context::{EvaluationContext, Text, Value, ValueRef};

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
    All(Box<[Self]>),
    /// Operands joined by OR alone.
    Any(Box<[Self]>),
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
    /// The head of the text, if the test is whether the attribute is a certain
    /// text, which nearly every constraint is.
    is: Option<Head>,
}

/// Where in a context a value is found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) name: Box<str>,
    head: Head,
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

/// Is told what an evaluation does, and keeps what it may still do.
/// [`Unobserved`] is told nothing, which costs nothing.
pub(crate) trait Observer {
    /// What the evaluation may still do.
    fn work(&mut self) -> &mut Work;

    /// An expression is about to be evaluated.
    fn enter(&mut self, expression: &Expression) {
        let _ = expression;
    }

    /// What the attribute of this test, or of an [`Expression::Attribute`], was.
    fn value<'a>(&mut self, test: Option<&Test>, value: impl FnOnce() -> Option<ValueRef<'a>>) {
        let _ = (test, value);
    }

    /// Why the expression that was entered last has no answer, where there is
    /// more to say than a [`Mismatch`] does.
    #[cfg(feature = "cel")]
    fn because(&mut self, reason: &dyn fmt::Display) {
        let _ = reason;
    }

    /// What the expression, which was entered last and not left, was.
    fn leave(&mut self, expression: &Expression, outcome: Result<Operand<'_>, Mismatch>) {
        let _ = (expression, outcome);
    }
}

/// Only keeps what an evaluation may still do.
#[derive(Debug, Default)]
pub(crate) struct Unobserved(Work);

impl Observer for Unobserved {
    #[inline]
    fn work(&mut self) -> &mut Work {
        &mut self.0
    }
}

impl Expression {
    /// Whether the context matches.
    #[inline(always)]
    pub(crate) fn matches<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        observer.enter(self);
        let outcome = match self {
            Self::Test(test) => test.matches(context, observer),
            other => other.holds(context, observer),
        };
        observer.leave(self, outcome.map(Operand::Bool));
        outcome
    }

    fn holds<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        match self {
            Self::All(operands) => all(operands, context, observer),
            Self::Any(operands) => any(operands, context, observer),
            Self::Chain(chain) => chain.matches(context, observer),
            #[cfg(feature = "cel")]
            Self::Cel(program) => program
                .evaluate(
                    context.entity_id(),
                    context.entity_type(),
                    context.attributes(),
                    observer.work(),
                )
                .map_err(|reason| {
                    observer.because(&reason);
                    reason.mismatch()
                }),
            value => value.value(context, observer).and_then(boolean),
        }
    }

    /// The expression as an operand of others.
    fn operand<'a, C: EvaluationContext, O: Observer>(
        &'a self,
        context: &'a C,
        observer: &mut O,
    ) -> Result<Operand<'a>, Mismatch> {
        observer.enter(self);
        let value = self.value(context, observer);
        observer.leave(self, value);
        value
    }

    fn value<'a, C: EvaluationContext, O: Observer>(
        &'a self,
        context: &'a C,
        observer: &mut O,
    ) -> Result<Operand<'a>, Mismatch> {
        match self {
            Self::Attribute(attribute) => {
                let value = attribute.find(context);
                observer.value(None, || value.ok());
                value.and_then(operand)
            }
            Self::Literal(literal) => Ok(literal_operand(literal)),
            Self::Pattern(pattern) => Ok(Operand::Pattern(pattern)),
            Self::Test(test) => test.matches(context, observer).map(Operand::Bool),
            condition => condition.holds(context, observer).map(Operand::Bool),
        }
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
    ///
    /// # Errors
    ///
    /// A pattern beyond our limits.
    pub(super) fn optimized(self, patterns: &mut Patterns<'_>) -> Result<Self, String> {
        match self {
            Self::Chain(chain) => chain.optimized(patterns),
            other => Ok(other),
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
    fn matches<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        let mut left = self.first.operand(context, observer)?;
        for (operator, right) in &self.rest {
            left = Operand::Bool(match operator {
                Operator::And => boolean(left)? && right.matches(context, observer)?,
                Operator::Or => boolean(left)? || right.matches(context, observer)?,
                _ => {
                    let right = right.operand(context, observer)?;
                    apply(*operator, left, right, observer.work())?
                }
            });
        }
        boolean(left)
    }

    fn optimized(self, patterns: &mut Patterns<'_>) -> Result<Expression, String> {
        let first = self.first.optimized(patterns)?;
        let mut rest = Vec::with_capacity(self.rest.len());
        for (operator, operand) in self.rest {
            let operand = match (operator, operand.optimized(patterns)?) {
                (
                    Operator::Matches | Operator::NotMatches,
                    Expression::Literal(Literal::String(text)),
                ) => Expression::Pattern(patterns.go(text)?),
                (_, operand) => operand,
            };
            rest.push((operator, operand));
        }
        let only = |wanted| rest.iter().all(|(operator, _)| *operator == wanted);
        if only(Operator::And) {
            return Ok(Expression::All(flattened(
                first,
                rest,
                |inner| match inner {
                    Expression::All(operands) => Ok(operands),
                    other => Err(other),
                },
            )));
        }
        if only(Operator::Or) {
            return Ok(Expression::Any(flattened(
                first,
                rest,
                |inner| match inner {
                    Expression::Any(operands) => Ok(operands),
                    other => Err(other),
                },
            )));
        }
        let is_test = matches!(
            (&first, rest.as_slice()),
            (
                Expression::Attribute(_),
                [(_, Expression::Literal(_) | Expression::Pattern(_))]
            )
        );
        Ok(match (first, rest.pop()) {
            (Expression::Attribute(attribute), Some((operator, operand))) if is_test => {
                Expression::Test(Box::new(Test::new(attribute, operator, operand)))
            }
            (first, last) => {
                rest.extend(last);
                Expression::Chain(Box::new(Self { first, rest }))
            }
        })
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
    pub(super) fn new(attribute: Attribute, operator: Operator, operand: Expression) -> Self {
        let is = match (&*attribute.steps, operator, &operand) {
            ([], Operator::Equal, Expression::Literal(Literal::String(text))) => {
                Some(Head::of(text))
            }
            _ => None,
        };
        Self {
            attribute,
            operator,
            operand,
            is,
        }
    }

    #[inline(always)]
    fn matches<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        if let (Some(head), Expression::Literal(Literal::String(text))) = (self.is, &self.operand)
            && let Some(is) = context.is(&self.attribute.name(), &Text::with_head(text, head))
        {
            observer.value(Some(self), || self.attribute.find(context).ok());
            return Ok(is);
        }
        self.matches_any(context, observer)
    }

    fn matches_any<C: EvaluationContext, O: Observer>(
        &self,
        context: &C,
        observer: &mut O,
    ) -> Result<bool, Mismatch> {
        let value = self.attribute.find(context);
        observer.value(Some(self), || value.ok());
        self.apply(value?, observer.work())
    }

    /// The common cases without a detour; all others as [`apply`] has them.
    #[inline(always)]
    fn apply(&self, value: ValueRef<'_>, work: &mut Work) -> Result<bool, Mismatch> {
        match (value, self.operator, &self.operand) {
            (
                ValueRef::String(value),
                Operator::In,
                Expression::Literal(Literal::Strings(literal)),
            ) => Ok(literal.contains(value)),
            (
                ValueRef::String(value),
                Operator::Matches,
                Expression::Pattern(Pattern {
                    program: Some(program),
                    ..
                }),
            ) => {
                work.take(program.work(value.len()))?;
                Ok(program.is_match(value))
            }
            (value, ..) => self.apply_any(value, work),
        }
    }

    #[inline(never)]
    fn apply_any(&self, value: ValueRef<'_>, work: &mut Work) -> Result<bool, Mismatch> {
        let written = match &self.operand {
            Expression::Literal(literal) => literal_operand(literal),
            Expression::Pattern(pattern) => Operand::Pattern(pattern),
            _ => return Err(Mismatch::NotComparable),
        };
        apply(self.operator, operand(value)?, written, work)
    }
}

impl Attribute {
    pub(super) fn new(name: String, steps: Vec<Step>) -> Self {
        Self {
            head: Head::of(name.as_bytes()),
            name: name.into(),
            steps: steps.into(),
        }
    }

    fn name(&self) -> Text<'_> {
        Text::with_head(self.name.as_bytes(), self.head)
    }

    /// Walks to the value; a missing one and null are mismatches.
    #[inline(always)]
    pub(crate) fn find<'a, C: EvaluationContext>(
        &self,
        context: &'a C,
    ) -> Result<ValueRef<'a>, Mismatch> {
        let value = context.find(&self.name());
        let value = match self.steps.is_empty() {
            true => value.ok_or(Mismatch::AttributeMissing)?,
            false => self.walk(value.ok_or(Mismatch::AttributeMissing)?)?,
        };
        match value {
            ValueRef::Null => Err(Mismatch::AttributeNull),
            value => Ok(value),
        }
    }

    fn walk<'a>(&self, from: ValueRef<'a>) -> Result<ValueRef<'a>, Mismatch> {
        let mut steps = self.steps.iter();
        let end = steps.try_fold(from, |value, step| step.take(value));
        end.ok_or(Mismatch::PathBroken)
    }
}

impl Step {
    fn take<'a>(&self, value: ValueRef<'a>) -> Option<ValueRef<'a>> {
        let inner = match (self, value) {
            (Self::Key(key), ValueRef::Map(members)) => members.get(&**key),
            (Self::Index(index), ValueRef::List(items)) => {
                let length = i64::try_from(items.len()).ok()?;
                let index = if *index < 0 {
                    length.checked_add(*index)?
                } else {
                    *index
                };
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
