//! How fresh the flags are: what [`Vexilla::status`](crate::Vexilla::status)
//! tells, and when it changes.
//!
//! # The ladder
//!
//! | [`Level`] | What is served | Customary name |
//! |---|---|---|
//! | [`Live`](Level::Live) | what the source has | Healthy |
//! | [`Stale`](Level::Stale) | what the source had when it was last reached | L1, polling |
//! | [`Restored`](Level::Restored) | the last-known-good copy | L2, cache only |
//! | [`Defaults`](Level::Defaults) | what the code gives | Emergency defaults |

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use super::backoff::BreakerState;
use crate::snapshot::Snapshot;

/// How fresh the flags are that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// A check succeeded within the last three poll intervals.
    Live,
    /// No check succeeded for so long; or the source answers, but with older
    /// flags, without some of the loaded ones, or late. The loaded flags are
    /// served.
    Stale,
    /// The last-known-good copy is served: the source has neither confirmed nor
    /// replaced it yet.
    Restored,
    /// No flags are loaded, or they are older than
    /// [`max_stale`](crate::VexillaBuilder::max_stale), or of unknown age where
    /// that is set. Embedded flags and emergency defaults are served.
    Defaults,
}

impl Level {
    /// The level's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Restored => "restored",
            Self::Defaults => "defaults",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How fresh the flags are, at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// How fresh the flags are.
    pub level: Level,
    /// Since when.
    pub since: SystemTime,
    /// What the source is; without secrets.
    pub source: String,
    /// When a check last succeeded; for a copy that was restored, when it was
    /// saved.
    pub last_success: Option<SystemTime>,
    /// How long ago that was; `None` as well for a copy that was saved by a
    /// clock more than a minute ahead of this one.
    pub age: Option<Duration>,
    /// How many checks failed since one succeeded.
    pub consecutive_failures: u32,
    /// Why the last request to the source failed, from the moment when it did;
    /// why the loaded flags may be out of date though the source answers; or,
    /// once they are stale, that refreshing was shut down; or that the loop ended
    /// without a shutdown. `None` once a check succeeded.
    pub last_error: Option<String>,
    /// Whether checks keep failing, in the terms of a circuit breaker.
    pub breaker: BreakerState,
    /// The download of the flags that is under way, if there is one.
    pub download: Option<Download>,
    /// How many flags are served, those with problems included.
    pub flags: usize,
    /// How many of them cannot be evaluated.
    pub problems: usize,
    /// The greatest `SnapshotID` of the flags that are served.
    pub version: u64,
    /// Why the last-known-good copy could not be loaded or saved, if so; or that
    /// a save has been under way for more than 30 s.
    pub last_known_good_error: Option<String>,
    /// What happened since the start.
    pub counts: Counts,
}

/// A download of the flags that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// When it began.
    pub since: SystemTime,
    /// How many bytes have arrived; `None` if the source does not report it
    /// ([`Source::fetch_with_progress`](crate::source::Source::fetch_with_progress)).
    pub bytes: Option<u64>,
}

/// How often things happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counts {
    /// Checks of the source, whatever came of them.
    pub checks: u64,
    /// Checks that failed.
    pub failures: u64,
    /// Requests to the source: for the latest snapshot ID and for the flags.
    pub requests: u64,
    /// Times that all flags were fetched.
    pub fetches: u64,
    /// Times that other flags were put in place.
    pub changes: u64,
    /// Changes that a poll found though no push had announced them. Where
    /// webhooks are set up, pushes are being lost if this grows.
    pub changes_without_push: u64,
    /// Pushes that came in.
    pub pushes: u64,
    /// Answers that were older than the loaded flags and were not loaded.
    pub older_answers: u64,
    /// Answers that lacked flags and were kept aside, because the latest snapshot
    /// ID did not explain the loss.
    pub suspicious_answers: u64,
    /// Panics in the source, caught.
    pub panics: u64,
    /// Evaluations beyond the limits [`regex_work`](crate::Limits::regex_work) and
    /// [`cel_work`](crate::Limits::cel_work), see
    /// [`Snapshot::evaluations_beyond_limits`](crate::snapshot::Snapshot::evaluations_beyond_limits).
    pub beyond_limits: u64,
}

