//! Constraints as text: in Flagr's own spelling, and as CEL.
//!
//! The CEL rendering answers the same as the constraint for every context, as
//! long as its numbers are finite, and as they are equal where Flagr finds them
//! equal: it compares numbers within 1e-6, while the rendering says `age >= 18`,
//! as one would write it. Flagr's type rules are written out where
//! CEL's differ: a value that cannot be compared is an error in Flagr and
//! `false` in CEL, which is the same as long as only ANDs stand around it, and
//! not below a negation or an OR. There the rendering makes the error explicit.

use std::fmt::{self, Write as _};

use super::cel_text::{is_identifier, number_literal, string_literal};
use super::expression::{Attribute, Chain, Expression, Step, Test};
use super::literal::Literal;
use super::operand::nearly_equal;
use super::operator::Operator;
use super::pattern::Pattern;
use crate::context::{Value, ValueRef};

/// An expression that always fails, for what is an error in Flagr.
const ERROR: &str = "1 / 0 == 0";

/// What CEL cannot express.
pub(crate) type NotExpressible = &'static str;

/// The longest text that is rendered, in bytes, and about the longest CEL: what
/// is longer helps nobody to see why.
const MAX_TEXT: usize = 2 << 10;
const MAX_CEL: usize = 16 << 10;
const TOO_LONG: NotExpressible = "more text than a CEL constraint may have";

/// The constraint in Flagr's spelling, with brackets that show how it is
/// parsed. Long text is cut.
pub(crate) fn text(expression: &Expression) -> String {
    let mut out = Cut(String::with_capacity(USUAL));
    match write_text(expression, &mut out) {
        Ok(()) => out.0,
        Err(fmt::Error) => out.0 + "…",
    }
}

/// Most constraints are no longer than this, in bytes.
const USUAL: usize = 64;

/// Takes text until it is long enough.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|at| text.is_char_boundary(*at));
        self.0
            .push_str(text.get(..end.unwrap_or(0)).unwrap_or_default());
        Err(fmt::Error)
    }
}

fn write_text(expression: &Expression, out: &mut Cut) -> fmt::Result {
    match expression {
        Expression::Attribute(attribute) => write!(out, "{{{attribute}}}"),
        Expression::Literal(literal) => write!(out, "{literal}"),
        Expression::Pattern(pattern) => {
            write!(out, "/{}/", String::from_utf8_lossy(&pattern.text))
        }
        Expression::Test(test) => {
            write!(out, "{{{}}} {} ", test.attribute, test.operator)?;
            write_text(&test.operand, out)
        }
        Expression::All(operands) => write_joined(operands, Operator::And, out),
        Expression::Any(operands) => write_joined(operands, Operator::Or, out),
        Expression::Chain(chain) => {
            write_part(&chain.first, out)?;
            chain.rest.iter().try_for_each(|(operator, operand)| {
                write!(out, " {operator} ")?;
                write_part(operand, out)
            })
        }
        #[cfg(feature = "cel")]
        Expression::Cel(program) => out.write_str(program.source()),
    }
}

fn write_joined(operands: &[Expression], operator: Operator, out: &mut Cut) -> fmt::Result {
    operands
        .iter()
        .enumerate()
        .try_for_each(|(index, operand)| {
            if index > 0 {
                write!(out, " {operator} ")?;
            }
            write_part(operand, out)
        })
}

fn write_part(expression: &Expression, out: &mut Cut) -> fmt::Result {
    match expression {
        Expression::Attribute(_) | Expression::Literal(_) | Expression::Pattern(_) => {
            write_text(expression, out)
        }
        _ => {
            out.write_str("(")?;
            write_text(expression, out)?;
            out.write_str(")")
        }
    }
}

/// The constraint as a CEL expression.
///
/// # Errors
///
/// The name of what CEL cannot express.
pub(crate) fn cel(expression: &Expression) -> Result<String, NotExpressible> {
    condition(expression, Strict::No)
}

/// Whether the test compares this value of its attribute with a number that Flagr
/// finds equal to it though it is not, so that the CEL may answer otherwise.
pub(crate) fn is_within_tolerance(test: &Test, value: ValueRef<'_>) -> bool {
    let Expression::Literal(literal) = &test.operand else {
        return false;
    };
    let is_near = |one: f64, other: f64| one != other && nearly_equal(one, other);
    match (literal, value) {
        // Exact in Flagr as well.
        _ if matches!(test.operator, Operator::Less | Operator::Greater) => false,
        (Literal::Number(number), ValueRef::Number(value)) => is_near(*number, value),
        (Literal::Numbers(numbers), ValueRef::Number(value)) => {
            numbers.iter().any(|number| is_near(*number, value))
        }
        (Literal::Number(number), ValueRef::List(items)) => items
            .iter()
            .any(|item| matches!(item, Value::Number(item) if is_near(*number, *item))),
        _ => false,
    }
}

/// Whether an error must stay an error, or may as well be `false`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strict {
    Yes,
    No,
}

