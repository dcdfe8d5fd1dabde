//! Generated histories of a Flagr with several replicas: flags are created,
//! edited, deleted and restored, replicas lag behind, and exports are torn.
//!
//! The model is that of points 50 and 51 of Flagr's behaviour: each change takes
//! the next snapshot ID; a replica renews its cache every three seconds, reading
//! the flags first and their definitions a moment later.

use std::collections::BTreeMap;

use super::*;

/// Milliseconds between two renewals of a replica's cache.
const CACHE: u64 = 3_000;

/// Pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick(&mut self, from: &[u64]) -> Option<u64> {
        let count = u64::try_from(from.len()).unwrap();
        (count > 0).then(|| from[usize::try_from(self.below(count)).unwrap()])
    }
}

/// A flag: its `SnapshotID`, and the state of its definition.
type Flags = BTreeMap<u64, (u64, u64)>;

#[derive(Clone, Default)]
struct Database {
    flags: Flags,
    deleted: Vec<u64>,
    latest: u64,
    last_flag: u64,
}

impl Database {
    fn create(&mut self) {
        (self.latest, self.last_flag) = (self.latest + 1, self.last_flag + 1);
        let state = (self.latest, self.latest);
        self.flags.insert(self.last_flag, state);
    }

    fn edit(&mut self, id: u64) {
        if let Some(flag) = self.flags.get_mut(&id) {
            self.latest += 1;
            *flag = (self.latest, self.latest);
        }
    }

    fn delete(&mut self, id: u64) {
        if self.flags.remove(&id).is_some() {
            self.latest += 1;
            self.deleted.push(id);
        }
    }

    fn restore(&mut self, id: u64) {
        self.latest += 1;
        self.deleted.retain(|known| *known != id);
        self.flags.insert(id, (self.latest, self.latest));
    }

    fn change(&mut self, random: &mut Random) {
        let ids: Vec<u64> = self.flags.keys().copied().collect();
        let kind = random.below(10);
        match (kind, random.pick(&ids), random.pick(&self.deleted)) {
            // One flag is always left.
            (3..=5, ..) if ids.len() == 1 => self.create(),
            (0..=1, ..) | (_, None, None) => self.create(),
            (2, _, Some(deleted)) => self.restore(deleted),
            (3..=4, Some(id), _) => self.delete(id),
            (5, Some(id), _) => {
                self.delete(id);
                self.restore(id);
            }
            (6, Some(_), _) if random.chance(20) => {
                // Many at once.
                let many = ids.iter().skip(1).filter(|_| random.chance(70));
                let many: Vec<u64> = many.copied().collect();
                many.into_iter().for_each(|id| self.delete(id));
            }
            (_, Some(id), _) => self.edit(id),
            (_, None, Some(deleted)) => self.restore(deleted),
        }
    }
}

/// What a replica's cache holds when it was renewed between two states: the
/// flags of the one, their definitions of the other.
fn torn(before: &Database, after: &Database) -> Flags {
    let definition = |id: &u64, old: u64| after.flags.get(id).map_or(old, |flag| flag.1);
    let flags = before.flags.iter();
    flags
        .map(|(id, (snapshot_id, old))| (*id, (*snapshot_id, definition(id, *old))))
        .collect()
}

