//! Reading flag documents: a flag file as Flagr's JSON-file mode reads it, and a server's export.
//!
//! A document is refused only when it is no JSON or not a set of flags; what is wrong with one flag becomes
//! that flag's fault. Flagr refuses the whole document instead (`unmarshalFlags` in Flagr 1.2,
//! `pkg/handler/eval_cache_fetcher.go`).
//!
//! Beyond JSON proper, bytes that are not UTF-8 become U+FFFD within strings, one each, as in Go's
//! `encoding/json`; and nesting ends at Go's 10,000 levels.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;

use super::cursor::Kind;
use super::decode::{Decoder, folds_to};
use super::warning::{DocumentWarning, DocumentWarningKind, Warnings};
use super::{Flag, FlagSet, Origin};

/// A document that holds no set of flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: DocumentErrorKind,
    reason: Cow<'static, str>,
    place: Place,
}

/// A place in a document, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentErrorKind {
    /// It has nothing in it but white space.
    Empty,
    /// It is not JSON: broken off, followed by other text, commented, nested too deep, …
    Syntax,
    /// It is JSON, but not an object whose `Flags` are a list.
    NotAFlagSet,
    /// It has so many flags that they would take more memory than a document of its length may: 64 MiB and
    /// eight times the length.
    TooLarge,
    /// It is an object without `Flags`, or with `null` there, where an export always has a list.
    MissingFlags,
    /// Something in it is probably a mistake, and it was read strictly.
    Warning(DocumentWarningKind),
}

impl DocumentError {
    /// What is wrong.
    pub fn kind(&self) -> DocumentErrorKind {
        self.0.kind
    }

    /// The line at fault, counted from 1.
    pub fn line(&self) -> usize {
        self.0.place.line
    }

    /// The column at fault, counted from 1 in characters; a byte that is not UTF-8 counts as one. For a control
    /// character within a string it is the column before.
    pub fn column(&self) -> usize {
        self.0.place.column
    }

    /// An error about the byte at `offset`, or about the last one where the text is shorter.
    fn at(
        text: &str,
        offset: usize,
        kind: DocumentErrorKind,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: reason.into(),
            place: Place::of(text, offset),
        }))
    }

    fn syntax(text: &str, error: &serde_json::Error) -> Self {
        if text.starts_with('\u{feff}') {
            let reason = "the document starts with a byte order mark, save it without";
            return Self::at(text, 0, DocumentErrorKind::Syntax, reason);
        }
        let begin = text.len() - text.trim_start().len();
        if text.get(begin..).is_some_and(|text| text.starts_with('<')) {
            let reason = "the document is a web page or XML, perhaps a login page, and not JSON";
            return Self::at(text, begin, DocumentErrorKind::Syntax, reason);
        }
        // The column counts the bytes of the line up to and including the one at fault.
        let line_start = match error.line().checked_sub(2) {
            Some(newline) => text
                .match_indices('\n')
                .nth(newline)
                .map_or(0, |(at, _)| at + 1),
            None => 0,
        };
        let offset = (line_start + error.column()).saturating_sub(1);
        let message = error.to_string();
        let reason = match message.rsplit_once(" at line ") {
            Some((reason, _)) => reason.to_owned(),
            None => message,
        };
        Self::at(text, offset, DocumentErrorKind::Syntax, reason)
    }
}

impl From<DocumentWarning> for DocumentError {
    fn from(warning: DocumentWarning) -> Self {
        Self(Box::new(Inner {
            kind: DocumentErrorKind::Warning(warning.kind),
            reason: warning.message.into(),
            place: warning.place,
        }))
    }
}

impl Place {
    /// The places of the bytes at ascending offsets, in one pass; that of the last byte where the text is shorter.
    pub(super) fn all(text: &str, offsets: impl Iterator<Item = usize>) -> Vec<Self> {
        let (mut at, mut line, mut column) = (0, 1, 1);
        let place = |offset: usize| {
            let last = offset.min(text.len().saturating_sub(1));
            // The beginning of the character that the byte belongs to.
            let begin = (at..=last).rev().find(|at| text.is_char_boundary(*at));
            let begin = begin.unwrap_or(at);
            let passed = text.get(at..begin).unwrap_or_default();
            match passed.rsplit_once('\n') {
                Some((_, rest)) => {
                    line += passed.bytes().filter(|byte| *byte == b'\n').count();
                    column = 1 + rest.chars().count();
                }
                None => column += passed.chars().count(),
            }
            at = begin;
            Self { line, column }
        };
        offsets.map(place).collect()
    }

    /// The place of the byte at `offset`.
    fn of(text: &str, offset: usize) -> Self {
        let place = Self::all(text, std::iter::once(offset)).pop();
        place.unwrap_or(Self { line: 1, column: 1 })
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { reason, place, .. } = &*self.0;
        let Place { line, column } = place;
        write!(
            f,
            "invalid flag document at line {line}, column {column}: {reason}"
        )
    }
}

impl std::error::Error for DocumentError {}

