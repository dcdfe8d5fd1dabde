//! The second table: each bar that an evaluation has, what was measured, and
//! whether it was met.

mod constraint;
mod request;
mod size;
mod swap;

use constraint::Constraints;
use request::Requests;
use size::Size;
use swap::Swaps;

use crate::measure::Figures;
use crate::peers::vexilla::{FLAGS, FLAGS_COUNTED, SNAPSHOT, TYPED, TYPED_COUNTED};
use crate::peers::{Case, System, floor};
use crate::scenario::{Flag, S1, Scenario, User};
use crate::table::nanoseconds;
use crate::throughput::{self, Rate};

/// What the bars need beside the first table.
pub struct Bars<'a> {
    requests: Requests,
    constraints: Constraints,
    sizes: [Size<'a>; 3],
    swaps: Swaps,
}

impl<'a> Bars<'a> {
    /// # Errors
    ///
    /// An answer is not right; those of the floor are taken to be.
    pub fn new(flags: &[Flag], users: &'a [User], floor: &dyn System) -> Result<Self, String> {
        let s1 = |n: usize| floor.answer(S1, &users[n]);
        let bars = Self {
            requests: Requests::new(flags, users),
            constraints: Constraints::new(flags, users),
            sizes: size::SIZES.map(|flags| Size::new(flags, users)),
            swaps: Swaps::new(flags, users, s1),
        };
        bars.requests.check(s1)?;
        bars.constraints.check()?;
        bars.sizes.iter().try_for_each(Size::check)?;
        Ok(bars)
    }

    /// What is measured beside the first table, in turns with it.
    pub fn cases(&self) -> Vec<Case<'_>> {
        let mut cases = self.constraints.cases();
        cases.extend(self.requests.cases());
        cases.extend(self.sizes.iter().flat_map(Size::cases));
        cases
    }

    /// Measures what is no case, and prints all lines.
    ///
    /// # Errors
    ///
    /// An answer was not right.
    pub fn print(&self, figures: &Figures<'_>, rates: &[Rate]) -> Result<(), String> {
        let swaps = self.swaps.measure()?;
        println!("\n| Scenario | Bar | Measured | |\n|---|---|---|---|");
        let mut lines = evaluations(figures).ok_or("a figure is missing")?;
        lines.extend(sizes(figures).ok_or("a figure of a size is missing")?);
        lines.extend(threads(rates).ok_or("a rate is missing")?);
        lines.push(swapping(&swaps));
        for line in lines {
            line.print();
        }
        println!(
            "\n| {} reads, ns | p50 | p99 | p99.9 by the clock | p50 | p99 | p99.9 of CPU time |",
            swap::BATCH
        );
        println!("|---|---|---|---|---|---|---|");
        for (title, latency) in [
            ("undisturbed", swaps.undisturbed),
            ("while flags that nobody reads are swapped", swaps.beside),
            ("while these are swapped", swaps.swapped),
        ] {
            let cells = [latency.clock, latency.cpu]
                .map(|ns| format!("{:.0} | {:.0} | {:.0}", ns.p50, ns.p99, ns.p999));
            println!("| {title} | {} |", cells.join(" | "));
        }
        println!("\n{:.0} swaps a second.", swaps.swaps_per_second);
        Ok(())
    }
}

/// One bar.
struct Line {
    scenario: String,
    bar: String,
    measured: String,
    /// None if the line is for information, or nothing could be seen.
    met: Option<bool>,
}

impl Line {
    fn new(scenario: &str, bar: &str, measured: String, met: bool) -> Self {
        Self {
            scenario: scenario.to_owned(),
            bar: bar.to_owned(),
            measured,
            met: Some(met),
        }
    }

    fn print(self) {
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "–",
        };
        println!(
            "| {} | {} | {} | {verdict} |",
            self.scenario, self.bar, self.measured
        );
    }
}

