//! From a snapshot and a context to an evaluation: a variant, the reason, and
//! what went wrong.
//!
//! What decides is Flagr's (Flagr 1.2, `pkg/handler/eval.go`). One walk over a
//! flag's segments serves plain, counted and explained evaluation:
//! [`CompiledFlag::evaluate`](crate::snapshot::CompiledFlag::evaluate), which
//! picks one of the outcomes that were laid out when the flag was compiled.
//!
//! # Synchronisation
//!
//! What an evaluation reads is immutable: a snapshot and a context, each behind a
//! pointer that the caller holds. Nothing that decides in them has interior
//! mutability, so that evaluating Flagr's operators on strings, numbers and lists takes no lock
//! and, since outcomes are lent and values are borrowed, allocates nothing. What
//! else is touched on the way:
//!
//! - `=~`, `!~` and `MATCHES` run in memory of the pool of `regex-automata`, which
//!   flags with the same pattern share. The first thread that uses a pattern gets
//!   its piece by one atomic comparison; others take theirs from a few stacks
//!   behind mutexes that are tried, never waited for, and make a new one rather
//!   than wait.
//! - A pattern out of the context is compiled each time, and `CEL` builds what it
//!   computes with: both allocate.
//! - A counter is one relaxed atomic addition, see
//!   [`metrics`](crate::metrics::EvaluationCounts); the hint of a typed definition is one
//!   relaxed load, and a store when the snapshot is another. An evaluation beyond
//!   the limits on its work adds to one counter of the snapshot.
//! - A random entity id, for [`EmptyEntity::RandomOnce`] and
//!   [`EmptyEntity::RandomEach`], is allocated.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::constraint::{Mismatch, Observer, Unobserved};
use crate::context::EvaluationContext;
use crate::excerpt::{self, excerpt};
use crate::flag::{Attachment, Flag, Variant};
use crate::outcome::{Outcome, VariantValue};
use crate::reason::{ErrorCode, FlagError, Reason};
use crate::snapshot::{CompiledFlag, CompiledSegment, Snapshot};

/// What happens when the context names no entity and a rollout needs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EmptyEntity {
    /// Segments whose outcome depends on the entity assign nothing, with
    /// [`ErrorCode::TargetingKeyMissing`]; all others answer.
    #[default]
    NoRollout,
    /// One random entity for all evaluations of one [`Flags`](crate::Flags),
    /// so that two reads in one request agree. Where there is no `Flags`, the
    /// same as [`EmptyEntity::RandomEach`].
    RandomOnce,
    /// A new random entity for each evaluation, as in Flagr.
    RandomEach,
}

impl Snapshot {
    /// Evaluates the flag of this key (or decimal id) for a context, as
    /// [`Flags::evaluate`](crate::Flags::evaluate) does.
    #[must_use]
    #[inline]
    pub fn evaluate<'a, C: EvaluationContext>(
        &'a self,
        key: &'a str,
        context: &C,
        empty_entity: EmptyEntity,
    ) -> Evaluation<'a> {
        self.evaluate_flag(self.get(key), context, empty_entity)
            .asked_by(key)
    }

    /// Evaluates the flag that a request of Flagr's API means, see
    /// [`Snapshot::find`].
    #[must_use]
    pub fn evaluate_request<'a, C: EvaluationContext>(
        &'a self,
        flag_id: Option<u64>,
        flag_key: Option<&'a str>,
        context: &C,
        empty_entity: EmptyEntity,
    ) -> Evaluation<'a> {
        self.evaluate_flag(self.lookup(flag_id, flag_key), context, empty_entity)
            .asked_by(flag_key.unwrap_or_default())
    }

    #[inline]
    pub(crate) fn evaluate_flag<'a, C: EvaluationContext>(
        &self,
        flag: Option<&'a CompiledFlag>,
        context: &C,
        empty_entity: EmptyEntity,
    ) -> Evaluation<'a> {
        let decision = match flag {
            Some(flag) => {
                let decision = flag.evaluate(context, empty_entity, &mut Unobserved::default());
                self.count_beyond_limits(flag, decision);
                decision
            }
            None => Decision::NOT_FOUND,
        };
        Evaluation::new(flag, decision)
    }
}

