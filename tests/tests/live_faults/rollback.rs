//! A database that is put back to an earlier state.

use std::thread;
use std::time::{Duration, Instant};

use crate::flagr::Flagr;
use crate::report::{self, Row, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
/// Flags that the earlier state lacks.
const NEW: u64 = 10;

#[test]
fn an_older_database_is_believed_late() {
    report::run(vec![Box::new(flags_lost), Box::new(edits_lost)]);
}

/// The earlier state lacks flags.
fn flags_lost() -> Option<Row> {
    let mut flagr = Flagr::with_flags(FLAGS)?;
    flagr.kill();
    let backup = flagr.back_up();
    flagr.start();
    for id in FLAGS + 1..=FLAGS + NEW {
        flagr.create(id);
    }
    flagr.until_exported();
    let service = Service::start(settings(&flagr.url()), FLAGS + NEW);
    flagr.kill();
    flagr.replace_database(Some(&backup));
    flagr.start();
    let fault = Instant::now();
    let limit = Duration::from_secs(150);
    let believed = service.until(limit, |sample| sample.missing as u64 == NEW);
    thread::sleep(Duration::from_secs(2));
    let all = service.since(fault);

    let mut row = Row::new(
        format!(
            "database put back to a state with {NEW} of {} flags less",
            FLAGS + NEW
        ),
        "believed after a minute; not live meanwhile, with a reason",
    );
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    row.check_time("believed", believed, Duration::from_secs(65));
    let first = all.first(|sample| sample.missing > 0);
    let late = first.is_none_or(|(after, _)| after >= Duration::from_secs(50));
    row.check(late, "flags went missing within less than a minute");
    Some(row)
}

/// The earlier state has all flags, one of them with another value.
fn edits_lost() -> Option<Row> {
    let mut flagr = Flagr::with_flags(FLAGS)?;
    flagr.kill();
    let backup = flagr.back_up();
    flagr.start();
    flagr.set_enabled(1, false);
    flagr.set_enabled(2, false);
    flagr.until_exported();
    let service = Service::start_unwell(settings(&flagr.url()), FLAGS);
    service.expect(1, Expected::Off);
    service.expect(2, Expected::Off);
    service.until(Duration::from_secs(30), Sample::is_well)?;
    flagr.kill();
    flagr.replace_database(Some(&backup));
    flagr.start();
    let fault = Instant::now();
    service.expect(1, Expected::On);
    service.expect(2, Expected::On);
    let believed = service.until(Duration::from_secs(150), Sample::is_right);
    let well = service.until(Duration::from_secs(30), Sample::is_well);
    let all = service.since(fault);

    let mut row = Row::new(
        "database put back to a state with two flags edited since",
        "believed after three answers and four cache intervals; no flag missing",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.check_time("believed", believed, Duration::from_secs(12));
    row.measured(match well {
        Some(after) => format!("live {} later", seconds(after)),
        None => "never live".to_owned(),
    });
    row.check(well.is_some(), "never live again");
    Some(row)
}
