//! What a held flag takes of memory beyond its own text: a report of exact numbers,
//! without any timing.
//!
//! *Held* is what the allocator was asked for and did not get back once a
//! snapshot is built and everything else is dropped, spread over the flags; what
//! the allocator rounds up is not in it. *Text* is what of the export a flag must
//! keep, as Flagr's own words for it: keys, descriptions, notes, entity types,
//! tags, properties, operators, values, and attachments as written, byte by
//! byte. Beyond it are ids, times, lists, the compiled form and the indices, most
//! of which Flagr's *export* spells out too: what the flag took there is the other
//! measure of what it says.
//!
//! Compiled regular expressions are the `regex` crate's and are left aside: for
//! `recorded` their constraints compare with `NEQ` instead; `as recorded` is with
//! them. S1 is a flag of one string constraint and a 50 % rollout.
//!
//! Ours: all but the counting, which is the crate `allocation-counter`.
//!
//! `cargo bench -p vexilla-core --bench memory`

#![expect(
    clippy::expect_used,
    reason = "a report without its flags may fail by panicking"
)]
#![expect(clippy::print_stdout, reason = "a report")]

use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;

mod recorded;

/// The flags S1 of the other benches, which differ in key.
fn s1(count: usize) -> FlagSet {
    let flag = |n| {
        Flag::new(format!("s1-{n}"))
            .enabled(true)
            .variant(Variant::new("on").attachment(serde_json::json!({"enabled": true})))
            .variant(Variant::new("off").attachment(serde_json::json!({"enabled": false})))
            .segment(
                Segment::new()
                    .rollout(50)
                    .constraint(Constraint::new("country", "EQ", "\"BR\""))
                    .distribution("on", 100),
            )
    };
    let mut set: FlagSet = (0..count).map(flag).collect();
    set.assign_missing_ids();
    set
}

/// The same flags without regular expressions, with as much text but for a byte
/// or two of each.
fn without_patterns(export: &[u8]) -> FlagSet {
    let mut set = FlagSet::from_export(export).expect("the recording is an export");
    let segments = set.flags.iter_mut().flat_map(|flag| &mut flag.segments);
    for constraint in segments.flat_map(|segment| &mut segment.constraints) {
        if matches!(constraint.operator.as_str(), "EREG" | "NEREG") {
            "NEQ".clone_into(&mut constraint.operator);
        }
    }
    set
}

/// The bytes of a flag's own text.
fn text(flag: &Flag) -> usize {
    let segments = flag.segments.iter().map(|segment| {
        let constraints = segment.constraints.iter().map(|constraint| {
            constraint.property.len() + constraint.operator.len() + constraint.value.len()
        });
        let keys = segment.distributions.iter().map(|d| d.variant_key.len());
        segment.description.len() + constraints.sum::<usize>() + keys.sum::<usize>()
    });
    let variants = flag.variants.iter().map(|variant| {
        let attachment = variant.attachment.as_ref();
        variant.key.len() + attachment.map_or(0, |attachment| attachment.raw().len())
    });
    let about = [
        &flag.key,
        &flag.description,
        &flag.created_by,
        &flag.updated_by,
        &flag.notes,
        &flag.entity_type,
    ];
    about.iter().map(|text| text.len()).sum::<usize>()
        + segments.sum::<usize>()
        + variants.sum::<usize>()
        + flag.tags.iter().map(|tag| tag.value.len()).sum::<usize>()
}

/// Measures the flags of an export and prints a line.
fn report(name: &str, export: &[u8]) {
    let mut held = None;
    let measured = allocation_counter::measure(|| {
        held = FlagSet::from_export(export).map(Snapshot::new).ok();
    });
    let snapshot = held.expect("the recording is an export");
    assert_eq!(snapshot.problem_count(), 0);
    let flags = snapshot.len();
    let held = usize::try_from(measured.bytes_current).expect("more is held than was") / flags;
    let text = snapshot.flags().map(text).sum::<usize>() / flags;
    let export = export.len() / flags;
    let beyond = |known: usize| held.saturating_sub(known);
    let (beyond_text, beyond_export) = (beyond(text), beyond(export));
    println!("{name:<12}{flags:>8}{held:>8}{text:>8}{beyond_text:>8}{export:>8}{beyond_export:>8}");
}

fn main() {
    println!("bytes a flag   flags    held    text  beyond  export  beyond");
    for count in [recorded::RECORDED, 10_000] {
        let export = recorded::export_of(count);
        report("as recorded", &export);
        report("recorded", &recorded::printed(&without_patterns(&export)));
        report("S1", &recorded::printed(&s1(count)));
    }
}
