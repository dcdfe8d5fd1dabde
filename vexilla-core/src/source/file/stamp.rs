//! What tells one state of a file from another without reading it.

use std::fs::{File, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The longest that a file can change without its times moving: they are those
/// of the system's tick, which is 10 ms or less on Unix and 16 ms on Windows.
pub(super) const GRAIN: Duration = Duration::from_millis(50);

/// What tells one state of a file from another: two that differ have
/// different stamps, unless they are less than [`GRAIN`] apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// There is no file, or none that can be looked at.
    Missing,
    /// The stamp of a file.
    Present {
        length: u64,
        modified: Option<SystemTime>,
        /// The device and the inode on it.
        #[cfg(unix)]
        identity: (u64, u64),
        /// When anything about the file changed, its permissions or its name
        /// too; unlike `modified`, nobody can set it back. Seconds and
        /// nanoseconds.
        #[cfg(unix)]
        changed: (i64, i64),
    },
}

/// A stamp and when it was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) stamp: Stamp,
    pub(super) at: Instant,
    /// Whether the file had changed so shortly before that it may change again
    /// without its stamp changing.
    pub(super) fresh: bool,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;

        Self::Present {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino()),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file's last change is less than [`GRAIN`] ago, by the
    /// system's clock, or ahead of it.
    fn is_fresh(self, now: SystemTime) -> bool {
        let changed = match self {
            Self::Missing => return false,
            #[cfg(unix)]
            Self::Present { changed, .. } => since_epoch(changed),
            #[cfg(not(unix))]
            Self::Present { modified, .. } => modified,
        };
        let age = changed.and_then(|changed| now.duration_since(changed).ok());
        age.is_none_or(|age| age < GRAIN)
    }
}

/// The time of so many seconds and nanoseconds since 1970, if it is not before.
#[cfg(unix)]
fn since_epoch((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds.checked_add(nanoseconds)?)
}

impl Look {
    fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            at: Instant::now(),
            fresh: stamp.is_fresh(SystemTime::now()),
        }
    }

    /// Looks at the file that a path leads to; blocks.
    pub(super) fn at(path: &Path) -> Self {
        let metadata = std::fs::metadata(path);
        Self::new(metadata.map_or(Stamp::Missing, |metadata| Stamp::of(&metadata)))
    }

    /// Looks at an open file; blocks.
    pub(super) fn of(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        Some(Self::new(Stamp::of(&metadata)))
    }
}

impl Stamp {
    /// The stamp of a file that differs in length only; for tests.
    #[cfg(test)]
    pub(super) fn of_length(length: u64) -> Self {
        Self::Present {
            length,
            modified: None,
            #[cfg(unix)]
            identity: (0, 0),
            #[cfg(unix)]
            changed: (0, 0),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_fresh_until_its_last_change_is_a_grain_ago() {
        let at = |changed| {
            let mut stamp = Stamp::of_length(1);
            if let Stamp::Present { changed: held, .. } = &mut stamp {
                *held = changed;
            }
            stamp
        };
        let now = SystemTime::UNIX_EPOCH + Duration::new(100, 50_000_000);
        assert!(!at((100, 0)).is_fresh(now));
        assert!(at((100, 1)).is_fresh(now));
        assert!(!at((0, 0)).is_fresh(now));
        assert!(at((101, 0)).is_fresh(now), "a clock ahead of ours");
        assert!(at((-1, 0)).is_fresh(now), "unknown");
        assert!(at((i64::MAX, i64::MAX)).is_fresh(now), "unknown");
        assert!(!Stamp::Missing.is_fresh(now));
    }
}
