use proptest::prelude::*;

use super::*;
use crate::flag::{DocumentErrorKind, FlagSet};
use DocumentWarningKind::{
    DuplicateId, DuplicateKey, MissingRolloutPercent, SplitWithoutId, UnknownMember,
};

fn warnings(document: &str) -> Vec<DocumentWarning> {
    FlagSet::from_json_with_warnings(document.as_bytes())
        .unwrap()
        .1
}

fn messages(document: &str) -> Vec<String> {
    warnings(document).iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_members_are_named_with_their_place_and_the_one_that_was_probably_meant() {
    let document = r#"{
  "Flags": [
    {"ID": 1, "Key": "a", "enable": true},
    {"Segments": [{}, {"rollout_percent": 10, "Constraints": [{"op": "EQ"}]}],
     "Variants": [{"Attachement": {"any": 1}}]}
  ],
  "Flag": [{"Unknown": 1}]
}"#;
    assert_eq!(
        messages(document),
        [
            "line 3, column 27: Flags[0] has an unknown member \"enable\", which is ignored; did you mean \"Enabled\"?",
            "line 4, column 24: Flags[1].Segments[1] has an unknown member \"rollout_percent\", which is ignored; did you mean \"RolloutPercent\"?",
            "line 4, column 64: Flags[1].Segments[1].Constraints[0] has an unknown member \"op\", which is ignored",
            "line 5, column 20: Flags[1].Variants[0] has an unknown member \"Attachement\", which is ignored; did you mean \"Attachment\"?",
            "line 7, column 3: the document has an unknown member \"Flag\", which is ignored; did you mean \"Flags\"?",
        ]
    );
    let error = FlagSet::from_json_strict(document.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DocumentErrorKind::Warning(UnknownMember));
    assert_eq!((error.line(), error.column()), (3, 27));
}

#[test]
fn members_that_are_read_comments_and_those_of_tagged_flags_are_fine() {
    for document in [
        "null",
        r#"{"$schema":"…","_comment":[1],"flags":[{"key":"a","_note":{},"$x":1}]}"#,
        r#"{"Flags":[{"Key":"a","Tags":[{"Value":"t","Flags":[{"mystery":1}]}]}]}"#,
        include_str!("../../../../examples/flags.json"),
    ] {
        assert_eq!(messages(document), [""; 0], "{document}");
        FlagSet::from_json_strict(document.as_bytes()).unwrap();
    }
}

#[test]
fn a_split_without_an_id_is_a_warning() {
    let flag = |id: &str, rollout: u8, percents: &[u8]| {
        let share = |percent| format!(r#"{{"VariantKey":"on","Percent":{percent}}}"#);
        let shares: Vec<_> = percents.iter().map(share).collect();
        format!(
            r#"{{"Flags":[{{{id}"Key":"a","Segments":[{{"RolloutPercent":{rollout},"Distributions":[{}]}}]}}]}}"#,
            shares.join(",")
        )
    };
    for (rollout, percents, splits) in [
        (100, &[100][..], false),
        (0, &[50, 50], false),
        (100, &[0, 100], false),
        (100, &[50, 50], true),
        (1, &[100], true),
        (99, &[100], true),
    ] {
        let kinds = |document: &str| -> Vec<_> {
            warnings(document)
                .iter()
                .map(|warning| (warning.kind(), warning.line(), warning.column()))
                .collect()
        };
        let expected = if splits {
            &[(SplitWithoutId, 1, 11)][..]
        } else {
            &[]
        };
        assert_eq!(kinds(&flag("", rollout, percents)), expected);
        assert_eq!(kinds(&flag("\"ID\":0,", rollout, percents)), expected);
        assert_eq!(kinds(&flag("\"ID\":7,", rollout, percents)), []);
    }
}

#[test]
fn what_has_the_id_or_key_of_another_is_a_warning() {
    let document = r#"{"Flags":[
 {"ID":7,"Key":"a","Variants":[{"ID":1,"Key":"on"},{"ID":2,"Key":"off"},{"ID":1,"Key":"x"}]},
 {"Key":"a","Segments":[{"ID":3},{"ID":0},{},{"ID":3}, {"ID":3}]},
 {"ID":7,"Key":"b","Variants":[{"ID":1,"Key":"on"}],"Segments":[{"ID":3}]},
 {"ID":0,"Key":""},{"Key":"","Variants":[{"Key":"on"},{"Key":"off"}]}
]}"#;
    assert_eq!(
        messages(document),
        [
            "line 2, column 73: Flags[0].Variants[2] has the same ID as Variants[0], 1; give it another one",
            "line 3, column 2: Flags[1] has the same key as Flags[0], \"a\": both are invalid",
            "line 3, column 46: Flags[1].Segments[3] has the same ID as Segments[0], 3; give it another one",
            "line 3, column 56: Flags[1].Segments[4] has the same ID as Segments[0], 3; give it another one",
            "line 4, column 2: Flags[2] has the same ID as Flags[0], 7; give it another one",
        ]
    );
    let kinds: Vec<_> = warnings(document)
        .iter()
        .map(DocumentWarning::kind)
        .collect();
    assert_eq!(
        kinds,
        [
            DuplicateId,
            DuplicateKey,
            DuplicateId,
            DuplicateId,
            DuplicateId
        ]
    );
    let error = FlagSet::from_json_strict(document.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DocumentErrorKind::Warning(DuplicateId));
}

