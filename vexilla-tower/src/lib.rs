#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod flags;
mod layer;
#[cfg(feature = "ops")]
pub mod ops;
mod settings;
mod view;

pub use flags::{FlagsFromError, HasFlags, flags_from};
pub use layer::{VexillaLayer, VexillaService};
#[doc(inline)]
pub use vexilla_core::*;
pub use view::{PeerAddr, RequestExtensions};
