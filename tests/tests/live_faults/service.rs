//! A service with Vexilla in it, watched all the time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use vexilla_core::{Context, FlagrSource, Vexilla, VexillaBuilder};

use crate::flagr::key;
use crate::log;
use crate::timeline::{Sample, Timeline};

/// How often the flags are read.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// What a flag should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    On,
    Off,
    Absent,
}

/// A service that reads all flags every 10 ms.
pub(crate) struct Service {
    pub(crate) vexilla: Vexilla,
    watched: Arc<Watched>,
    stop: Arc<AtomicBool>,
    sampling: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What was served, beside what should have been.
struct Watched {
    vexilla: Vexilla,
    expected: Mutex<BTreeMap<String, Expected>>,
    samples: Mutex<Vec<(Instant, Sample)>>,
}

/// Settings for a server that renews its cache each second: polls each second.
pub(crate) fn settings(url: &str) -> VexillaBuilder {
    settings_of(FlagrSource::new(url).unwrap())
}

/// The same for a source with settings of its own.
pub(crate) fn settings_of(source: FlagrSource) -> VexillaBuilder {
    log::start();
    Vexilla::builder(source)
        .poll_interval(Duration::from_secs(1))
        .flagr_cache_interval(Duration::from_secs(1))
}

impl Service {
    /// Starts a service that should have the flags of the IDs from 1 to this,
    /// and waits until it has.
    pub(crate) fn start(builder: VexillaBuilder, flags: u64) -> Self {
        let service = Self::start_unwell(builder, flags);
        let well = service.until(Duration::from_secs(30), Sample::is_well);
        let status = service.vexilla.status();
        assert!(well.is_some(), "the service does not start: {status:?}");
        service
    }

    /// The same, without waiting.
    pub(crate) fn start_unwell(builder: VexillaBuilder, flags: u64) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let vexilla = runtime.block_on(builder.build()).unwrap();
        let expected: BTreeMap<_, _> = (1..=flags).map(|id| (key(id), Expected::On)).collect();
        let watched = Arc::new(Watched {
            vexilla: vexilla.clone(),
            expected: Mutex::new(expected),
            samples: Mutex::default(),
        });
        watched.sample();
        let stop = Arc::new(AtomicBool::new(false));
        let sampling = {
            let (watched, stop) = (Arc::clone(&watched), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    watched.sample();
                    thread::sleep(SAMPLE_INTERVAL);
                }
            })
        };
        Self {
            vexilla,
            watched,
            stop,
            sampling: Some(sampling),
            runtime: Some(runtime),
        }
    }

    /// Sets what a flag should answer from now on.
    pub(crate) fn expect(&self, id: u64, expected: Expected) {
        let mut all = self.watched.expected.lock().unwrap();
        all.insert(key(id), expected);
    }

    /// Waits until this is so: for how long, unless the limit was reached.
    pub(crate) fn until(&self, limit: Duration, so: impl Fn(&Sample) -> bool) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if so(&self.watched.sample()) {
                return Some(start.elapsed());
            }
            thread::sleep(SAMPLE_INTERVAL);
        }
        None
    }

    /// What was served since then.
    pub(crate) fn since(&self, start: Instant) -> Timeline {
        self.between(start, Instant::now())
    }

    /// What was served between these.
    pub(crate) fn between(&self, start: Instant, end: Instant) -> Timeline {
        Timeline::new(&self.watched.samples.lock().unwrap(), start, end)
    }

    /// Where to start tasks of one's own.
    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// How many warnings and errors were logged about a server so far.
    pub(crate) fn loud_lines(address: &str) -> usize {
        log::logged(&["WARN", address]).len() + log::logged(&["ERROR", address]).len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sampling) = self.sampling.take() {
            // A panic in it has been printed.
            let _ = sampling.join();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Watched {
    /// What is served now; noted if it is something else than before.
    fn sample(&self) -> Sample {
        // One at a time, so that they are noted in the order of the looks.
        let mut samples = self.samples.lock().unwrap();
        let sample = self.look();
        if samples.last().is_none_or(|(_, last)| *last != sample) {
            samples.push((Instant::now(), sample.clone()));
        }
        sample
    }

    fn look(&self) -> Sample {
        let expected = self.expected.lock().unwrap();
        let status = self.vexilla.status();
        let flags = self.vexilla.flags(Context::new("visitor"));
        let (mut missing, mut wrong) = (0, 0);
        for (key, expected) in expected.iter() {
            let found = flags.snapshot().flag(key).is_some();
            match expected {
                Expected::Absent => wrong += usize::from(found),
                _ if !found => missing += 1,
                _ => wrong += usize::from(flags.bool(key) != (*expected == Expected::On)),
            }
        }
        Sample {
            missing,
            wrong,
            level: status.level,
            error: status.last_error,
        }
    }
}
