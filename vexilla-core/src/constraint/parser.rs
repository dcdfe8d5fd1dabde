//! Parses constraint text by Flagr's grammar, quirks included.
//!
//! The grammar is that of conditions v0.2.6, `parser.go`, which Flagr 1.2
//! uses. What surprises there and is kept here:
//!
//! - precedence is repaired at the root of an expression only: behind the
//!   second operand everything that binds at least as tightly as the last
//!   operator of the root gathers, left to right, in the last operand;
//! - one token is held back when an expression ends, and that token may be
//!   only the tail of what was looked at, so that `"x" {y})` reads as `"x")`;
//! - parsing stops where the expression is complete; what follows is ignored.
//!
//! The only addition is a bound on nested brackets, [`MAX_NESTING`].

use std::borrow::Cow;

use super::expression::{Attribute, Chain, Expression, Step};
use super::literal::{self, Literal};
use super::operator::Operator;
use super::scanner::{Kind, Scanner, Token};

/// How deep brackets may nest. Flagr has no bound; here deeper text is refused,
/// since neither parsing nor evaluating may exhaust a thread's stack.
pub(crate) const MAX_NESTING: usize = 100;

/// Flagr reads no more tokens than this in one list.
const MAX_LIST_TOKENS: usize = 65_536;

/// A parsed text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) expression: Expression,
    /// Byte ranges of the text that were read over without meaning anything:
    /// Flagr ignores what stands there.
    pub(super) ignored: Vec<std::ops::Range<usize>>,
}

/// Parses one text.
///
/// # Errors
///
/// A sentence that says what Flagr would refuse, or that brackets nest deeper
/// than [`MAX_NESTING`]. It quotes nothing of the text, which can hold personal
/// data, and counts bytes from the beginning of the text.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        held: None,
        last: Token {
            kind: Kind::End,
            text: "",
            start: 0,
        },
        ignored: Vec::new(),
    };
    let expression = parser.expression(0)?;
    let stop = parser.next().start;
    if stop < text.len() {
        parser.ignored.push(stop..text.len());
    }
    Ok(Parsed {
        expression,
        ignored: parser.ignored,
    })
}

