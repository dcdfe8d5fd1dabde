//! What Go 1.26 answers, construct by construct: (pattern, text, does it match).

use super::compile;

fn check(rows: &[(&str, &str, bool)]) {
    for &(pattern, text, expected) in rows {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(regex.is_match(text), expected, "{pattern:?} on {text:?}");
    }
}

#[test]
fn perl_classes_are_ascii() {
    check(&[
        (r"^\d$", "٣", false),
        (r"^\d$", "7", true),
        (r"^\D$", "٣", true),
        (r"^\w$", "é", false),
        (r"^\W$", "é", true),
        (r"^\w$", "_", true),
        (r"^\s$", "\u{B}", false),
        (r"^\S$", "\u{B}", true),
        (r"^\s$", "\u{C}", true),
        (r"^\s$", "\u{A0}", false),
        (r"\bé", "é", false),
        (r"a\b", "aé", true),
        (r"\B$", "é", true),
        (r"^\B", "日", true),
        (r"\B\B", "é", true),
        (r"\B|[\W]b", "aébz", true),
        (r"(?i)\B|\W", "sſZιc", true),
        (r"\B", "aéa", false),
        (r"a\Bb", "ab", true),
        (r"\b{2}a", "a", true),
        (r"(?i)^\w$", "ſ", true),
        (r"(?i)^\w$", "K", true),
        (r"(?i)^\W$", "K", false),
        (r"^\w$", "K", false),
        ("(?i)^[[:word:]]$", "ſ", true),
        ("(?i)^[[:^word:]]$", "ſ", false),
    ]);
}

#[test]
fn posix_classes() {
    check(&[
        ("^[[:space:]]$", "\u{B}", true),
        ("^[[:punct:]]+$", "!/:@[`{~", true),
        ("^[[:^alpha:]]$", "a", false),
        ("^[[:^alpha:]]$", "é", true),
        ("(?i)^[[:upper:]]$", "q", true),
        ("^[[:upper:]]$", "q", false),
        ("^[[:graph:]]$", " ", false),
        ("^[[:print:]]$", " ", true),
        ("^[[:cntrl:]]$", "\u{7F}", true),
        ("^[[:blank:]]$", "\t", true),
        ("^[[:blank:]]$", "\n", false),
        ("^[[:xdigit:]]+$", "09afAF", true),
        ("^[[:xdigit:]]$", "g", false),
        ("^[[:]$", ":", true),
        ("^[[:a]+$", "[a:", true),
        ("^[[:alnum:]-z]$", "-", true),
        ("^[[:ascii:]]$", "é", false),
        ("^[[:lower:][:digit:]]+$", "a1", true),
    ]);
}

#[test]
fn bracketed_classes() {
    check(&[
        ("^[]a]+$", "]a", true),
        ("^[^]a]$", "]", false),
        ("^[^]a]$", "b", true),
        ("^[a&&b]+$", "a&b", true),
        ("^[a~~b]$", "~", true),
        ("^[[a]$", "[", true),
        ("^[[a]]$", "[]", true),
        ("^[a-]+$", "a-", true),
        ("^[-a]+$", "-a", true),
        ("^[a-c-e]+$", "b-e", true),
        (r"^[\d-z]+$", "5-z", true),
        (r"^[\d-z]$", "a", false),
        ("^[+--]$", ",", true),
        (r"^[\x41-\x{43}]$", "B", true),
        (r"^[\101-\103]$", "C", true),
        ("^[^a]$", "\n", true),
        (r"^[^\n]$", "\n", false),
        ("^[a^]$", "^", true),
        (r"^[\^a]$", "^", true),
        (r"^[\]]$", "]", true),
        (r"^[\\-a]$", "]", true),
        ("^[#]$", "#", true),
        ("^[ ]$", " ", true),
        (r"^[\a\f\n\r\t\v]{6}$", "\u{7}\u{C}\n\r\t\u{B}", true),
        (r"^[\D\d]$", "x", true),
        (r"^[^\D\d]$", "x", false),
        (r"^[^\W]$", "x", true),
        ("^[.]$", "x", false),
        ("^[*+?(){}|$]$", "|", true),
        ("^[é-ü]$", "ö", true),
        (r"[^\x{0}-\x{10FFFF}]", "a", false),
    ]);
}

#[test]
fn surrogates_match_nothing() {
    check(&[
        (r"\x{D800}", "�", false),
        (r"[\x{D800}]", "�", false),
        (r"^[\x{D7FF}-\x{D800}]$", "\u{D7FF}", true),
        (r"^[\x{DFFF}-\x{E000}]$", "\u{E000}", true),
        (r"^[^\x{D800}]$", "�", true),
        (r"[^\x{0}-\x{D7FF}\x{E000}-\x{10FFFF}]", "\u{E000}", false),
        (r"[^\x{0}-\x{D7FF}\x{E000}-\x{10FFFF}]", "\u{D7FF}", false),
        (r"\p{Cs}", "�", false),
        (r"^\P{Cs}$", "�", true),
        (r"\P{C}", "\u{E000}", false),
        (r"a\x{D800}*b", "ab", true),
        (r"^\x{fffd}$", "�", true),
    ]);
}

