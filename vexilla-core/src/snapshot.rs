//! An immutable set of flags, compiled and indexed.
//!
//! A snapshot is made once and then only read: evaluating takes no lock and,
//! for Flagr's own operators without a regular expression, no allocation. A
//! flag that is bad by itself is held with its problem and answers
//! [`ErrorCode::ParseError`](crate::evaluation::ErrorCode::ParseError); the others are not
//! affected. Flagr would refuse the whole set instead.

mod compiled;
mod hint;
mod problem;
mod tags;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use compiled::{CompiledFlag, CompiledSegment};

use crate::constraint::{Memory, Patterns};
use crate::context::text::same;
use crate::evaluate::Decision;
use crate::excerpt::name;
use crate::filter::{Filter, FilterReport};
use crate::flag::{Flag, FlagSet, Origin};
use crate::index::Index;
use crate::limits::Limits;
pub(crate) use hint::PositionHint;
use hint::SnapshotNumber;
pub use tags::TagMatch;

pub use crate::store::Pinned;

/// An immutable set of flags, ready to be evaluated.
#[derive(Default)]
pub struct Snapshot {
    /// In the order of their set.
    flags: Vec<Arc<CompiledFlag>>,
    by_id: Index,
    by_key: Index,
    number: SnapshotNumber,
    version: u64,
    left_out: FilterReport,
    problem_count: usize,
    limits: Limits,
    /// What became of the regular expressions of its flags.
    patterns: Memory,
    /// Evaluations beyond limits, those of the snapshots before included.
    beyond_limits: Arc<AtomicU64>,
}

/// A flag that cannot be evaluated, and why.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Problem {
    /// The flag's number, 0 if it has none.
    pub flag_id: u64,
    /// The flag's key, empty if it has none.
    pub flag_key: String,
    /// What is wrong with it, in at most 1 KiB; without the values of its
    /// constraints.
    pub message: String,
}

impl Snapshot {
    /// Compiles a set of flags. Missing ids are filled first, as Flagr's
    /// JSON-file mode does.
    #[must_use]
    pub fn new(set: impl Into<FlagSet>) -> Self {
        Self::build(set.into(), &Filter::new(), &Limits::new(), None)
    }

    /// Compiles the flags of a set that a filter holds, within limits. Flags that
    /// did not change are shared with the snapshot before, invalid ones included,
    /// if that was built with the same limits; regular expressions that it has are
    /// not compiled again. A flag is compiled again if its definition changed, if
    /// its set finds other faults in it (a second flag with its key was added or
    /// removed), or if it could not be compiled for a reason that may pass.
    ///
    /// The limits on the whole set do not apply: they are for sources.
    #[must_use]
    pub fn build(set: FlagSet, filter: &Filter, limits: &Limits, previous: Option<&Self>) -> Self {
        let go_on = || Ok::<_, Infallible>(());
        match Self::compile(set, filter, limits, previous, go_on) {
            Ok(snapshot) => snapshot,
        }
    }

