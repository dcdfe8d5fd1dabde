//! How an outcome came about, for people and for tools.
//!
//! An explanation is made by the same code that evaluates, watched step by
//! step; so it cannot tell another story than the answer.
//!
//! It is bounded, however much there is to say: see [`Explanation`].

mod room;

use std::fmt;

use serde::{Serialize, Serializer};

use room::Room;

use crate::constraint::{Expression, Mismatch, Observer, Operand, Test, Work, render};
use crate::context::{Value, ValueRef};
use crate::evaluate::{EmptyEntity, Replacement, SegmentObserver, random_entity};
use crate::excerpt::{excerpt, name};
use crate::flag::Flag;
use crate::flags::Flags;
use crate::reason::Reason;
use crate::snapshot::{CompiledFlag, CompiledSegment};

/// How a flag's outcome came about.
///
/// It serializes to JSON, and [`Display`](fmt::Display) prints it as indented
/// text, in which segments are numbered from 1. (Where a problem of a flag names
/// a segment or a distribution, it counts from 0, as indexes of JSON do.) It says
/// everything about a flag of usual size. Of much larger ones:
///
/// - texts end with `…` where they are cut: a part of a constraint after 2 KiB,
///   an id, a key or a description after 256 bytes;
/// - of the value of an attribute the first KiB is shown, see
///   [`Node::seen_is_cut`];
/// - all parts of constraints together, the constraints of each segment as a whole,
///   their texts in CEL and those without effect included, have 256 KiB: how many
///   more parts there are, says [`omitted_parts`](Self::omitted_parts).
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The flag's key; the key that was asked for if there is no such flag.
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
    /// What answered in place of the flag: in JSON `"override"` or
    /// `"emergencyDefault"`, and `null` if the flag itself answered or there is
    /// none.
    pub replaced_by: Option<Replacement>,
    /// Whether the flags may be out of date.
    pub stale: bool,
    /// Whether a segment did not match only because of our limits, see
    /// [`Evaluation::is_beyond_limits`](crate::Evaluation::is_beyond_limits).
    pub beyond_limits: bool,
    /// The flag's segments, in order; none if they were not looked at.
    pub segments: Vec<SegmentExplanation>,
    /// How many parts of constraints are left out, those within them not counted,
    /// because the explanation is long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted_parts: usize,
}

/// What happened in one segment.
#[derive(Clone, PartialEq, Serialize)]
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
    /// The parsed constraints; `None` if there are none, or if the explanation is
    /// long enough without them.
    pub constraints: Option<Node>,
    /// The constraints as a CEL expression, if CEL can express them. Its numbers
    /// are those of the constraints, and CEL compares them exactly. In Flagr two
    /// numbers are equal within 1e-6, absolutely and relatively (0 only within
    /// 1e-6 · 1.4e-45), so that 17.9999999 fulfils `age GTE 18` and not
    /// `age >= 18`.
    pub cel: Option<String>,
    /// Whether a number was seen that Flagr finds equal to one of the constraints
    /// though it is not, so that `cel` may answer otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub within_tolerance: bool,
    /// What in the constraints CEL cannot express.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_in_cel: Option<String>,
    /// Text of the constraints that Flagr's parser reads over: it has no
    /// effect. At most the first 16 pieces, and none once the explanation is long
    /// enough.
    pub ignored_text: Vec<String>,
    /// How the segment is shared; only for the segment that matched.
    pub rollout: Option<RolloutExplanation>,
}

/// A part of the parsed constraints.
#[derive(Clone, PartialEq, Serialize)]
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
    /// Whether only the first KiB of that value is shown.
    #[serde(skip_serializing_if = "is_false")]
    pub seen_is_cut: bool,
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

