#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
#[cfg(feature = "ops")]
pub mod ops;

pub use layer::{VexillaLayer, VexillaService};
/// Everything else of the core crate.
pub use vexilla_core;
#[cfg(feature = "flagr")]
#[doc(inline)]
pub use vexilla_core::FlagrSource;
pub use vexilla_core::request::FlagsFromError;
pub use vexilla_core::request::http::{HasFlags, PeerAddr, flags_from, set_flags};
#[doc(inline)]
pub use vexilla_core::{
    BoolFlag, Context, EmptyEntity, Evaluation, FileSource, FlagError, Flags, FloatFlag, IntFlag,
    Overrides, Reason, SourceError, StringFlag, Value, Vexilla, flag, request,
};
#[cfg(feature = "refresh")]
#[doc(inline)]
pub use vexilla_core::{LastKnownGoodFile, Level, Status, VexillaBuilder};
