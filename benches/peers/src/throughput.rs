//! How many calls one thread makes, and two.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::peers::Case;
use crate::scenario::Scenario;

const SLICE: Duration = Duration::from_millis(50);
/// So many are wanted in which the threads ran nearly all the time.
const SLICES: usize = 15;
/// So many are tried.
const MOST_SLICES: usize = 60;
/// The part of the wall-clock time that counts as nearly all.
pub const ENOUGH: f64 = 0.97;

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

/// The throughput of each system's S1, the slices of all systems taking turns.
pub fn all(cases: &[Case<'_>]) -> Vec<Rate> {
    let cases = cases.iter().filter(|case| case.scenario == Scenario::S1);
    let mut plans: Vec<_> = cases.map(|case| (case, [Vec::new(), Vec::new()])).collect();
    let is_enough = |slices: &Vec<Slice>| {
        let good = slices.iter().filter(|slice| slice.ran >= ENOUGH).count();
        slices.len() >= MOST_SLICES || good >= SLICES
    };
    while plans
        .iter()
        .any(|(_, slices)| !slices.iter().all(is_enough))
    {
        for (case, slices) in &mut plans {
            if !slices.iter().all(is_enough) {
                for (slices, threads) in slices.iter_mut().zip(1..) {
                    slices.push(Slice::of(case, threads));
                }
            }
        }
    }
    let rates = plans.into_iter().map(|(case, [one, two])| Rate {
        system: case.system,
        one: Slice::best(one),
        two: Slice::best(two),
    });
    rates.collect()
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

    /// Of the slices in which the threads ran most, the one with the highest rate:
    /// a virtual core that its host takes away counts as running.
    fn best(mut slices: Vec<Self>) -> Self {
        slices.sort_by(|one, other| other.ran.total_cmp(&one.ran));
        slices.truncate(SLICES);
        let best = slices.into_iter();
        best.max_by(|one, other| one.rate.total_cmp(&other.rate))
            .unwrap_or_default()
    }
}
