//! What expressions answer, and that nothing hostile gets out of hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::pattern::Patterns;
use super::super::work::Work;
use super::{CelError, CelMismatch, CelProgram};
use crate::context::{Value, ValueRef};
use crate::limits::Limits;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
}

fn visitor() -> Vec<(&'static str, Value)> {
    let price = |price| map([("price", Value::Number(price))]);
    vec![
        ("plan", text("pro")),
        ("country", text("BR")),
        ("age", Value::Number(30.0)),
        ("score", Value::Number(7.5)),
        ("beta", Value::Bool(true)),
        ("nothing", Value::Null),
        ("tags", Value::List(vec![text("a"), text("b"), text("c")])),
        (
            "numbers",
            Value::List([1.0, 2.0, 3.0].map(Value::Number).into()),
        ),
        ("items", Value::List(vec![price(5.0), price(15.0)])),
        (
            "address",
            map([
                ("city", text("Recife")),
                ("geo", map([("lat", Value::Number(-8.0))])),
            ]),
        ),
        ("user-agent", text("curl/8")),
        ("type", text("person")),
        ("entity_id", text("not this one")),
        ("big", Value::List(vec![Value::Number(1.0); 2_000])),
    ]
}

fn borrow(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Null => ValueRef::Null,
        Value::Bool(bool) => ValueRef::Bool(*bool),
        Value::Number(number) => ValueRef::Number(*number),
        Value::String(text) => ValueRef::String(text),
        Value::List(elements) => ValueRef::List(elements),
        Value::Map(members) => ValueRef::Map(members),
    }
}

fn compile(source: &str) -> Result<CelProgram, CelError> {
    CelProgram::compile(source, &mut Patterns::new(&Limits::new(), None))
}

fn run(program: &CelProgram, attributes: &[(&str, Value)]) -> Result<bool, CelMismatch> {
    program.evaluate(
        "user-1",
        "user",
        attributes
            .iter()
            .map(|(name, value)| (*name, borrow(value))),
        &mut Work::new(&Limits::new()),
    )
}

fn evaluate(source: &str) -> Result<bool, CelMismatch> {
    run(&compile(source).unwrap(), &visitor())
}

fn refusal(source: &str) -> String {
    format!("{:#}", compile(source).unwrap_err())
}

