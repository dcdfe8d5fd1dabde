//! The limits that the documentation of `vexilla-core` states: what is at one
//! works, what is beyond it puts its own flag at fault and no other, and a large
//! set shares what did not change. What the sizes cost, the bench of the same
//! name shows.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::{Context, Filter, FlagSet, Snapshot, Value, Vexilla};

fn segment(property: &str, operator: &str, value: &str) -> Segment {
    Segment::new()
        .constraint(Constraint::new(property, operator, value))
        .distribution("on", 100)
}

fn flag(key: &str, segments: impl IntoIterator<Item = Segment>) -> Flag {
    let flag = Flag::new(key).enabled(true).variant(Variant::new("on"));
    segments.into_iter().fold(flag, Flag::segment)
}

/// Whether a flag of this constraint, beside one that is sound, is on for the
/// context; the problem if it has one. The sound one always answers.
fn beside_a_sound_flag(operator: &str, value: &str, context: Context) -> Result<bool, String> {
    let vexilla = Vexilla::fixed([
        flag("large", [segment("p", operator, value)]),
        flag("sound", [Segment::new().distribution("on", 100)]),
    ]);
    let flags = vexilla.flags(context);
    assert!(flags.bool("sound"));
    let problems: Vec<_> = vexilla.snapshot().problems().collect();
    match problems.as_slice() {
        [] => Ok(flags.bool("large")),
        [problem] => {
            assert_eq!(problem.flag_key, "large");
            assert!(!flags.bool("large"));
            Err(problem.message.clone())
        }
        _ => panic!("one flag can have one problem"),
    }
}

fn list_of(count: usize, item: impl Fn(usize) -> String) -> String {
    let items: Vec<_> = (0..count).map(item).collect();
    format!("[{}]", items.join(","))
}

#[test]
fn a_list_has_at_most_as_many_values_as_flagr_reads() {
    const MOST: usize = 32_768;

    let text = |n| format!("\"item-{n}\"");
    let is_in =
        |list: &str, item: &str| beside_a_sound_flag("IN", list, Context::new("u").with("p", item));
    let last = format!("item-{}", MOST - 1);
    assert_eq!(is_in(&list_of(MOST, text), &last), Ok(true));
    assert_eq!(is_in(&list_of(MOST, text), "item"), Ok(false));
    assert!(is_in(&list_of(MOST + 1, text), "item-0").is_err());
    assert!(is_in(&list_of(100_000, text), "item-0").is_err());

    let number = |n: usize| n.to_string();
    let is_in = |list: &str, item: usize| {
        beside_a_sound_flag("IN", list, Context::new("u").with("p", item as f64))
    };
    assert_eq!(is_in(&list_of(MOST, number), MOST - 1), Ok(true));
    assert_eq!(is_in(&list_of(MOST, number), MOST), Ok(false));
    assert!(is_in(&list_of(MOST + 1, number), 0).is_err());
}

#[test]
fn the_constraints_of_a_segment_have_at_most_a_mebibyte_of_text() {
    let equals = |length: usize| {
        let text = "x".repeat(length);
        let context = Context::new("u").with("p", text.as_str());
        beside_a_sound_flag("EQ", &format!("\"{text}\""), context)
    };
    let around = "({p} == \"\")".len();
    assert_eq!(equals((1 << 20) - around), Ok(true));
    let problem = equals((1 << 20) - around + 1).unwrap_err();
    assert!(problem.contains("more than 1048576 bytes"), "{problem}");
}

#[test]
fn a_regular_expression_that_is_too_large_is_the_problem_of_its_flag() {
    let matches = |pattern: &str| {
        let context = Context::new("u").with("p", "aaaa");
        beside_a_sound_flag("EREG", &format!("\"{pattern}\""), context)
    };
    assert_eq!(matches("(a+)+$"), Ok(true));
    assert_eq!(matches(r"^[\pL\pN]{1000}$"), Ok(false));
    let problem = matches(r"[\pL\pN]{1000}[\pL\pN]{1000}").unwrap_err();
    assert!(problem.contains("bytes"), "{problem}");
    // That one is too large for Flagr as well, which takes it for no match.
    assert_eq!(matches("(a{1000}){1000}"), Ok(false));
}

