//! How often flags gave which variant: exactly, for as long as the flag is there,
//! and only where it was used.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::thread;

use serde_json::{Value, json};
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::metrics::EvaluationCounts;
use vexilla_core::{
    BoolFlag, Context, FileSource, Flags, FloatFlag, IntFlag, Overrides, StringFlag, Vexilla,
};

/// A flag that gives variant 1, `on`, to those who say so, and 2, `off`, to others.
fn switch(id: u64, key: &str) -> Flag {
    let on = Constraint::new("wants", "EQ", format!("{key:?}"));
    Flag::new(key)
        .id(id)
        .enabled(true)
        .variant(Variant::new("on").id(1))
        .variant(Variant::new("off").id(2))
        .segment(Segment::new().constraint(on).distribution("on", 100))
        .segment(Segment::new().distribution("off", 100))
}

fn counted<const N: usize>(flags: [Flag; N]) -> Vexilla {
    Vexilla::fixed(flags).with_evaluation_counts()
}

/// The flags of somebody who wants the flag of this key.
fn wants(vexilla: &Vexilla, key: &str) -> Flags {
    vexilla.flags(Context::new("user-1").with("wants", key))
}

/// Reads a flag for its count alone.
fn read(flags: &Flags, key: &str) {
    let _ = flags.bool(key);
}

fn counts(vexilla: &Vexilla) -> EvaluationCounts {
    vexilla.evaluation_counts().unwrap()
}

/// How often the flag of this key gave each variant, and nothing.
fn count(vexilla: &Vexilla, key: &str) -> (Vec<(String, u64)>, u64) {
    let counts = counts(vexilla);
    let mut flags = counts.flags.into_iter();
    let flag = flags.find(|flag| flag.flag_key == key).unwrap();
    let variants = flag.variants.into_iter();
    let variants = variants.map(|variant| (variant.variant_key, variant.count));
    (variants.collect(), flag.nothing)
}

/// The same of a [`switch`].
fn on_off(vexilla: &Vexilla, key: &str) -> [u64; 2] {
    let (variants, nothing) = count(vexilla, key);
    assert_eq!(nothing, 0);
    ["on", "off"].map(|name| variants.iter().find(|(key, _)| key == name).unwrap().1)
}

#[test]
fn nothing_is_counted_unless_it_is_asked_for() {
    let vexilla = Vexilla::fixed([switch(1, "a")]);
    let early = wants(&vexilla, "a");
    assert!(early.bool("a"));
    assert_eq!(vexilla.evaluation_counts(), None);

    let vexilla = vexilla.with_evaluation_counts();
    assert!(early.bool("a"), "its flags were pinned before");
    assert_eq!(on_off(&vexilla, "a"), [0, 0]);
    assert!(wants(&vexilla, "a").bool("a"));
    let vexilla = vexilla.with_evaluation_counts();
    assert_eq!(on_off(&vexilla, "a"), [1, 0], "it had begun already");
    assert_eq!(counts(&vexilla.clone()), counts(&vexilla));
}

#[test]
fn each_flag_counts_each_variant_and_nothing_and_keys_without_a_flag_count_as_unknown() {
    let disabled = switch(2, "disabled").enabled(false);
    let broken = Constraint::new("p", "EQ", "no quotes");
    let broken = switch(3, "broken").segment(Segment::new().constraint(broken));
    let half = Segment::new().rollout(50).distribution("on", 100);
    let half = Flag::new("half")
        .id(4)
        .enabled(true)
        .variant(Variant::new("on").id(7))
        .segment(half);
    let vexilla = counted([switch(1, "a"), disabled, broken, half]);
    let mut in_half = 0;
    for n in 0..100 {
        let flags = vexilla.flags(Context::new(&format!("user-{n}")));
        in_half += u64::from(flags.bool("half"));
        for key in ["a", "disabled", "broken", "unknown", "unknown, too"] {
            read(&flags, key);
        }
    }
    read(&vexilla.flags(Context::default()), "half");
    assert!((20..80).contains(&in_half));
    let flag = |id: u64, key: &str, variants: &[(u64, &str, u64)], nothing: u64| {
        let variant = |(id, key, count): &(u64, &str, u64)| json!({"variantID": id, "variantKey": key, "count": count});
        let variants: Vec<_> = variants.iter().map(variant).collect();
        json!({"flagID": id, "flagKey": key, "variants": variants, "nothing": nothing})
    };
    let expected = json!({
        "flags": [
            flag(1, "a", &[(1, "on", 0), (2, "off", 100)], 0),
            flag(2, "disabled", &[(1, "on", 0), (2, "off", 0)], 100),
            flag(3, "broken", &[(1, "on", 0), (2, "off", 0)], 100),
            flag(4, "half", &[(7, "on", in_half)], 101 - in_half),
        ],
        "unknown": 200,
    });
    assert_eq!(serde_json::to_value(counts(&vexilla)).unwrap(), expected);
}

