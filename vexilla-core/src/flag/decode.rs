//! Decoding flags out of JSON in the way of Go's `encoding/json`.
//!
//! - Member names match in any case (as Unicode folds it), unknown members are passed over.
//! - A repeated member decodes into what its first occurrence left: the last scalar wins, lists are
//!   overwritten element by element, attachments are merged. `null` empties lists and attachments and leaves
//!   scalars alone.
//! - A value of the wrong type does not end the decoding. The first one is kept as the flag's fault, with
//!   its path; the rest of the flag is still read, so that the flag can be named.
//!
//! One corner is not followed: when a list is given three times, first long, then shorter, then long again, Go
//! lets the elements of the first shine through the third.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use super::attachment::Attachment;
use super::cursor::{Cursor, Kind};
use super::quote::quoted;
use super::warning::Warnings;
use super::{Constraint, Distribution, Flag, Segment, Tag, Timestamp, Variant};

/// How deep flags may nest in tags of flags. Flagr reads such flags and never uses them.
const MAX_TAGGED: usize = 4;

/// How often, on average over a document, attachments may be repeated and merged. Without a bound the time
/// would grow with the square of the document.
const MAX_MERGES: usize = 4;

/// How much memory the elements of lists may take, in bytes: so much, and so many times the length of the
/// document. An element takes some hundred bytes, and `{}` is one.
const ROOM: usize = 64 << 20;
const ROOM_PER_BYTE: usize = 8;

/// Decodes flags and remembers the first fault of the one in hand.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) cursor: Cursor<'a>,
    path: Vec<Step>,
    fault: Option<Box<str>>,
    tagged: usize,
    /// How many bytes of attachments may still be read again to merge repeated ones into them.
    mergeable: usize,
    /// How many bytes of memory elements of lists may still take.
    room: usize,
    /// There was no room for a part of the flag in hand.
    crowded: bool,
    /// Where the list of flags ends that there was no room for.
    full: Option<usize>,
    /// What is probably a mistake, if that is asked for.
    pub(super) warnings: Option<Warnings>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Member(&'static str),
    Element(usize),
}

/// A member's name and how its value is decoded into a `T`.
type Member<T> = (&'static str, fn(&mut Decoder<'_>, &mut T));

const FLAG: &[Member<Flag>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("Key", |d, to| d.string(&mut to.key)),
    ("Description", |d, to| d.string(&mut to.description)),
    ("CreatedBy", |d, to| d.string(&mut to.created_by)),
    ("UpdatedBy", |d, to| d.string(&mut to.updated_by)),
    ("Enabled", |d, to| d.boolean(&mut to.enabled)),
    ("Segments", |d, to| d.list(&mut to.segments, SEGMENT)),
    ("Variants", |d, to| d.list(&mut to.variants, VARIANT)),
    ("Tags", |d, to| d.list(&mut to.tags, TAG)),
    ("SnapshotID", |d, to| d.integer(&mut to.snapshot_id)),
    ("Notes", |d, to| d.string(&mut to.notes)),
    ("DataRecordsEnabled", |d, to| {
        d.boolean(&mut to.data_records_enabled);
    }),
    ("EntityType", |d, to| d.string(&mut to.entity_type)),
];

const SEGMENT: &[Member<Segment>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("FlagID", |d, to| d.integer(&mut to.flag_id)),
    ("Description", |d, to| d.string(&mut to.description)),
    ("Rank", |d, to| d.integer(&mut to.rank)),
    ("RolloutPercent", |d, to| d.rollout(&mut to.rollout_percent)),
    ("Constraints", |d, to| {
        d.list(&mut to.constraints, CONSTRAINT);
    }),
    ("Distributions", |d, to| {
        d.list(&mut to.distributions, DISTRIBUTION);
    }),
];

const CONSTRAINT: &[Member<Constraint>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("SegmentID", |d, to| d.integer(&mut to.segment_id)),
    ("Property", |d, to| d.string(&mut to.property)),
    ("Operator", |d, to| d.string(&mut to.operator)),
    ("Value", |d, to| d.string(&mut to.value)),
];

const DISTRIBUTION: &[Member<Distribution>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("SegmentID", |d, to| d.integer(&mut to.segment_id)),
    ("VariantID", |d, to| d.integer(&mut to.variant_id)),
    ("VariantKey", |d, to| d.string(&mut to.variant_key)),
    ("Percent", |d, to| d.percent(&mut to.percent)),
];

const VARIANT: &[Member<Variant>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("FlagID", |d, to| d.integer(&mut to.flag_id)),
    ("Key", |d, to| d.string(&mut to.key)),
    ("Attachment", |d, to| d.attachment(&mut to.attachment)),
];

const TAG: &[Member<Tag>] = &[
    ("ID", |d, to| d.integer(&mut to.id)),
    ("CreatedAt", |d, to| d.time(&mut to.created_at)),
    ("UpdatedAt", |d, to| d.time(&mut to.updated_at)),
    ("DeletedAt", |d, to| d.nullable_time(&mut to.deleted_at)),
    ("Value", |d, to| d.string(&mut to.value)),
    ("Flags", |d, _| d.tagged_flags()),
];

