//! Flags that are deleted and restored through Flagr's API: no faults, and to be
//! served soon.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_core::Level;

use crate::flagr::Flagr;
use crate::report::{self, Row, Scenario, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::{Sample, Timeline};

const LIMIT: Duration = Duration::from_secs(180);
/// Two polls and an interval of Flagr's cache.
const BAR: Duration = Duration::from_secs(3);

#[test]
fn deletions_arrive_within_two_polls() {
    let scenario = |of, deleted| -> Scenario<'static> { Box::new(move || deleted_of(of, deleted)) };
    report::run(vec![
        scenario(50, 1),
        scenario(50, 5),
        scenario(49, 48),
        Box::new(all_deleted),
        Box::new(restored),
    ]);
}

fn deleted_of(flags: u64, deleted: u64) -> Option<Row> {
    let flagr = Flagr::with_flags(flags)?;
    let service = Service::start(settings(&flagr.url()), flags);
    let start = Instant::now();
    for id in 1..=deleted {
        flagr.delete(id);
        service.expect(id, Expected::Absent);
        // So that many of them reach the export in several steps.
        thread::sleep(Duration::from_millis(40));
    }
    let deleting = start.elapsed();
    let arrived = service.until(LIMIT, Sample::is_right);

    let mut row = Row::new(
        format!("{deleted} of {flags} flags deleted through the API"),
        "gone ≤ 2 polls and a cache interval (3 s) after the last; always live, no error",
    );
    row.measured(format!("deleting took {}", seconds(deleting)));
    row.check_time("gone", arrived, BAR);
    check_quiet(&mut row, &service.since(start));
    Some(row)
}

/// An empty set is never believed at once, whatever the IDs say.
fn all_deleted() -> Option<Row> {
    let flagr = Flagr::with_flags(5)?;
    let service = Service::start(settings(&flagr.url()), 5);
    let start = Instant::now();
    for id in 1..=5 {
        flagr.delete(id);
    }
    let gone = service.until(LIMIT, |sample| sample.missing == 5);
    let all = service.since(start);

    let mut row = Row::new(
        "all 5 of 5 flags deleted through the API",
        "believed after a minute; not live meanwhile, with a reason",
    );
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    row.check_time("gone", gone, Duration::from_secs(65));
    let late = gone.is_none_or(|after| after >= Duration::from_secs(50));
    row.check(late, "believed within less than a minute");
    Some(row)
}

fn restored() -> Option<Row> {
    let flagr = Flagr::with_flags(50)?;
    let service = Service::start(settings(&flagr.url()), 50);
    let start = Instant::now();
    flagr.delete(7);
    service.expect(7, Expected::Absent);
    let gone = service.until(LIMIT, Sample::is_right);
    flagr.restore(7);
    service.expect(7, Expected::On);
    let back = service.until(LIMIT, Sample::is_right);

    let mut row = Row::new(
        "a flag deleted, then restored",
        "each arrives ≤ 3 s later; always live, no error",
    );
    row.check_time("gone", gone, BAR);
    row.check_time("back", back, BAR);
    check_quiet(&mut row, &service.since(start));
    Some(row)
}

/// The level was always live, without an error.
fn check_quiet(row: &mut Row, all: &Timeline) {
    let noise = all.first(|sample| sample.level != Level::Live || sample.error.is_some());
    match noise {
        None => row.measured("live, no error"),
        Some((after, sample)) => {
            let error = sample.error.as_deref().unwrap_or("no error");
            let what = format!("{} after {}: “{error}”", sample.level, seconds(after));
            row.check(false, what);
        }
    }
}
