//! How an outcome came about, for people and for tools.
//!
//! An explanation is made by the same code that evaluates, watched step by
//! step; so it cannot tell another story than the answer.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::constraint::{Expression, Mismatch, Observer, Operand, Work, render};
use crate::context::{EvaluationContext, Value, ValueRef};
use crate::evaluate::{EmptyEntity, SegmentObserver, random_entity};
use crate::flag::Flag;
use crate::flags::Flags;
use crate::reason::Reason;
use crate::snapshot::{CompiledFlag, CompiledSegment};

/// How a flag's outcome came about.
///
/// It serializes to JSON, and [`Display`](fmt::Display) prints it as indented
/// text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The key that was asked for.
    pub flag_key: String,
    /// The flag's id, 0 if there is no such flag.
    #[serde(rename = "flagID")]
    pub flag_id: u64,
    /// The entity that was evaluated; empty if there was none.
    #[serde(rename = "entityID")]
    pub entity_id: String,
    /// The value as JSON, see [`Evaluation::value`](crate::Evaluation::value).
    pub value: serde_json::Value,
    /// The key of the assigned variant.
    pub variant_key: Option<String>,
    /// Why.
    #[serde(serialize_with = "as_str")]
    pub reason: Reason,
    /// What went wrong, with its code.
    pub error: Option<String>,
    /// Whether an override put the value in place.
    pub overridden: bool,
    /// Whether the flags may be out of date.
    pub stale: bool,
    /// Whether a segment did not match only because of our limits, see
    /// [`Evaluation::is_beyond_limits`](crate::Evaluation::is_beyond_limits).
    pub beyond_limits: bool,
    /// The flag's segments, in order; none if they were not looked at.
    pub segments: Vec<SegmentExplanation>,
}

/// What happened in one segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SegmentExplanation {
    /// The segment's id.
    #[serde(rename = "segmentID")]
    pub segment_id: u64,
    /// The segment's description.
    pub description: String,
    /// Whether the constraints hold, or why that could not be said; not
    /// evaluated if an earlier segment ended the evaluation.
    pub outcome: Outcome,
    /// The parsed constraints; `None` if there are none.
    pub constraints: Option<Node>,
    /// The constraints as a CEL expression, if CEL can express them.
    pub cel: Option<String>,
    /// What in the constraints CEL cannot express.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_in_cel: Option<String>,
    /// Text of the constraints that Flagr's parser reads over: it has no
    /// effect.
    pub ignored_text: Vec<String>,
    /// How the segment is shared; only for the segment that matched.
    pub rollout: Option<RolloutExplanation>,
}

/// A part of the parsed constraints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Node {
    /// The part as text; what is longer than 2 KiB is cut.
    pub text: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The value of the attribute that it reads, if it reads one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Value>,
    /// The parts that it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
}

/// What a part of the constraints came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Outcome {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It has no answer, so that the segment does not match.
    Error(String),
    /// It was not looked at: what came before had decided.
    NotEvaluated,
    /// It is a value, no condition.
    Value,
}

/// How a segment is shared, and where the entity fell.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RolloutExplanation {
    /// How much of each variant's share is rolled out, in percent.
    pub rollout_percent: u64,
    /// The entity's bucket, from 0 to 999; `None` without entity.
    pub bucket: Option<u64>,
    /// Whether the rollout includes the entity; `None` without entity.
    pub included: Option<bool>,
    /// The buckets of the variants.
    pub shares: Vec<ShareExplanation>,
}

/// The buckets of one variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShareExplanation {
    /// The variant's id.
    #[serde(rename = "variantID")]
    pub variant_id: u64,
    /// The variant's key; `None` if the flag has no variant of this id.
    pub variant_key: Option<String>,
    /// The first bucket.
    pub from: u64,
    /// The bucket behind the last one.
    pub to: u64,
    /// Whether the entity fell here.
    pub here: bool,
}

fn as_str<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

impl Flags {
    /// How the outcome came about, step by step, for people.
    #[must_use]
    pub fn explain(&self, key: &str) -> Explanation {
        Explanation::new(self, key)
    }
}

