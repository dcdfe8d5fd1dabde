//! What an evaluation costs: `cargo bench -p vexilla-core --bench evaluation`.
//!
//! **Purpose.** One flag, read by each of 1,024 users in turn, in the ways that
//! applications have; constraints of other kinds; all flags at once; and whether
//! it matters how many flags are held. S1 is one string constraint, which holds,
//! and a rollout of 50 %; it is one of 200 flags unless something else is said.
//! A name says all that is in the figure: contexts and handles that it does not
//! name were made before.
//!
//! **Ours.** All but what follows. The *floor* is written here by hand: the least
//! code that gives the answers of S1, of a flag at hand, and of one that is looked
//! up among 200. It knows one kind of constraint and no reason, error or type.
//!
//! **Not ours.** `the regex crate alone` is its search for the same pattern in the
//! same text, which is in the figure behind it too; what runs a CEL expression is
//! the crate `cel`; hashes and checksums are those of `rustc-hash` and `crc32fast`,
//! of the floor as well.
//!
//! **Measuring.** CPU time of the thread: by criterion for each case, then a table
//! of the cases of a group in turns, with how much more and how many times as much
//! each takes as the first and the second of them. Compare by the tables, which
//! are of one moment.
//!
//! `BENCHMARKS.md` has the figures, and the machine that gave them;
//! `tests/tests/allocations.rs` counts what is allocated.

use std::hint::black_box;
use std::time::Duration;

use crc32fast::Hasher;
use criterion::{Criterion, criterion_group, criterion_main};
use regex::Regex;
use rustc_hash::FxHashMap;
use serde_json::json;
use vexilla_core::context::{ContextRef, Map, ValueRef};
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::{BoolFlag, Context, EmptyEntity, Evaluation, Flags, Value, Vexilla};

#[path = "../../benches/cases.rs"]
mod cases;

use cases::{Case, measure};

const FLAGS: usize = 200;
const USERS: usize = 1024;
const PATTERN: &str = r"^2\.[0-9]+\.[0-9]+$";

static S1: BoolFlag = BoolFlag::new("s1", false);

/// Who asks.
struct User {
    id: String,
    country: String,
    tier: String,
    version: String,
    plan: String,
}

impl User {
    fn all() -> Vec<Self> {
        let user = |n| Self {
            id: format!("user-{n}"),
            country: "BR".to_owned(),
            tier: "premium".to_owned(),
            version: "2.3.4".to_owned(),
            plan: "pro".to_owned(),
        };
        (0..USERS).map(user).collect()
    }

    /// An owned context of four strings.
    fn context(&self) -> Context {
        Context::new(&self.id)
            .with("tier", &self.tier)
            .with("version", &self.version)
            .with("country", &self.country)
            .with("plan", &self.plan)
    }

    /// The same, borrowed.
    fn attributes(&self) -> [(&str, ValueRef<'_>); 4] {
        [
            ("tier", ValueRef::String(&self.tier)),
            ("version", ValueRef::String(&self.version)),
            ("country", ValueRef::String(&self.country)),
            ("plan", ValueRef::String(&self.plan)),
        ]
    }
}

/// A flag of one segment.
fn flag(key: &str, segment: Segment) -> Flag {
    Flag::new(key)
        .enabled(true)
        .variant(Variant::new("on").attachment(json!({"enabled": true})))
        .variant(Variant::new("off").attachment(json!({"enabled": false})))
        .segment(segment.distribution("on", 100))
}

/// A flag like S1: for half of the users in a country.
fn half(key: &str, country: &str) -> Flag {
    let country = Constraint::new("country", "EQ", format!("{country:?}"));
    flag(key, Segment::new().rollout(50).constraint(country))
}

/// These flags, and fillers up to a count.
fn vexilla<const N: usize>(flags: [Flag; N], count: usize) -> Vexilla {
    let fillers = (N..count).map(|n| half(&format!("filler-{n}"), "AR"));
    let vexilla = Vexilla::fixed(flags.into_iter().chain(fillers).collect::<Vec<_>>());
    let snapshot = vexilla.snapshot();
    assert_eq!((snapshot.len(), snapshot.problem_count()), (count, 0));
    vexilla
}

fn handles(vexilla: &Vexilla, users: &[User]) -> Vec<Flags> {
    let handle = |user: &User| vexilla.flags(user.context());
    users.iter().map(handle).collect()
}

/// A case of which each call is for the next of some users.
fn case<'a, U, O>(
    name: &'static str,
    users: &'a [U],
    mut call: impl FnMut(&'a U) -> O + 'a,
) -> Case<'a> {
    let mut next = users.iter().cycle();
    Case::new(name, move || {
        if let Some(user) = next.next() {
            black_box(call(user));
        }
    })
}

/// A flag of the floor.
struct Floor {
    country: Box<str>,
    /// The CRC-32 of the flag's id.
    salt: u32,
    /// The first bucket that is out, of 1000.
    end: u32,
}

impl Floor {
    fn flags() -> FxHashMap<Box<str>, Self> {
        let flag = |id: usize| {
            let (key, country) = match id {
                1 => ("s1".into(), "BR"),
                id => (format!("filler-{id}").into(), "AR"),
            };
            let flag = Self {
                country: country.into(),
                salt: crc32fast::hash(id.to_string().as_bytes()),
                end: 500,
            };
            (key, flag)
        };
        (1..=FLAGS).map(flag).collect()
    }

    fn is_on(&self, user: &User) -> bool {
        let bucket = || {
            let mut hasher = Hasher::new_with_initial(self.salt);
            hasher.update(user.id.as_bytes());
            hasher.finalize() % 1000
        };
        *user.country == *self.country && bucket() < self.end
    }
}

