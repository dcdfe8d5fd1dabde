//! `Debug` of flags: which one it is and how much there is in it, in a bounded
//! number of words.
//!
//! Flags reach requests, and requests reach logs. What flags say can be long and
//! can name people, so none of it is printed; keys and names are cut. Serialize a
//! flag to see all of it.

use std::fmt::{Debug, Formatter, Result};

use super::{Attachment, Constraint, Distribution, Flag, FlagSet, Segment, Tag, Variant};
use crate::excerpt::name;

impl Debug for FlagSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("FlagSet")
            .field("flags", &self.flags.len())
            .field("origin", &self.origin)
            .finish()
    }
}

impl Debug for Flag {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Flag")
            .field("id", &self.id)
            .field("key", &name(&self.key))
            .field("enabled", &self.enabled)
            .field("segments", &self.segments.len())
            .field("variants", &self.variants.len())
            .field("tags", &self.tags.len())
            .field("snapshot_id", &self.snapshot_id)
            .finish_non_exhaustive()
    }
}

impl Debug for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Segment")
            .field("id", &self.id)
            .field("rollout_percent", &self.rollout_percent)
            .field("constraints", &self.constraints.len())
            .field("distributions", &self.distributions.len())
            .finish_non_exhaustive()
    }
}

impl Debug for Constraint {
    /// Property and operator; of the value, how many bytes it has.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Constraint")
            .field("id", &self.id)
            .field("property", &name(&self.property))
            .field("operator", &name(&self.operator))
            .field("value_bytes", &self.value.len())
            .finish_non_exhaustive()
    }
}

impl Debug for Distribution {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Distribution")
            .field("id", &self.id)
            .field("variant_id", &self.variant_id)
            .field("variant_key", &name(&self.variant_key))
            .field("percent", &self.percent)
            .finish_non_exhaustive()
    }
}

impl Debug for Variant {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Variant")
            .field("id", &self.id)
            .field("key", &name(&self.key))
            .field("attachment", &self.attachment)
            .finish_non_exhaustive()
    }
}

impl Debug for Attachment {
    /// How many bytes it has.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Attachment")
            .field("bytes", &self.raw().len())
            .finish_non_exhaustive()
    }
}

impl Debug for Tag {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Tag")
            .field("id", &self.id)
            .field("value", &name(&self.value))
            .finish_non_exhaustive()
    }
}
