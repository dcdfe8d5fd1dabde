//! What only Unix has: devices, pipes, links, permissions, limits of a process.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

use super::*;

#[tokio::test]
async fn devices_and_pipes_are_left_alone() {
    let folder = Folder::new("devices");
    let io = PersistErrorKind::Io;
    let pipe = folder.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // A pipe would be waited for until somebody writes.
    assert_eq!(refused(&pipe).await, (io, Some(io)));
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let full = folder.path("full");
    symlink("/dev/full", &full).unwrap();
    assert_eq!(refused(&full).await, (io, Some(io)));
    assert!(
        fs::metadata("/dev/full")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    let folder = Folder::new("mode");
    let store = folder.store();
    fs::write(store.path(), "old").unwrap();
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o644)).unwrap();
    store.save(b"new".to_vec()).await.unwrap();
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn links_stay_and_what_they_lead_to_is_replaced() {
    let folder = Folder::new("links");
    fs::create_dir(folder.path("volume")).unwrap();
    let (link, second) = (folder.path("link"), folder.path("second"));
    // Leads to nothing yet; another leads through it.
    symlink("volume/flags.lkg", &link).unwrap();
    symlink(&link, &second).unwrap();
    for (path, document) in [(&link, b"one"), (&second, b"two")] {
        let store = LastKnownGoodFile::new(path);
        store.save(document.to_vec()).await.unwrap();
        assert_eq!(load(&store).await.unwrap(), document);
        assert_eq!(fs::read(folder.path("volume/flags.lkg")).unwrap(), document);
    }
    assert!(link.is_symlink() && second.is_symlink());
    assert_eq!(folder.names(), ["link", "second", "volume"]);

    let round = folder.path("round");
    symlink("round", &round).unwrap();
    let io = PersistErrorKind::Io;
    assert_eq!(refused(&round).await, (io, Some(io)));
    assert!(round.is_symlink());
}

/// A folder where nobody may write, and a file that nobody may read: not even the superuser, for whom
/// permissions do not count.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_may_not_be_written_or_read_is_an_error() {
    let io = PersistErrorKind::Io;
    assert_eq!(refused(Path::new("/proc/vexilla.lkg")).await, (io, None));
    // Reading its beginning fails, where no memory is.
    let unreadable = LastKnownGoodFile::new("/proc/self/mem");
    assert_eq!(unreadable.load().await.unwrap_err().kind(), io);
}

#[tokio::test]
async fn permissions_are_respected() {
    let folder = Folder::new("permissions");
    let store = folder.store();
    store.save(b"old".to_vec()).await.unwrap();
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(store.path(), 0o000);
    if fs::read(store.path()).is_ok() {
        println!("passed over: the user of this test may read and write everything");
        return;
    }
    assert_eq!(store.load().await.unwrap_err().kind(), PersistErrorKind::Io);
    allow(store.path(), 0o600);
    allow(&folder.0, 0o500);
    let error = store.save(b"new".to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Io);
    allow(&folder.0, 0o700);
    assert_eq!(load(&store).await.unwrap(), b"old");
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_document() {
    let folder = Folder::new("full");
    let store = folder.store();
    store.save(b"old".to_vec()).await.unwrap();
    // A process may write files of so many blocks of 512 or 1,024 bytes only, and learns of it by an error.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "unix::saves_more_than_there_is_room_for",
            "--exact",
            "--ignored",
        ])
        .env(PATH, store.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        load(&store).await.unwrap(),
        b"less",
        "what that process saved at last"
    );
    assert_eq!(folder.names(), ["flags.lkg"], "nothing is left");
}

#[tokio::test]
#[ignore = "the process that another test starts"]
async fn saves_more_than_there_is_room_for() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let store = LastKnownGoodFile::new(path);
    let error = store.save(vec![1; 100_000]).await.unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Io, "{error}");
    assert_eq!(load(&store).await.unwrap(), b"old");
    store.save(b"less".to_vec()).await.unwrap();
}