#[test]
fn unicode_classes() {
    check(&[
        (r"^\pL$", "é", true),
        (r"^\PL$", "é", false),
        (r"^\p{Greek}$", "λ", true),
        (r"^\P{^Greek}$", "λ", true),
        (r"^\p{^Greek}$", "λ", false),
        (r"^[^\p{^Greek}]$", "λ", true),
        (r"^\p{greek}$", "λ", true),
        (r"^\p{g-r_e e K}$", "λ", true),
        (r"^\p{Uppercase_Letter}$", "É", true),
        (r"^\p{uppercaseletter}$", "É", true),
        (r"^\p{LC}$", "a", true),
        (r"(?i)^\p{Lu}$", "é", true),
        (r"^\p{Lu}$", "é", false),
        (r"(?i)^\P{Lu}$", "é", false),
        (r"(?i)^[^\P{Lu}]$", "é", true),
        (r"(?i)^\p{LC}$", "\u{345}", false),
        (r"(?i)^\p{Ll}$", "\u{345}", true),
        (r"(?i)^\p{ASCII}$", "K", true),
        (r"^\p{ascii}$", "K", false),
        (r"^\p{Any}$", "\n", true),
        (r"\P{Any}", "\n", false),
        (r"^\p{Assigned}$", "\u{378}", false),
        (r"^\p{Cn}$", "\u{378}", true),
        (r"^\p{Cn}$", "\u{FFFF}", true),
        (r"^\p{digit}$", "٣", true),
        (r"^\p{punct}$", "«", true),
        (r"^\p{cntrl}$", "\u{85}", true),
        (r"^\p{Combining_Mark}$", "\u{301}", true),
    ]);
}

#[test]
fn unicode_is_version_15_0() {
    check(&[
        (r"^\p{L}$", "\u{1C89}", false),
        (r"^\p{Cn}$", "\u{1C89}", true),
        (r"^\p{Cyrillic}$", "\u{1C89}", false),
        (r"^\p{Cyrillic}$", "ᲈ", true),
        (r"^\p{Mn}$", "𑜞", true),
        (r"^\p{Mc}$", "𑜞", false),
        ("(?i)^ƛ$", "\u{A7DC}", false),
        ("(?i)^\u{A7DC}$", "\u{A7DC}", true),
        ("(?i)^[ΐ]$", "ΐ", false),
        ("(?i)^ﬅ$", "ﬆ", false),
        ("(?i)^ΰ$", "ΰ", false),
    ]);
}

#[test]
fn case_folding() {
    check(&[
        ("(?i)^k$", "K", true),
        ("(?i)^K$", "k", true),
        (r"(?i)^\x{212A}$", "K", true),
        ("(?i)^[k]$", "K", true),
        ("(?i)^[^k]$", "K", false),
        ("(?i)^[j-l]$", "K", true),
        ("(?i)^s$", "ſ", true),
        ("(?i)^ß$", "ẞ", true),
        ("(?i)^ß$", "ss", false),
        ("(?i)^ς$", "Σ", true),
        ("(?i)^σ$", "ς", true),
        ("(?i)^ǆ$", "ǅ", true),
        ("(?i)^µ$", "Μ", true),
        ("(?i)^i$", "İ", false),
        ("(?i)^i$", "ı", false),
        ("(?i)^\u{345}$", "ι", true),
        (r"(?i)\Qk\E", "K", true),
        (r"(?i)\x4b", "k", true),
        ("k", "K", false),
        ("(?i)a(?-i)b", "AB", false),
        ("(?i)a(?-i)b", "Ab", true),
        ("a(?i:b)c", "aBc", true),
        ("a(?i:b)c", "aBC", false),
        ("(?i)^[A-_]$", "q", true),
        ("(?i)É", "é", true),
    ]);
}

#[test]
fn flags() {
    check(&[
        (".", "\n", false),
        ("(?s).", "\n", true),
        ("(?s:a.)b.", "a\nb\n", false),
        ("^.$", "\r", true),
        ("(?m)^b$", "a\nb\nc", true),
        ("^b$", "a\nb\nc", false),
        ("a$", "a\n", false),
        ("(?m)a$", "a\r\n", false),
        (r"(?m)\Ab", "a\nb", false),
        (r"(?m)a\z", "a\nb", false),
        ("(?m)(?-m)^b", "a\nb", false),
        ("(?i-s:A.)", "a\n", false),
        ("(?is-is)A", "a", false),
        ("(?)a", "a", true),
        ("(?U)a+?b", "aab", true),
        ("(?:(?i)a)b", "AB", false),
        ("(?:(?i)a)b", "Ab", true),
        ("((?i)a|b)c", "BC", false),
        ("(?i)a|b", "B", true),
        ("(a(?i)b)", "aB", true),
        ("(?s-s:.)", "\n", false),
        ("(?m:^b)|^c", "a\nc", false),
    ]);
}

