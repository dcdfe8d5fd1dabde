//! What goes beyond Flagr's answers: getters, reasons, entities, overrides,
//! isolated flags, explanations.

use std::sync::Arc;

use serde_json::json;
use vexilla_core::context::{ContextRef, ValueRef};
use vexilla_core::evaluation::ErrorCode;
use vexilla_core::explain::Outcome;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{
    BoolFlag, Context, EmptyEntity, Evaluation, Filter, FloatFlag, IntFlag, Limits, Overrides,
    Reason, StringFlag, Vexilla,
};

/// A flag whose one variant everybody gets.
fn everybody(key: &str, variant: Variant) -> Flag {
    let distribution = variant.key.clone();
    Flag::new(key)
        .enabled(true)
        .variant(variant)
        .segment(Segment::new().distribution(distribution, 100))
}

/// A flag that is on for those who fulfil a constraint.
fn on_for(key: &str, property: &str, operator: &str, value: &str) -> Flag {
    Flag::new(key)
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(
            Segment::new()
                .constraint(Constraint::new(property, operator, value))
                .distribution("on", 100),
        )
}

fn half(key: &str) -> Flag {
    Flag::new(key)
        .enabled(true)
        .variant(Variant::new("on"))
        .variant(Variant::new("off"))
        .segment(
            Segment::new()
                .distribution("on", 50)
                .distribution("off", 50),
        )
}

#[test]
fn getters_follow_the_table() {
    let vexilla = Vexilla::fixed([
        everybody(
            "enabled",
            Variant::new("x").attachment(json!({"enabled": true, "value": 1})),
        ),
        everybody(
            "number",
            Variant::new("7").attachment(json!({"value": 2.5})),
        ),
        everybody(
            "text",
            Variant::new("red").attachment(json!({"value": "#d33"})),
        ),
        everybody("key", Variant::new("OFF")),
        Flag::new("disabled"),
    ]);
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.bool("enabled"));
    assert!(!flags.bool_or("key", true));
    assert!(flags.bool_or("text", true), "a colour is no boolean");
    assert!(flags.bool_or("disabled", true) && flags.bool_or("unknown", true));
    assert_eq!(
        flags.int_or("number", 0),
        7,
        "2.5 is no integer, the key is"
    );
    assert_eq!(flags.float_or("number", 0.0), 2.5);
    assert_eq!(flags.string_or("text", ""), "#d33");
    assert_eq!(flags.string_or("key", ""), "OFF");
    assert_eq!(flags.variant("text"), Some("red"));
    assert_eq!(flags.variant("disabled"), None);
    assert_eq!(flags.json("text"), Some(json!({"value": "#d33"})));
    assert_eq!(flags.json::<u8>("text"), None);
    assert_eq!(flags.bool("4"), flags.bool("key"), "an id is found first");
}

#[test]
fn try_getters_name_the_error() {
    let vexilla = Vexilla::fixed([
        everybody("text", Variant::new("red")),
        on_for("bad", "p", "EQ", "no quotes"),
        Flag::new("disabled"),
        half("half"),
    ]);
    let flags = vexilla.flags(Context::default());
    let code = |key: &str| flags.try_bool(key).unwrap_err().code();
    assert_eq!(code("text"), ErrorCode::TypeMismatch);
    assert_eq!(code("unknown"), ErrorCode::FlagNotFound);
    assert_eq!(code("bad"), ErrorCode::ParseError);
    assert_eq!(code("half"), ErrorCode::TargetingKeyMissing);
    assert_eq!(flags.try_bool("disabled"), Ok(None));
    assert_eq!(flags.try_str("text"), Ok(Some("red")));
}

#[test]
fn typed_definitions_bring_their_default() {
    static LIMIT: IntFlag = IntFlag::new("limit", 20);
    static SHARE: FloatFlag = FloatFlag::new("share", 0.5);
    static COLOUR: StringFlag = StringFlag::new("colour", "grey");
    static NEW: BoolFlag = BoolFlag::new("new", true);
    let vexilla = Vexilla::fixed([everybody("limit", Variant::new("200"))]);
    let flags = vexilla.flags(Context::new("u"));
    assert_eq!(flags.get(&LIMIT), 200);
    assert_eq!(flags.get(&SHARE), 0.5);
    assert_eq!(flags.get(&COLOUR), "grey");
    assert!(flags.get(&NEW));
}