/// A Flagr, and a client that polls it.
struct Simulation {
    random: Random,
    database: Database,
    /// When each replica renews its cache next, and what it holds.
    replicas: Vec<(u64, Flags)>,
    /// A renewal is under way since this state.
    renewing: Vec<Option<Database>>,
    detector: Detector,
    loaded: Flags,
    start: Instant,
    millis: u64,
    poll_at: u64,
    poll: u64,
    verdicts: Vec<Verdict>,
    /// Why the flags may be out of date, as of the last check.
    doubt: Option<Doubt>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut database = Database::default();
        for _ in 0..random.below(40) + 1 {
            database.create();
        }
        let replicas: Vec<_> = (0..=random.below(4))
            .map(|_| (random.below(CACHE), database.flags.clone()))
            .collect();
        Self {
            renewing: vec![None; replicas.len()],
            replicas,
            database,
            detector: Detector::new(TIMES),
            loaded: Flags::new(),
            start: Instant::now(),
            millis: 0,
            poll_at: 0,
            poll: [200, 1_000, 10_000][usize::try_from(random.below(3)).unwrap()],
            verdicts: Vec::new(),
            doubt: None,
            random,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.millis)
    }

    /// Lets 50 ms pass.
    fn pass(&mut self, spoil: &mut dyn FnMut(&mut Random, &mut Flags, &mut Option<u64>)) {
        self.millis += 50;
        for (replica, renewing) in self.replicas.iter_mut().zip(&mut self.renewing) {
            if let Some(before) = renewing.take() {
                replica.1 = torn(&before, &self.database);
            }
            if self.millis >= replica.0 {
                replica.0 += CACHE;
                *renewing = Some(self.database.clone());
            }
        }
        if self.millis >= self.poll_at {
            self.check(spoil);
        }
    }

    fn check(&mut self, spoil: &mut dyn FnMut(&mut Random, &mut Flags, &mut Option<u64>)) {
        let count = u64::try_from(self.replicas.len()).unwrap();
        let replica = usize::try_from(self.random.below(count)).unwrap();
        let mut flags = self.replicas[replica].1.clone();
        let mut latest = Some(self.database.latest);
        spoil(&mut self.random, &mut flags, &mut latest);
        let now = self.now();
        if self.detector.announce(latest, Occasion::Poll, now) == Plan::Fetch {
            let ids = |flags: &Flags| Contents::new(flags.iter().map(|(id, flag)| (*id, flag.0)));
            let contents = ids(&flags);
            let answer = Answer {
                contents: &contents,
                same_flags: self.loaded == flags,
                latest,
                occasion: Occasion::Poll,
            };
            let verdict = self.detector.judge(&answer, now);
            self.verdicts.push(verdict);
            if let Verdict::Load(_) = verdict {
                self.loaded = flags;
            }
        }
        self.doubt = self.detector.doubt(now);
        let poll = Duration::from_millis(self.poll);
        let again = self.detector.again(poll, now).unwrap_or(poll);
        self.poll_at = self.millis + u64::try_from(again.as_millis()).unwrap();
    }
}

fn healthy(_: &mut Random, _: &mut Flags, _: &mut Option<u64>) {}

#[test]
fn no_history_without_faults_is_doubted_goes_back_or_stays_behind() {
    for seed in 1..=150 {
        let mut simulation = Simulation::new(seed);
        // Some histories are hectic, some are quiet.
        let pause = [200, 1_500, 6_000, 20_000][usize::try_from(seed % 4).unwrap()];
        let mut seen: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        let (mut change_at, mut changed_at) = (20_000, 0);
        while simulation.millis < 180_000 {
            if simulation.millis >= change_at {
                simulation.database.change(&mut simulation.random);
                changed_at = simulation.millis;
                change_at += simulation.random.below(pause);
            }
            simulation.pass(&mut healthy);
            for (id, (snapshot_id, _)) in &simulation.loaded {
                let (known, there) = seen.entry(*id).or_insert((*snapshot_id, true));
                let back = snapshot_id < known || (snapshot_id == known && !*there);
                assert!(!back, "seed {seed}: flag {id} goes back to {snapshot_id}");
                (*known, *there) = (*snapshot_id, true);
            }
            for (id, (_, there)) in &mut seen {
                *there &= simulation.loaded.contains_key(id);
            }
            let doubt = simulation.doubt;
            // A flag that was created and deleted looks like a late export, until
            // the next change is shown.
            let late = matches!(doubt, Some(Doubt::Late { .. }));
            let lag = CACHE + simulation.poll;
            let shown = simulation.loaded == simulation.database.flags
                || simulation.millis <= changed_at + lag;
            assert!(doubt.is_none() || (late && shown), "seed {seed}: {doubt:?}");
        }
        for _ in 0..20 * 60 {
            simulation.pass(&mut healthy);
        }
        assert_eq!(simulation.loaded, simulation.database.flags, "seed {seed}");
        let odd = |verdict: &&Verdict| {
            matches!(
                verdict,
                Verdict::Suspicious | Verdict::Load(Reason::LossConfirmed | Reason::RolledBack)
            )
        };
        assert_eq!(simulation.verdicts.iter().find(odd), None, "seed {seed}");
    }
}

