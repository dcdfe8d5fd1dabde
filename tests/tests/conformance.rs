//! Recorded answers of a real Flagr against this evaluator.
//!
//! `cargo test -p vexilla-tests --test conformance -- --nocapture` prints what
//! was compared. When the environment variable `VEXILLA_VECTORS` names a
//! folder, the vector files in it are compared as well.

#![expect(clippy::print_stdout, reason = "the test prints what it compared")]

use std::path::Path;

use vexilla_tests::vectors;

fn compare_folder(folder: &Path) {
    let files = vectors::files(folder);
    assert!(!files.is_empty(), "no vector files in {}", folder.display());
    let mut mismatches = 0;
    for file in files {
        let Some(report) = vectors::compare(&file) else {
            println!(
                "{}: for a server that speaks Flagr's API, passed over",
                file.display()
            );
            continue;
        };
        println!("{report}");
        for beyond in &report.beyond_limits {
            println!("  compared without limits: {beyond}");
        }
        for mismatch in report.mismatches.iter().take(20) {
            println!("  {mismatch}");
        }
        mismatches += report.mismatches.len();
    }
    assert_eq!(mismatches, 0, "answers that differ from Flagr's");
}

#[test]
fn recorded_answers_agree() {
    compare_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")));
}

#[test]
fn answers_of_another_folder_agree() {
    if let Some(folder) = std::env::var_os("VEXILLA_VECTORS") {
        compare_folder(Path::new(&folder));
    }
}
