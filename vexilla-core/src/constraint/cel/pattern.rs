//! The patterns of `matches`, compiled with the expression and bounded in size.

use std::any::Any;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use regex::{Regex, RegexBuilder};

/// Largest compiled patterns, in bytes, and what searching with one costs for each byte of text: at
/// worst the time grows with the product of both lengths.
const SIZES: [(usize, usize); 4] = [
    (16 * 1024, 4),
    (64 * 1024, 16),
    (256 * 1024, 64),
    (1024 * 1024, 256),
];
/// What a search may remember, in bytes; well above what it needs to begin with the largest
/// pattern, because `regex-automata` 0.4 recurses without end when that alone fills it.
const CACHE: usize = 8 * 1024 * 1024;
/// Deepest nesting of a pattern: compiling one recurses.
const DEPTH: u32 = 32;

/// A compiled regular expression, as a value that only our own functions can use.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    cost_per_byte: usize,
}

impl Pattern {
    /// Compiles `pattern`, or says what is wrong with it.
    pub(super) fn compile(pattern: &str) -> Result<Self, &'static str> {
        for (size, cost_per_byte) in SIZES {
            let regex = RegexBuilder::new(pattern)
                .size_limit(size)
                .dfa_size_limit(CACHE)
                .nest_limit(DEPTH)
                .build();
            match regex {
                Ok(regex) => {
                    return Ok(Self {
                        regex,
                        cost_per_byte,
                    });
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => {
                    return Err("the pattern of matches is no regular expression, or a deep one");
                }
            }
        }
        Err("the pattern of matches is too large once compiled")
    }

    /// What searching `text` costs.
    pub(super) const fn cost(&self, text: &str) -> usize {
        text.len().saturating_mul(self.cost_per_byte)
    }

    /// Whether the pattern occurs in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

static TYPE: Type = Type::new_unspecified_type("@pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
