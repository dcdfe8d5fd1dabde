//! What is probably a mistake in a flags file, though Flagr reads it.
//!
//! Some mistakes are easy to make by hand and hard to see: a member whose name
//! is misspelt is not read at all, a copied flag, segment or variant keeps the ID
//! of the original, a segment without `RolloutPercent` gives nothing, and a
//! flag without an ID gives its users other variants when a flag is put in front
//! of it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

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
    /// Two flags have the same ID, or two segments or variants of one flag.
    /// Rollouts of flags with one ID put users into the same buckets, look-ups by
    /// ID find one of the flags, and a distribution finds one of the variants.
    DuplicateId,
    /// Two flags have the same key: both are invalid and answer defaults.
    DuplicateKey,
    /// A segment has distributions and no `RolloutPercent`, which means 0: it
    /// matches and gives nothing.
    MissingRolloutPercent,
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
    flags: Vec<FlagPlace>,
}

/// Where a flag and its parts begin, in bytes.
#[derive(Debug)]
struct FlagPlace {
    offset: usize,
    segments: Vec<SegmentPlace>,
    variants: Vec<usize>,
}

#[derive(Debug)]
struct SegmentPlace {
    offset: usize,
    has_rollout: bool,
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
        self.flags.push(FlagPlace {
            offset,
            segments: Vec::new(),
            variants: Vec::new(),
        });
    }

    /// Remembers where a part of the flag that began last begins: the element of
    /// this index in a list of this name, which may come in place of one before it.
    pub(super) fn part(&mut self, list: &str, index: usize, offset: usize) {
        let Some(flag) = self.flags.last_mut() else {
            return;
        };
        match list {
            "Segments" => {
                flag.segments.truncate(index);
                flag.segments.push(SegmentPlace {
                    offset,
                    has_rollout: false,
                });
            }
            "Variants" => {
                flag.variants.truncate(index);
                flag.variants.push(offset);
            }
            _ => {}
        }
    }

    /// The segment that began last has a rollout.
    pub(super) fn rollout(&mut self) {
        let segment = self
            .flags
            .last_mut()
            .and_then(|flag| flag.segments.last_mut());
        if let Some(segment) = segment {
            segment.has_rollout = true;
        }
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
    pub(super) fn finish(self, text: &str, flags: &[Flag]) -> Vec<DocumentWarning> {
        let Self {
            mut found,
            flags: places,
        } = self;
        let flags: Vec<_> = flags.iter().zip(&places).collect();
        found.extend(splits_without_id(&flags).take(MAX_WARNINGS));
        found.extend(duplicate_flags(&flags).take(MAX_WARNINGS));
        found.extend(duplicate_keys(&flags).take(MAX_WARNINGS));
        found.extend(duplicate_parts(&flags).take(MAX_WARNINGS));
        found.extend(missing_rollouts(&flags).take(MAX_WARNINGS));
        found.sort_by_key(|found| found.offset);
        found.truncate(MAX_WARNINGS);
        let places = Place::all(text, found.iter().map(|found| found.offset));
        let warning = |(found, place): (Found, Place)| DocumentWarning {
            kind: found.kind,
            message: found.message,
            place,
        };
        found.into_iter().zip(places).map(warning).collect()
    }
}

/// The flags without an ID that split their users.
fn splits_without_id(flags: &[(&Flag, &FlagPlace)]) -> impl Iterator<Item = Found> {
    let flags = flags.iter().enumerate();
    let splitting = flags.filter(|(_, (flag, _))| flag.id == 0 && flag.segments.iter().any(splits));
    splitting.map(|(index, (flag, place))| {
        let key = quoted(&flag.key);
        Found {
            kind: DocumentWarningKind::SplitWithoutId,
            message: format!(
                "Flags[{index}] with the key {key:?} splits its users and has no ID: an ID is \
                 assigned by its place in the file, and another place splits them anew; give it an ID"
            ),
            offset: place.offset,
        }
    })
}

