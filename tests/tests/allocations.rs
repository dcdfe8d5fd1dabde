//! What the flags of a request allocate, exactly: nothing, once the context is
//! there.
//!
//! | What | Allocations |
//! |---|---|
//! | any getter, typed definition or `evaluate`, counted or not, whatever the flag | 0 |
//! | a context of up to eight attributes, lists and maps aside, and its flags | 2: the context, its text |
//! | from nine attributes on, or with more text than was expected | 1 more for each time that the list or the text grows |
//! | a regular expression | 0 from the second match of a thread on, but for what the `regex` crate shares between threads: see the test |
//! | an error of a flag that does not exist, until it is displayed | 0 |
//! | the text of another error, `value`, `json` | those of the text or the value |
//!
//! An explanation allocates what it tells, and a CEL expression what the crate
//! `cel` does: neither is held to a number.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use serde_json::json;
use vexilla_core::context::{ContextRef, Map, ValueRef};
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::persist::{LastKnownGood, PersistError};
use vexilla_core::source::Source;
use vexilla_core::{
    BoolFlag, Context, EmptyEntity, Flags, FloatFlag, IntFlag, Limits, Overrides, Reason,
    SourceError, StringFlag, Value, Vexilla,
};

/// Keys of flags that answer each in another way, the last one that of none.
const KEYS: [&str; 7] = [
    "s1",
    "elsewhere",
    "disabled",
    "colour",
    "size",
    "broken",
    "unknown",
];

/// A getter, called with a key.
type Getter = fn(&Flags, &str);

/// The getters that never fail, by name.
const GETTERS: [(&str, Getter); 6] = [
    ("bool", |flags, key| _ = black_box(flags.bool(key))),
    ("bool_or", |flags, key| {
        _ = black_box(flags.bool_or(key, true));
    }),
    ("int_or", |flags, key| _ = black_box(flags.int_or(key, 7))),
    ("float_or", |flags, key| {
        _ = black_box(flags.float_or(key, 0.5));
    }),
    ("string_or", |flags, key| {
        _ = black_box(flags.string_or(key, "grey"));
    }),
    ("variant", |flags, key| _ = black_box(flags.variant(key))),
];

fn flag(key: &str, variant: Variant, segment: Segment) -> Flag {
    let segment = segment.distribution(&variant.key, 100);
    Flag::new(key)
        .enabled(true)
        .variant(variant)
        .segment(segment)
}

/// A segment for those who fulfil all of these constraints.
fn segment<const N: usize>(constraints: [(&str, &str, &str); N]) -> Segment {
    let constraints = constraints
        .into_iter()
        .map(|(property, operator, value)| Constraint::new(property, operator, value));
    constraints.fold(Segment::new(), Segment::constraint)
}

/// A flag of each of the [`KEYS`] but the last.
fn vexilla() -> Vexilla {
    let on = || Variant::new("on");
    let in_brazil = || segment([("country", "EQ", "\"BR\"")]);
    let colour = Variant::new("red").attachment(json!({"value": "#d33"}));
    let size = Variant::new("large").attachment(json!({"value": 200}));
    Vexilla::fixed([
        flag("s1", on(), in_brazil().rollout(50)),
        flag("elsewhere", on(), segment([("country", "EQ", "\"AR\"")])),
        flag("disabled", on(), in_brazil()).enabled(false),
        flag("colour", colour, Segment::new()),
        flag("size", size, in_brazil()),
        flag("broken", on(), segment([("country", "EQ", "no quotes")])),
    ])
}

/// The flags of a user who is in the rollout of S1, of one who is left out, of
/// nobody known, and of somebody of whom nothing else is known.
fn everybody(vexilla: &Vexilla) -> [Flags; 4] {
    let flags = |id: &str| vexilla.flags(Context::new(id).with("country", "BR"));
    let user = |is_in| {
        let mut users = (0..100).map(|n| flags(&format!("user-{n}")));
        users.find(|user| user.bool("s1") == is_in).unwrap()
    };
    [
        user(true),
        user(false),
        flags(""),
        vexilla.flags(Context::new("user-1")),
    ]
}

/// The number of allocations of one piece of work.
fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    let counted = measure(|| {
        black_box(work());
    });
    counted.count_total
}

fn assert_getters_allocate_nothing(flags: &Flags) {
    for key in KEYS {
        for (name, get) in GETTERS {
            assert_eq!(allocations(|| get(flags, key)), 0, "{name} of {key}");
        }
        let evaluation = allocations(|| {
            let evaluation = flags.evaluate(key);
            black_box((evaluation.flag_id(), evaluation.flag_key()));
            black_box((evaluation.flag_snapshot_id(), evaluation.segment_id()));
            black_box((evaluation.variant_id(), evaluation.variant_key()));
            black_box((evaluation.attachment(), evaluation.reason()));
            black_box((evaluation.is_stale(), evaluation.clone()));
        });
        assert_eq!(evaluation, 0, "evaluate of {key}");
    }
}

