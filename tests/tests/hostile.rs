//! Whatever a flag contains, nothing overflows a stack, panics or runs away: on
//! a thread with the 2 MiB that runtimes give theirs.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use proptest::prelude::*;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Context, Vexilla};

const STACK: usize = 2 << 20;

fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

fn flag(property: &str, operator: &str, value: &str) -> Flag {
    Flag::new("flag")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(
            Segment::new()
                .constraint(Constraint::new(property, operator, value))
                .distribution("on", 100),
        )
}

/// Compiles, evaluates and explains; tells whether the flag has a problem.
fn use_up(property: &str, operator: &str, value: &str) -> bool {
    let vexilla = Vexilla::fixed([flag(property, operator, value)]);
    let flags = vexilla.flags(
        Context::new("u")
            .with("p", 1)
            .with("q", "x")
            .with("l", [1, 2]),
    );
    let _ = flags.bool("flag");
    let _ = flags.explain("flag").to_string();
    vexilla.snapshot().problems().next().is_some()
}

#[test]
fn brackets_nest_as_deep_as_documented_and_no_deeper() {
    on_small_stack(|| {
        let nested = |depth: usize| {
            let (open, close) = ("(".repeat(depth), ")".repeat(depth));
            use_up("p", "EQ", &format!("{open}1{close}"))
        };
        assert!(!nested(99));
        for depth in [101, 1_000, 1_000_000] {
            assert!(nested(depth), "{depth}");
        }
        for (begin, operator) in [("1 OR", "AND"), ("1 NAND", "NAND"), ("2 XOR", "OR")] {
            let mut conditions = String::from("1");
            for _ in 0..99 {
                conditions = format!("{begin} ({{p}} == 1 {operator} {{q}} == {conditions})");
            }
            assert!(!use_up("p", "EQ", &conditions), "{operator}");
        }
        for unclosed in [
            "(", "{", "[", "/", "\"", "'", "`", "/*", "-", "NOT ", "!", "{p}{", "{p[",
        ] {
            assert!(use_up("p", "EQ", &unclosed.repeat(100_000)), "{unclosed}");
        }
    });
}

#[test]
fn chains_are_as_long_as_they_like() {
    on_small_stack(|| {
        for operator in ["AND", "OR", "XOR", "NAND", "==", "IN", "=~"] {
            let link = format!(" {operator} {{q}} == 2");
            assert!(
                !use_up("p", "EQ", &format!("1{}", link.repeat(20_000))),
                "{operator}"
            );
        }
        let items = vec!["\"x\""; 30_000].join(",");
        assert!(!use_up("q", "IN", &format!("[{items}]")));
        let too_many = vec!["1"; 40_000].join(",");
        assert!(
            use_up("p", "IN", &format!("[{too_many}]")),
            "Flagr's own limit"
        );
        for steps in [".a[0]", "[-1]"] {
            let property = format!("p{}", steps.repeat(20_000));
            assert!(!use_up(&property, "EQ", "1"), "{steps}");
            let numbers = vec!["1"; 20_000].join(",");
            assert!(
                !use_up(&property, "NOTIN", &format!("[{numbers}]")),
                "{steps}"
            );
        }
        let megabyte = "x".repeat(1 << 20);
        assert!(
            use_up("q", "EQ", &format!("\"{megabyte}\"")),
            "more than a segment may have"
        );
    });
}

#[test]
fn many_constraints_in_one_segment_are_one_long_chain() {
    on_small_stack(|| {
        let mut flag = flag("p", "EQ", "1");
        let constraint = flag.segments[0].constraints[0].clone();
        flag.segments[0].constraints = vec![constraint; 20_000];
        let vexilla = Vexilla::fixed([flag]);
        assert!(vexilla.flags(Context::new("u").with("p", 1)).bool("flag"));
    });
}

#[test]
fn numbers_beyond_all_ranges_are_no_trouble() {
    let huge = "9".repeat(10_000);
    for number in [
        huge.clone(),
        format!("1e{huge}"),
        format!("1e-{huge}"),
        format!("0x{huge}p{huge}"),
        format!("0x1p-{huge}"),
        format!("0.{huge}"),
    ] {
        use_up("p", "EQ", &number);
        use_up("l", "CONTAINS", &number);
        use_up("p", "IN", &format!("[{number}]"));
        use_up(&format!("l[{number}]"), "EQ", "1");
    }
    let mut flag = flag("p", "EQ", "1");
    flag.id = u64::MAX;
    flag.segments[0].rollout_percent = u64::MAX;
    flag.segments[0].distributions[0].percent = u64::MAX;
    assert!(Snapshot::new([flag]).problems().next().is_some());
}

/// Texts of the language's own pieces.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{p}", "{q}", "{l}", "{p.a[0]}", "\"x\"", "'x'", "`x`", "1", "-1", "0x1p4", "1_0",
            ".5", "[1, 2]", "[\"x\"]", "/x/", "(", ")", "AND", "or", "XOR", "NAND", "NOT", "IN",
            "CONTAINS", "TRUE", "==", "!=", "<", ">=", "=~", "!~", "/*", "*/", "//", "\n", "{",
            "}", "[", "]", "@", "-", "\\", "\"", "é", "\u{0}",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_constraint_panics(property in pieces(), value in pieces(), operator in 0_usize..14) {
        const OPERATORS: [&str; 14] = [
            "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "EREG", "NEREG", "IN", "NOTIN", "CONTAINS",
            "NOTCONTAINS", "MATCHES", "nonsense",
        ];
        use_up(&property, OPERATORS[operator], &value);
        use_up("p", OPERATORS[operator], &value);
    }
}
