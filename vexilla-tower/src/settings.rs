//! What a layer is set to.

use http::header::HeaderName;
use vexilla_core::Vexilla;
use vexilla_core::request::ContextRules;

use crate::view::{FindPeer, peer_addr};

/// Whose flags a layer gives, how contexts are made, and when. Requests share
/// it: one counted pointer is all that each of them brings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) vexilla: Vexilla,
    rules: ContextRules,
    /// The headers that the rules read, in their order, unless there is no such
    /// name. One that is a string would be parsed at each look-up.
    header_names: Vec<Option<HeaderName>>,
    pub(crate) find_peer: FindPeer,
    pub(crate) eager: bool,
}

impl Settings {
    /// The defaults: default rules, not eager.
    pub(crate) fn new(vexilla: Vexilla) -> Self {
        let rules = ContextRules::new();
        Self {
            vexilla,
            header_names: header_names(&rules),
            rules,
            find_peer: peer_addr,
            eager: false,
        }
    }

    pub(crate) fn set_rules(&mut self, rules: ContextRules) {
        self.header_names = header_names(&rules);
        self.rules = rules;
    }

    pub(crate) fn rules(&self) -> &ContextRules {
        &self.rules
    }

    pub(crate) fn header_names(&self) -> &[Option<HeaderName>] {
        &self.header_names
    }
}

fn header_names(rules: &ContextRules) -> Vec<Option<HeaderName>> {
    let names = rules.header_names().iter();
    names
        .map(|name| HeaderName::try_from(&**name).ok())
        .collect()
}
