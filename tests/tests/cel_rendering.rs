//! The CEL rendering of every recorded constraint answers the same as the
//! constraint itself, but where a number is equal to another only in Flagr, as
//! it compares them within 1e-6.
//!
//! `cargo test -p vexilla-tests --test cel_rendering -- --nocapture` lists what
//! CEL cannot express, by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Origin, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Context, EmptyEntity, Flags};
use vexilla_tests::vectors::{self, Vectors};

/// A flag that is on for whoever fulfils the constraints.
fn on_for(constraints: Vec<Constraint>, origin: Origin) -> Snapshot {
    let mut segment = Segment::new().distribution("on", 100);
    segment.constraints = constraints;
    let flag = Flag::new("flag")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    let mut set = FlagSet::from([flag]);
    set.origin = origin;
    Snapshot::new(set)
}

fn matches(snapshot: &Snapshot, context: &Context) -> bool {
    snapshot
        .evaluate("flag", context, EmptyEntity::NoRollout)
        .variant_id()
        .is_some()
}

#[test]
fn renderings_answer_the_same() {
    let mut compared = 0;
    let mut within_tolerance = 0;
    let mut rendered = 0;
    let mut not_in_cel: BTreeMap<String, usize> = BTreeMap::new();
    let mut mismatches = Vec::new();
    for path in vectors::files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))) {
        let Ok(vectors) = Vectors::parse(&vectors::read(&path)) else {
            continue; // whole files
        };
        for flag in vectors.snapshot().flags() {
            for segment in flag.segments.iter().filter(|s| !s.constraints.is_empty()) {
                let native = on_for(segment.constraints.clone(), Origin::Export);
                let flags = Flags::new(Arc::new(native), Context::new("e"));
                let explanation = flags.explain("flag");
                let explained = &explanation.segments[0];
                let Some(cel) = &explained.cel else {
                    let what = explained.not_in_cel.clone().expect("a reason");
                    *not_in_cel.entry(what).or_default() += 1;
                    continue;
                };
                let constraint = Constraint::new("cel", "CEL", cel.as_str());
                let rendering = on_for(vec![constraint], Origin::File);
                if let Some(problem) = rendering.problems().next() {
                    mismatches.push(format!("{cel}: {problem:?}"));
                    continue;
                }
                rendered += 1;
                for context in &vectors.contexts {
                    compared += 1;
                    if matches(flags.snapshot(), context) == matches(&rendering, context) {
                        continue;
                    }
                    let explanation = flags.for_context(context.clone()).explain("flag");
                    if explanation.segments[0].within_tolerance {
                        within_tolerance += 1;
                        continue;
                    }
                    mismatches.push(format!("{}: {context:?}\n{explanation}", path.display()));
                }
            }
        }
    }
    println!("{rendered} segments rendered, {compared} evaluations compared");
    println!("{within_tolerance} answers differ by Flagr's tolerance");
    for (what, count) in &not_in_cel {
        println!("not in CEL: {what} ({count} segments)");
    }
    for mismatch in mismatches.iter().take(20) {
        println!("{mismatch}");
    }
    assert_eq!(mismatches.len(), 0);
    assert!(within_tolerance * 100 < compared, "they are few");
    assert!(rendered > 2_000, "most constraints can be rendered");
}