#[test]
fn reasons_tell_what_decided() {
    let vexilla = Vexilla::fixed([
        everybody("static", Variant::new("on")),
        on_for("targeted", "country", "EQ", "\"BR\""),
        half("split"),
        Flag::new("disabled"),
        Flag::new("no segments").enabled(true),
        on_for("bad", "country", "LIKE", "\"BR\""),
    ]);
    let flags = vexilla.flags(Context::new("u").with("country", "BR"));
    for (key, reason) in [
        ("static", Reason::Static),
        ("targeted", Reason::TargetingMatch),
        ("split", Reason::Split),
        ("disabled", Reason::Disabled),
        ("no segments", Reason::Default),
        ("bad", Reason::Error),
        ("unknown", Reason::Error),
    ] {
        assert_eq!(flags.evaluate(key).reason(), reason, "{key}");
    }
    let elsewhere = flags.for_context(Context::new("u").with("country", "PT"));
    assert_eq!(elsewhere.evaluate("targeted").reason(), Reason::Default);
}

#[test]
fn without_an_entity_only_rollouts_are_silent() {
    let set = [half("half"), everybody("static", Variant::new("on"))];
    let anonymous = || Vexilla::fixed(set.clone());
    let flags = anonymous().flags(Context::default());
    assert_eq!(flags.variant("half"), None);
    assert!(flags.bool("static"));

    let once = anonymous().with_empty_entity(EmptyEntity::RandomOnce);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..64 {
        let flags = once.flags(Context::default());
        let first = flags.variant("half").map(str::to_owned);
        for _ in 0..8 {
            assert_eq!(
                flags.variant("half"),
                first.as_deref(),
                "one entity per handle"
            );
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "another entity for each handle");

    let each = anonymous().with_empty_entity(EmptyEntity::RandomEach);
    let flags = each.flags(Context::default());
    let variants: std::collections::BTreeSet<_> = (0..256).map(|_| flags.variant("half")).collect();
    assert_eq!(variants.len(), 2, "another entity for each evaluation");
}

#[test]
fn a_bad_flag_is_alone_bad() {
    let vexilla = Vexilla::fixed([
        everybody("good", Variant::new("on")),
        on_for("bad", "country", "EQ", "BR"),
        everybody("twice", Variant::new("on")),
        everybody("twice", Variant::new("off")),
    ]);
    let problems: Vec<_> = vexilla.snapshot().problems().collect();
    assert_eq!(problems.len(), 3);
    assert!(
        problems[0].message.contains("country"),
        "{}",
        problems[0].message
    );
    let flags = vexilla.flags(Context::new("u").with("country", "BR"));
    assert!(flags.bool("good"));
    assert!(flags.bool_or("bad", true) && !flags.bool_or("bad", false));
    assert_eq!(flags.variant("twice"), None);
    let evaluation = flags.evaluate("bad");
    assert_eq!(evaluation.reason(), Reason::Error);
    assert!(evaluation.error().unwrap().message().contains("country"));
}

#[test]
fn matches_takes_its_pattern_literally() {
    let vexilla = Vexilla::fixed([
        on_for("ereg", "agent", "EREG", "\"^hello world$\""),
        on_for("matches", "agent", "MATCHES", "^hello world$"),
        on_for("path", "a.b[0]", "MATCHES", "^x"),
        on_for("broken", "agent", "MATCHES", "("),
        on_for("no property", "a b", "MATCHES", "x"),
    ]);
    let nested = Vec::from(["xyz"]);
    let members = [("b".to_owned(), nested.into())]
        .into_iter()
        .collect::<vexilla_core::context::Map>();
    let context = Context::new("u")
        .with("agent", "hello world")
        .with("a", members);
    let flags = vexilla.flags(context);
    assert!(!flags.bool("ereg"), "Flagr's parser loses the blank");
    assert!(flags.bool("matches"));
    assert!(flags.bool("path"));
    assert!(
        !flags
            .for_context(Context::new("u").with("agent", 5))
            .bool("matches")
    );
    for bad in ["broken", "no property"] {
        let error = flags.try_bool(bad).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ParseError, "{bad}");
    }
}

