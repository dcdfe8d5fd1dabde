//! How soon flags are right again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vexilla_core::Level;

use super::{MINUTE, SECOND, builder, current, edit, model, outages, seeded};

#[tokio::test(start_paused = true)]
async fn flags_are_right_soon_after_an_outage_of_any_length() {
    let mut random = seeded();
    let lengths = [
        SECOND / 2,
        SECOND * 3,
        SECOND * 11,
        SECOND * 40,
        MINUTE * 3,
        MINUTE * 30,
    ];
    for poll in [SECOND / 5, SECOND, SECOND * 5, SECOND * 10, SECOND * 30] {
        let bound = poll.max(SECOND * 5).mul_f64(1.2) + SECOND / 2;
        for (what, fault) in outages() {
            let mut longest = Duration::ZERO;
            for length in lengths {
                for _ in 0..5 {
                    let model = model(random.bits());
                    let vexilla = builder(&model, poll).build().await.unwrap();
                    sleep(poll.mul_f64(3.0 + random.below(1_000) as f64 / 1_000.0)).await;
                    let fault = fault.clone();
                    model.fault(move |_| Some(fault.clone()));
                    sleep(length).await;
                    edit(&model);
                    model.heal();
                    let healed = Instant::now();
                    let mut changes = vexilla.changes();
                    let recovered = async {
                        while !current(&vexilla, &model) || vexilla.status().level != Level::Live {
                            changes.next().await.unwrap();
                        }
                    };
                    timeout(MINUTE * 10, recovered).await.unwrap();
                    longest = longest.max(healed.elapsed());
                }
            }
            println!(
                "poll {poll:?}, {what}: right again after at most {longest:.1?} (bound {bound:?})"
            );
            assert!(longest <= bound, "poll {poll:?}, {what}: {longest:?}");
        }
    }
}
