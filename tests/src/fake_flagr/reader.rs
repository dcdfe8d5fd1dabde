//! Reads flags all the time, and counts what is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use vexilla_core::{Context, Vexilla};

use super::{FakeFlagr, Shared, key, lock};

/// No flag of a database has it.
const DEFAULT: i64 = i64::MIN;

/// A thread that reads flags all the time, until it is stopped or dropped.
#[derive(Debug)]
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Readings>>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Readings {
    /// How many values.
    pub values: u64,
    /// How many of them were wrong: the default, a value that the server never
    /// had, or one from before another that was read already.
    pub wrong: u64,
    /// One of them.
    pub example: Option<String>,
}

impl FakeFlagr {
    /// Reads the flags of these ids all the time. The values of each flag must
    /// only ever be raised.
    #[must_use]
    pub fn reader(&self, vexilla: Vexilla, ids: impl IntoIterator<Item = u64>) -> Reader {
        let flags = ids.into_iter().map(|id| Seen {
            id,
            key: key(id),
            last: DEFAULT,
        });
        let mut flags: Vec<_> = flags.collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&self.shared), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut readings = Readings::default();
            while !stopped.load(Ordering::Relaxed) {
                let served = vexilla.flags(Context::new("visitor"));
                for flag in &mut flags {
                    readings.note(flag, served.int_or(&flag.key, DEFAULT), &shared);
                }
            }
            readings
        });
        Reader {
            stop,
            thread: Some(thread),
        }
    }
}

/// What was last read of a flag.
struct Seen {
    id: u64,
    key: String,
    last: i64,
}

impl Readings {
    fn note(&mut self, flag: &mut Seen, value: i64, shared: &Shared) {
        self.values += 1;
        if value == flag.last && value != DEFAULT {
            return;
        }
        let newest = lock(&shared.database).value(flag.id);
        if value > flag.last && newest.is_some_and(|newest| value <= newest) {
            flag.last = value;
            return;
        }
        self.wrong += 1;
        let (key, last) = (&flag.key, flag.last);
        self.example
            .get_or_insert_with(|| format!("{key} was {value} after {last}, and has {newest:?}"));
    }
}

impl Reader {
    /// Stops it: what it read.
    ///
    /// # Panics
    ///
    /// The thread panicked.
    #[must_use]
    pub fn stop(mut self) -> Readings {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("reading does not panic")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
