//! Flags from a file in Flagr's export form, read anew when it changes.
//!
//! Here is how the file is read; how its changes are noticed is in `follow`.

#[cfg(feature = "refresh")]
mod changes;
#[cfg(feature = "refresh")]
mod follow;
#[cfg(feature = "refresh")]
mod stamp;
#[cfg(feature = "watch")]
mod watch;
#[cfg(feature = "watch")]
mod way;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "refresh")]
use super::SourceTimeouts;
use super::{DEFAULT_MAX_BYTES, SourceError, SourceErrorKind};
use crate::flag::DocumentWarning;
use crate::flag::FlagSet;
use crate::regular_file;

/// Flags from a file, in the form of Flagr's export, `{"Flags": […]}`, with
/// all that Flagr's JSON-file mode accepts (see [`FlagSet::from_json`]).
///
/// What is built on the source reads the file anew at each refresh, and soon
/// after it changed, however that happens: edited in place, replaced by
/// renaming, deleted and made again, or reached by a symbolic link that leads
/// elsewhere now, as in a volume of a Kubernetes config map. A file is taken to
/// have changed when its length, its times or its identity did; where the
/// times of a file system are coarser than 50 ms (FAT, some network file
/// systems), an edit of the same length within that time of a read waits for
/// the next refresh.
///
/// With feature `watch` the system tells of changes. Without it, and where the
/// system cannot tell (no more watches to be had, a folder that is not there
/// yet), the file is looked at once in a while: see
/// `FileSource::poll_interval`, `FileSource::debounce` and
/// `FileSource::without_notifications`, which come with feature `refresh`.
///
/// Only a regular file is read: what leads to a named pipe, a device, a socket
/// or a folder is an error, and is not opened. Where the file system hangs, as
/// on a network that is gone, at most one read and one look at the file are
/// under way: the read is an error after `FileSource::timeout`, and so is the
/// next until the first has ended. They are on threads of their own, which do
/// not keep the process from ending.
///
/// A clone reads the same file, with the same options, and follows it by
/// itself.
#[derive(Debug, Clone)]
pub struct FileSource {
    document: Document,
    #[cfg(feature = "refresh")]
    following: follow::Following,
}

/// Where the flags are, and how many bytes of them are read.
#[derive(Debug, Clone)]
struct Document {
    path: PathBuf,
    max_bytes: usize,
    strict: bool,
    /// The warnings about what was read last, which have been logged.
    logged: Arc<Mutex<Vec<String>>>,
}

impl FileSource {
    /// Flags from the file of this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            document: Document {
                path: path.into(),
                max_bytes: DEFAULT_MAX_BYTES,
                strict: false,
                logged: Arc::default(),
            },
            #[cfg(feature = "refresh")]
            following: follow::Following::default(),
        }
    }

    /// Sets the most bytes that the file may have. Default:
    /// [`DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.document.max_bytes = max_bytes;
        self
    }

    /// Refuses the file if something in it is probably a mistake, such as a
    /// member that flags do not have (see
    /// [`DocumentWarningKind`](crate::flag::DocumentWarningKind)). Default: it is
    /// read, and each warning is logged once as long as it stands.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.document.strict = true;
        self
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.document.path
    }

    /// Reads the file; blocks while it does.
    ///
    /// # Errors
    ///
    /// A file that is no regular one, cannot be read, is too large, or is no set of flags; then
    /// [`SourceError::document`] tells line and column.
    pub fn read(&self) -> Result<FlagSet, SourceError> {
        #[cfg(feature = "refresh")]
        return self.following.fetched(follow::read(&self.document));
        #[cfg(not(feature = "refresh"))]
        self.document.read(|_| ())
    }
}

impl Document {
    /// Reads the file; what has been opened is shown before it is read.
    fn read(&self, opened: impl FnOnce(&File)) -> Result<FlagSet, SourceError> {
        let unreadable = |error| {
            let message = format!("cannot read the flags file {}", self.path.display());
            SourceError::new(SourceErrorKind::Unreadable, message).because(error)
        };
        let file = regular_file::open(&self.path).map_err(unreadable)?;
        opened(&file);
        let bytes = regular_file::read(file, self.max_bytes).map_err(unreadable)?;
        if bytes.len() > self.max_bytes {
            return Err(SourceError::new(
                SourceErrorKind::TooLarge,
                format!(
                    "the flags file {} has more than {} bytes; raise max_bytes if that is meant",
                    self.path.display(),
                    self.max_bytes
                ),
            ));
        }
        let read = match self.strict {
            true => FlagSet::from_json_strict(&bytes),
            false => FlagSet::from_json_with_warnings(&bytes).map(|(set, warnings)| {
                self.log(&warnings);
                set
            }),
        };
        read.map_err(|error| {
            let message = format!("the flags file {}", self.path.display());
            SourceError::new(SourceErrorKind::Document, message).because(error)
        })
    }

    /// Logs the warnings that what was read before did not have.
    fn log(&self, warnings: &[DocumentWarning]) {
        let now = warnings.iter().map(|warning| warning.message().to_owned());
        let now: Vec<_> = now.collect();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *logged, now);
        drop(logged);
        let path = self.path.display();
        for warning in warnings {
            if !before.iter().any(|message| message == warning.message()) {
                tracing::warn!(%path, "probably a mistake in the flags file: {warning}");
            }
        }
    }
}

#[cfg(feature = "refresh")]
impl super::Source for FileSource {
    fn name(&self) -> String {
        format!("file {}", self.path().display())
    }

    fn identity(&self) -> String {
        let path = std::path::absolute(self.path());
        let path = path.as_deref().unwrap_or_else(|_| self.path());
        format!("file {}", path.display())
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let document = self.document.clone();
        let read = move || follow::read(&document);
        let read = self.following.read(self.path(), read).await?;
        // Not before: a fetch that is dropped has fetched nothing.
        self.following.fetched(read)
    }

    fn timeouts(&self) -> SourceTimeouts {
        SourceTimeouts::new().fetch(self.following.longest_read())
    }

    async fn changed(&self) {
        self.following.changed(self.path()).await;
    }
}