fn one_flag(c: &mut Criterion) {
    let users = User::all();
    let floor = Floor::flags();
    let at_hand = &floor["s1"];
    let disabled = half("disabled", "BR").enabled(false);
    let plain = vexilla([half("s1", "BR"), disabled], FLAGS);
    let handles_plain = handles(&plain, &users);
    let counted = Vexilla::fixed(plain.snapshot().flags().cloned().collect::<Vec<_>>())
        .with_evaluation_counts();
    let counted = handles(&counted, &users);
    let (pinned, snapshot) = (plain.pin(), plain.snapshot());
    for (user, flags) in users.iter().zip(&handles_plain) {
        assert_eq!(at_hand.is_on(user), flags.bool("s1"));
    }

    let by_key = |name, flags, key| case(name, flags, move |f: &Flags| f.bool(black_box(key)));
    let cases = vec![
        case("floor, flag at hand", &users, |user| {
            black_box(at_hand).is_on(user)
        }),
        case("floor, by key", &users, |user| {
            let flag = floor.get(black_box("s1"));
            flag.is_some_and(|flag| flag.is_on(user))
        }),
        by_key("S1 by key", &handles_plain, "s1"),
        case("S1 by typed definition", &handles_plain, |flags| {
            flags.get(black_box(&S1))
        }),
        by_key("S1 by key, counted", &counted, "s1"),
        by_key("disabled flag", &handles_plain, "disabled"),
        by_key("unknown flag", &handles_plain, "unknown"),
        case(
            "borrowed context of four strings, then S1",
            &users,
            |user| {
                let attributes = black_box(user.attributes());
                let context = ContextRef::new(&user.id).attributes(&attributes);
                snapshot
                    .evaluate(black_box("s1"), &context, EmptyEntity::NoRollout)
                    .try_bool()
            },
        ),
        case("owned context from four headers, then S1", &users, |user| {
            pinned.flags(user.context()).bool(black_box("s1"))
        }),
    ];
    measure(c, "one flag", cases);
}

/// The context of a user who is in for each of the flags of [`constraints`].
fn full_context(user: &User) -> Context {
    let os = ("os".to_owned(), Value::from("ios"));
    user.context()
        .with("age", 31)
        .with("groups", ["staff", "beta"])
        .with("device", Map::from([os]))
}

fn constraints(c: &mut Criterion) {
    let users = User::all();
    let one = |property, operator, value: &str| Constraint::new(property, operator, value);
    let countries = (0..49).map(|n| format!("C{n}"));
    let countries: Vec<_> = countries.chain(["BR".to_owned()]).collect();
    let mixed = [
        one("country", "IN", &format!("{countries:?}")),
        one("age", "GTE", "18"),
        one("age", "LT", "65"),
        one("groups", "CONTAINS", "\"beta\""),
        one("device.os", "EQ", "\"ios\""),
    ];
    let mixed = mixed.into_iter().fold(Segment::new(), Segment::constraint);
    let pattern = Segment::new().constraint(one("version", "EREG", &format!("\"{PATTERN}\"")));
    let expression = r#"country == "BR" && tier == "premium" && age >= 18"#;
    let cel = Segment::new().constraint(one("cel", "CEL", expression));
    let flags = [
        flag("regex", pattern),
        flag("mixed", mixed),
        flag("cel", cel),
    ];
    let vexilla = vexilla(flags, FLAGS);
    let handle = |user: &User| vexilla.flags(full_context(user));
    let handles: Vec<_> = users.iter().map(handle).collect();
    let regex = Regex::new(PATTERN).ok();
    for flags in &handles {
        assert!(["regex", "mixed", "cel"].iter().all(|key| flags.bool(key)));
    }

    let by_key = |name, key| case(name, &handles, move |flags| flags.bool(black_box(key)));
    let cases = vec![
        case("the regex crate alone", &users, |user| {
            let regex = black_box(&regex).as_ref();
            regex.is_some_and(|regex| regex.is_match(&user.version))
        }),
        by_key("a regular expression", "regex"),
        by_key("five constraints of mixed kinds", "mixed"),
        by_key("a CEL constraint of three clauses", "cel"),
    ];
    measure(c, "constraints", cases);
}

fn whole(c: &mut Criterion) {
    let users = User::all();
    let vexilla = vexilla([half("s1", "BR")], FLAGS);
    let handles = handles(&vexilla, &users);
    let is_on = |(_, evaluation): &(&str, Evaluation<'_>)| evaluation.variant_id().is_some();
    let cases = vec![
        case("explanation of S1", &handles, |flags| {
            flags.explain(black_box("s1"))
        }),
        case("all 200 flags", &handles, move |flags| {
            flags.all().filter(is_on).count()
        }),
    ];
    measure(c, "whole", cases);
}

fn held(c: &mut Criterion) {
    let users = User::all();
    let handles = [1, 10_000, 100_000].map(|count| {
        let vexilla = vexilla([half("s1", "BR")], count);
        handles(&vexilla, &users)
    });
    let names = [
        "S1 by key, 1 flag held",
        "S1 by key, 10,000 flags held",
        "S1 by key, 100,000 flags held",
    ];
    let cases = names.into_iter().zip(&handles);
    let cases = cases
        .map(|(name, handles)| case(name, handles, |flags| flags.bool(black_box("s1"))))
        .collect();
    measure(c, "flags held", cases);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = one_flag, constraints, whole, held
}
criterion_main!(benches);
