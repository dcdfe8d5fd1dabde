//! Go's way of decoding, case by case; the expectations are what Go 1.26 does with Flagr's own types.

use super::*;
use crate::flag::{FlagSet, faults};

/// The set of a document of one flag with these members, IDs not assigned.
fn decode(members: &str) -> Flag {
    let text = format!("[{{{members}}}]");
    let mut flags = Vec::new();
    Decoder::new(&text).flags(&mut flags);
    assert_eq!(flags.len(), 1);
    flags.remove(0)
}

fn fault(members: &str) -> String {
    decode(members).fault.expect(members).into()
}

#[test]
fn names_match_as_go_folds_them() {
    let flag =
        decode(r#""KEY":"a","eNaBlEd":true,"snapshotid":3,"ſegmentſ":[{}],"\u0044escription":"d""#);
    assert_eq!(
        (flag.key.as_str(), flag.enabled, flag.snapshot_id),
        ("a", true, 3)
    );
    assert_eq!((flag.segments.len(), flag.description.as_str()), (1, "d"));
    assert_eq!(decode("\"\u{212a}ey\":\"a\"").key, "a");
    for other in [
        "Kéy",
        "Key ",
        "Ke",
        "Keyy",
        "K\u{435}y",
        "FlagEvaluation",
        "created_at",
        "",
    ] {
        assert_eq!(
            decode(&format!("{other:?}:{{\"x\":[1]}}")),
            Flag::default(),
            "{other}"
        );
    }
}

#[test]
fn repeated_scalars_take_the_last_and_null_changes_nothing() {
    let flag = decode(
        r#""Key":"a","key":"b","Key":null,"ID":1,"id":2,"ID":null,"Enabled":true,"enabled":null"#,
    );
    assert_eq!((flag.key.as_str(), flag.id, flag.enabled), ("b", 2, true));
    assert_eq!(flag.fault, None);
}

#[test]
fn repeated_lists_decode_into_what_is_there() {
    let flag = decode(
        r#""Segments":[{"ID":1,"Rank":5,"Constraints":[{"Property":"p"}]},{"ID":2}],
           "segments":[{"Rank":6,"Constraints":[{"Value":"v"}]}]"#,
    );
    assert_eq!(flag.segments.len(), 1);
    let segment = &flag.segments[0];
    assert_eq!((segment.id, segment.rank), (1, 6));
    assert_eq!(
        (
            segment.constraints[0].property.as_str(),
            segment.constraints[0].value.as_str()
        ),
        ("p", "v")
    );
    assert_eq!(decode(r#""Tags":[{"ID":1}],"Tags":null"#).tags, []);
    assert_eq!(decode(r#""Tags":[{"ID":1}],"Tags":[]"#).tags, []);
    assert_eq!(
        decode(r#""Tags":[{"ID":1}],"Tags":null,"Tags":[{}]"#).tags,
        [Tag::default()]
    );
    assert_eq!(decode(r#""Tags":[null]"#).tags, [Tag::default()]);
}

#[test]
fn repeated_attachments_are_merged() {
    let attachment = |members: &str| {
        let mut flag = decode(&format!("\"Variants\":[{{{members}}}]"));
        assert_eq!(flag.fault, None);
        flag.variants
            .remove(0)
            .attachment
            .map(|found| found.json().to_owned())
    };
    assert_eq!(
        attachment(r#""Attachment":{"a":1,"b":2},"attachment":{"b":3}"#).unwrap(),
        r#"{"a":1,"b":3}"#
    );
    assert_eq!(
        attachment(r#""Attachment":{"a":1},"Attachment":null"#),
        None
    );
    assert_eq!(
        attachment(r#""Attachment":{"a":1},"Attachment":null,"Attachment":{}"#).unwrap(),
        "{}"
    );
}

#[test]
fn times_follow_null_and_zero() {
    let time = Some("2026-01-02T03:04:05Z".parse().unwrap());
    let flag = decode(
        r#""CreatedAt":"2026-01-02T03:04:05Z","CreatedAt":null,"UpdatedAt":"0001-01-01T00:00:00Z",
           "DeletedAt":"2026-01-02T03:04:05Z""#,
    );
    assert_eq!(
        (flag.created_at, flag.updated_at, flag.deleted_at),
        (time, None, time)
    );
    assert_eq!(
        decode(r#""DeletedAt":"2026-01-02T03:04:05Z","DeletedAt":null"#).deleted_at,
        None
    );
}

#[test]
fn values_of_the_wrong_type_are_told_with_their_path() {
    for (members, expected) in [
        (r#""Enabled":1"#, "Enabled: expected true or false, found 1"),
        (
            r#""enabled":"true""#,
            "Enabled: expected true or false, found a string",
        ),
        (r#""Key":true"#, "Key: expected a string, found true"),
        (
            r#""ID":1.0"#,
            "ID: expected an integer from 0 to 18446744073709551615, found 1.0",
        ),
        (
            r#""ID":1e2"#,
            "ID: expected an integer from 0 to 18446744073709551615, found 1e2",
        ),
        (
            r#""ID":-0"#,
            "ID: expected an integer from 0 to 18446744073709551615, found -0",
        ),
        (
            r#""ID":1e999"#,
            "ID: expected an integer from 0 to 18446744073709551615, found 1e999",
        ),
        (
            r#""ID":18446744073709551616"#,
            "ID: expected an integer from 0 to 18446744073709551615, found 18446744073709551616",
        ),
        (
            r#""ID":"1""#,
            "ID: expected an integer from 0 to 18446744073709551615, found a string",
        ),
        (
            r#""CreatedAt":"yesterday""#,
            "CreatedAt: not an RFC 3339 time such as 2026-01-02T03:04:05Z",
        ),
        (
            r#""CreatedAt":"2026-01-02T03:04:05\u005a""#,
            "CreatedAt: not an RFC 3339 time such as 2026-01-02T03:04:05Z",
        ),
        (
            r#""DeletedAt":5"#,
            "DeletedAt: expected a time as a string, found 5",
        ),
        (
            r#""Segments":{}"#,
            "Segments: expected a list, found an object",
        ),
        (
            r#""Segments":"""#,
            "Segments: expected a list, found a string",
        ),
        (
            r#""Tags":["a"]"#,
            "Tags[0]: expected an object, found a string",
        ),
        (
            r#""Segments":[{},{"Distributions":[{},{},{"percent":[]}]}]"#,
            "Segments[1].Distributions[2].Percent: expected an integer from 0 to 100, found a list",
        ),
        (
            r#""Segments":[{"RolloutPercent":33.5}]"#,
            "Segments[0].RolloutPercent: expected an integer from 0 to 100, found 33.5",
        ),
        (
            r#""Segments":[{"Distributions":[{"Percent":-1}]}]"#,
            "Segments[0].Distributions[0].Percent: expected an integer from 0 to 100, found -1",
        ),
        (
            r#""Variants":[{"Attachment":[1]}]"#,
            "Variants[0].Attachment: expected an object, found a list",
        ),
        (
            r#""Variants":[{"Attachment":{"n":1e400}}]"#,
            "Variants[0].Attachment: the number 1e400 is out of the range of 64-bit floats",
        ),
        (
            r#""Tags":[{"Flags":[null,{"Key":5}]}]"#,
            "Tags[0].Flags[1].Key: expected a string, found a number",
        ),
    ] {
        assert_eq!(fault(members), expected);
    }
    let long = fault(&format!("\"Enabled\":{}", "7".repeat(1000)));
    assert_eq!(
        long,
        format!("Enabled: expected true or false, found {}…", "7".repeat(40))
    );
}

#[test]
fn decoding_goes_on_after_a_fault_and_the_first_is_kept() {
    let flag = decode(
        r#""ID":-1,"Enabled":1,"Segments":[5,{"ID":3}],"Key":"a","Description":{"x":[1,"]"]},"Notes":"n""#,
    );
    assert_eq!(
        (flag.key.as_str(), flag.notes.as_str(), flag.segments[1].id),
        ("a", "n", 3)
    );
    assert!(flag.fault.unwrap().starts_with("ID: "));
}

#[test]
fn a_fault_stays_with_its_flag() {
    let text = br#"{"Flags":[{"Key":"a"},{"Key":"b","ID":-1},5,{"Key":"c"}]}"#;
    let set = FlagSet::from_json(text).unwrap();
    let told: Vec<_> = faults(&set)
        .into_iter()
        .map(|faults| faults.len())
        .collect();
    assert_eq!(told, [0, 1, 2, 0]);
    assert_eq!(
        set.flags[2].fault.as_deref(),
        Some("expected an object, found 5")
    );
}

#[test]
fn flags_within_tags_are_bounded() {
    let mut text = r#""Tags":[{"Flags":[{}]}]"#.to_owned();
    for _ in 0..1_000 {
        text = format!(r#""Tags":[{{"Flags":[{{{text}}}]}}]"#);
    }
    assert!(
        fault(&text)
            .ends_with("Flags: expected no further flags within tags of flags, found a list")
    );
    assert_eq!(
        decode(r#""Tags":[{"Value":"v","Flags":[{"Tags":[{"Flags":[{"ID":1}]}]}]}]"#).fault,
        None
    );
}

#[test]
fn merging_attachments_is_bounded() {
    let again = r#","Attachment":{}"#.repeat(1_000);
    let once = format!(r#""Attachment":{{"a":"{}"}}"#, "x".repeat(20_000));
    assert_eq!(
        fault(&format!(r#""Variants":[{{{once}{again}}}]"#)),
        "Variants[0].Attachment: repeated too often"
    );
    assert_eq!(
        decode(&format!(r#""Variants":[{{{once},{once},{once}}}]"#)).fault,
        None
    );
}

/// A document of one sound flag and one of so many empty segments.
fn crowded(segments: usize) -> String {
    let segments = vec!["{}"; segments].join(",");
    format!(
        r#"{{"Flags":[{{"Key":"a"}},{{"Key":"b","Segments":[{segments}]}},{{"Key":"c","Tags":[{{}}]}}]}}"#
    )
}

#[test]
fn a_flag_of_more_parts_than_there_is_memory_for_is_alone_at_fault() {
    // About three bytes of text and some hundred of memory for each.
    for (segments, fits) in [(1_000, true), (1_000_000, false)] {
        let set = FlagSet::from_json(crowded(segments).as_bytes()).unwrap();
        let [a, b, c] = &set.flags[..] else {
            panic!("there are three flags");
        };
        assert_eq!((a.fault.is_some(), c.fault.is_some()), (false, false));
        assert_eq!(c.tags.len(), 1);
        assert_eq!(b.segments.len(), if fits { segments } else { 0 });
        assert_eq!(b.fault.is_some(), !fits);
        assert!(b.segments.capacity() < 2 * 1_000);
    }
}

#[test]
fn flags_within_tags_take_no_room_for_good() {
    let tags = format!(r#"{{"Flags":[{}]}}"#, vec!["{}"; 100_000].join(","));
    let text = format!(
        r#"{{"Flags":[{{"Key":"a","Tags":[{}]}}]}}"#,
        vec![tags; 10].join(",")
    );
    let set = FlagSet::from_json(text.as_bytes()).unwrap();
    assert_eq!(set.flags[0].fault, None);
}

#[test]
fn more_flags_than_there_is_memory_for_are_no_set() {
    let text = format!(r#"{{"Flags":[{}]}}"#, vec!["{}"; 1_000_000].join(","));
    let error = FlagSet::from_export(text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), crate::flag::DocumentErrorKind::TooLarge);
}
