//! Changes and faults at random for as long as one likes, on real sockets:
//! `VEXILLA_SOAK_SECONDS=300 cargo test --release -p vexilla-tests --test soak -- --nocapture`.
//!
//! What must hold at every moment is asserted: no known flag ever answers a
//! default or goes back, and nothing is left behind. How fast changes arrive is
//! printed beside what it should be.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{interval, timeout};
use vexilla_core::changes::Changes;
use vexilla_core::{Context, FlagrSource, LastKnownGoodFile, Level, Vexilla, VexillaBuilder};
use vexilla_tests::fake_flagr::{Answer, Database, FakeFlagr, GUARD, Route, key, until};

/// Flags that are always there; others come and go.
const FLAGS: u64 = 200;
const CHANGE_EVERY: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(100);
/// The longest pause that the server may ask for.
const PAUSE: Duration = Duration::from_millis(500);
const SLOW_RETRY: Duration = Duration::from_millis(500);
/// Tells a process that it has but one test to run.
const ALONE: &str = "VEXILLA_TESTS_ALONE";
/// Memory is told from this length on; before, it is still growing.
const LONG: Duration = Duration::from_secs(60);

/// A small generator, so that a seed brings the same faults again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

fn at(server: &FakeFlagr, copy: &LastKnownGoodFile) -> VexillaBuilder {
    let source = FlagrSource::builder(&server.url()).timeout(Duration::from_millis(300));
    Vexilla::builder(source.max_bytes(1 << 20).build().unwrap())
        .poll_interval(POLL)
        .full_refresh_interval(Duration::from_secs(5))
        .slow_retry_interval(SLOW_RETRY)
        .flagr_cache_interval(Duration::from_millis(50))
        .retry_after_limit(PAUSE)
        .last_known_good(copy.clone())
}

type Mode = fn(Answer) -> Answer;

/// Does something to the server that harms it; gives its name.
fn harm(server: &FakeFlagr, random: &mut Random) -> &'static str {
    let faults: [(&str, Mode); 15] = [
        ("silence", |_| Answer::silence()),
        ("reset", |_| Answer::reset()),
        ("reset amid the body", |healthy| healthy.reset_after(5)),
        ("cut", |healthy| healthy.cut_after(5)),
        ("trickle", Answer::trickle),
        ("garbage", |_| Answer::garbage("?")),
        ("half", Answer::half),
        ("HTML", |_| Answer::json("<html></html>")),
        ("{}", |_| Answer::json("{}")),
        ("null", |_| Answer::json(r#"{"Flags":null}"#)),
        ("500", |_| Answer::status(500)),
        ("503", |_| Answer::status(503).header("Retry-After", "1")),
        ("401", |_| Answer::status(401)),
        ("501", |_| Answer::status(501)),
        ("too large", |_| Answer::json(" ".repeat(2 << 20))),
    ];
    let number = usize::try_from(random.below(faults.len() as u64 + 1));
    let Some((name, mode)) = faults.get(number.unwrap()) else {
        server.refuse();
        return "refused";
    };
    let routes = [Route::Export, Route::MaxId];
    let routes = match random.below(3) {
        0 => &routes[..1],
        1 => &routes[1..],
        _ => &routes[..],
    };
    for route in routes {
        server.spoil(*route, *mode);
    }
    name
}

fn heal(server: &FakeFlagr, fault: &str) {
    server.heal();
    let start = Instant::now();
    while fault == "refused" && server.accept_again().is_err() {
        assert!(start.elapsed() < GUARD);
    }
}

/// Changes something: mostly a value, now and then flags come or go.
fn change(database: &mut Database, random: &mut Random) -> Option<u64> {
    match random.below(20) {
        0 => database.retain(|id| id <= FLAGS),
        1 => drop(database.set(FLAGS + 1 + random.below(50), 0)),
        _ => {
            let id = 1 + random.below(FLAGS);
            let value = database.value(id)?;
            return Some(database.set(id, value + 1));
        }
    }
    None
}

/// A change of a value.
struct Edit {
    number: u64,
    at: Instant,
    /// The server was healthy, and nothing was wrong with it lately.
    calm: bool,
}

/// Notes how long changes take until they are served.
#[derive(Default)]
struct Delays {
    waiting: VecDeque<Edit>,
    calm: Vec<Duration>,
    others: Vec<Duration>,
}

async fn note(mut changes: Changes, delays: Arc<Mutex<Delays>>) {
    while let Some(change) = changes.next().await {
        let (now, mut delays) = (Instant::now(), delays.lock().unwrap());
        while let Some(edit) = delays.waiting.pop_front() {
            if edit.number > change.version {
                delays.waiting.push_front(edit);
                break;
            }
            let list = match edit.calm {
                true => &mut delays.calm,
                false => &mut delays.others,
            };
            list.push(now.duration_since(edit.at));
        }
    }
}

fn percentiles(mut delays: Vec<Duration>) -> String {
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    match delays.len() {
        0 => "none".to_owned(),
        count => format!(
            "{count}: min {:.1?}, median {:.1?}, p99 {:.1?}, max {:.1?}",
            at(0),
            at(50),
            at(99),
            at(100)
        ),
    }
}

/// What the process holds at one moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Resident memory in KiB.
    memory: usize,
    descriptors: usize,
    tasks: usize,
}

