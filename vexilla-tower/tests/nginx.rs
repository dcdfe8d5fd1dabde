//! A listener without token behind a real nginx.
//!
//! Needs the program `nginx` (Debian: `nginx-light`) on the path; without, the
//! test says so on stderr and does nothing. `check_proxied` in
//! `tests/shared/ops` sends the recorded bytes instead, and always runs.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use vexilla_tower::Vexilla;
use vexilla_tower::flag::Flag;
use vexilla_tower::ops::{Operations, OpsListener};

/// An nginx that listens on a Unix socket and forwards to an address.
struct Nginx {
    process: Child,
    /// Kept open: what nginx logs later must not fail.
    _stderr: BufReader<ChildStderr>,
    folder: PathBuf,
}

impl Nginx {
    /// `None` if there is no nginx.
    fn start(upstream: SocketAddr) -> Option<Self> {
        let folder = format!("vexilla-nginx-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};", folder.display()));
        let config = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr notice;
             events {{}}
             http {{
                 access_log off; {}
                 server {{
                     listen unix:{folder}/front.sock;
                     location / {{ proxy_pass http://{upstream}; }}
                 }}
             }}",
            temporary.join(" "),
            folder = folder.display(),
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let spawned = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match spawned {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _ = std::fs::remove_dir_all(&folder);
                return None;
            }
            spawned => spawned.unwrap(),
        };
        // It names its version once it listens.
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(": nginx/") {
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "nginx: {said}");
        }
        Some(Self {
            process,
            _stderr: stderr,
            folder,
        })
    }

    /// The answer to a request of a client for `flags.example`.
    async fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("front.sock"))
            .await
            .unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: flags.example\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn nginx_makes_nothing_but_probes_and_counts_available() {
    let vexilla = Vexilla::fixed([Flag::boolean("secret-launch", true)]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = OpsListener::bind(any, Operations::local(vexilla));
    let listener = listener.await.unwrap();
    let Some(nginx) = Nginx::start(listener.local_addr()) else {
        // Written past the test harness, which hides what is printed.
        let _ = writeln!(
            std::io::stderr(),
            "nginx is not installed: the test behind a real one is passed over"
        );
        return;
    };
    for (method, path, status) in [
        ("GET", "/health/live", "200"),
        ("GET", "/health/ready", "200"),
        ("GET", "/admin/stats", "200"),
        ("GET", "/health", "403"),
        ("GET", "/admin/flags", "403"),
        ("POST", "/admin/flags/secret-launch/explain", "403"),
        ("POST", "/admin/refresh", "403"),
        ("POST", "/admin/invalidate", "403"),
        ("POST", "/admin/invalidate-all", "403"),
    ] {
        let answer = nginx.ask(method, path).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{method} {path}: {answer}");
        // It is ours that answers, and not nginx by itself.
        assert!(answer.contains("application/json"), "{answer}");
        assert!(!answer.contains("secret-launch"), "{answer}");
    }
}