/// The flags with the ID of an earlier one.
fn duplicate_flags(flags: &[(&Flag, &FlagPlace)]) -> impl Iterator<Item = Found> {
    let repeated = repeated(flags, |(flag, _)| Some(flag.id).filter(|id| *id != 0));
    repeated.map(|(earlier, index, (flag, place))| Found {
        kind: DocumentWarningKind::DuplicateId,
        message: format!(
            "Flags[{index}] has the same ID as Flags[{earlier}], {}; give it another one",
            flag.id
        ),
        offset: place.offset,
    })
}

/// The flags with the key of an earlier one.
fn duplicate_keys(flags: &[(&Flag, &FlagPlace)]) -> impl Iterator<Item = Found> {
    let repeated = repeated(flags, |(flag, _)| {
        Some(flag.key.as_str()).filter(|key| !key.is_empty())
    });
    repeated.map(|(earlier, index, (flag, place))| {
        let key = quoted(&flag.key);
        Found {
            kind: DocumentWarningKind::DuplicateKey,
            message: format!(
                "Flags[{index}] has the same key as Flags[{earlier}], {key:?}: both are invalid"
            ),
            offset: place.offset,
        }
    })
}

/// The segments and variants with the ID of an earlier one of their flag.
fn duplicate_parts(flags: &[(&Flag, &FlagPlace)]) -> impl Iterator<Item = Found> {
    flags.iter().enumerate().flat_map(|(index, (flag, place))| {
        let segments = flag.segments.iter().map(|segment| segment.id);
        let segments = segments.zip(place.segments.iter().map(|segment| segment.offset));
        let variants = flag.variants.iter().map(|variant| variant.id);
        let variants = variants.zip(place.variants.iter().copied());
        let segments = duplicates(index, "Segments", segments);
        segments
            .into_iter()
            .chain(duplicates(index, "Variants", variants))
    })
}

/// The elements of a list of the flag at an index, given by ID and offset, with the
/// ID of an earlier one.
fn duplicates(flag: usize, list: &str, elements: impl Iterator<Item = (u64, usize)>) -> Vec<Found> {
    let elements: Vec<_> = elements.collect();
    let repeated = repeated(&elements, |(id, _)| Some(*id).filter(|id| *id != 0));
    let found = repeated.map(|(earlier, index, (id, offset))| Found {
        kind: DocumentWarningKind::DuplicateId,
        message: format!(
            "Flags[{flag}].{list}[{index}] has the same ID as {list}[{earlier}], {id}; give it \
             another one"
        ),
        offset: *offset,
    });
    found.take(MAX_WARNINGS).collect()
}

/// The elements with the value of an earlier one, each with the index of that one
/// and its own.
fn repeated<'a, T, V: Eq + Hash>(
    elements: &'a [T],
    value: impl Fn(&'a T) -> Option<V>,
) -> impl Iterator<Item = (usize, usize, &'a T)> {
    let mut first = HashMap::new();
    let elements = elements.iter().enumerate();
    elements.filter_map(move |(index, element)| {
        let earlier = *first.entry(value(element)?).or_insert(index);
        (earlier != index).then_some((earlier, index, element))
    })
}

/// The segments that have distributions and no rollout.
fn missing_rollouts(flags: &[(&Flag, &FlagPlace)]) -> impl Iterator<Item = Found> {
    let segments = flags.iter().enumerate().flat_map(|(flag, (read, places))| {
        let segments = read.segments.iter().zip(&places.segments).enumerate();
        segments.map(move |(index, (segment, place))| (flag, index, segment, place))
    });
    let missing = segments.filter(|(_, _, segment, place)| {
        segment.rollout_percent == 0 && !place.has_rollout && !segment.distributions.is_empty()
    });
    missing.map(|(flag, index, _, place)| Found {
        kind: DocumentWarningKind::MissingRolloutPercent,
        message: format!(
            "Flags[{flag}].Segments[{index}] has distributions and no RolloutPercent, which means \
             0: it matches and gives nothing; give it one, such as 100"
        ),
        offset: place.offset,
    })
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
