//! The settings that the layers of all frameworks share.

use std::fmt;
use std::sync::Arc;

use crate::flags::Flags;
use crate::overrides::Overrides;
use crate::vexilla::Vexilla;

use super::{ContextRules, FlagsFromError, RequestView};

/// Whose flags a layer gives, how contexts are made, and when. The requests share
/// it: one counted pointer is all that each of them brings.
#[derive(Clone)]
pub struct LayerSettings {
    /// Whose flags.
    pub vexilla: Vexilla,
    /// How contexts are made.
    pub rules: ContextRules,
    /// Whether the layer itself reads the flags first.
    pub eager: bool,
    /// The overrides of a request.
    pub overrides: Option<RequestOverrides>,
}

/// Makes the overrides of a request.
pub(super) type RequestOverrides = Arc<dyn Fn(&RequestView<'_>) -> Option<Overrides> + Send + Sync>;

impl LayerSettings {
    /// Default rules, not eager, without overrides.
    #[must_use]
    pub fn new(vexilla: Vexilla) -> Self {
        Self {
            vexilla,
            rules: ContextRules::new(),
            eager: false,
            overrides: None,
        }
    }

    /// The flags as they are now, for the context of the request as it is now.
    pub(super) fn flags(&self, request: &RequestView<'_>) -> Result<Flags, FlagsFromError> {
        let context = self.rules.context_for_flags(request)?;
        let flags = self.vexilla.flags(context);
        let overrides = self.overrides.as_ref().and_then(|make| make(request));
        Ok(match overrides {
            Some(overrides) => flags.with_overrides(&overrides),
            None => flags,
        })
    }
}

impl fmt::Debug for LayerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerSettings")
            .field("vexilla", &self.vexilla)
            .field("rules", &self.rules)
            .field("eager", &self.eager)
            .field("overrides", &self.overrides.is_some())
            .finish()
    }
}