#[test]
fn literals_and_escapes() {
    check(&[
        ("{", "{", true),
        ("a{,3}", "a{,3}", true),
        ("a{,3}", "aaa", false),
        ("a{3", "a{3", true),
        ("a{3,x}", "a{3,x}", true),
        ("a{ 1}", "a{ 1}", true),
        ("^a{01}$", "a{01}", true),
        ("]}", "]}", true),
        (r#"\_\ \-\/\#\"\'\<\>\@"#, r#"_ -/#"'<>@"#, true),
        (r"\<a", "<a", true),
        ("\\\n", "\n", true),
        ("a b#c", "a b#c", true),
        (r"^\Qa.b*$", "a.b*$", true),
        (r"^\Qa.b\E.$", "a.bc", true),
        (r"^\Qab\E+$", "abb", true),
        (r"^\Qab\E+$", "abab", false),
        (r"^a\Q\E+$", "aa", true),
        (r"^\Q\Q\E$", r"\Q", true),
        (r"\Q\\E", r"\", true),
        (r"\0", "\u{0}", true),
        (r"^\07$", "\u{7}", true),
        (r"^\123$", "S", true),
        (r"^\777$", "ǿ", true),
        (r"^\12$", "\n", true),
        (r"^\1234$", "S4", true),
        (r"^\08$", "\u{0}8", true),
        (r"^\x41$", "A", true),
        (r"^\x{1F6A9}$", "🚩", true),
        (r"^\x{10FFFF}$", "\u{10FFFF}", true),
        (r"^\x{000041}$", "A", true),
        (r"^\x4a$", "J", true),
        (r"^\a\f\n\r\t\v$", "\u{7}\u{C}\n\r\t\u{B}", true),
        ("日本", "日本語", true),
        (r"^\.$", "x", false),
        ("-&~", "-&~", true),
        ("", "", true),
    ]);
}

#[test]
fn groups() {
    check(&[
        ("(?P<n>a)(?P<n>b)", "ab", true),
        ("(?P<1>a)", "a", true),
        ("(?<n>a)", "a", true),
        ("(?P<_>a)", "a", true),
        ("^(a|b)+$", "abba", true),
        ("()", "x", true),
        ("^(|a)$", "a", true),
        ("^(a|)$", "", true),
        ("^(a||b)$", "", true),
        ("^a||b$", "zb", true),
        ("|", "", true),
        ("^(?:)$", "", true),
        ("^(?:)*$", "", true),
        ("^((a)(b(c)))$", "abc", true),
        ("(?:(?:(?:a)))", "a", true),
    ]);
}

#[test]
fn repetitions() {
    check(&[
        ("^a{2}$", "aa", true),
        ("^a{2}$", "aaa", false),
        ("^a{2,}$", "aaa", true),
        ("^a{0}$", "", true),
        ("^a{0}$", "a", false),
        ("^a{0}b$", "b", true),
        ("^a{0,0}$", "a", false),
        ("^a{1,3}$", "aaa", true),
        ("^a{1,3}$", "aaaa", false),
        ("^(ab){2}$", "abab", true),
        ("^a+?$", "aa", true),
        ("^a??$", "", true),
        ("^a*?b$", "aab", true),
        ("^a{1,2}?$", "aa", true),
        ("^*a", "a", true),
        ("a$+", "a", true),
        (r"^\b+a", "a", true),
        (r"(\b|x)*a", "a", true),
        ("^a*(?i)*b$", "aab", true),
        ("^a+(?i)?$", "", true),
        ("^a+(?i)?$", "aa", true),
        ("^a?(?i)+$", "", true),
        ("^a?(?i)?$", "aa", false),
        ("^a?(?i)+$", "aaa", true),
        ("^a+(?i)+$", "", false),
        ("^a{2}(?i){2}$", "aaaa", true),
        ("^a{2}(?i){2}$", "aaa", false),
        ("^a{2}(?i)*$", "aaa", false),
        ("^a*(?i){2}b$", "b", true),
        ("^a{0}(?i)+$", "a", false),
        ("^a{0}(?i){3}$", "", true),
        ("^a{1}(?i){2}$", "aa", true),
        ("^ba{1}(?i){2}$", "baa", true),
        ("^ba{1}(?i){2}$", "bab", false),
        ("^a{1}(?s)+$", "aaa", true),
        ("^(?:a{2}){3}$", "aaaaaa", true),
        ("^(?:a*){2,}$", "aaa", true),
        ("^é+$", "éé", true),
        ("^🚩{2}$", "🚩🚩", true),
        ("^a{1000}$", "a", false),
        ("(a*)*b", "aab", true),
        ("^(a{0,1000}){1}$", "aa", true),
        ("a{500}(?i){2}", "a", false),
    ]);
}
