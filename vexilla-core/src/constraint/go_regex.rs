//! Go's regular expressions on top of the `regex` crate.
//!
//! Flagr hands the patterns of `EREG` and `NEREG` to Go's `regexp.MatchString`, and the dialect of
//! that package is not the one of the `regex` crate: `\d` is ASCII only, `{` may be a plain
//! character, `a**` is refused, octal escapes exist, and so on. [`compile`] reads a pattern by Go's
//! grammar (Go 1.26, flags `syntax.Perl`) and writes an equivalent pattern that the `regex` crate
//! reads without any of its own dialect coming into play: every class is written out as ranges,
//! case folding is done here, and groups do not capture. Only the question "does it match
//! anywhere?" is kept, so greediness and captures are dropped.
//!
//! Go 1.26 knows Unicode 15.0 while `regex-syntax` moves on, so character properties and case
//! folding are cut back to that version (see `unicode`).
//!
//! # Caveats
//!
//! - A pattern that needs more than [`PROGRAM_LIMIT`] bytes once compiled, or more than
//!   [`TEXT_LIMIT`] bytes written out, or that nests long groups hundreds of levels deep, is refused
//!   with an error whose [`is_beyond_limits`](GoRegexError::is_beyond_limits) is true, though Go
//!   would have run it.
//! - As with Go, matching takes time in proportion to the size of the program times the length of
//!   the text, and a short pattern can make a large program.
//! - Go limits the height of its syntax tree to 1000 after it has moved common prefixes of
//!   alternatives out; here the height is that of the tree before. The two differ only for
//!   patterns that nest hundreds of levels deep.
//! - Go finds U+FFFD where an anchored pattern such as `^\x{D800}$` names a surrogate, a slip of
//!   its one-pass matcher. Here a surrogate matches nothing.

mod class;
mod error;
mod escape;
mod parser;
mod piece;
mod repeat;
mod unicode;

#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

use error::Fault;
pub(crate) use error::GoRegexError;
use parser::Translation;

/// Greatest size, in bytes, of a compiled program (the `regex` crate keeps up to two of them, one
/// for each direction): enough for `[\pL\pN]{1000}`.
pub(crate) const PROGRAM_LIMIT: usize = 64 << 20;

/// Greatest length, in bytes, of a pattern that comes from elsewhere than a flag.
pub(crate) const FOREIGN_LENGTH: usize = 256;

/// Greatest size, in bytes, of the program of such a pattern.
pub(crate) const FOREIGN_PROGRAM_LIMIT: usize = 1 << 20;

/// Greatest length, in bytes, of a translated pattern.
pub(crate) const TEXT_LIMIT: usize = 320 << 10;

/// Memory, in bytes, for the states of a lazily built automaton, per thread that matches.
const AUTOMATON_CACHE: usize = 2 << 20;

/// Programs beyond this size, in Go's instructions, run without a lazily built automaton. Most are
/// too large for one anyway, and `regex-automata` 0.4 recurses without end when the scratch space
/// alone, which grows with the number of branches, fills the cache.
const LARGE: u64 = 1 << 15;

/// Syntax trees up to this height are compiled on the caller's stack.
const SHALLOW: u32 = 32;

/// Stack, in bytes, for compiling a tree of the greatest height (1000) in a debug build.
const DEEP_STACK: usize = 32 << 20;

/// Compiles a Go pattern; `is_match` of the result answers as Go's `MatchString`.
///
/// # Errors
///
/// Whatever Go 1.26 refuses, and what exceeds the limits of this module (see
/// [`GoRegexError::is_beyond_limits`]).
pub(crate) fn compile(pattern: &str) -> Result<Regex, GoRegexError> {
    let translation = parser::translate(pattern)?;
    if translation.height <= SHALLOW {
        return build(&translation, PROGRAM_LIMIT);
    }
    // The `regex` crate recurses over the tree while it compiles. Where no thread can be had
    // (wasm32), deep patterns are beyond the limits.
    std::thread::Builder::new()
        .stack_size(DEEP_STACK)
        .spawn(move || build(&translation, PROGRAM_LIMIT))
        .ok()
        .and_then(|thread| thread.join().ok())
        .unwrap_or_else(|| Err(GoRegexError::new(Fault::TooDeepHere, pattern)))
}

/// Compiles a pattern that somebody else than the author of a flag may have written, within limits
/// that keep it cheap: [`FOREIGN_LENGTH`] and [`FOREIGN_PROGRAM_LIMIT`].
///
/// # Errors
///
/// As [`compile`], within those limits.
pub(crate) fn compile_foreign(pattern: &str) -> Result<Regex, GoRegexError> {
    if pattern.len() > FOREIGN_LENGTH {
        return Err(GoRegexError::new(Fault::ProgramTooLarge, pattern));
    }
    let translation = parser::translate(pattern)?;
    if translation.height > SHALLOW {
        return Err(GoRegexError::new(Fault::TooDeepHere, pattern));
    }
    build(&translation, FOREIGN_PROGRAM_LIMIT)
}

fn build(translation: &Translation, limit: usize) -> Result<Regex, GoRegexError> {
    let large = translation.size > LARGE;
    RegexBuilder::new(&translation.text)
        .size_limit(limit)
        .dfa_size_limit(if large { 0 } else { AUTOMATON_CACHE })
        .nest_limit(u32::MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => GoRegexError::new(Fault::ProgramTooLarge, ""),
            _ => GoRegexError::new(Fault::Untranslatable, &translation.text),
        })
}
