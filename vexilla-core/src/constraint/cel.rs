//! The operator `CEL`: a constraint written in Google's Common Expression Language.
//!
//! An expression such as `plan == "pro" && country in ["BR", "PT"] && age >= 18` is compiled once,
//! when its flag is loaded, and run for every visitor. It must yield a bool. Flagr has no such
//! operator; it is for flags from files and from code.
//!
//! # What an expression sees
//!
//! | Name | What it is |
//! |---|---|
//! | `ctx` | the map of all attributes: `ctx.plan`, `ctx["user-agent"]`, `"plan" in ctx`, `has(ctx.plan)` |
//! | `plan` | the attribute of that name, if it is an identifier and none of the names in this table |
//! | `entity_id`, `entity_type` | strings |
//!
//! The variable of a comprehension hides all of them. An attribute called like a type of CEL
//! (`int`, `string`, `list`, `type`, …) is the attribute where there is one, else the type. There
//! are the operators and macros of the CEL standard (`has`, `all`, `exists`, `exists_one`, `map`,
//! `filter`) and the functions `size`, `contains`, `startsWith`, `endsWith`, `matches`, `type`,
//! `dyn`, `int`, `uint`, `double`, `string`, `bool` and `bytes`. Another function is an error when
//! the expression is compiled. There are no timestamps, durations, messages or optionals. The
//! pattern of `matches` must be a literal, in the syntax of the `regex` crate; it is compiled once.
//!
//! A missing attribute, an operator or function that does not know a type, an integer overflow and
//! a division by zero are errors, and an error means that the segment does not match, as with
//! Flagr's own operators. CEL's `&&` and `||` forgive an error beside a side that decides:
//! `missing == 1 || true` is true.
//!
//! # Numbers
//!
//! Numbers of a context are doubles, as in Flagr, while `18` in an expression is an integer. CEL
//! compares across number types by value, so `age >= 18`, `age == 18`, `age in [18, 19]`,
//! `{18: 1}[age]` and `list[index]` do what they look like. Arithmetic across number types is an
//! error in the standard; here it is done in doubles as soon as one operand is a double, because
//! `age + 1` would otherwise never match. `%` works on doubles that are whole numbers up to 2^53:
//! `user % 10 == 3`. Between two integers arithmetic is CEL's: `7 / 2 == 3`. A result that is
//! infinite or not a number is an error.
//!
//! # Limits
//!
//! Nothing that a flag contains may overflow a stack, stall a reload or run away:
//!
//! * an expression has at most 16 KiB and 4,000 tokens, and at most 64 brackets, operators and
//!   conditionals pending at one place, before the parser sees it; it is parsed on a thread of its
//!   own with a large stack, except on wasm32, where there are no threads;
//! * what is run is at most 24 operations deep (chains of `&&` and `||` are balanced, lists and
//!   maps are as wide as they like), comprehensions nest at most 2 deep in each other's bodies,
//!   `matches` occurs at most 16 times, and its patterns are within the limits of all regular
//!   expressions ([`Limits`](crate::Limits));
//! * all expressions of one evaluation of a flag may together use as many units as
//!   [`Limits::cel_work`](crate::Limits::cel_work) says: an expression pays for each run by its size
//!   and by the attributes of the context, a comprehension for every round by the size of its body, a
//!   value for every use by its own size (1 for a scalar or 16 bytes of a string, and for everything
//!   in a list or map), and `matches` for its text. What costs more, or nests deeper than 64 in the
//!   context, does not match, and the evaluation says that it was beyond our limits. `matches` also
//!   takes part in the limit on the work of all regular expressions of an evaluation.
//!
//! A panic inside the `cel` crate is caught and becomes an error. That needs unwinding: in a
//! program built with `panic = "abort"` it ends the program.

mod allowance;
mod compile;
mod error;
mod functions;
mod pattern;
mod scan;
mod size;
mod slots;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod without_threads;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::types::CelBool;
use cel::{Context, ExecutionError};

use self::compile::Compiled;
pub(crate) use self::error::{CelError, CelMismatch};
use self::error::{Fault, Position};
use self::functions::ROOT;
use super::pattern::Patterns;
use super::size::{array, piece};
use super::work::Work;
use crate::context::ValueRef;