#[test]
fn large_contexts_and_many_segments_are_read_to_the_end() {
    let text = "x".repeat(10 << 20);
    let context = (0..1_000).fold(Context::new("u"), |context, n| {
        context.with(&format!("attribute-{n}"), n)
    });
    let context = context.with("text", text.as_str()).with("country", "BR");
    let others = (0..999).map(|n| segment("country", "EQ", &format!("\"c-{n}\"")));
    let vexilla = Vexilla::fixed([
        flag("many", others.chain([segment("country", "EQ", "\"BR\"")])),
        flag("text", [segment("text", "EREG", "\"^(x+x+)+$\"")]),
        flag("other", [segment("text", "EREG", "\"^(x+x+)+y\"")]),
        flag("last", [segment("attribute-999", "EQ", "999")]),
    ]);
    let flags = vexilla.flags(context);
    let on = ["many", "text", "other", "last"].map(|key| flags.bool(key));
    assert_eq!(on, [true, true, false, true]);
}

#[test]
fn a_refresh_in_which_one_of_10_000_flags_changed_compiles_that_one() {
    let set = || -> FlagSet {
        (0..10_000)
            .map(|n| flag(&format!("flag-{n}"), [segment("p", "EREG", "\"^a\"")]))
            .collect()
    };
    let before = Snapshot::new(set());
    let mut changed = set();
    changed.flags[5_000].segments[0].constraints[0].value = "\"^b\"".to_owned();
    let after = Snapshot::build(changed, &Filter::new(), Some(&before));

    // A definition lies within its compiled flag: where it is the same, so is that.
    let compiled: Vec<_> = before
        .flags()
        .zip(after.flags())
        .filter(|(before, after)| !std::ptr::eq(*before, *after))
        .map(|(_, after)| after.key.as_str())
        .collect();
    assert_eq!(compiled, ["flag-5000"]);
}

/// Whether the flag `large` is invalid, beside one that is sound.
fn is_refused(large: Flag) -> bool {
    let vexilla = Vexilla::fixed([
        large,
        flag("sound", [Segment::new().distribution("on", 100)]),
    ])
    .with_evaluation_counts();
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.bool("sound"));
    let counts = vexilla.evaluation_counts().unwrap();
    assert_eq!(counts.flags[1].variants[0].count, 1);
    match vexilla.snapshot().problems().next() {
        None => false,
        Some(problem) => {
            assert!(
                problem.message.contains("more than the limit of 1000"),
                "{}",
                problem.message
            );
            assert!(
                counts.flags[0].variants.is_empty(),
                "nothing is counted for it"
            );
            assert!(!flags.bool("large"));
            true
        }
    }
}

#[test]
fn a_flag_has_at_most_so_many_segments_variants_and_distributions() {
    let segments = |count| flag("large", (0..count).map(|_| Segment::new().rollout(0)));
    let variants = |count| {
        let variants = (1..count).map(|n| Variant::new(format!("v-{n}")));
        variants.fold(flag("large", []), Flag::variant)
    };
    let distributions = |count| {
        let shares = (0..count).map(|n| u64::from(n < 100));
        let segment = shares.fold(Segment::new(), |segment, share| {
            segment.distribution("on", share)
        });
        flag("large", [segment])
    };
    for (at, above) in [
        (segments(1_000), segments(1_001)),
        (variants(1_000), variants(1_001)),
        (distributions(1_000), distributions(1_001)),
    ] {
        assert!(!is_refused(at));
        assert!(is_refused(above));
    }
}

