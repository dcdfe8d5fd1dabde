//! The last-known-good copy.
//!
//! An input is a copy as it is in a file, and beside that the payload of one,
//! which gets a right header.

use vexilla_core::flag::FlagSet;
use vexilla_core::fuzzing::{Copy, copy_payload, seal_copy};

use crate::{Recorded, Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "copy",
    run,
    seeds,
    tokens: &[
        "{\"Source\":\"flagr\",\"Identity\":1,\"Change\":1,\"Exported\":true,\"Faults\":[]}\n",
        "\"Faults\":[[0,\"wrong\"]]",
        "\"Exported\":false",
        "\n",
        "{\"Flags\":[",
        "]}",
        "vexilla\0\u{2}\0",
        "\0\0\0\0",
        "{\"Key\":\"a\"}",
        "null",
        "\"Attachment\":{\"a\":1}",
        "\"CreatedAt\":\"2026-01-01T00:00:00Z\"",
    ],
    mutations: 1_000,
};

/// The payloads of copies of recorded documents.
fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let documents = recorded.documents.iter().step_by(2);
    let sets = documents.filter_map(|document| FlagSet::from_export(document.as_bytes()).ok());
    sets.map(|set| {
        let payload = copy_payload(set).expect("seeds are small");
        let sealed = seal_copy(&payload).expect("seeds are small");
        assert!(Copy::decode(&sealed).is_ok(), "a seed is a copy");
        payload
    })
    .collect()
}

/// - Decoding any bytes gives a copy or a short error.
/// - A copy that is decoded comes back when it is encoded and decoded again.
/// - One flipped bit makes a copy invalid.
/// - A copy that does not say which source it is of is invalid.
pub fn run(data: &[u8]) {
    check(data);
    let sealed = seal_copy(data).expect("inputs are small");
    check(&sealed);
    let names = |name: &[u8]| data.windows(name.len()).any(|part| part == name);
    // An escape may spell the name of the member differently.
    if !names(b"Identity") && !names(b"\\u") {
        assert!(Copy::decode(&sealed).is_err(), "a copy of any source");
    }
    let bit = data.iter().fold(data.len(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    }) % (8 * sealed.len());
    let mut flipped = sealed;
    flipped[bit / 8] ^= 1 << (bit % 8);
    assert!(Copy::decode(&flipped).is_err(), "bit {bit} is flipped");
}

fn check(document: &[u8]) {
    match Copy::decode(document) {
        Ok(copy) => {
            let encoded = copy.encode().expect("inputs are small");
            let again = Copy::decode(&encoded).expect("what was encoded");
            assert_eq!(copy, again);
        }
        Err(error) => {
            let length = error.to_string().len();
            assert!(length <= limits::ERROR, "an error of {length} B");
        }
    }
}
