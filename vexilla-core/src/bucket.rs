//! Who falls into which variant.
//!
//! Flagr's bucketing is a pure function: the CRC-32 (IEEE) of the flag's
//! decimal id and the entity's id, modulo 1000, picks a variant by the
//! accumulated shares; inside a variant's range of buckets the rollout percent
//! decides (Flagr 1.2, `pkg/entity/distribution.go`).
//!
//! [`stable`] and [`cpf`] are for rollouts by constraint: they turn an id into
//! a small number that a constraint can compare, such as `bucket LT 10`.

use std::ops::Range;

use crc32fast::Hasher;

use crate::flag;

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
    /// CRC-32 of the flag's id; every entity's hash goes on from it.
    salt: u32,
    percent: u64,
    shares: Box<[Share]>,
    outcome: Outcome,
}

/// The buckets of one distribution: from the end of the one before to its own.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    end: u64,
    pub(crate) variant_id: u64,
    /// Where the variant stands in the flag's list; `None` if it does not.
    pub(crate) variant: Option<usize>,
}

/// What is known without looking at the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
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
    pub(crate) fn new(flag: &flag::Flag, segment: &flag::Segment) -> Self {
        let mut end = 0_u64;
        let shares: Box<[_]> = segment
            .distributions
            .iter()
            .map(|distribution| {
                end = end.saturating_add(distribution.percent.saturating_mul(BUCKETS_PER_PERCENT));
                Share {
                    end,
                    variant_id: distribution.variant_id,
                    // Of two variants with one id, the later counts.
                    variant: flag
                        .variants
                        .iter()
                        .rposition(|variant| variant.id == distribution.variant_id),
                }
            })
            .collect();
        let percent = segment.rollout_percent;
        let first = shares.iter().position(|share| share.end > 0);
        let outcome = match first {
            _ if percent == 0 => Outcome::Nobody,
            None => Outcome::Nobody,
            Some(first)
                if percent == 100 && shares.get(first).is_some_and(|s| s.end >= BUCKETS) =>
            {
                Outcome::Everybody(first)
            }
            Some(_) => Outcome::ByEntity,
        };
        Self {
            salt: crc32fast::hash(flag.id.to_string().as_bytes()),
            percent,
            shares,
            outcome,
        }
    }

    /// Whether two entities can fare differently.
    pub(crate) fn depends_on_entity(&self) -> bool {
        self.outcome == Outcome::ByEntity
    }

    /// The share that the entity gets, if any. The id is not looked at unless
    /// the outcome [depends](Self::depends_on_entity) on it.
    #[inline]
    pub(crate) fn share(&self, entity_id: &str) -> Option<&Share> {
        match self.outcome {
            Outcome::Nobody => None,
            Outcome::Everybody(index) => self.shares.get(index),
            Outcome::ByEntity => {
                let landing = self.land(entity_id)?;
                self.shares.get(landing.share).filter(|_| landing.included)
            }
        }
    }

    /// Where the entity falls; `None` if there are no shares, or if they end
    /// before its bucket.
    pub(crate) fn land(&self, entity_id: &str) -> Option<Landing> {
        let mut hasher = Hasher::new_with_initial(self.salt);
        hasher.update(entity_id.as_bytes());
        let bucket = u64::from(hasher.finalize()) % BUCKETS;
        let share = self.shares.partition_point(|share| share.end <= bucket);
        let range = self.range(share)?;
        Some(Landing {
            bucket,
            share,
            included: self.includes(bucket, &range),
        })
    }

    /// Whether the rollout includes a bucket of a share with these buckets.
    fn includes(&self, bucket: u64, range: &Range<u64>) -> bool {
        match self.percent {
            0 => false,
            100 => true,
            percent => {
                let last = (range.end - range.start).saturating_sub(1);
                100 * (bucket - range.start) <= last.saturating_mul(percent)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Flag, Segment, Variant};

    fn rollout(percent: u64, shares: &[(&str, u64)]) -> Rollout {
        let mut flag = Flag::new("f");
        let mut segment = Segment::new().rollout(percent);
        for (key, share) in shares {
            flag = flag.variant(Variant::new(*key));
            segment = segment.distribution(*key, *share);
        }
        let mut set = crate::FlagSet::from(vec![flag.segment(segment)]);
        set.assign_missing_ids();
        Rollout::new(&set.flags[0], &set.flags[0].segments[0])
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
        let included = |share: usize| {
            let range = rollout.range(share).unwrap();
            range
                .clone()
                .filter(|bucket| rollout.includes(*bucket, &range))
                .collect::<Vec<_>>()
        };
        // 100 × (bucket − start) ≤ 499 × 10
        assert_eq!(included(0), (0..50).collect::<Vec<_>>());
        assert_eq!(included(1), (500..550).collect::<Vec<_>>());
    }

    #[test]
    fn what_no_entity_changes_is_known_beforehand() {
        assert_eq!(rollout(0, &[("a", 100)]).outcome, Outcome::Nobody);
        assert_eq!(rollout(100, &[]).outcome, Outcome::Nobody);
        assert_eq!(rollout(100, &[("a", 100)]).outcome, Outcome::Everybody(0));
        assert_eq!(
            rollout(100, &[("a", 0), ("b", 100), ("c", 0)]).outcome,
            Outcome::Everybody(1)
        );
        assert_eq!(
            rollout(100, &[("a", 1), ("b", 99)]).outcome,
            Outcome::ByEntity
        );
        assert_eq!(rollout(99, &[("a", 100)]).outcome, Outcome::ByEntity);
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
