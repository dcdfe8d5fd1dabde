//! Documents as a whole: what is refused, where, and what is not.

use super::*;
use crate::flag::faults;
use proptest::prelude::*;

fn refused(document: impl AsRef<[u8]>) -> (DocumentErrorKind, usize, usize) {
    let error = FlagSet::from_json(document.as_ref()).unwrap_err();
    (error.kind(), error.line(), error.column())
}

#[test]
fn documents_without_flags_are_the_empty_set_in_files_only() {
    for text in [
        "{}",
        "null",
        r#"{"Flags":null}"#,
        r#"{"Flags":[{}],"flags":null}"#,
        " {\"x\":[[1]]}\n",
    ] {
        assert_eq!(
            FlagSet::from_json(text.as_bytes()).unwrap(),
            FlagSet::default()
        );
        let error = FlagSet::from_export(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), DocumentErrorKind::MissingFlags, "{text}");
    }
    let empty = FlagSet::from_export(br#"{"Flags":[]}"#).unwrap();
    assert_eq!((empty.flags.len(), empty.origin), (0, Origin::Export));
}

#[test]
fn missing_ids_are_assigned_in_files_and_exported_ids_left_alone() {
    let set = FlagSet::from_export(br#"{"Flags":[{"Key":"a","Tags":[{}]}]}"#).unwrap();
    assert_eq!((set.flags[0].id, set.flags[0].tags[0].id), (0, 0));
    let set = FlagSet::from_json(br#"{"Flags":[{"Key":"a","Tags":[{}]}]}"#).unwrap();
    assert_eq!((set.flags[0].id, set.flags[0].tags[0].id), (1, 1));
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    use DocumentErrorKind::{Empty, NotAFlagSet, Syntax};
    for (text, expected) in [
        ("", (Empty, 1, 1)),
        (" \n\t\r", (Empty, 1, 1)),
        ("{\"Flags\":[\n {\"Key\":\"é\",}]}", (Syntax, 2, 13)),
        // The character before the one at fault, in this case only.
        ("{\"Flags\":[{\"Key\":\"a\nb\"}]}", (Syntax, 1, 19)),
        ("\n\n{'Flags':[]}", (Syntax, 3, 2)),
        ("{\"Flags\":[]} x", (Syntax, 1, 14)),
        ("{\"Flags\":[]}{}", (Syntax, 1, 13)),
        ("{\"Flags\":[]", (Syntax, 1, 11)),
        ("// c\n{}", (Syntax, 1, 1)),
        ("\u{feff}{}", (Syntax, 1, 1)),
        ("{\"Flags\":[{\"ID\":01}]}", (Syntax, 1, 18)),
        ("{\"x\":\"\\x\"}", (Syntax, 1, 8)),
        ("NaN", (Syntax, 1, 1)),
        ("[]", (NotAFlagSet, 1, 1)),
        (" 5", (NotAFlagSet, 1, 2)),
        ("\"é\"", (NotAFlagSet, 1, 1)),
        ("true", (NotAFlagSet, 1, 1)),
        ("{\"é\":1,\n\"Flags\": 5}", (NotAFlagSet, 2, 10)),
        ("{\"Flags\":{},\"Flags\":[]}", (NotAFlagSet, 1, 10)),
        ("{\"Flags\":{},\"Flags\":5}", (NotAFlagSet, 1, 10)),
    ] {
        assert_eq!(refused(text), expected, "{text:?}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let told = |text: &str| FlagSet::from_json(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        told("{\"Flags\":[]} x"),
        "invalid flag document at line 1, column 14: trailing characters"
    );
    assert_eq!(
        told("\u{feff}{}"),
        "invalid flag document at line 1, column 1: the document starts with a byte order mark, save it without"
    );
    assert_eq!(
        told("{\"Flags\":5}"),
        "invalid flag document at line 1, column 10: the flags are no list"
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_within_strings() {
    let set =
        FlagSet::from_json(b"{\"Flags\":[{\"Key\":\"a\xffb\xe2\x82c\",\"Notes\":\"\\ud800\"}]}")
            .unwrap();
    assert_eq!(set.flags[0].key, "a\u{fffd}b\u{fffd}\u{fffd}c");
    assert_eq!(set.flags[0].notes, "\u{fffd}");
    assert_eq!(refused(b"{\xff}"), (DocumentErrorKind::Syntax, 1, 2));
}

#[test]
fn nesting_ends_where_go_ends_it() {
    let nested = |levels: usize| {
        format!(
            "{{\"x\":{}{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    assert!(FlagSet::from_json(nested(10_000).as_bytes()).is_ok());
    assert_eq!(
        refused(nested(10_001)),
        (DocumentErrorKind::Syntax, 1, 10_005)
    );
    assert_eq!(refused("[".repeat(100_000)).0, DocumentErrorKind::Syntax);
    let within = format!("{{\"Flags\":[{{\"Enabled\":{}}}]}}", nested(10_000));
    assert_eq!(refused(within).0, DocumentErrorKind::Syntax);
}

#[test]
fn a_repeated_list_of_flags_decodes_into_the_first() {
    let text = br#"{"Flags":[{"Key":"a","ID":3},{"Key":"b"}],"FLAGS":[{"Enabled":true}]}"#;
    let set = FlagSet::from_json(text).unwrap();
    assert_eq!(set.flags.len(), 1);
    assert_eq!(
        (
            set.flags[0].key.as_str(),
            set.flags[0].id,
            set.flags[0].enabled
        ),
        ("a", 3, true)
    );
}

const DOCUMENT: &str = r#"{"Flags":[{"ID":3,"CreatedAt":"2026-01-02T03:04:05.5+01:00","DeletedAt":null,"Key":"a\u00e9",
"Enabled":true,"Segments":[{"ID":1,"Rank":2,"RolloutPercent":50,"Constraints":[{"Property":"p","Operator":"EQ",
"Value":"\"x\""}],"Distributions":[{"VariantKey":"on","Percent":100}]}],"Variants":[{"Key":"on","Attachment":
{"n":1.5e3,"s":["\ud83d\udea9",null]}}],"Tags":[{"Value":"t","Flags":null}]},{"Key":"b"}]}"#;

proptest! {
    #[test]
    fn no_mutation_of_a_document_panics(
        edits in prop::collection::vec((0..DOCUMENT.len(), prop::collection::vec(
            prop_oneof![
                prop::sample::select(b"{}[],:\"\\0123456789.eE+-tfnu \n".to_vec()),
                any::<u8>(),
            ],
            0..4,
        ), 0_usize..20), 1..4),
    ) {
        let mut bytes = DOCUMENT.as_bytes().to_vec();
        for (at, put, take) in edits {
            let at = at.min(bytes.len());
            let end = (at + take).min(bytes.len());
            bytes.splice(at..end, put);
        }
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
        for set in [FlagSet::from_json(&bytes), FlagSet::from_export(&bytes)] {
            match set {
                Ok(set) => {
                    prop_assert!(json.is_ok());
                    prop_assert_eq!(faults(&set).len(), set.flags.len());
                    serde_json::to_string(&set).unwrap();
                }
                Err(error) => prop_assert!(error.line() > 0 && error.column() > 0),
            }
        }
    }
}