#[test]
fn the_flags_answer_in_as_many_ways_as_there_are() {
    let [inside, outside, nobody, _] = everybody(&vexilla());
    let reasons = |flags: &Flags| KEYS.map(|key| flags.evaluate(key).reason());
    let others = [
        Reason::Default,
        Reason::Disabled,
        Reason::Static,
        Reason::TargetingMatch,
        Reason::Error,
        Reason::Error,
    ];
    let all = |s1| [&[s1][..], &others].concat();
    assert_eq!(reasons(&inside)[..], all(Reason::Split));
    assert_eq!(reasons(&outside)[..], all(Reason::Default));
    assert_eq!(reasons(&nobody)[..], all(Reason::Error));
    assert!(
        inside.try_int("colour").is_err(),
        "a value of the wrong type"
    );
    assert_eq!(inside.try_int("size"), Ok(Some(200)));
}

#[test]
fn no_getter_and_no_evaluation_allocates_whatever_the_flag() {
    for flags in everybody(&vexilla()) {
        assert_getters_allocate_nothing(&flags);
    }
}

#[test]
fn getters_that_may_fail_allocate_nothing_where_they_do_not() {
    let [inside, outside, ..] = everybody(&vexilla());
    for flags in [inside, outside] {
        for key in ["s1", "elsewhere", "disabled"] {
            assert_eq!(
                allocations(|| flags.try_bool(key).unwrap()),
                0,
                "bool of {key}"
            );
        }
        let others = allocations(|| {
            let size = (flags.try_int("size"), flags.try_float("size"));
            (size, flags.try_str("colour"))
        });
        assert_eq!(others, 0);
    }
}

#[test]
fn the_error_of_a_flag_that_does_not_exist_allocates_when_it_is_displayed() {
    let long = "k".repeat(1_000);
    let flags = vexilla().flags(context(0));
    for key in ["unknown", &long] {
        let of_getters = allocations(|| {
            let numbers = (flags.try_int(key), flags.try_float(key));
            (numbers, flags.try_bool(key), flags.try_str(key).is_err())
        });
        assert_eq!(of_getters, 0);
        assert_eq!(allocations(|| flags.evaluate(key).error()), 0);
    }
}

#[test]
fn no_typed_definition_allocates_whichever_flags_it_was_read_from_before() {
    static BOOLS: [BoolFlag; 3] = [
        BoolFlag::new("s1", true),
        BoolFlag::new("colour", true),
        BoolFlag::new("unknown", true),
    ];
    static INTS: [IntFlag; 2] = [IntFlag::new("size", 7), IntFlag::new("colour", 7)];
    static FLOAT: FloatFlag = FloatFlag::new("size", 0.5);
    static STRINGS: [StringFlag; 2] = [
        StringFlag::new("colour", "grey"),
        StringFlag::new("broken", "grey"),
    ];
    for flags in [vexilla(), vexilla()].iter().flat_map(everybody) {
        for bool in &BOOLS {
            assert_eq!(allocations(|| flags.get(bool)), 0, "{bool:?}");
        }
        for int in &INTS {
            assert_eq!(allocations(|| flags.get(int)), 0, "{int:?}");
        }
        for string in &STRINGS {
            assert_eq!(allocations(|| flags.get(string)), 0, "{string:?}");
        }
        assert_eq!(allocations(|| flags.get(&FLOAT)), 0);
    }
}

#[test]
fn counting_allocates_nothing_nor_does_the_first_count_of_a_thread() {
    let vexilla = vexilla().with_evaluation_counts();
    let users = everybody(&vexilla);
    let before = vexilla.evaluation_counts().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| users.iter().for_each(assert_getters_allocate_nothing));
    });
    assert_getters_allocate_nothing(&users[0]);
    assert_ne!(vexilla.evaluation_counts().unwrap(), before);
}

#[test]
fn reading_what_overrides_put_in_place_allocates_nothing() {
    let overrides = Overrides::new()
        .set("s1", true)
        .set_variant("elsewhere", "on")
        .set_variant("disabled", "no variant of it")
        .set_nothing("colour")
        .set("unknown", "value");
    let vexilla = vexilla();
    for flags in everybody(&vexilla) {
        let flags = flags.with_overrides(&overrides);
        assert!(flags.bool("s1") && flags.bool("elsewhere"));
        assert_getters_allocate_nothing(&flags);
    }
}

