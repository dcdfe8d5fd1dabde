//! How long a case takes, how much it allocates, how it scales to two threads.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::allocations;
use crate::peers::Case;
use crate::scenario::Scenario;

const BATCH: Duration = Duration::from_millis(20);
const COUNTED_CALLS: usize = 4096;
const SLICES: usize = 20;
const SLICE: Duration = Duration::from_millis(50);

/// What one call of a case costs.
pub struct Figure {
    /// The median of the batches.
    pub nanos: f64,
    /// The upper quartile less the lower one, as a part of the median.
    pub spread: f64,
    pub allocations: f64,
}

/// How many calls of a case are made on one thread and on two.
pub struct Rate {
    pub system: &'static str,
    pub one: Slice,
    pub two: Slice,
}

/// What some threads did for a while.
#[derive(Default)]
pub struct Slice {
    /// Calls in a second of CPU time of each thread, of all threads together.
    pub rate: f64,
    /// Which part of the wall-clock time the threads ran, 1 if each had a core to
    /// itself. Below that, they did not always run at the same time.
    pub ran: f64,
}

/// Measures all cases, their batches taking turns.
pub fn all(cases: &[Case<'_>], batches: usize) -> Result<Vec<Figure>, String> {
    let mut plans = cases.iter().map(Plan::new).collect::<Vec<_>>();
    for _ in 0..batches {
        for plan in &mut plans {
            plan.batch()?;
        }
    }
    Ok(plans.into_iter().map(Plan::figure).collect())
}

/// A case that is being measured.
struct Plan<'a> {
    case: &'a Case<'a>,
    /// How many flags are on in a round.
    on: usize,
    /// How many rounds a batch has.
    rounds: usize,
    /// Nanoseconds per call, one item per batch.
    batches: Vec<f64>,
    allocations: f64,
}

impl<'a> Plan<'a> {
    fn new(case: &'a Case<'a>) -> Self {
        let on = case.round();
        let rounds = COUNTED_CALLS.div_ceil(case.calls);
        let started = ThreadTime::now();
        let allocations = allocations::during(|| {
            for _ in 0..rounds {
                case.round();
            }
        });
        let round = started.elapsed().as_secs_f64() / rounds as f64;
        Self {
            case,
            on,
            rounds: (BATCH.as_secs_f64() / round).ceil().max(1.0) as usize,
            batches: Vec::new(),
            allocations: allocations as f64 / (rounds * case.calls) as f64,
        }
    }

    fn batch(&mut self) -> Result<(), String> {
        let started = ThreadTime::now();
        let on: usize = (0..self.rounds).map(|_| self.case.round()).sum();
        let nanos = started.elapsed().as_nanos() as f64;
        self.batches
            .push(nanos / (self.rounds * self.case.calls) as f64);
        if on == self.on * self.rounds {
            Ok(())
        } else {
            Err(format!(
                "{}, {}: other answers than before",
                self.case.system,
                self.case.scenario.title()
            ))
        }
    }

    fn figure(mut self) -> Figure {
        self.batches.sort_by(f64::total_cmp);
        let at = |part: f64| self.batches[((self.batches.len() - 1) as f64 * part) as usize];
        Figure {
            nanos: at(0.5),
            spread: (at(0.75) - at(0.25)) / at(0.5),
            allocations: self.allocations,
        }
    }
}

/// The throughput of each system's S1, the slices of all systems taking turns.
pub fn throughput(cases: &[Case<'_>]) -> Vec<Rate> {
    let cases = cases.iter().filter(|case| case.scenario == Scenario::S1);
    let mut rates: Vec<_> = cases
        .map(|case| {
            let rate = Rate {
                system: case.system,
                one: Slice::default(),
                two: Slice::default(),
            };
            (case, rate)
        })
        .collect();
    for _ in 0..SLICES {
        for (case, rate) in &mut rates {
            rate.one.improve(Slice::of(case, 1));
            rate.two.improve(Slice::of(case, 2));
        }
    }
    rates.into_iter().map(|(_, rate)| rate).collect()
}

impl Slice {
    fn of(case: &Case<'_>, threads: usize) -> Self {
        let start = Barrier::new(threads);
        let worker = || {
            start.wait();
            let (started, ran) = (Instant::now(), ThreadTime::now());
            let mut calls = 0;
            while started.elapsed() < SLICE {
                case.round();
                calls += case.calls;
            }
            let (wall, ran) = (started.elapsed(), ran.elapsed());
            Self {
                rate: calls as f64 / ran.as_secs_f64(),
                ran: ran.as_secs_f64() / wall.as_secs_f64() / threads as f64,
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let slices = workers.into_iter().filter_map(|worker| worker.join().ok());
            slices.fold(Self::default(), |sum, slice| Self {
                rate: sum.rate + slice.rate,
                ran: sum.ran + slice.ran,
            })
        })
    }

    /// Keeps what was disturbed least.
    fn improve(&mut self, other: Self) {
        if other.ran > self.ran {
            *self = other;
        }
    }
}