impl<'a> Decoder<'a> {
    /// A decoder of a text. What it decodes means something only if its cursor finds the text well-formed.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            cursor: Cursor::new(text),
            path: Vec::new(),
            fault: None,
            tagged: 0,
            mergeable: text.len().saturating_mul(MAX_MERGES),
            room: text
                .len()
                .saturating_mul(ROOM_PER_BYTE)
                .saturating_add(ROOM),
            crowded: false,
            full: None,
            warnings: None,
        }
    }

    /// Where the list of flags ends that there was no room for.
    pub(super) fn full(&self) -> Option<usize> {
        self.full
    }

    /// Decodes a list of flags into those that are there, each with its own fault. A flag whose parts find no
    /// room loses them.
    pub(super) fn flags(&mut self, flags: &mut Vec<Flag>) {
        if let Some(warnings) = &mut self.warnings {
            warnings.list();
        }
        self.elements(flags, |decoder, flag, _| {
            if let Some(warnings) = &mut decoder.warnings {
                warnings.flag(decoder.cursor.offset());
            }
            let room = decoder.room;
            decoder.object(flag, FLAG);
            let fault = decoder.fault.take();
            flag.fault = flag.fault.take().or(fault);
            if std::mem::take(&mut decoder.crowded) {
                (flag.segments, flag.variants, flag.tags) = Default::default();
                decoder.room = room;
            }
        });
        if std::mem::take(&mut self.crowded) {
            self.full.get_or_insert(self.cursor.offset());
        }
    }

    /// Checks the flags that a tag carries, as Flagr does when it reads them, and drops them.
    fn tagged_flags(&mut self) {
        if self.tagged == MAX_TAGGED {
            self.mismatch("no further flags within tags of flags");
            return;
        }
        let room = self.room;
        self.tagged += 1;
        self.list(&mut Vec::new(), FLAG);
        self.tagged -= 1;
        self.room = room;
    }

    fn list<T: Default>(&mut self, into: &mut Vec<T>, members: &[Member<T>]) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
                into.clear();
            }
            Kind::List => self.elements(into, |decoder, element, index| {
                decoder.path.push(Step::Element(index));
                decoder.note_part();
                decoder.object(element, members);
                decoder.path.pop();
            }),
            _ => self.mismatch("a list"),
        }
    }

    /// Decodes the list that comes next element by element.
    fn elements<T: Default>(
        &mut self,
        into: &mut Vec<T>,
        mut decode: impl FnMut(&mut Self, &mut T, usize),
    ) {
        self.cursor.enter();
        let mut length = 0;
        while self.cursor.next_element() {
            if into.len() == length && !self.grow(into) {
                self.cursor.skip();
                continue;
            }
            if into.len() == length {
                into.push(T::default());
            }
            if let Some(element) = into.get_mut(length) {
                decode(self, element, length);
            }
            length += 1;
        }
        into.truncate(length);
    }

    /// Makes room for one more element, unless the document takes too much.
    fn grow<T>(&mut self, into: &mut Vec<T>) -> bool {
        if into.len() < into.capacity() {
            return true;
        }
        // Most lists have one or two elements, for which a vector would start with room for four.
        let more = into.len().max(1);
        match self.room.checked_sub(more.saturating_mul(size_of::<T>())) {
            Some(room) if !self.crowded => {
                self.room = room;
                into.reserve_exact(more);
                true
            }
            _ => {
                self.report(&"so many parts take more memory than a document of this length may");
                self.crowded = true;
                false
            }
        }
    }

    fn object<T>(&mut self, into: &mut T, members: &[Member<T>]) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
            }
            Kind::Object => {
                self.cursor.enter();
                let mut expected = 0;
                while self.cursor.next_name() {
                    let offset = self.cursor.offset();
                    let index = match self.member(members, expected) {
                        Ok(index) => index,
                        Err(name) => {
                            self.warn_of_unknown(offset, &name, members);
                            self.cursor.skip();
                            continue;
                        }
                    };
                    if let Some((name, decode)) = members.get(index) {
                        self.path.push(Step::Member(name));
                        decode(self, into);
                        self.path.pop();
                    }
                    expected = index + 1;
                }
            }
            _ => self.mismatch("an object"),
        }
    }

    /// Moves to the value of the next member and tells which one it is, or the name that no member has. Flagr
    /// prints members in the order of their tables, so that mostly it is the one `expected`.
    fn member<T>(&mut self, members: &[Member<T>], expected: usize) -> Result<usize, Cow<'a, str>> {
        match members.get(expected) {
            Some((name, _)) if self.cursor.is_name(name) => Ok(expected),
            _ => {
                let name = self.cursor.name();
                find(members, &name).ok_or(name)
            }
        }
    }

    fn warn_of_unknown<T>(&mut self, offset: usize, name: &str, members: &[Member<T>]) {
        if self.tagged > 0 || self.warnings.is_none() {
            return;
        }
        let path = self.path();
        if let Some(warnings) = &mut self.warnings {
            let known = members.iter().map(|(known, _)| *known);
            warnings.unknown_of_flag(offset, &path, name, known);
        }
    }

    /// Remembers where a part of the flag in hand begins, if warnings are asked for.
    fn note_part(&mut self) {
        let offset = self.cursor.offset();
        if let (Some(warnings), 0, [Step::Member(list), Step::Element(index)]) =
            (&mut self.warnings, self.tagged, self.path.as_slice())
        {
            warnings.part(list, *index, offset);
        }
    }

    fn integer(&mut self, into: &mut u64) {
        self.number(into, "an integer from 0 to 18446744073709551615");
    }

    /// An integer that is checked for its range later.
    fn percent(&mut self, into: &mut u64) {
        self.number(into, "an integer from 0 to 100");
    }

    fn rollout(&mut self, into: &mut u64) {
        let given = self.tagged == 0 && self.cursor.peek() != Kind::Null;
        if let (true, Some(warnings)) = (given, &mut self.warnings) {
            warnings.rollout();
        }
        self.percent(into);
    }

    fn number(&mut self, into: &mut u64, expected: &str) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
            }
            Kind::Number => {
                let literal = self.cursor.skip();
                match literal.parse() {
                    Ok(number) => *into = number,
                    Err(_) => self.report(&unexpected(expected, &quoted(literal))),
                }
            }
            _ => self.mismatch(expected),
        }
    }

    fn boolean(&mut self, into: &mut bool) {
        match self.cursor.peek() {
            Kind::Null => {}
            Kind::True => *into = true,
            Kind::False => *into = false,
            _ => return self.mismatch("true or false"),
        }
        self.cursor.skip();
    }

    fn string(&mut self, into: &mut String) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
            }
            Kind::String => *into = self.cursor.string().into_owned(),
            // Named, not quoted: it may be the value of a constraint.
            Kind::Number => {
                self.cursor.skip();
                self.report(&unexpected("a string", "a number"));
            }
            _ => self.mismatch("a string"),
        }
    }

    /// A time that `null` leaves alone.
    fn time(&mut self, into: &mut Option<Timestamp>) {
        if self.cursor.peek() == Kind::Null {
            self.cursor.skip();
        } else {
            self.nullable_time(into);
            // Go's zero time is its way to say that there is none.
            *into = into.filter(|time| *time != Timestamp::ZERO);
        }
    }

    fn nullable_time(&mut self, into: &mut Option<Timestamp>) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
                *into = None;
            }
            // Go reads a time from the literal as it stands, escapes and all.
            Kind::String => match self.cursor.string_source().0.parse() {
                Ok(time) => *into = Some(time),
                Err(error) => self.report(&error),
            },
            _ => self.mismatch("a time as a string"),
        }
    }

    fn attachment(&mut self, into: &mut Option<Attachment>) {
        match self.cursor.peek() {
            Kind::Null => {
                self.cursor.skip();
                *into = None;
            }
            Kind::Object => {
                let raw = self.cursor.skip();
                let earlier = into.as_ref();
                let again = earlier.map_or(0, |earlier| earlier.json().len());
                match self.mergeable.checked_sub(again) {
                    Some(left) => self.mergeable = left,
                    None => return self.report(&"repeated too often"),
                }
                match Attachment::read(raw, earlier) {
                    Ok(attachment) => *into = Some(attachment),
                    Err(reason) => self.report(&reason),
                }
            }
            _ => self.mismatch("an object"),
        }
    }

    /// Passes a value that is not of the type it should be.
    fn mismatch(&mut self, expected: &str) {
        let kind = self.cursor.peek();
        let value = self.cursor.skip();
        let found = match kind {
            Kind::List => "a list",
            Kind::Object => "an object",
            Kind::String => "a string",
            Kind::Null | Kind::True | Kind::False | Kind::Number => &quoted(value),
        };
        self.report(&unexpected(expected, found));
    }

    /// Keeps a fault of the member in hand, unless the flag has one already.
    fn report(&mut self, reason: &dyn Display) {
        if self.fault.is_some() {
            return;
        }
        let mut fault = self.path();
        if !fault.is_empty() {
            fault.push_str(": ");
        }
        let _ = write!(fault, "{reason}");
        self.fault = Some(fault.into());
    }

    /// The way from the flag in hand to the value in hand.
    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Member(name) if path.is_empty() => write!(path, "{name}"),
                Step::Member(name) => write!(path, ".{name}"),
                Step::Element(index) => write!(path, "[{index}]"),
            };
        }
        path
    }
}

fn unexpected(expected: &str, found: &str) -> String {
    format!("expected {expected}, found {found}")
}

/// Where among the members one of this name is.
fn find<T>(members: &[Member<T>], name: &str) -> Option<usize> {
    let place = |is: &dyn Fn(&str) -> bool| members.iter().position(|(known, _)| is(known));
    place(&|known| known == name).or_else(|| place(&|known| folds_to(name, known)))
}

/// Whether Go takes `name` for the member `known`: letters match in any case, and two characters beyond ASCII
/// fold to ASCII letters, the Kelvin sign to K and the long s to S.
pub(crate) fn folds_to(name: &str, known: &str) -> bool {
    let folded = name.chars().map(|character| match character {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known
        .chars()
        .map(|character| character.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
