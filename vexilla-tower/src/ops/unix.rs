//! A Unix socket with a file of its own.
//!
//! The file's mode is set between `bind` and `listen`: until `listen`, the
//! system refuses every connection, so that there is no moment at which the
//! process's umask decides who can connect. A file that a killed process left
//! behind is replaced if it is a socket and a connection to it is refused.
//! Between finding that out and listening, the folder is locked (`flock`), so
//! that of two processes that start at the same time neither removes the
//! socket of the other.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use vexilla_core::ops::ListenerKind;

use super::socket::{BACKLOG, Socket};

/// How often, and at what distance, the lock of the folder is tried: for 1 s.
/// After that the socket is bound without, since whoever can read a folder can
/// lock it for good.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A bound Unix socket, which removes its file when it is dropped.
#[derive(Debug)]
pub(super) struct BoundSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a bound socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: the path may lead to another file by now.
    identity: (u64, u64),
}

impl BoundSocket {
    /// Creates the socket and listens on it.
    pub(super) async fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        // The process may change its folder before it removes the file.
        let path = std::path::absolute(path)?;
        let _lock = lock_folder(&path).await;
        let socket = UnixSocket::new_stream()?;
        match socket.bind(&path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(&path).await?;
                socket.bind(&path)?;
            }
            bound => bound?,
        }
        let file = SocketFile::new(path)?;
        std::fs::set_permissions(&file.path, PermissionsExt::from_mode(mode))?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self { listener, file })
    }

    /// The absolute path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Socket for BoundSocket {
    const KIND: ListenerKind = ListenerKind::Unix;

    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl SocketFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a socket's file was not removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = path.symlink_metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes the file of a socket that nobody listens on any more.
async fn remove_stale(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.file_type().is_socket() {
        let error = "there is a file at this path that is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, error));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Whoever does not let us connect, or has a full queue, is there.
        Ok(_) | Err(_) => Err(io::Error::new(
            ErrorKind::AddrInUse,
            "another process listens on it",
        )),
    }
}

/// Locks the folder of a path until the file is dropped.
async fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(path.parent()?).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            // Not every file system has locks.
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let name = format!("vexilla-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_another_one_in_the_same_folder() {
        let folder = folder("lock");
        let path = folder.join("ops.sock");
        let other = File::open(&folder).unwrap();
        other.lock().unwrap();
        let (bound, was_there) = tokio::join!(BoundSocket::bind(&path, 0o600), async {
            tokio::time::sleep(LOCK_PAUSE * 5).await;
            let was_there = path.exists();
            other.unlock().unwrap();
            was_there
        });
        assert!(!was_there, "it did not wait");
        assert!(path.exists());
        drop(bound.unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_never_released_keeps_no_listener_from_starting() {
        let folder = folder("locked");
        let path = folder.join("ops.sock");
        let other = File::open(&folder).unwrap();
        other.lock().unwrap();
        assert!(BoundSocket::bind(&path, 0o600).await.is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
