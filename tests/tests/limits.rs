//! The limits that the documentation of `vexilla-core` states: what is at one
//! works, what is beyond it puts its own flag at fault and no other, and a large
//! set shares what did not change. What the sizes cost, the bench of the same
//! name shows.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use vexilla_core::evaluation::ErrorCode;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Context, EmptyEntity, Filter, Limits, Reason, Value, Vexilla};

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
    assert_eq!(matches(r"^[\pL\pN]{30}$"), Ok(false));
    let problem = matches(r"^[\pL\pN]{1000}$").unwrap_err();
    assert!(problem.contains("`regex_program_bytes`"), "{problem}");
    // That one is too large for Flagr as well, which takes it for no match.
    assert_eq!(matches("(a{1000}){1000}"), Ok(false));
}

/// As `x{i}[\pL\pN]{1000}` in the flag of this number: with all the memory in the
/// world 50 MB for each, compiled.
fn costly(number: usize) -> Flag {
    let pattern = format!("\"x{{{number}}}[\\pL\\pN]{{1000}}\"");
    flag(
        &format!("costly-{number}"),
        [segment("p", "EREG", &pattern)],
    )
}

#[test]
fn costly_regular_expressions_are_refused_before_they_are_compiled_and_stay_refused() {
    let set = || -> FlagSet {
        let sound = flag("sound", [segment("p", "EREG", "\"^x\"")]);
        (1..=20).map(costly).chain([sound]).collect()
    };
    let before = Snapshot::new(set());
    let problems: Vec<_> = before.problems().collect();
    assert_eq!(problems.len(), 20);
    for problem in problems {
        assert!(
            problem.message.contains("`regex_program_bytes`"),
            "{problem:?}"
        );
    }
    let context = Context::new("u").with("p", "x");
    let on = before.evaluate("sound", &context, EmptyEntity::NoRollout);
    assert_eq!(on.variant_key(), Some("on"));

    let after = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&before));
    let shared = before.flags().zip(after.flags());
    assert!(
        shared
            .into_iter()
            .all(|(before, after)| std::ptr::eq(before, after))
    );
    assert_eq!(after.problem_count(), 20);
    // Where the limits are others, so may be what becomes of a flag.
    let limits = Limits::new().regex_program_bytes(1 << 20);
    let after = Snapshot::build(set(), &Filter::new(), &limits, Some(&before));
    assert!(
        !before
            .flags()
            .zip(after.flags())
            .any(|(before, after)| std::ptr::eq(before, after))
    );
}

#[test]
fn beyond_the_limit_of_a_set_the_newest_flags_have_a_problem_whatever_the_order() {
    let numbered = |id: u64| {
        let mut flag = flag(
            &format!("flag-{id}"),
            [segment("p", "EREG", &format!("\"^{id}[a-z]{{100}}\""))],
        );
        flag.id = id;
        flag
    };
    let limits = Limits::new().regex_set_bytes(50_000);
    let build = |ids: &[u64], before: Option<&Snapshot>| {
        let set: FlagSet = ids.iter().copied().map(numbered).collect();
        Snapshot::build(set, &Filter::new(), &limits, before)
    };
    let refused = |snapshot: &Snapshot| {
        let mut refused: Vec<_> = snapshot
            .problems()
            .map(|problem| {
                assert!(problem.message.contains("`regex_set_bytes`"), "{problem:?}");
                problem.flag_id
            })
            .collect();
        refused.sort_unstable();
        refused
    };
    let ascending = build(&[1, 2, 3, 4, 5, 6, 7, 8, 9], None);
    let first = refused(&ascending);
    assert!(!first.is_empty() && first.len() < 9, "{first:?}");
    assert_eq!(first.last(), Some(&9));
    let shuffled = [5, 9, 2, 8, 1, 7, 3, 6, 4];
    assert_eq!(refused(&build(&shuffled, None)), first);
    assert_eq!(refused(&build(&shuffled, Some(&ascending))), first);
    // Room that a flag leaves is taken by the next, and given back.
    let fewer = build(&[2, 3, 4, 5, 6, 7, 8, 9], Some(&ascending));
    assert_eq!(refused(&fewer), first[1..]);
    assert_eq!(refused(&build(&shuffled, Some(&fewer))), first);
}

