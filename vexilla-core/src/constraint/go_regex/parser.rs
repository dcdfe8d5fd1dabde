//! Reads a pattern by Go's grammar and writes it in that of the `regex` crate.
//!
//! Both dialects have the same order of things, so the output is written while the input is read;
//! a stack of frames, one per open parenthesis, takes the place of recursion.

use std::fmt::Write as _;

use regex_syntax::hir::ClassUnicode;

use super::class::{self, ClassReader};
use super::error::{Fault, GoRegexError};
use super::piece::Piece;
use super::repeat::{self, Bounds, Quantifier};
use super::{escape, unicode};

/// Greatest sum, in bytes, of the lengths of all groups: the `regex` crate may go through the text
/// of a group again for each group around it.
const NESTED_LIMIT: usize = 16 << 20;

/// Go's `\B`. The ASCII form alone also holds inside of a character, and there `is_match` of `regex`
/// 1.13 takes it for the match and loses a true one; the Unicode forms hold only between characters.
const NOT_A_WORD_BOUNDARY: &str = r"(?:(?:\b|\B)(?-u:\B))";

/// What a group begins with.
const OPEN: &str = "(?:";

/// A pattern of the `regex` crate.
#[derive(Debug)]
pub(super) struct Translation {
    /// The pattern.
    pub(super) text: String,
    /// Height of Go's syntax tree, at least that of the `regex` crate's.
    pub(super) height: u32,
}

/// Translates a Go pattern.
///
/// # Errors
///
/// Whatever Go refuses, and a pattern longer than `limit` bytes when written out.
pub(super) fn translate(pattern: &str, limit: usize) -> Result<Translation, GoRegexError> {
    let mut parser = Parser {
        rest: pattern,
        out: String::with_capacity(pattern.len() * 2),
        ..Parser::default()
    };
    while let Some(c) = parser.rest.chars().next() {
        parser.step(c)?;
        if parser.out.len() > limit {
            return Err(GoRegexError::new(Fault::TextTooLarge(limit), ""));
        }
    }
    if !parser.outer.is_empty() {
        return Err(GoRegexError::new(Fault::MissingParen, pattern));
    }
    let piece = parser.frame.close(&mut parser.out)?;
    Ok(Translation {
        text: parser.out,
        height: piece.height,
    })
}

/// The flags that change what a pattern means; `U`, which swaps greediness, does not.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
}

/// What stands between two parentheses, as far as it is read.
#[derive(Debug, Default)]
struct Frame {
    /// Where the text begins, the parenthesis included.
    start: usize,
    captures: bool,
    /// The flags to return to at the closing parenthesis.
    flags_before: Flags,
    branches: Vec<Piece>,
    /// Where the text of the branch being read begins.
    branch_start: usize,
    /// The branch being read.
    items: Vec<Piece>,
}

#[derive(Debug, Default)]
struct Parser<'p> {
    rest: &'p str,
    out: String,
    flags: Flags,
    /// The innermost open group.
    frame: Frame,
    /// The groups around it, outermost first.
    outer: Vec<Frame>,
    /// Sum of the lengths of the groups that are closed.
    nested: usize,
    /// Whether a repetition operator was read last.
    after_repeat: bool,
    classes: ClassReader,
}

impl Frame {
    fn end_branch(&mut self, out: &mut String) -> Result<(), GoRegexError> {
        let items = std::mem::take(&mut self.items);
        let branch = Piece::concat(self.start, items)?;
        if !Piece::push_branch(&mut self.branches, branch) {
            // Another empty branch adds nothing, not even the bar before it.
            out.truncate(self.branch_start.saturating_sub(1));
        }
        Ok(())
    }

    fn close(mut self, out: &mut String) -> Result<Piece, GoRegexError> {
        self.end_branch(out)?;
        Piece::alternate(self.start, &self.branches)
    }
}

