//! Exports that take long.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_core::FlagrSource;
use vexilla_tests::fake_flagr::Answer;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row};
use crate::service::{Expected, Service, settings_of};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const FETCH: Duration = Duration::from_secs(12);
const OUTAGE: Duration = Duration::from_secs(40);
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_slow_export_ends_an_outage() {
    report::run(vec![Box::new(within), Box::new(beyond)]);
}

fn source(proxy: &Proxy, timeout: u64) -> FlagrSource {
    let source = FlagrSource::builder(&proxy.url()).timeout(Duration::from_secs(timeout));
    source.build().unwrap()
}

/// The export takes less than the time-out.
fn within() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings_of(source(&proxy, 15)), FLAGS);
    proxy.answer(&Answer::status(503));
    let fault = Instant::now();
    thread::sleep(OUTAGE / 2);
    flagr.set_enabled(1, false);
    thread::sleep(OUTAGE / 2);
    service.expect(1, Expected::Off);
    proxy.heal();
    proxy.delay_export(FETCH);
    let recovery = service.until(LIMIT, Sample::is_well);

    let bar = FETCH + Duration::from_millis(6_500);
    let mut row = Row::new(
        "a fetch of 12 s (time-out 15 s) after an outage of 40 s with a change",
        "right ≤ 18.5 s after the outage",
    );
    row.measured(service.since(fault).losses());
    row.check_time("right", recovery, bar);
    Some(row)
}

/// The export takes more than the time-out.
fn beyond() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings_of(source(&proxy, 10)), FLAGS);
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    proxy.delay_export(FETCH);
    let fault = Instant::now();
    thread::sleep(OUTAGE);
    let all = service.since(fault);

    let mut row = Row::new(
        "a fetch of 12 s with a time-out of 10 s",
        "an error that names the setting `timeout`; no flag missing",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.measured(all.reason());
    let names_setting = |sample: &Sample| {
        let error = sample.error.as_deref().unwrap_or_default();
        error.contains("`timeout`") || error.contains(" timeout")
    };
    row.check(
        all.first(names_setting).is_some(),
        "the setting is not named",
    );
    Some(row)
}