#[test]
fn a_borrowed_context_and_its_evaluation_allocate_nothing() {
    let snapshot = vexilla().snapshot();
    for key in KEYS {
        let allocated = allocations(|| {
            let attributes = [
                ("tier", ValueRef::String("premium")),
                ("version", ValueRef::String("2.3.4")),
                ("country", ValueRef::String("BR")),
                ("plan", ValueRef::String("pro")),
            ];
            let context = ContextRef::new("user-1").attributes(&attributes);
            let evaluation = snapshot.evaluate(key, &context, EmptyEntity::NoRollout);
            (evaluation.variant_id(), evaluation.reason())
        });
        assert_eq!(allocated, 0, "{key}");
    }
}

/// A context of so many attributes of seven bytes each, names included.
fn context(attributes: usize) -> Context {
    const NAMES: [&str; 9] = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];
    let names = NAMES.into_iter().take(attributes);
    names.fold(Context::new("user-1234"), |context, name| {
        context.with(name, "value")
    })
}

#[test]
fn an_owned_context_allocates_itself_and_its_text_with_up_to_eight_attributes() {
    let pinned = vexilla().pin();
    let read = |context: fn() -> Context| allocations(|| pinned.flags(context()).bool("s1"));
    assert_eq!(read(|| context(0)), 2);
    assert_eq!(read(|| context(4)), 2);
    assert_eq!(read(|| context(8)), 2);
    assert_eq!(read(|| context(9)), 3, "the list of attributes grew");
    assert_eq!(
        read(|| context(4).with("long", "x".repeat(100))),
        2 + 1 + 1,
        "the string that is handed in, and the text grew"
    );
    assert_eq!(read(|| context(4).with("age", 31).with("ok", true)), 2);
}

#[test]
fn the_flags_of_a_vexilla_allocate_no_more_than_their_context() {
    let vexilla = vexilla();
    let read = || allocations(|| vexilla.flags(context(4)).bool("s1"));
    // Allocated once in the life of the thread, by what pins the flags.
    read();
    assert_eq!(read(), 2);
}

#[test]
fn clones_and_a_walk_over_all_flags_allocate_nothing() {
    let overrides = Overrides::new().set("s1", true).set("added", true);
    let vexilla = vexilla();
    for flags in everybody(&vexilla) {
        assert_eq!(allocations(|| flags.clone()), 0);
        assert_eq!(allocations(|| flags.context().clone()), 0);
        let flags = flags.with_overrides(&overrides);
        for (flags, count) in [(&flags, KEYS.len()), (&vexilla.flags(context(4)), 6)] {
            let mut found = 0;
            let allocated = allocations(|| {
                let all = flags.all();
                found = all.inspect(|found| _ = black_box(found)).count();
            });
            assert_eq!((allocated, found), (0, count));
        }
    }
}

#[test]
fn five_constraints_of_mixed_kinds_allocate_nothing() {
    let countries = (0..49).map(|n| format!("C{n}"));
    let countries: Vec<_> = countries.chain(["BR".to_owned()]).collect();
    let countries = format!("{countries:?}");
    let mixed = segment([
        ("country", "IN", &countries),
        ("age", "GTE", "18"),
        ("age", "LT", "65"),
        ("groups", "CONTAINS", "\"beta\""),
        ("device.os", "EQ", "\"ios\""),
    ]);
    let vexilla = Vexilla::fixed([flag("mixed", Variant::new("on"), mixed)]);
    let context = |age| {
        let os = ("os".to_owned(), Value::from("ios"));
        Context::new("user-1")
            .with("country", "BR")
            .with("age", age)
            .with("groups", ["staff", "beta"])
            .with("device", Map::from([os]))
    };
    for (age, is_on) in [(31, true), (70, false)] {
        let flags = vexilla.flags(context(age));
        assert_eq!(flags.bool("mixed"), is_on);
        assert_eq!(allocations(|| flags.bool("mixed")), 0);
    }
}

/// The `regex` crate lends each match a piece of memory to work in, per regular
/// expression: the first thread that matches has one of its own, all others take
/// theirs from a few stacks and give it back. It is allocated when there is none
/// yet, or when another thread holds the stack just then; and it may grow with
/// texts unlike those before. So what holds exactly is this: a thread that
/// matches again, while no other does, allocates nothing.
#[test]
fn a_regular_expression_allocates_nothing_from_the_second_match_of_a_thread_on() {
    let pattern = segment([("version", "MATCHES", r"^2\.[0-9]+\.[0-9]+(-rc)?$")]);
    let vexilla = Vexilla::fixed([flag("regex", Variant::new("on"), pattern)]);
    let version = |version: &str| vexilla.flags(Context::new("user-1").with("version", version));
    let (matching, other) = (version("2.3.4"), version("2.x"));
    let match_both = || {
        assert!(matching.bool("regex") && !other.bool("regex"));
        [&matching, &other].map(|flags| allocations(|| flags.bool("regex")))
    };
    assert_eq!(match_both(), [0, 0]);
    std::thread::scope(|scope| {
        let second = scope.spawn(match_both);
        assert_eq!(second.join().unwrap(), [0, 0]);
    });
    assert_eq!(match_both(), [0, 0]);
}

