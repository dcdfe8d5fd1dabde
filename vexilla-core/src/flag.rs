//! Flagr's wire model: flags as its export prints them and as its flag files spell them.
//!
//! The types follow Flagr 1.2 (`pkg/entity`) member by member. They are data only: nothing here is
//! compiled or checked for sense, and a flag that could not be read in full is kept with what could
//! be read of it, so that one bad flag never hides the others.
//!
//! Documents are read by [`FlagSet::from_json`] (flag files) and [`FlagSet::from_export`] (a server's
//! export) in the dialect of Go's `encoding/json`, which Flagr reads them with. Serialising gives the
//! export's form again; the two differences are that an empty list is printed as `[]` where Flagr may
//! print `null`, and that an attachment is printed as it was written.
//!
//! `Debug` shows which flag it is and how much is in it, nothing of what it says: flags reach logs with the
//! requests that read them.
//!
//! Flags are made in code with by-value methods:
//!
//! ```
//! use serde_json::json;
//! use vexilla_core::flag::{Constraint, Flag, FlagSet, Segment, Variant};
//!
//! let flag = Flag::new("checkout-colour")
//!     .enabled(true)
//!     .variant(Variant::new("blue").attachment(json!({"hex": "#00f"})))
//!     .variant(Variant::new("red").attachment(json!({"hex": "#f00"})))
//!     .segment(
//!         Segment::new()
//!             .constraint(Constraint::new("country", "EQ", "\"BR\""))
//!             .rollout(50)
//!             .distribution("blue", 30)
//!             .distribution("red", 70),
//!     );
//! let set = FlagSet::from(vec![flag, Flag::boolean("new-feature", true)]);
//! assert_eq!(set.flags.len(), 2);
//! ```

mod attachment;
mod build;
mod check;
mod cursor;
mod debug;
mod decode;
mod document;
mod ids;
mod quote;
mod timestamp;
mod variants_by_id;
mod warning;

use serde::{Serialize, Serializer};

pub use attachment::Attachment;
pub(crate) use check::faults;
pub(crate) use decode::folds_to;
pub use document::{DocumentError, DocumentErrorKind};
pub use timestamp::{Timestamp, TimestampError};
pub(crate) use variants_by_id::VariantsById;
pub use warning::{DocumentWarning, DocumentWarningKind};

/// Where a set of flags comes from, which decides what is demanded of its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Origin {
    /// Written by hand, in a file or in code: IDs may be missing, and a flag must pass all the checks
    /// that Flagr's JSON-file mode makes (Flagr 1.2, `pkg/handler/eval_cache_validate.go`).
    #[default]
    File,
    /// Exported by a Flagr server, which has stored the flags itself and evaluates them unchecked.
    Export,
}

/// A document's flags, in its order.
///
/// The order is kept because Flagr lets the later of two flags with one ID replace the earlier.
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct FlagSet {
    /// The flags, including those that were read only in part.
    pub flags: Vec<Flag>,
    /// Where the flags come from.
    #[serde(skip)]
    pub origin: Origin,
}

/// A feature flag (Flagr 1.2, `pkg/entity/flag.go`).
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Flag {
    /// The flag's number, 0 for missing. Its decimal digits salt the rollout.
    #[serde(rename = "ID")]
    pub id: u64,
    /// When the flag was made; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub created_at: Option<Timestamp>,
    /// When the flag itself was last changed; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub updated_at: Option<Timestamp>,
    /// When the flag was deleted. Neither Vexilla nor Flagr uses it in evaluation.
    pub deleted_at: Option<Timestamp>,
    /// The name by which the flag is asked.
    pub key: String,
    /// What the flag is for.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// Who last changed it.
    pub updated_by: String,
    /// Whether the flag assigns variants at all.
    pub enabled: bool,
    /// Whom the flag addresses, in order of evaluation.
    pub segments: Vec<Segment>,
    /// What the flag can answer.
    pub variants: Vec<Variant>,
    /// Labels by which flags are found.
    pub tags: Vec<Tag>,
    /// The number of the flag's newest snapshot; the greatest of a server's flags tells how new its export is.
    #[serde(rename = "SnapshotID")]
    pub snapshot_id: u64,
    /// Free text.
    pub notes: String,
    /// Whether evaluations of this flag are to be recorded.
    pub data_records_enabled: bool,
    /// When not empty, replaces the entity type that a request names.
    pub entity_type: String,
    /// What could not be read of this flag: the first member at fault and why.
    #[serde(skip)]
    pub(crate) fault: Option<Box<str>>,
}

