//! What a test logged.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    /// What was logged on this thread, which is the test's own.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to log. One subscriber serves all tests: one for each thread would
/// miss events that another thread came across first.
pub(crate) fn log() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(|| Log)
            .init();
    });
    LOG.with_borrow_mut(Vec::clear);
}

/// How many lines were logged with this in them.
pub(crate) fn logged(part: &str) -> usize {
    LOG.with_borrow(|log| {
        let log = String::from_utf8_lossy(log);
        log.lines().filter(|line| line.contains(part)).count()
    })
}