impl Explanation {
    fn new(flags: &Flags, key: &str) -> Self {
        let context = flags.context();
        // What is explained must be one and the same evaluation.
        let made_up =
            context.entity_id().is_empty() && flags.served().empty_entity != EmptyEntity::NoRollout;
        let flags = if made_up {
            let mut context = context.clone();
            context.set_entity_id(&random_entity());
            flags.for_context(context)
        } else {
            flags.clone()
        };
        let evaluation = flags.look(key);
        let overridden = matches!(flags.served().replaced(key), Some((_, None)));
        let flag = flags.snapshot().get(key);
        let segments = match flag {
            Some(flag) if !overridden && flag.problem().is_none() && flag.definition().enabled => {
                segments(flag, flags.context())
            }
            _ => Vec::new(),
        };
        Self {
            flag_key: key.to_owned(),
            flag_id: evaluation.flag_id().unwrap_or(0),
            entity_id: flags.context().entity_id().to_owned(),
            value: evaluation.value(),
            variant_key: evaluation.variant_key().map(str::to_owned),
            reason: evaluation.reason(),
            error: evaluation.error().map(|error| error.to_string()),
            overridden,
            stale: evaluation.is_stale(),
            beyond_limits: evaluation.is_beyond_limits(),
            segments,
        }
    }
}

fn segments(flag: &CompiledFlag, context: &crate::Context) -> Vec<SegmentExplanation> {
    let mut watcher = Watcher::default();
    flag.evaluate(context, EmptyEntity::NoRollout, &mut watcher);
    let definitions = flag.definition().segments.iter();
    let mut seen = watcher.segments.into_iter();
    definitions
        .zip(flag.segments())
        .map(|(definition, segment)| {
            let (outcome, constraints, rollout) = match seen.next() {
                Some(seen) => (
                    outcome(&seen.outcome.map(Operand::Bool)),
                    seen.constraints,
                    seen.matched
                        .then(|| rollout(flag.definition(), segment, context.entity_id())),
                ),
                None => {
                    let condition = segment.condition.as_ref();
                    let node =
                        condition.map(|condition| Node::not_evaluated(&condition.expression));
                    (Outcome::NotEvaluated, node, None)
                }
            };
            let condition = segment.condition.as_ref();
            let (cel, not_in_cel) = match condition.map(|c| render::cel(&c.expression)) {
                Some(Ok(cel)) => (Some(cel), None),
                Some(Err(what)) => (None, Some(what.to_owned())),
                None => (None, None),
            };
            SegmentExplanation {
                segment_id: definition.id,
                description: definition.description.clone(),
                outcome,
                constraints,
                cel,
                not_in_cel,
                ignored_text: condition
                    .map(|condition| condition.ignored.iter().map(ToString::to_string))
                    .into_iter()
                    .flatten()
                    .collect(),
                rollout,
            }
        })
        .collect()
}

fn rollout(flag: &Flag, segment: &CompiledSegment, entity_id: &str) -> RolloutExplanation {
    let rollout = &segment.rollout;
    let landing = match entity_id {
        "" => None,
        id => rollout.land(id),
    };
    let shares = rollout.shares().iter().enumerate().map(|(index, share)| {
        let range = rollout.range(index).unwrap_or_default();
        ShareExplanation {
            variant_id: share.outcome.variant_id.unwrap_or(0),
            variant_key: share
                .outcome
                .variant
                .and_then(|index| flag.variants.get(usize::try_from(index).ok()?))
                .map(|variant| variant.key.clone()),
            from: range.start,
            to: range.end,
            here: landing
                .as_ref()
                .is_some_and(|landing| landing.share == index),
        }
    });
    RolloutExplanation {
        rollout_percent: rollout.percent(),
        bucket: landing.as_ref().map(|landing| landing.bucket),
        included: landing.as_ref().map(|landing| landing.included),
        shares: shares.collect(),
    }
}

/// Writes down what an evaluation does.
#[derive(Default)]
struct Watcher {
    segments: Vec<SeenSegment>,
    /// The parts that were entered and not left, outermost first.
    open: Vec<Node>,
    /// The outermost part, once it was left.
    done: Option<Node>,
    /// Why the part that is left next has no answer.
    reason: Option<String>,
    work: Work,
}

struct SeenSegment {
    outcome: Result<bool, Mismatch>,
    matched: bool,
    constraints: Option<Node>,
}

impl Observer for Watcher {
    fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    fn enter(&mut self, expression: &Expression) {
        self.open.push(Node::new(expression));
    }

