//! What a total outage costs the server, in requests.

use std::thread;
use std::time::Duration;

use vexilla_tests::fake_flagr::Answer;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, Scenario, seconds};
use crate::service::{Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const MINUTES: u32 = 3;

#[test]
fn a_total_outage_costs_few_requests() {
    let scenario = |what, answer, poll, most| -> Scenario<'static> {
        Box::new(move || outage(what, &answer, Duration::from_secs(poll), most))
    };
    report::run(vec![
        scenario("503", Answer::status(503), 10, 15),
        scenario("503", Answer::status(503), 1, 72),
        scenario("connection reset", Answer::reset(), 10, 15),
        scenario("connection reset", Answer::reset(), 1, 72),
    ]);
}

fn outage(what: &str, answer: &Answer, poll: Duration, most: u64) -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()).poll_interval(poll), FLAGS);
    proxy.answer(answer);
    let start = std::time::Instant::now();
    let mut minutes = Vec::new();
    for _ in 0..MINUTES {
        let before = proxy.counts().requests();
        thread::sleep(Duration::from_secs(60));
        minutes.push(proxy.counts().requests() - before);
    }
    let all = service.since(start);

    let mut row = Row::new(
        format!(
            "total outage ({what}) for {MINUTES} min, poll {}",
            seconds(poll)
        ),
        format!("≤ {most} requests a minute; stale with the reason; no flag missing"),
    );
    row.measured(format!("{minutes:?} requests in each minute"));
    let worst = minutes.iter().copied().max().unwrap_or(0);
    row.check(worst <= most, format!("{worst} requests in a minute"));
    row.measured(all.reason());
    row.check(all.first(Sample::is_loud).is_some(), "silent");
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    Some(row)
}
