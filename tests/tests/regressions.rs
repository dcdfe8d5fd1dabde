//! Intricate flags with the answers that Flagr 1.2.3 gave: one test for each
//! thing that went wrong once, or that easily would.
//!
//! The flags are as Flagr exported them, without the members that evaluation
//! does not look at.

use serde_json::{Value, json};
use vexilla_core::flag::FlagSet;
use vexilla_core::snapshot::{Snapshot, TagMatch};
use vexilla_core::{Context, EmptyEntity};

/// Segment id, variant id and variant key; `None` without variant.
type Assigned = Option<(u64, u64, &'static str)>;

/// Evaluates the flag for the entity with each set of attributes and compares with Flagr's answers.
#[expect(clippy::unwrap_used, reason = "part of tests")]
fn agrees(flag: &str, entity: &str, answers: &[(&str, Assigned)]) {
    let export = format!("{{\"Flags\":[{flag}]}}");
    let snapshot = Snapshot::new(FlagSet::from_export(export.as_bytes()).unwrap());
    assert_eq!(snapshot.problems().next(), None);
    let key = &snapshot.flags().next().unwrap().key;
    for (attributes, expected) in answers {
        let context = json!({
            "entityID": entity,
            "entityContext": serde_json::from_str::<Value>(attributes).unwrap(),
        });
        let visitor: Context = serde_json::from_value(context).unwrap();
        let ours = snapshot.evaluate(key, &visitor, EmptyEntity::NoRollout);
        let ours = ours.variant_id().map(|variant| {
            (
                ours.segment_id().unwrap_or(0),
                variant,
                ours.variant_key().unwrap_or_default(),
            )
        });
        assert_eq!(ours, *expected, "{entity} {attributes}");
    }
}

#[test]
fn a_comment_opened_in_a_value_swallows_the_next_constraint() {
    agrees(
        r#"{"ID":1,"Key":"f","Enabled":true,"Segments":[{"ID":1,"RolloutPercent":100,"Constraints":[{"ID":1,"Property":"p","Operator":"EQ","Value":"1) // c"},{"ID":2,"Property":"q","Operator":"EQ","Value":"2"}],"Distributions":[{"ID":1,"VariantID":1,"Percent":100}]}],"Variants":[{"ID":1,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1,"q":3}"#, Some((1, 1, "on"))),
            (r#"{"p":1}"#, Some((1, 1, "on"))),
            (r#"{"p":2,"q":2}"#, None),
        ],
    );
}

#[test]
fn a_comment_may_stand_inside_a_number_and_a_property() {
    agrees(
        r#"{"ID":2,"Key":"f","Enabled":true,"Segments":[{"ID":2,"RolloutPercent":100,"Constraints":[{"ID":3,"Property":"p/* c */","Operator":"EQ","Value":"- /* c */ 5"}],"Distributions":[{"ID":2,"VariantID":2,"Percent":100}]}],"Variants":[{"ID":2,"Key":"on"}]}"#,
        "user",
        &[(r#"{"p":-5}"#, Some((2, 2, "on"))), (r#"{"p":5}"#, None)],
    );
}

#[test]
fn an_operand_behind_a_value_is_read_over() {
    agrees(
        r#"{"ID":3,"Key":"f","Enabled":true,"Segments":[{"ID":3,"RolloutPercent":100,"Constraints":[{"ID":4,"Property":"p","Operator":"EQ","Value":"\"x\" {q}"},{"ID":5,"Property":"r","Operator":"EQ","Value":"1"}],"Distributions":[{"ID":3,"VariantID":3,"Percent":100}]}],"Variants":[{"ID":3,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"x","q":"y"}"#, None),
            (r#"{"p":"x","r":1}"#, Some((3, 3, "on"))),
            (r#"{"p":"x"}"#, None),
        ],
    );
}

#[test]
fn precedence_is_repaired_at_the_root_only() {
    agrees(
        r#"{"ID":4,"Key":"f","Enabled":true,"Segments":[{"ID":4,"RolloutPercent":100,"Constraints":[{"ID":6,"Property":"p","Operator":"EQ","Value":"\"CA\" OR {q} == \"x\" AND {r} == 1"}],"Distributions":[{"ID":4,"VariantID":4,"Percent":100}]}],"Variants":[{"ID":4,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"CA","q":"y","r":2}"#, Some((4, 4, "on"))),
            (r#"{"p":"NY","q":"x","r":1}"#, None),
            (r#"{"p":"NY","q":"y","r":1}"#, None),
        ],
    );
}

#[test]
fn chains_of_xor_and_nand_keep_their_odd_order() {
    agrees(
        r#"{"ID":5,"Key":"f","Enabled":true,"Segments":[{"ID":5,"RolloutPercent":100,"Constraints":[{"ID":7,"Property":"p","Operator":"EQ","Value":"1) XOR ({q} == 1) NAND ({r} == 1) XOR ({p} == 2"}],"Distributions":[{"ID":5,"VariantID":5,"Percent":100}]}],"Variants":[{"ID":5,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1,"q":1,"r":1}"#, Some((5, 5, "on"))),
            (r#"{"p":1,"q":1,"r":2}"#, None),
            (r#"{"p":1,"q":2,"r":1}"#, None),
            (r#"{"p":1,"q":2,"r":2}"#, None),
            (r#"{"p":2,"q":1,"r":1}"#, Some((5, 5, "on"))),
            (r#"{"p":2,"q":1,"r":2}"#, None),
            (r#"{"p":2,"q":2,"r":1}"#, None),
            (r#"{"p":2,"q":2,"r":2}"#, None),
        ],
    );
}

#[test]
fn a_chain_of_one_level_gathers_on_the_right() {
    agrees(
        r#"{"ID":6,"Key":"f","Enabled":true,"Segments":[{"ID":6,"RolloutPercent":100,"Constraints":[{"ID":8,"Property":"p","Operator":"EQ","Value":"1) NAND ({q} == 1) NAND ({r} == 1"}],"Distributions":[{"ID":6,"VariantID":6,"Percent":100}]}],"Variants":[{"ID":6,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1,"q":1,"r":1}"#, Some((6, 6, "on"))),
            (r#"{"p":1,"q":1,"r":2}"#, None),
            (r#"{"p":1,"q":2,"r":1}"#, None),
            (r#"{"p":1,"q":2,"r":2}"#, None),
            (r#"{"p":2,"q":1,"r":1}"#, Some((6, 6, "on"))),
            (r#"{"p":2,"q":1,"r":2}"#, Some((6, 6, "on"))),
            (r#"{"p":2,"q":2,"r":1}"#, Some((6, 6, "on"))),
            (r#"{"p":2,"q":2,"r":2}"#, Some((6, 6, "on"))),
        ],
    );
}

#[test]
fn an_error_in_the_right_of_or_counts_only_when_it_is_looked_at() {
    agrees(
        r#"{"ID":7,"Key":"f","Enabled":true,"Segments":[{"ID":7,"RolloutPercent":100,"Constraints":[{"ID":9,"Property":"p","Operator":"EQ","Value":"1) OR ({q} == 1"}],"Distributions":[{"ID":7,"VariantID":7,"Percent":100}]}],"Variants":[{"ID":7,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1}"#, Some((7, 7, "on"))),
            (r#"{"p":2}"#, None),
            (r#"{"p":2,"q":1}"#, Some((7, 7, "on"))),
            (r#"{"p":"1","q":1}"#, None),
        ],
    );
}

#[test]
fn a_regex_is_quoted_by_its_two_ends_whatever_stands_between() {
    agrees(
        r#"{"ID":8,"Key":"f","Enabled":true,"Segments":[{"ID":8,"RolloutPercent":100,"Constraints":[{"ID":10,"Property":"p","Operator":"EREG","Value":"\"A\" OR \"x\""}],"Distributions":[{"ID":8,"VariantID":8,"Percent":100}]}],"Variants":[{"ID":8,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"A\" OR \"x"}"#, Some((8, 8, "on"))),
            (r#"{"p":"A"}"#, None),
            (r#"{"p":"A\"OR\"x"}"#, None),
        ],
    );
}

#[test]
fn blanks_and_comments_vanish_from_a_regex() {
    agrees(
        r#"{"ID":9,"Key":"f","Enabled":true,"Segments":[{"ID":9,"RolloutPercent":100,"Constraints":[{"ID":11,"Property":"p","Operator":"EREG","Value":"/^a /* b */ [b c]$/"},{"ID":12,"Property":"q","Operator":"EREG","Value":"\"^a [b c]$\""}],"Distributions":[{"ID":9,"VariantID":9,"Percent":100}]}],"Variants":[{"ID":9,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"ab","q":"ac"}"#, Some((9, 9, "on"))),
            (r#"{"p":"ab","q":"a "}"#, None),
            (r#"{"p":"a b","q":"ac"}"#, None),
        ],
    );
}

#[test]
fn a_regex_with_a_slash_keeps_blanks_and_has_go_escapes() {
    agrees(
        r#"{"ID":10,"Key":"f","Enabled":true,"Segments":[{"ID":10,"RolloutPercent":100,"Constraints":[{"ID":13,"Property":"p","Operator":"EREG","Value":"\"^a /\\x62\\\\d$\""}],"Distributions":[{"ID":10,"VariantID":10,"Percent":100}]}],"Variants":[{"ID":10,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"a /b7"}"#, Some((10, 10, "on"))),
            (r#"{"p":"a/b7"}"#, None),
            (r#"{"p":"a /bd"}"#, None),
        ],
    );
}

#[test]
fn an_invalid_regex_matches_not_even_when_negated() {
    agrees(
        r#"{"ID":11,"Key":"f","Enabled":true,"Segments":[{"ID":11,"RolloutPercent":100,"Constraints":[{"ID":14,"Property":"p","Operator":"NEREG","Value":"\"(?<=a)b\""}],"Distributions":[{"ID":11,"VariantID":11,"Percent":100}]}],"Variants":[{"ID":11,"Key":"on"}]}"#,
        "user",
        &[(r#"{"p":"x"}"#, None), (r#"{"p":"ab"}"#, None)],
    );
}

#[test]
fn case_folding_is_unicodes_and_classes_are_ascii() {
    agrees(
        r#"{"ID":12,"Key":"f","Enabled":true,"Segments":[{"ID":12,"RolloutPercent":100,"Constraints":[{"ID":15,"Property":"p","Operator":"EREG","Value":"\"(?i)^k\\w$\""}],"Distributions":[{"ID":12,"VariantID":12,"Percent":100}]}],"Variants":[{"ID":12,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"Ka"}"#, Some((12, 12, "on"))),
            (r#"{"p":"Kſ"}"#, Some((12, 12, "on"))),
            (r#"{"p":"ké"}"#, None),
        ],
    );
}

#[test]
fn a_swapped_range_of_repeats_is_text_only_without_a_minimum() {
    agrees(
        r#"{"ID":13,"Key":"f","Enabled":true,"Segments":[{"ID":13,"RolloutPercent":100,"Constraints":[{"ID":16,"Property":"p","Operator":"EREG","Value":"\"^a{,3}$\""}],"Distributions":[{"ID":13,"VariantID":13,"Percent":100}]}],"Variants":[{"ID":13,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"aa"}"#, None),
            (r#"{"p":"a{,3}"}"#, Some((13, 13, "on"))),
        ],
    );
}

#[test]
fn one_wrong_escape_makes_the_whole_string_raw() {
    agrees(
        r#"{"ID":14,"Key":"f","Enabled":true,"Segments":[{"ID":14,"RolloutPercent":100,"Constraints":[{"ID":17,"Property":"p","Operator":"EQ","Value":"\"\\u00e9\\d\""}],"Distributions":[{"ID":14,"VariantID":14,"Percent":100}]}],"Variants":[{"ID":14,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"éd"}"#, None),
            (r#"{"p":"\\u00e9\\d"}"#, Some((14, 14, "on"))),
            (r#"{"p":"é\\d"}"#, None),
        ],
    );
}

#[test]
fn byte_escapes_join_to_a_character() {
    agrees(
        r#"{"ID":15,"Key":"f","Enabled":true,"Segments":[{"ID":15,"RolloutPercent":100,"Constraints":[{"ID":18,"Property":"p","Operator":"EQ","Value":"\"\\xc3\\x9f\\v\""}],"Distributions":[{"ID":15,"VariantID":15,"Percent":100}]}],"Variants":[{"ID":15,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"\u00df\u000b"}"#, Some((15, 15, "on"))),
            (r#"{"p":"\u00df"}"#, None),
        ],
    );
}

#[test]
fn list_items_lose_blanks_and_take_json_escapes() {
    agrees(
        r#"{"ID":16,"Key":"f","Enabled":true,"Segments":[{"ID":16,"RolloutPercent":100,"Constraints":[{"ID":19,"Property":"p","Operator":"IN","Value":"[1 2, 3, - 1, 1e 2]"}],"Distributions":[{"ID":16,"VariantID":16,"Percent":100}]}],"Variants":[{"ID":16,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":12}"#, Some((16, 16, "on"))),
            (r#"{"p":1}"#, None),
            (r#"{"p":-1}"#, Some((16, 16, "on"))),
            (r#"{"p":100}"#, Some((16, 16, "on"))),
            (r#"{"p":3.000001}"#, None),
            (r#"{"p":3.0001}"#, None),
            (r#"{"p":"3"}"#, None),
        ],
    );
}

#[test]
fn half_a_surrogate_pair_in_a_list_is_a_replacement_character() {
    agrees(
        r#"{"ID":17,"Key":"f","Enabled":true,"Segments":[{"ID":17,"RolloutPercent":100,"Constraints":[{"ID":20,"Property":"p","Operator":"IN","Value":"[\"\\ud83d\\udea9\", \"\\ud83d\"]"}],"Distributions":[{"ID":17,"VariantID":17,"Percent":100}]}],"Variants":[{"ID":17,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":"🚩"}"#, Some((17, 17, "on"))),
            (r#"{"p":"�"}"#, Some((17, 17, "on"))),
            (r#"{"p":"\\ud83d"}"#, None),
        ],
    );
}

#[test]
fn a_value_can_be_both_below_and_equal() {
    agrees(
        r#"{"ID":18,"Key":"f","Enabled":true,"Segments":[{"ID":18,"RolloutPercent":100,"Constraints":[{"ID":21,"Property":"p","Operator":"LT","Value":"18) AND ({p} >= 18"}],"Distributions":[{"ID":18,"VariantID":18,"Percent":100}]}],"Variants":[{"ID":18,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":17.9999999}"#, Some((18, 18, "on"))),
            (r#"{"p":17.9999}"#, None),
            (r#"{"p":18}"#, None),
        ],
    );
}

#[test]
fn hexadecimal_floats_round_half_to_even() {
    agrees(
        r#"{"ID":19,"Key":"f","Enabled":true,"Segments":[{"ID":19,"RolloutPercent":100,"Constraints":[{"ID":22,"Property":"p","Operator":"GT","Value":"0x1.00000000000008p0) AND ({q} > 0x1.00000000000018p0"}],"Distributions":[{"ID":19,"VariantID":19,"Percent":100}]}],"Variants":[{"ID":19,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1,"q":1.0000000000000004}"#, None),
            (
                r#"{"p":1.0000000000000002,"q":1.0000000000000007}"#,
                Some((19, 19, "on")),
            ),
            (r#"{"p":1.0000000000000002,"q":1.0000000000000004}"#, None),
        ],
    );
}

#[test]
fn near_zero_only_what_nearly_underflows_is_equal() {
    agrees(
        r#"{"ID":20,"Key":"f","Enabled":true,"Segments":[{"ID":20,"RolloutPercent":100,"Constraints":[{"ID":23,"Property":"p","Operator":"EQ","Value":"0"}],"Distributions":[{"ID":20,"VariantID":20,"Percent":100}]}],"Variants":[{"ID":20,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"p":1e-52}"#, Some((20, 20, "on"))),
            (r#"{"p":1e-50}"#, None),
            (r#"{"p":-0.0}"#, Some((20, 20, "on"))),
        ],
    );
}

#[test]
fn an_at_sign_behind_a_dash_looks_up_another_key() {
    agrees(
        r#"{"ID":21,"Key":"f","Enabled":true,"Segments":[{"ID":21,"RolloutPercent":100,"Constraints":[{"ID":24,"Property":"a-@b","Operator":"EQ","Value":"1"}],"Distributions":[{"ID":21,"VariantID":21,"Percent":100}]}],"Variants":[{"ID":21,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"a-@-b":1}"#, Some((21, 21, "on"))),
            (r#"{"a-@b":1}"#, None),
        ],
    );
}

#[test]
fn negative_indexes_count_from_the_end_of_lists_only() {
    agrees(
        r#"{"ID":22,"Key":"f","Enabled":true,"Segments":[{"ID":22,"RolloutPercent":100,"Constraints":[{"ID":25,"Property":"a[ - 2 ].b","Operator":"NOTIN","Value":"[\"x\"]"}],"Distributions":[{"ID":22,"VariantID":22,"Percent":100}]}],"Variants":[{"ID":22,"Key":"on"}]}"#,
        "user",
        &[
            (r#"{"a":[{"b":"y"},0]}"#, Some((22, 22, "on"))),
            (r#"{"a":[{"b":"x"},0]}"#, None),
            (r#"{"a":[0]}"#, None),
            (r#"{"a":{"-2":{"b":"y"}}}"#, None),
            (r#"{"a":[{"b":5},0]}"#, None),
        ],
    );
}

#[test]
fn a_segment_rolled_out_to_nobody_still_ends_the_search() {
    const FLAG: &str = r#"{"ID":23,"Key":"f","Enabled":true,"Segments":[{"ID":23,"RolloutPercent":0,"Constraints":[{"ID":26,"Property":"p","Operator":"CONTAINS","Value":"\"x\""}],"Distributions":[{"ID":23,"VariantID":23,"Percent":100}]},{"ID":24,"RolloutPercent":37,"Distributions":[{"ID":25,"VariantID":23,"Percent":70},{"ID":24,"VariantID":24,"Percent":30}]}],"Variants":[{"ID":23,"Key":"on"},{"ID":24,"Key":"off"}]}"#;
    agrees(
        FLAG,
        "é-0",
        &[
            (r#"{"p":["x"]}"#, None),
            (r#"{"p":["y"]}"#, Some((24, 23, "on"))),
            (r#"{"p":[]}"#, Some((24, 23, "on"))),
            (r#"{"p":"x"}"#, Some((24, 23, "on"))),
        ],
    );
    agrees(
        FLAG,
        "é-1",
        &[
            (r#"{"p":["x"]}"#, None),
            (r#"{"p":["y"]}"#, None),
            (r#"{"p":[]}"#, None),
            (r#"{"p":"x"}"#, None),
        ],
    );
    agrees(
        FLAG,
        "é-2",
        &[
            (r#"{"p":["x"]}"#, None),
            (r#"{"p":["y"]}"#, Some((24, 23, "on"))),
            (r#"{"p":[]}"#, Some((24, 23, "on"))),
            (r#"{"p":"x"}"#, Some((24, 23, "on"))),
        ],
    );
}

/// Each constraint parses by itself, but the comment that the first opens
/// ends in the second. Flagr accepts both and then refuses to load any flag.
#[test]
fn a_comment_over_two_constraints_is_a_problem_of_its_flag() {
    let flags = |second: &str| {
        let text = format!(
            r#"{{"Flags":[{{"ID":1,"Key":"f","Enabled":true,"Variants":[{{"ID":1,"Key":"on"}}],"Segments":[{{"ID":1,"RolloutPercent":100,"Constraints":[{{"Property":"p","Operator":"EQ","Value":"1) /*"}},{{"Property":"{second}","Operator":"EQ","Value":"1"}}],"Distributions":[{{"VariantID":1,"Percent":100}}]}}]}}]}}"#
        );
        FlagSet::from_export(text.as_bytes()).unwrap()
    };
    assert_eq!(Snapshot::new(flags("q")).problems().count(), 0);
    assert_eq!(Snapshot::new(flags("q/* c */")).problems().count(), 1);
}

/// Answers that Flagr 1.2.3 gave to `POST /api/v1/evaluation/batch` for these
/// flags in JSON-file mode: two have one ID.
#[test]
fn flags_with_one_id_are_found_by_the_tags_of_both() {
    let flag = |id: u64, key: &str, variant: u64, tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| json!({"Value": tag})).collect();
        json!({
            "ID": id, "Key": key, "Enabled": true, "Tags": tags,
            "Variants": [{"ID": variant, "Key": format!("v{variant}")}],
            "Segments": [{"ID": variant, "RolloutPercent": 100, "Distributions": [
                {"ID": variant, "VariantID": variant, "Percent": 100}
            ]}],
        })
    };
    let file = json!({"Flags": [
        flag(55, "one", 1, &["b", "c", "e"]),
        flag(55, "two", 2, &["a", "c"]),
        flag(7, "three", 3, &["a", "d"]),
    ]});
    let snapshot = Snapshot::new(FlagSet::from_json(file.to_string().as_bytes()).unwrap());
    assert_eq!(snapshot.problem_count(), 0);
    for (tags, all, any) in [
        ("a b", "55 two v2", "7 three v3, 55 one v1"),
        ("b a", "55 one v1", "7 three v3, 55 two v2"),
        ("a", "7 three v3, 55 two v2", "7 three v3, 55 two v2"),
        ("b", "55 one v1", "55 one v1"),
        ("c", "55 two v2", "55 two v2"),
        ("c b", "55 two v2", "55 one v1"),
        ("b c", "55 one v1", "55 two v2"),
        ("a d", "7 three v3", "7 three v3, 55 two v2"),
        ("d b", "", "7 three v3, 55 one v1"),
        ("e a c", "55 one v1", "7 three v3, 55 two v2"),
        ("e x", "", "55 one v1"),
        ("a a", "7 three v3, 55 two v2", "7 three v3, 55 two v2"),
        ("", "", ""),
    ] {
        let names: Vec<_> = tags.split_terminator(' ').collect();
        for (how, expected) in [(TagMatch::All, all), (TagMatch::Any, any)] {
            let context = Context::new("u");
            let ours: Vec<_> = snapshot
                .evaluate_tagged(&names, how, &context, EmptyEntity::NoRollout)
                .iter()
                .map(|evaluation| {
                    format!(
                        "{} {} {}",
                        evaluation.flag_id().unwrap_or(0),
                        evaluation.flag_key(),
                        evaluation.variant_key().unwrap_or_default(),
                    )
                })
                .collect();
            assert_eq!(ours.join(", "), expected, "{tags} {how:?}");
        }
    }
}