/// A flag of nine constraints, each of which Go would run for seconds.
fn slow(operator: &str) -> Segment {
    let constraint = |n: usize| {
        let pattern = format!("\"(a?b?c?d?){{1000}}[{n}]\"");
        Constraint::new("header", operator, &pattern)
    };
    let segment = Segment::new().distribution("on", 100);
    (1..=9).map(constraint).fold(segment, Segment::constraint)
}

#[test]
fn an_evaluation_does_not_search_beyond_its_limit_and_says_so() {
    let header = "abcd".repeat(2 << 10);
    let context = || {
        Context::new("u")
            .with("header", header.as_str())
            .with("p", "x")
    };
    for operator in ["EREG", "NEREG", "MATCHES"] {
        let vexilla = Vexilla::fixed([
            flag("slow", [slow(operator)]),
            flag("other", [slow(operator), segment("p", "EREG", "\"x\"")]),
        ]);
        assert_eq!(vexilla.snapshot().problem_count(), 0);
        let flags = vexilla.flags(context());
        let evaluation = flags.evaluate("slow");
        assert!(evaluation.is_beyond_limits());
        assert_eq!(
            (evaluation.variant_key(), evaluation.reason()),
            (None, Reason::Error)
        );
        let error = evaluation.error().unwrap();
        assert_eq!(error.code(), ErrorCode::General);
        assert!(error.message().contains("`regex_work`"), "{error}");
        assert!(flags.try_bool("slow").is_err() && !flags.bool("slow"));
        let json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(json["beyondLimits"], true);
        let explanation = flags.explain("slow");
        assert!(explanation.beyond_limits);
        assert!(
            explanation.to_string().contains("beyond our limits"),
            "{explanation}"
        );

        // A segment behind it that matches assigns its variant, and the outcome
        // still says that one before it was not decided.
        let other = flags.evaluate("other");
        assert_eq!((other.variant_key(), other.error()), (Some("on"), None));
        assert!(other.is_beyond_limits());

        assert_eq!(vexilla.snapshot().evaluations_beyond_limits(), 4);
        assert_eq!(vexilla.status().counts.beyond_limits, 4);
        vexilla.replace([flag("slow", [slow(operator)])]);
        assert_eq!(vexilla.snapshot().evaluations_beyond_limits(), 4);

        let short = vexilla
            .flags(Context::new("u").with("header", "abcd"))
            .evaluate("slow")
            .is_beyond_limits();
        assert!(!short);
    }
}

#[test]
fn the_limit_on_work_is_for_all_constraints_of_an_evaluation_and_can_be_raised() {
    let text = "a".repeat(1 << 10);
    let constraint = || Constraint::new("p", "EREG", "\"[ab]{100}$\"");
    let matches = |constraints: usize, limits: &Limits| {
        let segment = Segment::new().distribution("on", 100);
        let segment = (0..constraints)
            .map(|_| constraint())
            .fold(segment, Segment::constraint);
        let vexilla = Vexilla::fixed_with_limits([flag("flag", [segment])], limits);
        let flags = vexilla.flags(Context::new("u").with("p", text.as_str()));
        (
            flags.bool("flag"),
            flags.evaluate("flag").is_beyond_limits(),
        )
    };
    let limits = Limits::new().regex_work(101 << 10);
    assert_eq!(matches(1, &limits), (true, false));
    assert_eq!(matches(2, &limits), (false, true));
    assert_eq!(matches(2, &limits.regex_work(202 << 10)), (true, false));
    assert_eq!(matches(20, &Limits::new()), (true, false));
    assert_eq!(matches(21, &Limits::new()), (false, true));
}