impl FlagSet {
    /// Reads a flag file as Flagr's JSON-file mode does, missing IDs assigned.
    ///
    /// `{}`, `null` and `{"Flags":null}` are the empty set. A flag that cannot be read in full is in the set with
    /// what can be read of it, and is found at fault when it is put to use.
    ///
    /// ```
    /// use vexilla_core::flag::FlagSet;
    ///
    /// let set = FlagSet::from_json(br#"{"Flags":[{"Key":"new-feature"},{"key":"other"}]}"#)?;
    /// assert_eq!(set.flags[1].key, "other");
    /// assert_eq!(set.flags[1].id, 2);
    ///
    /// let error = FlagSet::from_json(b"{\"Flags\":[\n  {]}").unwrap_err();
    /// assert_eq!((error.line(), error.column()), (2, 4));
    /// # Ok::<(), vexilla_core::flag::DocumentError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are no JSON document, or one that is neither `null` nor an object whose `Flags` are a
    /// list or `null`.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::read_json(bytes, None)
    }

    /// Reads a flag file as [`from_json`](Self::from_json) does, and says what in it is probably a mistake: the
    /// first 100 warnings, in the order of the text.
    ///
    /// ```
    /// use vexilla_core::flag::FlagSet;
    ///
    /// let json = br#"{"Flags":[{"Key":"new-feature","enable":true}]}"#;
    /// let (set, warnings) = FlagSet::from_json_with_warnings(json)?;
    /// assert!(!set.flags[0].enabled);
    /// assert_eq!(
    ///     warnings[0].to_string(),
    ///     "line 1, column 32: Flags[0] has an unknown member \"enable\", which is ignored; \
    ///      did you mean \"Enabled\"?"
    /// );
    /// # Ok::<(), vexilla_core::flag::DocumentError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with_warnings(
        bytes: &[u8],
    ) -> Result<(Self, Vec<DocumentWarning>), DocumentError> {
        let mut warnings = Vec::new();
        let set = Self::read_json(bytes, Some(&mut warnings))?;
        Ok((set, warnings))
    }

    /// Reads a flag file as [`from_json`](Self::from_json) does, and refuses one in which something is
    /// probably a mistake.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and [`DocumentErrorKind::Warning`] with the first warning.
    pub fn from_json_strict(bytes: &[u8]) -> Result<Self, DocumentError> {
        let (set, warnings) = Self::from_json_with_warnings(bytes)?;
        match warnings.into_iter().next() {
            Some(warning) => Err(DocumentError::from(warning)),
            None => Ok(set),
        }
    }

    fn read_json(
        bytes: &[u8],
        warnings: Option<&mut Vec<DocumentWarning>>,
    ) -> Result<Self, DocumentError> {
        let mut set = Self::from(read(&text_of(bytes), warnings)?.unwrap_or_default());
        set.assign_missing_ids();
        Ok(set)
    }

    /// Reads a server's export (`GET /api/v1/export/eval_cache/json`), IDs as the server gave them.
    ///
    /// # Errors
    /// When the bytes are no JSON document, or not an object whose `Flags` are a list; an empty server exports an
    /// empty list, so that a document without one comes from something else.
    pub fn from_export(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = text_of(bytes);
        let flags = read(&text, None)?.ok_or_else(|| {
            let reason = "the export has no list of flags";
            DocumentError::at(&text, 0, DocumentErrorKind::MissingFlags, reason)
        })?;
        Ok(Self {
            flags,
            origin: Origin::Export,
        })
    }
}

/// The document's text, each byte that is not UTF-8 replaced by one U+FFFD.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text.into()
}

/// The document's flags; none where it has no list of them. Finds what is probably a mistake, too, if
/// `warnings` are given.
fn read(
    text: &str,
    warnings: Option<&mut Vec<DocumentWarning>>,
) -> Result<Option<Vec<Flag>>, DocumentError> {
    if text
        .bytes()
        .all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
    {
        return Err(DocumentError::at(
            text,
            0,
            DocumentErrorKind::Empty,
            "the document is empty",
        ));
    }
    let mut decoder = Decoder::new(text);
    decoder.warnings = warnings.is_some().then(Warnings::default);
    let mut flags = None;
    let mut misplaced = None;
    match decoder.cursor.peek() {
        Kind::Null => {
            decoder.cursor.skip();
        }
        Kind::Object => {
            decoder.cursor.enter();
            while decoder.cursor.next_name() {
                let offset = decoder.cursor.offset();
                let name = decoder.cursor.name();
                if !folds_to(&name, "Flags") {
                    if let Some(warnings) = &mut decoder.warnings {
                        warnings.unknown_of_document(offset, &name, ["Flags"].into_iter());
                    }
                    decoder.cursor.skip();
                    continue;
                }
                match decoder.cursor.peek() {
                    Kind::List => decoder.flags(flags.get_or_insert_default()),
                    Kind::Null => {
                        decoder.cursor.skip();
                        flags = None;
                    }
                    _ => {
                        misplaced.get_or_insert((decoder.cursor.offset(), "the flags are no list"));
                        decoder.cursor.skip();
                    }
                }
            }
        }
        _ => {
            misplaced = Some((decoder.cursor.offset(), "the document is no object"));
            decoder.cursor.skip();
        }
    }
    if !decoder.cursor.is_well_formed() {
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| DocumentError::syntax(text, &error))?;
    }
    if let Some(offset) = decoder.cursor.too_deep() {
        let reason = "nested more than 10000 levels deep";
        return Err(DocumentError::at(
            text,
            offset,
            DocumentErrorKind::Syntax,
            reason,
        ));
    }
    if let Some(offset) = decoder.full() {
        let reason = "so many flags take more memory than a document of this length may";
        let kind = DocumentErrorKind::TooLarge;
        return Err(DocumentError::at(text, offset, kind, reason));
    }
    match misplaced {
        Some((offset, reason)) => Err(DocumentError::at(
            text,
            offset,
            DocumentErrorKind::NotAFlagSet,
            reason,
        )),
        None => {
            if let (Some(warnings), Some(found)) = (warnings, decoder.warnings) {
                *warnings = found.finish(text, flags.as_deref().unwrap_or_default());
            }
            Ok(flags)
        }
    }
}

#[cfg(test)]
mod tests;