#[test]
fn no_partial_or_empty_answer_that_passes_within_a_minute_takes_a_flag_away() {
    for seed in 1..=150 {
        let mut simulation = Simulation::new(seed);
        simulation.poll = simulation.poll.min(1_000);
        while simulation.millis < 60_000 {
            simulation.pass(&mut healthy);
        }
        let kind = seed % 5;
        let count = simulation.database.flags.len();
        let keep = simulation.random.below(u64::try_from(count).unwrap());
        let keep = usize::try_from(keep).unwrap();
        let mut spoil =
            move |random: &mut Random, flags: &mut Flags, latest: &mut Option<u64>| match kind {
                0 => flags.clear(),
                1 => (flags.clear(), *latest = None).1,
                2 => {
                    let kept = flags.iter().take(keep).map(|(id, flag)| (*id, *flag));
                    *flags = kept.collect();
                }
                3 => flags.retain(|_, _| random.chance(50)),
                _ => {
                    flags.retain(|id, _| id % 2 == 0);
                    *latest = latest.filter(|_| random.chance(50));
                }
            };
        let ids: Vec<u64> = simulation.database.flags.keys().copied().collect();
        // An ID of a flag that is missing looks like that of its deletion.
        let kept: Vec<u64> = match kind {
            2 => ids[..keep].to_vec(),
            3 => Vec::new(),
            _ => ids.iter().copied().filter(|id| id % 2 == 0).collect(),
        };
        let edited = simulation.random.pick(&kept).unwrap_or(0);
        let end = simulation.millis + 2_000 + simulation.random.below(55_000);
        let mut edits = 0;
        while simulation.millis < end {
            if simulation.millis.is_multiple_of(20_000) {
                simulation.database.edit(edited);
                edits += 1;
            }
            simulation.pass(&mut spoil);
            // An edit that no export shows yet may pass for a deletion.
            let lost = ids.len() - simulation.loaded.len();
            assert!(
                lost <= edits,
                "seed {seed}, kind {kind}: {lost} flags are lost"
            );
        }
        for _ in 0..20 * 20 {
            simulation.pass(&mut healthy);
        }
        assert_eq!(simulation.loaded, simulation.database.flags, "seed {seed}");
        assert_eq!(simulation.doubt, None, "seed {seed}");
    }
}

#[test]
fn every_lasting_loss_is_loaded_and_whatever_comes_back_too() {
    for seed in 1..=60 {
        let mut simulation = Simulation::new(seed);
        while simulation.millis < 60_000 {
            simulation.pass(&mut healthy);
        }
        let mut spoil = |_: &mut Random, flags: &mut Flags, latest: &mut Option<u64>| {
            flags.retain(|id, _| id % 3 == seed % 3);
            *latest = latest.filter(|_| seed % 2 == 0);
        };
        let whole = simulation.database.flags.keys();
        let left: Vec<u64> = whole.copied().filter(|id| id % 3 == seed % 3).collect();
        simulation.database.edit(left.first().copied().unwrap_or(1));
        let end = simulation.millis + 120_000;
        while simulation.millis < end {
            simulation.pass(&mut spoil);
        }
        let loaded: Vec<u64> = simulation.loaded.keys().copied().collect();
        // Without the newest flags, an answer may be that of a stuck replica.
        let stuck = matches!(simulation.doubt, Some(Doubt::Older { .. }));
        assert!(loaded == left || stuck, "seed {seed}: {loaded:?}, {left:?}");
        for _ in 0..20 * 30 {
            simulation.pass(&mut healthy);
        }
        assert_eq!(simulation.loaded, simulation.database.flags, "seed {seed}");
    }
}
