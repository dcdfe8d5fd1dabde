#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bucket;
mod causes;
#[cfg(feature = "refresh")]
pub mod changes;
mod constraint;
pub mod context;
mod evaluate;
mod excerpt;
pub mod explain;
pub mod filter;
pub mod flag;
mod flags;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
#[cfg(feature = "refresh")]
mod io_thread;
mod limits;
pub mod metrics;
#[cfg(feature = "ops")]
pub mod ops;
mod outcome;
pub mod overrides;
#[cfg(feature = "refresh")]
pub mod persist;
mod reason;
mod regular_file;
#[cfg(feature = "http")]
pub mod request;
pub mod snapshot;
pub mod source;
mod store;
#[cfg(feature = "refresh")]
mod symlinks;
#[cfg(feature = "refresh")]
mod sync;
pub mod typed;
mod vexilla;

/// The outcome of a flag: its value, the reason and the error.
pub mod evaluation {
    pub use crate::evaluate::{EmptyEntity, Evaluation, Replacement};
    pub use crate::reason::{ErrorCode, FlagError, Reason};
}

/// How fresh the loaded flags are, and what went wrong lately.
#[cfg(feature = "refresh")]
pub mod status {
    pub use crate::sync::{
        BreakerState, Counts, Download, Level, ShutdownReport, Status, StatusWatch,
    };
}

pub use context::{Context, Value};
pub use evaluation::{EmptyEntity, Evaluation, FlagError, Reason};
pub use filter::Filter;
pub use flags::Flags;
pub use limits::Limits;
pub use overrides::Overrides;
#[cfg(feature = "refresh")]
pub use persist::LastKnownGoodFile;
#[cfg(feature = "flagr")]
pub use source::FlagrSource;
pub use source::{FileSource, SourceError};
#[cfg(feature = "refresh")]
pub use status::{Level, Status};
pub use typed::{BoolFlag, FloatFlag, IntFlag, StringFlag};
pub use vexilla::Vexilla;
#[cfg(feature = "refresh")]
pub use vexilla::VexillaBuilder;
