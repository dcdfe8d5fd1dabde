//! The last-known-good copy in one file; see `replace` for how it is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use super::link_policy::may_follow;
use super::previous::{self, Previous};
use super::replace::{replace, replace_with};
use super::{LastKnownGood, Packing, PersistError, PersistErrorKind};
use crate::io_thread::{self, IoThreadError};
use crate::{regular_file, symlinks};

/// What the name of the previous generation's file ends with.
const PREVIOUS: &str = ".previous";

/// Keeps the last-known-good copy in one file.
///
/// | What is met | What happens |
/// |---|---|
/// | no file | there is no copy; the first save makes the file, and the folders that are missing |
/// | an empty, broken-off, changed or foreign file, one of another schema | an error at the start, which goes on without a copy; the next save replaces it |
/// | a file with more bytes than [`max_bytes`](Self::max_bytes) | an error at the start, which goes on without a copy; the next save renames it to the [previous generation](#the-previous-generation) |
/// | something that is no file: a folder, a device, a pipe | an error, and nothing is replaced |
/// | a file or folder without permission, a read-only or full disk | an error; the copy that is there stays |
/// | a symbolic link | the file that it leads to is read and replaced, the link stays |
/// | a symbolic link in a folder that everybody may write to, such as `/tmp`, owned neither by the folder's owner nor by the user of this process; any link in such a folder without the sticky bit | an error, and nothing is read or replaced: whoever made the link may mean a file of ours. As `fs.protected_symlinks` of Linux, everywhere on the path |
/// | two processes save to one path | each copy is whole; the last one stays |
/// | a process is killed while it saves | the old copy or the new one is there, whole; a temporary file `.vexilla-….tmp` may be left in the folder, which a save removes once it is 10 s old (an hour where the file system has no locks) |
///
/// # The previous generation
///
/// A loss of flags that may be an accident is saved like any other change, and
/// the set from before it is kept in a file beside the copy, of the same name
/// with `.previous` at the end. Nothing serves it by itself.
///
/// `.previous` is the set from before the last such loss, and no part of a loss
/// replaces it:
///
/// | When a loss is saved | The copy that it replaces |
/// |---|---|
/// | the new set has all flags of that copy: another process has saved the loss already | is not kept |
/// | `.previous` has flags that the copy lacks, and was written less than a day ago: the loss goes on in steps | is not kept, `.previous` stays |
/// | `.previous` is older, of another source, has no flag that the copy lacks (the loss before was repaired), or there is none | becomes `.previous` |
/// | the copy is no whole document: truncated, changed, or of another schema | is not kept, `.previous` stays |
/// | the copy cannot be read, but may be good: of another program, or compressed for another build | becomes `.previous` |
/// | the copy has more bytes than [`max_bytes`](Self::max_bytes) | is renamed to `.previous`, and keeps its owner and permissions |
///
/// Flags are told apart by their ID, those without one by their key, and those
/// of two sources always. How long ago `.previous` was written is what its
/// modification time says. A day, because steps of one loss that are taken for
/// two cost flags, while two losses on one day that are taken for one cost the
/// changes in between.
///
/// An operator who finds that the flags should not have gone:
///
/// 1. Puts Flagr right, from its own backup if there is one. Otherwise
///    `tail -n 1 flags.lkg.previous` gives the flags as they were, in Flagr's
///    export form, if they were saved without compression; so does
///    `tail -c +40 flags.lkg.previous | zstd -d | tail -n 1` if with. Flagr's
///    JSON-file mode and [`FileSource`](crate::FileSource) read them.
/// 2. Or goes back for the time being, with Flagr away: stops the service,
///    `mv flags.lkg.previous flags.lkg`, and starts it. It serves these flags
///    until Flagr answers, and what Flagr lacks then is a loss of flags again.
///
/// On Unix only the file's owner may read and write it (mode 0600), whatever
/// the mode of the one before.
///
/// Reading and writing happen on a thread of its own, one at a time: a file
/// system that hangs holds up one thread, and does not keep the process from
/// ending.
#[derive(Debug, Clone)]
pub struct LastKnownGoodFile {
    path: PathBuf,
    packing: Packing,
    /// Locked by the read or write that is under way, even when nobody waits
    /// for it any more.
    busy: Arc<tokio::sync::Mutex<()>>,
}

