//! Go's regular expressions in the syntax of the `regex` crate.
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
//! - A pattern that needs more memory once compiled than its [`Budget`] allows, or more than
//!   [`TEXT_LIMIT`] bytes written out, or that nests long groups hundreds of levels deep, is refused
//!   with an error whose [`is_beyond_limits`](GoRegexError::is_beyond_limits) is true, though Go
//!   would have run it.
//! - As with Go, matching takes time in proportion to the size of the program times the length of
//!   the text, and a short pattern can make a large program; evaluations bound that product.
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

use error::Fault;
pub(crate) use error::GoRegexError;
use parser::Translation;

use super::program::{Budget, Program, Refusal};

/// Greatest length, in bytes, of a translated pattern.
pub(crate) const TEXT_LIMIT: usize = 320 << 10;

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
pub(crate) fn compile(pattern: &str, budget: Budget) -> Result<Program, GoRegexError> {
    let translation = parser::translate(pattern, TEXT_LIMIT)?;
    if translation.height <= SHALLOW {
        return build(&translation, budget);
    }
    // The syntax tree is read and compiled by recursion. Where no thread can be had
    // (wasm32), deep patterns are beyond the limits.
    std::thread::Builder::new()
        .stack_size(DEEP_STACK)
        .spawn(move || build(&translation, budget))
        .ok()
        .and_then(|thread| thread.join().ok())
        .unwrap_or_else(|| Err(GoRegexError::new(Fault::TooDeepHere, pattern)))
}

/// Compiles a Go pattern as [`compile`] does, but never on a thread of its own, and only if it has
/// at most `length` bytes written out.
///
/// # Errors
///
/// As [`compile`]; deep patterns are beyond the limits.
pub(crate) fn compile_shallow(
    pattern: &str,
    length: usize,
    budget: Budget,
) -> Result<Program, GoRegexError> {
    let translation = parser::translate(pattern, length)?;
    if translation.height > SHALLOW {
        return Err(GoRegexError::new(Fault::TooDeepHere, pattern));
    }
    build(&translation, budget)
}

/// Why Go refuses a pattern; empty if it does not.
pub(crate) fn refusal(pattern: &str) -> String {
    let error = parser::translate(pattern, TEXT_LIMIT).err();
    error.map(|error| error.to_string()).unwrap_or_default()
}

fn build(translation: &Translation, budget: Budget) -> Result<Program, GoRegexError> {
    Program::compile(&translation.text, u32::MAX, budget).map_err(|refusal| match refusal {
        Refusal::Beyond(limit) => GoRegexError::new(Fault::Beyond(limit), ""),
        Refusal::Syntax => GoRegexError::new(Fault::Untranslatable, &translation.text),
    })
}
