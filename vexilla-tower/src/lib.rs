#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
#[cfg(feature = "ops")]
pub mod ops;

pub use layer::{VexillaLayer, VexillaService};
pub use vexilla_core::request::FlagsFromError;
pub use vexilla_core::request::http::{HasFlags, PeerAddr, flags_from};
#[doc(inline)]
pub use vexilla_core::*;
