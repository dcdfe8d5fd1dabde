//! What comes back equals what was kept; what was damaged, in whatever way, is
//! an error.

use proptest::prelude::*;
use serde_json::json;

mod figures;
mod recordings;

use super::super::packing::{PLAIN, ZSTD};
use super::*;
use crate::flag::{Flag, Segment, Variant, faults};

fn provenance() -> Provenance {
    Provenance {
        source: "Flagr at 127.0.0.1:18000, \"quoted\"\n".to_owned(),
        identity: Identity::of("http://127.0.0.1:18000/"),
        saved_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_243_765_123),
        id: 42,
    }
}

fn encoded(set: &FlagSet) -> Vec<u8> {
    encode(set, &provenance(), Packing::new()).unwrap()
}

/// All the ways of packing that this build has.
fn packings() -> Vec<Packing> {
    vec![
        Packing::new(),
        #[cfg(feature = "zstd")]
        Packing::new().zstd(),
    ]
}

fn assert_comes_back(set: &FlagSet) {
    for packing in packings() {
        let document = encode(set, &provenance(), packing).unwrap();
        let saved = decode(&document, Packing::new()).unwrap();
        assert_eq!(&saved.set, set);
        assert_eq!(saved.provenance, provenance());
    }
}

fn refused(document: &[u8]) -> PersistErrorKind {
    decode(document, Packing::new()).unwrap_err().kind()
}

/// A document with a right checksum.
fn forged(schema: u16, method: u8, plain: usize, body: &[u8]) -> Vec<u8> {
    let mut document = MAGIC.to_vec();
    document.extend(schema.to_le_bytes());
    document.push(method);
    document.extend(0_u64.to_le_bytes());
    document.extend((plain as u64).to_le_bytes());
    document.extend((body.len() as u64).to_le_bytes());
    document.extend(checksum(&document, body).to_le_bytes());
    document.extend(body);
    document
}

fn small() -> FlagSet {
    FlagSet::from([Flag::boolean("new", true)])
}

/// Flags of every kind: with faults, half surrogate pairs, numbers of odd
/// spelling, all sorts of times.
const DOCUMENT: &str = r#"{"Flags":[{"ID":3,"CreatedAt":"2026-01-02T3:04:05,50+24:60","DeletedAt":null,"Key":"a\u00e9",
"UpdatedAt":"2026-01-02T03:04:05.000000001-07:30","DeletedAt":"0001-01-01T00:00:00Z","SnapshotID":18446744073709551615,
"Enabled":true,"Segments":[{"ID":1,"Rank":2,"RolloutPercent":50,"Constraints":[{"Property":"p","Operator":"EQ",
"Value":"\"x\""}],"Distributions":[{"VariantKey":"on","Percent":100,"VariantID":null}]}],"Variants":[{"Key":"on",
"Attachment": {"n" : [1.50e3, -0, 9007199254740993], "s":"\ud800","s":["\ud83d\udea9\u2028",null]} },{"Key":"off",
"Attachment":{"b":1,"a":2},"attachment":{"b":1e2}},{"Attachment":null},{"Attachment":{}}],"Tags":[{"Value":"t",
"Flags":null}],"Notes":"\u0000\n\ud800"},{"Key":"b","Tags":null,"Segments":null,"Variants":[]},
{"Key":"c","ID":-1,"Segments":[5,{"Rank":1}],"Variants":[{"Attachment":[1]}]},7,null]}"#;

