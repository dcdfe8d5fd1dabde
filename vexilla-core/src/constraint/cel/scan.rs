//! Bounds the shape of an expression before CEL's parser sees it.
//!
//! That parser recurses once per bracket, per conditional and per operator of a chain, and what it
//! builds is walked and dropped by recursion too. So the text is read here first, without
//! recursion, and refused when it could lead deeper than [`DEPTH`]. Nothing else is judged: an
//! expression that passes may still be nonsense, which the parser then says.

use super::error::{Fault, Position};

/// Longest expression, in bytes.
pub(super) const LENGTH: usize = 16 * 1024;
/// Most tokens in an expression: a list of 1,900 strings, or 900 clauses `a == 1 &&`.
const TOKENS: usize = 4_000;
/// Most brackets, operators and conditionals that can be pending at one place. `&&`, `||` and `,`
/// end what came before them in their bracket, so that long rules and lists are not deep.
const DEPTH: usize = 64;

/// What is pending inside one bracket.
#[derive(Default)]
struct Bracket {
    operators: usize,
    conditionals: usize,
}

/// Refuses what is too long, too deep, or not made of CEL's tokens.
///
/// # Errors
///
/// Says what was found, where, and what the bound is.
pub(super) fn check(source: &str) -> Result<(), Fault> {
    if source.len() > LENGTH {
        return Err(Fault::new(
            Position::START,
            format!(
                "the expression is {} bytes long, at most {LENGTH} are allowed",
                source.len()
            ),
        ));
    }
    let mut scan = Scan { source, offset: 0 };
    let mut open = vec![Bracket::default()];
    let mut depth = 0;
    let mut tokens = 0;
    loop {
        scan.skip_blanks();
        let start = scan.offset;
        let Some(token) = scan.token()? else {
            return Ok(());
        };
        let fault = |message| Fault::new(Position::at(source, start), message);
        tokens += 1;
        if tokens > TOKENS {
            return Err(fault(format!(
                "the expression has more than {TOKENS} tokens, shorten or split it"
            )));
        }
        let brackets = open.len();
        let Some(current) = open.last_mut() else {
            return Ok(());
        };
        match token {
            Token::Operand => {}
            Token::Operator => {
                current.operators += 1;
                depth += 1;
            }
            Token::Conditional => {
                current.conditionals += 1;
                depth += 1;
            }
            Token::Logical => depth -= std::mem::take(&mut current.operators),
            Token::Comma => {
                let ended = std::mem::take(current);
                depth -= ended.operators + ended.conditionals;
            }
            Token::Open => {
                // a bracket after an operand is one more link of a chain: `f(x)(y)[0]`
                current.operators += 1;
                depth += 2;
                open.push(Bracket::default());
            }
            Token::Close => {
                if brackets == 1 {
                    return Err(fault("a bracket is closed that was not opened".to_owned()));
                }
                depth -= 1 + current.operators + current.conditionals;
                open.pop();
            }
        }
        if depth > DEPTH {
            return Err(fault(format!(
                "the expression is nested or chained more than {DEPTH} deep here, split it with && or ||"
            )));
        }
    }
}

enum Token {
    /// An identifier or a literal.
    Operand,
    /// `.`, `in`, and every operator with an entry of its own in the tree.
    Operator,
    Conditional,
    /// `&&`, `||` and `:`, after which a new chain of operators begins.
    Logical,
    Comma,
    Open,
    Close,
}

struct Scan<'s> {
    source: &'s str,
    offset: usize,
}

