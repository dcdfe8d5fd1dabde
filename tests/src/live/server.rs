//! A client of Flagr's REST API: creating flags, exporting, evaluating.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag};

use super::contexts::Visitor;

/// Whatever kept the run from being finished.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// How often the export is asked whether it has caught up, and the pause
/// between: twice Flagr's usual interval of 3 s.
const POLLS: u32 = 80;
const PAUSE: Duration = Duration::from_millis(75);

/// A running Flagr.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    url: String,
}

/// A flag as it came to be.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) id: u64,
    /// What was asked for, without the constraints that Flagr refused.
    pub(crate) flag: Flag,
    /// The constraints and whether Flagr took each.
    pub(crate) constraints: Vec<(Constraint, Result<(), String>)>,
}

/// What an evaluation answers.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Answer {
    #[serde(rename = "flagID")]
    pub(crate) flag_id: u64,
    pub(crate) flag_key: String,
    #[serde(rename = "segmentID")]
    pub(crate) segment_id: u64,
    #[serde(rename = "variantID")]
    pub(crate) variant_id: u64,
    pub(crate) variant_key: String,
    /// As printed; empty without variant.
    #[serde(deserialize_with = "raw")]
    pub(crate) variant_attachment: String,
}

fn raw<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Box::<RawValue>::deserialize(deserializer)?.get().to_owned())
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "evaluationResults")]
    results: Vec<Answer>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

#[derive(Deserialize)]
struct Newest {
    #[serde(rename = "maxID", default)]
    max_id: u64,
}

impl Server {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            client: Client::new(),
            url: format!("{}/api/v1", url.trim_end_matches('/')),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(u16, String), Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }

    /// Sends what must succeed.
    async fn done(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<String, Failure> {
        let what = format!("{method} {path} {}", body.as_deref().unwrap_or_default());
        match self.send(method, path, body).await? {
            (200, answer) => Ok(answer),
            (status, answer) => Err(format!("{what}: {status} {answer}").into()),
        }
    }

    async fn added(&self, path: &str, body: serde_json::Value) -> Result<u64, Failure> {
        let answer = self
            .done(Method::POST, path, Some(body.to_string()))
            .await?;
        Ok(serde_json::from_str::<Numbered>(&answer)?.id)
    }

    /// Creates a flag. Constraints that Flagr refuses are left out.
    pub(crate) async fn create(&self, wanted: &Flag) -> Result<Created, Failure> {
        let body = json!({"description": "live test", "key": wanted.key});
        let id = self.added("/flags", body).await?;
        let created = self.fill(id, wanted).await;
        if created.is_err() {
            self.delete(id).await?;
        }
        created
    }

    /// Gives a new flag what it should have.
    async fn fill(&self, id: u64, wanted: &Flag) -> Result<Created, Failure> {
        let path = format!("/flags/{id}");
        if !wanted.entity_type.is_empty() {
            let body = json!({"entityType": wanted.entity_type}).to_string();
            self.done(Method::PUT, &path, Some(body)).await?;
        }
        let mut variants = BTreeMap::new();
        for variant in &wanted.variants {
            let mut body = json!({"key": variant.key});
            if let Some(attachment) = &variant.attachment {
                body["attachment"] = serde_json::from_str(attachment.raw())?;
            }
            let number = self.added(&format!("{path}/variants"), body).await?;
            variants.insert(variant.key.as_str(), number);
        }
        let mut flag = wanted.clone();
        let mut constraints = Vec::new();
        for segment in &mut flag.segments {
            let body = json!({"description": "s", "rolloutPercent": segment.rollout_percent});
            let number = self.added(&format!("{path}/segments"), body).await?;
            let path = format!("{path}/segments/{number}");
            for constraint in std::mem::take(&mut segment.constraints) {
                let outcome = self.constrain(&path, &constraint).await?;
                if outcome.is_ok() {
                    segment.constraints.push(constraint.clone());
                }
                constraints.push((constraint, outcome));
            }
            if segment.distributions.is_empty() {
                continue;
            }
            let shares: Vec<_> = segment
                .distributions
                .iter()
                .map(|share| {
                    json!({
                        "variantKey": share.variant_key,
                        "variantID": variants.get(share.variant_key.as_str()),
                        "percent": share.percent,
                    })
                })
                .collect();
            let body = json!({"distributions": shares}).to_string();
            self.done(Method::PUT, &format!("{path}/distributions"), Some(body))
                .await?;
        }
        let body = json!({"enabled": wanted.enabled}).to_string();
        self.done(Method::PUT, &format!("{path}/enabled"), Some(body))
            .await?;
        Ok(Created {
            id,
            flag,
            constraints,
        })
    }

    async fn constrain(
        &self,
        segment: &str,
        constraint: &Constraint,
    ) -> Result<Result<(), String>, Failure> {
        let body = json!({
            "property": constraint.property,
            "operator": constraint.operator,
            "value": constraint.value,
        });
        let path = format!("{segment}/constraints");
        match self
            .send(Method::POST, &path, Some(body.to_string()))
            .await?
        {
            (200, _) => Ok(Ok(())),
            (400 | 422, reason) => Ok(Err(reason)),
            (status, answer) => Err(format!("{path} {body}: {status} {answer}").into()),
        }
    }

    pub(crate) async fn delete(&self, id: u64) -> Result<(), Failure> {
        self.done(Method::DELETE, &format!("/flags/{id}"), None)
            .await?;
        Ok(())
    }

    /// The number of the newest change.
    pub(crate) async fn newest(&self) -> Result<u64, Failure> {
        let newest = self
            .done(Method::GET, "/flags/snapshots/max_id", None)
            .await?;
        Ok(serde_json::from_str::<Newest>(&newest)?.max_id)
    }

    /// The export once it carries the newest change, which must not be a
    /// deletion; `None` if it does not in good time.
    pub(crate) async fn export(&self) -> Result<Option<FlagSet>, Failure> {
        let newest = self.newest().await?;
        for _ in 0..POLLS {
            let export = self
                .done(Method::GET, "/export/eval_cache/json", None)
                .await?;
            let set = FlagSet::from_export(export.as_bytes())?;
            if set.flags.iter().any(|flag| flag.snapshot_id >= newest) {
                return Ok(Some(set));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// Evaluates all flags for the first context, then for the next.
    pub(crate) async fn batch(
        &self,
        ids: &[u64],
        visitors: &[Visitor],
    ) -> Result<Vec<Answer>, Failure> {
        let entities: Vec<_> = visitors.iter().map(ToString::to_string).collect();
        let body = format!(
            "{{\"flagIDs\":{ids:?},\"entities\":[{}]}}",
            entities.join(",")
        );
        let answer = self
            .done(Method::POST, "/evaluation/batch", Some(body))
            .await?;
        Ok(serde_json::from_str::<Batch>(&answer)?.results)
    }

    /// Evaluates one flag, by id, by key or by both.
    pub(crate) async fn evaluate(
        &self,
        id: Option<u64>,
        key: Option<&str>,
        visitor: &Visitor,
    ) -> Result<Answer, Failure> {
        let mut body = visitor.to_string();
        body.pop();
        if let Some(id) = id {
            body.push_str(&format!(",\"flagID\":{id}"));
        }
        if let Some(key) = key {
            body.push_str(&format!(",\"flagKey\":{}", super::json::quoted(key)));
        }
        body.push('}');
        let answer = self.done(Method::POST, "/evaluation", Some(body)).await?;
        Ok(serde_json::from_str(&answer)?)
    }
}