    /// [`build`](Self::build); between flags and between segments, `go_on` is
    /// asked whether to go on.
    ///
    /// # Errors
    ///
    /// That of `go_on`.
    pub(crate) fn compile<E>(
        mut set: FlagSet,
        filter: &Filter,
        limits: &Limits,
        previous: Option<&Self>,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<Self, E> {
        // Ids, versions and clashing keys are those of the whole set.
        set.assign_missing_ids();
        let faults = crate::flag::faults(&set);
        let origin = set.origin;
        let beyond_limits = previous.map(|previous| Arc::clone(&previous.beyond_limits));
        let previous = previous.filter(|previous| previous.limits == *limits);
        let mut patterns = Patterns::new(limits, previous.map(|previous| &previous.patterns));
        let version = set.flags.iter().map(|flag| flag.snapshot_id).max();
        let mut snapshot = Self {
            flags: Vec::with_capacity(set.flags.len()),
            version: version.unwrap_or(0),
            limits: limits.clone(),
            beyond_limits: beyond_limits.unwrap_or_default(),
            ..Self::default()
        };
        let mut kept = Vec::with_capacity(set.flags.len());
        for (flag, faults) in set.flags.into_iter().zip(faults) {
            go_on()?;
            match filter.holds(&flag) {
                true => kept.push((flag, faults)),
                false => snapshot.left_out.add(&flag),
            }
        }
        // Flagr's export has no order, and which flags are beyond the limits on all
        // constraints must not depend on chance.
        let mut order: Vec<_> = (0..kept.len()).collect();
        order.sort_by_key(|index| kept.get(*index).map(|(flag, _)| flag.id));
        let mut kept: Vec<_> = kept.into_iter().map(Some).collect();
        let mut compiled: Vec<_> = kept.iter().map(|_| None).collect();
        for index in order {
            go_on()?;
            let Some((flag, faults)) = kept.get_mut(index).and_then(Option::take) else {
                continue;
            };
            let unchanged = previous
                .and_then(|previous| previous.unchanged(&flag, origin, &faults))
                .filter(|known| known.needs().is_some_and(|needs| patterns.keep(needs)));
            let flag = match unchanged {
                Some(flag) => flag,
                None => {
                    let patterns = &mut patterns;
                    let flag = CompiledFlag::new(flag, origin, &faults, patterns, &mut go_on)?;
                    Arc::new(flag)
                }
            };
            if let Some(place) = compiled.get_mut(index) {
                *place = Some(flag);
            }
        }
        snapshot.flags = compiled.into_iter().flatten().collect();
        let invalid = snapshot
            .flags
            .iter()
            .filter(|flag| flag.problem().is_some());
        snapshot.problem_count = invalid.count();
        snapshot.patterns = patterns.into_memory();
        snapshot.index();
        Ok(snapshot)
    }

    /// Builds the indexes.
    fn index(&mut self) {
        let ids = self.flags().map(|flag| Some(flag.id).filter(|id| *id != 0));
        let ids = Index::new(&ids.collect::<Vec<_>>());
        let keys = self.flags().map(|flag| flag.key.as_str());
        let keys = keys.map(|key| Some(key).filter(|key| !key.is_empty()));
        let keys = Index::new(&keys.collect::<Vec<_>>());
        (self.by_id, self.by_key) = (ids, keys);
        self.number = SnapshotNumber::next(self.len());
    }

    fn unchanged(
        &self,
        flag: &Flag,
        origin: Origin,
        faults: &[String],
    ) -> Option<Arc<CompiledFlag>> {
        self.flags
            .get(self.position_of(flag)?)
            .filter(|known| known.is_made_of(flag, origin, faults))
            .cloned()
    }

    /// Where the flag stands that is this one, maybe in another version: the one
    /// with the same id, and with the same key if there are several.
    pub(crate) fn position_of(&self, flag: &Flag) -> Option<usize> {
        let same_id = |position: &usize| {
            let known = self.flags.get(*position);
            known.is_some_and(|known| known.definition().id == flag.id)
        };
        let named = self.named(&flag.key).filter(same_id);
        named.or_else(|| self.numbered(flag.id))
    }

    /// The flag of this key: among ids if the key is a number in decimal,
    /// then among keys.
    pub(crate) fn get(&self, key: &str) -> Option<&CompiledFlag> {
        self.flags.get(self.position(key)?).map(|flag| &**flag)
    }

    /// Where the flag of this key stands: among ids if the key is a number in
    /// decimal, then among keys.
    #[inline]
    pub(crate) fn position(&self, key: &str) -> Option<usize> {
        match decimal(key).and_then(|id| self.numbered(id)) {
            Some(position) => Some(position),
            None => self.named(key),
        }
    }

    /// As [`position`](Self::position), but searches a key only once for each
    /// snapshot.
    #[inline]
    pub(crate) fn position_near(&self, key: &str, hint: &PositionHint) -> Option<usize> {
        hint.or_search(self.number, || self.position(key))
    }

    #[inline]
    fn has_key(&self, position: usize, key: &str) -> bool {
        let flag = self.flags.get(position);
        flag.is_some_and(|flag| same(flag.definition().key.as_bytes(), key.as_bytes()))
    }

    /// The flag at a position.
    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<&CompiledFlag> {
        self.flags.get(position).map(|flag| &**flag)
    }

    /// Where the flag stands that has this key.
    #[inline(always)]
    fn named(&self, key: &str) -> Option<usize> {
        self.by_key.find(
            key,
            |position| self.has_key(position, key),
            |position| {
                let flag = self.at(position).map(CompiledFlag::definition);
                flag.map(|flag| flag.key.as_str()).cmp(&Some(key))
            },
        )
    }

    /// Where the flag stands that has this id.
    #[inline]
    pub(crate) fn numbered(&self, id: u64) -> Option<usize> {
        let id_at = |position| self.at(position).map(|flag| flag.definition().id);
        self.by_id.find(
            id,
            |position| id_at(position) == Some(id),
            |position| id_at(position).cmp(&Some(id)),
        )
    }

    /// The flag that a request of Flagr's API means: `flag_id` among ids, then
    /// among keys; if that finds nothing, `flag_key` likewise. A request
    /// without id asks for the id `0`, so that a flag with the *key* `0`
    /// answers it before `flag_key` is looked at (Flagr 1.2,
    /// `pkg/handler/eval.go`, `LookupFlag`).
    #[must_use]
    pub fn find(&self, flag_id: Option<u64>, flag_key: Option<&str>) -> Option<&Flag> {
        self.lookup(flag_id, flag_key).map(CompiledFlag::definition)
    }

    pub(crate) fn lookup(
        &self,
        flag_id: Option<u64>,
        flag_key: Option<&str>,
    ) -> Option<&CompiledFlag> {
        self.get(&flag_id.unwrap_or(0).to_string())
            .or_else(|| self.get(flag_key.unwrap_or_default()))
    }

    /// The definition of the flag with this key or decimal id.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<&Flag> {
        self.get(key).map(CompiledFlag::definition)
    }

