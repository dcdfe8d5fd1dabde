//! Histories drawn at random: nothing goes backwards, nothing stays behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use vexilla_core::flag::{Flag, Segment, Tag};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Level, Vexilla};
use vexilla_tests::model::{Database, Model, Policy, Random, Replica};

use super::{SECOND, SETTLED, builder, current, seed, toggle, with_flags};

/// What a listener saw of each flag, and where that went backwards.
#[derive(Default)]
pub(crate) struct Seen {
    /// The greatest number of each flag, and whether the flag is there.
    flags: BTreeMap<u64, (u64, bool)>,
    pub(crate) faults: Vec<String>,
}

impl Seen {
    fn look(&mut self, snapshot: &Snapshot) {
        let now: BTreeMap<_, _> = snapshot
            .flags()
            .map(|flag| (flag.id, flag.snapshot_id))
            .collect();
        for (id, number) in &now {
            let (known, there) = self.flags.entry(*id).or_insert((*number, true));
            // A flag that was deleted comes back with a greater number only.
            if number < known || (number == known && !*there) {
                self.faults
                    .push(format!("flag {id}: {number} after {known}, there: {there}"));
            }
            (*known, *there) = (*number.max(known), true);
        }
        for (id, (_, there)) in &mut self.flags {
            *there = now.contains_key(id);
        }
    }
}

/// Looks at everything that is served, as soon as it is.
pub(crate) fn observe(vexilla: &Vexilla) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (mut changes, observed, vexilla) = (vexilla.changes(), Arc::clone(&seen), vexilla.clone());
    seen.lock().unwrap().look(&vexilla.snapshot());
    tokio::spawn(async move {
        while changes.next().await.is_some() {
            observed.lock().unwrap().look(&vexilla.snapshot());
        }
    });
    seen
}

/// Changes the database in one of all ways.
pub(crate) fn change(database: &mut Database, random: &mut Random) {
    let ids: Vec<u64> = database.flags().map(|flag| flag.id).collect();
    let deleted: Vec<u64> = database.deleted().collect();
    let newest = database.flags().max_by_key(|flag| flag.snapshot_id);
    let newest = newest.map(|flag| flag.id);
    match random.weighted(&[30, 15, 10, 10, 10, 10, 10]) {
        // One flag is always left: a set without any has to be confirmed.
        _ if ids.len() < 2 => {
            let key = format!("flag-{}", database.max_id());
            database.create(Flag::boolean(key, true));
        }
        0 => database.edit(random.pick(&ids), toggle),
        1 if ids.len() < 12 => {
            let key = format!("flag-{}", database.max_id());
            database.create(Flag::boolean(key, true));
        }
        2 => database.delete(random.pick(&ids)),
        3 => database.delete(newest.unwrap()),
        4 if !deleted.is_empty() => database.restore(random.pick(&deleted)),
        5 => database.edit(random.pick(&ids), |flag| {
            flag.tags.push(Tag::default());
            flag.segments.push(Segment::new());
        }),
        _ => {
            let id = random.pick(&ids);
            database.delete(id);
            database.restore(id);
        }
    }
}

pub(crate) fn replicas(random: &mut Random, most: u64) -> Vec<Replica> {
    let phase = |random: &mut Random| Duration::from_millis(random.below(3_000));
    let count = random.between(1, most);
    (0..count).map(|_| Replica::phase(phase(random))).collect()
}

/// One history; gives what went wrong in it.
async fn history(seed: u64, steps: usize) -> Result<(), String> {
    let mut random = Random::new(seed);
    let model = Model::with_replicas(seed, replicas(&mut random, 5));
    let model = with_flags(model, 5);
    if random.chance(30) {
        model.choose(Policy::RoundRobin);
    }
    // By then all caches have them.
    sleep(SECOND * 4).await;
    // Some start in the midst of it.
    for _ in 0..random.below(8) {
        model.change(|database| change(database, &mut random));
        sleep(Duration::from_millis(random.below(1_000))).await;
    }
    let poll = random.pick(&[SECOND / 5, SECOND, SECOND * 10]);
    let vexilla = builder(&model).poll_interval(poll).build().await.unwrap();
    let seen = observe(&vexilla);
    // Some histories are hectic, some are quiet.
    let most = random.pick(&[200, 1_500, 5_000]);
    for step in 0..steps {
        model.change(|database| change(database, &mut random));
        if random.chance(20) {
            vexilla.hint();
        }
        sleep(Duration::from_millis(random.below(most))).await;
        if let Some(fault) = seen.lock().unwrap().faults.first() {
            return Err(format!("seed {seed}, step {step}: {fault}"));
        }
        let status = vexilla.status();
        if status.level != Level::Live {
            let reason = status.last_error;
            return Err(format!("seed {seed}, step {step}: {reason:?}"));
        }
    }
    sleep(SETTLED).await;
    if !current(&vexilla, &model) {
        return Err(format!("seed {seed}: stays behind"));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_history_takes_flags_backwards_or_leaves_them_behind() {
    let seed = seed();
    let histories = std::env::var("VEXILLA_HISTORIES").ok();
    let histories = histories.map_or(16, |histories| histories.parse().unwrap());
    let mut wrong = Vec::new();
    for history_seed in seed..seed + histories {
        wrong.extend(history(history_seed, 80).await.err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {histories}: {wrong:#?}",
        wrong.len()
    );
}
