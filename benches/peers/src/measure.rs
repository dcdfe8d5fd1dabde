//! How long a case takes, and how much it allocates.

use std::time::Duration;

use cpu_time::ThreadTime;

use crate::allocations;
use crate::peers::{Case, floor};
use crate::scenario::Scenario;

const BATCH: Duration = Duration::from_millis(20);

/// What one call of a case costs.
pub struct Figure {
    /// The median of the batches.
    pub nanos: f64,
    /// The upper quartile less the lower one, as a part of the median.
    pub spread: f64,
    pub allocations: f64,
}

/// What all cases cost.
pub struct Figures<'a> {
    pub cases: &'a [Case<'a>],
    /// One for each case.
    pub figures: Vec<Figure>,
}

impl Figures<'_> {
    pub fn figure(&self, system: &str, scenario: Scenario) -> Option<&Figure> {
        let mut both = self.cases.iter().zip(&self.figures);
        both.find(|(case, _)| case.system == system && case.scenario == scenario)
            .map(|(_, figure)| figure)
    }

    pub fn nanos(&self, system: &str, scenario: Scenario) -> Option<f64> {
        self.figure(system, scenario).map(|figure| figure.nanos)
    }

    /// The systems that have a column of the first table.
    pub fn systems(&self) -> Vec<&'static str> {
        let mut systems = Vec::new();
        for case in self.cases {
            if Scenario::COLUMNS.contains(&case.scenario) && !systems.contains(&case.system) {
                systems.push(case.system);
            }
        }
        systems
    }

    /// Of all engines but ours.
    pub fn fastest_peer(&self, scenario: Scenario) -> Option<f64> {
        let systems = self.systems().into_iter();
        systems
            .filter(|system| !floor::ALL.contains(system) && !system.contains("Vexilla"))
            .filter_map(|system| self.nanos(system, scenario))
            .min_by(f64::total_cmp)
    }
}

/// Measures all cases, their batches taking turns.
pub fn all<'a>(cases: &'a [Case<'a>], batches: usize) -> Result<Figures<'a>, String> {
    let mut plans = cases.iter().map(Plan::new).collect::<Vec<_>>();
    for _ in 0..batches {
        for plan in &mut plans {
            plan.batch()?;
        }
    }
    Ok(Figures {
        cases,
        figures: plans.into_iter().map(Plan::figure).collect(),
    })
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
        let rounds = case.counted_rounds;
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
