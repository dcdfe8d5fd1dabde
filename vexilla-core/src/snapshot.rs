//! An immutable set of flags, compiled and indexed.
//!
//! A snapshot is made once and then only read: evaluating takes no lock and,
//! for Flagr's own operators without a regular expression, no allocation. A
//! flag that is bad by itself is held with its problem and answers
//! [`ErrorCode::ParseError`](crate::ErrorCode::ParseError); the others are not
//! affected. Flagr would refuse the whole set instead.

mod compiled;
mod hint;
mod index;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

pub(crate) use compiled::{CompiledFlag, CompiledSegment};

use crate::constraint::{Memory, Patterns};
use crate::context::text::same;
use crate::evaluate::Decision;
use crate::filter::{Filter, FilterReport};
use crate::flag::{Flag, FlagSet, Origin};
use crate::limits::Limits;
pub(crate) use hint::PositionHint;
use hint::SnapshotNumber;
use index::KeyIndex;

/// An immutable set of flags, ready to be evaluated.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In the order of their set.
    flags: Vec<Arc<CompiledFlag>>,
    by_id: FxHashMap<u64, usize>,
    by_key: KeyIndex,
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

/// How several tags are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagMatch {
    /// Flags that have at least one of the tags.
    #[default]
    Any,
    /// Flags that have every one of the tags.
    All,
}

/// A flag that cannot be evaluated, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Problem {
    /// The flag's number, 0 if it has none.
    pub flag_id: u64,
    /// The flag's key, empty if it has none.
    pub flag_key: String,
    /// What is wrong with it.
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
    /// did not change are shared with the snapshot before if that was built with
    /// the same limits, and regular expressions that it has are not compiled
    /// again.
    #[must_use]
    pub fn build(
        mut set: FlagSet,
        filter: &Filter,
        limits: &Limits,
        previous: Option<&Self>,
    ) -> Self {
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
            match filter.holds(&flag) {
                true => kept.push((flag, faults)),
                false => snapshot.left_out.add(&flag),
            }
        }
        // Flagr's export has no order, and which flags are beyond the limit on all
        // regular expressions must not depend on chance.
        let mut order: Vec<_> = (0..kept.len()).collect();
        order.sort_by_key(|index| kept.get(*index).map(|(flag, _)| flag.id));
        let mut kept: Vec<_> = kept.into_iter().map(Some).collect();
        let mut compiled: Vec<_> = kept.iter().map(|_| None).collect();
        for index in order {
            let (Some(flag), Some(compiled)) = (kept.get_mut(index), compiled.get_mut(index))
            else {
                continue;
            };
            *compiled = flag.take().map(|(flag, faults)| {
                let unchanged = previous
                    .and_then(|previous| previous.unchanged(&flag, origin, &faults))
                    .filter(|known| known.patterns().is_some_and(|known| patterns.keep(known)));
                unchanged.unwrap_or_else(|| {
                    Arc::new(CompiledFlag::new(flag, origin, &faults, &mut patterns))
                })
            });
        }
        for flag in compiled.into_iter().flatten() {
            snapshot.insert(flag);
        }
        snapshot.patterns = patterns.into_memory();
        let keys: Vec<_> = snapshot.flags().map(|flag| flag.key.as_str()).collect();
        snapshot.by_key = KeyIndex::new(&keys);
        snapshot.number = SnapshotNumber::next(snapshot.len());
        snapshot
    }

    fn insert(&mut self, flag: Arc<CompiledFlag>) {
        let index = self.flags.len();
        self.problem_count += usize::from(flag.problem().is_some());
        let id = flag.definition().id;
        if id != 0 {
            self.by_id.insert(id, index);
        }
        self.flags.push(flag);
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
        named.or_else(|| self.by_id.get(&flag.id).copied())
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
        match decimal(key).and_then(|id| self.by_id.get(&id)) {
            Some(index) => Some(*index),
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
        self.by_key
            .find(key, |position| self.has_key(position, key))
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

    /// The ids of all flags with these tags, ascending; with no tags, none.
    #[must_use]
    pub fn tagged(&self, tags: &[&str], how: TagMatch) -> Vec<u64> {
        let has = |flag: &Flag, tag: &str| flag.tags.iter().any(|known| known.value == tag);
        let mut ids: Vec<_> = self
            .flags()
            .filter(|flag| match how {
                _ if tags.is_empty() => false,
                TagMatch::Any => tags.iter().any(|tag| has(flag, tag)),
                TagMatch::All => tags.iter().all(|tag| has(flag, tag)),
            })
            .map(|flag| flag.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The flags that cannot be evaluated.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.compiled().filter_map(|flag| {
            flag.problem().map(|message| Problem {
                flag_id: flag.definition().id,
                flag_key: flag.definition().key.clone(),
                message: message.to_owned(),
            })
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

    /// Whether two snapshots hold the same flags with the same definitions;
    /// their order does not matter, as Flagr's export has none.
    #[must_use]
    pub fn same_flags(&self, other: &Self) -> bool {
        let by_id = |snapshot: &Self| {
            let mut flags = snapshot.flags.clone();
            flags.sort_by_key(|flag| flag.definition().id);
            flags
        };
        self.len() == other.len()
            && by_id(self)
                .iter()
                .zip(by_id(other))
                .all(|(one, other)| one.definition() == other.definition())
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

    /// How many evaluations met [`Limits::regex_work`], so that a segment did not
    /// match that Flagr may find to match; those of the snapshots that this one
    /// took the place of are included. The first one of each version of a flag is
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

/// The number that a text is the decimal spelling of, as Go prints it.
#[inline]
fn decimal(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 20 && rest.iter().all(u8::is_ascii_digit) => {
            text.parse().ok()
        }
        _ => None,
    }
}
