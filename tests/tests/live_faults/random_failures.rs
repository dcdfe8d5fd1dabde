//! A balancer that answers 502 to half of all requests.

use std::thread;
use std::time::{Duration, Instant};

use vexilla_core::Level;

use crate::flagr::Flagr;
use crate::proxy::Proxy;
use crate::report::{self, Row, seconds};
use crate::service::{Expected, Service, settings};
use crate::timeline::Sample;

const FLAGS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn changes_arrive_although_half_of_all_requests_fail() {
    let scenario = |poll, every, changes| -> report::Scenario<'static> {
        Box::new(move || {
            half_fails(
                Duration::from_secs(poll),
                Duration::from_secs(every),
                changes,
            )
        })
    };
    report::run(vec![scenario(1, 6, 40), scenario(10, 13, 18)]);
}

/// Makes so many changes, one every so often.
fn half_fails(poll: Duration, every: Duration, changes: u32) -> Option<Row> {
    let flagr = Flagr::with_flags(FLAGS)?;
    let proxy = Proxy::to(&flagr);
    let service = Service::start(settings(&proxy.url()).poll_interval(poll), FLAGS);
    proxy.fail_half(u64::from(changes));
    let (fault, before) = (Instant::now(), proxy.counts());
    let mut times = Vec::new();
    // Far slower than the bar: fewer changes show it as well.
    let most = every.saturating_mul(2 * changes);
    for id in 1..=u64::from(changes) {
        let next = Instant::now() + every;
        flagr.set_enabled(id, false);
        flagr.until_exported();
        service.expect(id, Expected::Off);
        times.push(service.until(LIMIT, Sample::is_right).unwrap_or(LIMIT));
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if fault.elapsed() > most {
            break;
        }
    }
    let all = service.since(fault);
    let after = proxy.counts();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];

    let bar = poll * 2 + Duration::from_secs(3);
    let mut row = Row::new(
        format!(
            "half of all requests 502 for {}, poll {}, {} changes",
            seconds(fault.elapsed()),
            seconds(poll),
            times.len()
        ),
        format!(
            "live ≥ 95 % of the time; p90 of propagation ≤ {}",
            seconds(bar)
        ),
    );
    row.measured(all.losses());
    row.check(all.most_missing() == 0, "flags went missing");
    let live = all.percent(|sample: &Sample| sample.level == Level::Live);
    row.measured(format!("live {live:.1} % of the time"));
    row.check(live >= 95.0, format!("live {live:.1} %"));
    row.measured(format!("p50 {}", seconds(at(50))));
    row.check_time("p90", Some(at(90)), bar);
    row.measured(format!("slowest {}", seconds(at(100))));
    let (requests, time) = (after.requests() - before.requests(), fault.elapsed());
    let minute = requests as f64 * 60.0 / time.as_secs_f64();
    row.measured(format!("{minute:.0} requests a minute"));
    Some(row)
}