#[test]
fn flags_of_every_kind_come_back() {
    let file = FlagSet::from_json(DOCUMENT.as_bytes()).unwrap();
    let export = FlagSet::from_export(DOCUMENT.as_bytes()).unwrap();
    assert_ne!(file, export);
    let faulty = |set: &FlagSet| set.flags.iter().filter(|flag| flag.fault.is_some()).count();
    assert_eq!((faulty(&file), file.flags.len()), (2, 5));
    let attachment = export.flags[0].variants[0].attachment.as_ref().unwrap();
    assert!(attachment.raw().contains(r#""n" : [1.50e3, -0,"#));
    for set in [file, export, FlagSet::default(), small()] {
        assert_comes_back(&set);
    }
    assert_comes_back(&FlagSet {
        origin: Origin::Export,
        ..FlagSet::default()
    });
    assert_eq!(
        decode(&encoded(&small()), Packing::new())
            .unwrap()
            .set
            .flags[0]
            .id,
        0
    );
}

#[test]
fn what_only_code_can_put_into_a_flag_comes_back_with_the_same_meaning() {
    let mut set = small();
    set.flags[0].created_at = Some("0001-01-01T00:00:00Z".parse().unwrap());
    let variant = Variant::new("odd").attachment(json!([1]));
    set.flags
        .push(Flag::new("odd").variant(variant).segment(Segment::new()));
    let saved = decode(&encoded(&set), Packing::new()).unwrap();
    assert_eq!(saved.set.flags[0], small().flags[0]);
    let (before, after) = (faults(&set), faults(&saved.set));
    assert_eq!(
        before[1],
        ["Variants[0].Attachment: expected an object, found [1]"]
    );
    assert_eq!(
        after[1],
        ["Variants[0].Attachment: expected an object, found a list"]
    );
    assert!(before[0].is_empty() && after[0].is_empty());
}

proptest! {
    #[test]
    fn flags_of_mutated_documents_come_back(
        edits in prop::collection::vec((0..DOCUMENT.len(), prop::collection::vec(
            prop_oneof![
                prop::sample::select(b"{}[],:\"\\0123456789.eE+-tfnuTZ \n".to_vec()),
                any::<u8>(),
            ],
            0..4,
        ), 0_usize..8), 1..3),
    ) {
        let mut bytes = DOCUMENT.as_bytes().to_vec();
        for (at, put, take) in edits {
            let at = at.min(bytes.len());
            let end = (at + take).min(bytes.len());
            bytes.splice(at..end, put);
        }
        for set in [FlagSet::from_json(&bytes), FlagSet::from_export(&bytes)].into_iter().flatten() {
            assert_comes_back(&set);
        }
    }

    #[test]
    fn flags_with_any_members_come_back(
        numbers in any::<[u64; 4]>(),
        texts in any::<[String; 4]>(),
        time in (0..10_000_u16, 1..13_u8, 1..29_u8, 0..24_u8, 0..60_u8, 0..1_000_000_000_u32, 0..25_u8, 0..61_u8),
        value in any::<(f64, String, i64)>(),
        fault in any::<Option<String>>(),
    ) {
        let (year, month, day, hour, minute, nanosecond, offset_hours, offset_minutes) = time;
        let time = format!(
            "{year:04}-{month:02}-{day:02}T{hour}:{minute:02}:00.{nanosecond:09}-{offset_hours:02}:{offset_minutes:02}"
        );
        let mut flag = Flag::new(&texts[0]).id(numbers[0]).description(&texts[1]).tag(&texts[2]);
        flag.deleted_at = time.parse().ok();
        flag.snapshot_id = numbers[1];
        flag.fault = fault.map(String::into_boxed_str);
        flag.variants.push(Variant::new(&texts[3]).attachment(json!({
            &value.1: [value.0, value.2],
        })));
        flag.segments.push(Segment::new().rollout(numbers[2]).distribution(&texts[2], numbers[3]));
        assert_comes_back(&FlagSet::from([flag]));
    }

    #[test]
    fn no_bytes_are_a_document_by_accident(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ours in any::<bool>(),
    ) {
        if ours {
            bytes.splice(0..0, MAGIC.into_iter().chain(SCHEMA.to_le_bytes()));
        }
        prop_assert!(decode(&bytes, Packing::new()).is_err());
        // Behind a right checksum, too.
        prop_assert!(decode(&forged(SCHEMA, PLAIN, bytes.len(), &bytes), Packing::new()).is_err());
        prop_assert!(decode(&forged(SCHEMA, ZSTD, 1_000, &bytes), Packing::new()).is_err());
    }
}

#[test]
fn a_document_broken_off_anywhere_is_truncated() {
    for packing in packings() {
        let document = encode(&small(), &provenance(), packing).unwrap();
        for length in 0..document.len() {
            assert_eq!(
                refused(&document[..length]),
                PersistErrorKind::Truncated,
                "{length}"
            );
        }
    }
    let empty = decode(&[], Packing::new()).unwrap_err();
    assert_eq!(empty.to_string(), "the copy is empty");
}

#[test]
fn no_bit_of_a_document_can_change_unnoticed() {
    use PersistErrorKind::{Corrupt, Foreign, Schema, Truncated};

    for packing in packings() {
        let document = encode(&small(), &provenance(), packing).unwrap();
        for bit in 0..document.len() * 8 {
            let mut flipped = document.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let kind = refused(&flipped);
            let expected = match bit / 8 {
                0..8 => kind == Foreign,
                8..10 => matches!(kind, Schema(_)),
                // The length of what follows.
                27..35 => matches!(kind, Corrupt | Truncated),
                _ => kind == Corrupt,
            };
            assert!(expected, "bit {bit}: {kind:?}");
        }
        let longer = [&document[..], b"\0"].concat();
        assert_eq!(refused(&longer), Corrupt);
    }
}

#[test]
fn what_others_wrote_is_foreign() {
    for bytes in [
        &br#"{"Flags":[]}"#[..],
        b"\0",
        b"vexilla",
        b"vexilla ",
        b"VEXILLA\0",
        &[0xff; 1_000],
    ] {
        let expected = match bytes {
            b"vexilla" => PersistErrorKind::Truncated,
            _ => PersistErrorKind::Foreign,
        };
        assert_eq!(refused(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn other_schemas_are_told_apart_with_both_numbers() {
    for (schema, age) in [
        (0, "older"),
        (1, "older"),
        (3, "newer"),
        (u16::MAX, "newer"),
    ] {
        // Whatever may follow in a form of another time.
        for mut document in [
            forged(schema, PLAIN, 0, b""),
            [&MAGIC[..], &schema.to_le_bytes()].concat(),
        ] {
            document.extend(b"other");
            let error = decode(&document, Packing::new()).unwrap_err();
            assert_eq!(error.kind(), PersistErrorKind::Schema(schema));
            let told = error.to_string();
            assert!(
                told.contains(age)
                    && told.contains(&schema.to_string())
                    && told.contains("schema 2;"),
                "{told}"
            );
        }
    }
}

#[test]
fn whole_documents_without_a_set_of_flags_are_errors() {
    let about =
        r#"{"Source":"s","Identity":18446744073709551615,"Change":1,"Exported":true,"Faults":[]}"#;
    let at_fault = r#"{"Source":"s","Identity":18446744073709551615,"Change":1,"Exported":true,"Faults":[[1,"x"]]}"#;
    let whole = |payload: &str| forged(SCHEMA, PLAIN, payload.len(), payload.as_bytes());
    let flags = r#"{"Flags":[{"Key":"a"}]}"#;
    assert!(decode(&whole(&format!("{about}\n{flags}")), Packing::new()).is_ok());
    for payload in [
        String::new(),
        about.to_owned(),
        flags.to_owned(),
        format!("{about}\n"),
        format!("{about}\n{{}}"),
        format!("{about}\n{flags}x"),
        format!("{{}}\n{flags}"),
        format!("{at_fault}\n{flags}"),
        format!("\n{flags}"),
    ] {
        assert_eq!(
            refused(&whole(&payload)),
            PersistErrorKind::Document,
            "{payload}"
        );
    }
    let longer = forged(SCHEMA, PLAIN, 3, b"{}");
    assert_eq!(refused(&longer), PersistErrorKind::Corrupt);
}

#[test]
fn documents_are_bounded_when_they_are_made_and_when_they_are_read() {
    let document = encoded(&small());
    let exactly = Packing::new().max_bytes(document.len());
    let less = exactly.max_bytes(document.len() - 1);
    assert!(encode(&small(), &provenance(), exactly).is_ok() && decode(&document, exactly).is_ok());
    for error in [
        encode(&small(), &provenance(), less).unwrap_err(),
        decode(&document, less).unwrap_err(),
    ] {
        assert_eq!(error.kind(), PersistErrorKind::TooLarge);
        assert!(error.to_string().contains("max_bytes"), "{error}");
    }
    let told = forged(SCHEMA, ZSTD, usize::MAX, b"");
    assert_eq!(refused(&told), PersistErrorKind::TooLarge);
}

#[test]
fn unknown_compressions_are_told() {
    let error = decode(&forged(SCHEMA, 7, 0, b""), Packing::new()).unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Compression);
    assert!(error.to_string().contains("method 7"), "{error}");
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_compressed_document_is_an_error_that_names_the_feature() {
    let error = decode(&forged(SCHEMA, ZSTD, 100, b"packed"), Packing::new()).unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Compression);
    assert!(error.to_string().contains("feature `zstd`"), "{error}");
}

#[cfg(feature = "zstd")]
#[test]
fn unpacking_ends_at_the_limit() {
    let bomb = zstd::bulk::compress(&vec![b' '; 100 << 20], 3).unwrap();
    assert!(bomb.len() < 20_000);
    let small = Packing::new().max_bytes(1 << 20);
    let error = |plain| decode(&forged(SCHEMA, ZSTD, plain, &bomb), small).unwrap_err();
    assert_eq!(error(100 << 20).kind(), PersistErrorKind::TooLarge);
    // Where it does not own up to its size, it is not unpacked any further.
    for plain in [0, 1, 1 << 20] {
        let error = error(plain);
        assert_eq!(error.kind(), PersistErrorKind::Corrupt);
        assert!(error.to_string().contains("cannot be unpacked"), "{error}");
    }

    let set: FlagSet = (0..100)
        .map(|n| Flag::boolean(n.to_string(), true))
        .collect();
    let plain = encode(&set, &provenance(), Packing::new()).unwrap();
    let packed = encode(&set, &provenance(), Packing::new().zstd()).unwrap();
    assert!(
        packed.len() * 10 < plain.len(),
        "{} of {}",
        packed.len(),
        plain.len()
    );
    let limit = Packing::new().zstd().max_bytes(packed.len());
    let error = encode(&set, &provenance(), limit).unwrap_err();
    assert_eq!(
        error.kind(),
        PersistErrorKind::TooLarge,
        "unpacked it is too large"
    );
    assert_eq!(
        decode(&packed, limit).unwrap_err().kind(),
        PersistErrorKind::TooLarge
    );
}

#[test]
fn times_before_1970_and_far_ahead_break_nothing() {
    let mut early = provenance();
    early.saved_at = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    let document = encode(&small(), &early, Packing::new()).unwrap();
    let saved = decode(&document, Packing::new()).unwrap();
    assert_eq!(saved.provenance.saved_at, SystemTime::UNIX_EPOCH);

    let mut document = encoded(&small());
    document[11..19].copy_from_slice(&u64::MAX.to_le_bytes());
    let sum = checksum(&document[..HEADER - 4], &document[HEADER..]);
    document[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    // A time that this system has, or an error: never a panic.
    if let Ok(saved) = decode(&document, Packing::new()) {
        assert_eq!(saved.set, small());
    }
}

#[test]
fn identities_are_hashes_that_stay_as_they_are() {
    // The published values of FNV-1a: copies outlive a version of Vexilla.
    assert_eq!(Identity::of(""), Identity(0xcbf2_9ce4_8422_2325));
    assert_eq!(Identity::of("foobar"), Identity(0x8594_4171_f739_67e8));
    let document = encoded(&small());
    let text = String::from_utf8_lossy(&document);
    assert!(!text.contains("http://127"), "{text}");
}

#[test]
fn errors_say_what_is_wrong_in_plain_words() {
    let told = |document: &[u8]| {
        let error = decode(document, Packing::new()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        told(&encoded(&small())[..9]),
        "the copy is truncated at 9 bytes"
    );
    assert_eq!(
        told(&forged(3, PLAIN, 0, b"")),
        "the copy has schema 3, written by a newer version of Vexilla, and this one reads \
         schema 2; the next save replaces it"
    );
    assert_eq!(
        told(&forged(1, PLAIN, 0, b"")),
        "the copy has schema 1, written by an older version of Vexilla, and this one reads \
         schema 2; the next save replaces it"
    );
    assert_eq!(
        told(&forged(SCHEMA, PLAIN, 3, b"{}")),
        "the copy has 2 bytes, but its header says 3"
    );
    let fault = r#"{"Source":"s","Identity":1,"Change":1,"Exported":true,"Faults":[[1,"x"]]}"#;
    let payload = format!("{fault}\n{{\"Flags\":[{{\"Key\":\"a\"}}]}}");
    assert_eq!(
        told(&forged(SCHEMA, PLAIN, payload.len(), payload.as_bytes())),
        "the copy is complete, but its content is not a valid set of flags: the copy records \
         an error for flag 1, which does not exist"
    );
}