fn condition(expression: &Expression, strict: Strict) -> Result<String, NotExpressible> {
    unbounded_condition(expression, strict).and_then(|text| match text.len() {
        0..=MAX_CEL => Ok(text),
        _ => Err(TOO_LONG),
    })
}

fn unbounded_condition(expression: &Expression, strict: Strict) -> Result<String, NotExpressible> {
    match expression {
        Expression::Test(test) => test_condition(test, strict),
        Expression::All(operands) => all(operands, strict),
        Expression::Any(operands) => any(operands),
        Expression::Chain(chain) => chain_condition(chain),
        Expression::Literal(Literal::Bool(value)) => Ok(value.to_string()),
        Expression::Literal(_) | Expression::Pattern(_) => Ok(failure(strict)),
        Expression::Attribute(attribute) => {
            let value = path(attribute)?;
            Ok(guarded(&format!("type({value}) == bool"), &value, strict))
        }
        #[cfg(feature = "cel")]
        Expression::Cel(program) if strict == Strict::No => Ok(format!("({})", program.source())),
        #[cfg(feature = "cel")]
        Expression::Cel(_) => Err("a CEL expression below another operator"),
    }
}

fn failure(strict: Strict) -> String {
    match strict {
        Strict::Yes => ERROR.to_owned(),
        Strict::No => "false".to_owned(),
    }
}

/// `condition` where `guard` holds, else an error.
fn guarded(guard: &str, condition: &str, strict: Strict) -> String {
    match strict {
        Strict::Yes => format!("({guard} ? {condition} : {ERROR})"),
        Strict::No => format!("({guard} && {condition})"),
    }
}

fn all(operands: &[Expression], strict: Strict) -> Result<String, NotExpressible> {
    let operands = conditions(operands, strict)?;
    if strict == Strict::No {
        return Ok(operands.join(" && "));
    }
    // CEL's && forgives an error beside a false side; Flagr's AND does not.
    Ok(nested(&operands, " ? ", " : false)"))
}

fn any(operands: &[Expression]) -> Result<String, NotExpressible> {
    // Nor does Flagr's OR forgive one beside a true side.
    let operands = conditions(operands, Strict::Yes)?;
    Ok(nested(&operands, " ? true : ", ")"))
}

/// Each of the operands, as long as all together are not too long.
fn conditions(operands: &[Expression], strict: Strict) -> Result<Vec<String>, NotExpressible> {
    let mut length = 0;
    let operands = operands.iter().map(|operand| {
        let text = condition(operand, strict)?;
        length += text.len();
        match length {
            0..=MAX_CEL => Ok(text),
            _ => Err(TOO_LONG),
        }
    });
    operands.collect()
}

/// `(a open (b open c close close`.
fn nested(operands: &[String], open: &str, close: &str) -> String {
    let mut out = String::new();
    let before_last = operands.len().saturating_sub(1);
    for (index, operand) in operands.iter().enumerate() {
        let is_last = index == before_last;
        out.push_str(if is_last { "" } else { "(" });
        out.push_str(operand);
        out.push_str(if is_last { "" } else { open });
    }
    out.push_str(&close.repeat(before_last));
    out
}

fn chain_condition(chain: &Chain) -> Result<String, NotExpressible> {
    // Each operator encloses all that stands before it.
    let mut out = String::new();
    for (operator, _) in chain.rest.iter().rev() {
        out.push_str(if *operator == Operator::Nand {
            "(["
        } else {
            "("
        });
    }
    out.push_str(&condition_operand(&chain.first)?);
    for (operator, operand) in &chain.rest {
        let right = condition_operand(operand)?;
        out.push_str(&match operator {
            Operator::And => format!(" ? {right} : false)"),
            Operator::Or => format!(" ? true : {right})"),
            Operator::Xor | Operator::NotEqual => format!(" != {right})"),
            Operator::Equal => format!(" == {right})"),
            // A list has both, so that an error in either is one.
            Operator::Nand => format!(", {right}] != [true, true])"),
            _ => return Err("a comparison of the outcomes of comparisons"),
        });
        if out.len() > MAX_CEL {
            return Err(TOO_LONG);
        }
    }
    Ok(out)
}

/// An operand of a chain, which must be one that yields a boolean by itself.
fn condition_operand(expression: &Expression) -> Result<String, NotExpressible> {
    match expression {
        Expression::Attribute(_) => Err("an operator between attributes"),
        Expression::Literal(Literal::Bool(_)) => condition(expression, Strict::Yes),
        Expression::Literal(_) | Expression::Pattern(_) => Err("an operator between literals"),
        _ => condition(expression, Strict::Yes).map(|text| format!("({text})")),
    }
}