#[test]
fn an_error_about_a_constraint_is_short_and_does_not_show_its_value() {
    let people: Vec<_> = (0..10_000)
        .map(|n| format!("\"secret-{n}@example.com\""))
        .collect();
    let people = people.join(",");
    for (operator, value) in [
        ("IN", format!("[{people},]")),
        ("IN", format!("[{people}")),
        ("IN", format!("[true, {people}]")),
        ("EQ", format!("secret {people}")),
        ("EQ", format!("'{people}'")),
        ("EQ", format!("1 OR ({people}")),
        ("LT", "1_secret".to_owned()),
        (
            "EREG",
            format!("\"secret[[:word:]]{{1000}}{{1000}}[\\pL\\pN]{{1000}}[\\pL\\pN]{{1000}}\""),
        ),
        ("MATCHES", "secret(".to_owned()),
        ("MATCHES", "secret**".to_owned()),
        ("CEL", format!("email in [{people}")),
        ("CEL", "email == 'secret".to_owned()),
        ("CEL", "email == secret('secret')(".to_owned()),
        ("CEL", "email == \"secret\" \"secret\"".to_owned()),
    ] {
        let Err(problem) = beside_a_sound_flag(operator, &value, Context::new("u")) else {
            continue;
        };
        let start: String = value.chars().take(40).collect();
        assert!(
            problem.len() <= 1024,
            "{operator} {start}: {} bytes",
            problem.len()
        );
        assert!(!problem.contains("secret"), "{operator} {start}: {problem}");
        assert!(problem.contains("segment[0]: constraint"), "{problem}");
    }
    let vexilla = Vexilla::fixed([flag("f", [segment("p", "IN", &format!("[{people},]"))])]);
    let flags = vexilla.flags(Context::new("u"));
    let error = flags.try_bool("f").unwrap_err().to_string();
    assert!(error.len() < 1200 && !error.contains("secret"), "{error}");
}

#[test]
fn the_error_of_a_flag_with_many_faulty_constraints_is_short() {
    let long = "p".repeat(10_000);
    let segments = (0..1_000).map(|_| segment(&long, "IN", "[1,"));
    let snapshot = Snapshot::new([flag("f", segments)]);
    let problem = snapshot.problems().next().unwrap().message;
    assert!(problem.len() <= 1024, "{}", problem.len());
    assert!(problem.ends_with("problems more"), "{problem}");
}

#[test]
fn an_explanation_is_bounded_and_says_what_it_leaves_out() {
    let body = "x".repeat(65 << 10);
    let constraints = (0..2_000).map(|n| Constraint::new("body", "NEQ", format!("\"{n}\"")));
    let all = constraints.fold(Segment::new(), Segment::constraint);
    let vexilla = Vexilla::fixed([flag("f", [all.distribution("on", 100)])]);
    let flags = vexilla.flags(Context::new(&body).with("body", body.as_str()));
    assert!(flags.bool("f"));

    let mut explained = None;
    let measured = allocation_counter::measure(|| {
        let explanation = flags.explain("f");
        let json = serde_json::to_string(&explanation).unwrap();
        explained = Some((explanation, json));
    });
    let (explanation, json) = explained.unwrap();
    assert!(measured.bytes_max < 4 << 20, "{} bytes", measured.bytes_max);
    assert!(json.len() < 1 << 20, "{} bytes", json.len());
    let text = explanation.to_string();
    assert!(text.len() < 1 << 20 && text.contains("more parts of constraints"));

    let shown = &explanation.segments[0].constraints.as_ref().unwrap().parts;
    assert_eq!(shown.len() + explanation.omitted_parts, 2_000);
    assert!(shown.len() > 100);
    assert!(shown[0].seen_is_cut);
    let beginning = format!("{}…", "x".repeat(1 << 10));
    assert_eq!(shown[0].seen, Some(Value::String(beginning)));
    assert!(explanation.entity_id.len() < 300);

    let small = Vexilla::fixed([flag("f", [segment("p", "EQ", "1")])]);
    let explanation = small.flags(Context::new("u").with("p", 1)).explain("f");
    assert_eq!(explanation.omitted_parts, 0);
    let json = serde_json::to_string(&explanation).unwrap();
    assert!(
        !json.contains("omittedParts") && !json.contains("seenIsCut"),
        "{json}"
    );
}