/// What the grammar sees: one or more tokens of the scanner.
#[derive(Debug)]
enum Symbol<'t> {
    End,
    Open,
    Close,
    Operator(Operator),
    Attribute(Attribute),
    String(Cow<'t, str>),
    Number(Cow<'t, str>),
    Bool(bool),
    List(String),
    Illegal,
}

/// An operand of the root of an expression.
struct RootOperand {
    operator: Operator,
    operand: Expression,
    /// What gathered behind it.
    tail: Vec<(Operator, Expression)>,
}

impl RootOperand {
    fn joined(self) -> (Operator, Expression) {
        (self.operator, chain(self.operand, self.tail))
    }
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    /// The last token, when it has been put back.
    held: Option<Token<'t>>,
    last: Token<'t>,
    ignored: Vec<std::ops::Range<usize>>,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Token<'t> {
        self.last = self
            .held
            .take()
            .unwrap_or_else(|| self.scanner.next_token());
        self.last
    }

    /// Puts the last token back: only one, whatever was read before it.
    fn put_back(&mut self) {
        self.held = Some(self.last);
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAX_NESTING {
            return Err(format!(
                "brackets nest deeper than {MAX_NESTING}; simplify the constraint"
            ));
        }
        let first = self.operand(depth)?;
        let mut root: Vec<RootOperand> = Vec::new();
        loop {
            let (symbol, start) = self.symbol();
            let operator = match symbol {
                Symbol::Operator(operator) => operator,
                Symbol::Illegal => return Err(format!("unexpected text at byte {start}")),
                _ => {
                    self.put_back();
                    if start < self.last.start {
                        self.ignored.push(start..self.last.start);
                    }
                    let rest = root.into_iter().map(RootOperand::joined).collect();
                    return Ok(chain(first, rest));
                }
            };
            let operand = self.operand(depth)?;
            match root.last_mut() {
                Some(last) if last.operator.precedence() <= operator.precedence() => {
                    last.tail.push((operator, operand));
                }
                _ => root.push(RootOperand {
                    operator,
                    operand,
                    tail: Vec::new(),
                }),
            }
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, String> {
        let (symbol, start) = self.symbol();
        match symbol {
            Symbol::Open => {
                let inner = self.expression(depth + 1)?;
                match self.symbol().0 {
                    Symbol::Close => Ok(inner),
                    _ => Err("missing )".to_owned()),
                }
            }
            Symbol::Attribute(attribute) => Ok(Expression::Attribute(attribute)),
            Symbol::String(token) => literal::string(&token).map(Expression::Literal),
            Symbol::Number(token) => literal::number(&token).map(Expression::Literal),
            Symbol::Bool(value) => Ok(Expression::Literal(Literal::Bool(value))),
            Symbol::List(inner) => literal::list(&inner).map(Expression::Literal),
            Symbol::End => Err("the text ends where a value should stand".to_owned()),
            Symbol::Close => Err("there is no value before )".to_owned()),
            Symbol::Operator(operator) => Err(format!("{operator} stands where a value should")),
            Symbol::Illegal => Err(format!(
                "there is no value at byte {start}; write strings and lists of strings with double quotes"
            )),
        }
    }

    /// Reads one symbol and tells where it starts.
    fn symbol(&mut self) -> (Symbol<'t>, usize) {
        let token = self.next();
        (self.symbol_of(token), token.start)
    }

    fn symbol_of(&mut self, token: Token<'t>) -> Symbol<'t> {
        match token.kind {
            Kind::End => Symbol::End,
            Kind::Int | Kind::Float => Symbol::Number(token.text.into()),
            Kind::String => Symbol::String(token.text.into()),
            Kind::Ident => self.word(token.text),
            Kind::Char | Kind::RawString => Symbol::Illegal,
            Kind::Symbol(c) => match c {
                '(' => Symbol::Open,
                ')' => Symbol::Close,
                '-' => {
                    let number = self.next();
                    match number.kind {
                        Kind::Int | Kind::Float => {
                            Symbol::Number(format!("-{}", number.text).into())
                        }
                        _ => Symbol::Illegal,
                    }
                }
                '{' => self.attribute().map_or(Symbol::Illegal, Symbol::Attribute),
                '[' => self.list().map_or(Symbol::Illegal, Symbol::List),
                '/' => self
                    .pattern()
                    .map_or(Symbol::Illegal, |text| Symbol::String(text.into())),
                '!' => self.either(('=', Operator::NotEqual), ('~', Operator::NotMatches)),
                '=' => self.either(('=', Operator::Equal), ('~', Operator::Matches)),
                '>' => self.comparison(Operator::GreaterOrEqual, Operator::Greater),
                '<' => self.comparison(Operator::LessOrEqual, Operator::Less),
                _ => Symbol::Illegal,
            },
        }
    }

    fn word(&mut self, word: &'t str) -> Symbol<'t> {
        let is = |keyword: &str| is_keyword(word, keyword);
        if is("TRUE") || is("FALSE") {
            return Symbol::Bool(is("TRUE"));
        }
        if is("NOT") {
            // Whatever kind of token follows, only its text counts.
            return match self.next().text {
                negated if is_keyword(negated, "IN") => Symbol::Operator(Operator::NotIn),
                negated if is_keyword(negated, "CONTAINS") => {
                    Symbol::Operator(Operator::NotContains)
                }
                _ => Symbol::Illegal,
            };
        }
        [
            ("AND", Operator::And),
            ("OR", Operator::Or),
            ("XOR", Operator::Xor),
            ("NAND", Operator::Nand),
            ("IN", Operator::In),
            ("CONTAINS", Operator::Contains),
        ]
        .into_iter()
        .find(|(keyword, _)| is(keyword))
        .map_or(Symbol::Illegal, |(_, operator)| Symbol::Operator(operator))
    }

    /// `==`, `=~`, `!=`, `!~` behind their first character; blanks may stand
    /// between the two.
    fn either(&mut self, one: (char, Operator), other: (char, Operator)) -> Symbol<'t> {
        let next = self.next();
        for (c, operator) in [one, other] {
            if next.kind == Kind::Symbol(c) {
                return Symbol::Operator(operator);
            }
        }
        Symbol::Illegal
    }

    /// `>=` and `>`, `<=` and `<` behind their first character.
    fn comparison(&mut self, with_equal: Operator, without: Operator) -> Symbol<'t> {
        if self.next().kind == Kind::Symbol('=') {
            return Symbol::Operator(with_equal);
        }
        self.put_back();
        Symbol::Operator(without)
    }

    /// `/…/`, read token by token: blanks and comments in it are lost.
    fn pattern(&mut self) -> Option<String> {
        let mut pattern = "/".to_owned();
        loop {
            let token = self.next();
            if token.kind == Kind::End {
                return None;
            }
            pattern.push_str(token.text);
            if token.kind == Kind::Symbol('/') {
                return Some(pattern);
            }
        }
    }

    /// What stands between `[` (read already) and `]`, blanks left out.
    fn list(&mut self) -> Option<String> {
        let mut inner = String::new();
        for _ in 0..MAX_LIST_TOKENS {
            let token = self.next();
            match token.kind {
                Kind::End => return None,
                Kind::Symbol(']') => return Some(inner),
                _ => inner.push_str(token.text),
            }
        }
        None
    }

    /// A property behind its `{`: `{a}`, `{a-b}`, `{@a}`, `{a}{b}` (the key
    /// `a.b`), or the paths `{a.b}` and `{a[0].b}`.
    fn attribute(&mut self) -> Option<Attribute> {
        let mut name = String::new();
        let mut separator = "";
        let mut first = true;
        loop {
            let token = self.next_inside()?;
            // Most names are one token, and are kept without room to spare.
            name.reserve_exact(separator.len() + token.text.len());
            name.push_str(separator);
            name.push_str(token.text);
            if token.kind == Kind::Symbol('@') {
                continue;
            }
            let behind = self.next_inside()?;
            if first && matches!(behind.kind, Kind::Symbol('.' | '[')) {
                let steps = self.steps(behind)?;
                return Some(Attribute::new(name, steps));
            }
            first = false;
            match behind.kind {
                Kind::Symbol('-') => separator = "-",
                Kind::Symbol('}') => {
                    if self.next().kind != Kind::Symbol('{') {
                        self.put_back();
                        return Some(Attribute::new(name, Vec::new()));
                    }
                    separator = ".";
                }
                _ => return None,
            }
        }
    }

    /// The steps of a path; `first` is its first `.` or `[`.
    fn steps(&mut self, first: Token<'t>) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut token = first;
        loop {
            match token.kind {
                Kind::Symbol('.') => {
                    let key = self.next_inside()?;
                    if key.kind != Kind::Ident {
                        return None;
                    }
                    steps.push(Step::Key(key.text.into()));
                }
                Kind::Symbol('[') => steps.push(Step::Index(self.index()?)),
                Kind::Symbol('}') => return Some(steps),
                _ => return None,
            }
            token = self.next_inside()?;
        }
    }

    /// An index behind its `[`: an integer with an optional sign.
    fn index(&mut self) -> Option<i64> {
        let mut digits = String::new();
        loop {
            let token = self.next_inside()?;
            if token.kind == Kind::Symbol(']') {
                return digits.parse().ok();
            }
            digits.push_str(token.text);
        }
    }

    /// The next token, unless the text ends.
    fn next_inside(&mut self) -> Option<Token<'t>> {
        let token = self.next();
        (token.kind != Kind::End).then_some(token)
    }
}

/// Whether Flagr takes a word for a keyword, which is given in capitals.
fn is_keyword(word: &str, keyword: &str) -> bool {
    // As Go's `strings.ToUpper`: `ı` is an I and `ſ` an S, too.
    word.eq_ignore_ascii_case(keyword) || (!word.is_ascii() && word.to_uppercase() == keyword)
}

fn chain(first: Expression, rest: Vec<(Operator, Expression)>) -> Expression {
    if rest.is_empty() {
        first
    } else {
        Expression::Chain(Box::new(Chain { first, rest }))
    }
}