/// Is told, beside what constraints do, what segments do.
pub(crate) trait SegmentObserver: Observer {
    /// The constraints of the segment of this index were evaluated.
    fn segment(&mut self, index: usize, outcome: Result<bool, Mismatch>) {
        let _ = (index, outcome);
    }
}

impl SegmentObserver for Unobserved {}

/// What evaluating a flag came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'a> {
    pub(crate) outcome: &'a Outcome,
    /// A segment did not match only because of our limits on the work of an
    /// evaluation.
    pub(crate) beyond_limits: bool,
}

impl Decision<'_> {
    /// There is no such flag.
    pub(crate) const NOT_FOUND: Self = Self {
        outcome: &Outcome::NOT_FOUND,
        beyond_limits: false,
    };
}

impl<'a> From<&'a Outcome> for Decision<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        Self {
            outcome,
            beyond_limits: false,
        }
    }
}

impl CompiledFlag {
    /// Evaluates the flag. The first segment whose constraints hold ends the
    /// evaluation, even if it assigns nothing.
    pub(crate) fn evaluate<C: EvaluationContext, O: SegmentObserver>(
        &self,
        context: &C,
        empty_entity: EmptyEntity,
        observer: &mut O,
    ) -> Decision<'_> {
        if let Some(outcome) = self.idle() {
            return outcome.into();
        }
        *observer.work() = self.work();
        let mut beyond_limits = false;
        for (index, segment) in self.segments().iter().enumerate() {
            let holds = match &segment.condition {
                Some(condition) => condition.expression.matches(context, observer),
                None => Ok(true),
            };
            observer.segment(index, holds);
            match holds {
                Ok(true) => {
                    let outcome = match context.entity_id() {
                        "" => segment.without_entity(empty_entity),
                        id => segment.rollout.outcome(id),
                    };
                    return Decision {
                        outcome,
                        beyond_limits,
                    };
                }
                Err(Mismatch::BeyondLimits) => beyond_limits = true,
                _ => {}
            }
        }
        Decision {
            outcome: match beyond_limits {
                true => &Outcome::BEYOND_LIMITS,
                false => &Outcome::NOTHING,
            },
            beyond_limits,
        }
    }
}

impl CompiledSegment {
    /// The outcome for a context that names no entity.
    #[cold]
    fn without_entity(&self, empty_entity: EmptyEntity) -> &Outcome {
        match empty_entity {
            _ if !self.rollout.depends_on_entity() => self.rollout.outcome(""),
            EmptyEntity::NoRollout => &Outcome::NO_ENTITY,
            EmptyEntity::RandomOnce | EmptyEntity::RandomEach => {
                self.rollout.outcome(&random_entity())
            }
        }
    }
}

/// The outcome of evaluating one flag, borrowed from the snapshot and from the
/// key that was asked for.
///
/// Serialized, it is an object with the members `flagKey`, `flagID`,
/// `flagSnapshotID`, `segmentID`, `variantID`, `variantKey`, `value`,
/// `variantAttachment`, `reason`, `stale`; `replacedBy` where an override or an
/// emergency default answered; `beyondLimits` where it is true; and, if there is
/// one, `errorCode` and `errorMessage`. Ids that are not known are 0, as in
/// Flagr's answers.
///
/// An override or an emergency default changes the variant and what belongs to
/// it. Key, ID and `SnapshotID` are still those of the flag, if there is one.
#[derive(Clone)]
pub struct Evaluation<'a> {
    flag: Option<&'a CompiledFlag>,
    /// What the key was that found no flag.
    asked: &'a str,
    /// The flag that the assigned variant is one of: made up, if an override
    /// brings its own variant.
    variants: Option<&'a CompiledFlag>,
    outcome: Outcome,
    /// What answered in place of the flag.
    replacement: Option<Replacement>,
    /// Why an override could not be applied.
    fault: Option<OverrideFault<'a>>,
    beyond_limits: bool,
    pub(crate) stale: bool,
}