impl<'s> Scan<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.offset..).unwrap_or_default()
    }

    fn skip_while(&mut self, matches: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest
            .find(|character| !matches(character))
            .unwrap_or(rest.len());
        self.offset += length;
        rest.get(..length).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        loop {
            self.skip_while(|character| matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.skip_while(|character| character != '\n');
        }
    }

    /// The next token, `None` at the end.
    fn token(&mut self) -> Result<Option<Token>, Fault> {
        let start = self.offset;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        if first.is_ascii_alphabetic() || first == '_' {
            let word =
                self.skip_while(|character| character.is_ascii_alphanumeric() || character == '_');
            let prefix = word.to_ascii_lowercase();
            if self.rest().starts_with(['"', '\''])
                && matches!(prefix.as_str(), "r" | "b" | "br" | "rb")
            {
                self.string(start, prefix.contains('r'))?;
            }
            return Ok(Some(if word == "in" {
                Token::Operator
            } else {
                Token::Operand
            }));
        }
        if first.is_ascii_digit() {
            self.number();
            return Ok(Some(Token::Operand));
        }
        if matches!(first, '"' | '\'') {
            self.string(start, false)?;
            return Ok(Some(Token::Operand));
        }
        let (token, length) = match (first, self.rest().as_bytes().get(1)) {
            ('&', Some(b'&')) | ('|', Some(b'|')) => (Token::Logical, 2),
            ('=' | '!' | '<' | '>', Some(b'=')) => (Token::Operator, 2),
            ('!' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '.', _) => (Token::Operator, 1),
            (':', _) => (Token::Logical, 1),
            ('?', _) => (Token::Conditional, 1),
            (',', _) => (Token::Comma, 1),
            ('(' | '[' | '{', _) => (Token::Open, 1),
            (')' | ']' | '}', _) => (Token::Close, 1),
            _ => {
                return Err(Fault::new(
                    Position::at(self.source, start),
                    format!("{first:?} means nothing in CEL"),
                ));
            }
        };
        self.offset += length;
        Ok(Some(token))
    }

    /// A number, with its exponent, so that the sign in it is not taken for an operator.
    fn number(&mut self) {
        let digits = self.skip_while(|character| character.is_ascii_alphanumeric());
        let hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
        let mut last = digits;
        let fraction = self.rest().strip_prefix('.').unwrap_or_default();
        if fraction.starts_with(|next: char| next.is_ascii_digit()) {
            self.offset += 1;
            last = self.skip_while(|character| character.is_ascii_alphanumeric());
        }
        if !hexadecimal && last.ends_with(['e', 'E']) && self.rest().starts_with(['+', '-']) {
            self.offset += 1;
            self.skip_while(|character| character.is_ascii_digit());
        }
    }

    /// A string whose opening quote is next; `start` is where its token began.
    fn string(&mut self, start: usize, raw: bool) -> Result<(), Fault> {
        let rest = self.rest();
        let quote = rest.get(..1).unwrap_or_default();
        let triple = rest
            .get(..3)
            .filter(|text| text.bytes().all(|byte| quote.as_bytes() == [byte]));
        let end = triple.unwrap_or(quote);
        self.offset += end.len();
        loop {
            let rest = self.rest();
            if rest.starts_with(end) {
                self.offset += end.len();
                return Ok(());
            }
            let skipped = if rest.starts_with('\\') && !raw { 2 } else { 1 };
            let length: usize = rest.chars().take(skipped).map(char::len_utf8).sum();
            if length == 0 || (triple.is_none() && rest.starts_with(['\n', '\r'])) {
                return Err(Fault::new(
                    Position::at(self.source, start),
                    "the string that begins here is not closed on its line".to_owned(),
                ));
            }
            self.offset += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, LENGTH, TOKENS, check};

    fn refusal(source: &str) -> String {
        check(source).map_or_else(|fault| fault.to_string(), |()| String::new())
    }

    #[test]
    fn what_people_write_passes() {
        let clauses = vec![r#"plan == "pro""#; 300].join(" && ");
        let list = format!("id in [{}]", vec![r#""user-17""#; 1_000].join(", "));
        let parentheses = format!("{}a == 1{}", "(".repeat(20), ")".repeat(20));
        let ladder = format!("{}true", "a == 1 ? false : ".repeat(20));
        for source in [
            clauses.as_str(),
            &list,
            &parentheses,
            &ladder,
            "a /* b */",
            "a // && ( \n && b",
            r#"'''it's "it"''' + """a"b""" + r'\' + b"\"" + rb"\""#,
            "1.5e-3 - .5 - 1e+2 + 0x1F - 3u",
            "a.b[0].c(1, [2])",
            "",
        ] {
            assert_eq!(refusal(source), "", "{source}");
        }
    }

    #[test]
    fn every_kind_of_depth_is_bounded() {
        for (before, after) in [
            ("(", ")"),
            ("[", "]"),
            ("{1: ", "}"),
            ("!", ""),
            ("-", ""),
            ("a ? ", " : b"),
            ("a ? b : ", ""),
            ("a + ", ""),
            ("a < ", ""),
            ("a in ", ""),
            ("a.", ""),
            ("f(", ")"),
            ("a.f(", ")"),
            ("a[", "]"),
            ("a{b: ", "}"),
            ("f(a, ", ")"),
            ("!(", ")"),
        ] {
            let nested = |levels| format!("{}a{}", before.repeat(levels), after.repeat(levels));
            assert!(refusal(&nested(DEPTH + 1)).contains("deep"), "{before}");
            assert_eq!(refusal(&nested(DEPTH / 4)), "", "{before}");
        }
        for chain in ["[0]", "()", ".a", "{}", "(a)"] {
            assert!(
                refusal(&format!("a{}", chain.repeat(DEPTH + 1))).contains("deep"),
                "{chain}"
            );
        }
    }

    #[test]
    fn a_closed_bracket_takes_its_depth_along() {
        let clause = "(a + b + c[0] < d ? e : f)";
        assert_eq!(refusal(&vec![clause; 100].join(" && ")), "");
        assert_eq!(refusal(&format!("[{}]", vec![clause; 100].join(", "))), "");
    }

    #[test]
    fn length_and_tokens_are_bounded() {
        assert!(refusal(&" ".repeat(LENGTH + 1)).contains("bytes long"));
        assert!(refusal(&"a,".repeat(TOKENS)).contains("tokens"));
        assert_eq!(refusal(&format!("{:?}", "a".repeat(LENGTH - 2))), "");
    }

    #[test]
    fn what_is_no_token_is_named_with_its_place() {
        for (source, place) in [
            ("a &&\n  @b", "line 2, column 3: '@'"),
            ("ß == 1", "column 1: 'ß'"),
            (r#""é" + $"#, "column 7: '$'"),
            ("a & b", "column 3: '&'"),
            ("a.`b`", "column 3: '`'"),
            ("a == 'b", "column 6: the string"),
            ("'''a", "column 1: the string"),
            ("'\\", "column 1: the string"),
            ("(a))", "column 4: a bracket"),
        ] {
            assert!(
                refusal(source).contains(place),
                "{source}: {}",
                refusal(source)
            );
        }
    }
}
