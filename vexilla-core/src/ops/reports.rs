//! Response bodies of the endpoints.

use serde::Serialize;

use super::exchange::OpsResponse;
use crate::context::Context;
use crate::evaluate::Evaluation;
use crate::explain::Explanation;
use crate::reason::ErrorCode;
use crate::snapshot::{CompiledFlag, Snapshot};
use crate::source::{SourceError, SourceErrorKind};
use crate::sync::{Counts, Level};
use crate::vexilla::Vexilla;

pub(super) fn live() -> OpsResponse {
    #[derive(Serialize)]
    struct Live {
        live: bool,
    }
    OpsResponse::json(200, &Live { live: true })
}

pub(super) fn ready(vexilla: &Vexilla) -> OpsResponse {
    #[derive(Serialize)]
    struct Ready {
        ready: bool,
    }
    match vexilla.status().level {
        Level::Defaults => OpsResponse::refusal(503, "not ready: no usable flags are loaded"),
        _ => OpsResponse::json(200, &Ready { ready: true }),
    }
}

pub(super) fn health(vexilla: &Vexilla) -> OpsResponse {
    OpsResponse::json(200, &vexilla.status())
}

pub(super) fn stats(vexilla: &Vexilla) -> OpsResponse {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        level: Level,
        version: u64,
        flags: usize,
        enabled: usize,
        problems: usize,
        left_out: LeftOut,
        breaker: &'static str,
        consecutive_failures: u32,
        counts: Counts,
    }
    #[derive(Serialize)]
    struct LeftOut {
        flags: usize,
        bytes: usize,
    }
    let status = vexilla.status();
    let snapshot = vexilla.snapshot();
    let left_out = snapshot.left_out();
    let stats = Stats {
        level: status.level,
        version: snapshot.version(),
        flags: snapshot.len(),
        enabled: snapshot.flags().filter(|flag| flag.enabled).count(),
        problems: snapshot.problem_count(),
        left_out: LeftOut {
            flags: left_out.flags,
            bytes: left_out.bytes,
        },
        breaker: status.breaker.as_str(),
        consecutive_failures: status.consecutive_failures,
        counts: status.counts,
    };
    OpsResponse::json(200, &stats)
}

pub(super) fn flags(snapshot: &Snapshot) -> OpsResponse {
    #[derive(Serialize)]
    struct Flags<'a> {
        version: u64,
        flags: Vec<Held<'a>>,
    }
    #[derive(Serialize)]
    struct Held<'a> {
        key: &'a str,
        id: u64,
        enabled: bool,
        version: u64,
        variants: Vec<&'a str>,
        tags: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<&'a str>,
    }
    fn held(flag: &CompiledFlag) -> Held<'_> {
        let definition = flag.definition();
        let variants = definition.variants.iter();
        Held {
            key: &definition.key,
            id: definition.id,
            enabled: definition.enabled,
            version: definition.snapshot_id,
            variants: variants.map(|variant| variant.key.as_str()).collect(),
            tags: definition
                .tags
                .iter()
                .map(|tag| tag.value.as_str())
                .collect(),
            problem: flag.problem(),
        }
    }
    let mut listed: Vec<_> = snapshot.compiled().map(held).collect();
    // Those of an export come in an order that differs from one to the next.
    listed.sort_unstable_by_key(|flag| (flag.key, flag.id));
    let flags = Flags {
        version: snapshot.version(),
        flags: listed,
    };
    OpsResponse::json(200, &flags)
}

pub(super) fn explain(vexilla: &Vexilla, key: &str, body: &[u8]) -> OpsResponse {
    #[derive(Serialize)]
    struct Explained<'a> {
        evaluation: &'a Evaluation<'a>,
        explanation: &'a Explanation,
        text: String,
    }
    let context = match body {
        [] => Context::default(),
        body => match serde_json::from_slice::<Context>(body) {
            Ok(context) => context,
            Err(error) => {
                let error = format!("the body is not a valid JSON context: {error}");
                return OpsResponse::refusal(400, &error);
            }
        },
    };
    let flags = vexilla.flags(context);
    let explanation = flags.explain(key);
    // Where an entity was made up, both must be about the same one.
    let mut context = flags.context().clone();
    if context.entity_id() != explanation.entity_id {
        context.set_entity_id(&explanation.entity_id);
    }
    let flags = flags.for_context(context);
    // Not counted: nobody uses the flag here.
    let evaluation = flags.look(key);
    let error = evaluation.error().map(|error| error.code());
    if error == Some(ErrorCode::FlagNotFound) {
        return OpsResponse::refusal(404, "no flag with this key is loaded");
    }
    let explained = Explained {
        evaluation: &evaluation,
        explanation: &explanation,
        text: explanation.to_string(),
    };
    OpsResponse::json(200, &explained)
}

/// The outcome of a refresh; `before` are the flags before it.
pub(super) fn refreshed(
    vexilla: &Vexilla,
    before: &Snapshot,
    outcome: Result<bool, SourceError>,
) -> OpsResponse {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Loaded {
        flags: usize,
        version: u64,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Refreshed {
        changed: bool,
        before: Loaded,
        flags: usize,
        version: u64,
        level: Level,
        last_error: Option<String>,
    }
    match outcome {
        Ok(changed) => {
            // An answer that was kept aside is no failure, but has a reason.
            let status = vexilla.status();
            let refreshed = Refreshed {
                changed,
                before: Loaded {
                    flags: before.len(),
                    version: before.version(),
                },
                flags: status.flags,
                version: status.version,
                level: status.level,
                last_error: status.last_error,
            };
            OpsResponse::json(200, &refreshed)
        }
        Err(error) => {
            let status = match error.kind() {
                SourceErrorKind::ShutDown => 503,
                _ => 502,
            };
            OpsResponse::refusal(status, &error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::Flag;

    #[test]
    fn flags_are_listed_by_key_in_whatever_order_they_come() {
        let vexilla = Vexilla::fixed(["b", "a10", "c", "a"].map(Flag::new));
        let answer = flags(&vexilla.snapshot());
        let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let listed = answer["flags"].as_array().unwrap();
        let keys: Vec<_> = listed.iter().map(|flag| &flag["key"]).collect();
        assert_eq!(keys, ["a", "a10", "b", "c"]);
    }
}