    fn value<'a>(&mut self, value: impl FnOnce() -> Option<ValueRef<'a>>) {
        if let Some(node) = self.open.last_mut() {
            node.seen = value().map(ValueRef::to_owned);
        }
    }

    #[cfg(feature = "cel")]
    fn because(&mut self, reason: &dyn fmt::Display) {
        self.reason = Some(reason.to_string());
    }

    fn leave(&mut self, expression: &Expression, result: Result<Operand<'_>, Mismatch>) {
        let Some(mut node) = self.open.pop() else {
            return;
        };
        node.outcome = match self.reason.take() {
            Some(reason) => Outcome::Error(reason),
            None => outcome(&result),
        };
        // Parts are entered in the order in which they stand; the rest was not.
        let rest = expression.parts().skip(node.parts.len());
        node.parts.extend(rest.map(Node::not_evaluated));
        match self.open.last_mut() {
            Some(whole) => whole.parts.push(node),
            None => self.done = Some(node),
        }
    }
}

impl SegmentObserver for Watcher {
    fn segment(&mut self, _: usize, outcome: Result<bool, Mismatch>) {
        self.segments.push(SeenSegment {
            outcome,
            matched: outcome == Ok(true),
            constraints: self.done.take(),
        });
    }
}

fn outcome(result: &Result<Operand<'_>, Mismatch>) -> Outcome {
    match result {
        Ok(Operand::Bool(true)) => Outcome::True,
        Ok(Operand::Bool(false)) => Outcome::False,
        Ok(_) => Outcome::Value,
        Err(mismatch) => Outcome::Error(mismatch.to_string()),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.flag_key, self.value)?;
        if let Some(variant) = &self.variant_key {
            write!(f, " (variant {variant})")?;
        }
        write!(f, ", {}", self.reason)?;
        if self.overridden {
            f.write_str(", overridden")?;
        }
        if self.stale {
            f.write_str(", stale")?;
        }
        if self.beyond_limits {
            f.write_str(", beyond our limits")?;
        }
        if let Some(error) = &self.error {
            write!(f, ", {error}")?;
        }
        writeln!(f)?;
        for (index, segment) in self.segments.iter().enumerate() {
            write!(f, "  segment {} (id {})", index + 1, segment.segment_id)?;
            if !segment.description.is_empty() {
                write!(f, " {:?}", segment.description)?;
            }
            writeln!(f, ": {}", segment.outcome)?;
            if let Some(constraints) = &segment.constraints {
                constraints.write(f, 2)?;
            }
            if let Some(cel) = &segment.cel {
                writeln!(f, "    as CEL: {cel}")?;
            }
            if let Some(what) = &segment.not_in_cel {
                writeln!(f, "    not to be written in CEL: {what}")?;
            }
            for text in &segment.ignored_text {
                writeln!(
                    f,
                    "    without effect, since Flagr's parser reads over it: {text}"
                )?;
            }
            if let Some(rollout) = &segment.rollout {
                rollout.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl Node {
    /// An expression without its parts.
    fn new(expression: &Expression) -> Self {
        Self {
            text: render::text(expression),
            outcome: Outcome::NotEvaluated,
            seen: None,
            parts: Vec::new(),
        }
    }

    fn not_evaluated(expression: &Expression) -> Self {
        Self {
            parts: expression.parts().map(Self::not_evaluated).collect(),
            ..Self::new(expression)
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}{2}: {3}", "", depth * 2, self.text, self.outcome)?;
        if let Some(seen) = &self.seen {
            let seen = serde_json::to_string(seen).map_err(|_| fmt::Error)?;
            write!(f, ", seen {seen}")?;
        }
        writeln!(f)?;
        self.parts
            .iter()
            .try_for_each(|part| part.write(f, depth + 1))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Error(message) => write!(f, "no match, {message}"),
            Self::NotEvaluated => f.write_str("not evaluated"),
            Self::Value => f.write_str("a value"),
        }
    }
}

impl fmt::Display for RolloutExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    rollout {} %", self.rollout_percent)?;
        match (self.bucket, self.included) {
            (Some(bucket), Some(true)) => writeln!(f, ", bucket {bucket}: included")?,
            (Some(bucket), _) => writeln!(f, ", bucket {bucket}: left out")?,
            (None, _) => writeln!(f, ", no bucket")?,
        }
        for share in &self.shares {
            let key = share.variant_key.as_deref().unwrap_or("(no such variant)");
            let here = if share.here { "  ← here" } else { "" };
            writeln!(f, "      buckets {}..{}: {key}{here}", share.from, share.to)?;
        }
        Ok(())
    }
}
