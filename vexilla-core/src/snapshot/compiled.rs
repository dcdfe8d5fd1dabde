//! One flag, compiled: from its definition to decisions.

use crate::bucket::Rollout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::constraint::{Condition, Known, Patterns, Strictness};
use crate::flag::{Flag, Origin, Variant};
use crate::outcome::{Outcome, VariantValue};
use crate::reason::Reason;

/// A flag ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledFlag {
    definition: Flag,
    origin: Origin,
    /// Why the flag cannot be evaluated; then there are no segments.
    problem: Option<Box<str>>,
    /// What its set found wrong with it.
    faults: Box<[String]>,
    /// The patterns of its constraints; `None` if it has to be compiled again,
    /// because something that it needs was not there for the moment.
    patterns: Option<Box<[Arc<Known>]>>,
    /// [`Limits::regex_work`](crate::Limits::regex_work).
    regex_work: u64,
    /// Whether it was logged that an evaluation met that limit.
    logged_beyond_limits: AtomicBool,
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
        patterns: &mut Patterns<'_>,
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
            problem,
            faults: faults.into(),
            patterns: patterns.take_of_flag(),
            regex_work: patterns.limits().regex_work,
            logged_beyond_limits: AtomicBool::new(false),
            idle,
            segments,
            values,
        }
    }

    /// Whether compiling this definition, in which its set found these faults,
    /// would give the same flag, as long as its patterns come to the same.
    pub(crate) fn is_made_of(&self, definition: &Flag, origin: Origin, faults: &[String]) -> bool {
        self.origin == origin && *self.faults == *faults && self.definition == *definition
    }

    /// The patterns of its constraints; `None` if it has to be compiled again.
    pub(crate) fn patterns(&self) -> Option<&[Arc<Known>]> {
        self.patterns.as_deref()
    }

    #[inline]
    pub(crate) fn regex_work(&self) -> u64 {
        self.regex_work
    }

    /// Logs that an evaluation met a limit, once for each version of the flag.
    pub(crate) fn log_beyond_limits(&self) {
        if !self.logged_beyond_limits.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                flag = self.definition.key,
                id = self.definition.id,
                limit = self.regex_work,
                "an evaluation was beyond the limit `regex_work`: a segment did not match, \
                 though Flagr may find that it does; this is logged once, and counted"
            );
        }
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