impl<'p> Parser<'p> {
    /// Reads the construct at the head of the input, which begins with `c`.
    fn step(&mut self, c: char) -> Result<(), GoRegexError> {
        let after_repeat = std::mem::take(&mut self.after_repeat);
        match c {
            '(' if self.rest.starts_with("(?") => self.perl_group()?,
            '(' => {
                self.advance(c);
                self.open(true, self.flags);
            }
            '|' => {
                self.advance(c);
                self.frame.end_branch(&mut self.out)?;
                self.out.push('|');
                self.frame.branch_start = self.out.len();
            }
            ')' => self.close()?,
            '^' => {
                self.advance(c);
                let text = if self.flags.multi_line {
                    "(?m:^)"
                } else {
                    r"\A"
                };
                self.assertion(text);
            }
            '$' => {
                self.advance(c);
                let text = if self.flags.multi_line {
                    "(?m:$)"
                } else {
                    r"\z"
                };
                self.assertion(text);
            }
            '.' => {
                self.advance(c);
                let start = self.out.len();
                let dot_all = self.flags.dot_matches_newline;
                self.out.push_str(if dot_all { "(?s:.)" } else { "." });
                self.push(Piece::class(start));
            }
            '[' => {
                let (set, rest) = self.classes.bracketed(self.rest, self.flags.fold_case)?;
                self.rest = rest;
                self.class(&set);
            }
            '*' | '+' | '?' => {
                let before = self.rest;
                self.advance(c);
                self.repeat(Bounds::simple(c), before, after_repeat)?;
            }
            '{' => match repeat::braces(self.rest)? {
                Some((bounds, rest)) => {
                    let before = std::mem::replace(&mut self.rest, rest);
                    self.repeat(bounds, before, after_repeat)?;
                }
                None => {
                    self.advance(c);
                    self.literal(u32::from(c));
                }
            },
            '\\' => self.escape()?,
            _ => {
                self.advance(c);
                self.literal(u32::from(c));
            }
        }
        Ok(())
    }

    fn advance(&mut self, c: char) {
        self.rest = self.rest.strip_prefix(c).unwrap_or_default();
    }

    fn push(&mut self, piece: Piece) {
        Piece::push(&mut self.frame.items, piece);
    }

    fn assertion(&mut self, text: &str) {
        let piece = Piece::assertion(self.out.len());
        self.out.push_str(text);
        self.push(piece);
    }

    fn class(&mut self, set: &ClassUnicode) {
        let start = self.out.len();
        let piece = match unicode::as_letter(set) {
            Some(fold_case) => Piece::literal(start, fold_case),
            None => Piece::class(start),
        };
        class::write(set, &mut self.out);
        self.push(piece);
    }

    fn literal(&mut self, rune: u32) {
        let fold_case = self.flags.fold_case;
        let piece = Piece::literal(self.out.len(), fold_case);
        match char::from_u32(rune) {
            // A surrogate, which no text has.
            None => class::write(&ClassUnicode::empty(), &mut self.out),
            Some(c) if fold_case => {
                let set = unicode::fold_char(c);
                match set.ranges() {
                    [only] if only.start() == only.end() => class::write_char(c, &mut self.out),
                    _ => class::write(&set, &mut self.out),
                }
            }
            Some(c) => class::write_char(c, &mut self.out),
        }
        self.push(piece);
    }

    fn escape(&mut self) -> Result<(), GoRegexError> {
        let mut chars = self.rest.chars();
        chars.next();
        let letter = chars.next();
        let after = chars.as_str();
        match letter {
            Some('A') => self.assertion(r"\A"),
            Some('z') => self.assertion(r"\z"),
            Some('b') => self.assertion(r"(?-u:\b)"),
            Some('B') => self.assertion(NOT_A_WORD_BOUNDARY),
            Some('Q') => {
                let (quoted, rest) = after.split_once(r"\E").unwrap_or((after, ""));
                for c in quoted.chars() {
                    self.literal(u32::from(c));
                }
                self.rest = rest;
                return Ok(());
            }
            _ => {
                let named = self.classes.escaped(self.rest, self.flags.fold_case)?;
                if let Some((set, rest)) = named {
                    self.rest = rest;
                    self.class(&set);
                } else {
                    let (rune, rest) = escape::parse(self.rest)?;
                    self.rest = rest;
                    self.literal(rune);
                }
                return Ok(());
            }
        }
        self.rest = after;
        Ok(())
    }