    /// All flags, in the order of their set.
    pub fn flags(&self) -> impl ExactSizeIterator<Item = &Flag> {
        self.flags.iter().map(|flag| flag.definition())
    }

    pub(crate) fn compiled(&self) -> impl Iterator<Item = &CompiledFlag> {
        self.flags.iter().map(|flag| &**flag)
    }

    /// The flags that cannot be evaluated.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.compiled().filter_map(CompiledFlag::as_problem)
    }

    /// Whether this flag is invalid here as well, with the same definition and
    /// for the same reason.
    #[cfg(feature = "refresh")]
    pub(crate) fn has_problem_of(&self, flag: &CompiledFlag) -> bool {
        let known = self.position_of(flag.definition());
        let known = known.and_then(|position| self.at(position));
        known.is_some_and(|known| {
            known.problem() == flag.problem() && known.definition() == flag.definition()
        })
    }

    /// How many flags cannot be evaluated.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.problem_count
    }

    /// How many flags there are, those with problems included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there is no flag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Whether two snapshots hold the same flags: equal definitions with equal
    /// problems. Their order does not matter, as Flagr's export has none.
    ///
    /// Equal definitions alone do not make equal flags. A flag can be invalid
    /// because of another one with its key, and a `CEL` constraint because the
    /// system was short of threads when it was compiled.
    #[must_use]
    pub fn same_flags(&self, other: &Self) -> bool {
        self.all_alike(other, CompiledFlag::is_same_as)
    }

    /// Whether two snapshots were compiled from the same definitions, whatever
    /// became of them: whether their sources gave the same.
    #[must_use]
    pub fn same_definitions(&self, other: &Self) -> bool {
        self.all_alike(other, |one, other| one.definition() == other.definition())
    }

    /// Whether there are as many flags in `other`, and each pair is alike.
    fn all_alike(
        &self,
        other: &Self,
        alike: impl Fn(&CompiledFlag, &CompiledFlag) -> bool,
    ) -> bool {
        let by_id = |snapshot: &Self| {
            let mut flags = snapshot.flags.clone();
            flags.sort_by_key(|flag| flag.definition().id);
            flags
        };
        self.len() == other.len()
            && by_id(self)
                .iter()
                .zip(by_id(other))
                .all(|(one, other)| alike(one, &other))
    }

    /// The greatest `SnapshotID` of the flags, those included that a filter
    /// left out; 0 without flags. Flagr counts changes by it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The limits that the flags were compiled with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many evaluations were beyond [`Limits::regex_work`] or
    /// [`Limits::cel_work`], so that a segment did not match that may match without
    /// the limit; those of the snapshots that this one took the place of are
    /// included. The first one of each version of a flag is
    /// logged, with its key, at level `WARN`.
    #[must_use]
    pub fn evaluations_beyond_limits(&self) -> u64 {
        self.beyond_limits.load(Ordering::Relaxed)
    }

    /// Counts an evaluation of this flag if it was beyond limits.
    #[inline]
    pub(crate) fn count_beyond_limits(&self, flag: &CompiledFlag, decision: Decision<'_>) {
        if decision.beyond_limits {
            self.beyond_limits.fetch_add(1, Ordering::Relaxed);
            flag.log_beyond_limits();
        }
    }

    /// What the filter left out.
    #[must_use]
    pub fn left_out(&self) -> FilterReport {
        self.left_out
    }
}

impl fmt::Debug for Snapshot {
    /// How many flags there are, and nothing of what they say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("flags", &self.len())
            .field("problems", &self.problem_count)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("flag_id", &self.flag_id)
            .field("flag_key", &name(&self.flag_key))
            .field("message", &self.message)
            .finish()
    }
}

/// The number that a text is the decimal spelling of, as Go prints it.
#[inline]
pub(crate) fn decimal(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 20 && rest.iter().all(u8::is_ascii_digit) => {
            text.parse().ok()
        }
        _ => None,
    }
}

#[cfg(all(test, feature = "refresh"))]
mod tests;
