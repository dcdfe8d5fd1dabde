//! Making flags in code: constructors and by-value setters.
//!
//! Nothing is checked here; a flag made in code is held to the same rules as one from a file
//! ([`Origin::File`](super::Origin::File)) when it is put to use.

use serde_json::json;

use super::{Attachment, Constraint, Distribution, Flag, FlagSet, Segment, Tag, Variant};

impl From<Vec<Flag>> for FlagSet {
    /// Flags made in code, with the rules of a file. IDs that are missing stay so until
    /// [`assign_missing_ids`](Self::assign_missing_ids).
    fn from(flags: Vec<Flag>) -> Self {
        Self {
            flags,
            ..Self::default()
        }
    }
}

impl<const N: usize> From<[Flag; N]> for FlagSet {
    /// A set of flags made in code.
    fn from(flags: [Flag; N]) -> Self {
        Self::from(Vec::from(flags))
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        Self::from(Vec::from_iter(flags))
    }
}

impl Flag {
    /// A flag that is off, without variants and segments.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// A flag that is enabled and gives everyone the variant `on` (when `value` holds) or `off`.
    ///
    /// The variants carry `{"enabled":true}` and `{"enabled":false}`.
    pub fn boolean(key: impl Into<String>, value: bool) -> Self {
        Self::new(key)
            .enabled(true)
            .variant(Variant::new("on").attachment(json!({"enabled": true})))
            .variant(Variant::new("off").attachment(json!({"enabled": false})))
            .segment(Segment::new().distribution(if value { "on" } else { "off" }, 100))
    }

    /// Sets the flag's number, which salts its rollout; 0 stands for missing.
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Sets what the flag is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Turns the flag on or off.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Adds a segment, evaluated after those already there.
    pub fn segment(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// Adds a variant.
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variants.push(variant);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            value: value.into(),
            ..Tag::default()
        });
        self
    }

    /// Sets the entity type that replaces the one a request names.
    pub fn entity_type(mut self, entity_type: impl Into<String>) -> Self {
        self.entity_type = entity_type.into();
        self
    }

    /// Sets whether evaluations of this flag are to be recorded.
    pub fn data_records_enabled(mut self, enabled: bool) -> Self {
        self.data_records_enabled = enabled;
        self
    }
}

impl Segment {
    /// A segment for everyone, rolled out to 100 %, without distributions.
    ///
    /// (The segment of a file that names no `RolloutPercent` is rolled out to 0 %, as is `Segment::default()`.)
    pub fn new() -> Self {
        Self {
            rollout_percent: 100,
            ..Self::default()
        }
    }

    /// Sets the segment's number; 0 stands for missing.
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Sets whom the segment is meant for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets how much of each variant's share is rolled out, 0 to 100.
    pub fn rollout(mut self, percent: u64) -> Self {
        self.rollout_percent = percent;
        self
    }

    /// Adds a constraint; all of a segment's constraints must hold.
    pub fn constraint(mut self, constraint: Constraint) -> Self {
        self.constraints.push(constraint);
        self
    }

    /// Gives the variant of this key a share of the segment, 0 to 100. A segment's shares add up to 100.
    pub fn distribution(mut self, variant_key: impl Into<String>, percent: u64) -> Self {
        self.distributions.push(Distribution {
            variant_key: variant_key.into(),
            percent,
            ..Distribution::default()
        });
        self
    }
}

impl Constraint {
    /// A constraint such as `Constraint::new("country", "IN", r#"["BR","PT"]"#)`: the value is source text, a
    /// string in it carries its own quotes.
    pub fn new(
        property: impl Into<String>,
        operator: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self {
            property: property.into(),
            operator: operator.into(),
            value: value.into(),
            ..Self::default()
        }
    }
}

impl Variant {
    /// A variant without attachment.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// Sets the variant's number; 0 stands for missing.
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Sets what the variant configures. `null` is no attachment; anything else must be an object, or the
    /// flag is at fault when it is put to use.
    pub fn attachment(mut self, attachment: impl Into<Attachment>) -> Self {
        self.attachment = Some(attachment.into()).filter(|given| given.raw() != "null");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Origin, faults};

    #[test]
    fn a_boolean_flag_gives_everyone_its_value() {
        for (value, key) in [(true, "on"), (false, "off")] {
            let flag = Flag::boolean("a", value);
            assert!(flag.enabled);
            let shares = &flag.segments[0].distributions;
            assert_eq!(
                (shares[0].variant_key.as_str(), shares[0].percent),
                (key, 100)
            );
            assert_eq!(flag.segments[0].rollout_percent, 100);
            assert_eq!(
                flag.variants[1].attachment.as_ref().unwrap().json(),
                r#"{"enabled":false}"#
            );
            assert_eq!(faults(&FlagSet::from(vec![flag])), [Vec::<String>::new()]);
        }
    }

    #[test]
    fn null_is_no_attachment() {
        assert_eq!(Variant::new("a").attachment(json!(null)).attachment, None);
    }

    #[test]
    fn collected_flags_are_held_to_the_rules_of_a_file() {
        let set: FlagSet = [Flag::new("a"), Flag::new("b")].into_iter().collect();
        assert_eq!(set.origin, Origin::File);
        assert_eq!(set.flags[1].key, "b");
    }
}
