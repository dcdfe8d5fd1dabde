//! What an outage costs the source.

use tokio::time::sleep;

use super::{MINUTE, SECOND, builder, model, outages, seeded};

#[tokio::test(start_paused = true)]
async fn an_outage_costs_the_source_few_requests() {
    let mut random = seeded();
    // About one a second where the poll interval is one; a page in place of an
    // answer is met by both requests now and then.
    for (poll, bound) in [(SECOND * 10, 15), (SECOND, 90)] {
        for (what, fault) in outages() {
            let (mut first, mut later) = (0, 0);
            for _ in 0..10 {
                let model = model(random.bits());
                let vexilla = builder(&model, poll).build().await.unwrap();
                sleep(poll.mul_f64(2.0 + random.below(1_000) as f64 / 1_000.0)).await;
                let fault = fault.clone();
                model.fault(move |_| Some(fault.clone()));
                for minute in 0..20 {
                    let before = model.requests().len();
                    sleep(MINUTE).await;
                    let requests = model.requests().len() - before;
                    let most = if minute == 0 { &mut first } else { &mut later };
                    *most = requests.max(*most);
                }
                drop(vexilla);
            }
            println!(
                "poll {poll:?}, {what}: at most {first} requests in the first minute, {later} in a later one (bound {bound})"
            );
            assert!(first.max(later) <= bound, "poll {poll:?}, {what}");
        }
    }
}
