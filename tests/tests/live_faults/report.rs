//! The table: one row for each fault.

use std::thread;
use std::time::Duration;

/// What came of a fault.
pub(crate) struct Row {
    fault: String,
    bar: String,
    measured: Vec<String>,
    late: Vec<String>,
    missed: Vec<String>,
}

impl Row {
    pub(crate) fn new(fault: impl Into<String>, bar: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            bar: bar.into(),
            measured: Vec::new(),
            late: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn measured(&mut self, figure: impl Into<String>) {
        self.measured.push(figure.into());
    }

    /// Notes that a bar was missed unless this holds.
    pub(crate) fn check(&mut self, holds: bool, missed: impl Into<String>) {
        if !holds {
            self.missed.push(missed.into());
        }
    }

    /// Checks a time against its bar. Twice the bar and 2 s are only noted: a
    /// busy machine may be the cause.
    pub(crate) fn check_time(&mut self, what: &str, time: Option<Duration>, bar: Duration) {
        let figure = time.map_or_else(|| "never".to_owned(), seconds);
        self.measured(format!("{what}: {figure}"));
        let missed = format!("{what}: {figure}, not {}", seconds(bar));
        match time {
            Some(time) if time <= bar => {}
            Some(time) if time <= bar * 2 + Duration::from_secs(2) => self.late.push(missed),
            _ => self.missed.push(missed),
        }
    }

    fn print(&self) {
        let met = match (&self.missed[..], &self.late[..]) {
            ([], []) => "yes".to_owned(),
            ([], late) => format!("late: {}", late.join("; ")),
            (missed, []) => format!("**no**: {}", missed.join("; ")),
            (missed, late) => format!("**no**: {}; late: {}", missed.join("; "), late.join("; ")),
        };
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        println!(
            "| {} | {} | {} | {} |",
            cell(&self.fault),
            cell(&self.bar),
            cell(&self.measured.join("; ")),
            cell(&met),
        );
    }
}

/// A fault that is tried.
pub(crate) type Scenario<'a> = Box<dyn FnOnce() -> Option<Row> + Send + 'a>;

/// Tries faults side by side, prints their rows and fails if a bar was missed.
/// A scenario without a row was skipped.
pub(crate) fn run(scenarios: Vec<Scenario<'_>>) {
    let rows: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .into_iter()
            .map(|scenario| scope.spawn(scenario))
            .collect();
        running
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut missed = 0;
    // Behind the test's name.
    println!();
    for row in rows {
        match row {
            Ok(Some(row)) => {
                row.print();
                missed += row.missed.len();
            }
            Ok(None) => println!("skipped: FLAGR_BIN does not name a Flagr to run"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    assert_eq!(missed, 0, "bars that were missed; the rows say which");
}

/// A time in seconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
