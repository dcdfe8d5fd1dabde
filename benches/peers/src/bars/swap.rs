//! How long readers wait while the flags are swapped a thousand times a second.
//!
//! The reader takes the flags for a context and reads S1, as a request does
//! (`Vexilla::flags`, then `bool`), 64 times in a row, and looks at the clock
//! before and after. Another thread calls `Vexilla::replace` once in each
//! millisecond, with 204 flags of which one changed; it copies, compares and
//! compiles for each swap, and all else is shared. In turns of 100 ms: nobody
//! swaps; the thread does the same work on flags that nobody reads; it swaps
//! those that are read. The second tells what the work beside costs (memory,
//! caches, the allocator) from what swapping costs.
//!
//! By the clock, other programs on the machine show too, and at one batch in a
//! thousand they show most. A figure is therefore the median of many turns, each
//! with a percentile of its own; and beside the clock stands the CPU time of the
//! reader, which tells what it had to do from what it was kept from doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use vexilla_core::flag::FlagSet;
use vexilla_core::{Context, Vexilla};

use crate::peers::vexilla::{context, flag};
use crate::scenario::{Flag, S1, User};

const TURNS: usize = 30;
const TURN: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(1);
/// Reads between two looks at the clock.
pub const BATCH: usize = 64;

/// Flags that are read, others that are not, and what is put in their place.
pub struct Swaps {
    read: Vexilla,
    unread: Vexilla,
    versions: [FlagSet; 2],
    contexts: Vec<Context>,
    /// How many reads of each batch give `true`.
    right: Vec<usize>,
}

/// What was measured.
pub struct Report {
    pub undisturbed: Latency,
    pub beside: Latency,
    pub swapped: Latency,
    /// The median of the turns' ratios at p99.9 by the clock, with swaps over
    /// undisturbed.
    pub ratio: f64,
    /// The same in CPU time.
    pub cpu_ratio: f64,
    /// As many as there were.
    pub swaps_per_second: f64,
}

/// What a batch takes.
#[derive(Clone, Copy)]
pub struct Latency {
    pub clock: Percentiles,
    pub cpu: Percentiles,
}

/// Nanoseconds.
#[derive(Clone, Copy)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Percentiles {
    fn of(mut nanos: Vec<f64>) -> Self {
        Self {
            p50: percentile(&mut nanos, 0.5),
            p99: percentile(&mut nanos, 0.99),
            p999: percentile(&mut nanos, 0.999),
        }
    }

    fn median(of: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| median(of.iter().map(value).collect());
        Self {
            p50: of(|percentiles| percentiles.p50),
            p99: of(|percentiles| percentiles.p99),
            p999: of(|percentiles| percentiles.p999),
        }
    }
}

impl Swaps {
    pub fn new(flags: &[Flag], users: &[User], right: impl Fn(usize) -> bool) -> Self {
        let set = FlagSet::from_iter(flags.iter().map(flag));
        let mut changed = set.clone();
        if let Some(last) = changed.flags.last_mut() {
            last.enabled = !last.enabled;
        }
        let users: Vec<_> = users.iter().enumerate().collect();
        let batches = users.chunks_exact(BATCH);
        let right = batches.map(|batch| batch.iter().filter(|(n, _)| right(*n)).count());
        Self {
            read: Vexilla::fixed(set.clone()),
            unread: Vexilla::fixed(set.clone()),
            versions: [changed, set],
            right: right.collect(),
            contexts: users.iter().map(|(_, user)| context(user)).collect(),
        }
    }

    /// # Errors
    ///
    /// A read gave another answer than it should.
    pub fn measure(&self) -> Result<Report, String> {
        let mut turns = Vec::new();
        let (mut swaps, mut swapping) = (0, Duration::ZERO);
        for _ in 0..TURNS {
            let undisturbed = self.turn()?;
            let (beside, _) = self.turn_while_swapping(&self.unread)?;
            let started = Instant::now();
            let (swapped, count) = self.turn_while_swapping(&self.read)?;
            swapping += started.elapsed();
            swaps += count;
            turns.push([undisturbed, beside, swapped]);
        }
        let ratio = |value: fn(&Latency) -> f64| {
            let ratios = turns.iter();
            median(
                ratios
                    .map(|turn| value(&turn[2]) / value(&turn[0]))
                    .collect(),
            )
        };
        let latency = |n: usize| {
            let of = |value: fn(&Latency) -> Percentiles| {
                Percentiles::median(&turns.iter().map(|turn| value(&turn[n])).collect::<Vec<_>>())
            };
            Latency {
                clock: of(|latency| latency.clock),
                cpu: of(|latency| latency.cpu),
            }
        };
        Ok(Report {
            undisturbed: latency(0),
            beside: latency(1),
            swapped: latency(2),
            ratio: ratio(|latency| latency.clock.p999),
            cpu_ratio: ratio(|latency| latency.cpu.p999),
            swaps_per_second: swaps as f64 / swapping.as_secs_f64(),
        })
    }

    fn turn_while_swapping(&self, vexilla: &Vexilla) -> Result<(Latency, usize), String> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let swaps = scope.spawn(|| self.swap(vexilla, &stop));
            let latency = self.turn();
            stop.store(true, Ordering::Relaxed);
            let swaps = swaps.join().map_err(|_| "the swapping thread panicked")?;
            Ok((latency?, swaps))
        })
    }

    /// Swaps once in each millisecond until it is told to stop: how often.
    fn swap(&self, vexilla: &Vexilla, stop: &AtomicBool) -> usize {
        let mut due = Instant::now();
        let mut swaps = 0;
        for version in self.versions.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            vexilla.replace(version.clone());
            swaps += 1;
            due += PAUSE;
            // Swaps come at this pace whatever each of them takes.
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        swaps
    }

    fn turn(&self) -> Result<Latency, String> {
        let (mut clock, mut cpu) = (Vec::with_capacity(1 << 16), Vec::with_capacity(1 << 16));
        let started = Instant::now();
        while started.elapsed() < TURN {
            for (batch, right) in self.contexts.chunks_exact(BATCH).zip(&self.right) {
                let started = (Instant::now(), ThreadTime::now());
                let reads = batch.iter().map(|context| self.read.flags(context.clone()));
                let on = reads.filter(|flags| flags.bool(S1)).count();
                cpu.push(started.1.elapsed().as_nanos() as f64);
                clock.push(started.0.elapsed().as_nanos() as f64);
                if on != *right {
                    return Err(format!("S1 is on for {on} users, not {right}"));
                }
            }
        }
        Ok(Latency {
            clock: Percentiles::of(clock),
            cpu: Percentiles::of(cpu),
        })
    }
}

fn percentile(values: &mut [f64], part: f64) -> f64 {
    let rank = ((values.len() - 1) as f64 * part) as usize;
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 0.5)
}
