#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
#[cfg(feature = "ops")]
pub mod ops;

pub use layer::VexillaLayer;
#[doc(inline)]
pub use vexilla_core::*;
pub use vexilla_tower::{FlagsFromError, HasFlags, PeerAddr, VexillaService, flags_from};
