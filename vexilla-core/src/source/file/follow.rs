//! Waits until a file changes.
//!
//! A change is that the file's stamp is not that of the last fetch; see
//! `changes` for when it counts. The stamp is looked at when the system tells
//! of something in a folder on the file's way, and else once in a while. All
//! that blocks happens on threads of its own, at most one for reading and one
//! for looking, however often they are asked for: a file system may hang.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::changes::{Changes, Verdict};
use super::stamp::Look;
#[cfg(feature = "watch")]
use super::watch::Watch;
use super::{Document, FileSource};
use crate::SourceError;
use crate::flag::FlagSet;
use crate::io_thread::{self, IoThreadError};
use crate::source::SourceErrorKind;

/// How often a file is looked at that the system tells of, lest it does not:
/// on a network file system it knows of its own changes only.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// The shortest interval between two looks at a file.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How much longer than a read itself the refresh loop waits for it.
const ERROR_FIRST: Duration = Duration::from_secs(5);

/// How a file is followed, and how far that is.
#[derive(Debug)]
pub(super) struct Following {
    timeout: Duration,
    /// Locked by the read that is under way, even when nobody waits for it any
    /// more.
    reading: Arc<tokio::sync::Mutex<()>>,
    poll_interval: Duration,
    debounce: Duration,
    notifications: bool,
    changes: Mutex<Changes>,
    /// The system told of something.
    told: Arc<Notify>,
    /// What asks the system to tell. Locked by the look that is under way, even
    /// when nobody waits for it any more: a file system that hangs holds up one
    /// thread, not one for each time that somebody asks.
    #[cfg(feature = "watch")]
    watch: Arc<tokio::sync::Mutex<Watch>>,
    #[cfg(not(feature = "watch"))]
    watch: Arc<tokio::sync::Mutex<()>>,
}

impl FileSource {
    /// Sets how long reading the file may take. A read that takes longer is an
    /// error, and goes on; until it ends there is no other. The next read waits
    /// as long again for that end. Default: 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.following.timeout = timeout;
        self
    }

    /// Sets how often the file is looked at where the system does not tell of
    /// its changes. Default: 1 s; at least 10 ms. A look costs a system call or
    /// two; the file is read only if it changed. Where the system tells, the
    /// file is still looked at every 5 s, or at this interval if it is longer.
    #[must_use]
    pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.following.poll_interval = poll_interval.max(MIN_POLL_INTERVAL);
        self
    }

    /// Sets for how long the file must have stayed as it is before a change
    /// counts, so that it is not read while it is being written. Default:
    /// 100 ms. A file that goes on changing is read after ten times that.
    #[must_use]
    pub fn debounce(mut self, debounce: Duration) -> Self {
        self.following.debounce = debounce;
        self
    }

    /// Does not ask the system to tell of changes, and looks at the file at the
    /// [`poll_interval`](Self::poll_interval) instead. For network file
    /// systems, where others' changes are not told of, and for systems that
    /// are short of watches.
    #[must_use]
    pub fn without_notifications(mut self) -> Self {
        self.following.notifications = false;
        self
    }
}

impl Default for Following {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            reading: Arc::default(),
            poll_interval: Duration::from_secs(1),
            debounce: Duration::from_millis(100),
            notifications: true,
            changes: Mutex::default(),
            told: Arc::default(),
            watch: Arc::default(),
        }
    }
}

impl Clone for Following {
    /// The same options; nothing was fetched yet.
    fn clone(&self) -> Self {
        Self {
            timeout: self.timeout,
            poll_interval: self.poll_interval,
            debounce: self.debounce,
            notifications: self.notifications,
            ..Self::default()
        }
    }
}

/// Reads a file, and tells how it looked before; blocks.
pub(super) fn read(document: &Document) -> (Look, Result<FlagSet, SourceError>) {
    let mut look = Look::at(&document.path);
    // That of the file which is read, should another one take its place here.
    let set = document.read(|file| look = Look::of(file).unwrap_or(look));
    (look, set)
}

impl Following {
    /// How long [`read`](Self::read) takes at most, and somewhat longer, so that
    /// its own error comes first.
    pub(super) fn longest_read(&self) -> Duration {
        self.timeout.saturating_mul(2).saturating_add(ERROR_FIRST)
    }

