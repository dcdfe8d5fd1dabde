//! The figures as Markdown: costs, then ratios.

use crate::measure::{Figure, Figures};
use crate::peers::{floor, vexilla};
use crate::scenario::Scenario;
use crate::throughput::Rate;

/// Prints all tables.
pub fn print(figures: &Figures<'_>, rates: &[Rate], documents: &[(&'static str, usize)]) {
    let table = Table(figures);
    table.costs(rates);
    let documents = documents
        .iter()
        .map(|(system, bytes)| format!("{system} {:.0} kB", *bytes as f64 / 1e3));
    println!(
        "\nWhat is read has: {}.",
        documents.collect::<Vec<_>>().join(", ")
    );
    table.ratios();
    contention(rates);
    let ran = rates.iter().map(|rate| rate.two.ran);
    println!(
        "\nTwo threads had at least {:.0} % of two cores; with much less than 100 %, contention is not seen.",
        100.0 * ran.fold(1.0, f64::min),
    );
    let mut spreads: Vec<_> = figures.figures.iter().map(|figure| figure.spread).collect();
    spreads.sort_by(f64::total_cmp);
    println!(
        "Quartiles apart, in parts of the median: {:.1} % in the middle, {:.1} % at most.",
        100.0 * spreads[spreads.len() / 2],
        100.0 * spreads[spreads.len() - 1],
    );
}

struct Table<'a>(&'a Figures<'a>);

impl Table<'_> {
    fn costs(&self, rates: &[Rate]) {
        println!("Nanoseconds of CPU time per call, in brackets allocations per call.\n");
        let titles = Scenario::COLUMNS.map(Scenario::title);
        println!(
            "| System | {} | S1, M/s on 1 → 2 threads |",
            titles.join(" | ")
        );
        println!("|---|{}---|", "---|".repeat(titles.len()));
        for system in self.0.systems() {
            let cells = Scenario::COLUMNS.map(|scenario| {
                let figure = self.0.figure(system, scenario);
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
            Scenario::COLUMNS.map(Scenario::title).join(" | ")
        );
        println!("|---|{}", "---|".repeat(Scenario::COLUMNS.len()));
        let line = |title: &str,
                    over: &dyn Fn(Scenario) -> Option<f64>,
                    under: &dyn Fn(Scenario) -> Option<f64>| {
            let cells = Scenario::COLUMNS.map(|scenario| match (over(scenario), under(scenario)) {
                (Some(over), Some(under)) => format!("{:.2}", over / under),
                _ => "–".to_owned(),
            });
            println!("| {title} | {} |", cells.join(" | "));
        };
        let floor = |scenario| self.0.nanos(floor::BY_KEY, scenario);
        let fastest = |scenario| self.0.fastest_peer(scenario);
        for ours in [vexilla::FLAGS, vexilla::TYPED, vexilla::SNAPSHOT] {
            let nanos = |scenario| self.0.nanos(ours, scenario);
            line(&format!("{ours} over the floor by key"), &nanos, &floor);
            line(&format!("fastest peer over {ours}"), &fastest, &nanos);
        }
        line("fastest peer over the floor by key", &fastest, &floor);
    }
}

/// What threads cost each other.
fn contention(rates: &[Rate]) {
    println!("\n| S1, millions a second on 1 → 2 threads | counting off | counting on |");
    println!("|---|---|---|");
    let rate = |row: &str| {
        let rate = rates.iter().find(|rate| rate.system == row);
        rate.map_or_else(|| "–".to_owned(), throughput)
    };
    for (title, off, on) in [
        ("by key", vexilla::FLAGS, vexilla::FLAGS_COUNTED),
        (
            "by typed definition",
            vexilla::TYPED,
            vexilla::TYPED_COUNTED,
        ),
    ] {
        println!("| {title} | {} | {} |", rate(off), rate(on));
    }
}

/// Nanoseconds, as briefly as they can be read.
pub fn nanoseconds(nanos: f64) -> String {
    match nanos {
        nanos if nanos < 1e3 => format!("{nanos:.1}"),
        nanos if nanos < 1e5 => format!("{nanos:.0}"),
        nanos => format!("{:.2} ms", nanos / 1e6),
    }
}

fn cost(figure: &Figure) -> String {
    let nanos = nanoseconds(figure.nanos);
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
