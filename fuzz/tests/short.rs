//! The short run of every target: each committed input, each seed, and a fixed
//! number of mutations, the same in every run.
//!
//! `VEXILLA_FUZZ_SEED` and `VEXILLA_FUZZ_MUTATIONS` set other ones, for longer
//! runs where no nightly toolchain is at hand.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use vexilla_core::fuzzing::Copy;
use vexilla_core::persist::PersistErrorKind;
use vexilla_fuzz::{Generator, Recorded, TARGETS, Target, inputs};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn recorded() -> &'static Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED.get_or_init(Recorded::read)
}

/// Runs the target, and says which input it was that it failed for.
fn try_out(target: &Target, what: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!(
            "target {}, {what}: a property does not hold (see above) for:\n{}",
            target.name,
            input.escape_ascii()
        );
    }
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target of this name");
    let mut corpus = Vec::new();
    for (name, input) in inputs(target) {
        try_out(target, &format!("inputs/{name}"), &input);
        corpus.push(input);
    }
    assert!(!corpus.is_empty(), "no inputs");
    let seeds = (target.seeds)(recorded());
    assert!(!seeds.is_empty(), "no seeds");
    for (number, seed) in seeds.into_iter().enumerate() {
        try_out(target, &format!("seed {number}"), &seed);
        corpus.push(seed);
    }
    let seed = number("VEXILLA_FUZZ_SEED").unwrap_or(11);
    let mutations = number("VEXILLA_FUZZ_MUTATIONS").unwrap_or(target.mutations as u64);
    let mut generator = Generator::new(seed);
    for number in 0..mutations {
        let input = generator.mutated(&corpus, target.tokens);
        try_out(target, &format!("mutation {number} of {seed}"), &input);
    }
}

macro_rules! short_runs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_short_run() {
            let names = TARGETS.map(|target| target.name);
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

short_runs!(document constraint regex cel copy webhook request context);

/// A copy of another schema is refused before anything else of it is read.
#[test]
fn copies_in_inputs_and_tokens_have_the_schema_of_today() {
    const MAGIC: &[u8] = b"vexilla\0";

    let target = TARGETS.iter().find(|target| target.name == "copy");
    let target = target.expect("a target of this name");
    let inputs = inputs(target).into_iter();
    let inputs = inputs.filter(|(name, _)| name != "other-schema");
    let tokens = target.tokens.iter();
    let tokens = tokens.map(|token| ((*token).to_owned(), token.as_bytes().to_vec()));
    let mut copies = 0;
    for (name, bytes) in inputs.chain(tokens) {
        if bytes.starts_with(MAGIC) {
            copies += 1;
            let error = Copy::decode(&bytes).expect_err("none is whole");
            let schema = matches!(error.kind(), PersistErrorKind::Schema(_));
            assert!(!schema, "{name}: {error}");
        }
    }
    assert_eq!(copies, 3);
}