impl LastKnownGoodFile {
    /// Keeps the flags in the file of this path, of which no other program
    /// makes use. A relative path is one from the folder that the process is in
    /// now, wherever it changes to later.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            path: std::path::absolute(&path).unwrap_or(path),
            packing: Packing::new(),
            busy: Arc::default(),
        }
    }

    /// Sets the most bytes that the file may have, as it is and unpacked. More
    /// are neither saved nor read; a larger file that is there at the start is
    /// renamed to `.previous` by the first save. Default:
    /// [`DEFAULT_MAX_BYTES`](crate::source::DEFAULT_MAX_BYTES).
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.packing = self.packing.max_bytes(max_bytes);
        self
    }

    /// Has flags compressed by zstd when they are saved; what is there is read
    /// either way. Default: not.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.packing = self.packing.zstd();
        self
    }

    /// The file's path, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the path leads to, and the links on the way may be
    /// followed.
    fn resolved(&self) -> io::Result<PathBuf> {
        symlinks::resolve(&self.path, may_follow)
    }

    fn read(&self) -> Result<Option<Vec<u8>>, PersistError> {
        let read = self.resolved().and_then(|path| self.read_at(&path));
        let Some(bytes) = read.map_err(|error| self.io("cannot read", error))? else {
            return Ok(None);
        };
        self.packing.check_size(bytes.len())?;
        Ok(Some(bytes))
    }

    /// Reads a file, if there is one, up to a byte more than allowed.
    fn read_at(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match regular_file::open(path) {
            Ok(file) => regular_file::read(file, self.packing.most()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, document: &[u8], keeps_previous: bool) -> Result<(), PersistError> {
        self.packing.check_size(document.len())?;
        let write = || {
            let path = self.resolved()?;
            if keeps_previous {
                self.keep_previous(&path, document)?;
            }
            replace(&path, document)
        };
        write().map_err(|error| self.io("cannot write", error))
    }

    /// Copies a file to that of the previous generation, if it is to be kept; one
    /// that is too large to be read is renamed. A document that is in its place
    /// already, because only flushing it failed, is not its own previous one.
    fn keep_previous(&self, path: &Path, document: &[u8]) -> io::Result<()> {
        let Some(current) = self.read_at(path)? else {
            return Ok(());
        };
        if current == document {
            return Ok(());
        }
        let previous_path = path_of_previous(path);
        let keep = || {
            if current.len() > self.packing.most() {
                return replace_with(&previous_path, path);
            }
            let previous = self.read_previous(&previous_path, SystemTime::now())?;
            if previous::is_kept(&current, document, previous.as_ref(), self.packing) {
                replace(&previous_path, &current)?;
            }
            Ok(())
        };
        keep().map_err(|error: io::Error| {
            let message = format!(
                "the copy before a loss of flags cannot be kept as {}: {error}",
                previous_path.display()
            );
            io::Error::new(error.kind(), message)
        })
    }

    /// Reads the previous generation, if there is one.
    fn read_previous(&self, path: &Path, now: SystemTime) -> io::Result<Option<Previous>> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        regular_file::check(&metadata)?;
        // A clock that was put back leaves files of the future.
        let age = metadata.modified().map(|written| {
            let age = now.duration_since(written);
            age.unwrap_or_else(|ahead| ahead.duration())
        });
        let document = self.read_at(path)?;
        Ok(document.map(|document| Previous {
            document,
            age: age.unwrap_or(Duration::MAX),
        }))
    }

    fn io(&self, what: &str, error: io::Error) -> PersistError {
        let message = format!("{what} the last-known-good copy {}", self.path.display());
        PersistError::new(PersistErrorKind::Io, message).because(error)
    }

    /// Does what blocks on a thread of its own.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, PersistError> + Send + 'static,
    ) -> Result<T, PersistError> {
        let busy = Arc::clone(&self.busy).lock_owned().await;
        let store = self.clone();
        let work = move || {
            let _busy = busy;
            work(&store)
        };
        match io_thread::run(Duration::MAX, work).await {
            Ok(outcome) => outcome,
            Err(IoThreadError::Failed(error)) => Err(self.io("cannot reach", error)),
            Err(IoThreadError::TookTooLong) => {
                Err(self.io("cannot reach", io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// The file of the previous generation.
fn path_of_previous(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PREVIOUS);
    path.with_file_name(name)
}

impl LastKnownGood for LastKnownGoodFile {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        self.on_thread(Self::read).await
    }

    async fn save(&self, document: Vec<u8>) -> Result<(), PersistError> {
        self.on_thread(move |store| store.write(&document, false))
            .await
    }

    async fn save_after_loss(&self, document: Vec<u8>) -> Result<(), PersistError> {
        self.on_thread(move |store| store.write(&document, true))
            .await
    }

    fn packing(&self) -> Packing {
        self.packing
    }
}

#[cfg(test)]
mod tests;
