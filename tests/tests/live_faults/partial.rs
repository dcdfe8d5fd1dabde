//! Exports that lack flags.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, Scenario, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
/// Longer than it took before partial exports were told from real losses.
const LIMIT: Duration = Duration::from_secs(300);
const RECOVERY: Duration = Duration::from_millis(6_500);

#[test]
fn a_short_partial_export_loses_nothing() {
    let scenario = |kept| -> Scenario<'static> { Box::new(move || short(kept)) };
    report::run(vec![scenario(0), scenario(2), scenario(3), scenario(25)]);
}

fn short(kept: usize) -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let fault = Instant::now();
    proxy.edit_export(move |flags| flags.truncate(kept));
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    thread::sleep(Duration::from_secs(4));
    proxy.heal();
    let healed = Instant::now();
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!("export cut to the first {kept} of {FLAGS} flags for 4 s, one of them edited"),
        "no flag missing; not live meanwhile; right again ≤ 6.5 s after it",
    );
    let all = service.since(fault);
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    let during = service.between(fault, healed);
    row.measured(during.reason());
    row.check(during.first(Sample::is_loud).is_some(), "silent");
    row.check_time("right again", recovery, RECOVERY);
    Some(row)
}

#[test]
fn a_long_partial_export_is_believed_late_and_flags_that_come_back_are_taken() {
    report::run(vec![Box::new(long)]);
}

fn long() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let fault = Instant::now();
    proxy.edit_export(|flags| flags.truncate(25));
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    thread::sleep(Duration::from_secs(90));
    let all = service.since(fault);
    let (lost, loud) = (
        all.first(|sample| sample.missing > 0)
            .map(|(after, _)| after),
        all.first(Sample::is_loud).map(|(after, _)| after),
    );
    proxy.heal();
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!("export cut to the first 25 of {FLAGS} flags for 90 s, one of them edited"),
        "believed after a minute; flags back ≤ 6.5 s after it",
    );
    row.measured(all.reason());
    row.measured(match lost {
        Some(after) => format!("believed after {}", seconds(after)),
        None => "not believed".to_owned(),
    });
    let kept = lost.is_none_or(|after| after >= Duration::from_secs(50));
    row.check(kept, "believed within less than a minute");
    let early = |after| after < Duration::from_secs(10);
    row.check(loud.is_some_and(early), "no reason within 10 s");
    row.check_time("right again", recovery, RECOVERY);
    Some(row)
}

#[test]
fn a_partial_export_that_differs_each_time_loses_nothing_and_logs_little() {
    report::run(vec![Box::new(torn)]);
}

fn torn() -> Option<Row> {
    let time = Duration::from_secs(30);
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let address = proxy.address().to_string();
    let lines = Service::loud_lines(&address);
    let fault = Instant::now();
    // Each answer has the first flag, which is edited, and another one.
    let answers = Arc::new(AtomicU64::new(0));
    proxy.edit_export(move |flags| {
        let number = answers.fetch_add(1, Ordering::Relaxed);
        let other = 2 + number % (FLAGS - 1);
        flags.retain(|flag| flag["ID"] == 1 || flag["ID"] == other);
    });
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    thread::sleep(time);
    let lines = Service::loud_lines(&address) - lines;
    proxy.heal();
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!(
            "export cut to 2 of {FLAGS} flags, not the same each time, for {}",
            seconds(time)
        ),
        "no flag missing; a bounded number of log lines; right again ≤ 6.5 s after it",
    );
    let all = service.since(fault);
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    row.measured(format!("{lines} warnings and errors logged"));
    row.check(lines <= 10, format!("{lines} lines"));
    row.check_time("right again", recovery, RECOVERY);
    Some(row)
}
