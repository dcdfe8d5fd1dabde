//! `unleash-yggdrasil`, the engine of Unleash's clients in several languages.
//!
//! Path: `EngineState::is_enabled` with prebuilt `Context`s. It loads its flags
//! from an `arc-swap` at each call; that cannot be avoided.
//!
//! More than we do: dependencies between flags are looked at; a rollout's seed
//! may be any attribute. Less: the answer is a `bool`, without a variant (another
//! call, which costs more) and without a reason; attributes are strings; what is
//! wrong with a flag is told when it is loaded and not when it is asked. There is
//! no explanation. Counting is a call of its own and is left out.
//!
//! Reading is `serde_json` and `take_state`, which compiles the flags.

use std::collections::HashMap;
use std::hint::black_box;

use serde_json::json;
use unleash_yggdrasil::{Context, EngineState, UpdateMessage};

use super::{Case, System};
use crate::scenario::{FEW_USERS, Flag, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

const NAME: &str = "unleash-yggdrasil 0.21.7";

pub struct Yggdrasil<'a> {
    engine: EngineState,
    keys: Vec<&'a str>,
    document: String,
    users: &'a [User],
    contexts: Vec<Context>,
}

fn context(user: &User) -> Context {
    let properties = HashMap::from([
        ("country".to_owned(), user.country.clone()),
        ("tier".to_owned(), user.tier.clone()),
        ("age".to_owned(), user.age.to_string()),
        ("version".to_owned(), user.version.clone()),
    ]);
    Context {
        user_id: Some(user.key.clone()),
        properties: Some(properties),
        ..Context::default()
    }
}

fn feature(flag: &Flag) -> serde_json::Value {
    let constraints =
        json!([{"contextName": "country", "operator": "IN", "values": [flag.country]}]);
    let strategy = match flag.percent {
        100 => json!({"name": "default", "constraints": constraints}),
        percent => json!({
            "name": "flexibleRollout",
            "constraints": constraints,
            "parameters": {
                "rollout": percent.to_string(),
                "stickiness": "userId",
                "groupId": flag.key,
            },
        }),
    };
    json!({"name": flag.key, "type": "release", "enabled": flag.enabled, "strategies": [strategy]})
}

fn read(document: &str) -> EngineState {
    let state = serde_json::from_str(document).expect("valid flags");
    let engine = EngineState::default();
    let warnings = engine.take_state(UpdateMessage::FullResponse(state));
    assert!(warnings.is_none(), "yggdrasil took the flags: {warnings:?}");
    engine
}

impl<'a> Yggdrasil<'a> {
    pub fn new(flags: &'a [Flag], users: &'a [User]) -> Self {
        let features: Vec<_> = flags.iter().map(feature).collect();
        let document = json!({"version": 2, "features": features}).to_string();
        Self {
            engine: read(&document),
            document,
            keys: flags.iter().map(|flag| flag.key.as_str()).collect(),
            users,
            contexts: users.iter().map(context).collect(),
        }
    }

    fn is_on(&self, key: &str, context: &Context) -> bool {
        self.engine.is_enabled(key, context, &None)
    }

    fn by_key(&self, scenario: Scenario, key: &'static str) -> Case<'_> {
        Case::new(NAME, scenario, &self.contexts, move |context| {
            usize::from(self.is_on(black_box(key), context))
        })
    }
}

impl System for Yggdrasil<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        self.is_on(key, &context(user))
    }

    fn cases(&self) -> Vec<Case<'_>> {
        vec![
            self.by_key(Scenario::Off, OFF),
            self.by_key(Scenario::Unknown, UNKNOWN),
            self.by_key(Scenario::Simple, SIMPLE),
            self.by_key(Scenario::S1, S1),
            Case::new(NAME, Scenario::ContextAndS1, self.users, |user| {
                usize::from(self.is_on(black_box(S1), &context(user)))
            }),
            Case::new(
                NAME,
                Scenario::All,
                &self.contexts[..FEW_USERS],
                |context| {
                    self.keys
                        .iter()
                        .filter(|key| self.is_on(key, context))
                        .count()
                },
            ),
            Case::long(NAME, Scenario::ReadAndCompile, || {
                black_box(read(black_box(&self.document)));
                1
            }),
        ]
    }

    fn document_bytes(&self) -> Option<usize> {
        Some(self.document.len())
    }
}
