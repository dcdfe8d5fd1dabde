//! What a layer is set to.

use vexilla_core::request::ContextRules;

use crate::view::FindPeer;

/// How contexts are made, and when.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) rules: ContextRules,
    pub(crate) find_peer: FindPeer,
    pub(crate) eager: bool,
}