#[test]
fn each_way_to_read_a_flag_counts_once() {
    static BOOL: BoolFlag = BoolFlag::new("a", false);
    static INT: IntFlag = IntFlag::new("a", 7);
    static FLOAT: FloatFlag = FloatFlag::new("a", 0.5);
    static STRING: StringFlag = StringFlag::new("a", "");
    type Read = fn(&Flags);
    let reads: [(&str, Read); 18] = [
        ("bool", |f| assert!(f.bool("a"))),
        ("bool by id", |f| assert!(f.bool("1"))),
        ("bool_or", |f| assert!(f.bool_or("a", false))),
        ("string_or", |f| assert_eq!(f.string_or("a", ""), "on")),
        ("int_or", |f| assert_eq!(f.int_or("a", 7), 7)),
        ("float_or", |f| assert_eq!(f.float_or("a", 0.5), 0.5)),
        ("json", |f| assert_eq!(f.json::<u8>("a"), None)),
        ("variant", |f| assert_eq!(f.variant("a"), Some("on"))),
        ("try_bool", |f| assert_eq!(f.try_bool("a"), Ok(Some(true)))),
        ("try_str", |f| assert_eq!(f.try_str("a"), Ok(Some("on")))),
        ("try_int", |f| assert!(f.try_int("a").is_err())),
        ("try_float", |f| assert!(f.try_float("a").is_err())),
        ("try_json", |f| assert!(f.try_json::<Value>("a").is_ok())),
        ("evaluate", |f| {
            assert_eq!(f.evaluate("a").variant_id(), Some(1));
        }),
        ("a boolean definition", |f| assert!(f.get(&BOOL))),
        ("an integer's definition", |f| assert_eq!(f.get(&INT), 7)),
        ("a number's definition", |f| assert_eq!(f.get(&FLOAT), 0.5)),
        ("a string's definition", |f| {
            assert_eq!(f.get(&STRING), "on");
        }),
    ];
    for (name, read_once) in reads {
        let vexilla = counted([switch(1, "a")]);
        read_once(&wants(&vexilla, "a"));
        assert_eq!(on_off(&vexilla, "a"), [1, 0], "{name}");
    }
}

#[test]
fn no_look_at_flags_counts_and_nothing_that_overrides_put_in_place() {
    let vexilla = counted([switch(1, "a"), switch(2, "b")]);
    let none = counts(&vexilla);
    let flags = wants(&vexilla, "a");
    assert_eq!(flags.all().count(), 2);
    assert_eq!(flags.explain("a").variant_key.as_deref(), Some("on"));
    assert!(flags.explain("unknown").error.is_some());
    for overrides in [
        Overrides::new().set("a", true).set("unknown", 7),
        Overrides::new()
            .set_variant("a", "off")
            .set_variant("unknown", "on"),
        Overrides::new().set_nothing("a").set_nothing("unknown"),
    ] {
        let overridden = flags.with_overrides(&overrides);
        for key in ["a", "unknown"] {
            read(&overridden, key);
            assert_ne!(overridden.string_or(key, "default"), "other");
            assert_ne!(overridden.evaluate(key).variant_key(), Some("other"));
        }
        assert_eq!(overridden.all().count(), 3);
    }
    assert_eq!(counts(&vexilla), none);

    let beside = flags.with_overrides(&Overrides::new().set("a", true));
    assert!(!beside.bool("b"));
    assert!(!beside.for_context(Context::new("user-2")).bool("b"));
    vexilla.set_overrides(Overrides::new().set("a", true));
    assert!(wants(&vexilla, "b").bool("b") && wants(&vexilla, "b").bool("a"));
    assert_eq!(on_off(&vexilla, "a"), [0, 0]);
    assert_eq!(on_off(&vexilla, "b"), [1, 2], "nobody overrode it");
}

#[tokio::test(start_paused = true)]
async fn emergency_defaults_are_not_counted() {
    let directory = std::env::temp_dir().join("vexilla-counting-no-such-directory");
    let vexilla = Vexilla::builder(FileSource::new(directory.join("flags.json")))
        .emergency_default("urgent", true)
        .start_without_flags()
        .build()
        .await
        .unwrap()
        .with_evaluation_counts();
    let flags = vexilla.flags(Context::new("user-1"));
    assert!(flags.bool("urgent") && !flags.bool("other"));
    let counts = counts(&vexilla);
    assert_eq!((counts.flags.len(), counts.unknown), (0, 1));
}