impl Status {
    /// The status of flags without a source.
    pub(crate) fn fixed(snapshot: &Snapshot) -> Self {
        Self {
            level: Level::Live,
            since: SystemTime::now(),
            source: "none".to_owned(),
            last_success: None,
            age: None,
            consecutive_failures: 0,
            last_error: None,
            breaker: BreakerState::Closed,
            download: None,
            flags: snapshot.len(),
            problems: snapshot.problem_count(),
            version: snapshot.version(),
            last_known_good_error: None,
            counts: Counts {
                beyond_limits: snapshot.evaluations_beyond_limits(),
                ..Counts::default()
            },
        }
    }

    /// Whether a status says the same as another, but for times, counts and
    /// downloads.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let timeless = |status: &Self| Self {
            last_success: None,
            age: None,
            download: None,
            counts: Counts::default(),
            ..status.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// The status of a [`Vexilla`](crate::Vexilla), as it changes.
///
/// A slow listener misses what lies between, never the latest.
#[derive(Clone)]
pub struct StatusWatch {
    pub(super) status: watch::Receiver<Status>,
    /// Whether the loop has ended.
    pub(super) ended: watch::Receiver<bool>,
}

impl StatusWatch {
    /// The status of flags without a source, which never changes: there is no
    /// next one.
    pub(crate) fn never(status: Status) -> Self {
        Self {
            status: watch::channel(status).1,
            ended: watch::channel(true).1,
        }
    }

    /// Waits for a status that differs from the one before in more than times,
    /// [`Counts`] and [`Download`]s. In an outage each failed check is such a
    /// status: for an alert on staleness, compare [`Status::level`] with the one
    /// before.
    ///
    /// `None` when the last handle was dropped, after a
    /// [`shutdown`](crate::Vexilla::shutdown), when the runtime of the refresh
    /// loop has ended, and for flags without a source. From then on nothing
    /// changes but that the flags become stale, which
    /// [`Vexilla::status`](crate::Vexilla::status) reports.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Status> {
        tokio::select! {
            biased;
            changed = self.status.changed() => changed.ok()?,
            _ = self.ended.wait_for(|ended| *ended) => {
                // The last one may have come just before the end.
                if !self.status.has_changed().ok()? {
                    return None;
                }
            }
        }
        Some(self.status.borrow_and_update().clone())
    }
}

impl fmt::Debug for StatusWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusWatch")
            .field("level", &self.status.borrow().level)
            .finish_non_exhaustive()
    }
}

impl Serialize for Status {
    /// In camel case; times in milliseconds since 1970, `ageMillis` as well in
    /// milliseconds.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut status = serializer.serialize_struct("Status", 14)?;
        status.serialize_field("level", &self.level)?;
        status.serialize_field("since", &unix_millis(self.since))?;
        status.serialize_field("source", &self.source)?;
        status.serialize_field("lastSuccess", &self.last_success.map(unix_millis))?;
        status.serialize_field("ageMillis", &self.age.map(millis))?;
        status.serialize_field("consecutiveFailures", &self.consecutive_failures)?;
        status.serialize_field("lastError", &self.last_error)?;
        status.serialize_field("breaker", self.breaker.as_str())?;
        status.serialize_field("download", &self.download)?;
        status.serialize_field("flags", &self.flags)?;
        status.serialize_field("problems", &self.problems)?;
        status.serialize_field("version", &self.version)?;
        status.serialize_field("lastKnownGoodError", &self.last_known_good_error)?;
        status.serialize_field("counts", &self.counts)?;
        status.end()
    }
}

impl Serialize for Download {
    /// `since` in milliseconds since 1970.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut download = serializer.serialize_struct("Download", 2)?;
        download.serialize_field("since", &unix_millis(self.since))?;
        download.serialize_field("bytes", &self.bytes)?;
        download.end()
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
