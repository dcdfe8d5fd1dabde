//! One flag, compiled: from its definition to decisions.

use std::fmt;

use super::Problem;
use super::problem::Problems;
use crate::bucket::Rollout;
use crate::constraint::{Condition, Patterns, Strictness};
use crate::excerpt::name;
use crate::flag::{Flag, Origin, Variant, VariantsById};
use crate::limits::Limits;
use crate::outcome::{Outcome, VariantValue};
use crate::reason::Reason;

/// A flag ready to be evaluated.
pub(crate) struct CompiledFlag {
    definition: Flag,
    origin: Origin,
    /// The faults that its set found, which other flags of the set can cause.
    faults: Box<[String]>,
    /// Why the flag cannot be evaluated; then there are no segments.
    problem: Option<Box<str>>,
    /// Compiling the same definition later may give another result.
    is_provisional: bool,
    /// The outcome for all contexts, if the segments are not looked at.
    idle: Option<&'static Outcome>,
    /// In the order of the definition.
    segments: Box<[CompiledSegment]>,
    /// What the variants of the definition are worth, in its order; nothing if
    /// the definition is over a limit.
    values: Box<[VariantValue]>,
}

/// A segment ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledSegment {
    pub(crate) condition: Option<Condition>,
    pub(crate) rollout: Rollout,
}

impl CompiledFlag {
    /// Compiles a definition whose ids are filled. Its own faults and those
    /// that its set has found become its problem. A definition over a limit is
    /// not looked into. Between segments, `go_on` is asked whether to go on.
    ///
    /// # Errors
    ///
    /// That of `go_on`.
    pub(crate) fn new<E>(
        definition: Flag,
        origin: Origin,
        faults: &[String],
        limits: &Limits,
        patterns: &mut Patterns,
        go_on: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Self, E> {
        if let Some(problem) = limits.exceeded_by(&definition) {
            return Ok(Self::invalid(definition, origin, faults, problem));
        }
        let strictness = match origin {
            Origin::Export => Strictness::Joined,
            Origin::File => Strictness::Each,
        };
        let mut problems = Problems::of(faults);
        let mut is_provisional = false;
        let mut conditions = Vec::with_capacity(definition.segments.len());
        for (index, segment) in definition.segments.iter().enumerate() {
            go_on()?;
            match Condition::compile(&segment.constraints, strictness, patterns) {
                Ok(condition) => conditions.push(condition),
                Err(problem) => {
                    is_provisional |= problem.is_temporary();
                    problems.push(|| format!("segment[{index}]: {problem}"));
                }
            }
        }
        let values: Box<[_]> = definition.variants.iter().map(VariantValue::new).collect();
        if let Some(problem) = problems.joined() {
            return Ok(Self {
                values,
                is_provisional,
                ..Self::invalid(definition, origin, faults, problem)
            });
        }
        let by_id = VariantsById::new(&definition.variants);
        let mut targeted = false;
        let mut segments = Vec::with_capacity(conditions.len());
        for (index, condition) in conditions.into_iter().enumerate() {
            go_on()?;
            targeted |= condition.is_some();
            segments.push(CompiledSegment {
                condition,
                rollout: Rollout::new(&definition, &by_id, &values, index, targeted),
            });
        }
        Ok(Self {
            idle: (!definition.enabled).then_some(&Outcome::DISABLED),
            definition,
            origin,
            faults: faults.into(),
            problem: None,
            is_provisional: false,
            segments: segments.into(),
            values,
        })
    }

    /// A flag that cannot be evaluated.
    fn invalid(definition: Flag, origin: Origin, faults: &[String], problem: String) -> Self {
        Self {
            definition,
            origin,
            faults: faults.into(),
            problem: Some(problem.into()),
            is_provisional: false,
            idle: Some(&Outcome::PROBLEM),
            segments: Box::default(),
            values: Box::default(),
        }
    }

    /// Whether compiling this definition, in which its set found these faults,
    /// gives the same flag. What failed for a reason that may pass is compiled
    /// again; any other problem lasts as long as what it was made of.
    pub(crate) fn is_made_of(&self, definition: &Flag, origin: Origin, faults: &[String]) -> bool {
        !self.is_provisional
            && self.origin == origin
            && *self.faults == *faults
            && self.definition == *definition
    }

    /// Whether both were compiled from equal definitions and answer alike.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.problem == other.problem && self.definition == other.definition)
    }

    pub(crate) fn definition(&self) -> &Flag {
        &self.definition
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The flag as one that cannot be evaluated, if it is one.
    pub(crate) fn as_problem(&self) -> Option<Problem> {
        let message = self.problem()?.to_owned();
        Some(Problem {
            flag_id: self.definition.id,
            flag_key: self.definition.key.clone(),
            message,
        })
    }

    /// The outcome for all contexts, if the segments are not looked at.
    #[inline]
    pub(crate) fn idle(&self) -> Option<&'static Outcome> {
        self.idle
    }

    #[inline]
    pub(crate) fn segments(&self) -> &[CompiledSegment] {
        &self.segments
    }

    /// The variant of this index, and what it is worth.
    #[inline]
    pub(crate) fn variant(&self, index: u32) -> Option<(&Variant, &VariantValue)> {
        let index = usize::try_from(index).ok()?;
        Some((
            self.definition.variants.get(index)?,
            self.values.get(index)?,
        ))
    }

    /// How many variants can be told apart: all of them, or none of a flag that
    /// is over a limit.
    pub(crate) fn variant_count(&self) -> usize {
        self.values.len()
    }

    /// The outcome that is the variant of this index, whatever the context.
    pub(crate) fn fixed(&self, variant: usize) -> Outcome {
        Outcome {
            variant: u32::try_from(variant).ok(),
            variant_id: self.definition.variants.get(variant).map(|v| v.id),
            bool: self.values.get(variant).and_then(|value| value.bool),
            reason: Reason::Static,
            ..Outcome::NOTHING
        }
    }
}

impl fmt::Debug for CompiledFlag {
    /// Which flag it is, and nothing of what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledFlag")
            .field("id", &self.definition.id)
            .field("key", &name(&self.definition.key))
            .field("is_valid", &self.problem.is_none())
            .finish_non_exhaustive()
    }
}
