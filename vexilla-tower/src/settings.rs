//! What a layer is set to.

use vexilla_core::Vexilla;
use vexilla_core::request::ContextRules;

use crate::view::FindPeer;

/// Whose flags a layer gives, how contexts are made, and when. Requests share
/// it: one counted pointer is all that each of them brings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) vexilla: Vexilla,
    pub(crate) rules: ContextRules,
    pub(crate) find_peer: FindPeer,
    pub(crate) eager: bool,
}
