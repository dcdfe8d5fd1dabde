//! Puts a file in the place of another, all or nothing.
//!
//! A temporary file is written in the same folder, flushed to the disk and
//! renamed over the file, and the folder is flushed. A process that is killed,
//! or a machine that loses power, at any moment leaves the old file or the new
//! one, and perhaps a temporary file, which a later save removes: a save locks
//! its temporary file, so that one without a lock is left over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::regular_file;

/// Temporary files are named `.vexilla-`, the process's id, a random number,
/// and this.
const TEMPORARY: (&str, &str) = (".vexilla-", ".tmp");

/// From this age on a temporary file is left over if nothing locks it. A save
/// locks its file right after making it.
const UNLOCKED: Duration = Duration::from_secs(10);
/// From this age on it is left over, if its file system has no locks.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// Puts these bytes in the place of a file, all or nothing; blocks. The path
/// has no links in it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_replaceable(path)?;
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    remove_left_over(folder, SystemTime::now());

    let temporary = folder.join(temporary_name());
    // Locked until it is renamed.
    let outcome = write_new(&temporary, bytes).and_then(|_locked| fs::rename(&temporary, path));
    if let Err(error) = outcome {
        // It may not even be there.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    flush_folder(folder)
}

/// Puts a file of the same folder in the place of another, all or nothing;
/// blocks.
pub(super) fn replace_with(path: &Path, other: &Path) -> io::Result<()> {
    check_replaceable(path)?;
    fs::rename(other, path)?;
    flush_folder(folder_of(path))
}

/// Refuses what is there but is no regular file.
fn check_replaceable(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => regular_file::check(&metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a file with these bytes, and locks it.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = create_new(path)?;
    // Some file systems have no locks.
    let _ = file.try_lock();
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Makes a file that nobody else may read, where there is none.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a rename outlive a loss of power. Some network file systems have no
/// such thing and need none.
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

/// A name that no other save uses, in this process or another, not even one on
/// another machine with the same process id.
pub(super) fn temporary_name() -> String {
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

/// Removes what killed processes left. What cannot be removed stays; it is in
/// nobody's way.
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

/// Whether a temporary file is of no save under way. One of the future is not.
fn is_left_over(entry: &fs::DirEntry, now: SystemTime) -> bool {
    let Ok(metadata) = entry.metadata() else {
        return false;
    };
    let age = metadata
        .modified()
        .map(|written| now.duration_since(written));
    let Ok(Ok(age)) = age else {
        return false;
    };
    if age < UNLOCKED || !metadata.is_file() {
        return false;
    }
    let file = regular_file::open(&entry.path());
    match file.map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock)) => false,
        Ok(Err(TryLockError::Error(_))) | Err(_) => age >= LEFT_OVER,
    }
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
    fn temporary_files_are_left_over_if_nothing_locks_them() {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-left", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (ours, other) = (folder.join(temporary_name()), folder.join("a.tmp"));
        let save = write_new(&ours, b"half").unwrap();
        fs::write(&other, "").unwrap();
        let written = fs::metadata(&ours).unwrap().modified().unwrap();
        for at in [written - LEFT_OVER, written, written + LEFT_OVER * 2] {
            remove_left_over(&folder, at);
            assert!(ours.exists(), "a save under way");
        }
        // What a process leaves that is killed has no lock.
        drop(save);
        for early in [
            written - LEFT_OVER,
            written,
            written + UNLOCKED - Duration::from_secs(1),
        ] {
            remove_left_over(&folder, early);
            assert!(ours.exists(), "perhaps not locked yet");
        }
        remove_left_over(&folder, written + UNLOCKED);
        assert!(!ours.exists() && other.exists());
        remove_left_over(&folder.join("nowhere"), written);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_save_removes_what_a_killed_one_left() {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-killed", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let left = folder.join(temporary_name());
        let file = create_new(&left).unwrap();
        file.set_modified(SystemTime::now() - UNLOCKED).unwrap();
        drop(file);
        replace(&folder.join("flags"), b"whole").unwrap();
        let names = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["flags"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