#[test]
fn counts_go_on_when_a_flag_changes_also_those_of_its_version_from_before() {
    let vexilla = counted([switch(1, "a"), switch(2, "b")]);
    let old = wants(&vexilla, "a");
    assert!(old.bool("a") && !old.bool("b") && !old.bool("unknown"));

    let changed = switch(1, "a").description("changed");
    vexilla.replace([switch(2, "b"), changed]);
    assert_eq!(on_off(&vexilla, "a"), [1, 0]);
    assert!(wants(&vexilla, "a").bool("a") && !wants(&vexilla, "b").bool("a"));
    assert!(old.bool("a") && !old.bool("unknown"));
    assert_eq!(on_off(&vexilla, "a"), [3, 1]);
    assert_eq!(on_off(&vexilla, "b"), [0, 1], "it only moved");

    vexilla.replace([switch(1, "renamed")]);
    assert!(wants(&vexilla, "renamed").bool("renamed") && old.bool("a"));
    assert_eq!(on_off(&vexilla, "renamed"), [5, 1]);
    assert_eq!(counts(&vexilla).unknown, 2);
}

#[test]
fn a_flag_takes_its_counts_with_it_and_another_of_its_key_begins_at_none() {
    let vexilla = counted([switch(1, "a"), switch(2, "b")]);
    let old = wants(&vexilla, "a");
    assert!(old.bool("a") && !old.bool("b"));

    vexilla.replace([switch(2, "b")]);
    assert_eq!(counts(&vexilla).flags.len(), 1);
    assert!(old.bool("a"));
    vexilla.replace([switch(3, "a"), switch(2, "b")]);
    assert_eq!(on_off(&vexilla, "a"), [0, 0], "another flag");
    vexilla.replace([switch(1, "a"), switch(2, "b")]);
    assert_eq!(on_off(&vexilla, "a"), [0, 0], "it was gone");
    vexilla.replace([switch(3, "b"), switch(2, "c")]);
    assert_eq!(on_off(&vexilla, "b"), [0, 0], "another flag of its key");
    assert_eq!(on_off(&vexilla, "c"), [0, 1], "the id is what counts");
    assert!(old.bool("a") && !old.bool("b"));
    assert_eq!(on_off(&vexilla, "b"), [0, 0]);
    assert_eq!(on_off(&vexilla, "c"), [0, 2]);
}

#[test]
fn counts_of_a_variant_follow_its_id_not_its_place_nor_its_key() {
    let vexilla = counted([switch(1, "a")]);
    let old = wants(&vexilla, "a");
    assert!(old.bool("a"));
    read(&wants(&vexilla, "b"), "a");

    // Another variant stands first, `off` is named anew, and `on` is gone.
    let changed = Flag::new("a")
        .id(1)
        .enabled(true)
        .variant(Variant::new("on").id(3))
        .variant(Variant::new("no").id(2))
        .segment(Segment::new().distribution("on", 100));
    vexilla.replace([changed]);
    let named = |on, no| vec![("on".to_owned(), on), ("no".to_owned(), no)];
    assert_eq!(count(&vexilla, "a"), (named(0, 1), 0));
    assert!(wants(&vexilla, "a").bool("a"));
    assert!(old.bool("a"), "counts for a variant that is gone");
    assert!(!old.for_context(Context::new("user-1")).bool("a"));
    assert_eq!(count(&vexilla, "a"), (named(1, 2), 0));
}

#[test]
fn no_count_of_many_threads_is_lost_while_flags_are_replaced() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 2_000;
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];

    let flags = |version: u64| {
        let flag = |(id, key)| switch(id, key).description(version.to_string());
        (1..).zip(KEYS).map(flag).collect::<Vec<_>>()
    };
    let vexilla = Vexilla::fixed(flags(0)).with_evaluation_counts();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let vexilla = &vexilla;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let flags = wants(vexilla, if thread % 2 == 0 { "a" } else { "b" });
                    KEYS.iter().for_each(|key| read(&flags, key));
                    read(&flags, "unknown");
                    if round % 2 == 0 {
                        assert_eq!(flags.variant("c"), Some("off"));
                    }
                }
            });
        }
        (1..=50).for_each(|version| vexilla.replace(flags(version)));
    });
    let all = THREADS * ROUNDS;
    assert_eq!(on_off(&vexilla, "a"), [all / 2, all / 2]);
    assert_eq!(on_off(&vexilla, "b"), [all / 2, all / 2]);
    assert_eq!(on_off(&vexilla, "c"), [0, all + all / 2]);
    assert_eq!(on_off(&vexilla, "d"), [0, all]);
    assert_eq!(counts(&vexilla).unknown, all);
}
