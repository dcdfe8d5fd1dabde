//! Whether Flagr would load a flag, apart from its constraints' texts.
//!
//! For flags from files and code these are the errors of Flagr's own validation (Flagr 1.2,
//! `pkg/handler/eval_cache_validate.go`), which a single one makes refuse the whole file; here it takes out the
//! flag at fault. A server with a database evaluates its flags without that validation, so that of an export
//! only those flags are at fault that could not be read, or over which Flagr itself would stumble.

use std::collections::{HashMap, HashSet};

use super::quote::quoted;
use super::{Attachment, Distribution, Flag, FlagSet, Origin, Segment};

/// How many faults of one flag are told; a flag of many parts could have any number.
const MAX_FAULTS: usize = 16;

/// The faults of each flag of a set, in the set's order; none for a flag that Flagr would load.
///
/// Constraints are not looked at. A fault names the member, as in `Segments[0].RolloutPercent: …`.
pub(crate) fn faults(set: &FlagSet) -> Vec<Vec<String>> {
    match set.origin {
        Origin::File => {
            let mut uses: HashMap<&str, usize> = HashMap::with_capacity(set.flags.len());
            for flag in &set.flags {
                *uses.entry(&flag.key).or_default() += 1;
            }
            let repeated = |flag: &Flag| uses.get(flag.key.as_str()).is_some_and(|uses| *uses > 1);
            let faults = |flag| faults_in_file(flag, repeated(flag));
            set.flags.iter().map(faults).collect()
        }
        Origin::Export => set.flags.iter().map(faults_in_export).collect(),
    }
}

/// The faults of one flag.
struct Faults(Vec<String>);

impl Faults {
    /// What could not be read of the flag, and what was put into it in code but cannot be used.
    fn of(flag: &Flag) -> Self {
        let mut faults = Self(
            flag.fault
                .iter()
                .map(|fault| String::from(&**fault))
                .collect(),
        );
        for (index, variant) in flag.variants.iter().enumerate() {
            if let Some(reason) = variant.attachment.as_ref().and_then(Attachment::fault) {
                faults.add(|| format!("Variants[{index}].Attachment: {reason}"));
            }
        }
        faults
    }

    fn add(&mut self, fault: impl FnOnce() -> String) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(fault());
        }
    }
}

fn faults_in_file(flag: &Flag, repeated: bool) -> Vec<String> {
    let mut faults = Faults::of(flag);
    if flag.key.is_empty() {
        faults.add(|| "Key: missing or empty".to_owned());
        return faults.0;
    }
    if repeated {
        faults.add(|| format!("Key: another flag has the key {:?} too", quoted(&flag.key)));
    }
    let keys = check_variants(flag, &mut faults);
    for (index, segment) in flag.segments.iter().enumerate() {
        let percent = segment.rollout_percent;
        if percent > 100 {
            faults.add(|| {
                format!(
                    "Segments[{index}].RolloutPercent: {percent} is out of range, expected 0 to 100"
                )
            });
        }
        check_distributions(index, segment, &keys, &mut faults);
    }
    faults.0
}

/// Checks the variants and gives their keys.
fn check_variants<'a>(flag: &'a Flag, faults: &mut Faults) -> HashSet<&'a str> {
    let mut keys = HashSet::with_capacity(flag.variants.len());
    for (index, variant) in flag.variants.iter().enumerate() {
        if variant.key.is_empty() {
            faults.add(|| format!("Variants[{index}].Key: missing or empty"));
        } else if !keys.insert(variant.key.as_str()) {
            let key = quoted(&variant.key);
            faults
                .add(|| format!("Variants[{index}].Key: another variant has the key {key:?} too"));
        }
    }
    keys
}

fn check_distributions(
    index: usize,
    segment: &Segment,
    variant_keys: &HashSet<&str>,
    faults: &mut Faults,
) {
    let path = format_args!("Segments[{index}].Distributions");
    for (index, share) in segment.distributions.iter().enumerate() {
        let Distribution {
            percent,
            variant_id,
            variant_key,
            ..
        } = share;
        if *percent > 100 {
            faults.add(|| {
                format!("{path}[{index}].Percent: {percent} is out of range, expected 0 to 100")
            });
        }
        if variant_key.is_empty() {
            if *variant_id == 0 {
                faults
                    .add(|| format!("{path}[{index}]: neither VariantKey nor VariantID is given"));
            }
        } else if !variant_keys.contains(variant_key.as_str()) {
            let key = quoted(variant_key);
            faults.add(|| format!("{path}[{index}].VariantKey: the flag has no variant {key:?}"));
        }
    }
    let sum = total(segment);
    if sum != 100 && !segment.distributions.is_empty() {
        faults.add(|| format!("{path}: the percents add up to {sum}, expected 100"));
    }
}

fn faults_in_export(flag: &Flag) -> Vec<String> {
    let mut faults = Faults::of(flag);
    if flag.key.is_empty() && flag.id == 0 {
        faults.add(|| "Key: missing or empty, and so is the ID".to_owned());
    }
    for (index, segment) in flag.segments.iter().enumerate() {
        let sum = total(segment);
        let told = segment.rollout_percent > 0 && !segment.distributions.is_empty();
        // Flagr panics on the buckets that no distribution covers, and sums too large for it have no meaning.
        if told && !(100..=MAX_TOTAL).contains(&sum) {
            faults.add(|| {
                format!(
                    "Segments[{index}].Distributions: the percents add up to {sum}, expected 100"
                )
            });
        }
    }
    faults.0
}

/// The greatest sum of percents whose buckets, ten to a percent, an evaluator can count in 32 bits.
const MAX_TOTAL: u64 = 100_000_000;

