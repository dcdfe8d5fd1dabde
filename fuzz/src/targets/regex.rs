//! Regular expressions in Go's dialect.
//!
//! An input is a subject on the first line, and the rest is the pattern.

use vexilla_core::flag::{Constraint, Origin};
use vexilla_core::{Context, EmptyEntity};

use super::{lines, matches, on_for, peak, problem};
use crate::{Recorded, Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "regex",
    run,
    seeds,
    tokens: &[
        "(?i)",
        "(?s)",
        "(?:",
        "(?P<n>",
        ")",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{0,1000}",
        "{1000}",
        "[\\pL\\pN]{1000}",
        "(a?b?c?d?){1000}",
        "\\pL",
        "\\p{Greek}",
        "\\PN",
        "[^a-z]",
        "[[:alpha:]]",
        "\\d",
        "\\W",
        "\\b",
        "\\B",
        "\\A",
        "\\z",
        "^",
        "$",
        ".",
        "\\Q",
        "\\E",
        "\\x{10FFFF}",
        "\\x{D800}",
        "\\123",
        "\\C",
        "[",
        "]",
        "-",
        "é",
        "K",
        "ß",
    ],
    mutations: 200,
};

fn seeds(recorded: &Recorded) -> Vec<Vec<u8>> {
    let patterns = recorded.constraints.iter().filter_map(|constraint| {
        let [_, operator, value] = constraint;
        let quotes = ['"', '\'', '/'];
        operator
            .ends_with("EREG")
            .then(|| value.trim_matches(quotes))
    });
    let subjects = ["", "a", "abc", "US-east", "user@example.com", "ÀßK١", "a b"];
    let numbered = patterns.step_by(2).enumerate();
    numbered
        .map(|(number, pattern)| {
            let subject = subjects.get(number % subjects.len()).copied();
            format!("{}\n{pattern}", subject.unwrap_or_default()).into()
        })
        .collect()
}

/// Whether the pattern matches; `None` if it is refused, or beyond the limit of an
/// evaluation.
fn is_match(pattern: &str, subject: &str) -> Option<bool> {
    let constraint = Constraint::new("s", "MATCHES", pattern);
    let (peak, snapshot) = peak(|| on_for(constraint, Origin::File));
    assert!(peak <= limits::PATTERN, "compiling took {peak} B");
    if problem(&snapshot).is_some() {
        return None;
    }
    let context = Context::new("u").with("s", subject);
    let matched = matches(&snapshot, &context);
    let evaluation = snapshot.evaluate("flag", &context, EmptyEntity::NoRollout);
    (!evaluation.is_beyond_limits()).then_some(matched)
}

/// - Compiling takes bounded memory, and problems are short.
/// - A group, or an alternative of the same, matches what the pattern matches.
pub fn run(data: &[u8]) {
    let ([subject], pattern) = lines(data);
    let Some(matched) = is_match(&pattern, &subject) else {
        return;
    };
    // A `\Q` without `\E` quotes what follows the pattern.
    if pattern.contains("\\Q") {
        return;
    }
    let group = format!("(?:{pattern})");
    for same in [format!("{group}|{group}"), group] {
        // Repeated, it may be beyond a limit.
        if let Some(again) = is_match(&same, &subject) {
            assert_eq!(matched, again, "{same:?} and {pattern:?} in {subject:?}");
        }
    }
}
