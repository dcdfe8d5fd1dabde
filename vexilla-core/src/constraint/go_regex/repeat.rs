//! Repetition operators: `*`, `+`, `?` and counts in braces.

use super::error::{Fault, GoRegexError};

/// Greatest count in `{n,m}`.
const MAX_COUNT: u32 = 1000;

/// A repetition operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    None,
    Star,
    Plus,
    Quest,
    /// `{0}`: never there, whatever is repeated.
    Never,
    Counted,
}

/// How often a repetition wants its operand; `max` is `None` for "or more".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    /// Written with braces: then Go counts it towards the limit on repeats.
    pub(super) braces: bool,
}

impl Bounds {
    /// `*`, `+` and `?`.
    pub(super) fn simple(operator: char) -> Self {
        Self {
            min: u32::from(operator == '+'),
            max: (operator == '?').then_some(1),
            braces: false,
        }
    }

    /// The operator in its shortest form.
    pub(super) fn quantifier(self) -> Quantifier {
        match (self.min, self.max) {
            (0, None) => Quantifier::Star,
            (1, None) => Quantifier::Plus,
            (0, Some(1)) => Quantifier::Quest,
            (1, Some(1)) => Quantifier::None,
            (_, Some(0)) => Quantifier::Never,
            _ => Quantifier::Counted,
        }
    }
}

impl Quantifier {
    /// The character of a simple operator.
    pub(super) fn symbol(self) -> char {
        match self {
            Self::Plus => '+',
            Self::Quest => '?',
            _ => '*',
        }
    }
}

/// Reads `{n}`, `{n,}` or `{n,m}` at the beginning of `s`; anything else is no repetition.
///
/// # Errors
///
/// Counts that are too large or the wrong way round.
pub(super) fn braces(s: &str) -> Result<Option<(Bounds, &str)>, GoRegexError> {
    let Some((min, max, rest)) = counts(s) else {
        return Ok(None);
    };
    let too_many = min > MAX_COUNT || max.is_some_and(|max| max > MAX_COUNT || min > max);
    if too_many {
        return Err(GoRegexError::new(Fault::RepeatSize, s));
    }
    let braces = true;
    Ok(Some((Bounds { min, max, braces }, rest)))
}

fn counts(s: &str) -> Option<(u32, Option<u32>, &str)> {
    let (min, rest) = count(s.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((min, Some(min), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((min, None, rest));
    }
    let (max, rest) = count(rest)?;
    Some((min, Some(max), rest.strip_prefix('}')?))
}

/// Reads decimal digits without leading zeros; more than a `u32` holds is the greatest `u32`.
fn count(s: &str) -> Option<(u32, &str)> {
    let rest = s.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = s.strip_suffix(rest)?;
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
