//! What is probably a mistake in a flags file, though Flagr reads it.
//!
//! Two mistakes are easy to make by hand and hard to see: a member whose name
//! is misspelt is not read at all, and users who are split by a flag without an
//! ID are split anew when a flag is put in front of it.

use std::fmt;

use super::document::Place;
use super::quote::quoted;
use super::{Flag, Segment};

/// The most warnings about one document.
const MAX_WARNINGS: usize = 100;

/// The longest name, in bytes, for which a similar one is looked up.
const LONGEST_NAME: usize = 64;

/// Something in a flags file that is probably a mistake.
///
/// [`FlagSet::from_json_with_warnings`](super::FlagSet::from_json_with_warnings)
/// gives them, [`FileSource`](crate::FileSource) logs them, and
/// [`FlagSet::from_json_strict`](super::FlagSet::from_json_strict) and
/// [`FileSource::strict`](crate::FileSource::strict) refuse the file.
///
/// `Display` says what and where, without any value of the file but names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentWarning {
    pub(super) kind: DocumentWarningKind,
    pub(super) message: String,
    pub(super) place: Place,
}

/// What kind of mistake it probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DocumentWarningKind {
    /// An object has a member that flags do not have: it is not read. Members
    /// whose names begin with `$` or `_` are comments.
    UnknownMember,
    /// A flag without an ID gives some of its users one variant and others
    /// another, or none. Who gets which depends on the ID, and a missing ID is
    /// assigned by the flag's place in the file.
    SplitWithoutId,
}

impl DocumentWarning {
    /// What kind of mistake it is.
    #[must_use]
    pub fn kind(&self) -> DocumentWarningKind {
        self.kind
    }

    /// What is probably wrong, without the line and column.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// The column, counted from 1 in characters.
    #[must_use]
    pub fn column(&self) -> usize {
        self.place.column
    }
}

impl fmt::Display for DocumentWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line(), self.column());
        write!(f, "line {line}, column {column}: {}", self.message)
    }
}

/// The warnings about a document that is being read.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    found: Vec<Found>,
    /// Where each flag begins, in bytes.
    flags: Vec<usize>,
}

#[derive(Debug)]
struct Found {
    kind: DocumentWarningKind,
    message: String,
    offset: usize,
}

impl Warnings {
    /// A list of flags begins, in place of one before it.
    pub(super) fn list(&mut self) {
        self.flags.clear();
    }

    /// Remembers where the next flag begins.
    pub(super) fn flag(&mut self, offset: usize) {
        self.flags.push(offset);
    }

    /// An object of the document has a member of this name, where only those in
    /// `known` are read.
    pub(super) fn unknown_of_document<'k>(
        &mut self,
        offset: usize,
        name: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        self.unknown(offset, "the document", name, known);
    }

    /// An object within the flag that began last has a member of this name, where
    /// only those in `known` are read.
    pub(super) fn unknown_of_flag<'k>(
        &mut self,
        offset: usize,
        path: &str,
        name: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        let index = self.flags.len().saturating_sub(1);
        let dot = if path.is_empty() { "" } else { "." };
        self.unknown(offset, &format!("Flags[{index}]{dot}{path}"), name, known);
    }

    fn unknown<'k>(
        &mut self,
        offset: usize,
        owner: &str,
        name: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        if name.starts_with(['$', '_']) || self.found.len() >= MAX_WARNINGS {
            return;
        }
        let shown = quoted(name);
        let mut message = format!("{owner} has an unknown member {shown:?}, which is ignored");
        if let Some(similar) = similar(name, known) {
            message += &format!("; did you mean {similar:?}?");
        }
        self.found.push(Found {
            kind: DocumentWarningKind::UnknownMember,
            message,
            offset,
        });
    }

    /// The warnings in the order of the text; the flags are as they were read.
    pub(super) fn finish(mut self, text: &str, flags: &[Flag]) -> Vec<DocumentWarning> {
        let mut splitting = 0;
        let without_id = flags.iter().zip(&self.flags).enumerate();
        for (index, (flag, offset)) in without_id {
            if splitting == MAX_WARNINGS {
                break;
            }
            if flag.id == 0 && flag.segments.iter().any(splits) {
                splitting += 1;
                let key = quoted(&flag.key);
                self.found.push(Found {
                    kind: DocumentWarningKind::SplitWithoutId,
                    message: format!(
                        "Flags[{index}] with the key {key:?} splits its users and has no ID: an ID is \
                         assigned by its place in the file, and another place splits them anew; give \
                         it an ID"
                    ),
                    offset: *offset,
                });
            }
        }
        self.found.sort_by_key(|found| found.offset);
        self.found.truncate(MAX_WARNINGS);
        let places = Place::all(text, self.found.iter().map(|found| found.offset));
        let warning = |(found, place): (Found, Place)| DocumentWarning {
            kind: found.kind,
            message: found.message,
            place,
        };
        self.found.into_iter().zip(places).map(warning).collect()
    }
}

/// Whether some entities of the segment get another answer than others.
fn splits(segment: &Segment) -> bool {
    let mut shares = segment.distributions.iter().map(|share| share.percent);
    segment.rollout_percent > 0
        && ((1..100).contains(&segment.rollout_percent)
            || shares.any(|percent| (1..100).contains(&percent)))
}

/// The known name that was probably meant.
fn similar<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let plain = |name: &str| -> Vec<char> {
        name.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let name = plain(name);
    known
        .map(|known| (distance(&name, &plain(known)), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many characters have to be inserted, removed or replaced to make one
/// text of the other (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (above, b) in row.iter_mut().skip(1).zip(to) {
            let cost = (diagonal + usize::from(a != b))
                .min(left + 1)
                .min(*above + 1);
            diagonal = std::mem::replace(above, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
