//! The constraint language: from the constraints of a segment to what is
//! evaluated.
//!
//! Flagr joins all constraints of a segment into one text,
//! `({property} operator value) AND (…)`, and parses that text as a whole
//! (Flagr 1.2, `pkg/entity/constraint.go`). A value can therefore carry more
//! grammar than a literal, and can even end the text early; so it is here.
//!
//! Two operators go beyond Flagr, for flags from files and from code. They
//! stand beside that text and are ANDed behind it: `MATCHES`, a regular
//! expression taken literally, and `CEL`, an expression over the context.

#[cfg(feature = "cel")]
mod cel;
pub(crate) mod cel_text;
mod expression;
mod foreign;
mod go_regex;
mod literal;
mod measure;
mod operand;
mod operator;
mod parser;
mod pattern;
mod program;
pub(crate) mod render;
mod scanner;
mod size;
mod work;

#[cfg(all(test, feature = "cel"))]
pub(crate) use cel::without_threads::NoThreadFor;
pub(crate) use expression::{Attribute, Expression, Observer, Test, Unobserved};
pub(crate) use operand::{Mismatch, Operand};
pub(crate) use operator::Operator;
pub(crate) use work::Work;

use crate::excerpt::{excerpt, name};
use crate::flag;
pub(crate) use pattern::{Memory, Needs, Patterns};

/// The operator of a regular expression whose pattern is taken literally.
const MATCHES: &str = "MATCHES";
/// The most bytes that the joined text of a segment's constraints may have. A
/// database of Flagr holds 64 KiB for each.
const MAX_TEXT: usize = 1 << 20;
/// The operator of a CEL expression.
const CEL: &str = "CEL";

/// The compiled constraints of one segment.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) expression: Expression,
    /// Parts of the constraints' text that Flagr's parser reads over: they
    /// have no effect.
    pub(crate) ignored: Box<[Box<str>]>,
}

/// How strictly constraints are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// As Flagr's database mode: only the joined text must parse.
    Joined,
    /// As Flagr's API and file mode: each constraint must parse by itself, too.
    Each,
}

impl Condition {
    /// Compiles the constraints of a segment; `None` if there are none. Patterns
    /// that are known already are not compiled again.
    ///
    /// # Errors
    ///
    /// Names the constraint and what is wrong with it; its value is not in it.
    /// What is beyond [`Limits::constraint_set_bytes`](crate::Limits) is the flag's
    /// problem, see [`Patterns::exceeded`].
    pub(crate) fn compile(
        constraints: &[flag::Constraint],
        strictness: Strictness,
        patterns: &mut Patterns<'_>,
    ) -> Result<Option<Self>, String> {
        let mut joined = String::new();
        let mut beyond = Vec::new();
        for (index, constraint) in constraints.iter().enumerate() {
            let describe = |problem: String| describe(index, constraint, &problem);
            match constraint.operator.as_str() {
                MATCHES | CEL => {
                    let expression = match constraint.operator.as_str() {
                        MATCHES => matches(constraint, patterns),
                        _ => cel(constraint, patterns),
                    };
                    let expression = expression.map_err(describe)?;
                    patterns.take(expression.bytes())?;
                    beyond.push(expression);
                }
                _ => {
                    if !joined.is_empty() {
                        joined.push_str(" AND ");
                    }
                    let start = joined.len();
                    push_text(constraint, &mut joined).map_err(describe)?;
                    if joined.len() > MAX_TEXT {
                        let message = format!("the constraints have more than {MAX_TEXT} bytes");
                        return Err(message);
                    }
                    if strictness == Strictness::Each {
                        let text = joined.get(start..).unwrap_or_default();
                        parser::parse(text).map_err(describe)?;
                    }
                }
            }
        }
        let mut ignored: Box<[_]> = Box::default();
        let ordinary = if joined.is_empty() {
            None
        } else {
            let describe = |problem: String| format!("constraints joined by AND: {problem}");
            let parsed = parser::parse(&joined).map_err(describe)?;
            let ranges = parsed.ignored.into_iter();
            let texts = ranges.filter_map(|range| joined.get(range));
            ignored = texts.map(Box::from).collect();
            patterns.take(size::texts(&ignored))?;
            let expression = parsed.expression.optimized(patterns).map_err(describe)?;
            patterns.take(expression.bytes())?;
            Some(expression)
        };
        if !beyond.is_empty() {
            patterns.take(size::array::<Expression>(beyond.len() + 1))?;
        }
        Ok(expression::joined(ordinary, beyond).map(|expression| Self {
            expression,
            ignored,
        }))
    }
}