#[test]
fn cel_is_anded_behind_the_other_constraints() {
    let flag = |key: &str, value: &str| {
        let mut flag = on_for(key, "cel", "CEL", value);
        flag.segments[0]
            .constraints
            .push(Constraint::new("country", "EQ", "\"BR\""));
        flag
    };
    let vexilla = Vexilla::fixed([
        flag("age", "age >= 18"),
        flag(
            "has",
            "has(ctx.age) && entity_id == 'u' && entity_type == 'user'",
        ),
        flag("missing", "nowhere == 1"),
        flag("text", "'a' + 'b'"),
        flag("broken", "age >="),
    ]);
    let context = Context::new("u")
        .with_entity_type("user")
        .with("country", "BR")
        .with("age", 31);
    let flags = vexilla.flags(context.clone());
    assert!(flags.bool("age") && flags.bool("has"));
    assert!(!flags.bool("missing") && !flags.bool("text"));
    let elsewhere = flags.for_context(context.with("country", "PT"));
    assert!(!elsewhere.bool("age"));
    let error = flags.try_bool("broken").unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParseError);
    assert!(error.message().contains("line 1, column 7"), "{error}");
}

#[test]
fn overrides_go_first() {
    let vexilla = Vexilla::fixed([half("experiment"), everybody("new", Variant::new("off"))]);
    let flags = vexilla.flags(Context::new("u"));
    assert!(!flags.bool("new"));
    let overrides = Overrides::new()
        .set("new", true)
        .set("limit", 7)
        .set("colour", "red")
        .set("ratio", 0.5)
        .set_json("json", json!({"a": 1}))
        .set_variant("experiment", "off")
        .set_variant("unknown", "off")
        .set_json("bad", json!([1]));
    let set = flags.with_overrides(&overrides);
    assert!(set.bool("new"));
    assert_eq!(set.int_or("limit", 0), 7);
    assert_eq!(set.string_or("colour", ""), "red");
    assert_eq!(set.float_or("ratio", 0.0), 0.5);
    assert_eq!(set.json("json"), Some(json!({"a": 1})));
    assert_eq!(set.variant("experiment"), Some("off"));
    for bad in ["unknown", "bad"] {
        assert_eq!(
            set.try_bool(bad).unwrap_err().code(),
            ErrorCode::General,
            "{bad}"
        );
    }
    assert!(!flags.bool("new"), "the handle before stays as it is");
    let keys: Vec<_> = set.all().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(keys.len(), 8, "{keys:?}");

    vexilla.set_overrides(Overrides::new().set("new", true));
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    vexilla.set_overrides(Overrides::new().set("new", true).set_nothing("new"));
    assert_eq!(vexilla.flags(Context::new("u")).variant("new"), None);
}

#[test]
fn a_handle_keeps_the_flags_that_it_was_made_with() {
    let vexilla = Vexilla::fixed([everybody("new", Variant::new("off"))]);
    let flags = vexilla.flags(Context::new("u"));
    vexilla.replace([everybody("new", Variant::new("on"))]);
    assert!(!flags.bool("new"));
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    let task = std::thread::spawn(move || flags.bool("new"));
    assert!(!task.join().unwrap());
}

#[test]
fn a_filter_leaves_flags_out_and_counts_them() {
    let mut set = FlagSet::from([
        everybody("a", Variant::new("on")).tag("checkout"),
        everybody("b", Variant::new("on")).tag("search"),
        Flag::new("c").tag("checkout"),
    ]);
    set.flags[1].snapshot_id = 9;
    let filter = Filter::new().service("checkout").only_enabled();
    let snapshot = Snapshot::build(set, &filter, &Limits::new(), None);
    assert_eq!(snapshot.len(), 1);
    assert_eq!(snapshot.version(), 9, "versions are those of the whole set");
    assert_eq!(snapshot.left_out().flags, 2);
    assert!(snapshot.left_out().bytes > 200);
}

