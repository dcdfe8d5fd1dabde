//! The last-known-good copy in one file.
//!
//! A save writes a temporary file in the same folder, flushes it to the disk, renames it over the file and
//! flushes the folder. A process that is killed, or a machine that loses power, at any moment leaves the old
//! document or the new one, and perhaps a temporary file, which a later save removes.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{LastKnownGood, Packing, PersistError, PersistErrorKind};

/// Temporary files are named `.vexilla-`, the process's id, a random number, and this.
const TEMPORARY: (&str, &str) = (".vexilla-", ".tmp");

/// From this age on a temporary file is one that a killed process left.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// How many symbolic links a path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

/// Keeps the last-known-good copy in one file.
///
/// | What is met | What happens |
/// |---|---|
/// | no file | there is no copy; the first save makes the file, and the folders that are missing |
/// | an empty, broken-off, changed or foreign file, one of another schema, one with too many bytes | an error at the start, which goes on without a copy; the next save replaces it |
/// | something that is no file: a folder, a device, a pipe | an error, and nothing is replaced |
/// | a file or folder without permission, a read-only or full disk | an error; the copy that is there stays |
/// | a symbolic link | the file that it leads to is replaced, the link stays |
/// | two processes save to one path | each copy is whole; the last one stays |
/// | a process is killed while it saves | the old copy or the new one is there, whole; a temporary file `.vexilla-….tmp` may be left in the folder, which a save removes when it is an hour old |
///
/// On Unix only the file's owner may read and write it (mode 0600), whatever the mode of the one before.
#[derive(Debug, Clone)]
pub struct LastKnownGoodFile {
    path: PathBuf,
    packing: Packing,
}

impl LastKnownGoodFile {
    /// Keeps the flags in the file of this path, of which no other program makes use.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            packing: Packing::new(),
        }
    }

    /// Sets the most bytes that the file may have, as it is and unpacked. More are neither saved nor read.
    /// Default: [`DEFAULT_MAX_BYTES`](crate::DEFAULT_MAX_BYTES).
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.packing = self.packing.max_bytes(max_bytes);
        self
    }

    /// Has flags compressed by zstd when they are saved; what is there is read either way.
    /// Default: not.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.packing = self.packing.zstd();
        self
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Option<Vec<u8>>, PersistError> {
        let unreadable = |error| self.io("cannot read", error);
        match fs::metadata(&self.path) {
            Ok(metadata) => only_files(&metadata).map_err(unreadable)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        // One byte more than allowed, to see that there is more.
        let most = u64::try_from(self.packing.most()).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        self.packing.check_size(bytes.len())?;
        Ok(Some(bytes))
    }

    fn write(&self, document: &[u8]) -> Result<(), PersistError> {
        self.packing.check_size(document.len())?;
        replace(&self.path, document).map_err(|error| self.io("cannot write", error))
    }

    fn io(&self, what: &str, error: io::Error) -> PersistError {
        let message = format!("{what} the last-known-good copy {}", self.path.display());
        PersistError::new(PersistErrorKind::Io, message).because(error)
    }
}

impl LastKnownGood for LastKnownGoodFile {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, PersistError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read())
            .await
            .map_err(PersistError::other)?
    }

    async fn save(&self, document: Vec<u8>) -> Result<(), PersistError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.write(&document))
            .await
            .map_err(PersistError::other)?
    }

    fn packing(&self) -> Packing {
        self.packing
    }
}

/// Puts these bytes in the place of a file, all or nothing.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = behind_links(path)?;
    match fs::symlink_metadata(&path) {
        Ok(metadata) => only_files(&metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    remove_left_over(folder, SystemTime::now());

    let temporary = folder.join(temporary_name());
    let outcome = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
    if let Err(error) = outcome {
        // It may not even be there.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    flush_folder(folder)
}

/// Where a path leads in the end, be there a file or not, so that a rename replaces the file and not the link.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Refuses what reading could hang on, or renaming could destroy.
fn only_files(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let message = "there is something that is no file; name a path of its own";
    Err(io::Error::other(message))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename outlive a loss of power. Some network file systems have no such thing and need none.
fn flush_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// A name that no other save uses, in this process or another, not even one on another machine with the
/// same process id.
fn temporary_name() -> String {
    let (start, end) = TEMPORARY;
    let random = RandomState::new().hash_one(());
    format!("{start}{}-{random:016x}{end}", std::process::id())
}

fn is_temporary_name(name: &str) -> bool {
    let (start, end) = TEMPORARY;
    name.strip_prefix(start)
        .and_then(|name| name.strip_suffix(end))
        .and_then(|name| name.split_once('-'))
        .is_some_and(|(process, random)| {
            process.parse::<u32>().is_ok()
                && random.len() == 16
                && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// Removes what killed processes left. What cannot be removed stays; it is in nobody's way.
fn remove_left_over(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(is_temporary_name);
        if ours && is_left_over(&entry, now) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a temporary file is too old to be of a save under way. One of the future is not.
fn is_left_over(entry: &fs::DirEntry, now: SystemTime) -> bool {
    let written = entry.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| {
        now.duration_since(written)
            .is_ok_and(|age| age >= LEFT_OVER)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_temporary_files_are_taken_for_such() {
        assert!(is_temporary_name(&temporary_name()));
        assert_ne!(temporary_name(), temporary_name());
        for name in [
            "",
            ".vexilla-.tmp",
            ".vexilla-1-.tmp",
            ".vexilla-1-0123456789abcde.tmp",
            ".vexilla-1-0123456789abcdefg.tmp",
            ".vexilla-x-0123456789abcdef.tmp",
            ".vexilla-1-0123456789abcdef",
            ".vexilla-1-0123456789abcdef.tmp.gz",
            "vexilla-1-0123456789abcdef.tmp",
            ".vexilla-flags.tmp",
        ] {
            assert!(!is_temporary_name(name), "{name}");
        }
        assert!(is_temporary_name(".vexilla-1-0123456789abcdef.tmp"));
    }

    #[test]
    fn temporary_files_are_left_over_after_an_hour() {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-hour", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (ours, other) = (folder.join(temporary_name()), folder.join("a.tmp"));
        for path in [&ours, &other] {
            fs::write(path, "").unwrap();
        }
        let written = fs::metadata(&ours).unwrap().modified().unwrap();
        for early in [
            written - LEFT_OVER,
            written,
            written + LEFT_OVER - Duration::from_secs(1),
        ] {
            remove_left_over(&folder, early);
            assert!(ours.exists());
        }
        remove_left_over(&folder, written + LEFT_OVER);
        assert!(!ours.exists() && other.exists());
        remove_left_over(&folder.join("nowhere"), written);
        fs::remove_dir_all(&folder).unwrap();
    }
}