/// What is wrong with a constraint. It names property and operator, and never
/// the value: that can be long, and a list of people.
fn describe(index: usize, constraint: &flag::Constraint, problem: &str) -> String {
    const PROBLEM: usize = 256;
    let (property, operator) = (name(&constraint.property), name(&constraint.operator));
    let problem = excerpt(problem, PROBLEM);
    format!("constraint[{index}] ({property:?} {operator}): {problem}")
}

/// Appends the text that Flagr makes of one constraint.
fn push_text(constraint: &flag::Constraint, text: &mut String) -> Result<(), String> {
    let flag::Constraint {
        property,
        operator,
        value,
        ..
    } = constraint;
    if property.is_empty() || operator.is_empty() || value.is_empty() {
        return Err("property, operator and value must all be given".to_owned());
    }
    let symbol = Operator::symbol_of(operator).ok_or_else(|| {
        let operator = name(operator);
        format!("there is no operator {operator:?}; Flagr's are written in capital letters")
    })?;
    // Go's `strings.TrimSpace` and `str::trim` agree on what a blank is.
    let value = value.trim();
    let pattern = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|pattern| matches!(symbol, "=~" | "!~") && !pattern.contains('/'));
    let (open, value, close) = match pattern {
        Some(pattern) => ("/", pattern, "/)"),
        None => ("", value, ")"),
    };
    let parts = ["({", property, "} ", symbol, " ", open, value, close];
    text.reserve(parts.iter().map(|part| part.len()).sum());
    parts.into_iter().for_each(|part| text.push_str(part));
    Ok(())
}

/// `property MATCHES pattern`: the pattern is the value as it stands, blanks
/// included.
fn matches(
    constraint: &flag::Constraint,
    patterns: &mut Patterns<'_>,
) -> Result<Expression, String> {
    let attribute = attribute(&constraint.property)?;
    let pattern = patterns.go(constraint.value.as_bytes().into())?;
    if pattern.program.is_none() {
        return Err(go_regex::refusal(&constraint.value));
    }
    let pattern = Expression::Pattern(pattern);
    let test = Test::new(attribute, Operator::Matches, pattern);
    Ok(Expression::Test(Box::new(test)))
}

/// A property by Flagr's grammar, and nothing beside it.
fn attribute(property: &str) -> Result<Attribute, String> {
    let invalid = || format!("{:?} is no property", name(property));
    let text = format!("{{{property}}}");
    match parser::parse(&text) {
        Ok(parsed) if parsed.ignored.is_empty() => match parsed.expression {
            Expression::Attribute(attribute) => Ok(attribute),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

#[cfg(feature = "cel")]
fn cel(constraint: &flag::Constraint, patterns: &mut Patterns<'_>) -> Result<Expression, String> {
    match cel::CelProgram::compile(&constraint.value, patterns) {
        Ok(program) => Ok(Expression::Cel(program.into())),
        Err(error) => {
            if error.is_temporary() {
                patterns.set_temporary();
            }
            Err(error.to_string())
        }
    }
}

#[cfg(not(feature = "cel"))]
fn cel(_: &flag::Constraint, _: &mut Patterns<'_>) -> Result<Expression, String> {
    Err("operator CEL needs the feature `cel` of vexilla-core".to_owned())
}