#[test]
fn an_unchanged_flag_is_not_compiled_again() {
    let pattern = "(a|b){500}".repeat(20);
    let set = || FlagSet::from([on_for("slow", "p", "MATCHES", &pattern), half("half")]);
    let first = Snapshot::new(set());
    let second = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&first));
    assert!(second.same_flags(&first));
    let definition = |snapshot: &Snapshot| std::ptr::from_ref(snapshot.flag("slow").unwrap());
    assert_eq!(
        definition(&first),
        definition(&second),
        "the same flag is shared"
    );
    let changed = Snapshot::build(
        [half("half")].into(),
        &Filter::new(),
        &Limits::new(),
        Some(&second),
    );
    assert!(!changed.same_flags(&second));
}

#[test]
fn an_explanation_shows_every_step() {
    let mut flag = half("half");
    let staff = Segment::new()
        .constraint(Constraint::new("tier", "EQ", "\"staff\")) junk ###"))
        .constraint(Constraint::new("never", "EQ", "1"))
        .distribution("on", 100);
    let mixed = Segment::new()
        .constraint(Constraint::new("tier", "EQ", "\"free\") OR ({age} >= 18"))
        .constraint(Constraint::new("country", "EREG", "/^B/"))
        .distribution("off", 100);
    flag.segments.insert(0, staff);
    flag.segments.insert(1, mixed);
    let mut set = FlagSet::from([flag]);
    set.origin = vexilla_core::flag::Origin::Export;
    let snapshot = Arc::new(Snapshot::new(set));
    let context = Context::new("u").with("tier", "pro").with("age", 12);
    let flags = vexilla_core::Flags::new(snapshot, context);
    let explanation = flags.explain("half");

    let [staff, mixed, all] = &explanation.segments[..] else {
        panic!("{explanation}");
    };
    assert_eq!(staff.outcome, Outcome::False);
    assert!(staff.ignored_text[0].contains("junk"), "{explanation}");
    let node = staff.constraints.as_ref().unwrap();
    assert_eq!(node.seen, Some("pro".into()));

    let node = mixed.constraints.as_ref().unwrap();
    assert_eq!(mixed.outcome, Outcome::False);
    assert_eq!(node.parts.len(), 2, "{explanation}");
    assert_eq!(
        mixed.cel.as_deref(),
        Some(concat!(
            r#"((type(tier) == string ? tier == "free" : 1 / 0 == 0) ? true : "#,
            r#"(age >= 18 ? country.matches("\\AB") : false))"#
        )),
        "{explanation}"
    );
    assert_eq!(all.outcome, Outcome::True);
    let rollout = all.rollout.as_ref().unwrap();
    let bucket = rollout.bucket.unwrap();
    let here: Vec<_> = rollout.shares.iter().filter(|share| share.here).collect();
    assert!(here.len() == 1 && (here[0].from..here[0].to).contains(&bucket));
    assert_eq!(here[0].variant_key, explanation.variant_key);

    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["segments"][0]["constraints"]["seen"], "pro");
    assert!(explanation.to_string().contains("without effect"));
}

#[test]
fn the_cel_of_an_explanation_has_the_numbers_of_the_constraints() {
    let cases = [
        ("GTE", "18", "x >= 18"),
        ("LTE", "0", "x <= 0"),
        ("GTE", "-0.0", "x >= 0"),
        ("GT", "-2.5", "x > -2.5"),
        ("LT", "1e30", "x < 1e30"),
        ("EQ", "1e-50", "x == 1e-50"),
        ("NEQ", "18", "(type(x) == double && x != 18)"),
        ("IN", "[1, 2.5]", "x in [1, 2.5]"),
        ("NOTIN", "[1]", "(type(x) == double && !(x in [1]))"),
    ];
    let snapshot = Snapshot::new(cases.map(|(operator, value, _)| {
        let key = format!("{operator} {value}");
        on_for(&key, "x", operator, value)
    }));
    assert_eq!(snapshot.problem_count(), 0);
    let flags = vexilla_core::Flags::new(Arc::new(snapshot), Context::new("u").with("x", 18));
    for (operator, value, cel) in cases {
        let explanation = flags.explain(&format!("{operator} {value}"));
        assert_eq!(explanation.segments[0].cel.as_deref(), Some(cel));
        assert!(!explanation.segments[0].within_tolerance);
        assert!(!explanation.to_string().contains("1e-6"));
    }
    for (x, operator, is_near) in [
        (17.999_999_9, "GTE", true),
        (18.000_000_1, "NEQ", true),
        (17.9, "GTE", false),
        (1.0 + 1e-9, "IN", true),
        (1.0 + 1e-9, "NOTIN", true),
        (1e30 - 1e16, "LT", false),
        (1e-50, "LTE", false),
        (1e-51, "LTE", true),
    ] {
        let flags = flags.for_context(Context::new("u").with("x", x));
        let (_, value, _) = cases.iter().find(|case| case.0 == operator).unwrap();
        let explanation = flags.explain(&format!("{operator} {value}"));
        let segment = &explanation.segments[0];
        assert_eq!(segment.within_tolerance, is_near, "{explanation}");
        let text = explanation.to_string();
        assert_eq!(text.contains("within 1e-6"), is_near, "{text}");
    }
}

