#![doc = include_str!("../README.md")]

mod extract;
mod flags;
mod layer;
mod view;

pub use extract::{Flags, MissingLayer};
pub use flags::{HasFlags, flags_from};
pub use layer::{VexillaLayer, VexillaService};
#[doc(inline)]
pub use vexilla_core::*;
pub use view::RequestExtensions;