/// A part of the audience with its own variants (Flagr 1.2, `pkg/entity/segment.go`).
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Segment {
    /// The segment's number, 0 for missing.
    #[serde(rename = "ID")]
    pub id: u64,
    /// When the segment was made; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub created_at: Option<Timestamp>,
    /// When the segment was last changed; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub updated_at: Option<Timestamp>,
    /// When the segment was deleted. Evaluation does not look at it.
    pub deleted_at: Option<Timestamp>,
    /// The number of the flag it belongs to.
    #[serde(rename = "FlagID")]
    pub flag_id: u64,
    /// Whom the segment is meant for.
    pub description: String,
    /// What a server with a database sorts segments by. Evaluation goes by the list's order instead.
    pub rank: u64,
    /// How much of each variant's share is rolled out, 0 to 100.
    pub rollout_percent: u64,
    /// What an entity must fulfil, all of it, to fall into this segment.
    pub constraints: Vec<Constraint>,
    /// How the segment is shared between variants.
    pub distributions: Vec<Distribution>,
}

/// A condition on one property of the entity's context (Flagr 1.2, `pkg/entity/constraint.go`).
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Constraint {
    /// The constraint's number, 0 for missing.
    #[serde(rename = "ID")]
    pub id: u64,
    /// When the constraint was made; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub created_at: Option<Timestamp>,
    /// When the constraint was last changed; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub updated_at: Option<Timestamp>,
    /// When the constraint was deleted. Evaluation does not look at it.
    pub deleted_at: Option<Timestamp>,
    /// The number of the segment it belongs to.
    #[serde(rename = "SegmentID")]
    pub segment_id: u64,
    /// The property's name or path.
    pub property: String,
    /// The comparison, such as `EQ` or `NOTIN`.
    pub operator: String,
    /// The right-hand side as source text: a string carries its own quotes, as in `"BR"`.
    pub value: String,
}

/// A variant's share of a segment (Flagr 1.2, `pkg/entity/distribution.go`).
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Distribution {
    /// The distribution's number, 0 for missing.
    #[serde(rename = "ID")]
    pub id: u64,
    /// When the distribution was made; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub created_at: Option<Timestamp>,
    /// When the distribution was last changed; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub updated_at: Option<Timestamp>,
    /// When the distribution was deleted. Evaluation does not look at it.
    pub deleted_at: Option<Timestamp>,
    /// The number of the segment it belongs to.
    #[serde(rename = "SegmentID")]
    pub segment_id: u64,
    /// The number of the variant; 0 leaves the choice to the key.
    #[serde(rename = "VariantID")]
    pub variant_id: u64,
    /// The variant's key. Where the number is given too, the number decides.
    pub variant_key: String,
    /// The share, 0 to 100; the shares of a segment add up to 100.
    pub percent: u64,
}

/// Something a flag can answer (Flagr 1.2, `pkg/entity/variant.go`).
#[derive(Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Variant {
    /// The variant's number, 0 for missing.
    #[serde(rename = "ID")]
    pub id: u64,
    /// When the variant was made; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub created_at: Option<Timestamp>,
    /// When the variant was last changed; `None` stands for Go's zero time.
    #[serde(serialize_with = "time_or_zero")]
    pub updated_at: Option<Timestamp>,
    /// When the variant was deleted. Evaluation does not look at it.
    pub deleted_at: Option<Timestamp>,
    /// The number of the flag it belongs to; Flagr's file mode leaves it as it is written.
    #[serde(rename = "FlagID")]
    pub flag_id: u64,
    /// The variant's name, unique within its flag.
    pub key: String,
    /// What the variant configures, an object; `None` where the document says `null` or nothing.
    pub attachment: Option<Attachment>,
}

