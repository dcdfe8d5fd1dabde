//! Who falls into which variant.
//!
//! Flagr's bucketing is a pure function: the CRC-32 (IEEE) of the flag's
//! decimal id and the entity's id, modulo 1000, picks a variant by the
//! accumulated shares; inside a variant's range of buckets the rollout percent
//! decides (Flagr 1.2, `pkg/entity/distribution.go`).
//!
//! [`stable`] and [`cpf`] are for rollouts by constraint: they turn an id into
//! a small number that a constraint can compare, such as `bucket LT 10`.

use std::hint::select_unpredictable;
use std::ops::Range;

use crc32fast::Hasher;

use crate::flag::{Flag, VariantsById};
use crate::outcome::{Outcome, VariantValue};
use crate::reason::Reason;

/// How many buckets Flagr divides entities into.
pub(crate) const BUCKETS: u64 = 1000;
/// Buckets per percent of a distribution.
const BUCKETS_PER_PERCENT: u64 = BUCKETS / 100;

/// A number from 0 to `buckets - 1` that is always the same for one id: its
/// CRC-32 (IEEE) modulo `buckets`. With 0 buckets it is 0.
///
/// ```
/// let bucket = vexilla_core::bucket::stable("user-1", 100);
/// assert!(bucket < 100);
/// assert_eq!(bucket, vexilla_core::bucket::stable("user-1", 100));
/// ```
#[must_use]
pub fn stable(id: &str, buckets: u32) -> u32 {
    crc32fast::hash(id.as_bytes())
        .checked_rem(buckets)
        .unwrap_or(0)
}

/// The bucket from 0 to 99 of a CPF, the Brazilian tax number: its sixth and
/// seventh digit. Dots, dashes and blanks are passed over; `None` unless
/// exactly eleven digits are left. Check digits are not verified.
///
/// ```
/// assert_eq!(vexilla_core::bucket::cpf("123.456.789-09"), Some(67));
/// assert_eq!(vexilla_core::bucket::cpf("12345"), None);
/// ```
#[must_use]
pub fn cpf(cpf: &str) -> Option<u8> {
    let mut digits = [0_u8; 11];
    let mut count = 0;
    for c in cpf.chars() {
        match c {
            '.' | '-' | ' ' => {}
            _ => {
                *digits.get_mut(count)? = u8::try_from(c.to_digit(10)?).ok()?;
                count += 1;
            }
        }
    }
    let [_, _, _, _, _, tens, ones, ..] = digits;
    (count == digits.len()).then_some(tens * 10 + ones)
}

/// How a segment shares its entities among variants.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    /// Has read the flag's id; every entity's hash goes on from there.
    salt: Hasher,
    percent: u64,
    shares: Box<[Share]>,
    reach: Reach,
}

/// The buckets of one distribution: from the end of the one before to its own.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    end: u64,
    /// Where the buckets end that the rollout includes: a share's first ones.
    included_end: u64,
    pub(crate) outcome: Outcome,
}

/// What is known without looking at the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nobody,
    /// Everybody gets the share of this index.
    Everybody(usize),
    ByEntity,
}

/// Where an entity fell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Landing {
    /// From 0 to 999.
    pub(crate) bucket: u64,
    /// The index of the share that holds the bucket.
    pub(crate) share: usize,
    /// Whether the rollout includes the entity.
    pub(crate) included: bool,
}

impl Rollout {
    /// The rollout of the segment of this index; `by_id` finds the flag's
    /// variants, and `values` are theirs. `targeted` says whether this segment, or one before it,
    /// is for some contexts only.
    pub(crate) fn new(
        flag: &Flag,
        by_id: &VariantsById<'_>,
        values: &[VariantValue],
        segment: usize,
        targeted: bool,
    ) -> Self {
        let definition = flag.segments.get(segment);
        let distributions = definition.map_or(&[][..], |segment| &segment.distributions);
        let percent = definition.map_or(0, |segment| segment.rollout_percent);
        let mut end = 0_u64;
        let mut shares: Box<[_]> = distributions
            .iter()
            .map(|distribution| {
                let start = end;
                end = end.saturating_add(distribution.percent.saturating_mul(BUCKETS_PER_PERCENT));
                let variant = by_id.position(distribution.variant_id);
                Share {
                    end,
                    included_end: included_end(&(start..end), percent),
                    outcome: Outcome {
                        segment: u32::try_from(segment).ok(),
                        variant: variant.and_then(|index| u32::try_from(index).ok()),
                        variant_id: Some(distribution.variant_id),
                        bool: variant
                            .and_then(|index| values.get(index))
                            .and_then(|value| value.bool),
                        reason: Reason::Split,
                        error: None,
                    },
                }
            })
            .collect();
        let first = shares.iter().position(|share| share.end > 0);
        let reach = match first {
            _ if percent == 0 => Reach::Nobody,
            None => Reach::Nobody,
            Some(first)
                if percent == 100 && shares.get(first).is_some_and(|s| s.end >= BUCKETS) =>
            {
                Reach::Everybody(first)
            }
            Some(_) => Reach::ByEntity,
        };
        if reach != Reach::ByEntity {
            for share in &mut shares {
                share.outcome.reason = match targeted {
                    true => Reason::TargetingMatch,
                    false => Reason::Static,
                };
            }
        }
        let mut salt = Hasher::new();
        salt.update(flag.id.to_string().as_bytes());
        Self {
            salt,
            percent,
            shares,
            reach,
        }
    }

