//! Cases that a bench measures twice: by criterion, for the figure of each, and
//! in turns, for how they compare.
//!
//! What is timed is the CPU time of the thread. Figures of one run that were taken
//! minutes apart are not comparable on a machine that others use as well; those of
//! [`compare`] are.
//!
//! A part of several benches, which include it by its path.

use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::Criterion;

/// Calls between two looks at the clock.
const BATCH: u64 = 4_096;

/// How often the cases take turns.
const ROUNDS: usize = 200;

/// Something to measure.
pub(crate) struct Case<'a> {
    name: &'static str,
    /// The time that so many calls take.
    time: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Case<'a> {
    /// A case of which this is one call.
    pub(crate) fn new(name: &'static str, mut call: impl FnMut() + 'a) -> Self {
        let time = move |calls| {
            let start = ThreadTime::now();
            for _ in 0..calls {
                call();
            }
            start.elapsed()
        };
        Self {
            name,
            time: Box::new(time),
        }
    }
}

/// Measures and compares the cases of one group; compares only where criterion
/// measures, not where it tests or lists.
pub(crate) fn measure(c: &mut Criterion, group: &str, mut cases: Vec<Case<'_>>) {
    let mut benches = c.benchmark_group(group);
    for Case { name, time } in &mut cases {
        benches.bench_function(*name, |b| b.iter_custom(&mut *time));
    }
    benches.finish();
    if std::env::args().any(|argument| argument == "--bench") {
        compare(group, &mut cases);
    }
}

/// Prints a table: of each case the median, and the medians of how much more and
/// of how many times as much it takes as the first and the second case did in the
/// same round.
#[expect(clippy::print_stdout, reason = "a bench prints what it found")]
fn compare(group: &str, cases: &mut [Case<'_>]) {
    let mut rounds: Vec<Vec<f64>> = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut rounds) {
            let time = (case.time)(BATCH).as_nanos();
            times.push(time as f64 / BATCH as f64);
        }
    }
    println!("\n{group}, in turns: ns a call, {ROUNDS} batches of {BATCH} calls");
    for (case, times) in cases.iter().zip(&rounds) {
        print!("{:<56}{:>8.1}", case.name, median(times.iter().copied()));
        for base in rounds.iter().take(2) {
            let pairs = || times.iter().zip(base);
            let more = median(pairs().map(|(time, base)| time - base));
            let ratio = median(pairs().map(|(time, base)| time / base));
            print!("{more:>+10.1} {ratio:>6.2} ×");
        }
        println!();
    }
    println!();
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
