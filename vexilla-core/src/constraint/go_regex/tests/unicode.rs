//! The tables against those of Go 1.26.

use regex_syntax::hir::ClassUnicode;

use super::super::unicode::{fold, fold_char, negate, property, single};

/// For every property that Go knows by a name, the digest of its characters without and then with
/// case folding.
const DIGESTS: &str = "
    ASCII=0D379DB5 Adlam=E63C6680 Ahom=E63931B6 Any=99F08000 Arabic=CA5B1FC0 Armenian=AD9601A0
    Assigned=51A3060A Avestan=04D013FC Balinese=05FF4060 Bamum=F346C49E Batak=3DE23880
    Bengali=1489F420 Bhaiksuki=7EE50AC8 Bopomofo=5A3BFFEC Brahmi=315AE8B2 Braille=190FF000
    Buginese=C1F749E0 Buhid=24BE35C0 C=165FA480 Carian=E081010E Cased_Letter=284A7772
    Cc=2A283B00 Cf=45DE32E0 Chakma=5D43E078 Cham=73A0032C Cherokee=4600D440
    Chorasmian=B5FC9D40 Close_Punctuation=1AC46AEA Cn=D09DED1E Co=8CEE2740
    Combining_Mark=FE0F16CF Common=C1C260B4 Connector_Punctuation=465D57C0 Control=2A283B00
    Coptic=62E18248 Cs=00000000 Cuneiform=1A4CA040 Currency_Symbol=FC90E66C Cypriot=84A62480
    Cyrillic=F2174E60 Dash_Punctuation=6976F420 Decimal_Number=B11E4180 Deseret=C5016B00
    Devanagari=8A3FD240 Dogra=31156B40 Duployan=12943CAA Elbasan=EE18D980 Elymaic=EAFAF728
    Enclosing_Mark=BBF57CE4 Ethiopic=C19DB2C2 Final_Punctuation=724C2680 Format=45DE32E0
    Georgian=3D4120FE Glagolitic=1F8856C0 Gothic=1B255604 Grantha=23471986 Greek=604FD8B0
    Gujarati=251D632A Gurmukhi=5BED02A0 Han=C2BC01E0 Hangul=562C3348 Hanunoo=4DE5EEAA
    Hatran=5836F7E0 Hebrew=4CC72980 Hiragana=EF6C5276 Inherited=FC17555F
    Initial_Punctuation=9B9AC860 Javanese=22C68C20 Kaithi=10C3AC80 Kannada=BB2D5A3A
    Katakana=454CEDB0 Kawi=36CC0D80 Kharoshthi=1C6C9740 Khmer=9BA676A0 Khojki=6028727C
    Khudawadi=2762031A L=AF19EF3E LC=284A7772 Lao=8EDA905E Latin=06B6BC34 Lepcha=30BBCD00
    Letter=AF19EF3E Letter_Number=60BE3220 Limbu=8CA49920 Line_Separator=0EA2682E
    Lisu=30B3174E Ll=049897E0 Lm=9D5C8C08 Lo=62D166A0 Lowercase_Letter=049897E0 Lt=C4D0B59A
    Lu=1903EE92 Lycian=1B5532E2 Lydian=EEC9B4DA M=FE0F16CF Mahajani=BB2E3638 Makasar=9D54E3A6
    Malayalam=A84740A0 Mandaic=2443C75E Manichaean=E4AF5BCC Marchen=33304EC0 Mark=FE0F16CF
    Math_Symbol=780D8680 Mc=6A33CF80 Me=BBF57CE4 Medefaidrin=396CD7A4 Miao=F746C05C
    Mn=EF762A37 Modi=4FD157F0 Modifier_Letter=9D5C8C08 Modifier_Symbol=B433388E
    Mongolian=A6A17600 Mro=9570FF54 Multani=12CF95A0 Myanmar=B40044A0 N=11706F84
    Nabataean=0450D080 Nandinagari=C4BC7B76 Nd=B11E4180 Newa=FFEB711C Nko=5B6B7020 Nl=60BE3220
    No=2A17274A Nonspacing_Mark=EF762A37 Number=11706F84 Nushu=6EE93330 Ogham=169D0AE2
    Open_Punctuation=E9BCD47C Oriya=3CA4EF4C Osage=C71CD780 Osmanya=D0BF7180 Other=165FA480
    Other_Letter=62D166A0 Other_Number=2A17274A Other_Punctuation=41A3ACC0
    Other_Symbol=BC1C1900 P=9EF0EEE0 Palmyrene=54AFBE00 Paragraph_Separator=0EA2DCAC
    Pc=465D57C0 Pd=6976F420 Pe=1AC46AEA Pf=724C2680 Phoenician=644CA5DC Pi=9B9AC860
    Po=41A3ACC0 Private_Use=8CEE2740 Ps=E9BCD47C Punctuation=9EF0EEE0 Rejang=2CA71B64
    Runic=3A98DBC0 S=38EC63A0 Samaritan=1448DF3E Saurashtra=7BC122A0 Sc=FC90E66C
    Separator=5166B0EA Sharada=B5CDBA00 Shavian=4C106D00 Siddham=B23D0140 Sinhala=DC2F0A74
    Sk=B433388E Sm=780D8680 So=BC1C1900 Sogdian=21B89B20 Soyombo=8FDEE68C
    Space_Separator=E4A3B1A8 Spacing_Mark=6A33CF80 Sundanese=5989F780 Surrogate=00000000
    Symbol=38EC63A0 Syriac=2BF29880 Tagalog=F15D9616 Tagbanwa=E31AB840 Takri=7AEB52C0
    Tamil=C86FDDB4 Tangsa=A34E5B06 Tangut=A100D500 Telugu=7D6399C0 Thaana=17DE6CA0
    Thai=165C8C60 Tibetan=DF6F7FE4 Tifinagh=BC4DA23A Tirhuta=594B82A0
    Titlecase_Letter=C4D0B59A Toto=E44D3EC0 Ugaritic=E62A411E Unassigned=D09DED1E
    Uppercase_Letter=1903EE92 Vai=D9F0C440 Vithkuqi=0F71BDE0 Wancho=6C1C297A Yezidi=A72F5F0E
    Yi=BB4CE0E0 Z=5166B0EA Zl=0EA2682E Zp=0EA2DCAC Zs=E4A3B1A8 cntrl=2A283B00 digit=B11E4180
    punct=9EF0EEE0
