//! Overrides hold however their flag is named.

use serde_json::{Value, json};
use vexilla_core::evaluation::{ErrorCode, Replacement};
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Flag, Origin, Segment, Variant};
use vexilla_core::{BoolFlag, Context, Evaluation, FileSource, Flags, Overrides, Reason, Vexilla};

/// Flags by ID and key; all of them are off.
fn off<const N: usize>(flags: [(u64, &str); N]) -> FlagSet {
    flags
        .into_iter()
        .map(|(id, key)| Flag::boolean(key, false).id(id))
        .collect()
}

fn reading(set: FlagSet, overrides: Overrides) -> Flags {
    let vexilla = Vexilla::fixed(set).with_overrides(overrides);
    vexilla.flags(Context::new("u"))
}

#[test]
fn an_override_by_key_holds_for_the_id_and_the_other_way_round() {
    static NEW: BoolFlag = BoolFlag::new("new", false);
    static TWELVE: BoolFlag = BoolFlag::new("12", false);
    for name in ["new", "12"] {
        let flags = reading(
            off([(12, "new"), (13, "other")]),
            Overrides::new().set(name, true),
        );
        assert!(flags.bool("new") && flags.bool("12"), "{name}");
        assert!(flags.get(&NEW) && flags.get(&TWELVE), "{name}");
        assert_eq!(flags.string_or("12", "default"), "on");
        assert_eq!(flags.variant("new"), Some("on"));
        assert!(!flags.bool("other") && !flags.bool("13"), "{name}");
        for name in ["new", "12"] {
            assert_eq!(flags.explain(name).replaced_by, Some(Replacement::Override));
        }
        let all: Vec<_> = flags
            .all()
            .map(|(key, evaluation)| (key, evaluation.try_bool().unwrap()))
            .collect();
        assert_eq!(all, [("new", Some(true)), ("other", Some(false))], "{name}");
    }
}

#[test]
fn a_number_names_the_flag_of_that_id_before_the_flag_of_that_key() {
    let set = || off([(12, "new"), (13, "12")]);
    let flags = reading(set(), Overrides::new().set("12", true));
    assert!(flags.bool("new") && flags.bool("12"));
    assert!(!flags.bool("13"), "its key names another flag");
    let flags = reading(set(), Overrides::new().set("13", true));
    assert!(flags.bool("13") && !flags.bool("12"));

    let flags = reading(off([(7, "12")]), Overrides::new().set("12", true));
    assert!(flags.bool("12") && flags.bool("7"), "nothing has the ID 12");
    let flags = reading(off([(12, "new")]), Overrides::new().set("012", true));
    assert!(!flags.bool("new") && !flags.bool("12") && flags.bool("012"));
}

#[test]
fn of_two_flags_with_one_id_the_later_is_meant_by_it() {
    let set = || off([(5, "one"), (5, "two")]);
    let flags = reading(set(), Overrides::new().set("5", true));
    assert!(!flags.bool("one") && flags.bool("two") && flags.bool("5"));
    let flags = reading(set(), Overrides::new().set("one", true));
    assert!(flags.bool("one") && !flags.bool("two") && !flags.bool("5"));
}

#[test]
fn of_an_override_by_key_and_one_by_id_the_later_holds() {
    let set = || off([(12, "new")]);
    let key_last = Overrides::new().set("12", false).set("new", true);
    let id_last = Overrides::new().set("new", false).set("12", true);
    for overrides in [key_last, id_last] {
        let flags = reading(set(), overrides.clone());
        assert!(flags.bool("new") && flags.bool("12"));
        for name in ["new", "12"] {
            let later = Overrides::new().set(name, false);
            let flags = flags.with_overrides(&later);
            assert!(!flags.bool("new") && !flags.bool("12"), "{name}");
        }
        let gone = overrides.without("new").without("12");
        assert_eq!(reading(set(), gone).variant("12"), Some("off"));
    }
}

#[test]
fn an_override_holds_for_a_flag_that_comes_and_goes() {
    let vexilla = Vexilla::fixed([]).with_overrides(Overrides::new().set("12", true));
    let read = |key: &str| vexilla.flags(Context::new("u")).bool(key);
    assert!(read("12") && !read("new"));
    vexilla.replace(off([(12, "new")]));
    assert!(read("12") && read("new"));
    vexilla.replace(off([(13, "new")]));
    assert!(read("12") && !read("new"));
}