fn test_condition(test: &Test, strict: Strict) -> Result<String, NotExpressible> {
    let value = path(&test.attribute)?;
    let literal = match &test.operand {
        Expression::Literal(literal) => literal,
        Expression::Pattern(pattern) => return pattern_condition(&value, test, pattern, strict),
        _ => return Err("an operator between attributes"),
    };
    let is = |kind: &str| format!("type({value}) == {kind}");
    let mut not_equal = None;
    let mut equal = |right: &str| {
        not_equal = Some(format!("{value} != {right}"));
        format!("{value} == {right}")
    };
    let (guard, positive) = match (test.operator, literal) {
        (Operator::Equal | Operator::NotEqual, Literal::String(bytes)) => {
            (is("string"), equal(&utf8(bytes)?))
        }
        (Operator::Equal | Operator::NotEqual, Literal::Bool(literal)) => {
            (is("bool"), equal(&literal.to_string()))
        }
        (Operator::Equal | Operator::NotEqual, Literal::Number(literal)) => {
            (is("double"), equal(&number(*literal)))
        }
        (Operator::Less, Literal::Number(literal)) => {
            (is("double"), format!("{value} < {}", number(*literal)))
        }
        (Operator::Greater, Literal::Number(literal)) => {
            (is("double"), format!("{value} > {}", number(*literal)))
        }
        (Operator::LessOrEqual, Literal::Number(literal)) => {
            (is("double"), format!("{value} <= {}", number(*literal)))
        }
        (Operator::GreaterOrEqual, Literal::Number(literal)) => {
            (is("double"), format!("{value} >= {}", number(*literal)))
        }
        (Operator::In | Operator::NotIn, Literal::Strings(strings)) => {
            let items: Vec<_> = strings
                .as_slice()
                .iter()
                .map(|item| string_literal(item))
                .collect();
            (is("string"), format!("{value} in [{}]", items.join(", ")))
        }
        (Operator::In | Operator::NotIn, Literal::Numbers(numbers)) => {
            let items: Vec<_> = numbers.iter().map(|item| number(*item)).collect();
            (is("double"), format!("{value} in [{}]", items.join(", ")))
        }
        (Operator::Contains | Operator::NotContains, Literal::String(bytes)) => (
            list_guard(&value, "string"),
            format!("{} in {value}", utf8(bytes)?),
        ),
        (Operator::Contains | Operator::NotContains, Literal::Number(literal)) => (
            list_guard(&value, "double"),
            format!("{} in {value}", number(*literal)),
        ),
        // Types that the operator does not take.
        _ => return Ok(failure(strict)),
    };
    let negative = not_equal.unwrap_or_else(|| format!("!({positive})"));
    let negated = matches!(
        test.operator,
        Operator::NotEqual | Operator::NotIn | Operator::NotContains
    );
    let is_order = matches!(
        test.operator,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual
    );
    let is_list = matches!(test.operator, Operator::Contains | Operator::NotContains);
    Ok(match strict {
        _ if negated => guarded(&guard, &negative, strict),
        // CEL orders no values of different types.
        _ if is_order => positive,
        // Nor does it find them equal.
        Strict::No if !is_list => positive,
        _ => guarded(&guard, &positive, strict),
    })
}

fn list_guard(value: &str, kind: &str) -> String {
    format!("type({value}) == list && size({value}) > 0 && {value}.all(item, type(item) == {kind})")
}

fn pattern_condition(
    value: &str,
    test: &Test,
    pattern: &Pattern,
    strict: Strict,
) -> Result<String, NotExpressible> {
    let Some(program) = &pattern.program else {
        return Ok(failure(strict));
    };
    // Fails by itself for what is no string.
    let matches = format!("{value}.matches({})", string_literal(program.text()));
    Ok(match test.operator {
        Operator::NotMatches => format!("!{matches}"),
        _ => matches,
    })
}

fn utf8(bytes: &[u8]) -> Result<String, NotExpressible> {
    std::str::from_utf8(bytes)
        .map(string_literal)
        .map_err(|_| "a string literal that is not UTF-8")
}

/// A number as one would write it: `18`, `-0.5`, `1e21`.
fn number(number: f64) -> String {
    /// The end of the integers that are all floats, too.
    const END: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.fract() == 0.0 && number.abs() < END {
        // Without a `-` before 0.
        return format!("{:.0}", number + 0.0);
    }
    number_literal(number)
}

/// Where the value of an attribute is found.
fn path(attribute: &Attribute) -> Result<String, NotExpressible> {
    const TAKEN: [&str; 3] = ["ctx", "entity_id", "entity_type"];
    let name = &*attribute.name;
    let mut path = if is_identifier(name) && !TAKEN.contains(&name) && !is_type(name) {
        name.to_owned()
    } else {
        format!("ctx[{}]", string_literal(name))
    };
    for step in &attribute.steps {
        match step {
            Step::Key(key) if is_identifier(key) => path.extend([".", key]),
            Step::Key(key) => path.extend(["[", &string_literal(key), "]"]),
            Step::Index(index) if *index >= 0 => path.push_str(&format!("[{index}]")),
            // Names the path twice.
            Step::Index(index) => {
                path = format!("{path}[size({path}) - {}]", index.unsigned_abs());
            }
        }
        if path.len() > MAX_CEL {
            return Err(TOO_LONG);
        }
    }
    Ok(path)
}

/// Names that mean a type where no attribute has them.
fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "bytes"
            | "double"
            | "int"
            | "list"
            | "map"
            | "null_type"
            | "string"
            | "type"
            | "uint"
    )
}
