//! What a layer is set to.

use actix_web::http::header::HeaderName;
use vexilla_core::Vexilla;
use vexilla_core::request::ContextRules;

/// Whose flags a layer gives, how contexts are made, and when. Requests share
/// it: one counted pointer is all that each of them brings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) vexilla: Vexilla,
    rules: ContextRules,
    /// Of the headers that the rules read, each once. With a name that is a
    /// string, actix-web would allocate at each look-up.
    header_names: Vec<HeaderName>,
    pub(crate) eager: bool,
}

impl Settings {
    /// The defaults: default rules, not eager.
    pub(crate) fn new(vexilla: Vexilla) -> Self {
        let mut settings = Self {
            vexilla,
            rules: ContextRules::new(),
            header_names: Vec::new(),
            eager: false,
        };
        settings.set_rules(ContextRules::new());
        settings
    }

    pub(crate) fn set_rules(&mut self, rules: ContextRules) {
        let names = rules.header_names().flat_map(HeaderName::try_from);
        self.header_names = names.collect();
        self.header_names
            .sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        self.header_names.dedup();
        self.rules = rules;
    }

    pub(crate) fn rules(&self) -> &ContextRules {
        &self.rules
    }

    pub(crate) fn header_names(&self) -> &[HeaderName] {
        &self.header_names
    }
}