/// A label on a flag (Flagr 1.2, `pkg/entity/tag.go`).
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Tag {
    /// The tag's number, 0 for missing.
    pub id: u64,
    /// When the tag was made; `None` stands for Go's zero time.
    pub created_at: Option<Timestamp>,
    /// When the tag was last changed; `None` stands for Go's zero time.
    pub updated_at: Option<Timestamp>,
    /// When the tag was deleted. Evaluation does not look at it.
    pub deleted_at: Option<Timestamp>,
    /// The label.
    pub value: String,
}

/// Written out because Flagr prints a tag's list of flags too, which its export never fills.
impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Exported<'a> {
            #[serde(rename = "ID")]
            id: u64,
            #[serde(serialize_with = "time_or_zero")]
            created_at: Option<Timestamp>,
            #[serde(serialize_with = "time_or_zero")]
            updated_at: Option<Timestamp>,
            deleted_at: Option<Timestamp>,
            value: &'a str,
            flags: (),
        }
        Exported {
            id: self.id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            value: &self.value,
            flags: (),
        }
        .serialize(serializer)
    }
}

/// Prints a time as Flagr does, which has no other word for a missing one than Go's zero time.
fn time_or_zero<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.unwrap_or(Timestamp::ZERO).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_the_export_form() {
        let mut set = FlagSet::from(vec![
            Flag::new("a")
                .enabled(true)
                .variant(Variant::new("on").attachment(json!({"b": 1})))
                .segment(
                    Segment::new()
                        .constraint(Constraint::new("p", "EQ", "1"))
                        .distribution("on", 100),
                )
                .tag("t"),
        ]);
        set.assign_missing_ids();
        let zero = "0001-01-01T00:00:00Z";
        let model = format!(r#""ID":1,"CreatedAt":"{zero}","UpdatedAt":"{zero}","DeletedAt":null"#);
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            format!(
                concat!(
                    r#"{{"Flags":[{{{m},"Key":"a","Description":"","CreatedBy":"","UpdatedBy":"","Enabled":true,"#,
                    r#""Segments":[{{{m},"FlagID":1,"Description":"","Rank":0,"RolloutPercent":100,"#,
                    r#""Constraints":[{{{m},"SegmentID":1,"Property":"p","Operator":"EQ","Value":"1"}}],"#,
                    r#""Distributions":[{{{m},"SegmentID":1,"VariantID":1,"VariantKey":"on","Percent":100}}]}}],"#,
                    r#""Variants":[{{{m},"FlagID":0,"Key":"on","Attachment":{{"b":1}}}}],"#,
                    r#""Tags":[{{{m},"Value":"t","Flags":null}}],"SnapshotID":0,"Notes":"","#,
                    r#""DataRecordsEnabled":false,"EntityType":""}}]}}"#
                ),
                m = model
            )
        );
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let text = r#"{"Flags":[{"ID":7,"CreatedAt":"2026-01-02T03:04:05.06+02:00","Key":"é","Notes":"n",
            "DeletedAt":"0001-01-01T00:00:00Z","Enabled":true,"SnapshotID":18446744073709551615,
            "Variants":[{"Key":"v","Attachment":{"b":1,"a":[1e2, "x"]}},{"Key":"w","Attachment":null}],
            "Segments":[{"RolloutPercent":3}],"Tags":[{"Value":"t"}]}]}"#;
        let set = FlagSet::from_json(text.as_bytes()).unwrap();
        let printed = serde_json::to_vec(&set).unwrap();
        assert_eq!(FlagSet::from_json(&printed).unwrap(), set);
    }
}
