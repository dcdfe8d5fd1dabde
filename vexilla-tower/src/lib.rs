#![doc = include_str!("../README.md")]

mod flags;
mod layer;
mod view;

pub use flags::{MissingLayer, flags_from};
pub use layer::{VexillaLayer, VexillaService};
#[doc(inline)]
pub use vexilla_core::*;
pub use view::{PeerAddr, RequestExtensions};