/// Each of these expressions needs a new state for almost each byte of the text.
#[test]
fn what_searches_keep_has_a_limit_over_all_regular_expressions() {
    const FLAGS: usize = 30;

    let text: String = (0..1024_u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 13 & 1) as u8))
        .collect();
    let kept = |cache: usize| {
        let flags: FlagSet = (0..FLAGS)
            .map(|n| {
                let pattern = format!("\"[ab]*a[ab]{{{}}}[^ab]\"", n + 20);
                let segment = segment([("text", "EREG", &pattern)]);
                flag(&format!("flag-{n}"), Variant::new("on"), segment)
            })
            .collect();
        let limits = Limits::new().regex_cache_bytes(cache);
        let vexilla = Vexilla::fixed_with_limits(flags, &limits);
        assert_eq!(vexilla.snapshot().problem_count(), 0);
        let flags = vexilla.flags(Context::new("u").with("text", text.as_str()));
        let kept = measure(|| {
            for n in 0..FLAGS {
                assert!(!flags.bool(&format!("flag-{n}")));
                assert!(!flags.evaluate(&format!("flag-{n}")).is_beyond_limits());
            }
        });
        usize::try_from(kept.bytes_current).unwrap()
    };
    // Without a cache each has some bytes for each instruction.
    let without = kept(0);
    assert!(without < FLAGS * (8 << 10), "{without}");
    assert!(kept(256 << 10) <= without + (256 << 10));
    assert!(kept(32 << 20) > without + (512 << 10), "the text is costly");
}

/// The interpreter copies the whole list at each step if it does not see that the
/// list that is added is written out.
#[test]
fn a_cel_comprehension_that_adds_constants_is_linear_in_its_list() {
    for expression in [
        "ctx.l.map(x, 1).size() > 0",
        "'a' in ctx.l.map(x, true, 'a')",
    ] {
        let constraint = Constraint::new("l", "CEL", expression);
        let on = flag(
            "f",
            Variant::new("on"),
            Segment::new().constraint(constraint),
        );
        let vexilla = Vexilla::fixed([on]);
        let bytes = |count: i32| {
            let list = Value::List((0..count).map(Value::from).collect());
            let flags = vexilla.flags(Context::new("u").with("l", list));
            assert!(flags.try_bool("f").unwrap().is_some(), "{expression}");
            measure(|| _ = black_box(flags.variant("f"))).bytes_total
        };
        let (once, twice) = (bytes(1_000), bytes(2_000));
        assert!(twice < 3 * once, "{expression}: {once}, then {twice} bytes");
    }
}

/// Gives as many flags at each poll, which another thread made.
struct Large(usize);

impl Source for Large {
    fn name(&self) -> String {
        "large".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let count = self.0;
        let flags = (0..count).map(|n| Flag::boolean(format!("flag-{n}"), true));
        let made = tokio::task::spawn_blocking(move || flags.collect());
        made.await.map_err(SourceError::other)
    }
}

/// A store that keeps nothing.
struct Nowhere;

impl LastKnownGood for Nowhere {
    fn name(&self) -> String {
        "nowhere".to_owned()
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        Ok(None)
    }

    async fn save(&self, _: Vec<u8>) -> Result<(), PersistError> {
        Ok(())
    }
}

/// Each flag is several blocks of memory; those of a set that is not loaded are
/// freed on another thread.
#[test]
fn a_poll_without_a_change_frees_no_flags_on_the_thread_of_the_runtime() {
    const FLAGS: usize = 2_000;
    const POLL: Duration = Duration::from_secs(10);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let vexilla = runtime.block_on(async {
        let builder = Vexilla::builder(Large(FLAGS)).poll_interval(POLL);
        let builder = builder.last_known_good(Nowhere);
        let vexilla = builder.build().await.unwrap();
        tokio::time::sleep(POLL * 2).await;
        vexilla
    });
    let before = vexilla.status().counts.fetches;
    let kept = measure(|| {
        runtime.block_on(async { tokio::time::sleep(POLL * 5).await });
    });
    let fetches = vexilla.status().counts.fetches - before;
    assert!(fetches >= 3, "{fetches}");
    // What other threads made, and this one freed.
    assert!(kept.count_current > -(FLAGS as i64), "{kept:?}");
}
