//! How long it takes to save and to load; printed, nothing is asserted.

use std::time::Instant;

use super::*;
use crate::flag::{Attachment, Constraint};
use crate::persist::{LastKnownGood as _, LastKnownGoodFile};

/// Flags as they are in the field: some 1,500 bytes each.
fn field(count: u64) -> FlagSet {
    let time = Some("2026-01-02T03:04:05.678901234Z".parse().unwrap());
    let flag = |number: u64| {
        let segment = |country: &str| {
            let constraint = Constraint::new("country", "EQ", format!("\"{country}\""));
            let shares = Segment::new()
                .distribution("on", 30)
                .distribution("off", 70);
            shares
                .constraint(constraint)
                .description("some of those who asked")
        };
        let attachment =
            Attachment::from(json!({"limit": number, "colour": "blue", "text": "for all"}));
        let mut on = Variant::new("on");
        on.attachment = Some(attachment);
        let mut flag = Flag::new(format!("team-{}.flag-{number}", number % 50))
            .id(number + 1)
            .description("what the flag is for, in a sentence or two")
            .variant(on)
            .variant(Variant::new("off"))
            .segment(segment("BR"))
            .tag("checkout");
        flag.created_at = time;
        flag.updated_at = time;
        flag.snapshot_id = number * 7;
        flag
    };
    let mut set: FlagSet = (0..count).map(flag).collect();
    set.assign_missing_ids();
    set.origin = Origin::Export;
    set
}

#[tokio::test]
#[ignore = "prints how long it takes; run by hand with --release"]
async fn figures() {
    let folder = std::env::temp_dir().join(format!("vexilla-{}-figures", std::process::id()));
    let store = LastKnownGoodFile::new(folder.join("flags.lkg"));
    for count in [1_000, 10_000] {
        let set = field(count);
        for packing in packings() {
            for _ in 0..3 {
                let start = Instant::now();
                let document = encode(&set, &provenance(), packing).unwrap();
                let (encoded, bytes) = (start.elapsed(), document.len());
                store.save(document).await.unwrap();
                let saved = start.elapsed();
                let start = Instant::now();
                let document = store.load().await.unwrap().unwrap();
                let loaded = start.elapsed();
                assert_eq!(
                    decode(&document, packing).unwrap().set.flags.len(),
                    set.flags.len()
                );
                println!(
                    "{count} flags, {bytes} bytes, {packing:?}: encode {encoded:?}, and save {saved:?}; load {loaded:?}, \
                     and decode {:?}",
                    start.elapsed()
                );
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
