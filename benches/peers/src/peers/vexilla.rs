//! Vexilla, in the two forms that applications have.
//!
//! `Flags` is what a handler holds: one snapshot and one owned context; it looks
//! at overrides first and knows whether the flags are stale. `Snapshot::evaluate`
//! is the direct form, with a borrowed context. Both answer exactly as Flagr
//! would, with a typed value, a reason and, where there is one, an error.

use std::hint::black_box;
use std::sync::Arc;

use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::{Context, ContextRef, EmptyEntity, Flags, Snapshot, ValueRef};

use super::{Case, System};
use crate::scenario::{self, FEW_USERS, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

pub const FLAGS: &str = "**Vexilla**, `Flags`";
pub const SNAPSHOT: &str = "**Vexilla**, `Snapshot::evaluate`";

pub struct Vexilla<'a> {
    vexilla: vexilla_core::Vexilla,
    snapshot: Arc<Snapshot>,
    users: &'a [User],
    flags: Vec<Flags>,
    /// The attributes of each user, and the user's key.
    borrowed: Vec<([(&'a str, ValueRef<'a>); 4], &'a str)>,
}

fn flag(flag: &scenario::Flag) -> Flag {
    Flag::new(&flag.key)
        .id(flag.id)
        .enabled(flag.enabled)
        .variant(Variant::new("on").attachment(serde_json::json!({"enabled": true})))
        .variant(Variant::new("off").attachment(serde_json::json!({"enabled": false})))
        .segment(
            Segment::new()
                .rollout(flag.percent.into())
                .constraint(Constraint::new(
                    "country",
                    "EQ",
                    format!("{:?}", flag.country),
                ))
                .distribution("on", 100),
        )
}

#[inline]
fn context(user: &User) -> Context {
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
fn is_on(snapshot: &Snapshot, key: &str, id: &str, attributes: &[(&str, ValueRef<'_>)]) -> bool {
    let context = ContextRef::new(id).attributes(attributes);
    let evaluation = snapshot.evaluate(key, &context, EmptyEntity::NoRollout);
    matches!(evaluation.try_bool(), Ok(Some(true)))
}

impl<'a> Vexilla<'a> {
    pub fn new(flags: &[scenario::Flag], users: &'a [User]) -> Self {
        let vexilla = vexilla_core::Vexilla::fixed(flags.iter().map(flag).collect::<Vec<_>>());
        Self {
            snapshot: vexilla.snapshot(),
            users,
            flags: users
                .iter()
                .map(|user| vexilla.flags(context(user)))
                .collect(),
            borrowed: users
                .iter()
                .map(|user| (attributes(user), user.key.as_str()))
                .collect(),
            vexilla,
        }
    }

    fn by_key(&self, scenario: Scenario, key: &'static str) -> [Case<'_>; 2] {
        let snapshot = &*self.snapshot;
        [
            Case::new(FLAGS, scenario, &self.flags, move |flags| {
                usize::from(flags.bool(black_box(key)))
            }),
            Case::new(
                SNAPSHOT,
                scenario,
                &self.borrowed,
                move |(attributes, id)| {
                    usize::from(is_on(snapshot, black_box(key), id, attributes))
                },
            ),
        ]
    }
}

impl System for Vexilla<'_> {
    fn name(&self) -> &'static str {
        "Vexilla"
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        let on = self.vexilla.flags(context(user)).bool(key);
        assert_eq!(on, is_on(&self.snapshot, key, &user.key, &attributes(user)));
        on
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let snapshot = &*self.snapshot;
        let few = &self.flags[..FEW_USERS];
        let mut cases = Vec::new();
        cases.extend(self.by_key(Scenario::Off, OFF));
        cases.extend(self.by_key(Scenario::Unknown, UNKNOWN));
        cases.extend(self.by_key(Scenario::Simple, SIMPLE));
        cases.extend(self.by_key(Scenario::S1, S1));
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
        ]);
        cases
    }
}
