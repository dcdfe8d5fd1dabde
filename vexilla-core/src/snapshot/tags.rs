//! Finds flags by their tags, as Flagr's batch evaluation does (Flagr 1.2,
//! `pkg/handler/eval_cache.go`, `GetByTags`).
//!
//! Flagr keeps one flag for each tag and ID. In a flags file two flags can have
//! one ID; then the two together answer for it: with [`TagMatch::All`] the ID is
//! found if each tag is on one of them.

use std::collections::BTreeMap;

use super::{CompiledFlag, Snapshot};
use crate::context::EvaluationContext;
use crate::evaluate::{EmptyEntity, Evaluation};
use crate::flag::Flag;

/// How several tags are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagMatch {
    /// Flags that have at least one of the tags.
    #[default]
    Any,
    /// Flags that have every one of the tags.
    All,
}

impl Snapshot {
    /// The flags with these tags that Flagr evaluates, one for each ID, in
    /// ascending order of ID; without tags, none.
    ///
    /// Of several flags with one ID, `Any` gives the one for the last tag that
    /// the ID has, and `All` the one for the first tag. Where several of them
    /// have that tag, it is the last of these in the set.
    #[must_use]
    pub fn tagged(&self, tags: &[&str], how: TagMatch) -> Vec<&Flag> {
        let flags = self.compiled_tagged(tags, how).into_values();
        flags.map(CompiledFlag::definition).collect()
    }

    /// Evaluates the flags with these tags for a context, as Flagr's batch
    /// evaluation does, in the order of [`tagged`](Self::tagged). (Flagr's own
    /// order is random.)
    #[must_use]
    pub fn evaluate_tagged<C: EvaluationContext>(
        &self,
        tags: &[&str],
        how: TagMatch,
        context: &C,
        empty_entity: EmptyEntity,
    ) -> Vec<Evaluation<'_>> {
        let flags = self.compiled_tagged(tags, how).into_values();
        flags
            .map(|flag| self.evaluate_flag(Some(flag), context, empty_entity))
            .collect()
    }

    fn compiled_tagged(&self, tags: &[&str], how: TagMatch) -> BTreeMap<u64, &CompiledFlag> {
        // Of several flags with one ID, the last replaces the others.
        let with = |tag: &str| -> BTreeMap<_, _> {
            let has = |flag: &&CompiledFlag| {
                let mut known = flag.definition().tags.iter();
                known.any(|known| known.value == tag)
            };
            let flags = self.compiled().filter(has);
            flags.map(|flag| (flag.definition().id, flag)).collect()
        };
        match how {
            TagMatch::Any => tags.iter().flat_map(|tag| with(tag)).collect(),
            TagMatch::All => {
                let Some((first, rest)) = tags.split_first() else {
                    return BTreeMap::new();
                };
                let mut found = with(first);
                for tag in rest {
                    let also = with(tag);
                    found.retain(|id, _| also.contains_key(id));
                }
                found
            }
        }
    }
}
