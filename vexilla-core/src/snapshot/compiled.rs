//! One flag, compiled: from its definition to decisions.

use crate::bucket::Rollout;
use crate::constraint::{Condition, Patterns, Strictness};
use crate::flag::{Flag, Origin, Variant};
use crate::outcome::{Outcome, VariantValue};
use crate::reason::Reason;

/// A flag ready to be evaluated.
#[derive(Debug)]
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
    /// What the variants of the definition are worth, in its order.
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
    /// that its set has found become its problem.
    pub(crate) fn new(
        definition: Flag,
        origin: Origin,
        faults: &[String],
        patterns: &mut Patterns,
    ) -> Self {
        let strictness = match origin {
            Origin::Export => Strictness::Joined,
            Origin::File => Strictness::Each,
        };
        let mut problems = faults.to_vec();
        let mut is_provisional = false;
        let mut conditions = Vec::with_capacity(definition.segments.len());
        for (index, segment) in definition.segments.iter().enumerate() {
            match Condition::compile(&segment.constraints, strictness, patterns) {
                Ok(condition) => conditions.push(condition),
                Err(problem) => {
                    is_provisional |= problem.is_temporary();
                    problems.push(format!("segment[{index}]: {problem}"));
                }
            }
        }
        let problem = (!problems.is_empty()).then(|| problems.join("; ").into());
        let values: Box<[_]> = definition.variants.iter().map(VariantValue::new).collect();
        let mut targeted = false;
        let segments = match problem {
            Some(_) => Box::default(),
            None => conditions
                .into_iter()
                .enumerate()
                .map(|(index, condition)| {
                    targeted |= condition.is_some();
                    CompiledSegment {
                        condition,
                        rollout: Rollout::new(&definition, &values, index, targeted),
                    }
                })
                .collect(),
        };
        let idle = match (&problem, definition.enabled) {
            (Some(_), _) => Some(&Outcome::PROBLEM),
            (None, false) => Some(&Outcome::DISABLED),
            (None, true) => None,
        };
        Self {
            definition,
            origin,
            faults: faults.into(),
            problem,
            is_provisional,
            idle,
            segments,
            values,
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