#[test]
fn expressions_that_match() {
    for source in [
        "true",
        "beta",
        r#"plan == "pro" && country in ["BR", "PT"] && age >= 18"#,
        r#"ctx.plan == "pro" && ctx["plan"] == 'pro'"#,
        r#"ctx["user-agent"].startsWith("curl") && "user-agent" in ctx"#,
        r#"entity_id == "user-1" && entity_type == "user""#,
        r#"ctx.entity_id == "not this one""#,
        // presence
        "has(ctx.plan) && !has(ctx.absent) && has(ctx.nothing)",
        "has(address.city) && !has(ctx.address.street) && has(ctx.address.geo.lat)",
        "nothing == null && ctx.nothing == null",
        // numbers: comparison and equality across types
        "age == 30 && 30 == age && age == 30.0 && age == 30u && age != 31 && score != 7",
        "age < 31 && age <= 30 && age > 29 && 29 < age && 7 < score && score < 8",
        "age in [29, 30] && !(age in [31]) && 2 in numbers && 2.0 in numbers && !(4 in numbers)",
        "numbers == [1, 2, 3] && [1, 2, 3] == numbers && {30: true}[age]",
        "numbers[0] == 1 && numbers[numbers[0]] == 2 && tags[2] == 'c'",
        // numbers: arithmetic
        "age + 1 == 31 && 1 + age == 31 && age - 1 == 29 && age * 1.5 == 45 && age / 4 == 7.5",
        "age % 7 == 2 && 7 / 2 == 3 && -age == -30 && age + 1u == 31 && size(tags) + 1 == 4",
        "size(tags) + score == 10.5 && int(score) == 7 && double('1.5') == 1.5 && string(age) == '30'",
        // strings
        r#"size(plan) == 3 && plan.size() == 3 && plan.contains("r") && plan.endsWith("o")"#,
        r#"plan + "-" + country == "pro-BR" && plan < "q" && 'ß🚩' == "\u00df\U0001f6a9""#,
        r#"plan.matches("^p.o$") && matches(plan, r"\w+") && !plan.matches("x")"#,
        // lists and maps
        "size(tags) == 3 && tags + ['d'] == ['a', 'b', 'c', 'd'] && 'b' in tags",
        "tags.all(t, t < 'd') && tags.exists(t, t == 'b') && tags.exists_one(t, t == 'c')",
        "tags.filter(t, t != 'a').size() == 2 && numbers.map(n, n * 2) == [2, 4, 6]",
        "numbers.map(n, n > 1, n + 1) == [3, 4] && items.exists(i, i.price > 10)",
        "items.all(i, has(i.price)) && items.exists_one(i, i['price'] == 5)",
        "tags.exists(t, numbers.exists(n, t == 'c' && n == 3))",
        "ctx.address.geo.lat < 0 && address.city == 'Recife' && address['city'].size() == 6",
        "{'BR': 18, 'PT': 16}[country] <= age && 'plan' in {'plan': plan}",
        "ctx.exists(name, name == 'plan') && size(ctx) == 14",
        // types, and an attribute that is called like one
        "type(plan) == string && type(age) == double && type == 'person' && type(1) == int",
        // a comprehension's variable hides everything else
        "[1].exists(plan, plan == 1) && plan == 'pro' && [1].all(ctx, ctx == 1) && ['a'].all(int, int == 'a')",
        // conditionals, and errors beside a side that decides
        "(age > 18 ? plan : country) == 'pro' && (beta ? true : absent)",
        "absent == 1 || true",
        "true || plan == 1 / 0",
        "!(absent == 1 && false)",
    ] {
        assert_eq!(evaluate(source), Ok(true), "{source}");
    }
    for source in [
        "false",
        "age == 31",
        "'x' in ctx",
        "plan == 1",
        "plan == nothing",
        "has(ctx.absent)",
    ] {
        assert_eq!(evaluate(source), Ok(false), "{source}");
    }
}

#[test]
fn what_yields_no_bool_does_not_match() {
    for source in [
        "1",
        "plan",
        "null",
        "tags",
        "ctx",
        "age + 1",
        "beta ? 1 : 2",
        "type(plan)",
    ] {
        assert_eq!(evaluate(source), Err(CelMismatch::NotABool), "{source}");
    }
}

#[test]
fn a_missing_attribute_is_named() {
    for source in [
        "absent == 1",
        "ctx.absent != 1",
        "!absent",
        r#"ctx["absent"] == 1"#,
        "absent in [1]",
    ] {
        assert_eq!(
            evaluate(source),
            Err(CelMismatch::Missing("absent".into())),
            "{source}"
        );
    }
}

#[test]
fn what_cannot_be_worked_with_does_not_match() {
    for source in [
        "plan < 1",
        "plan + 1 == 'pro1'",
        "!plan",
        "-plan == 1",
        "beta + 1 == 2",
        "nothing > 0",
        "plan in country",
        "tags[3] == 'd'",
        "tags[-1] == 'c'",
        "tags[0.5] == 'a'",
        "address.street == 'x'",
        "plan.size == 3",
        "age.contains('3')",
        "age.matches('3')",
        "beta && plan",
        "plan ? true : false",
        "tags.all(t, t)",
        "age.all(t, true)",
        "{plan: 1, 'pro': 2}['pro'] == 1",
        "1 / 0 == 1",
        "1 % 0 == 1",
        "age / 0 == 1",
        "0.0 / 0.0 != 1.0",
        "score % 2 == 1",
        "age % 0 == 0",
        "9223372036854775807 + 1 > 0",
        "-9223372036854775808 - 1 < 0",
        "9223372036854775807 * 2 > 0",
        "-9223372036854775808 / -1 > 0",
        "-9223372036854775808 % -1 == 0",
        "-(-9223372036854775808) > 0",
        "0u - 1u > 0u",
        "1e308 * age > 0.0",
        "int(1e300) > 0",
        "int('x') == 1",
        "uint(-1) == 1u",
        "[1].exists(x, 1 / 0 == x)",
    ] {
        assert_eq!(evaluate(source), Err(CelMismatch::Inapplicable), "{source}");
    }
}

