#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
#[cfg(feature = "ops")]
pub mod ops;

pub use layer::VexillaLayer;
/// Everything else of the core crate.
pub use vexilla_core;
#[cfg(feature = "flagr")]
#[doc(inline)]
pub use vexilla_core::FlagrSource;
#[doc(inline)]
pub use vexilla_core::{
    BoolFlag, Context, EmptyEntity, Evaluation, FileSource, FlagError, Flags, FloatFlag, IntFlag,
    Overrides, Reason, SourceError, StringFlag, Value, Vexilla, flag, request,
};
#[cfg(feature = "refresh")]
#[doc(inline)]
pub use vexilla_core::{LastKnownGoodFile, Level, Status, VexillaBuilder};
pub use vexilla_tower::{
    FlagsFromError, HasFlags, PeerAddr, VexillaService, flags_from, set_flags,
};
