//! Overrides hold however their flag is named.

use serde_json::json;
use vexilla_core::flag::{Flag, Origin};
use vexilla_core::{BoolFlag, Context, FlagSet, Flags, Overrides, Vexilla};

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
        assert!(flags.explain("12").overridden && flags.explain("new").overridden);
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
