//! Notifications and refreshes while Flagr refuses.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_tests::fake_flagr::Answer;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, Scenario};
use crate::service::{Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const TIME: Duration = Duration::from_secs(15);
/// Requests a second that a refusing server gets.
const MOST: f64 = 5.0;

#[test]
fn notifications_do_not_flood_a_server_that_refuses() {
    let scenario =
        |status, refresh| -> Scenario<'static> { Box::new(move || flood(status, refresh)) };
    report::run(vec![
        scenario(401, false),
        scenario(401, true),
        scenario(503, false),
        scenario(503, true),
    ]);
}

fn flood(status: u16, refresh: bool) -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let address = proxy.address().to_string();
    let service = Service::start(settings(&proxy.url()), FLAGS);
    proxy.answer(&Answer::status(status));
    let (start, before) = (Instant::now(), proxy.counts().requests());
    let lines = Service::loud_lines(&address);
    let mut calls = 0_u64;
    while start.elapsed() < TIME {
        if refresh {
            let vexilla = service.vexilla.clone();
            service
                .runtime()
                .spawn(async move { vexilla.refresh().await });
        } else {
            service.vexilla.hint();
        }
        calls += 1;
        // 1,000 a second.
        let due = start + Duration::from_millis(calls);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let seconds = start.elapsed().as_secs_f64();
    let requests = proxy.counts().requests() - before;
    let lines = Service::loud_lines(&address) - lines;
    let all = service.since(start);
    proxy.heal();
    service.runtime().spawn({
        let vexilla = service.vexilla.clone();
        async move { vexilla.refresh().await }
    });
    let recovery = service.until(Duration::from_secs(120), Sample::is_well);

    let what = match refresh {
        true => "calls of refresh",
        false => "notifications",
    };
    let mut row = Row::new(
        format!(
            "{:.0} {what} a second while Flagr answers {status}",
            calls as f64 / seconds
        ),
        format!("≤ {MOST} requests a second; a reason; a refresh helps ≤ 6.5 s after it"),
    );
    let rate = requests as f64 / seconds;
    row.measured(format!("{rate:.1} requests a second"));
    row.check(rate <= MOST, format!("{rate:.1} requests a second"));
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    row.check(
        all.first(|sample| sample.error.is_some()).is_some(),
        "silent",
    );
    row.measured(format!("{lines} warnings and errors logged"));
    row.check(lines <= 20, format!("{lines} lines"));
    row.check_time("right again", recovery, Duration::from_millis(6_500));
    Some(row)
}