/// The stack for compiling, in bytes: what passes the limits needs 4 to 8 MiB in a debug build. Only
/// what is used of it is ever taken from the machine.
const STACK: usize = 32 * 1024 * 1024;

/// A compiled CEL expression.
#[derive(Debug)]
pub(crate) struct CelProgram {
    source: Box<str>,
    compiled: Compiled,
}

impl CelProgram {
    /// Compiles `source`, see the module documentation for what is understood.
    ///
    /// # Errors
    ///
    /// When it is no CEL, uses a function that there is not, is beyond a limit, or makes the
    /// parser panic. Also when the system gives no thread to compile on.
    pub(crate) fn compile(source: &str, patterns: &mut Patterns<'_>) -> Result<Self, CelError> {
        #[cfg(not(test))]
        let stack = STACK;
        #[cfg(test)]
        let stack = without_threads::stack_for(source);
        let compiled = on_large_stack(stack, || {
            let compiled = catch_unwind(AssertUnwindSafe(|| compile::compile(source, patterns)));
            compiled.unwrap_or_else(|_| {
                Err(Fault::new(
                    Position::START,
                    "the parser panicked".to_owned(),
                ))
            })
        });
        match compiled {
            Ok(compiled) => Ok(Self {
                source: source.into(),
                compiled,
            }),
            Err(fault) => Err(CelError::new(source, fault)),
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        array::<Self>(1) + piece(self.source.len()) + self.compiled.bytes()
    }

    /// The expression as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Runs the expression for one entity. Of repeated attributes the last counts.
    ///
    /// # Errors
    ///
    /// When it yields no bool or cannot be run to its end for this entity.
    pub(crate) fn evaluate<'a>(
        &self,
        entity_id: &str,
        entity_type: &str,
        attributes: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
        work: &mut Work,
    ) -> Result<bool, CelMismatch> {
        allowance::begin(*work);
        let outcome = self.run(entity_id, entity_type, attributes);
        *work = allowance::left();
        // `||` can forgive the error that running out is for the interpreter
        allowance::check().and(outcome)
    }

    fn run<'a>(
        &self,
        entity_id: &str,
        entity_type: &str,
        attributes: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    ) -> Result<bool, CelMismatch> {
        let Compiled {
            expression,
            slots,
            cost,
        } = &self.compiled;
        if !allowance::pay(*cost) {
            return Err(CelMismatch::TooCostly);
        }
        let bound = slots.bind(entity_id, entity_type, attributes)?;
        let run = || {
            let mut scope: Context<'_, '_> = ROOT.new_inner_scope();
            scope.set_variable_resolver(&bound);
            let value = cel::Value::resolve_val(expression, &scope);
            value.map(|value| value.downcast_ref::<CelBool>().map(|bool| *bool.inner()))
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(Some(yes))) => Ok(yes),
            Ok(Ok(None)) => Err(CelMismatch::NotABool),
            Ok(Err(ExecutionError::UndeclaredReference(name))) => Err(slots
                .attribute_of(&name)
                .map_or(CelMismatch::Inapplicable, |name| {
                    CelMismatch::Missing(name.into())
                })),
            Ok(Err(_)) => Err(CelMismatch::Inapplicable),
            Err(_) => Err(CelMismatch::Panicked),
        }
    }
}

/// Runs `compile` where it has so many bytes of stack.
#[cfg(not(target_arch = "wasm32"))]
fn on_large_stack(
    stack: usize,
    compile: impl FnOnce() -> Result<Compiled, Fault> + Send,
) -> Result<Compiled, Fault> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("vexilla-cel".to_owned())
            .stack_size(stack);
        match thread.spawn_scoped(scope, compile) {
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                let message = "the parser panicked".to_owned();
                Err(Fault::new(Position::START, message))
            }),
            Err(_) => Err(Fault::temporary(
                "the system gives no thread to compile it on; it is compiled again at the next fetch"
                    .to_owned(),
            )),
        }
    })
}

/// Runs `compile` in place: there are no threads here.
#[cfg(target_arch = "wasm32")]
fn on_large_stack(
    _: usize,
    compile: impl FnOnce() -> Result<Compiled, Fault> + Send,
) -> Result<Compiled, Fault> {
    compile()
}
