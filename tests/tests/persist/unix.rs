//! What only Unix has: devices, pipes, links, permissions, limits of a process.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;

use vexilla_core::{Context, Level};

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

/// A folder as `/tmp` is, or without the sticky bit.
fn open_to_all(folder: &Folder, name: &str, mode: u32) -> PathBuf {
    let path = folder.path(name);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn of_links_where_all_may_write_only_our_own_are_followed() {
    let io = PersistErrorKind::Io;
    let folder = Folder::new("own-links");
    let target = folder.path("target");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("flags.lkg"), b"old").unwrap();
    let (sticky, open) = (
        open_to_all(&folder, "sticky", 0o1777),
        open_to_all(&folder, "open", 0o777),
    );
    for within in [&sticky, &open] {
        symlink(target.join("flags.lkg"), within.join("flags.lkg")).unwrap();
        symlink("../target", within.join("folder")).unwrap();
        symlink(within, folder.path("way")).unwrap();
        // By a link to the file, to its folder, and by one that leads to such a
        // link.
        for path in ["flags.lkg", "folder/flags.lkg"] {
            for path in [within.join(path), folder.path("way").join(path)] {
                if within == &sticky {
                    let store = LastKnownGoodFile::new(&path);
                    assert_eq!(load(&store).await.unwrap(), b"old");
                    store.save(b"old".to_vec()).await.unwrap();
                } else {
                    // Anybody may have put it in the place of ours.
                    assert_eq!(refused(&path).await, (io, Some(io)), "{path:?}");
                }
            }
        }
        // What is no link is ours to make there.
        let store = LastKnownGoodFile::new(within.join("own.lkg"));
        store.save(b"new".to_vec()).await.unwrap();
        assert_eq!(load(&store).await.unwrap(), b"new");
        assert_eq!(fs::read_dir(within).unwrap().count(), 3, "no file is left");
        fs::remove_file(folder.path("way")).unwrap();
    }
    assert_eq!(fs::read(target.join("flags.lkg")).unwrap(), b"old");
}

/// Users who are not this process's, with any luck.
const OTHERS: [u32; 2] = [54_321, 54_322];

#[tokio::test]
async fn links_of_others_where_all_may_write_are_not_followed() {
    let io = PersistErrorKind::Io;
    let folder = Folder::new("others-links");
    let target = folder.path("target.lkg");
    fs::write(&target, b"precious").unwrap();
    let within = open_to_all(&folder, "sticky", 0o1777);
    let link = within.join("flags.lkg");
    symlink(&target, &link).unwrap();
    if lchown(&link, Some(OTHERS[0]), None).is_err() {
        println!("PASSED OVER: only root can make a link somebody else's");
        return;
    }
    let store = LastKnownGoodFile::new(&link);
    chown(&within, Some(OTHERS[1]), None).unwrap();
    assert_eq!(refused(&link).await, (io, Some(io)));
    let error = store.load().await.unwrap_err().to_string();
    let told = format!(
        "the link {} is in a world-writable folder and may belong to another user; \
         use a path without it",
        link.display()
    );
    assert!(error.ends_with(&told), "{error}");
    // As Linux has it: whose the folder is might put anything there anyway.
    chown(&within, Some(OTHERS[0]), None).unwrap();
    assert_eq!(load(&store).await.unwrap(), b"precious");
    // Where not everybody may write, the link's owner does not matter.
    chown(&within, Some(OTHERS[1]), None).unwrap();
    fs::set_permissions(&within, fs::Permissions::from_mode(0o1755)).unwrap();
    assert_eq!(load(&store).await.unwrap(), b"precious");
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

/// Runs tests of this file once more, as a user for whom permissions count, if
/// this one is root.
#[test]
fn the_same_for_another_user_than_root() {
    let folder = Folder::new("user");
    let probe = folder.path("probe");
    fs::write(&probe, "").unwrap();
    if fs::metadata(&probe).unwrap().uid() != 0 {
        println!("PASSED OVER: this user is none for whom permissions do not count");
        return;
    }
    // Where that user may execute it. Another process writes the copy: a file
    // that this process had open for writing would be open in the children of
    // other tests, too, and then cannot be executed.
    let program = folder.path("tests");
    let copied = Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(&program)
        .status()
        .unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let tests = [
        "unix::permissions_are_respected",
        "unix::of_links_where_all_may_write_only_our_own_are_followed",
        "unix::a_service_starts_from_a_copy_in_a_folder_where_it_may_not_write",
    ];
    let output = Command::new(&program)
        .args(tests)
        .args(["--exact", "--nocapture"])
        .current_dir("/")
        .uid(OTHERS[0])
        .gid(OTHERS[0])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    assert!(
        told.contains("3 passed") && !told.to_lowercase().contains("passed over"),
        "{told}"
    );
}

#[tokio::test]
async fn a_service_starts_from_a_copy_in_a_folder_where_it_may_not_write() {
    let folder = Folder::new("read-only");
    let store = folder.store();
    let source = MemorySource::new([Flag::boolean("new", true)]);
    let start = || Vexilla::builder(source.clone()).last_known_good(folder.store());
    let vexilla = start().build().await.unwrap();
    vexilla.shutdown(Duration::from_secs(60)).await;
    let before = load(&store).await.unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.path("probe"), "").is_ok() {
        println!("PASSED OVER: the user of this test may write everywhere");
        return;
    }
    let away = Vexilla::builder(Away).last_known_good(folder.store());
    let away = away.build().await.unwrap();
    assert_eq!(away.status().level, Level::Restored);
    assert_eq!(away.status().last_known_good_error, None);
    assert!(away.flags(Context::new("u")).bool("new"));

    let vexilla = start().build().await.unwrap();
    vexilla.refresh().await.unwrap();
    assert!(vexilla.shutdown(Duration::from_secs(60)).await.saved);
    let status = vexilla.status();
    assert!(
        status
            .last_known_good_error
            .unwrap()
            .contains("cannot write")
    );
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(load(&store).await.unwrap(), before);
    assert_eq!(folder.names(), ["flags.lkg"]);
}

/// A folder where nobody may write, and a file that nobody may read: not even
/// the superuser, for whom permissions do not count.
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
        println!("PASSED OVER: the user of this test may read and write everything");
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
    // A process may write files of so many blocks of 512 or 1,024 bytes only,
    // and learns of it by an error.
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