#[test]
fn an_override_to_an_empty_string_is_one() {
    for origin in [Origin::File, Origin::Export] {
        let mut set = off([(1, "title")]);
        set.origin = origin;
        let flags = reading(set, Overrides::new().set("title", "").set("unknown", ""));
        for key in ["title", "1", "unknown"] {
            assert_eq!(flags.string_or(key, "default"), "", "{key}");
            assert_eq!(flags.try_str(key).unwrap(), Some(""), "{key}");
            assert_eq!(flags.variant(key), Some(""), "{key}");
            assert_eq!(flags.evaluate(key).value(), json!(""), "{key}");
            assert_eq!(flags.evaluate(key).error(), None, "{key}");
            assert!(flags.try_bool(key).is_err(), "{key}");
        }
    }
}

#[test]
fn an_attachment_that_is_no_object_is_still_an_error() {
    let flags = reading(off([]), Overrides::new().set_json("a", json!([1])));
    assert!(flags.evaluate("a").error().is_some());
}

/// A flag with the ID 5 and an ID of its variant that is another.
fn max_upload() -> Flag {
    let mut set = FlagSet::from([Flag::new("max_upload")
        .id(5)
        .enabled(true)
        .variant(Variant::new("small"))
        .variant(Variant::new("large"))
        .segment(Segment::new().distribution("small", 100))]);
    set.flags[0].snapshot_id = 77;
    set.flags[0].variants[0].id = 51;
    set.flags[0].variants[1].id = 52;
    set.flags.remove(0)
}

/// Who answered, by the JSON of an evaluation.
fn identity(evaluation: &Evaluation<'_>) -> Value {
    let json = serde_json::to_value(evaluation).unwrap_or_default();
    json!([
        json["flagKey"],
        json["flagID"],
        json["flagSnapshotID"],
        json["segmentID"],
        json["variantID"],
        json["variantKey"],
    ])
}

#[test]
fn an_overridden_flag_keeps_its_own_id_and_key() {
    for name in ["max_upload", "5"] {
        let value = Overrides::new().set(name, 10);
        let variant = Overrides::new().set_variant(name, "large");
        let nothing = Overrides::new().set_nothing(name);
        let no_variant = Overrides::new().set_variant(name, "none");
        let bad = Overrides::new().set_json(name, json!([1]));
        for (overrides, id, key) in [
            (value, 0, json!("10")),
            (variant, 52, json!("large")),
            (nothing, 0, Value::Null),
            (no_variant, 0, Value::Null),
            (bad, 0, Value::Null),
        ] {
            let flags = reading(FlagSet::from([max_upload()]), overrides);
            let expected = json!(["max_upload", 5, 77, 0, id, key]);
            for asked in ["max_upload", "5"] {
                assert_eq!(
                    identity(&flags.evaluate(asked)),
                    expected,
                    "{name}, {asked}"
                );
                let explanation = serde_json::to_value(flags.explain(asked)).unwrap();
                assert_eq!(explanation["flagID"], 5, "{name}, {asked}");
                assert_eq!(explanation["flagKey"], "max_upload", "{name}, {asked}");
            }
            let all: Vec<_> = flags
                .all()
                .map(|(key, all)| (key, identity(&all)))
                .collect();
            assert_eq!(all, [("max_upload", expected)], "{name}");
        }
    }
}

