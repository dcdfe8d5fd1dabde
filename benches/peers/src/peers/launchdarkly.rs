//! `launchdarkly-server-sdk-evaluation`, the engine of LaunchDarkly's Rust client.
//!
//! Path: a look-up in a map that is held, as the flags' owner does, and
//! `evaluate` with a prebuilt `Context`. (Its `Store` hands out clones of flags;
//! only prerequisites and segments go through it, and no flag here has any.)
//!
//! More than we do: prerequisites, targets, segments, several kinds of context
//! at once, experiments. Each evaluation gives a reason, as ours does, with the
//! number and id of the rule, so that there is no explanation beside it. Less:
//! it neither holds nor swaps flags, that is the client's work, which costs more
//! than the evaluation. The rollout hashes with SHA-1.
//!
//! Reading is `serde_json` into a map of its `Flag`s; it compiles nothing.

use std::collections::HashMap;
use std::hint::black_box;

use launchdarkly_server_sdk_evaluation::{
    Context, ContextBuilder, Flag, FlagValue, Segment, Store, evaluate,
};
use serde_json::json;

use super::{Case, System};
use crate::scenario::{self, FEW_USERS, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

const NAME: &str = "launchdarkly-server-sdk-evaluation 2.2.1";

pub struct LaunchDarkly<'a> {
    flags: Flags,
    document: String,
    users: &'a [User],
    contexts: Vec<Context>,
}

struct Flags(HashMap<String, Flag>);

impl Store for Flags {
    fn flag(&self, key: &str) -> Option<Flag> {
        self.0.get(key).cloned()
    }

    fn segment(&self, _: &str) -> Option<Segment> {
        None
    }
}

impl Flags {
    fn is_on(&self, key: &str, context: &Context) -> bool {
        self.0
            .get(key)
            .is_some_and(|flag| self.evaluates(flag, context))
    }

    fn evaluates(&self, flag: &Flag, context: &Context) -> bool {
        let detail = evaluate(self, flag, context, None);
        detail.value.and_then(FlagValue::as_bool).unwrap_or(false)
    }
}

fn context(user: &User) -> Context {
    let mut context = ContextBuilder::new(&user.key);
    context
        .set_string("country", &user.country)
        .set_string("tier", &user.tier)
        .set_float("age", user.age)
        .set_string("version", &user.version);
    context.build().expect("a valid context")
}

fn definition(flag: &scenario::Flag) -> serde_json::Value {
    let clause = json!({
        "contextKind": "user",
        "attribute": "country",
        "op": "in",
        "values": [flag.country],
        "negate": false,
    });
    let mut rule = json!({"id": "rule", "clauses": [clause], "trackEvents": false});
    match flag.percent {
        100 => rule["variation"] = json!(1),
        percent => {
            rule["rollout"] = json!({
                "contextKind": "user",
                "variations": [
                    {"variation": 1, "weight": percent * 1000},
                    {"variation": 0, "weight": 100_000 - percent * 1000},
                ],
            });
        }
    }
    json!({
        "key": flag.key,
        "version": 1,
        "on": flag.enabled,
        "targets": [],
        "contextTargets": [],
        "rules": [rule],
        "prerequisites": [],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "variations": [false, true],
        "clientSideAvailability": {"usingMobileKey": false, "usingEnvironmentId": false},
        "salt": flag.key,
    })
}

fn read(document: &str) -> Flags {
    Flags(serde_json::from_str(document).expect("valid flags"))
}

impl<'a> LaunchDarkly<'a> {
    pub fn new(flags: &[scenario::Flag], users: &'a [User]) -> Self {
        let definitions: serde_json::Map<_, _> = flags
            .iter()
            .map(|flag| (flag.key.clone(), definition(flag)))
            .collect();
        let document = serde_json::Value::from(definitions).to_string();
        Self {
            flags: read(&document),
            document,
            users,
            contexts: users.iter().map(context).collect(),
        }
    }

    fn by_key(&self, scenario: Scenario, key: &'static str) -> Case<'_> {
        Case::new(NAME, scenario, &self.contexts, move |context| {
            usize::from(self.flags.is_on(black_box(key), context))
        })
    }
}

impl System for LaunchDarkly<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        self.flags.is_on(key, &context(user))
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let flags = &self.flags;
        vec![
            self.by_key(Scenario::Off, OFF),
            self.by_key(Scenario::Unknown, UNKNOWN),
            self.by_key(Scenario::Simple, SIMPLE),
            self.by_key(Scenario::S1, S1),
            Case::new(NAME, Scenario::ContextAndS1, self.users, |user| {
                usize::from(self.flags.is_on(black_box(S1), &context(user)))
            }),
            Case::new(
                NAME,
                Scenario::All,
                &self.contexts[..FEW_USERS],
                move |context| {
                    flags
                        .0
                        .values()
                        .filter(|flag| flags.evaluates(flag, context))
                        .count()
                },
            ),
            Case::long(NAME, Scenario::ReadAndCompile, || {
                black_box(read(black_box(&self.document))).0.len()
            }),
        ]
    }

    fn document_bytes(&self) -> Option<usize> {
        Some(self.document.len())
    }
}
