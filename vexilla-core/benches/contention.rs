//! Whether threads that evaluate get into each other's way, and whether counting
//! changes that: a table, threads × counting, after some ten seconds.
//!
//! **Purpose.** Each thread reads S1 (a string constraint, which holds, and a
//! rollout of 50 %) by key, through handles that were made before, of 200 flags
//! that all threads share.
//!
//! | Column | Evaluations |
//! |---|---|
//! | a second | of all threads, in a second of wall clock: grows with the threads up to the number of cores that are free |
//! | a CPU second | in a second that a thread ran: does not change with their number, unless they disturb each other |
//! | × one thread | of all threads, in a second that each of them ran, as so many times those of one thread in the same round |
//!
//! **Ours.** All that is measured. **Not ours.** Who runs when: with fewer free
//! cores than threads, these run one after the other for a part of the time, and
//! only the first column knows.
//!
//! **Measuring.** The rows take turns; medians over the rounds.
//!
//! `cargo bench -p vexilla-core --bench contention`

#![expect(clippy::print_stdout, reason = "a report")]

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::{Context, Flags, Vexilla};

const THREADS: [usize; 3] = [1, 2, 4];
const ROUNDS: usize = 21;
/// How long the threads of one row run in one round.
const SLICE: Duration = Duration::from_millis(80);

/// Handles of 1,024 users to 200 flags.
fn handles(counting: bool) -> Vec<Flags> {
    let flag = |n: u32| {
        let segment = Segment::new()
            .rollout(50)
            .constraint(Constraint::new("country", "EQ", "\"BR\""))
            .distribution("on", 100);
        Flag::new(format!("s1-{n}"))
            .enabled(true)
            .variant(Variant::new("on"))
            .segment(segment)
    };
    let vexilla = Vexilla::fixed((0..200).map(flag).collect::<Vec<_>>());
    let vexilla = match counting {
        true => vexilla.with_evaluation_counts(),
        false => vexilla,
    };
    let context = |n| Context::new(&format!("user-{n}")).with("country", "BR");
    (0..1024).map(|n| vexilla.flags(context(n))).collect()
}

/// Evaluations a second of some threads together.
struct Rate {
    by_wall: f64,
    /// The sum of what each had in a second of its CPU time.
    by_cpu: f64,
}

impl Rate {
    /// What so many threads do in a slice.
    fn of(threads: usize, handles: &[Flags]) -> Self {
        let start = Barrier::new(threads);
        let worker = || {
            start.wait();
            let (wall, cpu) = (Instant::now(), ThreadTime::now());
            let mut calls = 0;
            while wall.elapsed() < SLICE {
                for flags in handles {
                    black_box(flags.bool(black_box("s1-7")));
                }
                calls += handles.len();
            }
            Self {
                by_wall: calls as f64 / wall.elapsed().as_secs_f64(),
                by_cpu: calls as f64 / cpu.elapsed().as_secs_f64(),
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let rates = workers.into_iter().filter_map(|worker| worker.join().ok());
            let none = Self {
                by_wall: 0.0,
                by_cpu: 0.0,
            };
            rates.fold(none, |sum, rate| Self {
                by_wall: sum.by_wall + rate.by_wall,
                by_cpu: sum.by_cpu + rate.by_cpu,
            })
        })
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let (off, on) = (handles(false), handles(true));
    let handles = [("off", &off), ("on", &on)];
    let mut rows: Vec<_> = handles
        .into_iter()
        .flat_map(|(counting, handles)| {
            THREADS.map(|threads| (threads, counting, handles, Vec::new()))
        })
        .collect();
    for _ in 0..ROUNDS {
        for (threads, _, handles, rates) in &mut rows {
            rates.push(Rate::of(*threads, handles));
        }
    }
    println!("millions of evaluations a second, medians of {ROUNDS} rounds");
    println!("threads  counting   a second  a CPU second  × one thread");
    for row in rows.chunks(THREADS.len()) {
        for (threads, counting, _, rates) in row {
            let by_wall = median(rates.iter().map(|rate| rate.by_wall)) / 1e6;
            let each = median(rates.iter().map(|rate| rate.by_cpu)) / 1e6 / *threads as f64;
            let one = row.iter().take(1).flat_map(|(.., rates)| rates);
            let pairs = rates.iter().zip(one);
            let times = median(pairs.map(|(rate, one)| rate.by_cpu / one.by_cpu));
            println!("{threads:>7}  {counting:>8}  {by_wall:>9.1}  {each:>12.1}  {times:>12.2}");
        }
    }
}