#[test]
fn what_cannot_be_compiled_says_what_and_where() {
    for (source, place, what) in [
        ("", "line 1, column 1:", "syntax error"),
        ("plan ==", "line 1, column 8:", "syntax error"),
        ("a &&\n b c", "line 2, column 4:", "syntax error"),
        ("'ß' == a c", "line 1, column 10:", "syntax error"),
        ("'ß' == lower(a)", "line 1, column ", "no function lower"),
        ("a.lower()", "line 1, column ", "no function lower"),
        (
            "size(a, b)",
            "line 1, column ",
            "takes 1 arguments here, found 2",
        ),
        (
            "a.startsWith()",
            "line 1, column ",
            "takes 1 arguments here, found 0",
        ),
        (
            "timestamp('2020-01-01T00:00:00Z') == a",
            "line 1, column ",
            "no function timestamp",
        ),
        ("has(plan)", "line 1, column ", "has() macro"),
        ("a.?b", "line 1, column ", "unsupported syntax"),
        ("optional.of(a)", "line 1, column ", "no function of"),
        ("a.matches(b)", "line 1, column ", "written out as a string"),
        ("a.matches('(')", "line 1, column ", "no regular expression"),
        (
            "a.matches('(\\\\w{200}){200}')",
            "line 1, column ",
            "`regex_program_bytes`",
        ),
        (
            "a.matches()",
            "line 1, column ",
            "takes a string and a pattern",
        ),
        ("Foo{a: 1}", "line 1, column ", "no message type"),
        (".plan == 1", "line 1, column ", "leave out the dot"),
        ("@0 == 1", "line 1, column 1:", "means nothing"),
        ("package == 1", "line 1, column ", "reserved"),
        (
            "a.all(x, x.all(y, y.all(z, z)))",
            "line 1, column ",
            "nested more than 2",
        ),
        ("'\\q' == a", "line 1, column ", ""),
        ("18446744073709551616 == a", "line 1, column 1:", ""),
    ] {
        let refusal = refusal(source);
        assert!(refusal.starts_with("CEL expression \""), "{refusal}");
        assert!(
            refusal.contains(place) && refusal.contains(what),
            "{source}: {refusal}"
        );
    }
}

#[test]
fn the_source_is_kept_and_only_its_beginning_is_shown() {
    let source = format!("{} +", "1 + ".repeat(30));
    assert_eq!(compile("a == 1").unwrap().source(), "a == 1");
    let refusal = refusal(&source);
    assert!(
        refusal.contains("1 + 1 + …\" at line 1, column 122:"),
        "{refusal}"
    );
    assert!(!refusal.contains(&source), "{refusal}");
}

#[test]
fn of_repeated_attributes_the_last_counts() {
    let program = compile("a == 2 && ctx.all(name, name == 'a')").unwrap();
    let attributes = [("a", Value::Number(1.0)), ("a", Value::Number(2.0))];
    assert_eq!(run(&program, &attributes), Ok(true));
}

#[test]
fn programs_are_shared_between_threads() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<CelProgram>();
}