#[test]
fn an_explanation_looks_for_the_tolerance_in_what_it_does_not_show() {
    let vexilla = Vexilla::fixed([on_for("f", "x", "CONTAINS", "18")]);
    for (last, is_near) in [(17.999_999_9, true), (17.9, false)] {
        let items = (100..1_000).map(f64::from).chain([last]);
        let items = vexilla_core::Value::List(items.map(Into::into).collect());
        let flags = vexilla.flags(Context::new("u").with("x", items));
        let explanation = flags.explain("f");
        let segment = &explanation.segments[0];
        assert!(segment.constraints.as_ref().unwrap().seen_is_cut);
        assert_eq!(segment.within_tolerance, is_near);
        assert_eq!(flags.bool("f"), is_near);
    }
}

#[test]
fn an_explanation_of_a_random_entity_tells_of_one() {
    let vexilla = Vexilla::fixed([half("half")]).with_empty_entity(EmptyEntity::RandomEach);
    let flags = vexilla.flags(Context::default());
    for _ in 0..32 {
        let explanation = flags.explain("half");
        let rollout = explanation.segments[0].rollout.as_ref().unwrap();
        let here = rollout.shares.iter().find(|share| share.here).unwrap();
        assert_eq!(here.variant_key, explanation.variant_key, "{explanation}");
    }
}

#[test]
fn evaluations_serialize_like_flagr_s_answers() {
    let variant = Variant::new("on").attachment(json!({"enabled": true}));
    let vexilla = Vexilla::fixed([everybody("new", variant)]);
    let flags = vexilla.flags(Context::new("u"));
    assert_eq!(
        serde_json::to_value(flags.evaluate("new")).unwrap(),
        json!({
            "flagKey": "new", "flagID": 1, "flagSnapshotID": 0, "segmentID": 1,
            "variantID": 1, "variantKey": "on", "value": true,
            "variantAttachment": {"enabled": true}, "reason": "STATIC", "stale": false,
        })
    );
    let unknown = serde_json::to_value(flags.evaluate("unknown")).unwrap();
    assert_eq!(unknown["errorCode"], "FLAG_NOT_FOUND");
}

#[test]
fn of_a_repeated_attribute_the_last_counts_for_every_operator() {
    let flags = [
        on_for("eq", "plan", "EQ", "\"pro\""),
        on_for("in", "plan", "IN", "[\"pro\"]"),
        on_for("ereg", "plan", "EREG", "/^pro$/"),
        on_for("cel", "", "CEL", "plan == 'pro' && ctx.plan == 'pro'"),
    ];
    let snapshot = Snapshot::new(flags);
    assert_eq!(snapshot.problem_count(), 0);
    for (values, expected) in [(["free", "pro"], true), (["pro", "free"], false)] {
        let attributes = values.map(|plan| ("plan", ValueRef::String(plan)));
        let borrowed = ContextRef::new("u").attributes(&attributes);
        let mut owned = Context::new("u");
        owned.extend(attributes);
        for flag in snapshot.flags() {
            let none = EmptyEntity::NoRollout;
            let is_on = |evaluation: Evaluation<'_>| evaluation.try_bool().unwrap() == Some(true);
            let key = flag.key.as_str();
            assert_eq!(
                is_on(snapshot.evaluate(key, &borrowed, none)),
                expected,
                "{key}"
            );
            assert_eq!(
                is_on(snapshot.evaluate(key, &owned, none)),
                expected,
                "{key}"
            );
        }
    }
}
