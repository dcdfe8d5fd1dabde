//! Flagr is killed and started again.

use std::thread;
use std::time::{Duration, Instant};

use crate::flagr::Flagr;
use crate::report::{self, Row, Scenario, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn an_outage_of_any_length_is_over_when_flagr_answers() {
    let scenario = |outage, poll| -> Scenario<'static> {
        Box::new(move || killed(Duration::from_secs(outage), Duration::from_secs(poll)))
    };
    report::run(vec![
        scenario(5, 1),
        scenario(30, 1),
        scenario(120, 1),
        scenario(5, 10),
        scenario(60, 10),
    ]);
}

fn killed(outage: Duration, poll: Duration) -> Option<Row> {
    let mut flagr = Flagr::with_flags(FLAGS)?;
    let service = Service::start(settings(&flagr.url()).poll_interval(poll), FLAGS);
    flagr.kill();
    let killed = Instant::now();
    flagr.edit_offline(|flagr| flagr.set_enabled(1, false));
    thread::sleep(outage.saturating_sub(killed.elapsed()));
    let during = service.since(killed);
    let outage = killed.elapsed();
    flagr.start();
    service.expect(1, Expected::Off);
    let recovery = service.until(LIMIT, Sample::is_well);
    let all = service.since(killed);

    let bar = Duration::from_secs(5).max(poll).mul_f64(1.2) + Duration::from_millis(500);
    let mut row = Row::new(
        format!(
            "kill -9, started again after {}, poll {}",
            seconds(outage),
            seconds(poll)
        ),
        format!(
            "right ≤ {} after Flagr answers; no flag missing",
            seconds(bar)
        ),
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    let reason = during.first(|sample| sample.error.is_some());
    if outage > poll * 2 {
        let after = reason.map(|(after, _)| after);
        let bar = poll + Duration::from_secs(5);
        row.check_time("reason visible", after, bar);
    }
    row.check_time("right again", recovery, bar);
    Some(row)
}
