//! Vexilla, in the forms that applications have.
//!
//! `Flags` is what a handler holds: one snapshot and one owned context; it looks
//! at overrides first and knows whether the flags are stale. It is asked by key,
//! or by a typed definition, a `static` that remembers where its flag stands.
//! `Snapshot::evaluate` is the direct form, with a borrowed context. All answer
//! exactly as Flagr would; the value is typed, and reason and error, where there
//! is one, are at hand. *Counted* is with `Vexilla::with_evaluation_counts`: exact
//! numbers for each flag and variant.
//!
//! Reading is `FlagSet::from_export` and `Snapshot::new`, of the flags as Flagr's
//! export prints them: with ids, times and empty members, which makes the text
//! the longest of all.

use std::hint::black_box;
use std::sync::Arc;

use vexilla_core::context::{ContextRef, ValueRef};
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{BoolFlag, Context, EmptyEntity, Flags};

use super::{Case, System};
use crate::scenario::{self, FEW_USERS, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

pub const FLAGS: &str = "**Vexilla**, `Flags` by key";
pub const TYPED: &str = "**Vexilla**, typed definition";
pub const FLAGS_COUNTED: &str = "**Vexilla**, `Flags` by key, counted";
pub const TYPED_COUNTED: &str = "**Vexilla**, typed definition, counted";
pub const SNAPSHOT: &str = "**Vexilla**, `Snapshot::evaluate`";

static OFF_FLAG: BoolFlag = BoolFlag::new(OFF, false);
static UNKNOWN_FLAG: BoolFlag = BoolFlag::new(UNKNOWN, false);
static SIMPLE_FLAG: BoolFlag = BoolFlag::new(SIMPLE, false);
static S1_FLAG: BoolFlag = BoolFlag::new(S1, false);

pub struct Vexilla<'a> {
    vexilla: vexilla_core::Vexilla,
    snapshot: Arc<Snapshot>,
    export: Vec<u8>,
    users: &'a [User],
    flags: Vec<Flags>,
    counted: Vec<Flags>,
    /// The attributes of each user, and the user's key.
    borrowed: Vec<([(&'a str, ValueRef<'a>); 4], &'a str)>,
}

/// A flag of the scenario in our form.
pub fn flag(flag: &scenario::Flag) -> Flag {
    let segment = Segment::new()
        .rollout(flag.percent.into())
        .constraint(Constraint::new(
            "country",
            "EQ",
            format!("{:?}", flag.country),
        ));
    on_for(&flag.key, segment).id(flag.id).enabled(flag.enabled)
}

/// An enabled flag that is on for whom a segment holds.
pub fn on_for(key: &str, segment: Segment) -> Flag {
    Flag::new(key)
        .enabled(true)
        .variant(Variant::new("on").attachment(serde_json::json!({"enabled": true})))
        .variant(Variant::new("off").attachment(serde_json::json!({"enabled": false})))
        .segment(segment.distribution("on", 100))
}

/// A user as a context that owns what it holds.
#[inline]
pub fn context(user: &User) -> Context {
    let mut context = Context::new(&user.key);
    context.set("tier", &user.tier);
    context.set("age", user.age);
    context.set("country", &user.country);
    context.set("version", &user.version);
    context
}

#[inline]
fn attributes(user: &User) -> [(&str, ValueRef<'_>); 4] {
    [
        ("tier", ValueRef::String(&user.tier)),
        ("age", ValueRef::Number(user.age)),
        ("country", ValueRef::String(&user.country)),
        ("version", ValueRef::String(&user.version)),
    ]
}

/// By the direct form: whether the flag is on.
#[inline]
pub fn is_on(
    snapshot: &Snapshot,
    key: &str,
    id: &str,
    attributes: &[(&str, ValueRef<'_>)],
) -> bool {
    let context = ContextRef::new(id).attributes(attributes);
    let evaluation = snapshot.evaluate(key, &context, EmptyEntity::NoRollout);
    matches!(evaluation.try_bool(), Ok(Some(true)))
}

fn read(export: &[u8]) -> Snapshot {
    Snapshot::new(FlagSet::from_export(export).expect("an export"))
}

impl<'a> Vexilla<'a> {
    pub fn new(flags: &[scenario::Flag], users: &'a [User]) -> Self {
        let set = FlagSet::from_iter(flags.iter().map(flag));
        let vexilla = vexilla_core::Vexilla::fixed(set.clone());
        let counting = vexilla_core::Vexilla::fixed(set.clone()).with_evaluation_counts();
        let handles = |vexilla: &vexilla_core::Vexilla| -> Vec<_> {
            let contexts = users.iter().map(context);
            contexts.map(|context| vexilla.flags(context)).collect()
        };
        Self {
            snapshot: vexilla.snapshot(),
            export: serde_json::to_vec(&with_ids(set)).expect("a set can be printed"),
            users,
            flags: handles(&vexilla),
            counted: handles(&counting),
            borrowed: users
                .iter()
                .map(|user| (attributes(user), user.key.as_str()))
                .collect(),
            vexilla,
        }
    }

    /// A scenario by each way of asking.
    fn each_way(&self, scenario: Scenario, flag: &'static BoolFlag) -> [Case<'_>; 5] {
        let by_key = |row, handles| {
            Case::new(row, scenario, handles, |flags: &Flags| {
                usize::from(flags.bool(black_box(flag.key())))
            })
        };
        let typed = |row, handles| {
            Case::new(row, scenario, handles, |flags: &Flags| {
                usize::from(flags.get(black_box(flag)))
            })
        };
        let direct = |(attributes, id): &([_; 4], &str)| {
            let key = black_box(flag.key());
            usize::from(is_on(&self.snapshot, key, id, attributes))
        };
        [
            by_key(FLAGS, &self.flags),
            typed(TYPED, &self.flags),
            by_key(FLAGS_COUNTED, &self.counted),
            typed(TYPED_COUNTED, &self.counted),
            Case::new(SNAPSHOT, scenario, &self.borrowed, direct),
        ]
    }
}

/// A database's export has ids everywhere.
fn with_ids(mut set: FlagSet) -> FlagSet {
    set.assign_missing_ids();
    set
}

impl System for Vexilla<'_> {
    fn name(&self) -> &'static str {
        "Vexilla"
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        let flags = self.vexilla.flags(context(user));
        let on = flags.bool(key);
        assert_eq!(on, is_on(&self.snapshot, key, &user.key, &attributes(user)));
        assert_eq!(on, self.counted[0].for_context(context(user)).bool(key));
        let all = [&OFF_FLAG, &UNKNOWN_FLAG, &SIMPLE_FLAG, &S1_FLAG];
        if let Some(typed) = all.into_iter().find(|flag| flag.key() == key) {
            assert_eq!(on, flags.get(typed));
        }
        on
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let snapshot = &*self.snapshot;
        let few = &self.flags[..FEW_USERS];
        let mut cases = Vec::new();
        for (scenario, flag) in [
            (Scenario::Off, &OFF_FLAG),
            (Scenario::Unknown, &UNKNOWN_FLAG),
            (Scenario::Simple, &SIMPLE_FLAG),
            (Scenario::S1, &S1_FLAG),
        ] {
            cases.extend(self.each_way(scenario, flag));
        }
        cases.extend([
            Case::new(FLAGS, Scenario::ContextAndS1, self.users, |user| {
                usize::from(self.vexilla.flags(context(user)).bool(black_box(S1)))
            }),
            Case::new(SNAPSHOT, Scenario::ContextAndS1, self.users, move |user| {
                let attributes = black_box(attributes(user));
                usize::from(is_on(snapshot, black_box(S1), &user.key, &attributes))
            }),
            Case::new(FLAGS, Scenario::Explanation, &self.flags, |flags| {
                usize::from(flags.explain(black_box(S1)).value == true)
            }),
            Case::new(FLAGS, Scenario::All, few, |flags| {
                flags
                    .all()
                    .filter(|(_, evaluation)| evaluation.try_bool() == Ok(Some(true)))
                    .count()
            }),
            Case::long(FLAGS, Scenario::ReadAndCompile, || {
                black_box(read(black_box(&self.export))).len()
            }),
        ]);
        cases
    }

    fn document_bytes(&self) -> Option<usize> {
        Some(self.export.len())
    }
}
