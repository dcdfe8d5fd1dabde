//! What a layer is set to.

use vexilla_core::request::ContextRules;

/// How contexts are made, and when.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) rules: ContextRules,
    pub(crate) eager: bool,
}
