//! The functions that expressions may call, CEL's own and those that the compiler puts in.
//!
//! Names that begin with `@` cannot be written in an expression.

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelString, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError};

use super::allowance;
use super::pattern::Pattern;

/// Functions that may be called as `f(x)`, with the number of their arguments.
pub(super) const GLOBAL: [(&str, usize); 9] = [
    ("size", 1),
    ("int", 1),
    ("uint", 1),
    ("double", 1),
    ("string", 1),
    ("bool", 1),
    ("bytes", 1),
    ("type", 1),
    ("dyn", 1),
];
/// Functions that may be called as `x.f(y)`, with the number of their arguments beside `x`.
pub(super) const MEMBER: [(&str, usize); 4] = [
    ("size", 0),
    ("contains", 1),
    ("startsWith", 1),
    ("endsWith", 1),
];

/// Pays for the use of a comprehension's variable and hands it on: `@use(x)`.
pub(super) const USE: &str = "@use";
/// Pays for the rounds of a comprehension and hands on what it runs over: `@rounds(list, cost)`.
pub(super) const ROUNDS: &str = "@rounds";
/// Whether a string matches a compiled [`Pattern`]: `@matches(string, pattern)`.
pub(super) const MATCHES: &str = "@matches";

/// CEL's arithmetic operators and the functions that stand in for them.
pub(super) const ARITHMETIC: [(&str, &str); 5] = [
    ("_+_", "@add"),
    ("_-_", "@subtract"),
    ("_*_", "@multiply"),
    ("_/_", "@divide"),
    ("_%_", "@remainder"),
];

/// The scope that every run begins from: functions and type names, no variables. One for all,
/// because building it takes longer than most runs.
pub(super) static ROOT: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    let functions: [(&str, usize, cel::common::functions::Function); 8] = [
        (USE, 1, pay_for_use),
        (ROUNDS, 2, pay_for_rounds),
        (MATCHES, 2, matches),
        ("@add", 2, add),
        ("@subtract", 2, subtract),
        ("@multiply", 2, multiply),
        ("@divide", 2, divide),
        ("@remainder", 2, remainder),
    ];
    for (name, arguments, function) in functions {
        // only a name taken twice is refused; expressions that call it would not match then
        let types = (0..arguments).map(|_| DYN_TYPE).collect();
        let declared = env.add_overload(name, name, types, function);
        debug_assert!(declared.is_ok(), "{name} is declared twice");
    }
    Context::with_env(Arc::new(env))
});

type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn inapplicable(function: &str) -> ExecutionError {
    ExecutionError::no_such_overload(function, Vec::new())
}

fn pay_for_use<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Outcome<'b, 'v> {
    let value = arguments
        .into_iter()
        .next()
        .ok_or_else(|| inapplicable(USE))?;
    if allowance::pay(allowance::of_value(value.as_ref())) {
        Ok(value)
    } else {
        Err(inapplicable(USE))
    }
}

fn pay_for_rounds<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Outcome<'b, 'v> {
    let mut arguments = arguments.into_iter();
    let (Some(range), Some(cost)) = (arguments.next(), arguments.next()) else {
        return Err(inapplicable(ROUNDS));
    };
    let rounds = range.as_sizer().map(|sizer| sizer.size().into_inner());
    let rounds = rounds.and_then(|rounds| usize::try_from(rounds).ok());
    let cost = cost
        .downcast_ref::<CelInt>()
        .and_then(|cost| usize::try_from(*cost.inner()).ok());
    let (Some(rounds), Some(cost)) = (rounds, cost) else {
        return Err(inapplicable(ROUNDS));
    };
    if allowance::pay(rounds.saturating_mul(cost)) {
        Ok(range)
    } else {
        Err(inapplicable(ROUNDS))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the interpreter calls functions of this signature"
)]
fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Outcome<'b, 'v> {
    let [text, pattern] = arguments.as_slice() else {
        return Err(inapplicable(MATCHES));
    };
    let (Some(text), Some(pattern)) = (
        text.downcast_ref::<CelString<'_>>(),
        pattern.downcast_ref::<Pattern>(),
    ) else {
        return Err(inapplicable(MATCHES));
    };
    let text_cost = allowance::of_text(text.inner().len());
    if !(allowance::pay(text_cost) && allowance::pay_work(pattern.work(text.inner()))) {
        return Err(inapplicable(MATCHES));
    }
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
}

/// Both operands as doubles, when they are numbers and at least one is a double.
fn doubles(left: &dyn Val, right: &dyn Val) -> Option<(f64, f64)> {
    let is_double = |value: &dyn Val| value.downcast_ref::<CelDouble>().is_some();
    if is_double(left) || is_double(right) {
        Some((number(left)?, number(right)?))
    } else {
        None
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "CEL compares integers with doubles in the same way"
)]
fn number(value: &dyn Val) -> Option<f64> {
    if let Some(double) = value.downcast_ref::<CelDouble>() {
        Some(*double.inner())
    } else if let Some(int) = value.downcast_ref::<CelInt>() {
        Some(*int.inner() as f64)
    } else {
        value
            .downcast_ref::<CelUInt>()
            .map(|uint| *uint.inner() as f64)
    }
}

/// Arithmetic on doubles when one operand is a double, else CEL's own; a result that is no finite
/// number is an error.
macro_rules! arithmetic {
    ($function:ident, $capability:ident, $method:ident, $doubles:expr) => {
        fn $function<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Outcome<'b, 'v> {
            let inapplicable = || inapplicable(stringify!($function));
            let [left, right] = arguments.as_slice() else {
                return Err(inapplicable());
            };
            if let Some((left, right)) = doubles(left.as_ref(), right.as_ref()) {
                let doubles: fn(f64, f64) -> f64 = $doubles;
                let result = doubles(left, right);
                return if result.is_finite() {
                    Ok(CowVal::owned(CelDouble::from(result)))
                } else {
                    Err(inapplicable())
                };
            }
            let operator = left.$capability().ok_or_else(inapplicable)?;
            Ok(CowVal::Owned(
                operator.$method(right.as_ref())?.into_owned(),
            ))
        }
    };
}

arithmetic!(add, as_adder, add, |left, right| left + right);
arithmetic!(subtract, as_subtractor, sub, |left, right| left - right);
arithmetic!(multiply, as_multiplier, mul, |left, right| left * right);
arithmetic!(divide, as_divider, div, |left, right| left / right);
arithmetic!(remainder, as_modder, modulo, whole_remainder);

/// The remainder of whole numbers; NaN, which is refused, of others. Beyond 2^53 a double no
/// longer says which whole number was meant.
fn whole_remainder(left: f64, right: f64) -> f64 {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let is_whole = |number: f64| number.fract() == 0.0 && number.abs() <= LARGEST;
    if is_whole(left) && is_whole(right) {
        left % right
    } else {
        f64::NAN
    }
}
