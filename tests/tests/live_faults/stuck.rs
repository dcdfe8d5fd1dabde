//! Exports that stay behind the latest snapshot ID.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_core::Level;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(60);
/// Four cache intervals.
const WAIT: Duration = Duration::from_secs(4);

#[test]
fn an_export_that_stays_behind_is_reported() {
    report::run(vec![
        Box::new(frozen),
        Box::new(cannot_load),
        Box::new(created_and_deleted),
        Box::new(no_latest_id),
    ]);
}

/// The export stays as it is while a flag is edited.
fn frozen() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let address = proxy.address().to_string();
    let service = Service::start(settings(&proxy.url()), FLAGS);
    let lines = Service::loud_lines(&address);
    proxy.freeze_export();
    let behind = flagr.latest_id();
    flagr.set_enabled(1, false);
    let latest = flagr.latest_id();
    let (fault, requests) = (Instant::now(), proxy.counts().requests());
    service.expect(1, Expected::Off);
    thread::sleep(Duration::from_secs(60));
    let requests = proxy.counts().requests() - requests;
    let lines = Service::loud_lines(&address) - lines;
    let all = service.since(fault);
    proxy.heal();
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!("export stuck at {behind} while the latest ID is {latest}, for 60 s"),
        "stale after 4 cache intervals (4 s), naming both IDs; 1 log line; < 100 requests",
    );
    let names_both = |sample: &Sample| {
        let error = sample.error.as_deref().unwrap_or_default();
        sample.is_loud()
            && error.contains(&behind.to_string())
            && error.contains(&latest.to_string())
    };
    row.measured(all.reason());
    let named = all.first(names_both).map(|(after, _)| after);
    row.check_time("both IDs named", named, WAIT + Duration::from_secs(2));
    row.measured(format!("{lines} warnings and errors logged"));
    row.check((1..=3).contains(&lines), format!("{lines} lines"));
    row.measured(format!("{requests} requests"));
    row.check(requests < 100, format!("{requests} requests"));
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    Some(row)
}

/// Flagr cannot load one of its flags, and goes on exporting what it had.
fn cannot_load() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let service = Service::start(settings(&flagr.url()), FLAGS);
    flagr.create(FLAGS + 1);
    flagr.until_exported();
    flagr.stop_loading(FLAGS + 1);
    flagr.set_enabled(1, false);
    let latest = flagr.latest_id();
    let fault = Instant::now();
    service.expect(1, Expected::Off);
    thread::sleep(Duration::from_secs(30));
    let all = service.since(fault);
    flagr.delete(FLAGS + 1);
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        "Flagr cannot load one of its flags and exports what it had, for 30 s",
        "stale after 4 cache intervals (4 s), naming the latest ID; no flag missing",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.measured(all.reason());
    let named = all.first(|sample| {
        let error = sample.error.as_deref().unwrap_or_default();
        sample.is_loud() && error.contains(&latest.to_string())
    });
    // The cache stopped before, and the ID is read at the next poll.
    let bar = WAIT + Duration::from_secs(2);
    row.check_time("latest ID named", named.map(|(after, _)| after), bar);
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    Some(row)
}

/// A flag is created and deleted between two polls: no export ever reaches its
/// ID.
fn created_and_deleted() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let full_refresh = Duration::from_secs(20);
    let builder = settings(&flagr.url()).full_refresh_interval(full_refresh);
    let service = Service::start(builder, FLAGS);
    let start = Instant::now();
    flagr.create(FLAGS + 1);
    flagr.delete(FLAGS + 1);
    thread::sleep(WAIT * 2);
    let well = service.until(LIMIT, Sample::is_well).map(|_| {
        let all = service.since(start);
        let stale = all.time(|sample| sample.level != Level::Live);
        (start.elapsed(), stale)
    });
    let all = service.since(start);

    let mut row = Row::new(
        "a flag created and deleted between two polls (full refresh 20 s)",
        "live again after a full refresh at the latest; no flag missing",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.measured(all.reason());
    if let Some((_, stale)) = well {
        row.measured(format!("stale for {}", seconds(stale)));
    }
    row.check_time("live", well.map(|(after, _)| after), full_refresh + WAIT);
    Some(row)
}

