//! Character properties and case folding of Unicode 15.0, the version of Go 1.26.
//!
//! The tables are those of `regex-syntax`, which follows newer versions. Cutting them back to the
//! characters that existed in 15.0 leaves only the few differences listed here; a test compares
//! every property with a digest of Go's.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Names that Go 1.26 looks up as a general category, in the form of [`canonical`].
const CATEGORIES: &str = "
    C Casedletter Cc Cf Closepunctuation Cn Cntrl Co Combiningmark Connectorpunctuation
    Control Cs Currencysymbol Dashpunctuation Decimalnumber Digit Enclosingmark
    Finalpunctuation Format Initialpunctuation L Lc Letter Letternumber Lineseparator Ll Lm Lo
    Lowercaseletter Lt Lu M Mark Mathsymbol Mc Me Mn Modifierletter Modifiersymbol N Nd Nl No
    Nonspacingmark Number Openpunctuation Other Otherletter Othernumber Otherpunctuation
    Othersymbol P Paragraphseparator Pc Pd Pe Pf Pi Po Privateuse Ps Punct Punctuation S Sc
    Separator Sk Sm So Spaceseparator Spacingmark Surrogate Symbol Titlecaseletter Unassigned
    Uppercaseletter Z Zl Zp Zs
";

/// Names that Go 1.26 looks up as a script. Scripts of several words are not among them: Go takes
/// the underscore out of the name asked for but not out of its table.
const SCRIPTS: &str = "
    Adlam Ahom Arabic Armenian Avestan Balinese Bamum Batak Bengali Bhaiksuki Bopomofo Brahmi
    Braille Buginese Buhid Carian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform
    Cypriot Cyrillic Deseret Devanagari Dogra Duployan Elbasan Elymaic Ethiopic Georgian
    Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran Hebrew
    Hiragana Inherited Javanese Kaithi Kannada Katakana Kawi Kharoshthi Khmer Khojki Khudawadi
    Lao Latin Lepcha Limbu Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean
    Marchen Medefaidrin Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari Newa Nko
    Nushu Ogham Oriya Osage Osmanya Palmyrene Phoenician Rejang Runic Samaritan Saurashtra
    Sharada Shavian Siddham Sinhala Sogdian Soyombo Sundanese Syriac Tagalog Tagbanwa Takri
    Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi
    Wancho Yezidi Yi
";

/// Every character that Unicode 15.0 gives a meaning (noncharacters are not among them).
static ASSIGNED: LazyLock<ClassUnicode> = LazyLock::new(|| {
    let mut assigned = query(r"\p{age=15.0}");
    assigned.difference(&query(r"\p{Noncharacter_Code_Point}"));
    assigned
});

/// Pairs that fold to each other since Unicode 15.1 only.
const FOLDED_LATER: [char; 6] = [
    '\u{390}', '\u{3B0}', '\u{1FD3}', '\u{1FE3}', '\u{FB05}', '\u{FB06}',
];

/// A spacing mark that was a nonspacing one in 15.0.
const MARK_CHANGED: char = '\u{1171E}';

fn is_listed(name: &str, names: &str) -> bool {
    names.split_whitespace().any(|listed| listed == name)
}

/// A set that holds one character.
pub(super) fn single(c: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(c, c)])
}

/// The characters that `\p{name}` means to Go, or `None` if Go does not know the name. Surrogates
/// are left out: no text has them.
pub(super) fn property(name: &str, fold_case: bool) -> Option<ClassUnicode> {
    let name = canonical(name);
    let mut set = match name.as_str() {
        "Any" => query(r"\p{any}"),
        "Ascii" => query(r"\p{ascii}"),
        "Assigned" => ASSIGNED.clone(),
        "Cn" | "Unassigned" => unassigned(),
        "Cs" | "Surrogate" => ClassUnicode::empty(),
        name if is_listed(name, CATEGORIES) => category(name),
        name if is_listed(name, SCRIPTS) => assigned(&format!(r"\p{{sc={name}}}")),
        _ => return None,
    };
    // Go has no table of what folds into the cased letters, so nothing is added to them.
    if fold_case && !matches!(name.as_str(), "Lc" | "Casedletter") {
        fold(&mut set);
    }
    Some(set)
}

fn category(name: &str) -> ClassUnicode {
    let mut set = assigned(&format!(r"\p{{gc={name}}}"));
    match name {
        "C" | "Other" => set.union(&unassigned()),
        "Mc" | "Spacingmark" => set.difference(&single(MARK_CHANGED)),
        "Mn" | "Nonspacingmark" => set.union(&single(MARK_CHANGED)),
        _ => {}
    }
    set
}

fn assigned(pattern: &str) -> ClassUnicode {
    let mut set = query(pattern);
    set.intersect(&ASSIGNED);
    set
}

fn unassigned() -> ClassUnicode {
    let mut set = ASSIGNED.clone();
    negate(&mut set);
    set
}

/// Turns the set into all other characters.
pub(super) fn negate(set: &mut ClassUnicode) {
    let before = set.clone();
    set.negate();
    // Where one range ends before the surrogates and the next begins after them, `regex-syntax`
    // 0.8 takes the two characters at their edges for what lies between.
    set.difference(&before);
}

/// The set that a pattern made of one class stands for. The patterns are those of this module, and
/// the tests run each of them: an empty set does not come from an error.
fn query(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(set))) => set,
        // A class of one character, such as Zl.
        Ok(HirKind::Literal(literal)) => std::str::from_utf8(&literal.0)
            .ok()
            .and_then(|text| text.chars().next())
            .map_or_else(ClassUnicode::empty, single),
        _ => ClassUnicode::empty(),
    }
}

/// Adds the characters that differ from those of the set in case only.
pub(super) fn fold(set: &mut ClassUnicode) {
    let mut folded = set.clone();
    folded.intersect(&ASSIGNED);
    if folded.try_case_fold_simple().is_ok() {
        folded.intersect(&ASSIGNED);
        for c in FOLDED_LATER {
            folded.difference(&single(c));
        }
        set.union(&folded);
    }
}

/// The character and those that differ from it in case only. The same as [`fold`], but quick.
pub(super) fn fold_char(c: char) -> ClassUnicode {
    let mut set = single(c);
    if FOLDED_LATER.contains(&c) || !is_assigned(c) || set.try_case_fold_simple().is_err() {
        return single(c);
    }
    let kept = set.iter().flat_map(|range| range.start()..=range.end());
    ClassUnicode::new(
        kept.filter(|&c| is_assigned(c))
            .map(|c| ClassUnicodeRange::new(c, c)),
    )
}

/// Whether the set is one character (`Some(false)`) or a letter in both its cases (`Some(true)`):
/// Go makes a literal of such a class.
pub(super) fn as_letter(set: &ClassUnicode) -> Option<bool> {
    let first = set.ranges().first()?.start();
    if set.ranges().len() > 2 || set.iter().map(ClassUnicodeRange::len).sum::<usize>() > 2 {
        return None;
    }
    if *set == single(first) {
        return Some(false);
    }
    (*set == fold_char(first)).then_some(true)
}

fn is_assigned(c: char) -> bool {
    let ranges = ASSIGNED.ranges();
    let after = ranges.partition_point(|range| range.end() < c);
    ranges.get(after).is_some_and(|range| range.start() <= c)
}

/// The form in which Go looks a property name up: a capital first, the rest in lower case, without
/// underscores, hyphens and blanks.
fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')) {
        out.push(if out.is_empty() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        });
    }
    out
}
