//! `eppo_core`, the engine of Eppo's clients in several languages.
//!
//! Path: `get_assignment` on a `Configuration` that is held, with prebuilt
//! subjects, the time given, logging of the assignment off, and the feature
//! `ahash`, which makes its maps faster.
//!
//! More than we do: time windows of allocations are looked at; an assignment can
//! carry an event for experiments (switched off here). Less: no reason unless
//! the explanation is asked for, which is `get_assignment_details`. The rollout
//! hashes with MD5, which is most of what it costs.
//!
//! Reading is `UniversalFlagConfig::from_json`, which compiles the flags and keeps
//! the text; the copy of the text that it wants is in the figure.

use std::hint::black_box;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use eppo_core::eval::{get_assignment, get_assignment_details};
use eppo_core::ufc::{AssignmentValue, UniversalFlagConfig, VariationType};
use eppo_core::{Attributes, Configuration, SdkMetadata, Str};
use serde_json::json;

use super::{Case, System};
use crate::scenario::{FEW_USERS, Flag, OFF, S1, SIMPLE, Scenario, UNKNOWN, User};

const NAME: &str = "eppo_core 10.0.0";
const SHARDS: u32 = 10_000;

pub struct Eppo<'a> {
    configuration: Configuration,
    now: DateTime<Utc>,
    keys: Vec<&'a str>,
    document: String,
    users: &'a [User],
    subjects: Vec<Subject>,
}

type Subject = (Str, Arc<Attributes>);

fn subject(user: &User) -> Subject {
    let attributes = [
        ("country".into(), user.country.as_str().into()),
        ("tier".into(), user.tier.as_str().into()),
        ("age".into(), user.age.into()),
        ("version".into(), user.version.as_str().into()),
    ];
    (
        user.key.as_str().into(),
        Arc::new(attributes.into_iter().collect()),
    )
}

fn definition(flag: &Flag) -> serde_json::Value {
    let condition = json!({"attribute": "country", "operator": "ONE_OF", "value": [flag.country]});
    let shards = match flag.percent {
        100 => json!([]),
        percent => json!([{
            "salt": flag.key,
            "ranges": [{"start": 0, "end": SHARDS * percent / 100}],
        }]),
    };
    json!({
        "key": flag.key,
        "enabled": flag.enabled,
        "variationType": "BOOLEAN",
        "variations": {"on": {"key": "on", "value": true}},
        "totalShards": SHARDS,
        "allocations": [{
            "key": "rollout",
            "rules": [{"conditions": [condition]}],
            "splits": [{"variationKey": "on", "shards": shards}],
            "doLog": false,
        }],
    })
}

fn read(document: &str) -> Configuration {
    let sdk = SdkMetadata {
        name: "bench",
        version: "0",
    };
    let config = UniversalFlagConfig::from_json(sdk, document.as_bytes().to_vec());
    Configuration::from_server_response(config.expect("valid flags"), None)
}

impl<'a> Eppo<'a> {
    pub fn new(flags: &'a [Flag], users: &'a [User]) -> Self {
        let definitions: serde_json::Map<_, _> = flags
            .iter()
            .map(|flag| (flag.key.clone(), definition(flag)))
            .collect();
        let document = json!({
            "createdAt": "2026-01-01T00:00:00Z",
            "environment": {"name": "bench"},
            "flags": definitions,
        });
        let document = document.to_string();
        Self {
            configuration: read(&document),
            document,
            now: Utc::now(),
            keys: flags.iter().map(|flag| flag.key.as_str()).collect(),
            users,
            subjects: users.iter().map(subject).collect(),
        }
    }

    fn is_on(&self, key: &str, (subject, attributes): &Subject) -> bool {
        let configuration = Some(&self.configuration);
        let boolean = Some(VariationType::Boolean);
        let assignment = get_assignment(configuration, key, subject, attributes, boolean, self.now);
        matches!(assignment, Ok(Some(assignment)) if matches!(assignment.value, AssignmentValue::Boolean(true)))
    }

    fn explained(&self, key: &str, (subject, attributes): &Subject) -> bool {
        let configuration = Some(&self.configuration);
        let boolean = Some(VariationType::Boolean);
        let (details, _) =
            get_assignment_details(configuration, key, subject, attributes, boolean, self.now);
        matches!(
            black_box(details).variation,
            Some(AssignmentValue::Boolean(true))
        )
    }

    fn by_key(&self, scenario: Scenario, key: &'static str) -> Case<'_> {
        Case::new(NAME, scenario, &self.subjects, move |subject| {
            usize::from(self.is_on(black_box(key), subject))
        })
    }
}

impl System for Eppo<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn answer(&self, key: &str, user: &User) -> bool {
        self.is_on(key, &subject(user))
    }

    fn cases(&self) -> Vec<Case<'_>> {
        vec![
            self.by_key(Scenario::Off, OFF),
            self.by_key(Scenario::Unknown, UNKNOWN),
            self.by_key(Scenario::Simple, SIMPLE),
            self.by_key(Scenario::S1, S1),
            Case::new(NAME, Scenario::ContextAndS1, self.users, |user| {
                usize::from(self.is_on(black_box(S1), &subject(user)))
            }),
            Case::new(NAME, Scenario::Explanation, &self.subjects, |subject| {
                usize::from(self.explained(black_box(S1), subject))
            }),
            Case::new(
                NAME,
                Scenario::All,
                &self.subjects[..FEW_USERS],
                |subject| {
                    self.keys
                        .iter()
                        .filter(|key| self.is_on(key, subject))
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
