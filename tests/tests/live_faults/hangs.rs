//! Servers that hang.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_tests::fake_flagr::Answer;

use crate::blackhole::Blackhole;
use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
/// How long each hangs.
const FAULT: Duration = Duration::from_secs(45);
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_hang_shows_its_reason_within_seconds() {
    report::run(vec![
        Box::new(stopped),
        Box::new(blackhole),
        Box::new(|| spoilt("accepted and silent", |_| Answer::silence())),
        Box::new(|| spoilt("silent amid the body", |healthy| healthy.stall_after(5))),
        Box::new(|| spoilt("one byte a second", Answer::trickle)),
        Box::new(export_only),
    ]);
}

fn stopped() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let service = Service::start(settings(&flagr.url()), FLAGS);
    let fault = || flagr.signal("STOP");
    Some(hang("SIGSTOP", &flagr, &service, fault, |()| {
        flagr.signal("CONT");
    }))
}

fn blackhole() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let fault = || {
        proxy.refuse();
        Blackhole::at(proxy.address())
    };
    let heal = |blackhole| {
        drop(blackhole);
        proxy.accept_again();
    };
    Some(hang(
        "blackhole: no connection is made",
        &flagr,
        &service,
        fault,
        heal,
    ))
}

fn spoilt(
    what: &str,
    fault: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
) -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let fault = || proxy.spoil_both(fault);
    Some(hang(what, &flagr, &service, fault, |()| proxy.heal()))
}

/// Only the export hangs, after a change.
fn export_only() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    proxy.spoil_export(|healthy| healthy.stall_after(1_000));
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    let fault = Instant::now();
    thread::sleep(FAULT);
    let all = service.since(fault);
    proxy.heal();
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!(
            "only the export stops amid the body, for {} s",
            FAULT.as_secs()
        ),
        "stale with the reason soon after the time-out (10 s); no flag missing",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    let reason = all.first(|sample| sample.error.is_some());
    let after = reason.map(|(after, _)| after.saturating_sub(Duration::from_millis(1_100)));
    row.check_time("reason visible", after, Duration::from_secs(11));
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "never stale");
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    Some(row)
}

fn hang<T>(
    what: &str,
    flagr: &Flagr,
    service: &Service,
    fault: impl FnOnce() -> T,
    heal: impl FnOnce(T),
) -> Row {
    let faulty = fault();
    let start = Instant::now();
    thread::sleep(FAULT);
    heal(faulty);
    let healed = Instant::now();
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    let recovery = service.until(LIMIT, Sample::is_well);

    let during = service.between(start, healed);
    let mut row = Row::new(
        format!("{what}, for {} s", FAULT.as_secs()),
        "reason visible ≤ 5 s after the first request that hangs; no flag missing",
    );
    let all = service.since(start);
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    let reason = during.first(|sample| sample.error.is_some());
    // The first request is sent at most a poll after the fault began.
    let after = reason.map(|(after, _)| after.saturating_sub(Duration::from_millis(1_100)));
    row.check_time("reason visible", after, Duration::from_secs(5));
    row.measured(during.reason());
    row.check(during.first(Sample::is_loud).is_some(), "never stale");
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    row
}
