//! How many calls one thread makes, and two.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::peers::Case;
use crate::scenario::Scenario;

const SLICE: Duration = Duration::from_millis(50);
const SLICES: usize = 20;
/// So many, if the machine is busy with other things.
const MOST_SLICES: usize = 200;
/// The part of the wall-clock time that threads shall have run.
const ENOUGH: f64 = 0.97;

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
    for slice in 0..MOST_SLICES {
        for (case, rate) in &mut rates {
            if slice < SLICES || rate.one.ran.min(rate.two.ran) < ENOUGH {
                rate.one.improve(Slice::of(case, 1));
                rate.two.improve(Slice::of(case, 2));
            }
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