";

fn characters(set: &ClassUnicode) -> impl Iterator<Item = char> + '_ {
    set.iter().flat_map(|range| range.start()..=range.end())
}

fn digest(mut digest: u32, set: &ClassUnicode) -> u32 {
    for c in characters(set) {
        digest = digest.wrapping_mul(31).wrapping_add(u32::from(c) + 1);
    }
    digest.wrapping_mul(31)
}

#[test]
fn every_property_has_the_characters_that_go_gives_it() {
    let mut properties = 0;
    for row in DIGESTS.split_whitespace() {
        let (name, expected) = row.split_once('=').unwrap();
        let plain = property(name, false).unwrap();
        let folded = property(name, true).unwrap();
        let found = digest(digest(0, &plain), &folded);
        assert_eq!(format!("{found:08X}"), expected, "{name}");
        properties += 1;
    }
    assert_eq!(properties, 200);
}

#[test]
fn a_character_folds_alone_as_it_does_in_a_set() {
    for c in ('\0'..='\u{2FFF}')
        .chain('\u{A640}'..='\u{FFFF}')
        .chain('\u{10400}'..='\u{1E943}')
    {
        let alone = fold_char(c);
        let mut in_set = single(c);
        if alone == in_set && c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase() {
            // Scripts without case are the bulk; they need no second opinion.
            continue;
        }
        fold(&mut in_set);
        assert_eq!(alone, in_set, "{c:?}");
    }
}

#[test]
fn negation_finds_no_gap_at_the_surrogates() {
    let mut set = property("Any", false).unwrap();
    negate(&mut set);
    assert_eq!(set.ranges(), []);
    let mut split = single('\u{D7FF}');
    split.union(&single('\u{E000}'));
    negate(&mut split);
    assert!(!characters(&split).any(|c| c == '\u{D7FF}' || c == '\u{E000}'));
    assert!(characters(&split).any(|c| c == '\u{D7FE}'));
}