/// What a segment's percents add up to, or the greatest number.
fn total(segment: &Segment) -> u64 {
    let percents = segment.distributions.iter().map(|share| share.percent);
    percents.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::Variant;
    use serde_json::json;

    fn flag() -> Flag {
        Flag::new("a")
            .variant(Variant::new("on"))
            .variant(Variant::new("off"))
    }

    fn faults_of(flag: Flag) -> Vec<String> {
        faults(&FlagSet::from(vec![flag])).remove(0)
    }

    fn exported(flag: Flag) -> Vec<String> {
        let mut set = FlagSet::from(vec![flag]);
        set.origin = Origin::Export;
        faults(&set).remove(0)
    }

    #[test]
    fn what_flagr_only_warns_of_is_fine() {
        let flags = [
            Flag::new("no variants, no segments"),
            flag().segment(Segment::new()),
            flag().segment(
                Segment::new()
                    .distribution("on", 0)
                    .distribution("off", 100),
            ),
            flag().segment(Segment::new().distribution("on", 60).distribution("on", 40)),
        ];
        for flag in flags {
            assert_eq!(faults_of(flag.clone()), Vec::<String>::new());
            assert_eq!(exported(flag), Vec::<String>::new());
        }
    }

    #[test]
    fn what_flagr_refuses_in_a_file_is_told() {
        for (flag, fault) in [
            (Flag::new(""), "Key: missing or empty"),
            (
                flag().variant(Variant::new("")),
                "Variants[2].Key: missing or empty",
            ),
            (
                flag().variant(Variant::new("on")),
                r#"Variants[2].Key: another variant has the key "on" too"#,
            ),
            (
                flag().variant(Variant::new("x").attachment(json!(5))),
                "Variants[2].Attachment: expected an object, found 5",
            ),
            (
                flag()
                    .segment(Segment::new())
                    .segment(Segment::new().rollout(101)),
                "Segments[1].RolloutPercent: 101 is out of range, expected 0 to 100",
            ),
            (
                flag().segment(Segment::new().distribution("on", 99)),
                "Segments[0].Distributions: the percents add up to 99, expected 100",
            ),
            (
                flag().segment(Segment::new().distribution("", 100)),
                "Segments[0].Distributions[0]: neither VariantKey nor VariantID is given",
            ),
            (
                flag().segment(Segment::new().distribution("nope", 100)),
                r#"Segments[0].Distributions[0].VariantKey: the flag has no variant "nope""#,
            ),
        ] {
            assert_eq!(faults_of(flag), [fault]);
        }
    }

    #[test]
    fn a_share_out_of_range_is_told_with_the_sum() {
        let segment = Segment::new()
            .distribution("on", u64::MAX)
            .distribution("off", 101);
        assert_eq!(
            faults_of(flag().segment(segment)),
            [
                "Segments[0].Distributions[0].Percent: 18446744073709551615 is out of range, expected 0 to 100",
                "Segments[0].Distributions[1].Percent: 101 is out of range, expected 0 to 100",
                "Segments[0].Distributions: the percents add up to 18446744073709551615, expected 100",
            ]
        );
    }

    #[test]
    fn a_variant_given_by_number_needs_no_key_but_a_key_must_exist() {
        let with_id = |key: &str| {
            let mut segment = Segment::new().distribution(key, 100);
            segment.distributions[0].variant_id = 424_242;
            faults_of(flag().segment(segment)).len()
        };
        assert_eq!((with_id(""), with_id("on"), with_id("nope")), (0, 0, 1));
    }

    #[test]
    fn both_of_two_flags_with_one_key_are_at_fault() {
        let set: FlagSet = [
            Flag::new("a"),
            Flag::new("b"),
            Flag::new("a"),
            Flag::new(""),
        ]
        .into_iter()
        .collect();
        let counts: Vec<_> = faults(&set).iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 1, 1]);
    }

    #[test]
    fn an_exported_flag_is_at_fault_only_where_flagr_would_stumble() {
        let short =
            |rollout| flag().segment(Segment::new().rollout(rollout).distribution("on", 99));
        assert_eq!(exported(short(0)), Vec::<String>::new());
        assert_eq!(
            exported(short(1)),
            ["Segments[0].Distributions: the percents add up to 99, expected 100"]
        );
        assert_eq!(exported(Flag::new("").id(3)), Vec::<String>::new());
        assert_eq!(
            exported(Flag::new("")),
            ["Key: missing or empty, and so is the ID"]
        );
        let lax = Segment::new().rollout(200).distribution("nope", 150);
        assert_eq!(exported(flag().segment(lax)), Vec::<String>::new());
        let huge = Segment::new()
            .distribution("on", u64::MAX)
            .distribution("off", 1);
        assert_eq!(exported(flag().segment(huge)).len(), 1);
    }

    #[test]
    fn what_could_not_be_read_is_told_first() {
        let json =
            br#"{"Flags":[{"Key":5},{"Key":"b","Enabled":1,"Segments":[{"RolloutPercent":101}]}]}"#;
        assert_eq!(
            faults(&FlagSet::from_json(json).unwrap()),
            [
                vec![
                    "Key: expected a string, found a number",
                    "Key: missing or empty"
                ],
                vec![
                    "Enabled: expected true or false, found 1",
                    "Segments[0].RolloutPercent: 101 is out of range, expected 0 to 100"
                ],
            ]
        );
        assert_eq!(
            faults(&FlagSet::from_export(json).unwrap())[1],
            ["Enabled: expected true or false, found 1"]
        );
    }

    #[test]
    fn the_number_of_faults_told_is_bounded() {
        let segment = (0..100_000).fold(Segment::new(), |segment, _| {
            segment.distribution("nope", 101)
        });
        assert_eq!(faults_of(flag().segment(segment)).len(), MAX_FAULTS);
    }
}