/// The most bytes that an error shows of what a deserializer says.
const MAX_ERROR: usize = 256;

/// What answered in place of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replacement {
    /// One of the [`Overrides`](crate::Overrides).
    Override,
    /// An emergency default, as no usable flags were loaded.
    EmergencyDefault,
}

impl Replacement {
    /// Its name in JSON: `override` or `emergencyDefault`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::EmergencyDefault => "emergencyDefault",
        }
    }
}

impl fmt::Display for Replacement {
    /// `override` or `emergency default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "override",
            Self::EmergencyDefault => "emergency default",
        })
    }
}

impl Serialize for Replacement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why an override could not be put in place.
#[derive(Clone, Copy)]
pub(crate) enum OverrideFault<'a> {
    /// The flag has no variant of this key.
    NoVariant(&'a str),
    /// The flag that was made up for the value has a problem.
    Problem(&'a str),
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new<'d>(
        flag: Option<&'a CompiledFlag>,
        decision: impl Into<Decision<'d>>,
    ) -> Self {
        let decision = decision.into();
        Self {
            flag,
            asked: "",
            variants: flag,
            outcome: *decision.outcome,
            replacement: None,
            fault: None,
            beyond_limits: decision.beyond_limits,
            stale: false,
        }
    }

    /// An error in place of a flag's own outcome.
    pub(crate) fn failed(flag: Option<&'a CompiledFlag>, fault: OverrideFault<'a>) -> Self {
        Self {
            fault: Some(fault),
            ..Self::new(flag, &Outcome::failed(ErrorCode::General))
        }
    }

    /// A variant of a flag that was made up, in place of a flag's own outcome.
    pub(crate) fn made_up(
        flag: Option<&'a CompiledFlag>,
        made_up: &'a CompiledFlag,
        outcome: &Outcome,
    ) -> Self {
        Self {
            variants: Some(made_up),
            ..Self::new(flag, outcome)
        }
    }

    /// The same, for this key.
    #[inline]
    pub(crate) fn asked_by(self, key: &'a str) -> Self {
        Self { asked: key, ..self }
    }

    fn definition(&self) -> Option<&'a Flag> {
        self.flag.map(CompiledFlag::definition)
    }

    /// The assigned variant, and what it is worth.
    #[inline]
    fn assigned(&self) -> Option<(&'a Variant, &'a VariantValue)> {
        self.variants?.variant(self.outcome.variant?)
    }

    /// The flag's id; `None` if there is no such flag.
    #[must_use]
    pub fn flag_id(&self) -> Option<u64> {
        self.definition().map(|flag| flag.id)
    }

    /// The flag's key, even if it was asked for by its ID. If there is no such
    /// flag, what was asked for; empty if a request of Flagr's API named an ID
    /// alone.
    #[must_use]
    pub fn flag_key(&self) -> &'a str {
        match self.definition() {
            Some(flag) => &flag.key,
            None => self.asked,
        }
    }

    /// The `SnapshotID` of the flag's definition: Flagr counts it up at each
    /// change.
    #[must_use]
    pub fn flag_snapshot_id(&self) -> Option<u64> {
        self.definition().map(|flag| flag.snapshot_id)
    }

    /// The id of the segment that assigned the variant; `None` without variant.
    #[must_use]
    pub fn segment_id(&self) -> Option<u64> {
        let index = usize::try_from(self.outcome.segment?).ok()?;
        let segment = self.definition()?.segments.get(index)?;
        Some(segment.id)
    }

    /// The id of the assigned variant. A value that was set by an override or an
    /// emergency default has none, unless the override names a variant of the
    /// flag.
    #[must_use]
    pub fn variant_id(&self) -> Option<u64> {
        self.outcome.variant_id
    }

    /// The key of the assigned variant. A flags file can name a variant id that
    /// no variant has; then there is an id and no key.
    #[must_use]
    pub fn variant_key(&self) -> Option<&'a str> {
        self.assigned().map(|(variant, _)| variant.key.as_str())
    }

    /// The attachment of the assigned variant.
    #[must_use]
    pub fn attachment(&self) -> Option<&'a Attachment> {
        self.assigned()?.0.attachment.as_ref()
    }

    /// Why this variant, or none.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.outcome.reason
    }

    /// What answered in place of the flag; `None` if the flag itself did, or
    /// there is none.
    #[must_use]
    pub fn replaced_by(&self) -> Option<Replacement> {
        self.replacement
    }

    /// The same, told what answered in place of the flag.
    pub(crate) fn replaced(mut self, replacement: Replacement) -> Self {
        self.replacement = Some(replacement);
        if replacement == Replacement::EmergencyDefault {
            self.outcome.reason = Reason::Default;
        }
        self
    }

    /// What went wrong, if something did.
    #[must_use]
    pub fn error(&self) -> Option<FlagError> {
        let code = self.outcome.error?;
        let message: Cow<'static, str> = match (code, self.fault) {
            (_, Some(OverrideFault::NoVariant(key))) => {
                let key = excerpt::name(key);
                format!("override: the flag has no variant {key:?}").into()
            }
            (_, Some(OverrideFault::Problem(problem))) => format!("override: {problem}").into(),
            (ErrorCode::FlagNotFound, None) => "there is no flag with this key".into(),
            (ErrorCode::TargetingKeyMissing, None) => {
                "the rollout needs an entity id and the context has none".into()
            }
            (_, None) if self.beyond_limits => Mismatch::BeyondLimits.to_string().into(),
            (_, None) => {
                let problem = self.flag.and_then(CompiledFlag::problem);
                problem.unwrap_or_default().to_owned().into()
            }
        };
        Some(FlagError::new(code, self.flag_key(), message))
    }

    /// Whether the flags may have been out of date when they were pinned: the
    /// level was another than live.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether a segment did not match only because its constraints would have
    /// done more work than [`Limits::regex_work`](crate::Limits::regex_work) or
    /// [`Limits::cel_work`](crate::Limits::cel_work) allows: without the limit it
    /// may match. If no other segment matches, the evaluation is an error of
    /// [`ErrorCode::General`].
    #[must_use]
    pub fn is_beyond_limits(&self) -> bool {
        self.beyond_limits
    }

    /// The boolean value; `None` without variant.
    ///
    /// # Errors
    ///
    /// The evaluation's own error, or [`ErrorCode::TypeMismatch`].
    pub fn try_bool(&self) -> Result<Option<bool>, FlagError> {
        let Outcome {
            bool,
            variant,
            error,
            ..
        } = self.outcome;
        // Without branches over what differs from one entity to the next.
        match error.is_some() | (variant.is_some() & bool.is_none()) {
            false => Ok(bool),
            true => self.typed("boolean", |_, value| value.bool),
        }
    }

    /// The string value; `None` without variant.
    ///
    /// # Errors
    ///
    /// The evaluation's own error.
    pub fn try_str(&self) -> Result<Option<&'a str>, FlagError> {
        self.typed("string", VariantValue::string_of)
    }

    /// The integer value; `None` without variant.
    ///
    /// # Errors
    ///
    /// The evaluation's own error, or [`ErrorCode::TypeMismatch`].
    pub fn try_int(&self) -> Result<Option<i64>, FlagError> {
        self.typed("integer", |_, value| value.int)
    }

    /// The floating-point value; `None` without variant.
    ///
    /// # Errors
    ///
    /// The evaluation's own error, or [`ErrorCode::TypeMismatch`].
    pub fn try_float(&self) -> Result<Option<f64>, FlagError> {
        self.typed("number", |_, value| value.float)
    }

    /// The attachment, deserialized from its JSON (`null` if the variant has
    /// none); `None` without variant. Numbers are what Flagr would answer.
    ///
    /// # Errors
    ///
    /// The evaluation's own error, or [`ErrorCode::TypeMismatch`] if the
    /// attachment is not of this form.
    pub fn try_json<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, FlagError> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        let Some((variant, _)) = self.assigned() else {
            return Ok(None);
        };
        let json = variant.attachment.as_ref().map_or("null", Attachment::json);
        serde_json::from_str(json).map(Some).map_err(|error| {
            // It can quote a string of the attachment, however long that is.
            let error = error.to_string();
            let (key, error) = (excerpt::name(&variant.key), excerpt(&error, MAX_ERROR));
            let message = format!("the attachment of variant {key:?}: {error}");
            FlagError::new(ErrorCode::TypeMismatch, self.flag_key(), message)
        })
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        self.outcome.bool
    }

    /// The value of one type; `None` without it, for whatever reason.
    #[inline]
    pub(crate) fn worth<T>(
        &self,
        read: impl FnOnce(&'a Variant, &'a VariantValue) -> Option<T>,
    ) -> Option<T> {
        self.assigned()
            .and_then(|(variant, value)| read(variant, value))
    }

    fn typed<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Variant, &'a VariantValue) -> Option<T>,
    ) -> Result<Option<T>, FlagError> {
        match (self.worth(read), self.assigned(), self.error()) {
            (_, _, Some(error)) => Err(error),
            (None, Some((variant, _)), None) => Err(FlagError::new(
                ErrorCode::TypeMismatch,
                self.flag_key(),
                format!(
                    "variant {:?} has no {name} value",
                    excerpt::name(&variant.key)
                ),
            )),
            (value, _, None) => Ok(value),
        }
    }

    /// The value as JSON: the boolean, if the variant has one; else the
    /// attachment's `value`; else the variant's key. `null` without variant.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        let Some((variant, value)) = self.assigned() else {
            return serde_json::Value::Null;
        };
        if let Some(bool) = value.bool {
            return bool.into();
        }
        variant
            .attachment
            .as_ref()
            .and_then(|attachment| {
                serde_json::from_str::<serde_json::Value>(attachment.json()).ok()
            })
            .and_then(|mut attachment| attachment.get_mut("value").map(serde_json::Value::take))
            .unwrap_or_else(|| variant.key.as_str().into())
    }
}

