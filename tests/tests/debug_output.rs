//! What `Debug` shows of everything that reaches flags or a context: little, and
//! nothing of what they say. `#[tracing::instrument]` prints a handler's
//! arguments with it, for each request.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::json;
use vexilla_core::context::{ContextRef, ValueRef};
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Attachment, Constraint, Flag, Segment, Variant};
use vexilla_core::ops::{Operations, Webhook};
use vexilla_core::overrides::OverrideValue;
use vexilla_core::request::ContextRules;
use vexilla_core::snapshot::Snapshot;
use vexilla_core::source::MemorySource;
use vexilla_core::{BoolFlag, Context, EmptyEntity, Flags, Overrides, StringFlag, Vexilla};

/// Stands wherever flags or a context can say something.
const SECRET: &str = "kryptonite";
/// More than anything shows, in bytes.
const SHORT: usize = 2_000;

fn flag(n: usize) -> Flag {
    let mut flag = Flag::new(format!("flag-{n}"))
        .enabled(true)
        .description(SECRET)
        .variant(Variant::new("on").attachment(json!({"value": SECRET})))
        .segment(
            Segment::new()
                .description(SECRET)
                .constraint(Constraint::new("email", "NEQ", format!("{SECRET:?}")))
                .constraint(Constraint::new(
                    "email",
                    "CEL",
                    format!("email == {SECRET:?}"),
                ))
                .distribution("on", 100),
        )
        .segment(
            Segment::new()
                .constraint(Constraint::new("email", "EREG", format!("\"{SECRET}\"")))
                .constraint(Constraint::new("email", "IN", format!("[{SECRET:?}]")))
                .distribution("on", 100),
        );
    if n > 10 {
        // Compiling takes longer than the rest of the test.
        flag.segments.pop();
        flag.segments[0].constraints.pop();
    }
    flag.notes = SECRET.to_owned();
    flag.created_by = SECRET.to_owned();
    if n == 1 {
        flag.segments[0].constraints[0].value = format!("[{SECRET:?},]");
    }
    flag
}

fn set() -> FlagSet {
    (0..10_000).map(flag).collect()
}

fn context() -> Context {
    Context::new(SECRET)
        .with_entity_type(SECRET)
        .with("email", SECRET)
        .with("all", [SECRET, SECRET])
}

fn shows_little(what: &str, value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(SECRET), "{what} shows a secret: {shown}");
        let bytes = shown.len();
        assert!(bytes < SHORT, "{what} shows {bytes} bytes");
    }
}

macro_rules! show_little {
    ($($value:expr),* $(,)?) => {$(shows_little(stringify!($value), &$value);)*};
}

#[tokio::test]
async fn nothing_of_the_core_shows_what_flags_or_contexts_say() {
    static TYPED: BoolFlag = BoolFlag::new("flag-0", false);
    static TEXT: StringFlag = StringFlag::new("flag-0", "");

    let overrides = Overrides::new()
        .set("flag-3", SECRET)
        .set_json("flag-4", json!({"a": SECRET}))
        .set_variant("flag-5", "on");
    let fixed = Vexilla::fixed(set())
        .with_overrides(overrides.clone())
        .with_evaluation_counts();
    let source = MemorySource::new(set());
    let builder = || {
        Vexilla::builder(source.clone())
            .overrides(overrides.clone())
            .embedded(set())
            .emergency_default("flag-6", SECRET)
    };
    let served = builder().build().await.unwrap();
    let (changes, watch) = (served.changes(), served.watch_status());
    assert_eq!(served.snapshot().problem_count(), 1);

    let flags = fixed.flags(context());
    assert_eq!(flags.get(&TEXT), SECRET);
    assert!(flags.get(&TYPED));
    let evaluation = flags.evaluate("flag-3");
    let attributes = [("email", ValueRef::String(SECRET))];
    let borrowed = ContextRef::new(SECRET)
        .entity_type(SECRET)
        .attributes(&attributes);
    let snapshot: Arc<Snapshot> = fixed.snapshot();
    let (set, one) = (set(), flag(1));
    let with_problem = flags.try_bool("flag-1").unwrap_err();
    let explanation = flags.explain("flag-2");
    assert!(
        serde_json::to_string(&explanation)
            .unwrap()
            .contains(SECRET)
    );
    let segment = explanation.segments.first().unwrap();
    let request = snapshot.evaluate_request(Some(1), None, &context(), EmptyEntity::NoRollout);
    let mut hearing = fixed.changes();
    fixed.replace([Flag::new("other")]);
    let change = hearing.next().await.unwrap();
    assert!(change.removed.len() > 9_000);
    show_little![
        TYPED,
        TEXT,
        overrides,
        OverrideValue::from(SECRET),
        fixed,
        served,
        served.status(),
        builder(),
        source,
        changes,
        watch,
        hearing,
        change,
        flags,
        fixed.pin(),
        snapshot,
        evaluation,
        request,
        with_problem,
        snapshot.problems().next().unwrap(),
        flags.context(),
        context(),
        borrowed,
        explanation,
        segment,
        segment.constraints,
        fixed.evaluation_counts(),
        set,
        one,
        one.segments[0],
        one.segments[0].constraints[0],
        one.segments[0].distributions[0],
        one.variants[0],
        Attachment::from(json!({"a": SECRET})),
    ];
    assert!(
        served
            .shutdown(std::time::Duration::from_secs(60))
            .await
            .ended
    );
}

#[tokio::test]
async fn nothing_of_the_operations_shows_what_flags_say() {
    let vexilla = Vexilla::fixed(set());
    let operations = Operations::new(vexilla.clone(), SECRET).unwrap();
    let webhook = Webhook::new(vexilla).signing_secret(SECRET);
    show_little![operations, webhook];
    show_little![webhook.build().unwrap()];
}

#[test]
fn no_layer_shows_what_flags_say() {
    let vexilla = Vexilla::fixed(set());
    let flags: Flags = vexilla.flags(context());
    show_little![
        vexilla_axum::VexillaLayer::new(vexilla.clone()).context(ContextRules::new()),
        vexilla_actix::VexillaLayer::new(vexilla),
        flags,
    ];
}
