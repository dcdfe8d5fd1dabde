//! Constraints: Flagr's grammar for properties and values.
//!
//! An input is a context in JSON, a property and an operator, each on a line,
//! and the rest is the value.

use std::sync::Arc;

use vexilla_core::Flags;
use vexilla_core::flag::{Constraint, Origin};

use super::{context_of, lines, matches, on_for, peak, problem};
use crate::{Recorded, Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "constraint",
    run,
    seeds,
    tokens: &[
        "{a}",
        "{s}",
        "{n}",
        "{a} =~ {b}",
        " =~ ",
        " !~ ",
        " AND ",
        " OR ",
        " XOR ",
        " NAND ",
        " IN ",
        " NOT IN ",
        " CONTAINS ",
        " == ",
        " != ",
        " >= ",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "'",
        "/",
        ",",
        "[\"a\",]",
        "[1,]",
        "-1",
        "1e999",
        "0x1",
        "true",
        "NOT ",
        "/*",
        "*/",
        "--",
        "\n",
        "\nEREG\n",
        "\nIN\n",
        "@",
        "$0",
        "nested.path",
    ],
    mutations: 500,
};

fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let numbered = recorded.constraints.iter().enumerate();
    numbered
        .map(|(number, [property, operator, value])| {
            let context = recorded.context(number);
            format!("{context}\n{property}\n{operator}\n{value}").into()
        })
        .collect()
}

/// - Compiling twice gives the same problem, or the same answers.
/// - Owned and borrowed contexts get the same answer, and the explanation gives
///   that one.
/// - Where the constraint can be written in CEL, that answers the same, unless a
///   number was within Flagr's tolerance of another.
/// - Problems are short; evaluating and explaining take bounded memory.
pub fn run(data: &[u8]) {
    let ([context, property, operator], value) = lines(data);
    let context = context_of(&context);
    let constraint = || Constraint::new(&*property, &*operator, &*value);
    for origin in [Origin::Export, Origin::File] {
        let snapshot = on_for(constraint(), origin);
        let again = on_for(constraint(), origin);
        let fault = problem(&snapshot);
        assert_eq!(fault, problem(&again), "the same again");
        let on = matches(&snapshot, &context);
        assert_eq!(on, matches(&again, &context), "compiled again");
        assert!(!(on && fault.is_some()), "a faulty flag is on");

        let flags = Flags::new(Arc::new(snapshot), context.clone());
        let (peak, explanation) = peak(|| flags.explain("flag"));
        let most = limits::explanation(data.len());
        assert!(peak <= most, "explaining took {peak} B");
        assert_eq!(explanation.variant_key.is_some(), on, "{explanation}");

        let exact = explanation.segments.first().filter(|s| !s.within_tolerance);
        let cel = exact.and_then(|segment| segment.cel.clone());
        if let Some(cel) = cel {
            let rendered = on_for(Constraint::new("", "CEL", &*cel), Origin::File);
            // What is rendered may be beyond the bounds of CEL.
            if problem(&rendered).is_none() {
                assert_eq!(on, matches(&rendered, &context), "{cel}\n{explanation}");
            }
        }
    }
}
