//! What is logged, at every level, so that tests can look for secrets in it.

use std::io;
use std::sync::{Mutex, Once};

/// What was logged by all tests, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to log.
pub(crate) fn start() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(|| Log)
            .init();
    });
}

/// The lines that were logged with all of this in them.
pub(crate) fn logged(parts: &[&str]) -> Vec<String> {
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    let with_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.lines().filter(with_all).map(str::to_owned).collect()
}