fn held() -> Option<Held> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(Held {
        memory: pages * 4,
        descriptors: std::fs::read_dir("/proc/self/fd").ok()?.count(),
        tasks: Handle::current().metrics().num_alive_tasks(),
    })
}

/// The median memory of some moments, in KiB.
fn memory(moments: &[Held]) -> usize {
    let mut memory: Vec<_> = moments.iter().map(|held| held.memory).collect();
    memory.sort_unstable();
    memory[memory.len() / 2]
}

#[test]
fn changes_and_faults_at_random_never_make_a_value_wrong() {
    // The server has a thread for each connection. Where each thread may have a
    // heap of its own, as with glibc, memory grows for minutes until all have
    // met the largest answers; what leaks would be lost in that.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["soak", "--exact", "--ignored", "--nocapture"])
        .env("MALLOC_ARENA_MAX", "1")
        .env(ALONE, "")
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&child.stdout));
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "changes_and_faults_at_random_never_make_a_value_wrong starts it"]
async fn soak() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let length = Duration::from_secs(number("VEXILLA_SOAK_SECONDS").unwrap_or(8));
    let seed = number("VEXILLA_SOAK_SEED");
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(())) | 1;
    println!("seed: VEXILLA_SOAK_SEED={seed}");
    let mut random = Random(seed);

    let folder = std::env::temp_dir().join(format!("vexilla-{}-soak", std::process::id()));
    let copy = LastKnownGoodFile::new(folder.join("flags"));
    let server = FakeFlagr::healthy(FLAGS).unwrap();
    let vexilla = at(&server, &copy).build().await.unwrap();
    let reader = server.reader(vexilla.clone(), 1..=FLAGS);
    let delays = Arc::new(Mutex::new(Delays::default()));
    tokio::spawn(note(vexilla.changes(), Arc::clone(&delays)));

    // What is held by all that runs, while there is no connection.
    server.refuse();
    until(&vexilla, |status| status.consecutive_failures > 1).await;
    let first = held();
    server.accept_again().unwrap();
    until(&vexilla, |status| status.consecutive_failures == 0).await;

    let (start, mut tick) = (Instant::now(), interval(CHANGE_EVERY));
    let (mut moments, mut recoveries, mut faults) = (Vec::new(), Vec::new(), 0);
    let mut fault = None;
    let mut healed: Option<(Instant, u64)> = None;
    let mut left = 10;
    while start.elapsed() < length {
        tick.tick().await;
        moments.extend(held());
        left -= 1;
        if left == 0 {
            match fault.take() {
                None => {
                    fault = Some(harm(&server, &mut random));
                    // What waits is no longer calm.
                    for edit in &mut delays.lock().unwrap().waiting {
                        edit.calm = false;
                    }
                    faults += 1;
                    left = 2 + random.below(10);
                }
                Some(over) => {
                    heal(&server, over);
                    let newest = server.edit(|database| change(database, &mut random));
                    healed = newest.map(|newest| (Instant::now(), newest));
                    left = 8 + random.below(25);
                }
            }
        }
        let status = vexilla.status();
        assert!(status.level <= Level::Stale, "{status:?}");
        if let Some((at, newest)) = healed
            && status.version >= newest
        {
            recoveries.push(at.elapsed());
            healed = None;
        }
        let calm = fault.is_none() && healed.is_none() && status.consecutive_failures == 0;
        // Held, so that the change is not served before it is noted.
        let mut delays = delays.lock().unwrap();
        if let Some(number) = server.edit(|database| change(database, &mut random)) {
            let at = Instant::now();
            delays.waiting.push_back(Edit { number, at, calm });
        }
    }

    if let Some(over) = fault {
        heal(&server, over);
    }
    let newest = server.edit(|database| {
        let value = database.value(1).unwrap();
        database.set(1, value + 1)
    });
    let status = until(&vexilla, |status| status.version >= newest).await;
    let database = server.edit(|database| database.clone());
    let flags = vexilla.flags(Context::new("visitor"));
    for id in 1..=FLAGS {
        assert_eq!(Some(flags.int_or(&key(id), -1)), database.value(id));
    }
    // Faults come and go, and with them connections and tasks; what leaks stays.
    server.refuse();
    let settled = async {
        while let (Some(first), Some(now)) = (first, held())
            && (now.descriptors > first.descriptors + 2 || now.tasks > first.tasks + 2)
        {
            tick.tick().await;
        }
    };
    let settled = timeout(GUARD, settled).await;
    assert!(settled.is_ok(), "more than {first:?}: {:?}", held());

    let readings = reader.stop();
    assert_eq!(readings.wrong, 0, "{:?}", readings.example);
    assert_eq!(status.counts.panics, 0);
    let counts = status.counts;
    assert!(counts.requests <= 2 * counts.checks, "{counts:?}");

    println!(
        "{length:?}, {faults} faults, {} values read, 0 wrong",
        readings.values
    );
    let delays = std::mem::take(&mut *delays.lock().unwrap());
    let bound = POLL.mul_f64(1.1) + Duration::from_millis(250);
    println!(
        "served in calm times after (bound {bound:?}) {}",
        percentiles(delays.calm)
    );
    println!("served at other times after {}", percentiles(delays.others));
    let bound = PAUSE.max(SLOW_RETRY).mul_f64(1.2) + POLL.mul_f64(1.1);
    println!(
        "recovered after (bound {bound:?}, seen each {CHANGE_EVERY:?}) {}",
        percentiles(recoveries)
    );
    println!("{counts:?}");

    // The copy is what was served last.
    assert!(timeout(GUARD, vexilla.shutdown(GUARD)).await.unwrap().saved);
    let restored = at(&server, &copy).build().await.unwrap();
    assert_eq!(restored.status().level, Level::Restored);
    assert!(restored.snapshot().flags().eq(vexilla.snapshot().flags()));
    std::fs::remove_dir_all(folder).unwrap();

    let eighths = moments.chunks(moments.len().div_ceil(8).max(1));
    let by_eighths: Vec<_> = eighths.map(memory).collect();
    println!("memory by eighths, in KiB: {by_eighths:?}");
    let quarter = moments.len() / 4;
    if quarter == 0 {
        println!("memory, tasks and descriptors are not known here");
        return;
    }
    let early = memory(&moments[quarter..2 * quarter]);
    let late = memory(&moments[3 * quarter..]);
    println!("second and last quarter: {early} and {late} KiB");
    if length >= LONG {
        assert!(late <= early + early / 20);
    }
}