#[test]
fn distributions_without_a_rollout_are_a_warning() {
    let document = r#"{"Flags":[{"ID":1,"Key":"a","Segments":[
 {"Distributions":[{"Percent":100}]},
 {"Distributions":[{"Percent":100}],"RolloutPercent":0},
 {"rolloutpercent":100,"Distributions":[{"Percent":100}]},
 {"RolloutPercent":null,"Distributions":[{"Percent":100}]},
 {"Distributions":[]}],
 "Tags":[{"Flags":[{"Segments":[{"RolloutPercent":1},{"Distributions":[{}]}]}]}]}]}"#;
    let told = |line: usize, index: usize| {
        format!(
            "line {line}, column 2: Flags[0].Segments[{index}] has distributions and no RolloutPercent, which means 0: it matches and gives nothing; give it one, such as 100"
        )
    };
    assert_eq!(messages(document), [told(2, 0), told(5, 3)]);
    let error = FlagSet::from_json_strict(document.as_bytes()).unwrap_err();
    let kind = DocumentErrorKind::Warning(MissingRolloutPercent);
    assert_eq!((error.kind(), error.line(), error.column()), (kind, 2, 2));
}

#[test]
fn parts_in_a_second_list_have_places_of_their_own() {
    let document = r#"{"Flags":[{"Segments":[{"ID":3},{"ID":4},{"ID":5}],
"Segments":[{"ID":8},{"ID":8}],"Variants":[{"ID":1},{"ID":1}],"Variants":[]}]}"#;
    assert_eq!(
        messages(document),
        [
            "line 2, column 22: Flags[0].Segments[1] has the same ID as Segments[0], 8; give it another one"
        ]
    );
}

#[test]
fn warnings_are_few_and_short() {
    let long = "x".repeat(1_000);
    let members: Vec<_> = (0..10_000).map(|n| format!("\"{long}{n}\":1")).collect();
    let document = format!("{{\"Flags\":[{{{}}}]}}", members.join(","));
    let warnings = warnings(&document);
    assert_eq!(warnings.len(), MAX_WARNINGS);
    assert!(warnings.iter().all(|warning| warning.message().len() < 200));
}

#[test]
fn each_kind_has_its_warnings_and_the_first_in_the_text_are_given() {
    let split = r#"{"Segments":[{"RolloutPercent":50}]}"#;
    let unknown: Vec<_> = (0..150).map(|n| format!("\n{{\"x{n}\":1}}")).collect();
    let document = format!("{{\"Flags\":[{split},{}]}}", unknown.join(","));
    let warnings = warnings(&document);
    assert_eq!(warnings.len(), MAX_WARNINGS);
    assert_eq!(
        (warnings[0].kind(), warnings[0].line()),
        (SplitWithoutId, 1)
    );
    assert_eq!(
        (warnings[99].kind(), warnings[99].line()),
        (UnknownMember, 100)
    );
}

#[test]
fn a_second_list_of_flags_is_counted_anew() {
    for first in [r#"[{"Key":"a"},{"Key":"b"}]"#, "null"] {
        let document = format!("{{\"Flags\":{first},\n\"Flags\":[{{\"Keyy\":1}}]}}");
        let message = &messages(&document)[0];
        assert!(
            message.starts_with("line 2, column 11: Flags[0] has"),
            "{message}"
        );
    }
}

#[test]
fn distances_are_those_of_levenshtein() {
    for (from, to, expected) in [
        ("", "", 0),
        ("", "ab", 2),
        ("ab", "", 2),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("key", "key", 0),
    ] {
        let [from, to] = [from, to].map(|text| text.chars().collect::<Vec<_>>());
        assert_eq!(distance(&from, &to), expected);
    }
}

proptest! {
    #[test]
    fn places_are_counted_in_one_pass_as_one_by_one(text in "[a\r\n\té🚩]{0,40}", mut offsets in prop::collection::vec(0_usize..80, 0..10)) {
        offsets.retain(|offset| *offset < text.len());
        offsets.sort_unstable();
        let one = |offset: &usize| {
            let begin = (0..=*offset).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let before = &text[..begin];
            let line = before.rsplit('\n').next().unwrap();
            Place { line: before.split('\n').count(), column: line.chars().count() + 1 }
        };
        let expected: Vec<_> = offsets.iter().map(one).collect();
        prop_assert_eq!(Place::all(&text, offsets.into_iter()), expected);
    }

    /// What is asked for besides changes nothing of what is read.
    #[test]
    fn a_document_is_read_the_same_with_warnings(text in r#"(\{|\}|\[|\]|,|:|"Flags"|"Key"|"Tags"|"x"|1|null){0,30}"#) {
        let plain = FlagSet::from_json(text.as_bytes());
        let with = FlagSet::from_json_with_warnings(text.as_bytes());
        prop_assert_eq!(plain, with.map(|(set, _)| set));
    }
}
