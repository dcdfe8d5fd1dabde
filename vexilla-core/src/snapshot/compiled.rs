//! One flag, compiled: from its definition to decisions.

use std::fmt;

use super::Problem;
use super::problem::Problems;
use crate::bucket::Rollout;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::constraint::{Condition, Needs, Patterns, Strictness, Work};
use crate::excerpt::name;
use crate::flag::{Flag, Origin, Variant, VariantsById};
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
    /// What its constraints need of what its set may take; `None` if it has to be
    /// compiled again, because something was not there for the moment.
    needs: Option<Needs>,
    /// What an evaluation may do.
    work: Work,
    /// Whether it was logged that an evaluation was beyond that.
    logged_beyond_limits: AtomicBool,
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
        patterns: &mut Patterns<'_>,
        go_on: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Self, E> {
        if let Some(problem) = patterns.limits().exceeded_by(&definition) {
            return Ok(Self::invalid(definition, origin, faults, problem, patterns));
        }
        let strictness = match origin {
            Origin::Export => Strictness::Joined,
            Origin::File => Strictness::Each,
        };
        let mut problems = Problems::of(faults);
        let mut conditions = Vec::with_capacity(definition.segments.len());
        for (index, segment) in definition.segments.iter().enumerate() {
            go_on()?;
            match Condition::compile(&segment.constraints, strictness, patterns) {
                Ok(condition) => conditions.push(condition),
                Err(problem) => problems.push(|| format!("segment[{index}]: {problem}")),
            }
            if let Some(problem) = patterns.exceeded() {
                return Ok(Self::invalid(definition, origin, faults, problem, patterns));
            }
        }
        let values: Box<[_]> = definition.variants.iter().map(VariantValue::new).collect();
        if let Some(problem) = problems.joined() {
            return Ok(Self {
                values,
                ..Self::invalid(definition, origin, faults, problem, patterns)
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
            needs: patterns.take_needs(true),
            work: Work::new(patterns.limits()),
            logged_beyond_limits: AtomicBool::new(false),
            segments: segments.into(),
            values,
        })
    }

    /// A flag that cannot be evaluated.
    fn invalid(
        definition: Flag,
        origin: Origin,
        faults: &[String],
        problem: String,
        patterns: &mut Patterns<'_>,
    ) -> Self {
        Self {
            definition,
            origin,
            problem: Some(problem.into()),
            faults: faults.into(),
            needs: patterns.take_needs(false),
            work: Work::new(patterns.limits()),
            logged_beyond_limits: AtomicBool::new(false),
            idle: Some(&Outcome::PROBLEM),
            segments: Box::default(),
            values: Box::default(),
        }
    }

    /// Whether compiling this definition, in which its set found these faults,
    /// would give the same flag, as long as what it needs comes to the same.
    pub(crate) fn is_made_of(&self, definition: &Flag, origin: Origin, faults: &[String]) -> bool {
        self.origin == origin && *self.faults == *faults && self.definition == *definition
    }

    /// Whether both were compiled from equal definitions and answer alike.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.problem == other.problem && self.definition == other.definition)
    }

    /// What its constraints need of what its set may take; `None` if it has to be
    /// compiled again.
    pub(crate) fn needs(&self) -> Option<&Needs> {
        self.needs.as_ref()
    }

    /// What an evaluation may do.
    #[inline]
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// Logs that an evaluation met a limit, once for each version of the flag.
    pub(crate) fn log_beyond_limits(&self) {
        if !self.logged_beyond_limits.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                flag = self.definition.key,
                id = self.definition.id,
                "an evaluation was beyond the limit `regex_work` or `cel_work`: a segment did not \
                 match that may match without the limit; this is logged once, and counted"
            );
        }
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