/// The bars of single evaluations; `None` if one was not measured.
fn evaluations(figures: &Figures<'_>) -> Option<Vec<Line>> {
    let nanos = |system: &str, scenario| figures.nanos(system, scenario);
    let allocations = |system: &str, scenario| {
        let figure = figures.figure(system, scenario)?;
        Some((figure.allocations * 100.0).round() / 100.0)
    };
    // At most so many nanoseconds, and so many allocations.
    let most = |title: &str, system, scenario, most: f64, allowed: Option<f64>| {
        let (nanos, allocated) = (nanos(system, scenario)?, allocations(system, scenario)?);
        let mut bar = format!("≤ {} ns", most);
        let mut measured = format!("{} ns", nanoseconds(nanos));
        if let Some(allowed) = allowed {
            bar += &format!(", ≤ {allowed} allocations");
            measured += &format!(", {allocated}");
        }
        let met = nanos <= most && allowed.is_none_or(|allowed| allocated <= allowed);
        Some(Line::new(title, &bar, measured, met))
    };
    // At most twice a row of the floor, and so many nanoseconds.
    let near_floor = |title: &str, system, floor, most: f64| {
        let (nanos, floor) = (nanos(system, Scenario::S1)?, nanos(floor, Scenario::S1)?);
        let allocated = allocations(system, Scenario::S1)?;
        Some(Line::new(
            title,
            &format!("≤ 2 × the floor, ≤ {most} ns, 0 allocations"),
            format!(
                "{nanos:.1} ns, {:.2} × {floor:.1}, {allocated}",
                nanos / floor
            ),
            nanos <= 2.0 * floor && nanos <= most && allocated == 0.0,
        ))
    };
    // At most so many nanoseconds more than another row.
    let more = |title: &str, [counted, plain]: [&str; 2], scenario, most: f64| {
        let (counted_nanos, plain) = (nanos(counted, scenario)?, nanos(plain, scenario)?);
        let allocated = allocations(counted, scenario)?;
        Some(Line::new(
            title,
            &format!("≤ {most} ns more, 0 allocations"),
            format!(
                "{:+.1} ns ({plain:.1} → {counted_nanos:.1}), {allocated}",
                counted_nanos - plain
            ),
            counted_nanos - plain <= most && allocated == 0.0,
        ))
    };
    let ahead = figures.fastest_peer(Scenario::S1)? / nanos(FLAGS, Scenario::S1)?;
    Some(vec![
        near_floor("S1 by key", FLAGS, floor::BY_KEY, 40.0)?,
        near_floor("S1 by typed definition", TYPED, floor::AT_HAND, 15.0)?,
        more(
            "S1 by key, counted",
            [FLAGS_COUNTED, FLAGS],
            Scenario::S1,
            10.0,
        )?,
        more(
            "S1 by typed definition, counted",
            [TYPED_COUNTED, TYPED],
            Scenario::S1,
            10.0,
        )?,
        most("disabled flag", FLAGS, Scenario::Off, 15.0, None)?,
        most("unknown flag", FLAGS, Scenario::Unknown, 15.0, None)?,
        most(
            "borrowed context of four strings, then S1",
            SNAPSHOT,
            Scenario::BorrowedAndS1,
            60.0,
            Some(0.0),
        )?,
        most(
            "owned context from four strings (as a request's headers), then S1",
            FLAGS,
            Scenario::OwnedAndS1,
            150.0,
            Some(2.0),
        )?,
        most(
            "five mixed constraints: IN of 50 strings, two of a number range, list CONTAINS, nested path",
            FLAGS,
            Scenario::Mixed,
            120.0,
            None,
        )?,
        more(
            "a regular expression, over the `regex` crate alone",
            [FLAGS, constraint::REGEX],
            Scenario::Regex,
            20.0,
        )?,
        most("CEL of three clauses", FLAGS, Scenario::Cel, 1e3, None)?,
        most(
            "explanation of S1",
            FLAGS,
            Scenario::Explanation,
            500.0,
            None,
        )?,
        most("all 204 flags", FLAGS, Scenario::All, 15e3, None)?,
        Line::new(
            "S1, the fastest Rust peer over Vexilla by key",
            "≥ 4 ×",
            format!("{ahead:.1} ×"),
            ahead >= 4.0,
        ),
    ])
}

/// The bar of large sets; `None` if one was not measured.
fn sizes(figures: &Figures<'_>) -> Option<Vec<Line>> {
    let [one, some, many] = size::SIZES;
    let nanos = |flags| figures.nanos(FLAGS, Scenario::Held(flags));
    let random = |row, flags| figures.nanos(row, Scenario::HeldAtRandom(flags));
    let held = [nanos(one)?, nanos(some)?, nanos(many)?];
    let ratio = held.iter().copied().fold(0.0, f64::max)
        / held.iter().copied().fold(f64::INFINITY, f64::min);
    Some(vec![
        Line::new(
            "S1 by one key, 1 / 10,000 / 100,000 flags held",
            "within 1.5 ×",
            format!(
                "{:.1} / {:.1} / {:.1} ns, {ratio:.2} ×",
                held[0], held[1], held[2]
            ),
            ratio <= 1.5,
        ),
        Line {
            met: None,
            ..Line::new(
                "the same by the keys of all flags in random order",
                "cache misses, aside",
                format!(
                    "– / {:.0} / {:.0} ns; the floor {:.0} / {:.0}",
                    random(FLAGS, some)?,
                    random(FLAGS, many)?,
                    random(floor::BY_KEY, some)?,
                    random(floor::BY_KEY, many)?
                ),
                true,
            )
        },
    ])
}

/// The bar of two threads; `None` if one was not measured.
fn threads(rates: &[Rate]) -> Option<Vec<Line>> {
    let ratio = |row: &str| {
        let rate = rates.iter().find(|rate| rate.system == row)?;
        Some((rate.two.rate / rate.one.rate, rate.two.ran))
    };
    // What two threads of this machine can do that share nothing they write.
    let (possible, _) = ratio(floor::BY_KEY)?;
    let line = |title: &str, row: &str| {
        let (ratio, ran) = ratio(row)?;
        let measured = format!(
            "{ratio:.2} ×, the floor {possible:.2} × (both threads ran {:.0} % of the time)",
            100.0 * ran
        );
        // Threads that took turns say nothing.
        let met = (ran >= throughput::ENOUGH).then_some(ratio >= 1.9);
        Some(Line {
            met,
            ..Line::new(title, "≥ 1.9 × one thread", measured, true)
        })
    };
    Some(vec![
        line("two threads, S1 by key, counted", FLAGS_COUNTED)?,
        line(
            "two threads, S1 by typed definition, counted",
            TYPED_COUNTED,
        )?,
    ])
}

fn swapping(swaps: &swap::Report) -> Line {
    Line::new(
        "reader's p99.9 while the flags are swapped 1,000 times a second",
        "≤ 3 × undisturbed",
        format!(
            "{:.2} × by the clock, {:.2} × in CPU time",
            swaps.ratio, swaps.cpu_ratio
        ),
        swaps.ratio <= 3.0,
    )
}