#[test]
fn patterns_of_cel_are_within_the_limits_of_all_regular_expressions() {
    let flag = |expression: &str| flag("flag", [segment("p", "CEL", expression)]);
    let large = flag(r"p.matches('[\\pL\\pN]{1000}')");
    let problem = Snapshot::new([large]).problems().next().unwrap().message;
    assert!(problem.contains("`regex_program_bytes`"), "{problem}");
    let vexilla = Vexilla::fixed([flag("p.matches('(a?b?c?d?){1000}x') || true")]);
    let beyond = |text: String| {
        let flags = vexilla.flags(Context::new("u").with("p", text));
        flags.evaluate("flag").is_beyond_limits()
    };
    assert!(beyond("abcd".repeat(2 << 10)));
    assert!(!beyond("abcd".to_owned()));
}

/// An expression that looks at each pair of the items of the attribute `l`.
const PAIRS: &str = "l.exists(a, l.exists(b, a == b + 'q'))";

fn with_list(items: usize) -> Context {
    let items: Vec<_> = (0..items).map(|n| format!("{n:02x}")).collect();
    let items: Vec<_> = items.iter().map(String::as_str).collect();
    Context::new("u").with("l", items)
}

#[test]
fn the_limit_on_cel_is_for_all_expressions_of_an_evaluation_and_can_be_raised() {
    let vexilla = |segments: usize, limits: &Limits| {
        let no = (0..segments).map(|_| segment("p", "CEL", PAIRS));
        let yes = segment("p", "CEL", "true");
        let flags = [
            flag("no", no.clone()),
            flag("other", no.chain([yes])),
            flag("sound", [Segment::new().distribution("on", 100)]),
        ];
        Vexilla::fixed_with_limits(flags, limits)
    };
    // Each of them takes about a hundredth of the limit.
    let few = vexilla(50, &Limits::new());
    let evaluation = few.flags(with_list(10)).evaluate("no").is_beyond_limits();
    assert!(!evaluation);

    let many = vexilla(900, &Limits::new());
    assert_eq!(many.snapshot().problem_count(), 0);
    let flags = many.flags(with_list(10));
    let evaluation = flags.evaluate("no");
    assert!(evaluation.is_beyond_limits());
    assert_eq!(evaluation.reason(), Reason::Error);
    let error = evaluation.error().unwrap();
    assert_eq!(error.code(), ErrorCode::General);
    assert!(error.message().contains("`cel_work`"), "{error}");
    assert!(flags.try_bool("no").is_err());
    assert_eq!(many.snapshot().evaluations_beyond_limits(), 2);
    assert_eq!(many.status().counts.beyond_limits, 2);
    let explanation = flags.explain("no");
    assert!(explanation.beyond_limits);
    let text = explanation.to_string();
    assert!(text.contains("the limit `cel_work`"), "{text}");
    // The limit is that of one evaluation: others are not affected.
    assert!(flags.bool("sound"));

    let raised = vexilla(900, &Limits::new().cel_work(u64::MAX));
    assert!(
        !raised
            .flags(with_list(10))
            .evaluate("no")
            .is_beyond_limits()
    );

    // The budget that a refused expression did not use is there for the next.
    let limits = Limits::new().cel_work(500);
    let flags = vexilla(1, &limits).flags(with_list(10));
    let other = flags.evaluate("other");
    assert_eq!((other.variant_key(), other.error()), (Some("on"), None));
    assert!(other.is_beyond_limits());
}

#[test]
fn a_cel_expression_beyond_the_limit_is_not_silently_false() {
    let vexilla = Vexilla::fixed([flag("f", [segment("p", "CEL", &format!("!{PAIRS}"))])]);
    let flags = vexilla.flags(with_list(50));
    assert!(flags.bool("f") && !flags.evaluate("f").is_beyond_limits());
    let flags = vexilla.flags(with_list(500));
    let evaluation = flags.evaluate("f");
    assert_eq!(evaluation.reason(), Reason::Error);
    assert!(evaluation.is_beyond_limits());
    assert!(flags.try_bool("f").is_err());
    assert_eq!(vexilla.snapshot().evaluations_beyond_limits(), 2);

    // So it is with values that nest too deep for CEL.
    let deep = (0..100).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let flags = vexilla.flags(Context::new("u").with("l", deep));
    assert!(flags.evaluate("f").is_beyond_limits());
}