    /// Opens a group; the flags before it return when it closes.
    fn open(&mut self, captures: bool, flags_before: Flags) {
        let inner = Frame {
            start: self.out.len(),
            branch_start: self.out.len() + OPEN.len(),
            captures,
            flags_before,
            ..Frame::default()
        };
        self.out.push_str(OPEN);
        self.outer.push(std::mem::replace(&mut self.frame, inner));
    }

    fn close(&mut self) -> Result<(), GoRegexError> {
        let Some(outer) = self.outer.pop() else {
            return Err(GoRegexError::new(Fault::UnexpectedParen, self.rest));
        };
        let inner = std::mem::replace(&mut self.frame, outer);
        self.advance(')');
        self.flags = inner.flags_before;
        let (start, captures) = (inner.start, inner.captures);
        let piece = inner.close(&mut self.out)?.group(start, captures)?;
        self.out.push(')');
        self.nested += self.out.len() - start;
        if self.nested > NESTED_LIMIT {
            return Err(GoRegexError::new(Fault::TooNested, ""));
        }
        self.push(piece);
        Ok(())
    }

    /// Reads `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Result<(), GoRegexError> {
        let whole = self.rest;
        let body = whole.strip_prefix("(?").unwrap_or_default();
        let named = body.strip_prefix("P<").or_else(|| body.strip_prefix('<'));
        if let Some(named) = named {
            return match named.split_once('>') {
                Some((name, rest)) if is_capture_name(name) => {
                    self.rest = rest;
                    self.open(true, self.flags);
                    Ok(())
                }
                _ => Err(GoRegexError::new(Fault::NamedCapture, whole)),
            };
        }
        let refused = || GoRegexError::new(Fault::PerlSyntax, whole);
        let mut flags = self.flags;
        let mut value = true;
        let mut needs_flag = false;
        let mut chars = body.chars();
        for c in chars.by_ref() {
            match c {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_matches_newline = value,
                'U' => {}
                '-' if value => {
                    value = false;
                    needs_flag = true;
                    continue;
                }
                ':' | ')' if !needs_flag => {
                    self.rest = chars.as_str();
                    if c == ':' {
                        self.open(false, self.flags);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(refused()),
            }
            needs_flag = false;
        }
        Err(refused())
    }

    /// Applies a repetition operator, which `before` begins with, to the last piece.
    fn repeat(
        &mut self,
        bounds: Bounds,
        before: &str,
        after_repeat: bool,
    ) -> Result<(), GoRegexError> {
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if after_repeat {
            return Err(GoRegexError::new(Fault::NestedRepeat, before));
        }
        let Some(piece) = self.frame.items.pop() else {
            return Err(GoRegexError::new(Fault::MissingRepeatArgument, before));
        };
        let mut piece = piece.repeat(bounds, before)?;
        piece.quantifier = self.write_quantifier(&piece, bounds);
        self.frame.items.push(piece);
        self.after_repeat = true;
        Ok(())
    }

    /// Writes the operator after the piece, and returns the one that its text then ends in. An
    /// operator on top of another (Go allows `a*(?i)+`) is merged with it where possible.
    fn write_quantifier(&mut self, piece: &Piece, bounds: Bounds) -> Quantifier {
        use Quantifier::{Counted, Never, None, Plus, Quest, Star};
        let added = bounds.quantifier();
        match (piece.quantifier, added) {
            (old, None) => return old,
            (Never, _) => return Never,
            (Star | Plus | Quest, Star | Plus | Quest) => {
                let both = if piece.quantifier == added {
                    added
                } else {
                    Star
                };
                self.out.pop();
                self.out.push(both.symbol());
                return both;
            }
            (None, _) => {}
            (Star | Plus | Quest | Counted, _) => {
                self.out.insert_str(piece.start, OPEN);
                self.out.push(')');
            }
        }
        let Bounds { min, max, .. } = bounds;
        // Writing to a string cannot fail.
        let _ = match (added, max) {
            (Star | Plus | Quest, _) => self.out.write_char(added.symbol()),
            (_, Some(max)) => write!(self.out, "{{{min},{max}}}"),
            (_, Option::None) => write!(self.out, "{{{min},}}"),
        };
        added
    }
}

/// Go allows digits in front and the same name twice.
fn is_capture_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}
