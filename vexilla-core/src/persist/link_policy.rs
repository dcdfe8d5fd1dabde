//! Which symbolic links may be followed to a last-known-good copy.
//!
//! In a folder that everybody may write to, anybody may put a link to a file
//! that only we may write. Linux does not follow such links
//! (`fs.protected_symlinks`), but only where it is asked to follow them, not
//! where a program resolves them itself to replace the file and not the link.
//! So the same rule is here: in such a folder a link is followed if it is ours
//! or the folder's owner's and the folder has the sticky bit, without which
//! anybody may rename what is ours.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// Whether the link of this name in this folder may be followed; blocks.
///
/// # Errors
///
/// It may not, or that cannot be told.
#[cfg(unix)]
pub(super) fn may_follow(folder: &Path, name: &OsStr) -> io::Result<()> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const WRITABLE_BY_ALL: u32 = 0o002;
    const STICKY: u32 = 0o1000;

    let within = fs::symlink_metadata(folder)?;
    if within.mode() & WRITABLE_BY_ALL == 0 {
        return Ok(());
    }
    let link = folder.join(name);
    if within.mode() & STICKY != 0 {
        let owner = fs::symlink_metadata(&link)?.uid();
        if owner == within.uid() || owner == own_user(folder)? {
            return Ok(());
        }
    }
    let message = format!(
        "the link {} is in a world-writable folder and may belong to another user; use a path without it",
        link.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// The user that this process is to a file system: the owner of a file that it
/// makes in a folder.
#[cfg(unix)]
fn own_user(folder: &Path) -> io::Result<u32> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::replace::{create_new, temporary_name};

    let path = folder.join(temporary_name());
    let user = create_new(&path)?.metadata().map(|metadata| metadata.uid());
    // It is in nobody's way, and the next save removes it.
    let _ = fs::remove_file(&path);
    user
}

/// Elsewhere only privileged users make links.
#[cfg(not(unix))]
pub(super) fn may_follow(_: &Path, _: &OsStr) -> io::Result<()> {
    Ok(())
}