#[test]
fn an_override_of_an_unknown_flag_has_its_key_and_no_ids() {
    let overrides = Overrides::new().set("unknown", true).set("12", "a");
    let flags = reading(FlagSet::from([max_upload()]), overrides);
    for (key, variant) in [("unknown", "on"), ("12", "a")] {
        let expected = json!([key, 0, 0, 0, 0, variant]);
        assert_eq!(identity(&flags.evaluate(key)), expected);
        assert_eq!(flags.evaluate(key).flag_id(), None);
        assert_eq!(flags.evaluate(key).variant_id(), None);
        let listed = flags.all().find(|(listed, _)| *listed == key);
        assert_eq!(identity(&listed.unwrap().1), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_emergency_default_has_the_ids_of_its_flag_and_says_what_it_is() {
    let missing = std::env::temp_dir().join("vexilla-overrides-no-such-directory");
    let vexilla = Vexilla::builder(FileSource::new(missing.join("flags.json")))
        .embedded([max_upload()])
        .emergency_default("5", 10)
        .emergency_default("urgent", true)
        .start_without_flags()
        .build()
        .await
        .unwrap();
    let flags = vexilla.flags(Context::new("u"));
    for (asked, expected) in [
        ("max_upload", json!(["max_upload", 5, 77, 0, 0, "10"])),
        ("5", json!(["max_upload", 5, 77, 0, 0, "10"])),
        ("urgent", json!(["urgent", 0, 0, 0, 0, "on"])),
    ] {
        let evaluation = flags.evaluate(asked);
        assert_eq!(identity(&evaluation), expected, "{asked}");
        assert_eq!(evaluation.reason(), Reason::Default, "{asked}");
        let explanation = flags.explain(asked);
        let json = serde_json::to_value(&explanation).unwrap();
        assert_eq!(json["replacedBy"], "emergencyDefault", "{asked}");
        let text = explanation.to_string();
        assert!(
            text.contains("DEFAULT, answered by an emergency default"),
            "{text}"
        );
        let json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(json["replacedBy"], "emergencyDefault", "{asked}");
        assert_eq!(json["reason"], "DEFAULT", "{asked}");
    }
    let overrides = Overrides::new().set("urgent", false);
    let flags = flags.with_overrides(&overrides);
    let replaced_by = |key| flags.evaluate(key).replaced_by();
    assert_eq!(replaced_by("urgent"), Some(Replacement::Override));
    assert_eq!(replaced_by("5"), Some(Replacement::EmergencyDefault));
    assert_eq!(replaced_by("unknown"), None);
    let explanation = flags.explain("urgent");
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["replacedBy"], "override");
    let text = explanation.to_string();
    assert!(text.contains("STATIC, answered by an override"), "{text}");
    let keys: Vec<_> = flags.all().map(|(key, _)| key).collect();
    assert_eq!(keys, ["max_upload", "urgent"]);
}

#[test]
fn what_no_override_answers_says_so_in_json() {
    let flags = reading(FlagSet::from([max_upload()]), Overrides::new());
    let explanation = serde_json::to_value(flags.explain("5")).unwrap();
    assert_eq!(explanation["replacedBy"], Value::Null);
    let evaluation = serde_json::to_value(flags.evaluate("5")).unwrap();
    assert!(evaluation.get("replacedBy").is_none());
}

#[test]
fn a_flag_with_an_empty_key_is_listed_once_with_its_override() {
    let mut set = FlagSet::from([max_upload()]);
    set.flags[0].key = String::new();
    set.origin = Origin::Export;
    let flags = reading(set.clone(), Overrides::new().set("", "large"));
    let all: Vec<_> = flags
        .all()
        .map(|(key, all)| (key, identity(&all)))
        .collect();
    assert_eq!(all, [("", json!(["", 5, 77, 0, 0, "large"]))]);
    assert_eq!(flags.variant(""), Some("large"));
    assert_eq!(flags.variant("5"), Some("large"));

    let flags = reading(off([(1, "new")]), Overrides::new().set("", "large"));
    let keys: Vec<_> = flags.all().map(|(key, _)| key).collect();
    assert_eq!(keys, ["new", ""]);
}

#[test]
fn an_error_names_the_flag() {
    let set = || off([(12, "new")]);
    let flags = reading(set(), Overrides::new().set_variant("12", "none"));
    let text = |key: &str| flags.try_bool(key).unwrap_err().to_string();
    assert_eq!(
        text("checkot"),
        r#"FLAG_NOT_FOUND: flag "checkot": there is no flag with this key"#
    );
    for key in ["12", "new"] {
        assert_eq!(
            text(key),
            r#"GENERAL: flag "new": override: the flag has no variant "none""#
        );
    }
    let flags = reading(set(), Overrides::new());
    assert_eq!(
        flags.try_int("12").unwrap_err().to_string(),
        r#"TYPE_MISMATCH: flag "new": variant "off" has no integer value"#
    );
    let json = flags.try_json::<Vec<u8>>("new").unwrap_err().to_string();
    assert!(json.starts_with(r#"TYPE_MISMATCH: flag "new": "#), "{json}");
    let unknown = flags.evaluate("unknown");
    assert_eq!((unknown.flag_key(), unknown.flag_id()), ("unknown", None));
    assert_eq!(
        serde_json::to_value(&unknown).unwrap()["flagKey"],
        "unknown"
    );
    let error = unknown.error().unwrap();
    assert_eq!(error.code(), ErrorCode::FlagNotFound);
    assert!(error.to_string().contains(r#"flag "unknown": "#), "{error}");

    let long = "é".repeat(1_000);
    let text = flags.try_str(&long).unwrap_err().to_string();
    let shown = format!("FLAG_NOT_FOUND: flag \"{}…\": ", "é".repeat(32));
    assert!(text.starts_with(&shown), "{text}");
    assert_eq!(flags.evaluate(&long).flag_key(), long);
}
