//! Documents of flags: exports and flags files.

use vexilla_core::flag::DocumentError;
use vexilla_core::flag::FlagSet;
use vexilla_core::snapshot::{Snapshot, TagMatch};
use vexilla_core::{Context, EmptyEntity, Filter, Limits};

use super::peak;
use crate::{Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "document",
    run,
    seeds: |recorded| {
        recorded
            .documents
            .iter()
            .map(|d| d.clone().into())
            .collect()
    },
    tokens: &[
        "{\"Flags\":[",
        "]}",
        "{}",
        "{},",
        "null",
        "\"ID\":1,",
        "\"Key\":\"a\",",
        "\"Enabled\":true,",
        "\"Segments\":[",
        "\"Variants\":[",
        "\"Constraints\":[",
        "\"Distributions\":[",
        "\"Tags\":[",
        "\"RolloutPercent\":100",
        "\"Percent\":100,",
        "\"VariantKey\":\"on\"",
        "\"Attachment\":{",
        "[[[[",
        "18446744073709551616",
        "-1",
        "1e999",
        "0.1",
        "\\u0000",
        "\\ud800",
        "\"",
        ",",
        ":",
        "\n",
    ],
    mutations: 2_000,
};

/// - Reading the same bytes twice gives the same set, or the same error.
/// - Errors and problems are short, reading takes memory in proportion.
/// - Compiling beside an older snapshot gives what compiling alone gives, and
///   snapshots that count as equal have the same problems and answers.
/// - Each flag is found by its ID, and answers the same each time.
pub fn run(data: &[u8]) {
    let from_file = read(data, FlagSet::from_json);
    let with_warnings = FlagSet::from_json_with_warnings(data).ok();
    assert_eq!(
        from_file.as_ref(),
        with_warnings.as_ref().map(|(set, _)| set)
    );
    for warning in with_warnings.iter().flat_map(|(_, warnings)| warnings) {
        let length = warning.to_string().len();
        assert!(length <= limits::ERROR, "a warning of {length} B");
    }
    let exported = read(data, FlagSet::from_export);
    for set in [from_file, exported].into_iter().flatten() {
        check(&set);
    }
}

type Read = fn(&[u8]) -> Result<FlagSet, DocumentError>;

fn read(data: &[u8], read: Read) -> Option<FlagSet> {
    let (peak, first) = peak(|| read(data));
    let most = limits::document(data.len());
    assert!(peak <= most, "reading {} B took {peak} B", data.len());
    assert_eq!(first, read(data), "the same document again");
    match first {
        Ok(set) => Some(set),
        Err(error) => {
            let length = error.to_string().len();
            assert!(length <= limits::ERROR, "an error of {length} B");
            None
        }
    }
}

fn check(set: &FlagSet) {
    let snapshot = Snapshot::new(set.clone());
    for problem in snapshot.problems() {
        let message = problem.message.len();
        assert!(message <= limits::PROBLEM, "a problem of {message} B");
    }
    let limits = Limits::new();
    let again = Snapshot::build(set.clone(), &Filter::new(), &limits, Some(&snapshot));
    assert_same(&snapshot, &again);

    let mut fewer = set.clone();
    if fewer.flags.len() > 1 {
        fewer.flags.remove(0);
        let beside = Snapshot::build(fewer.clone(), &Filter::new(), &limits, Some(&snapshot));
        assert_same(&Snapshot::new(fewer.clone()), &beside);
        let enabled = Filter::new().only_enabled();
        let before = Snapshot::build(set.clone(), &enabled, &limits, None);
        let after = Snapshot::build(fewer, &enabled, &limits, Some(&before));
        if before.same_flags(&after) {
            assert_same(&before, &after);
        }
    }

    for flag in snapshot.flags() {
        let id = flag.id.to_string();
        let found = snapshot.evaluate(&id, &Context::new("u"), EmptyEntity::NoRollout);
        assert_eq!(found.flag_id(), Some(flag.id).filter(|id| *id != 0));
        // Flagr joins the tags of flags of one ID.
        let same_id = snapshot.flags().filter(|other| other.id == flag.id);
        let tags = same_id.flat_map(|flag| &flag.tags);
        let tags: Vec<_> = tags.map(|tag| tag.value.as_str()).collect();
        let tagged = snapshot.tagged(&tags, TagMatch::All);
        let found = tagged.iter().any(|found| found.id == flag.id);
        assert!(tags.is_empty() || found, "{tags:?}");
    }
}

/// Both have the same flags, with the same problems and the same answers.
fn assert_same(one: &Snapshot, other: &Snapshot) {
    let problems = |snapshot: &Snapshot| snapshot.problems().collect::<Vec<_>>();
    assert_eq!(problems(one), problems(other), "problems");
    let contexts = [
        Context::new("u"),
        Context::new("user-7").with("s", "abc").with("n", 1),
    ];
    for (flag, same) in one.flags().zip(other.flags()) {
        assert_eq!(flag, same);
        for context in &contexts {
            let answer = |snapshot: &Snapshot| {
                let evaluation = snapshot.evaluate(&flag.key, context, EmptyEntity::NoRollout);
                let error = evaluation.error().map(|error| error.code());
                (evaluation.variant_id(), evaluation.reason(), error)
            };
            assert_eq!(answer(one), answer(other), "{:?}", flag.key);
        }
    }
    assert_eq!(one.len(), other.len());
}