impl fmt::Debug for Evaluation<'_> {
    /// Flag, variant and reason, but no value: the key of a variant can be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluation")
            .field("flag_key", &excerpt::name(self.flag_key()))
            .field("variant_id", &self.variant_id())
            .field("reason", &self.outcome.reason)
            .field("replaced_by", &self.replacement)
            .field("error", &self.outcome.error)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl Serialize for Evaluation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("flagKey", self.flag_key())?;
        map.serialize_entry("flagID", &self.flag_id().unwrap_or(0))?;
        map.serialize_entry("flagSnapshotID", &self.flag_snapshot_id().unwrap_or(0))?;
        map.serialize_entry("segmentID", &self.segment_id().unwrap_or(0))?;
        map.serialize_entry("variantID", &self.variant_id().unwrap_or(0))?;
        map.serialize_entry("variantKey", &self.variant_key())?;
        map.serialize_entry("value", &self.value())?;
        map.serialize_entry("variantAttachment", &self.attachment())?;
        map.serialize_entry("reason", self.outcome.reason.as_str())?;
        map.serialize_entry("stale", &self.stale)?;
        if let Some(replacement) = self.replacement {
            map.serialize_entry("replacedBy", &replacement)?;
        }
        if self.beyond_limits {
            map.serialize_entry("beyondLimits", &true)?;
        }
        if let Some(error) = self.error() {
            map.serialize_entry("errorCode", error.code().as_str())?;
            map.serialize_entry("errorMessage", error.message())?;
        }
        map.end()
    }
}

/// An entity id like those that Flagr makes up: `randomly_generated_` and a
/// number below 2^31.
pub(crate) fn random_entity() -> String {
    let random = RandomState::new().hash_one(()) >> 33;
    format!("randomly_generated_{random}")
}