#[test]
fn what_people_write_is_within_the_limits() {
    let clauses = vec![r#"plan == "pro""#; 200].join(" && ");
    let list = format!("plan in [{}, plan]", vec![r#""user-17""#; 1_000].join(", "));
    let parentheses = format!("{}age == 30{}", "(".repeat(30), ")".repeat(30));
    let ladder = format!("{}true", "age == 1 ? false : ".repeat(20));
    let sum = format!("age{} < 100", " + 1".repeat(20));
    let mixed = vec!["(age > 18 && (plan == 'x' || tags.exists(t, t == 'a')))"; 50].join(" && ");
    for source in [clauses, list, parentheses, ladder, sum, mixed] {
        assert_eq!(evaluate(&source), Ok(true), "{source}");
    }
}

#[test]
fn a_run_whose_patterns_do_too_much_work_does_not_match() {
    let source = |text: &str| format!("big.all(x, {text}.matches('[a-z]{{3000}}$') || true)");
    assert_eq!(evaluate(&source("plan")), Err(CelMismatch::BeyondLimits));
    assert_eq!(evaluate(&source("''")), Ok(true));

    let program = compile("plan.matches('^[a-z]{3}$')").unwrap();
    let plan = || std::iter::once(("plan", ValueRef::String("pro")));
    let mut work = Work::new(&Limits::new().regex_work(20));
    assert_eq!(program.evaluate("", "", plan(), &mut work), Ok(true));
    let again = program.evaluate("", "", plan(), &mut work);
    assert_eq!(again, Err(CelMismatch::BeyondLimits), "{work:?}");
}

#[test]
fn a_run_that_costs_too_much_does_not_match() {
    for source in [
        "big.all(x, big.all(y, x == y))",
        "big.all(x, big == big)",
        "big.map(x, big).size() > 0",
        "big.exists(x, absent == x) || big.all(x, big.all(y, x == y)) || true",
        "[big].map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x])\
         .map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).size() == 1",
        &format!(
            "[plan]{}.all(x, x != '')",
            ".map(x, ((x + x) + (x + x)) + ((x + x) + (x + x)))".repeat(7)
        ),
    ] {
        assert_eq!(evaluate(source), Err(CelMismatch::TooCostly), "{source}");
    }
    // the next run begins anew
    assert_eq!(evaluate("big.all(x, x == 1)"), Ok(true));
}

#[test]
fn a_context_that_is_too_large_or_deep_does_not_match() {
    let deep = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let program = compile("size(a) == 1").unwrap();
    assert_eq!(run(&program, &[("a", deep(60))]), Ok(true));
    assert_eq!(run(&program, &[("a", deep(70))]), Err(CelMismatch::TooDeep));
    let wide = Value::List(vec![Value::Null; 200_000]);
    assert_eq!(
        run(&program, &[("a", wide.clone())]),
        Err(CelMismatch::TooCostly)
    );
    // what is not read costs nothing
    assert_eq!(run(&program, &[("b", wide), ("a", deep(1))]), Ok(true));
}

/// Runs `work` as a worker thread of a server would: on 2 MiB of stack.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

/// Ways to put one expression into another: what comes before it and after it. The first 24 can be
/// combined as one likes.
const WRAPPERS: [(&str, &str); 30] = [
    ("(", ")"),
    ("[", "]"),
    ("[plan, ", "]"),
    ("{1: ", "}"),
    ("{", ": 1}"),
    ("!", ""),
    ("-", ""),
    ("1 + ", ""),
    ("", " + 1"),
    ("", " == 1"),
    ("", " in tags"),
    ("", ".a"),
    ("", "[0]"),
    ("tags[", "]"),
    ("beta ? ", " : 1"),
    ("beta ? 1 : ", ""),
    ("", " ? 1 : 2"),
    ("beta && ", ""),
    ("", " || absent"),
    ("(beta && ", ")"),
    ("(", " || absent || beta)"),
    ("size(", ")"),
    ("", ".size()"),
    ("plan.contains(", ")"),
    ("tags.all(x, ", ")"),
    ("tags.map(x, ", ")"),
    ("[[1]].filter(x, ", ")"),
    ("", ".exists(x, x == x)"),
    ("matches(", ", 'a*')"),
    ("has(", ".a)"),
];

fn hostile(source: &str) {
    if let Ok(program) = compile(source) {
        let _ = run(&program, &visitor());
    }
}

#[test]
fn no_nesting_of_one_kind_overflows_the_stack() {
    on_small_stack(|| {
        for (before, after) in WRAPPERS {
            for seed in ["plan", "beta", "tags", "1", "ctx", "[[[1]]]"] {
                for levels in [8, 15, 16, 20, 30, 31, 32, 33, 60, 64, 1_000] {
                    hostile(&format!(
                        "{}{seed}{}",
                        before.repeat(levels),
                        after.repeat(levels)
                    ));
                }
            }
        }
    });
}

#[test]
fn no_pair_of_nestings_overflows_the_stack() {
    on_small_stack(|| {
        for (before, after) in WRAPPERS {
            for (inner_before, inner_after) in WRAPPERS {
                let (before, after) = (
                    format!("{before}{inner_before}"),
                    format!("{inner_after}{after}"),
                );
                for levels in [15, 31] {
                    hostile(&format!(
                        "{}tags{}",
                        before.repeat(levels),
                        after.repeat(levels)
                    ));
                }
            }
        }
    });
}

#[test]
fn no_long_chain_overflows_the_stack() {
    on_small_stack(|| {
        for operator in [
            "&&", "||", "+", "-", "*", "/", "%", "==", "<", "in", ",", ".",
        ] {
            for terms in [10, 30, 33, 62, 64, 500, 1_900, 5_000] {
                for open in ["", "(", "["] {
                    let chain = vec!["a"; terms].join(&format!(" {operator} "));
                    let close = if open == "(" {
                        ")"
                    } else if open == "[" {
                        "]"
                    } else {
                        ""
                    };
                    hostile(&format!("{open}{chain}{close}"));
                }
            }
        }
        for link in [
            "[0]", ".a", "(a)", ".size()", "{}", "!", "-", "? a :", "? a", ": a", "((", "[[", "{{",
        ] {
            for links in [10, 30, 60, 64, 1_000, 5_000] {
                hostile(&format!("a{}", link.repeat(links)));
                hostile(&link.repeat(links));
            }
        }
    });
}

#[test]
fn no_pattern_overflows_the_stack() {
    on_small_stack(|| {
        for repeated in [
            "a?b?",
            "|a|b|c|",
            "(a|b|c|d|e|f)?",
            "[a-z]",
            "(a*)*",
            "((a{1,9}){1,9}){1,9}",
            "\\\\w",
        ] {
            for times in [1, 10, 100, 1_000, 2_000, 3_000, 10_000] {
                hostile(&format!("plan.matches('^({repeated}){{{times}}}!$')"));
                hostile(&format!(
                    "plan.matches('^{}!$')",
                    repeated.repeat(times.min(2_000))
                ));
            }
        }
        for (before, after) in [
            ("(", ")"),
            ("(?i:", ")"),
            ("[a", "]"),
            ("(a|", ")*"),
            ("(a", "){2}"),
        ] {
            for levels in [10, 30, 100, 1_000] {
                hostile(&format!(
                    "plan.matches('{}{}!$')",
                    before.repeat(levels),
                    after.repeat(levels)
                ));
            }
        }
    });
}

#[test]
fn deep_values_of_the_context_do_not_overflow_the_stack() {
    on_small_stack(|| {
        let deep = (0..62).fold(Value::Null, |inner, level| match level % 2 {
            0 => Value::List(vec![inner]),
            _ => Value::Map(BTreeMap::from([("a".to_owned(), inner)])),
        });
        for source in [
            "a == a",
            "a < a",
            "a in [a]",
            "[a, a] == [a, a]",
            "a + a == a",
            "a.all(x, x == x)",
            "-a == a",
        ] {
            let nested = format!(
                "{}{source}{}",
                "(beta ? ".repeat(10),
                " : false)".repeat(10)
            );
            let program = compile(&nested).unwrap();
            let _ = run(
                &program,
                &[("a", deep.clone()), ("beta", Value::Bool(true))],
            );
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_mixture_of_nestings_overflows_the_stack(
        wrappers in prop::collection::vec(prop::sample::select(WRAPPERS[..24].to_vec()), 0..100),
        seed in prop::sample::select(vec!["plan", "beta", "tags", "1", "ctx", "items"]),
    ) {
        let source = wrappers.iter().fold(seed.to_owned(), |inner, (before, after)| {
            format!("({before}{inner}{after})")
        });
        on_small_stack(move || hostile(&source));
    }

    #[test]
    fn no_text_panics(source in r#"([ -~\n]|[a-z]{1,3}|&&|\|\||[(){}\[\]"'.,?:]){0,60}"#) {
        on_small_stack(move || hostile(&source));
    }

    #[test]
    fn numbers_compare_by_value(number in -1_000_i32..1_000, other in -1_000_i32..1_000) {
        let attributes = [("n", Value::Number(f64::from(number)))];
        for (operator, expected) in [
            ("==", number == other),
            ("!=", number != other),
            ("<", number < other),
            (">=", number >= other),
        ] {
            for literal in [format!("{other}"), format!("{other}.0")] {
                let program = compile(&format!("n {operator} {literal}")).unwrap();
                prop_assert_eq!(run(&program, &attributes), Ok(expected));
            }
        }
    }

    #[test]
    fn quoted_strings_mean_themselves(value in any::<String>()) {
        let source = format!("s == {}", crate::constraint::cel_text::string_literal(&value));
        let program = compile(&source).unwrap();
        prop_assert_eq!(run(&program, &[("s", Value::String(value))]), Ok(true));
    }

    #[test]
    fn written_numbers_mean_themselves(number in any::<f64>().prop_filter("no NaN", |number| !number.is_nan())) {
        let source = format!("n == {}", crate::constraint::cel_text::number_literal(number));
        let program = compile(&source).unwrap();
        prop_assert_eq!(run(&program, &[("n", Value::Number(number))]), Ok(true));
    }
}

#[test]
fn the_memory_of_an_expression_is_known_within_a_factor_of_two() {
    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    let sources = [
        "a == 1".to_owned(),
        format!("p in {}", list("1", 1_900)),
        format!("p in {}", list("'a'", 1_900)),
        format!("p in {}", list("1.5", 1_900)),
        format!("p in {}", list("true", 1_900)),
        format!("p in {}", list("q", 1_900)),
        vec!["p==1"; 900].join("||"),
        format!("{}.size() == 1", list("{p:[q]}", 400)),
        format!("{}.size() == 1", list("[[]]", 500)),
        vec!["p.all(x,x.y==1)"; 100].join("||"),
        vec!["p.a.a.a.a.a.a==1"; 100].join("||"),
        (0..500)
            .map(|n| format!("p{n}"))
            .collect::<Vec<_>>()
            .join("||"),
    ];
    // Compiled on the thread that is measured.
    let measure = move || {
        for source in sources {
            let compile = || {
                let limits = Limits::new();
                let mut patterns = Patterns::new(&limits, None);
                let compiled = super::compile::compile(&source, &mut patterns);
                compiled.map_err(|fault| fault.to_string()).unwrap()
            };
            drop(compile()); // what the parser makes once for all
            let mut compiled = None;
            let measured = allocation_counter::measure(|| compiled = Some(compile()));
            let taken = u64::try_from(measured.bytes_current).unwrap();
            let bytes = compiled.unwrap().bytes();
            let start: String = source.chars().take(20).collect();
            assert!(
                taken <= bytes && bytes <= 2 * taken,
                "{start}: {bytes}, {taken}"
            );
        }
    };
    std::thread::Builder::new()
        .stack_size(super::STACK)
        .spawn(measure)
        .unwrap()
        .join()
        .unwrap();
}
