//! Listeners on a Unix socket.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::http::{Answer, request, send};
use super::{EVENT, Served};
use crate::adapter::ops::{
    ListenerOptions, Operations, OpsError, OpsListener, Webhook, WebhookListener,
};

/// A temporary folder, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("vexilla-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn ask(path: &Path, (method, target, body): (&str, &str, &str)) -> Answer {
    let request = request(method, target, &["host: anything"], body);
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        let mut stream = UnixStream::connect(path).await.unwrap();
        send(&mut stream, &request).await
    });
    answer.await.expect("an answer")
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

/// Everything is served without token at a socket that is this user's alone,
/// and whose file is there for as long as somebody listens.
pub(crate) async fn check_unix_sockets(served: &Served) {
    let folder = Folder::new("sockets");
    let path = folder.path("ops.sock");
    let local = || Operations::local(served.vexilla.clone());
    let operations = OpsListener::bind_unix(&path, local()).await.unwrap();
    assert_eq!(operations.path(), path);
    assert_eq!(mode(&path), 0o600);
    for (asked, says) in [
        (("GET", "/health", ""), "\"level\":\"live\""),
        (("GET", "/admin/flags", ""), "new-feature"),
        (
            ("POST", "/admin/flags/new-feature/explain", "{}"),
            "new-feature",
        ),
        (("POST", "/admin/refresh", ""), "\"changed\":false"),
    ] {
        let answer = ask(&path, asked).await;
        assert_eq!(answer.status, 200, "{asked:?}: {}", answer.body);
        assert!(answer.body.contains(says), "{asked:?}: {}", answer.body);
    }

    // Somebody listens, and goes on listening.
    let second = OpsListener::bind_unix(&path, local()).await;
    assert!(matches!(second, Err(OpsError::BindUnix(..))), "{second:?}");
    assert_eq!(ask(&path, ("GET", "/health/live", "")).await.status, 200);
    operations.shutdown(Duration::from_secs(20)).await;
    assert!(!path.exists(), "removed at the shutdown");

    let guarded = OpsListener::bind_unix(&path, served.operations());
    let guarded = guarded.await.unwrap();
    assert_eq!(ask(&path, ("GET", "/admin/flags", "")).await.status, 401);
    // A file that has taken its place is left alone.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another's").unwrap();
    guarded.shutdown(Duration::from_secs(20)).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"another's");

    let path = folder.path("webhook.sock");
    let options = ListenerOptions::new().unix_mode(0o660);
    let webhook = Webhook::local(served.vexilla.clone()).build().unwrap();
    let webhook = WebhookListener::bind_unix_with(&path, webhook, options);
    let webhook = webhook.await.unwrap();
    assert_eq!(mode(&path), 0o660);
    assert_eq!(ask(&path, ("POST", "/webhook", EVENT)).await.status, 202);
    drop(webhook);
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

/// What is in the way is replaced only if it is a socket that nobody listens on.
pub(crate) async fn check_stale_sockets(served: &Served) {
    let folder = Folder::new("stale-sockets");
    let path = folder.path("ops.sock");
    let bind = || OpsListener::bind_unix(&path, Operations::local(served.vexilla.clone()));

    // Dropped, but not removed, as after `kill -9`.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.symlink_metadata().unwrap().file_type().is_socket());
    let operations = bind().await.unwrap();
    assert_eq!(ask(&path, ("GET", "/admin/flags", "")).await.status, 200);
    operations.shutdown(Duration::from_secs(20)).await;

    // Another program's.
    let other = UnixListener::bind(&path).unwrap();
    let refused = bind().await;
    assert!(
        matches!(refused, Err(OpsError::BindUnix(..))),
        "{refused:?}"
    );
    assert!(UnixStream::connect(&path).await.is_ok());
    drop(other);
    std::fs::remove_file(&path).unwrap();

    let target = folder.path("target");
    std::fs::write(&target, "precious").unwrap();
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o644)).unwrap();
    for place in [
        |path: &Path, _: &Path| std::fs::write(path, "precious"),
        |path: &Path, _: &Path| std::fs::create_dir(path),
        |path: &Path, target: &Path| symlink(target, path),
        |path: &Path, _: &Path| symlink("nowhere", path),
    ] {
        place(&path, &target).unwrap();
        let before = path.symlink_metadata().unwrap();
        let error = bind().await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("not a socket"), "{source}");
        let after = path.symlink_metadata().unwrap();
        assert_eq!(before.file_type(), after.file_type());
        if before.is_dir() {
            std::fs::remove_dir(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
    }
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert_eq!(mode(&target), 0o644);

    let nowhere = folder.path("nowhere/ops.sock");
    let long = folder.path(&"x".repeat(200));
    for path in [nowhere, long] {
        let operations = Operations::local(served.vexilla.clone());
        let refused = OpsListener::bind_unix(&path, operations).await;
        assert!(
            matches!(refused, Err(OpsError::BindUnix(..))),
            "{refused:?}"
        );
    }
}
