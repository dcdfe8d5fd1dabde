//! How soon changes are served, polled and pushed.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vexilla_core::flag::Flag;
use vexilla_tests::model::{Model, Random, Route};

use super::histories::replicas;
use super::{
    SECOND, SETTLED, arrival, builder, propagation, seed, start, three, toggle, with_flags,
};

/// The times of many changes, sorted.
fn print_times(what: &str, times: &mut [Duration], bound: Duration) {
    times.sort_unstable();
    let (least, most) = (times[0], times[times.len() - 1]);
    let median = times[times.len() / 2];
    let count = times.len();
    println!(
        "{what}: {count} changes, min {least:?}, median {median:?}, max {most:?}, bound {bound:?}"
    );
    assert!(most <= bound, "{what}: {most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_served_soon_after_the_exports_carry_it() {
    let mut random = Random::new(seed());
    for (poll, changes) in [(SECOND * 10, 700), (SECOND, 700), (SECOND / 5, 280)] {
        let replicas = replicas(&mut random, 3);
        let model = with_flags(Model::with_replicas(random.bits(), replicas), 3);
        let vexilla = builder(&model).poll_interval(poll).build().await.unwrap();
        sleep(SETTLED).await;
        let (mut polled, mut hinted, mut made) = (Vec::new(), Vec::new(), 0);
        for number in 0..changes {
            // Longer before a deletion: that of a flag just made takes its time.
            let rest = if matches!(number % 7, 1 | 3) {
                13_000
            } else {
                4_000
            };
            let rest = rest + random.below(1_000);
            sleep(Duration::from_millis(rest)).await;
            let id = random.between(1, 3);
            model.change(|database| match number % 7 {
                0 => made = database.create(Flag::boolean(number.to_string(), true)),
                2 => database.restore(made),
                1 | 3 => database.delete(made),
                _ => database.edit(id, toggle),
            });
            if number % 2 == 0 {
                polled.push(propagation(&vexilla, &model).await);
            } else {
                tokio::time::sleep_until(model.carried().into()).await;
                let begin = Instant::now();
                vexilla.hint();
                arrival(&vexilla, &model).await;
                hinted.push(begin.elapsed());
            }
        }
        let grace = Duration::from_millis(250);
        let bound = poll.mul_f64(1.1) + grace;
        print_times(&format!("polled every {poll:?}"), &mut polled, bound);
        print_times(
            &format!("hinted, polled every {poll:?}"),
            &mut hinted,
            grace,
        );
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_no_push_announced_are_counted() {
    let model = three();
    let vexilla = start(&model).await;
    let edit = || model.change(|database| database.edit(1, toggle));
    for pushed in [false, true, true, false, true, false, false] {
        let before = vexilla.status().counts;
        edit();
        if pushed {
            vexilla.hint();
        }
        sleep(SECOND * 10).await;
        let now = vexilla.status().counts;
        assert_eq!(now.changes - before.changes, 1);
        let missed = now.changes_without_push - before.changes_without_push;
        assert_eq!(missed, u64::from(!pushed), "pushed: {pushed}");
    }
    // Pushes for nothing, or found by the push itself.
    vexilla.hint();
    sleep(SECOND * 10).await;
    edit();
    tokio::time::sleep_until(model.carried().into()).await;
    vexilla.hint();
    sleep(SECOND * 10).await;
    let before = vexilla.status().counts.changes_without_push;
    edit();
    sleep(SECOND * 10).await;
    assert_eq!(vexilla.status().counts.changes_without_push, before + 1);
    assert_eq!(vexilla.status().counts.pushes, 5);
}

#[tokio::test(start_paused = true)]
async fn hints_without_end_do_not_put_off_the_full_refresh() {
    let model = three();
    let vexilla = start(&model).await;
    let fetches = model.count(Route::Export);
    for _ in 0..3_600 {
        vexilla.hint();
        sleep(SECOND / 2).await;
    }
    let fetches = model.count(Route::Export) - fetches;
    assert!((5..=7).contains(&fetches), "{fetches} in half an hour");
}
