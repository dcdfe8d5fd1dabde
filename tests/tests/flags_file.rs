//! The page on the flags file: its example works, and what it says of values and
//! mistakes is so.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::json;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::{Snapshot, TagMatch};
use vexilla_core::{Context, EmptyEntity, Value, Vexilla};

const PAGE: &str = include_str!("../../docs/flags-file.md");

/// The flags of the complete example.
fn example() -> FlagSet {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let (json, _) = rest.split_once("```").unwrap();
    FlagSet::from_json_strict(json.as_bytes()).unwrap()
}

#[test]
fn the_example_does_what_its_comments_say() {
    let vexilla = Vexilla::fixed(example());
    assert_eq!(vexilla.snapshot().problem_count(), 0);
    let mut large = 0;
    let mut express = 0;
    for n in 0..3_000 {
        let user = Context::new(&format!("user-{n}"))
            .with("country", "PT")
            .with("age", 40);
        let flags = vexilla.flags(user.with("email", "a@elsewhere.org"));
        assert!(flags.bool("new-feature"));
        express += u32::from(flags.bool("express-shipping"));
        large += u32::from(flags.int_or("page-size", 0) == 50);
    }
    assert!((200..400).contains(&express), "{express} of 3,000");
    assert!((1_850..2_100).contains(&large), "{large} of 3,000");
    let staff = vexilla.flags(Context::new("u").with("email", "someone@example.com"));
    assert_eq!(staff.int_or("page-size", 0), 100);
    let snapshot = vexilla.snapshot();
    let tagged = snapshot.tagged(&["web"], TagMatch::Any);
    let tagged: Vec<_> = tagged.iter().map(|flag| flag.key.as_str()).collect();
    assert_eq!(tagged, ["new-feature"]);
}

/// Whether a flag with this constraint is on; its problem if it has one.
fn is_on(operator: &str, value: &str, attribute: impl Into<Value>) -> Result<bool, String> {
    let segment = Segment::new()
        .constraint(Constraint::new("p", operator, value))
        .distribution("on", 100);
    let flag = Flag::new("f")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    let vexilla = Vexilla::fixed([flag]);
    let problem = vexilla
        .snapshot()
        .problems()
        .next()
        .map(|problem| problem.message);
    let context = Context::new("u").with("p", attribute.into());
    problem.map_or_else(|| Ok(vexilla.flags(context).bool("f")), Err)
}

/// The source texts of the table on values, in its order.
fn values() -> Vec<String> {
    let (_, rest) = PAGE.split_once("## Values of constraints").unwrap();
    let (table, _) = rest.split_once("\n\n## ").unwrap();
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("`\""));
    let first = rows.map(|row| {
        let (_, cell) = row.split_once("`\"").unwrap();
        let (cell, _) = cell.split_once("\"`").unwrap();
        serde_json::from_str(&format!("\"{cell}\"")).unwrap()
    });
    first.collect()
}

#[test]
fn values_compare_as_the_table_says() {
    let values = values();
    let [
        text,
        number,
        boolean,
        list,
        element,
        quoted,
        bare,
        expression,
    ] = values.as_slice()
    else {
        panic!("{values:?}");
    };
    for (operator, value, matching, other) in [
        ("EQ", text, json!("BR"), json!("US")),
        ("GTE", number, json!(18), json!(17)),
        ("EQ", boolean, json!(true), json!(false)),
        ("IN", list, json!("PT"), json!("US")),
        ("CONTAINS", element, json!(["beta"]), json!(["alpha"])),
        ("EREG", quoted, json!("2.1"), json!("21")),
        ("MATCHES", bare, json!("2.1"), json!("21")),
    ] {
        let is_on = |json: serde_json::Value| {
            is_on(
                operator,
                value,
                serde_json::from_value::<Value>(json).unwrap(),
            )
        };
        assert_eq!(is_on(matching), Ok(true), "{operator} {value}");
        assert_eq!(is_on(other), Ok(false), "{operator} {value}");
    }
    assert!(is_on("CEL", expression, "x").is_ok());
    assert!(is_on("EQ", "BR", "BR").is_err(), "no text without quotes");
    assert_eq!(is_on("NEQ", text, 5), Ok(false), "another type");
}

#[test]
fn a_flag_put_in_front_moves_users_of_flags_without_ids_only() {
    let document = |front: &str, id: &str| {
        let json = format!(
            r#"{{"Flags":[{front}{{{id}"Key":"half","Enabled":true,"Variants":[{{"Key":"on"}}],
                "Segments":[{{"RolloutPercent":50,"Distributions":[{{"VariantKey":"on","Percent":100}}]}}]}}]}}"#
        );
        Snapshot::new(FlagSet::from_json(json.as_bytes()).unwrap())
    };
    let moved = |id: &str| {
        let [before, after] = ["", r#"{"Key":"front"},"#].map(|front| document(front, id));
        let is_on = |snapshot: &Snapshot, user: usize| {
            let context = Context::new(&format!("user-{user}"));
            snapshot
                .evaluate("half", &context, EmptyEntity::default())
                .variant_key()
                .is_some()
        };
        (0..200)
            .filter(|user| is_on(&before, *user) != is_on(&after, *user))
            .count()
    };
    assert!(moved("") > 50);
    assert_eq!(moved(r#""ID":7,"#), 0);
}

#[test]
fn a_regular_expression_loses_its_blanks_but_not_that_of_matches() {
    for (operator, value, text, on) in [
        ("EREG", r#""^hello world$""#, "helloworld", true),
        ("EREG", r#""^hello world$""#, "hello world", false),
        ("EREG", r#""^hello/* any */world$""#, "helloworld", false),
        ("EREG", r#""^hello\sworld$""#, "hello world", true),
        ("NEREG", r#""^hello world$""#, "helloworld", false),
        ("MATCHES", "^hello world$", "hello world", true),
    ] {
        assert_eq!(
            is_on(operator, value, text),
            Ok(on),
            "{operator} {value} {text}"
        );
    }
}
