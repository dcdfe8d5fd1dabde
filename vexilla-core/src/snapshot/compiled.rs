//! One flag, compiled: from its definition to decisions.

use crate::bucket::{Landing, Rollout, Share};
use crate::constraint::{Condition, Mismatch, Observer, Patterns, Strictness};
use crate::context::EvaluationContext;
use crate::flag::{Flag, Origin, Variant};
use crate::reason::Reason;

use super::value::VariantValue;

/// A flag ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledFlag {
    definition: Flag,
    origin: Origin,
    /// Why the flag cannot be evaluated; then there are no segments.
    problem: Option<Box<str>>,
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
    /// The reason given for a variant that this segment assigns.
    reason: Reason,
}

/// Who is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EntityId<'a> {
    Known(&'a str),
    /// Nobody knows: rollouts that depend on it give nothing.
    Missing,
}

/// What an evaluation of a flag came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'a> {
    /// The index of the segment that ended the evaluation.
    pub(crate) segment: Option<usize>,
    pub(crate) share: Option<&'a Share>,
    pub(crate) reason: Reason,
    /// The rollout needed an entity and there was none.
    pub(crate) entity_missing: bool,
}

/// Is told, beside what constraints do, what segments do.
pub(crate) trait SegmentObserver: Observer {
    /// The constraints of the segment of this index were evaluated.
    fn segment(&mut self, index: usize, outcome: Result<bool, Mismatch>) {
        let _ = (index, outcome);
    }

    /// Where the entity fell in the segment that matched.
    fn landing(&mut self, rollout: &Rollout, entity: EntityId<'_>) {
        let _ = (rollout, entity);
    }
}

impl SegmentObserver for () {}

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
        let mut conditions = Vec::with_capacity(definition.segments.len());
        for (index, segment) in definition.segments.iter().enumerate() {
            match Condition::compile(&segment.constraints, strictness, patterns) {
                Ok(condition) => conditions.push(condition),
                Err(problem) => problems.push(format!("segment[{index}]: {problem}")),
            }
        }
        let problem = (!problems.is_empty()).then(|| problems.join("; ").into());
        let mut targeted = false;
        let segments = match problem {
            Some(_) => Box::default(),
            None => definition
                .segments
                .iter()
                .zip(conditions)
                .map(|(segment, condition)| {
                    let rollout = Rollout::new(&definition, segment);
                    targeted |= condition.is_some();
                    let reason = match (rollout.depends_on_entity(), targeted) {
                        (true, _) => Reason::Split,
                        (false, true) => Reason::TargetingMatch,
                        (false, false) => Reason::Static,
                    };
                    CompiledSegment {
                        condition,
                        rollout,
                        reason,
                    }
                })
                .collect(),
        };
        let values = definition.variants.iter().map(VariantValue::new).collect();
        Self {
            definition,
            origin,
            problem,
            segments,
            values,
        }
    }

    /// Whether compiling this definition would give the same flag.
    pub(crate) fn is_made_of(&self, definition: &Flag, origin: Origin) -> bool {
        self.problem.is_none() && self.origin == origin && self.definition == *definition
    }

    pub(crate) fn definition(&self) -> &Flag {
        &self.definition
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    pub(crate) fn segments(&self) -> &[CompiledSegment] {
        &self.segments
    }

    /// The variant of this index, and what it is worth.
    #[inline]
    pub(crate) fn variant(&self, index: usize) -> Option<(&Variant, &VariantValue)> {
        Some((
            self.definition.variants.get(index)?,
            self.values.get(index)?,
        ))
    }

    /// Walks the segments: the first whose constraints hold ends the
    /// evaluation, even if it assigns nothing. Meant for enabled flags without
    /// a problem.
    #[inline]
    pub(crate) fn decide<C: EvaluationContext, O: SegmentObserver>(
        &self,
        entity: EntityId<'_>,
        context: &C,
        observer: &mut O,
    ) -> Decision<'_> {
        for (index, segment) in self.segments.iter().enumerate() {
            let outcome = match &segment.condition {
                Some(condition) => condition.expression.matches(context, observer),
                None => Ok(true),
            };
            observer.segment(index, outcome);
            if outcome != Ok(true) {
                continue;
            }
            observer.landing(&segment.rollout, entity);
            let (share, entity_missing) = match entity {
                EntityId::Known(id) => (segment.rollout.share(id), false),
                EntityId::Missing if segment.rollout.depends_on_entity() => (None, true),
                EntityId::Missing => (segment.rollout.share(""), false),
            };
            return Decision {
                segment: Some(index),
                share,
                reason: match share {
                    Some(_) => segment.reason,
                    None => Reason::Default,
                },
                entity_missing,
            };
        }
        Decision {
            segment: None,
            share: None,
            reason: Reason::Default,
            entity_missing: false,
        }
    }
}

impl CompiledSegment {
    /// Where an entity falls, for explanations.
    pub(crate) fn land(&self, entity: EntityId<'_>) -> Option<Landing> {
        match entity {
            EntityId::Known(id) => self.rollout.land(id),
            EntityId::Missing => None,
        }
    }
}
