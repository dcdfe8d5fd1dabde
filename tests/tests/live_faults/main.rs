//! Faults between Vexilla and a real Flagr; does nothing without one.
//!
//! ```text
//! FLAGR_BIN=/path/to/flagr cargo test --release -p vexilla-tests --test live_faults -- --nocapture --test-threads=1
//! ```
//!
//! `FLAGR_BIN` names the server's program, Flagr 1.2 or newer. Each test starts
//! servers of its own on loopback, with a fresh SQLite database in a temporary
//! folder, and ends them whatever happens, even if the test is killed. A name
//! after `--` runs only the tests with it in their names. The whole run takes
//! about 25 minutes.
//!
//! Each fault prints one row of a Markdown table: the fault, the bar, what was
//! measured, and whether the bar was met. A test fails if flags went missing, if
//! a level was wrong, if a fault was silent, or if too many requests were sent.
//!
//! # Times
//!
//! These tests wait in real time, on machines that may be busy. A bar that is a
//! time therefore fails a test only beyond twice its value and 2 s; below that,
//! the row says that it was late. The servers renew their caches each second,
//! and services poll each second, unless the row says otherwise.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::print_stdout, reason = "the rows of the table")]

mod blackhole;
mod deletions;
mod empty;
mod flagr;
mod folder;
mod hangs;
mod http;
#[path = "../outages/log.rs"]
mod log;
mod notifications;
mod outages;
mod partial;
mod proxy;
mod random_failures;
mod report;
mod requests;
mod rollback;
mod service;
mod slow_fetch;
mod stuck;
mod timeline;
