//! How fresh flags are while every second request fails.

use tokio::time::{Instant, sleep};
use vexilla_core::Level;
use vexilla_tests::model::{Fault, Random};

use super::{SECOND, builder, edit, model, seeded};

#[tokio::test(start_paused = true)]
async fn flags_stay_live_while_half_of_all_requests_fail() {
    let mut random = seeded();
    for poll in [SECOND, SECOND * 10] {
        let model = model(random.bits());
        let vexilla = builder(&model, poll).build().await.unwrap();
        let mut faults = Random::new(random.bits());
        model.fault(move |_| faults.chance(50).then(|| Fault::status(502)));
        let (mut times, mut live, mut looks) = (Vec::new(), 0, 0);
        for _ in 0..200 {
            let rest = poll.mul_f64(2.0 + random.below(3_000) as f64 / 1_000.0);
            edit(&model);
            let (changed, expected) = (Instant::now(), model.database().snapshot());
            let mut arrived = None;
            while changed.elapsed() < rest || arrived.is_none() {
                sleep(poll / 20).await;
                looks += 1;
                live += u32::from(vexilla.status().level == Level::Live);
                if arrived.is_none() && vexilla.snapshot().same_flags(&expected) {
                    arrived = Some(changed.elapsed());
                }
            }
            times.extend(arrived);
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let share = f64::from(live) * 100.0 / f64::from(looks);
        let bound = poll * 2 + SECOND * 3;
        println!(
            "poll {poll:?}: live {share:.1} % of the time (bound 95), propagation of {} changes: median {:.1?}, p90 {:.1?} (bound {bound:?}), max {:.1?}",
            times.len(),
            at(50),
            at(90),
            at(100)
        );
        assert!(share >= 95.0, "poll {poll:?}: live {share:.1} %");
        assert!(at(90) <= bound, "poll {poll:?}: {:?}", at(90));
    }
}