    /// Reads on a thread of its own, once no other read is under way.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        path: &Path,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SourceError> {
        let error = |kind, what: &str| {
            let message = format!("reading the flags file {} {what}", path.display());
            SourceError::new(kind, message)
        };
        let took_too_long = || {
            let limit = self.timeout;
            let what = format!(
                "took longer than {limit:?}; its file system may hang; if it needs longer, raise timeout"
            );
            error(SourceErrorKind::Timeout, &what)
        };
        let reading = Arc::clone(&self.reading).lock_owned();
        let Ok(reading) = timeout(self.timeout, reading).await else {
            return Err(took_too_long());
        };
        let read = move || {
            let _reading = reading;
            read()
        };
        match io_thread::run(self.timeout, read).await {
            Ok(read) => Ok(read),
            Err(IoThreadError::TookTooLong) => Err(took_too_long()),
            Err(IoThreadError::Failed(cause)) => {
                Err(error(SourceErrorKind::Other, "failed").because(cause))
            }
        }
    }

    /// Remembers what was fetched; that it could not be read is remembered as
    /// well, so that it is not tried again before the file changes.
    pub(super) fn fetched(
        &self,
        (look, set): (Look, Result<FlagSet, SourceError>),
    ) -> Result<FlagSet, SourceError> {
        self.with_changes(|changes| changes.fetched(look));
        set
    }

    /// Waits until the file is not what was fetched.
    pub(super) async fn changed(&self, path: &Path) {
        loop {
            let (look, told) = self.look(path).await;
            match self.with_changes(|changes| changes.seen(look, self.debounce)) {
                Verdict::Changed => return,
                Verdict::LookAgain(wait) => tokio::time::sleep(wait).await,
                Verdict::Unchanged => {
                    let interval = if told {
                        self.poll_interval.max(SAFETY_NET)
                    } else {
                        self.poll_interval
                    };
                    // Either way it is time to look.
                    let _ = tokio::time::timeout(interval, self.told.notified()).await;
                }
            }
        }
    }

    /// Looks at the file, and tells whether the system will tell of changes
    /// after that.
    async fn look(&self, path: &Path) -> (Look, bool) {
        loop {
            let watch = Arc::clone(&self.watch).lock_owned().await;
            let path = path.to_owned();
            #[cfg(feature = "watch")]
            let (mut watch, told) = (watch, self.notifications.then(|| Arc::clone(&self.told)));
            let look = io_thread::run(Duration::MAX, move || {
                // Before looking, so that no change falls in between.
                #[cfg(feature = "watch")]
                let told = told.is_some_and(|told| watch.cover(&path, &told));
                #[cfg(not(feature = "watch"))]
                let (told, _watch) = (false, watch);
                (Look::at(&path), told)
            });
            match look.await {
                Ok(look) => return look,
                // No thread, or the runtime is ending.
                Err(_) => tokio::time::sleep(self.poll_interval).await,
            }
        }
    }

    fn with_changes<T>(&self, with: impl FnOnce(&mut Changes) -> T) -> T {
        with(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A read that hangs until it is let go.
    async fn read(following: &Following, hang: Receiver<()>) -> Result<bool, SourceError> {
        let read = move || hang.recv().is_err();
        following.read(Path::new("flags.json"), read).await
    }

    #[tokio::test]
    async fn of_reads_that_hang_one_is_under_way() {
        let source = FileSource::new("flags.json").timeout(Duration::from_millis(1));
        let (release, hang) = channel();
        let error = read(&source.following, hang).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Timeout);
        assert!(error.to_string().contains("flags.json"), "{error}");

        // While that one hangs, no other begins, and each says why.
        for _ in 0..3 {
            let (sent, begun) = channel();
            let begins = move || sent.send(());
            let error = source.following.read(Path::new("flags.json"), begins).await;
            assert_eq!(error.unwrap_err().kind(), SourceErrorKind::Timeout);
            assert!(begun.recv().is_err(), "dropped before it began");
        }

        drop(release);
        let source = source.timeout(Duration::from_secs(60));
        let (release, hang) = channel();
        drop(release);
        assert!(read(&source.following, hang).await.unwrap(), "it goes on");
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_still_the_only_one() {
        let source = FileSource::new("flags.json");
        let (release, hang) = channel::<()>();
        let (sent, mut begun) = tokio::sync::oneshot::channel();
        let hangs = move || {
            let _ = sent.send(());
            hang.recv().is_err()
        };
        tokio::select! {
            biased;
            _ = source.following.read(Path::new("flags.json"), hangs) => unreachable!(),
            begun = &mut begun => begun.unwrap(),
        }
        assert!(source.following.reading.try_lock().is_err());
        drop(release);
        let _ = source.following.reading.lock().await;
    }
}
