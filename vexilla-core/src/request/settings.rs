//! The settings that the layers of all frameworks share.

use crate::flags::Flags;
use crate::vexilla::Vexilla;

use super::{ContextRules, FlagsFromError, RequestView};

/// Whose flags a layer gives, how contexts are made, and when. The requests share
/// it: one counted pointer is all that each of them brings.
#[derive(Debug, Clone)]
pub struct LayerSettings {
    /// Whose flags.
    pub vexilla: Vexilla,
    /// How contexts are made.
    pub rules: ContextRules,
    /// Whether the layer itself reads the flags first.
    pub eager: bool,
}

impl LayerSettings {
    /// Default rules, not eager.
    #[must_use]
    pub fn new(vexilla: Vexilla) -> Self {
        Self {
            vexilla,
            rules: ContextRules::new(),
            eager: false,
        }
    }

    /// The flags as they are now, for the context of the request as it is now.
    pub(super) fn flags(&self, request: &RequestView<'_>) -> Result<Flags, FlagsFromError> {
        let context = self.rules.context_for_flags(request)?;
        Ok(self.vexilla.flags(context))
    }
}
