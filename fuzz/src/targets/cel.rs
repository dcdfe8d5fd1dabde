//! The Common Expression Language.
//!
//! An input is a context in JSON on the first line, and the rest is the
//! expression.

use std::sync::Arc;

use vexilla_core::Flags;
use vexilla_core::flag::{Constraint, Origin};

use super::{context_of, lines, matches, on_for, problem};
use crate::{Recorded, Target};

/// The target.
pub const TARGET: Target = Target {
    name: "cel",
    run,
    seeds,
    tokens: &[
        "ctx",
        "ctx.s",
        "entity_id",
        "s",
        "n",
        " == ",
        " != ",
        " && ",
        " || ",
        "!",
        " ? ",
        " : ",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " in ",
        "has(",
        ".all(x, ",
        ".exists(x, ",
        ".map(x, ",
        ".filter(x, ",
        "size(",
        ".matches(\"",
        ".startsWith(",
        "string(",
        "int(",
        "double(",
        "timestamp(",
        "duration(",
        "1",
        "-1",
        "1.5",
        "9223372036854775807",
        "1u",
        "true",
        "null",
        "\"",
        "'",
        "r\"",
        "b\"",
        "\"\"\"",
        "\\",
        "//",
    ],
    mutations: 300,
};

/// The rendering of recorded constraints, and some by hand.
fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let by_hand = [
        "tier == \"premium\" || (country == \"BR\" && age >= 18)",
        "has(ctx.age) && ctx.age > 21.0",
        "[1, 2, 3].exists(x, x == n)",
        "s.matches(\"^a.*c$\") ? entity_id == \"u\" : false",
        "ctx.groups.all(g, g.startsWith(\"b\")) && size(ctx.groups) > 0",
    ];
    let numbered = recorded.constraints.iter().enumerate();
    let rendered = numbered.filter_map(|(number, [property, operator, value])| {
        let constraint = Constraint::new(&**property, &**operator, &**value);
        let snapshot = Arc::new(on_for(constraint, Origin::Export));
        let json = recorded.context(number);
        let explanation = Flags::new(snapshot, context_of(json)).explain("flag");
        let cel = explanation.segments.first()?.cel.clone()?;
        Some(format!("{json}\n{cel}").into())
    });
    let by_hand = by_hand.map(|cel| format!("{{\"entityContext\":{{\"s\":\"abc\"}}}}\n{cel}"));
    rendered.step_by(3).chain(by_hand.map(Into::into)).collect()
}

/// - Compiling twice gives the same problem, or the same answer.
/// - Owned and borrowed contexts get the same answer, and the explanation gives
///   that one.
/// - Problems are short, and one evaluation takes bounded memory.
pub fn run(data: &[u8]) {
    let ([context], expression) = lines(data);
    let context = context_of(&context);
    let compile = || on_for(Constraint::new("", "CEL", &*expression), Origin::File);
    let (snapshot, again) = (compile(), compile());
    let fault = problem(&snapshot);
    assert_eq!(fault, problem(&again), "the same again");
    let on = matches(&snapshot, &context);
    assert_eq!(on, matches(&again, &context), "compiled again");
    assert!(!(on && fault.is_some()), "a faulty flag is on");
    let explanation = Flags::new(Arc::new(snapshot), context).explain("flag");
    assert_eq!(explanation.variant_key.is_some(), on, "{explanation}");
}
