//! The figures as Markdown: costs, then ratios.

use crate::measure::{Figure, Rate};
use crate::peers::Case;
use crate::peers::floor;
use crate::peers::vexilla;
use crate::scenario::Scenario;

/// Prints all tables.
pub fn print(cases: &[Case<'_>], figures: &[Figure], rates: &[Rate]) {
    let table = Table { cases, figures };
    table.costs(rates);
    table.ratios();
    let ran = rates.iter().map(|rate| rate.two.ran);
    println!(
        "\nTwo threads had at least {:.0} % of two cores; with much less than 100 %, contention is not seen.",
        100.0 * ran.fold(1.0, f64::min),
    );
    let mut spreads: Vec<_> = figures.iter().map(|figure| figure.spread).collect();
    spreads.sort_by(f64::total_cmp);
    println!(
        "Quartiles apart, in parts of the median: {:.1} % in the middle, {:.1} % at most.",
        100.0 * spreads[spreads.len() / 2],
        100.0 * spreads[spreads.len() - 1],
    );
}

struct Table<'a> {
    cases: &'a [Case<'a>],
    figures: &'a [Figure],
}

impl Table<'_> {
    fn systems(&self) -> Vec<&'static str> {
        let mut systems: Vec<_> = self.cases.iter().map(|case| case.system).collect();
        let mut seen = Vec::new();
        systems.retain(|system| {
            !seen.contains(system) && {
                seen.push(*system);
                true
            }
        });
        systems
    }

    fn figure(&self, system: &str, scenario: Scenario) -> Option<&Figure> {
        let mut both = self.cases.iter().zip(self.figures);
        both.find(|(case, _)| case.system == system && case.scenario == scenario)
            .map(|(_, figure)| figure)
    }

    fn nanos(&self, system: &str, scenario: Scenario) -> Option<f64> {
        self.figure(system, scenario).map(|figure| figure.nanos)
    }

    /// Of all engines but ours.
    fn fastest_peer(&self, scenario: Scenario) -> Option<f64> {
        let systems = self.systems().into_iter();
        systems
            .filter(|system| !system.starts_with("floor") && !system.contains("Vexilla"))
            .filter_map(|system| self.nanos(system, scenario))
            .min_by(f64::total_cmp)
    }

    fn costs(&self, rates: &[Rate]) {
        println!("Nanoseconds of CPU time per call, in brackets allocations per call.\n");
        let titles = Scenario::EACH.map(Scenario::title);
        println!(
            "| System | {} | S1, M/s on 1 → 2 threads |",
            titles.join(" | ")
        );
        println!("|---|{}---|", "---|".repeat(titles.len()));
        for system in self.systems() {
            let cells = Scenario::EACH.map(|scenario| {
                let figure = self.figure(system, scenario);
                figure.map_or_else(|| "–".to_owned(), cost)
            });
            let rate = rates.iter().find(|rate| rate.system == system);
            let rate = rate.map_or_else(|| "–".to_owned(), throughput);
            println!("| {system} | {} | {rate} |", cells.join(" | "));
        }
    }

    fn ratios(&self) {
        println!(
            "\n| Ratio | {} |",
            Scenario::EACH.map(Scenario::title).join(" | ")
        );
        println!("|---|{}", "---|".repeat(Scenario::EACH.len()));
        let line = |title: &str,
                    over: &dyn Fn(Scenario) -> Option<f64>,
                    under: &dyn Fn(Scenario) -> Option<f64>| {
            let cells = Scenario::EACH.map(|scenario| match (over(scenario), under(scenario)) {
                (Some(over), Some(under)) => format!("{:.2}", over / under),
                _ => "–".to_owned(),
            });
            println!("| {title} | {} |", cells.join(" | "));
        };
        let floor = |scenario| self.nanos(floor::BY_KEY, scenario);
        let fastest = |scenario| self.fastest_peer(scenario);
        for ours in [vexilla::FLAGS, vexilla::SNAPSHOT] {
            let nanos = |scenario| self.nanos(ours, scenario);
            line(&format!("{ours} over the floor by key"), &nanos, &floor);
            line(&format!("fastest peer over {ours}"), &fastest, &nanos);
        }
        line("fastest peer over the floor by key", &fastest, &floor);
    }
}

fn cost(figure: &Figure) -> String {
    let nanos = match figure.nanos {
        nanos if nanos < 1000.0 => format!("{nanos:.1}"),
        nanos => format!("{nanos:.0}"),
    };
    // A thousandth of an allocation per call is one made once.
    match (figure.allocations * 100.0).round() / 100.0 {
        0.0 => nanos,
        allocations => format!("{nanos} ({allocations})"),
    }
}

fn throughput(rate: &Rate) -> String {
    let (one, two) = (rate.one.rate / 1e6, rate.two.rate / 1e6);
    format!("{one:.1} → {two:.1} (× {:.2})", two / one)
}