impl fmt::Debug for Explanation {
    /// Flag and reason, but neither the entity nor what was compared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("flag_key", &name(&self.flag_key))
            .field("reason", &self.reason)
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SegmentExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentExplanation")
            .field("segment_id", &self.segment_id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("outcome", &self.outcome)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde wants it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde wants it")]
fn is_false(condition: &bool) -> bool {
    !*condition
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
        let position = flags.snapshot().position(key);
        let replaced_by = evaluation.replaced_by();
        let flag = position.and_then(|position| flags.snapshot().at(position));
        let mut room = Room::new();
        let segments = match flag {
            Some(flag)
                if replaced_by.is_none()
                    && flag.problem().is_none()
                    && flag.definition().enabled =>
            {
                segments(flag, flags.context(), &mut room)
            }
            _ => Vec::new(),
        };
        Self {
            flag_key: shown(evaluation.flag_key()),
            flag_id: evaluation.flag_id().unwrap_or(0),
            entity_id: shown(flags.context().entity_id()),
            value: evaluation.value(),
            variant_key: evaluation.variant_key().map(shown),
            reason: evaluation.reason(),
            error: evaluation
                .error()
                .map(|error| format!("{}: {}", error.code(), error.message())),
            replaced_by,
            stale: evaluation.is_stale(),
            beyond_limits: evaluation.is_beyond_limits(),
            segments,
            omitted_parts: room.omitted(),
        }
    }
}

fn segments(
    flag: &CompiledFlag,
    context: &crate::Context,
    room: &mut Room,
) -> Vec<SegmentExplanation> {
    let mut watcher = Watcher::new(room);
    flag.evaluate(context, EmptyEntity::NoRollout, &mut watcher);
    let definitions = flag.definition().segments.iter();
    let mut seen = watcher.segments.into_iter();
    definitions
        .zip(flag.segments())
        .map(|(definition, segment)| {
            let seen = seen.next();
            let within_tolerance = seen.as_ref().is_some_and(|seen| seen.within_tolerance);
            let (outcome, constraints, rollout) = match seen {
                Some(seen) => (
                    outcome(&seen.outcome.map(Operand::Bool)),
                    seen.constraints,
                    seen.matched
                        .then(|| rollout(flag.definition(), segment, context.entity_id())),
                ),
                None => {
                    let condition = segment.condition.as_ref();
                    let node = condition
                        .and_then(|condition| Node::not_evaluated(&condition.expression, room));
                    (Outcome::NotEvaluated, node, None)
                }
            };
            let condition = segment.condition.as_ref();
            let cel = condition.map(|condition| match room.is_full() {
                true => Err("the explanation is long enough without it"),
                false => render::cel(&condition.expression),
            });
            let (cel, not_in_cel) = match cel {
                Some(Ok(cel)) => {
                    room.take(cel.len());
                    (Some(cel), None)
                }
                Some(Err(what)) => (None, Some(what.to_owned())),
                None => (None, None),
            };
            SegmentExplanation {
                segment_id: definition.id,
                description: shown(&definition.description),
                outcome,
                constraints,
                cel,
                within_tolerance,
                not_in_cel,
                ignored_text: condition
                    .map(|condition| ignored_text(&condition.ignored, room))
                    .unwrap_or_default(),
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
                .map(|variant| shown(&variant.key)),
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

/// A text of which the beginning is enough.
fn shown(text: &str) -> String {
    const SHOWN: usize = 256;
    excerpt(text, SHOWN).into_owned()
}

/// How many ignored texts of one segment are shown at most.
const IGNORED: usize = 16;

/// Texts without effect, as far as there is room for them.
fn ignored_text(ignored: &[Box<str>], room: &mut Room) -> Vec<String> {
    let mut texts = Vec::new();
    for text in ignored.iter().take(IGNORED) {
        if room.is_full() {
            break;
        }
        let text = shown(text);
        room.take(size_of::<String>() + text.len());
        texts.push(text);
    }
    texts
}

/// Writes down what an evaluation does.
struct Watcher<'r> {
    segments: Vec<SeenSegment>,
    /// The parts that were entered and not left, outermost first.
    open: Vec<OpenNode>,
    /// The outermost part, once it was left.
    done: Option<Node>,
    /// Why the part that is left next has no answer.
    reason: Option<String>,
    /// See [`SegmentExplanation::within_tolerance`], of the segment at hand.
    within_tolerance: bool,
    work: Work,
    room: &'r mut Room,
}

/// A part that was entered and not left.
struct OpenNode {
    /// None if there is no room for it.
    node: Option<Node>,
    /// How many of its parts were entered.
    entered: usize,
}

struct SeenSegment {
    outcome: Result<bool, Mismatch>,
    matched: bool,
    constraints: Option<Node>,
    within_tolerance: bool,
}

impl<'r> Watcher<'r> {
    fn new(room: &'r mut Room) -> Self {
        Self {
            segments: Vec::new(),
            open: Vec::new(),
            done: None,
            reason: None,
            within_tolerance: false,
            work: Work::default(),
            room,
        }
    }
}

impl Observer for Watcher<'_> {
    fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    fn enter(&mut self, expression: &Expression) {
        let node = match self.open.last_mut() {
            None => Node::part(expression, self.room),
            Some(whole) => {
                whole.entered += 1;
                let is_shown = whole.node.is_some();
                is_shown
                    .then(|| Node::part(expression, self.room))
                    .flatten()
            }
        };
        self.open.push(OpenNode { node, entered: 0 });
    }

    fn value<'a>(&mut self, test: Option<&Test>, value: impl FnOnce() -> Option<ValueRef<'a>>) {
        let Some(value) = value() else {
            return;
        };
        self.within_tolerance |= test.is_some_and(|test| render::is_within_tolerance(test, value));
        if let Some(OpenNode {
            node: Some(node), ..
        }) = self.open.last_mut()
        {
            let (seen, is_cut) = self.room.value(value);
            (node.seen, node.seen_is_cut) = (Some(seen), is_cut);
        }
    }

    #[cfg(feature = "cel")]
    fn because(&mut self, reason: &dyn fmt::Display) {
        self.reason = Some(reason.to_string());
    }

    fn leave(&mut self, expression: &Expression, result: Result<Operand<'_>, Mismatch>) {
        let reason = self.reason.take();
        let Some(OpenNode {
            node: Some(mut node),
            entered,
        }) = self.open.pop()
        else {
            return;
        };
        node.outcome = match reason {
            Some(reason) => Outcome::Error(reason),
            None => outcome(&result),
        };
        if let Outcome::Error(message) = &node.outcome {
            self.room.take(message.len());
        }
        // Parts are entered in the order in which they stand; the rest was not.
        let rest = expression.parts().skip(entered);
        node.parts
            .extend(rest.filter_map(|part| Node::not_evaluated(part, self.room)));
        match self.open.last_mut() {
            Some(OpenNode {
                node: Some(whole), ..
            }) => whole.parts.push(node),
            Some(_) => {}
            None => self.done = Some(node),
        }
    }
}

impl SegmentObserver for Watcher<'_> {
    fn segment(&mut self, _: usize, outcome: Result<bool, Mismatch>) {
        self.segments.push(SeenSegment {
            outcome,
            matched: outcome == Ok(true),
            constraints: self.done.take(),
            within_tolerance: std::mem::take(&mut self.within_tolerance),
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
        if let Some(replacement) = self.replaced_by {
            write!(f, ", answered by an {replacement}")?;
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
                if segment.within_tolerance {
                    f.write_str(
                        "      (Flagr finds numbers equal within 1e-6; CEL compares exactly)\n",
                    )?;
                }
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
        if self.omitted_parts > 0 {
            let omitted = self.omitted_parts;
            writeln!(
                f,
                "  … and {omitted} more parts of constraints, left out for length"
            )?;
        }
        Ok(())
    }
}

impl Node {
    /// An expression without its parts.
    fn new(expression: &Expression, room: &mut Room) -> Self {
        let text = render::text(expression);
        room.take(size_of::<Self>() + text.len());
        Self {
            text,
            outcome: Outcome::NotEvaluated,
            seen: None,
            seen_is_cut: false,
            parts: Vec::new(),
        }
    }

    /// A part of an expression, or the whole, without its own parts, if there is
    /// room for it.
    fn part(expression: &Expression, room: &mut Room) -> Option<Self> {
        if room.is_full() {
            room.omit();
            return None;
        }
        Some(Self::new(expression, room))
    }

    fn not_evaluated(expression: &Expression, room: &mut Room) -> Option<Self> {
        let mut node = Self::part(expression, room)?;
        node.add_parts(expression, room);
        Some(node)
    }

    fn add_parts(&mut self, expression: &Expression, room: &mut Room) {
        let parts = expression.parts();
        self.parts = parts
            .filter_map(|part| Self::not_evaluated(part, room))
            .collect();
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}{2}: {3}", "", depth * 2, self.text, self.outcome)?;
        if let Some(seen) = &self.seen {
            let seen = serde_json::to_string(seen).map_err(|_| fmt::Error)?;
            write!(f, ", seen {seen}")?;
        }
        if self.seen_is_cut {
            f.write_str(" (the beginning of it)")?;
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
