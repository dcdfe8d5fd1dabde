//! A recorded export of Flagr, and as many flags of its form as a bench wants.
//!
//! `export-200.json.gz` is what a Flagr 1.2.3 answered, byte for byte, to
//! `GET /api/v1/export/eval_cache/json` after 200 flags of a made-up shop had been
//! entered through its API: with one to three variants and segments, all twelve
//! operators, attachments, tags and notes, some of them disabled. What names a
//! person is empty.

use std::io::Read as _;

use flate2::read::GzDecoder;
use vexilla_core::flag::FlagSet;

/// How many flags were recorded.
pub(crate) const RECORDED: usize = 200;

/// The export as Flagr printed it.
pub(crate) fn export() -> Vec<u8> {
    let mut export = Vec::new();
    GzDecoder::new(&include_bytes!("../export-200.json.gz")[..])
        .read_to_end(&mut export)
        .expect("the recording is whole");
    export
}

/// The recorded flags over and over, each time with other ids and keys, printed
/// as Flagr prints them.
pub(crate) fn export_of(count: usize) -> Vec<u8> {
    let recorded = FlagSet::from_export(&export()).expect("the recording is an export");
    let mut set = FlagSet::from_export(b"{\"Flags\":[]}").expect("an export");
    for nth in 0.. {
        let more = recorded.flags.iter().take(count - set.flags.len());
        set.flags.extend(more.cloned().map(|flag| copy(flag, nth)));
        if set.flags.len() == count {
            break;
        }
    }
    printed(&set)
}

/// A set as Flagr prints it.
pub(crate) fn printed(set: &FlagSet) -> Vec<u8> {
    let mut export = serde_json::to_vec(set).expect("a set can be printed");
    export.push(b'\n');
    export
}

/// The same flag with other ids and another key; the first copy is the flag itself.
fn copy(mut flag: vexilla_core::flag::Flag, nth: u64) -> vexilla_core::flag::Flag {
    if nth == 0 {
        return flag;
    }
    // Nothing recorded has a number that high.
    let shift = |id: &mut u64| *id += nth * 2000;
    flag.key = format!("{}.{nth}", flag.key);
    shift(&mut flag.id);
    shift(&mut flag.snapshot_id);
    for variant in &mut flag.variants {
        shift(&mut variant.id);
        shift(&mut variant.flag_id);
    }
    for segment in &mut flag.segments {
        shift(&mut segment.id);
        shift(&mut segment.flag_id);
        for constraint in &mut segment.constraints {
            shift(&mut constraint.id);
            shift(&mut constraint.segment_id);
        }
        for distribution in &mut segment.distributions {
            shift(&mut distribution.id);
            shift(&mut distribution.segment_id);
            shift(&mut distribution.variant_id);
        }
    }
    flag
}
