//! IDs for flags that were written by hand without them.
//!
//! Flagr numbers what a flag file leaves unnumbered, and because a flag's number salts its rollout, the numbers
//! must be the same here (Flagr 1.2, `normalizeIDs` in `pkg/handler/eval_cache_fetcher.go`): every kind of
//! entity has one counter for the whole set, starting behind its greatest number. Flags at fault take part, so
//! that mending one does not renumber the others.

use std::collections::HashMap;

use super::FlagSet;

/// The next free number of one kind of entity. Arithmetic wraps as Go's does, so that behind the greatest
/// possible number comes 0, which is no number.
struct Counter(u64);

impl Counter {
    fn new() -> Self {
        Self(1)
    }

    fn see(&mut self, id: u64) {
        if id >= self.0 {
            self.0 = id.wrapping_add(1);
        }
    }

    fn fill(&mut self, id: &mut u64) {
        if *id == 0 {
            *id = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

impl FlagSet {
    /// Gives every flag, segment, constraint, distribution, variant and tag without an ID the one that Flagr's
    /// JSON-file mode would give it, sets the references to flags and segments, and finds the variants
    /// that distributions name by key only.
    ///
    /// [`from_json`](Self::from_json) has done so already; sets made in code need it before rollouts mean
    /// anything.
    pub fn assign_missing_ids(&mut self) {
        let mut flag_ids = Counter::new();
        let mut variant_ids = Counter::new();
        let mut segment_ids = Counter::new();
        let mut constraint_ids = Counter::new();
        let mut distribution_ids = Counter::new();
        let mut tag_ids = Counter::new();

        for flag in &self.flags {
            flag_ids.see(flag.id);
            flag.variants
                .iter()
                .for_each(|variant| variant_ids.see(variant.id));
            flag.tags.iter().for_each(|tag| tag_ids.see(tag.id));
            for segment in &flag.segments {
                segment_ids.see(segment.id);
                segment
                    .constraints
                    .iter()
                    .for_each(|constraint| constraint_ids.see(constraint.id));
                segment
                    .distributions
                    .iter()
                    .for_each(|share| distribution_ids.see(share.id));
            }
        }

        for flag in &mut self.flags {
            flag_ids.fill(&mut flag.id);
            flag.variants
                .iter_mut()
                .for_each(|variant| variant_ids.fill(&mut variant.id));
            flag.tags
                .iter_mut()
                .for_each(|tag| tag_ids.fill(&mut tag.id));
            // Made when a distribution needs it; the first of variants that share a key is meant.
            let mut by_key: Option<HashMap<&str, u64>> = None;
            for segment in &mut flag.segments {
                segment_ids.fill(&mut segment.id);
                segment.flag_id = flag.id;
                for constraint in &mut segment.constraints {
                    constraint_ids.fill(&mut constraint.id);
                    constraint.segment_id = segment.id;
                }
                for share in &mut segment.distributions {
                    distribution_ids.fill(&mut share.id);
                    share.segment_id = segment.id;
                    if share.variant_id == 0 && !share.variant_key.is_empty() {
                        let by_key = by_key.get_or_insert_with(|| {
                            let variants = flag.variants.iter().rev();
                            variants
                                .map(|variant| (variant.key.as_str(), variant.id))
                                .collect()
                        });
                        share.variant_id =
                            by_key.get(share.variant_key.as_str()).copied().unwrap_or(0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Constraint, Flag, Segment, Variant};

    #[test]
    fn numbers_continue_behind_the_greatest_of_the_whole_set() {
        let segment = || {
            Segment::new()
                .constraint(Constraint::new("p", "EQ", "1"))
                .distribution("on", 100)
        };
        let flag = |key| {
            Flag::new(key)
                .variant(Variant::new("on"))
                .variant(Variant::new("off"))
                .segment(segment())
                .tag("t")
        };
        let mut set = FlagSet::from(vec![flag("a"), flag("b").id(7), flag("c")]);
        set.flags[2].variants[1].id = 40;
        set.flags[2].segments[0].id = 5;
        set.assign_missing_ids();

        let ids: Vec<_> = set.flags.iter().map(|flag| flag.id).collect();
        assert_eq!(ids, [8, 7, 9]);
        let variants: Vec<_> = set
            .flags
            .iter()
            .flat_map(|flag| &flag.variants)
            .map(|v| v.id)
            .collect();
        assert_eq!(variants, [41, 42, 43, 44, 45, 40]);
        let segments: Vec<_> = set.flags.iter().map(|flag| &flag.segments[0]).collect();
        assert_eq!(
            segments
                .iter()
                .map(|s| (s.id, s.flag_id))
                .collect::<Vec<_>>(),
            [(6, 8), (7, 7), (5, 9)]
        );
        let shares: Vec<_> = segments.iter().map(|s| &s.distributions[0]).collect();
        assert_eq!(
            shares
                .iter()
                .map(|d| (d.id, d.segment_id, d.variant_id))
                .collect::<Vec<_>>(),
            [(1, 6, 41), (2, 7, 43), (3, 5, 45)]
        );
        let constraints: Vec<_> = segments.iter().map(|s| &s.constraints[0]).collect();
        assert_eq!(
            constraints
                .iter()
                .map(|c| (c.id, c.segment_id))
                .collect::<Vec<_>>(),
            [(1, 6), (2, 7), (3, 5)]
        );
        assert_eq!(
            set.flags
                .iter()
                .map(|flag| flag.tags[0].id)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );

        let before = set.clone();
        set.assign_missing_ids();
        assert_eq!(set, before);
    }

    #[test]
    fn the_first_variant_of_a_key_is_meant_and_a_given_number_stands() {
        let segment = Segment::new()
            .distribution("v", 50)
            .distribution("nobody", 25)
            .distribution("v", 25);
        let mut set = FlagSet::from(vec![
            Flag::new("a")
                .variant(Variant::new("v").id(3))
                .variant(Variant::new("v"))
                .segment(segment),
        ]);
        set.flags[0].segments[0].distributions[2].variant_id = 42;
        set.assign_missing_ids();
        let ids: Vec<_> = set.flags[0].segments[0]
            .distributions
            .iter()
            .map(|d| d.variant_id)
            .collect();
        assert_eq!(ids, [3, 0, 42]);
    }

    #[test]
    fn the_greatest_number_wraps_as_in_go() {
        let ids = |given: [u64; 3]| {
            let mut set: FlagSet = given.iter().map(|id| Flag::new("a").id(*id)).collect();
            set.assign_missing_ids();
            set.flags.iter().map(|flag| flag.id).collect::<Vec<_>>()
        };
        // The second flag is seen after the wrap, and its 0 counts as a number then.
        assert_eq!(ids([u64::MAX, 0, 0]), [u64::MAX, 1, 2]);
        assert_eq!(ids([0, 0, u64::MAX]), [0, 1, u64::MAX]);
    }
}