    /// Whether two entities can fare differently.
    #[inline]
    pub(crate) fn depends_on_entity(&self) -> bool {
        self.reach == Reach::ByEntity
    }

    /// The outcome for an entity. The id is not looked at unless the outcome
    /// [depends](Self::depends_on_entity) on it.
    #[inline(always)]
    pub(crate) fn outcome(&self, entity_id: &str) -> &Outcome {
        match self.reach {
            Reach::Nobody => &Outcome::NOTHING,
            Reach::Everybody(index) => self.share_or_nothing(index),
            Reach::ByEntity => match self.land(entity_id) {
                // Half of the entities may be in: nothing to be foreseen.
                Some(landing) => select_unpredictable(
                    landing.included,
                    self.share_or_nothing(landing.share),
                    &Outcome::NOTHING,
                ),
                None => &Outcome::NOTHING,
            },
        }
    }

    #[inline]
    fn share_or_nothing(&self, index: usize) -> &Outcome {
        let share = self.shares.get(index);
        share.map_or(&Outcome::NOTHING, |share| &share.outcome)
    }

    /// Where the entity falls; `None` if there are no shares, or if they end
    /// before its bucket.
    #[inline(always)]
    pub(crate) fn land(&self, entity_id: &str) -> Option<Landing> {
        let mut hasher = self.salt.clone();
        hasher.update(entity_id.as_bytes());
        let bucket = u64::from(hasher.finalize()) % BUCKETS;
        let index = self.shares.partition_point(|share| share.end <= bucket);
        let share = self.shares.get(index)?;
        Some(Landing {
            bucket,
            share: index,
            included: bucket < share.included_end,
        })
    }

    /// The buckets of a share.
    pub(crate) fn range(&self, share: usize) -> Option<Range<u64>> {
        let end = self.shares.get(share)?.end;
        let start = share
            .checked_sub(1)
            .and_then(|before| self.shares.get(before))
            .map_or(0, |before| before.end);
        Some(start..end)
    }

    /// All shares, in order.
    pub(crate) fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// How much of each share is rolled out, in percent.
    pub(crate) fn percent(&self) -> u64 {
        self.percent
    }
}

/// Where the buckets end that a rollout of so many percent includes of a
/// share's: it takes each bucket with
/// `100 × (bucket − start) ≤ (length − 1) × percent`.
fn included_end(share: &Range<u64>, percent: u64) -> u64 {
    match percent {
        0 => share.start,
        100 => share.end,
        percent => {
            let last = (share.end - share.start).saturating_sub(1);
            let taken = last.saturating_mul(percent) / 100 + 1;
            share.start.saturating_add(taken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Segment, Variant};

    fn rollout(percent: u64, shares: &[(&str, u64)]) -> Rollout {
        let mut flag = Flag::new("f");
        let mut segment = Segment::new().rollout(percent);
        for (key, share) in shares {
            flag = flag.variant(Variant::new(*key));
            segment = segment.distribution(*key, *share);
        }
        let mut set = crate::flag::FlagSet::from(vec![flag.segment(segment)]);
        set.assign_missing_ids();
        let by_id = VariantsById::new(&set.flags[0].variants);
        Rollout::new(&set.flags[0], &by_id, &[], 0, false)
    }

    #[test]
    fn the_salt_is_the_decimal_id() {
        let rollout = rollout(100, &[("a", 50), ("b", 50)]);
        let landing = rollout.land("entity").unwrap();
        let whole = u64::from(crc32fast::hash(b"1entity")) % BUCKETS;
        assert_eq!(landing.bucket, whole);
        assert_eq!(landing.share, usize::from(whole >= 500));
    }

    #[test]
    fn a_rollout_takes_its_part_of_each_share() {
        let rollout = rollout(10, &[("a", 50), ("b", 50)]);
        // 100 × (bucket − start) ≤ 499 × 10
        let ends = rollout.shares().iter().map(|share| share.included_end);
        assert_eq!(ends.collect::<Vec<_>>(), [50, 550]);
    }

    #[test]
    fn what_no_entity_changes_is_known_beforehand() {
        assert_eq!(rollout(0, &[("a", 100)]).reach, Reach::Nobody);
        assert_eq!(rollout(100, &[]).reach, Reach::Nobody);
        assert_eq!(rollout(100, &[("a", 100)]).reach, Reach::Everybody(0));
        assert_eq!(
            rollout(100, &[("a", 0), ("b", 100), ("c", 0)]).reach,
            Reach::Everybody(1)
        );
        assert_eq!(rollout(100, &[("a", 1), ("b", 99)]).reach, Reach::ByEntity);
        assert_eq!(rollout(99, &[("a", 100)]).reach, Reach::ByEntity);
    }

    #[test]
    fn stable_buckets_stay_in_range() {
        assert_eq!(stable("anything", 0), 0);
        assert!((0..500).all(|n| stable(&n.to_string(), 7) < 7));
    }

    #[test]
    fn a_cpf_has_eleven_digits() {
        assert_eq!(cpf("12345678909"), Some(67));
        assert_eq!(cpf("000.000.000-00"), Some(0));
        for wrong in [
            "",
            "1234567890",
            "123456789012",
            "1234567890x",
            "١٢٣٤٥٦٧٨٩٠٩",
        ] {
            assert_eq!(cpf(wrong), None, "{wrong}");
        }
    }
}
