#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bucket;
mod causes;
#[cfg(feature = "refresh")]
mod changes;
mod constraint;
mod context;
mod evaluate;
mod excerpt;
mod explain;
mod filter;
pub mod flag;
mod flags;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
#[cfg(feature = "refresh")]
mod io_thread;
mod limits;
mod metrics;
#[cfg(feature = "ops")]
pub mod ops;
mod outcome;
mod overrides;
#[cfg(feature = "refresh")]
mod persist;
mod reason;
mod regular_file;
#[cfg(feature = "http")]
pub mod request;
mod snapshot;
mod source;
mod store;
#[cfg(feature = "refresh")]
mod symlinks;
#[cfg(feature = "refresh")]
mod sync;
mod typed;
mod vexilla;

#[cfg(feature = "refresh")]
pub use changes::{Change, Changes};
pub use context::{
    AttributeValue, Context, ContextRef, EvaluationContext, Map, Text, Value, ValueRef,
};
pub use evaluate::{EmptyEntity, Evaluation, Replacement};
pub use explain::{
    Explanation, Node, Outcome, RolloutExplanation, SegmentExplanation, ShareExplanation,
};
pub use filter::{Filter, FilterReport};
pub use flag::FlagSet;
pub use flags::Flags;
pub use limits::Limits;
pub use metrics::{EvaluationCounts, FlagCount, VariantCount};
pub use overrides::{OverrideValue, Overrides};
#[cfg(feature = "refresh")]
pub use persist::{LastKnownGood, LastKnownGoodFile, Packing, PersistError, PersistErrorKind};
pub use reason::{ErrorCode, FlagError, Reason};
pub use snapshot::{Problem, Snapshot, TagMatch};
pub use source::{DEFAULT_MAX_BYTES, FileSource, SourceError, SourceErrorKind};
#[cfg(feature = "refresh")]
pub use source::{FetchProgress, MemorySource, Source, SourceTimeouts};
#[cfg(feature = "flagr")]
pub use source::{FlagrSource, FlagrSourceBuilder};
pub use store::Pinned;
#[cfg(feature = "refresh")]
pub use sync::{BreakerState, Counts, Download, Level, ShutdownReport, Status, StatusWatch};
pub use typed::{BoolFlag, FloatFlag, IntFlag, StringFlag, TypedFlag};
pub use vexilla::Vexilla;
#[cfg(feature = "refresh")]
pub use vexilla::VexillaBuilder;