/// A gateway blocks the route of the latest snapshot ID.
fn no_latest_id() -> Option<Row> {
    let mut row = Row::new(
        "latest snapshot ID blocked by a gateway (404, then 501)",
        "live without an error; a change arrives ≤ 2 polls and a cache interval (3 s)",
    );
    for (status, id) in [(404, 1), (501, 2)] {
        let flagr = Flagr::with_flags(FLAGS)?;
        let proxy = Proxy::to(&flagr);
        proxy.block_latest_id(status);
        let service = Service::start(settings(&proxy.url()), FLAGS);
        let start = Instant::now();
        flagr.set_enabled(id, false);
        service.expect(id, Expected::Off);
        let arrived = service.until(LIMIT, Sample::is_well);
        row.check_time(&status.to_string(), arrived, Duration::from_secs(3));
        let all = service.since(start);
        let stale = all.time(|sample| sample.level != Level::Live);
        row.check(stale.is_zero(), format!("{status}: {}", all.reason()));
    }
    Some(row)
}

#[test]
fn a_stuck_replica_takes_nothing_back() {
    report::run(vec![Box::new(taken_back), Box::new(alternating)]);
}

/// A flag is switched off; then only a replica answers that has it on.
fn taken_back() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let stuck = flagr.stuck_replica();
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    flagr.set_enabled(1, false);
    service.expect(1, Expected::Off);
    service.until(LIMIT, Sample::is_well)?;
    proxy.send_to(&[&stuck]);
    let fault = Instant::now();
    // Something else is edited, so that the export is fetched.
    flagr.set_enabled(2, false);
    service.expect(2, Expected::Off);
    let time = Duration::from_secs(180);
    thread::sleep(time);
    let all = service.since(fault);
    proxy.send_to(&[&flagr]);
    let recovery = service.until(LIMIT, Sample::is_well);

    let mut row = Row::new(
        format!(
            "only a stuck replica answers, with older flags, for {}",
            seconds(time)
        ),
        "a kill switch is not taken back; stale with the reason",
    );
    // The second flag is wrong all the time.
    let taken_back = all.first(|sample| sample.wrong > 1 || sample.missing > 0);
    row.measured(match taken_back {
        Some((after, _)) => format!("taken back after {}", seconds(after)),
        None => "not taken back".to_owned(),
    });
    row.check(taken_back.is_none(), "taken back");
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    Some(row)
}

/// Requests go to a replica that keeps up and to one that is stuck, in turn.
fn alternating() -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let stuck = flagr.stuck_replica();
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()), FLAGS);
    proxy.send_to(&[&flagr, &stuck]);
    let mut row = Row::new(
        "requests go to a healthy and a stuck replica in turn, for 60 s",
        "no flag missing or taken back; changes arrive ≤ 5 s after an export has them",
    );
    let start = Instant::now();
    let (mut slowest, mut taken_back) = (Some(Duration::ZERO), Duration::ZERO);
    for id in 1..=10 {
        flagr.set_enabled(id, false);
        flagr.until_exported();
        service.expect(id, Expected::Off);
        let arrived = service.until(LIMIT, Sample::is_right);
        slowest = slowest.zip(arrived).map(|(one, other)| one.max(other));
        let Some(arrived) = arrived else {
            break;
        };
        let right = Instant::now();
        thread::sleep(Duration::from_secs(6).saturating_sub(arrived));
        taken_back += service.since(right).time(|sample| sample.wrong > 0);
    }
    let all = service.since(start);
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.check(
        taken_back.is_zero(),
        format!("taken back for {}", seconds(taken_back)),
    );
    row.check_time("slowest change", slowest, Duration::from_secs(5));
    let live = all.percent(|sample| sample.level == Level::Live);
    row.measured(format!("live {live:.0} % of the time"));
    Some(row)
}
