//! What Go 1.26 refuses, and what it accepts though it looks as if it would not.

use super::compile;

fn check_refused(patterns: &[&str]) {
    for pattern in patterns {
        match compile(pattern) {
            Ok(regex) => panic!("{pattern} was accepted as {regex:?}"),
            Err(error) => assert!(!error.is_beyond_limits(), "{pattern}: {error}"),
        }
    }
}

#[test]
fn class_faults_are_refused() {
    check_refused(&[
        "[",
        "[a",
        "[]",
        "[^]",
        "[^",
        "[a-",
        "[z-a]",
        "[a--b]",
        r"[a-\d]",
        r"[\Qa]\E]",
        r"[\b]",
        r"[\B]",
        r"[\A]",
        r"[\z]",
        r"[\C]",
        r"[\8]",
        r"[\c]",
        "[[:foo:]]",
        "[[::]]",
        "[[:^^alpha:]]",
        "[[:Alpha:]]",
        "[[:a]b:]",
        r"[\x{110000}]",
        "[é-a]",
    ]);
}

#[test]
fn property_faults_are_refused() {
    check_refused(&[
        r"\p",
        r"\P",
        r"\p{",
        r"\p{}",
        r"\p{^}",
        r"\p{Nope}",
        r"\p{Grek}",
        r"\pé",
        r"\p^",
        r"\p{^^L}",
        r"\p{L&}",
        r"\p{Script=Greek}",
        r"\p{gc=L}",
        r"\p{Old_Italic}",
        r"\p{OldItalic}",
        r"\p{Phags_Pa}",
        r"\p{SignWriting}",
        r"\p{Alphabetic}",
        r"\p{White_Space}",
        r"\p{Emoji}",
        r"\p{IsGreek}",
        r"\p{age=3.0}",
        r"\p{Garay}",
        r"\p{Zzzz}",
        r"[\p{Nope}]",
        r"(?i)\p{Nope}",
    ]);
}

#[test]
fn escape_faults_are_refused() {
    check_refused(&[
        r"\",
        r"a\",
        r"\C",
        r"\E",
        r"\e",
        r"\h",
        r"\cA",
        r"\u0041",
        r"\N",
        r"\R",
        r"\X",
        r"\K",
        r"\G",
        r"\Z",
        r"\1",
        r"\8",
        r"\18",
        r"\19",
        r"\k<n>",
        r"\x",
        r"\x4",
        r"\xg1",
        r"\x{",
        r"\x{}",
        r"\x{g}",
        r"\x{41",
        r"\x{110000}",
        r"\x{FFFFFFFFFFFFFFFF}",
        r"\x{ 41}",
        r"\é",
        r"\é",
        r"\Qa\Eb\E",
        r"\i",
    ]);
}

#[test]
fn group_faults_are_refused() {
    check_refused(&[
        "(",
        ")",
        "(()",
        "())",
        "a)",
        "(a",
        "(?",
        "(?:",
        "(?P",
        "(?P<",
        "(?P<n",
        "(?P<>a)",
        "(?P<é>a)",
        "(?P<a-b>c)",
        "(?P=n)",
        "(?P>n)",
        "(?<",
        "(?<n",
        "(?<>a)",
        "(?<=a)",
        "(?<!a)",
        "(?=a)",
        "(?!a)",
        "(?>a)",
        "(?#c)",
        "(?'n'a)",
        "(?|a)",
        "(?R)",
        "(?1)",
        "(?x)",
        "(?u)",
        "(?iu)",
        "(?-)",
        "(?-:a)",
        "(?i-)",
        "(?i-:a)",
        "(?--i)",
        "(?i--s)",
        "(?i",
        "(?i-",
        "(?a",
        "(?*)",
    ]);
}

#[test]
fn repeat_faults_are_refused() {
    check_refused(&[
        "*",
        "+",
        "?",
        "{3}",
        "{3,}",
        "a|*",
        "(*)",
        "(?:+)",
        "(|*)",
        "^**",
        "a**",
        "a*+",
        "a++",
        "a?+",
        "a???",
        "a*{2}",
        "a{2}*",
        "a{2}{3}",
        "a{2}??",
        "(?i)*",
        r"\Q\E+",
        "a{1001}",
        "a{1001,}",
        "a{1,1001}",
        "a{2,1}",
        "a{99999999999999999999}",
        "a{1,99999999999999999999}",
        "(a{100}){100}",
        "(a{2}){501}",
        "(a{0,2}b*){501}",
        "(a{2,}){501}",
        "((a{10}){10}){11}",
        "a{2}(?i){501}",
        "(?:(?:a{501})*){2}",
        "a{1000}(?i){2}",
    ]);
}

#[test]
fn what_go_accepts_is_accepted() {
    for pattern in [
        "a{1000}",
        "(a{2}){500}",
        "(a{1000}){0}",
        "(?:(a{1000}){0}){1000}",
        "((a{1000})*){1}",
        "((a{1000}){1}){1}",
        "(a{0,}){1000}",
        "a{0}(?i){1000}",
        "a{1000}b{1000}",
        "(?:){1000}",
        r"\p{C}\p{Lc}\p{Casedletter}",
        r"\x{10FFFF}",
        r"(?i)\Q(\E",
    ] {
        assert!(compile(pattern).is_ok(), "{pattern}");
    }
}
