//! Contexts in the form of Flagr's API: JSON.

use vexilla_core::context::ValueRef;
use vexilla_core::{Context, Value};

use super::peak;
use crate::{Target, limits};

/// The target.
pub const TARGET: Target = Target {
    name: "context",
    run,
    seeds: |recorded| recorded.contexts.iter().map(|c| c.clone().into()).collect(),
    tokens: &[
        "{\"entityID\":\"",
        "\"entityType\":\"",
        "\"entityContext\":{",
        "}",
        "null",
        "\"a\":",
        "\"a\":1,",
        "[[[[",
        "{\"a\":",
        "1e999",
        "-0.0",
        "9007199254740993",
        "1.7976931348623157e308",
        "\\u0000",
        "\\ud83d\\ude00",
        "\\ud800",
        "\"",
        ",",
        "\"\":",
    ],
    mutations: 3_000,
};

/// - A context that is read comes back when it is written and read again.
/// - Each attribute is there once, and is found by its name.
/// - Setting an attribute again and again takes no more memory than once.
pub fn run(data: &[u8]) {
    let parsed = serde_json::from_slice::<Context>(data);
    let context = match parsed {
        Ok(context) => context,
        Err(error) => {
            let length = error.to_string().len();
            assert!(length <= limits::PROBLEM, "an error of {length} B");
            return;
        }
    };
    let json = serde_json::to_vec(&context).expect("a context is JSON");
    let again: Context = serde_json::from_slice(&json).expect("what was written");
    assert_eq!(context, again);

    let mut names: Vec<_> = context.attributes().map(|(name, _)| name).collect();
    for (name, value) in context.attributes() {
        assert_eq!(context.attribute(name), Some(value), "{name:?}");
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "an attribute is there twice");

    let attributes: Vec<(String, Value)> = context
        .attributes()
        .map(|(name, value)| (name.to_owned(), ValueRef::to_owned(value)))
        .collect();
    let set_again = |times: usize| {
        let mut rewritten = context.clone();
        for _ in 0..times {
            for (name, value) in &attributes {
                rewritten.set(name, value.clone());
            }
        }
        rewritten
    };
    let (once, _) = peak(|| set_again(1));
    let (often, rewritten) = peak(|| set_again(limits::REWRITES));
    assert_eq!(rewritten, context);
    let most = limits::rewritten(once);
    assert!(often <= most, "{once} B once, {often} B often");
}