#[test]
fn searches_of_cel_before_one_beyond_the_limit_count() {
    // Each segment asks for five searches; the limit is enough for three.
    let pattern = "p.matches('[ab]{100}$')";
    let expression = [pattern; 5].join(" && ");
    let segments = (0..2).map(|_| segment("p", "CEL", &expression));
    let one = segment("p", "EREG", "\"[ab]{100}$\"");
    let limits = Limits::new().regex_work(350 << 10);
    let flag = flag("f", segments.chain([one]));
    let vexilla = Vexilla::fixed_with_limits([flag], &limits);
    let context = Context::new("u").with("p", "a".repeat(1 << 10));
    let flags = vexilla.flags(context);
    let evaluation = flags.evaluate("f");
    assert_eq!(evaluation.variant_key(), None, "nothing is left for it");
    assert!(evaluation.is_beyond_limits());
}

#[test]
fn a_regular_expression_out_of_the_context_has_narrow_limits() {
    let vexilla = Vexilla::fixed([flag("flag", [segment("p", "EREG", "{q}")])]);
    let decision = |text: &str, pattern: &str| {
        let flags = vexilla.flags(Context::new("u").with("p", text).with("q", pattern));
        let evaluation = flags.evaluate("flag");
        (
            evaluation.variant_key().is_some(),
            evaluation.is_beyond_limits(),
        )
    };
    assert_eq!(decision("a-1", r"^\w-\d$"), (true, false));
    assert_eq!(decision("a-1", r"^\pL"), (true, false));
    assert_eq!(
        decision("a-1", "(("),
        (false, false),
        "invalid, as in Flagr"
    );
    assert_eq!(decision("a", &"a|".repeat(128)), (true, false));
    assert_eq!(decision("a", &"a|".repeat(129)), (false, true));
    assert_eq!(decision("a", r"\pL\pL\pL"), (false, true));
    let classes = |count: usize| format!("[{}]", r"\pL".repeat(count));
    assert_eq!(decision("a", &classes(32)), (true, false));
    assert_eq!(decision("a", &classes(33)), (false, true));
    assert_eq!(decision("a", "a{1000}|a"), (true, false));
    assert_eq!(decision("a", "[^b]{1000}|a"), (false, true));
    assert_eq!(decision(&"a".repeat(1_000), "a{10}"), (true, false));
    assert_eq!(decision(&"a".repeat(2_000), "a{10}"), (false, true));
}

