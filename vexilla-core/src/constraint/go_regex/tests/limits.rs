//! Hostile patterns: none may exhaust the stack, the memory or the caller's patience.

use super::super::super::program::Budget;
use super::super::TEXT_LIMIT;
use super::compile;

/// Runs on the stack that a thread has by default, whatever the test runner gives.
fn on_a_small_stack<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap()
}

fn nested(open: &str, core: &str, close: &str, levels: usize) -> String {
    format!("{}{core}{}", open.repeat(levels), close.repeat(levels))
}

#[track_caller]
fn assert_beyond_limits(pattern: &str, words: &str) {
    let error = compile(pattern).unwrap_err();
    assert!(error.is_beyond_limits(), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn nesting_is_allowed_up_to_the_height_that_go_allows() {
    on_a_small_stack(|| {
        for (open, core, close, levels) in [
            ("(", "a", ")", 999),
            ("(", "ab", ")", 999),
            ("(", "a|b", ")", 999),
            ("(", "[a]b", ")", 999),
            ("(", "a.", ")", 998),
            ("(", "a", ")*", 499),
            ("(?:", "a", ")*", 999),
            ("(?:b|", "a", "c)?", 333),
            ("(?:b.|c(?:d|", "a", ".))", 249),
        ] {
            let pattern = nested(open, core, close, levels);
            let regex = compile(&pattern).unwrap_or_else(|error| panic!("{open}: {error}"));
            let _ = regex.is_match("abcd");
            let error = compile(&nested(open, core, close, levels + 1)).unwrap_err();
            assert!(!error.is_beyond_limits(), "{open}: {error}");
        }
    });
}

#[test]
fn groups_without_effect_do_not_count_as_nesting() {
    on_a_small_stack(|| {
        let regex = compile(&nested("(?:", "ab", ")", 1500)).unwrap();
        assert!(regex.is_match("xab"));
        assert_beyond_limits(&nested("(?:", "ab", ")", 30_000), "nest too deeply");
        assert_beyond_limits(&nested("(?:b.|", "a", ")", 30_000), "nest too deeply");
    });
}

#[test]
fn large_programs_are_refused_as_beyond_the_limits() {
    let within = |program: u64, set: u64, used: u64| {
        let budget = Budget {
            program,
            set,
            used,
            ..Budget::UNLIMITED
        };
        super::super::compile(r"[\pL\pN]{30}", budget).map_err(|error| error.to_string())
    };
    let needs = compile(r"[\pL\pN]{30}").unwrap().bytes();
    assert!((1 << 20..4 << 20).contains(&needs), "{needs}");
    assert!(within(needs, needs + 1, 1).is_ok());
    let error = within(needs - 1, needs, 0).unwrap_err();
    assert!(error.contains("regex_program_bytes"), "{error}");
    let error = within(needs, needs, 1).unwrap_err();
    assert!(error.contains("regex_set_bytes"), "{error}");
}

#[test]
fn long_translations_are_refused_as_beyond_the_limits() {
    let words = TEXT_LIMIT.to_string();
    assert!(compile(&"a".repeat(TEXT_LIMIT)).is_ok());
    assert_beyond_limits(&"a".repeat(TEXT_LIMIT + 1), &words);
    assert_beyond_limits(&r"\pL".repeat(10_000), &words);
}

#[test]
fn what_go_finds_too_large_is_refused_even_where_it_has_no_effect() {
    let pattern = |length| format!("(?:(?:{}){{1000}}){{0}}", "a".repeat(length));
    assert!(compile(&pattern(3355)).unwrap().is_match(""));
    assert!(!compile(&pattern(3356)).unwrap_err().is_beyond_limits());
}

#[test]
fn many_branches_to_one_place_do_not_exhaust_the_stack_of_the_matcher() {
    on_a_small_stack(|| {
        for branch in ["a{0}|", "|", "(?:)|"] {
            let pattern = format!("^(?:{}b){{1000}}$", branch.repeat(900));
            if let Ok(regex) = compile(&pattern) {
                assert!(!regex.is_match("c"), "{branch}");
            }
        }
    });
}

#[test]
fn unfinished_posix_classes_are_not_searched_for_again_and_again() {
    let pattern = format!("[{}", "[:".repeat(500_000));
    assert!(compile(&pattern).unwrap_err().to_string().contains("]"));
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (pattern, expected) in [
        ("ab[z-a]", "invalid character class range near `z-a]`"),
        ("(a", "missing closing ) near `(a`"),
        ("a**", "invalid nested repetition operator near `*`"),
        (
            "a{1001}",
            "invalid repeat count (at most 1000 in all) near `{1001}`",
        ),
        (
            "(a{2}){501}",
            "invalid repeat count (at most 1000 in all) near `{501}`",
        ),
        (r"\p{Nope}", r"unknown character class near `\p{Nope}`"),
        ("\\", "trailing backslash at end of expression"),
    ] {
        let error = compile(pattern).unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
        assert!(expected.starts_with(&error.to_string()), "{error}");
        assert!(!error.to_string().contains('`'), "{error}");
    }
    let long = format!("[{}", "x".repeat(1000));
    let error = compile(&long).unwrap_err();
    assert!(format!("{error:#}").len() < 100);
}
