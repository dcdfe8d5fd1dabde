//! What the tests of the layer share.

use vexilla_actix::flag::{Constraint, Flag, Segment, Variant};
use vexilla_actix::request::ContextRules;
use vexilla_actix::{Flags, Vexilla, VexillaLayer};

pub(crate) const FLAG: &str = "new-feature";

/// On for user 7 alone.
pub(crate) fn vexilla() -> Vexilla {
    let segment = Segment::new()
        .rollout(100)
        .constraint(Constraint::new("user", "EQ", "\"7\""))
        .distribution("on", 100);
    let flag = Flag::new(FLAG)
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    Vexilla::fixed([flag])
}

/// Rules that know the entity as the attribute `user`, too.
pub(crate) fn rules() -> ContextRules {
    ContextRules::new().with(|_, context| {
        let user = context.entity_id().to_owned();
        context.set("user", user);
    })
}

pub(crate) fn layer() -> VexillaLayer {
    VexillaLayer::new(vexilla()).context(rules())
}

pub(crate) async fn read(flags: Flags) -> String {
    flags.bool(FLAG).to_string()
}
