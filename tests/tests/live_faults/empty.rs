//! A Flagr without flags.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use vexilla_core::LastKnownGoodFile;
use vexilla_tests::fake_flagr::Answer;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, seconds};
use crate::service::{Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;

#[test]
fn a_restart_on_an_empty_database_is_believed_late_and_spares_the_copy() {
    report::run(vec![Box::new(restarted), Box::new(started)]);
}

/// Flagr restarts on an empty database, as a pod without its volume.
fn restarted() -> Option<Row> {
    let mut flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let copy = flagr.folder().join("copy");
    let service = start_with_copy(&proxy, &copy);
    flagr.kill();
    flagr.replace_database(None);
    flagr.start();
    let fault = Instant::now();
    thread::sleep(Duration::from_secs(30));
    let early = service.since(fault);
    // The restart itself was over by then.
    let late = service.between(fault + Duration::from_secs(15), Instant::now());
    let early_copy = flagr.folder().join("early-copy");
    fs::copy(&copy, &early_copy).unwrap();
    let believed = service.until(Duration::from_secs(90), |sample| sample.missing > 0);
    let all = service.since(fault);
    let believed = believed.and(all.first(|sample| sample.missing > 0));
    drop(service);

    let mut row = Row::new(
        "Flagr restarted on an empty database",
        "no flag missing for a minute, not live meanwhile; the copy keeps all flags",
    );
    row.measured(format!("in 30 s: {}", early.losses()));
    row.check(early.most_missing() == 0, "flags went missing within 30 s");
    row.measured(late.reason());
    row.check(
        late.percent(Sample::is_loud) > 99.0,
        "not stale with a reason",
    );
    check_copy(&mut row, &proxy, &early_copy);
    row.measured(match believed {
        Some((after, _)) => format!("believed after {}", seconds(after)),
        None => "not believed in 120 s".to_owned(),
    });
    let in_time = believed.is_none_or(|(after, _)| after >= Duration::from_secs(50));
    row.check(in_time, "believed within less than a minute");
    Some(row)
}

/// A service starts from a good copy while Flagr is empty.
fn started() -> Option<Row> {
    let mut flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let copy = flagr.folder().join("copy");
    drop(start_with_copy(&proxy, &copy));
    flagr.kill();
    flagr.replace_database(None);
    flagr.start();
    let fault = Instant::now();
    let builder = settings(&proxy.url()).last_known_good(LastKnownGoodFile::new(&copy));
    let service = Service::start_unwell(builder, FLAGS);
    thread::sleep(Duration::from_secs(20));
    let all = service.since(fault);
    drop(service);

    let mut row = Row::new(
        "start from a good copy while Flagr is empty",
        "no flag missing in 20 s, not live meanwhile; the copy keeps all flags",
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    check_copy(&mut row, &proxy, &copy);
    Some(row)
}

/// A service with all flags, also in its copy.
fn start_with_copy(proxy: &Proxy, copy: &Path) -> Service {
    let builder = settings(&proxy.url()).last_known_good(LastKnownGoodFile::new(copy));
    let service = Service::start(builder, FLAGS);
    let start = Instant::now();
    while !copy.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no copy is saved"
        );
        thread::sleep(Duration::from_millis(20));
    }
    service
}

/// Starts a service from a copy without Flagr: it must have all flags.
fn check_copy(row: &mut Row, proxy: &Proxy, copy: &Path) {
    proxy.answer(&Answer::status(503));
    let builder = settings(&proxy.url())
        .last_known_good(LastKnownGoodFile::new(copy))
        .start_without_flags();
    let service = Service::start_unwell(builder, FLAGS);
    let status = service.vexilla.status();
    let (flags, level) = (status.flags, status.level);
    row.measured(format!("a start without Flagr: {flags} flags, {level}"));
    row.check(flags as u64 == FLAGS, "the copy lost flags");
}
