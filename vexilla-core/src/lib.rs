#![doc = include_str!("../README.md")]

pub mod bucket;
mod constraint;
mod context;
mod evaluate;
mod explain;
mod filter;
pub mod flag;
mod flags;
mod overrides;
#[cfg(feature = "refresh")]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the loop that saves and restores uses the rest")
)]
mod persist;
mod reason;
pub mod request;
mod snapshot;
mod source;
mod store;
mod typed;
mod vexilla;

pub use context::{Context, ContextRef, EvaluationContext, Map, Value, ValueRef};
pub use evaluate::{EmptyEntity, Evaluation};
pub use explain::{
    Explanation, Node, Outcome, RolloutExplanation, SegmentExplanation, ShareExplanation,
};
pub use filter::{Filter, FilterReport};
pub use flag::FlagSet;
pub use flags::Flags;
pub use overrides::{OverrideValue, Overrides};
#[cfg(feature = "refresh")]
pub use persist::{LastKnownGood, LastKnownGoodFile, Packing, PersistError, PersistErrorKind};
pub use reason::{ErrorCode, FlagError, Reason};
pub use snapshot::{Problem, Snapshot, TagMatch};
pub use source::{DEFAULT_MAX_BYTES, FileSource, SourceError, SourceErrorKind};
#[cfg(feature = "flagr")]
pub use source::{FlagrSource, FlagrSourceBuilder};
#[cfg(feature = "refresh")]
pub use source::{MemorySource, Source};
pub use store::Pinned;
pub use typed::{BoolFlag, FloatFlag, IntFlag, StringFlag, TypedFlag};
pub use vexilla::Vexilla;
#[cfg(feature = "refresh")]
pub use vexilla::VexillaBuilder;