#[test]
fn large_contexts_and_many_segments_are_read_to_the_end() {
    let text = "x".repeat(10 << 20);
    let context = (0..1_000).fold(Context::new("u"), |context, n| {
        context.with(&format!("attribute-{n}"), n)
    });
    let context = context.with("text", text.as_str()).with("country", "BR");
    let others = (0..999).map(|n| segment("country", "EQ", &format!("\"c-{n}\"")));
    let flags = [
        flag("many", others.chain([segment("country", "EQ", "\"BR\"")])),
        flag("text", [segment("text", "EREG", "\"^(x+x+)+$\"")]),
        flag("other", [segment("text", "EREG", "\"^(x+x+)+y\"")]),
        flag("last", [segment("attribute-999", "EQ", "999")]),
    ];
    let limits = Limits::new().regex_work(1 << 30);
    let flags = Vexilla::fixed_with_limits(flags, &limits).flags(context);
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
    let after = Snapshot::build(changed, &Filter::new(), &Limits::new(), Some(&before));

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
            "\"secret[[:word:]]{1000}{1000}[\\pL\\pN]{1000}[\\pL\\pN]{1000}\"".to_owned(),
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
    assert!(problem.ends_with("more problems"), "{problem}");
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

/// The constraint `p EQ value` by a value of about this length that is made of many
/// of a unit, behind `1 `.
fn repeated(unit: &str, length: usize) -> String {
    format!("1 {}", unit.repeat(length / unit.len()))
}

/// Constraints whose compiled form is large for their text: operator and value.
fn large_when_compiled() -> Vec<(&'static str, String)> {
    const LENGTH: usize = 60_000;

    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    vec![
        ("EQ", repeated("OR(1<1<1)", LENGTH)),
        ("EQ", repeated("OR 1<1 ", LENGTH)),
        ("EQ", repeated("OR{p}<1", LENGTH)),
        ("EQ", repeated("OR(1OR(1AND 1))", LENGTH)),
        ("EQ", repeated("OR{p}IN[1]", LENGTH)),
        ("EQ", repeated("OR{p}=~/a/", LENGTH)),
        ("EQ", repeated("OR(1<1{y})", LENGTH)),
        ("EQ", format!("1 OR{{p{}}}==1", ".a".repeat(LENGTH / 2))),
        ("EQ", format!("1 OR{{p{}}}==1", "[0]".repeat(LENGTH / 3))),
        (
            "EQ",
            repeated(
                "OR{p}IN[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]",
                LENGTH,
            ),
        ),
        ("IN", list("\"\"", 30_000)),
        ("IN", list("\"ab\"", 30_000)),
        ("IN", list("1", 30_000)),
    ]
}

#[test]
fn the_memory_of_compiled_constraints_is_known_within_a_factor_of_two() {
    let limits = |bytes| Limits::new().constraint_set_bytes(bytes);
    for (operator, value) in large_when_compiled() {
        // Enough of them that what else is compiled does not count.
        let count = 60_000_usize.div_ceil(value.len());
        let set = || -> FlagSet {
            let constraint = || Constraint::new("p", operator, value.as_str());
            let segment = (0..count).fold(Segment::new(), |segment, _| {
                segment.constraint(constraint())
            });
            [flag("f", [segment.distribution("on", 100)])].into()
        };
        let start: String = value.chars().take(20).collect();
        let compile = |limit: usize| {
            let set = set();
            let mut snapshot = None;
            let measured = allocation_counter::measure(|| {
                let limits = limits(limit);
                snapshot = Some(Snapshot::build(set, &Filter::new(), &limits, None));
            });
            (measured, snapshot.unwrap().problems().next())
        };
        drop(compile(usize::MAX)); // what is made once for all
        let (measured, problem) = compile(usize::MAX);
        assert_eq!(problem, None, "{operator} {start}");
        let taken = usize::try_from(measured.bytes_current).unwrap();
        let (_, problem) = compile(2 * taken);
        assert_eq!(
            problem, None,
            "{operator} {start}: {taken} bytes are too few"
        );
        let (_, problem) = compile(taken - taken / 20);
        let problem = problem.unwrap_or_else(|| panic!("{operator} {start}: {taken} bytes"));
        assert!(
            problem.message.contains("`constraint_set_bytes`"),
            "{problem:?}"
        );

        // And so a flag beyond it takes next to nothing.
        let (measured, _) = compile(1 << 10);
        assert!(
            measured.bytes_current < 4 << 10,
            "{operator} {start}: {measured:?}"
        );
    }
}

#[test]
fn beyond_the_memory_for_constraints_the_newest_flags_have_a_problem_whatever_the_order() {
    let numbered = |id: u64| {
        let mut flag = flag(
            &format!("flag-{id}"),
            [segment(
                "p",
                "IN",
                &list_of(100, |n| format!("\"{id}-{n}\"")),
            )],
        );
        // One that is invalid for another reason holds nothing.
        if id == 2 {
            flag = flag.segment(segment("p", "IN", "[]"));
        }
        // What else has an id must not get one by its place in the set.
        flag.id = id;
        for variant in &mut flag.variants {
            variant.id = id;
        }
        for (segment, id) in flag.segments.iter_mut().zip(10 * id..) {
            segment.id = id;
            segment.constraints.iter_mut().for_each(|c| c.id = id);
            segment.distributions.iter_mut().for_each(|d| d.id = id);
        }
        flag
    };
    let limits = Limits::new().constraint_set_bytes(30_000);
    let build = |ids: &[u64], before: Option<&Snapshot>| {
        let set: FlagSet = ids.iter().copied().map(numbered).collect();
        Snapshot::build(set, &Filter::new(), &limits, before)
    };
    let refused = |snapshot: &Snapshot| {
        let mut refused: Vec<_> = snapshot
            .problems()
            .filter(|problem| problem.message.contains("`constraint_set_bytes`"))
            .map(|problem| problem.flag_id)
            .collect();
        refused.sort_unstable();
        refused
    };
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let ascending = build(&all, None);
    let first = refused(&ascending);
    assert!(first.len() > 2 && first.len() < 7, "{first:?}");
    assert_eq!(first.last(), Some(&9));
    let shuffled = [5, 9, 2, 8, 1, 7, 3, 6, 4];
    assert_eq!(refused(&build(&shuffled, None)), first);
    let again = build(&shuffled, Some(&ascending));
    assert_eq!(refused(&again), first);
    assert!(again.same_flags(&ascending));
    // Nothing was compiled again, refusals included.
    for id in all {
        let key = format!("flag-{id}");
        let (before, after) = (ascending.flag(&key).unwrap(), again.flag(&key).unwrap());
        assert!(std::ptr::eq(before, after), "{key}");
    }
    // Room that a flag leaves is taken by the next, and given back.
    let fewer = build(&[2, 3, 4, 5, 6, 7, 8, 9], Some(&ascending));
    assert_eq!(refused(&fewer), first[1..]);
    assert!(fewer.same_flags(&build(&[2, 3, 4, 5, 6, 7, 8, 9], None)));
    let back = build(&shuffled, Some(&fewer));
    assert_eq!(refused(&back), first);
    assert!(back.same_flags(&ascending));
}

#[test]
fn ordinary_flags_are_far_within_the_memory_for_constraints() {
    let people = list_of(50, |n| format!("\"person-{n}@example.com\""));
    let ordinary = |n: usize| {
        let first = segment("country", "EQ", "\"BR\"")
            .constraint(Constraint::new("age", "GTE", "18"))
            .constraint(Constraint::new("mail", "EREG", "\"@example\\.com$\""));
        flag(
            &format!("flag-{n}"),
            [first, segment("mail", "IN", &people)],
        )
    };
    let set: FlagSet = (0..1_000).map(ordinary).collect();
    let length = serde_json::to_vec(&set).unwrap().len();
    let limits = Limits::new().constraint_set_bytes(2 * length);
    let snapshot = Snapshot::build(set, &Filter::new(), &limits, None);
    assert_eq!(
        snapshot.problem_count(),
        0,
        "of a document of {length} bytes"
    );
}

#[test]
fn the_explanation_of_many_segments_is_bounded() {
    let ignored = format!("OR(1<1{{{}}})", "y".repeat(250));
    let long = format!("1 {}", ignored.repeat(20));
    let list = list_of(1_000, |n| n.to_string());
    let texts = list_of(300, |n| format!("\"{n}\""));
    for (operator, value, p) in [
        ("EQ", long.as_str(), "x"),
        ("EQ", &long, "no"),
        ("IN", &list, "no"),
        ("IN", &texts, "7"),
        ("IN", &texts, "no"),
    ] {
        let segments = (0..400).map(|_| segment("p", operator, value));
        let vexilla = Vexilla::fixed([flag("f", segments)]);
        assert_eq!(vexilla.snapshot().problem_count(), 0);
        let explanation = vexilla.flags(Context::new("u").with("p", p)).explain("f");
        assert_eq!(explanation.segments.len(), 400);
        let shown = explanation
            .segments
            .iter()
            .filter(|s| s.constraints.is_some());
        let shown = shown.count();
        assert!(shown > 10, "{operator} {p}: {shown}");
        if operator == "IN" {
            assert_eq!(shown + explanation.omitted_parts, 400, "{p}");
        }
        let length: usize = explanation
            .segments
            .iter()
            .map(|segment| {
                let node = segment
                    .constraints
                    .as_ref()
                    .map_or(0, |node| node.text.len());
                let ignored: usize = segment.ignored_text.iter().map(String::len).sum();
                node + ignored + segment.cel.as_ref().map_or(0, String::len)
            })
            .sum();
        // One more CEL text and one more node than there was room for, at most.
        assert!(
            length < (256 + 16 + 4) << 10,
            "{operator} {p}: {length} bytes"
        );
    }
}

#[test]
fn no_text_in_cel_is_made_that_is_too_long_to_be_shown() {
    // CEL counts from the end by naming the path twice: each of these is 4 KB.
    let end = format!(") OR ({{p{}}} == \"x\"", "[-1]".repeat(8));
    for join in ["OR", "AND"] {
        let value = format!("\"x\"{}", end.replace("OR", join).repeat(1_000));
        let vexilla = Vexilla::fixed([flag("f", [segment("q", "EQ", &value)])]);
        assert_eq!(vexilla.snapshot().problem_count(), 0);
        let flags = vexilla.flags(Context::new("u"));
        let mut explanation = None;
        let measured = allocation_counter::measure(|| explanation = Some(flags.explain("f")));
        let segment = &explanation.unwrap().segments[0];
        assert_eq!(segment.cel, None);
        assert!(
            measured.bytes_max < 1 << 20,
            "{join}: {} bytes",
            measured.bytes_max
        );
    }
}

/// The memory for constraints ends within the second flag, before its pattern or
/// after it.
#[test]
fn a_flag_without_memory_takes_none_from_others_whatever_was_built_before() {
    let list = |count: usize| list_of(count, |n| format!("\"item-{n}\""));
    let numbered = |id: u64, segments: Vec<Segment>| {
        let mut flag = flag(&format!("f{id}"), segments);
        flag.id = id;
        flag
    };
    let set = |first: usize| -> FlagSet {
        let pattern = segment("p", "MATCHES", "^b{1}[a-z]{100}$");
        let second = vec![
            segment("p", "IN", &list(60)),
            pattern,
            segment("p", "IN", &list(1_000)),
        ];
        [
            numbered(1, vec![segment("p", "IN", &list(first))]),
            numbered(2, second),
            numbered(3, vec![segment("p", "MATCHES", "^hello[a-z]{0,60}$")]),
        ]
        .into_iter()
        .collect()
    };
    let mut takes_room = false;
    for regex in (10_000..22_000).step_by(1_000) {
        let ample = Limits::new().regex_set_bytes(regex);
        let limits = ample.clone().constraint_set_bytes(12_000);
        let problems = |set: FlagSet, limits: &Limits, before: Option<&Snapshot>| -> Vec<u64> {
            let snapshot = Snapshot::build(set, &Filter::new(), limits, before);
            snapshot.problems().map(|problem| problem.flag_id).collect()
        };
        for first in (1..140).step_by(4) {
            let before = Snapshot::build(set(1), &Filter::new(), &limits, None);
            let alone = problems(set(first), &limits, None);
            let beside = problems(set(first), &limits, Some(&before));
            assert_eq!(alone, beside, "{regex}, {first}");
            let others = set(first).flags.into_iter().filter(|flag| flag.id != 2);
            let mut without = problems(others.collect(), &limits, None);
            without.insert(0, 2);
            assert_eq!(alone, without, "{regex}, {first}");
            takes_room |= problems(set(first), &ample, None) == [3];
        }
    }
    assert!(takes_room, "if it is valid");
}
