//! How often each flag gave each variant, counted exactly.
//!
//! Off by default; see
//! [`Vexilla::with_evaluation_counts`](crate::Vexilla::with_evaluation_counts).
//! Every read of a flag through [`Flags`](crate::Flags) counts: getters,
//! typed definitions, [`evaluate`](crate::Flags::evaluate), but not
//! [`all`](crate::Flags::all) and [`explain`](crate::Flags::explain), which look
//! at flags rather than use them, and values that overrides and emergency
//! defaults put in place.
//!
//! # Cost and synchronisation
//!
//! A count is one relaxed addition to a number that a few threads share: each
//! has as many cells as there are cores (up to 32), on a cache line each, and a
//! thread keeps to one of them. Nothing is lost, however many threads there
//! are; a sum, made when it is asked for, may miss what is counted meanwhile.
//! Each flag takes `64 bytes × cells × (variants + 1)`.
//!
//! Counts belong to the ids of flag and variant: they go on when a flag changes,
//! also for requests that still hold the flags from before, and end with it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

use crate::excerpt::name;
use crate::flag::VariantsById;
use crate::outcome::Outcome;
use crate::snapshot::{CompiledFlag, Snapshot};

/// How often the flags were evaluated since counting began.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EvaluationCounts {
    /// The flags that are held, in the order of their set.
    pub flags: Vec<FlagCount>,
    /// Reads of keys that no flag had.
    pub unknown: u64,
}

/// How often a flag was evaluated.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FlagCount {
    /// The flag's id.
    #[serde(rename = "flagID")]
    pub flag_id: u64,
    /// The flag's key.
    pub flag_key: String,
    /// Its variants, in their order.
    pub variants: Vec<VariantCount>,
    /// How often it assigned none of these, whatever the reason.
    pub nothing: u64,
}

/// How often a flag assigned a variant.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct VariantCount {
    /// The variant's id.
    #[serde(rename = "variantID")]
    pub variant_id: u64,
    /// The variant's key.
    pub variant_key: String,
    /// How often it was assigned.
    pub count: u64,
}

impl fmt::Debug for EvaluationCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationCounts")
            .field("flags", &self.flags.len())
            .field("unknown", &self.unknown)
            .finish()
    }
}

impl fmt::Debug for FlagCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagCount")
            .field("flag_id", &self.flag_id)
            .field("flag_key", &name(&self.flag_key))
            .field("variants", &self.variants.len())
            .field("nothing", &self.nothing)
            .finish()
    }
}

impl fmt::Debug for VariantCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VariantCount")
            .field("variant_id", &self.variant_id)
            .field("variant_key", &name(&self.variant_key))
            .field("count", &self.count)
            .finish()
    }
}

/// The counters of a snapshot's flags.
pub(crate) struct Counters {
    /// Where the snapshot has its flags.
    flags: Box<[FlagCounters]>,
    unknown: Counter,
}

/// The counters of one flag: for no variant, then for each of its variants.
type FlagCounters = Box<[Counter]>;

impl Counters {
    /// Counters for the flags of a snapshot: at zero, or those that `before`
    /// has for the flags and variants of the same ids.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<(&Self, &Snapshot)>) -> Self {
        let cells = cells();
        let counters = |flag: &CompiledFlag| {
            let old = before.and_then(|(counters, snapshot)| {
                let position = snapshot.position_of(flag.definition())?;
                let old = snapshot.at(position)?.definition();
                Some((
                    VariantsById::new(&old.variants),
                    counters.flags.get(position)?,
                ))
            });
            let nothing = old.as_ref().and_then(|(_, counters)| counters.first());
            let nothing = nothing.map_or_else(|| Counter::new(cells), Counter::clone);
            let variants = flag.definition().variants.iter();
            let variants = variants.take(flag.variant_count()).map(|variant| {
                let known = old.as_ref().and_then(|(old, counters)| {
                    let position = old.position(variant.id)?;
                    counters.get(position + 1)
                });
                known.map_or_else(|| Counter::new(cells), Counter::clone)
            });
            std::iter::once(nothing).chain(variants).collect()
        };
        Self {
            flags: snapshot.compiled().map(counters).collect(),
            unknown: before.map_or_else(
                || Counter::new(cells),
                |(counters, _)| counters.unknown.clone(),
            ),
        }
    }

    /// Counts an outcome of the flag at this position of the snapshot.
    #[inline]
    pub(crate) fn count(&self, position: Option<usize>, outcome: &Outcome) {
        let flag = position.and_then(|position| self.flags.get(position));
        let counter = match flag {
            Some(counters) => counters.get(outcome.variant.map_or(0, |index| index as usize + 1)),
            None => Some(&self.unknown),
        };
        if let Some(counter) = counter {
            counter.increment();
        }
    }

    /// The sums, for the snapshot that the counters are for.
    pub(crate) fn sums(&self, snapshot: &Snapshot) -> EvaluationCounts {
        let flags = snapshot.flags().zip(&self.flags).map(|(flag, counters)| {
            let mut counts = counters.iter().map(Counter::sum);
            FlagCount {
                flag_id: flag.id,
                flag_key: flag.key.clone(),
                nothing: counts.next().unwrap_or(0),
                variants: flag
                    .variants
                    .iter()
                    .zip(counts)
                    .map(|(variant, count)| VariantCount {
                        variant_id: variant.id,
                        variant_key: variant.key.clone(),
                        count,
                    })
                    .collect(),
            }
        });
        EvaluationCounts {
            flags: flags.collect(),
            unknown: self.unknown.sum(),
        }
    }
}

/// A number that many threads add to without getting into each other's way.
#[derive(Clone)]
struct Counter(Arc<[Cell]>);

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

impl Counter {
    fn new(cells: usize) -> Self {
        Self((0..cells).map(|_| Cell::default()).collect())
    }

    #[inline]
    fn increment(&self) {
        // There is a power of two of them.
        let cell = THREAD.with(|thread| *thread) & (self.0.len() - 1);
        if let Some(Cell(number)) = self.0.get(cell) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        let cells = self.0.iter();
        cells
            .map(|Cell(number)| number.load(Ordering::Relaxed))
            .sum()
    }
}

/// How many cells a counter has: a power of two, one for each core if there are
/// not too many.
fn cells() -> usize {
    const MOST: usize = 32;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(MOST).next_power_of_two()
}

thread_local! {
    /// The number of this thread among those that have counted.
    static THREAD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_addition_of_many_threads_is_lost() {
        let counter = Counter::new(2);
        std::thread::scope(|scope| {
            for _ in 0..7 {
                scope.spawn(|| (0..10_000).for_each(|_| counter.increment()));
            }
        });
        assert_eq!(counter.sum(), 70_000);
    }

    #[test]
    fn cells_are_a_power_of_two_and_apart() {
        assert!(cells().is_power_of_two());
        assert_eq!(size_of::<Cell>(), 64);
    }
}
