//! A real Flagr in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;

use crate::folder::Folder;
use crate::http;

/// No start takes longer, on a busy machine neither.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often it renews the cache that it exports from.
const CACHE_INTERVAL: &str = "1s";
/// Starts the server in the background, prints its process ID and kills it once
/// standard input ends: so it ends with the test, even if that is killed.
const GUARD: &str = r#""$0" >/dev/null 2>&1 & echo $!; read -r _; kill -9 $! 2>/dev/null"#;

/// A Flagr with a database in a temporary folder. It is killed when this is
/// dropped.
pub(crate) struct Flagr {
    program: PathBuf,
    address: SocketAddr,
    folder: Arc<Folder>,
    database: PathBuf,
    cache_interval: &'static str,
    process: Option<Process>,
}

struct Process {
    shell: Child,
    id: String,
}

/// The key of the flag with this ID.
pub(crate) fn key(id: u64) -> String {
    format!("flag-{id}")
}

impl Flagr {
    /// Starts a server with flags of the IDs from 1 to this, each of which
    /// answers `on`; `None` without `FLAGR_BIN`.
    pub(crate) fn with_flags(flags: u64) -> Option<Self> {
        let program = env::var_os("FLAGR_BIN")?;
        let folder = Arc::new(Folder::new());
        let mut flagr = Self {
            program: program.into(),
            address: free_address(),
            database: folder.file("flagr.sqlite"),
            folder,
            cache_interval: CACHE_INTERVAL,
            process: None,
        };
        flagr.start();
        for id in 1..=flags {
            flagr.create(id);
        }
        flagr.until_exported();
        Some(flagr)
    }

    /// Another server of the same database, which renews its cache only when it
    /// starts.
    pub(crate) fn stuck_replica(&self) -> Self {
        let mut replica = self.beside();
        replica.cache_interval = "24h";
        replica.start();
        replica
    }

    /// Changes the database while the server is down.
    pub(crate) fn edit_offline(&self, edit: impl FnOnce(&Self)) {
        let mut other = self.beside();
        other.start();
        edit(&other);
    }

    fn beside(&self) -> Self {
        Self {
            program: self.program.clone(),
            address: free_address(),
            folder: Arc::clone(&self.folder),
            database: self.database.clone(),
            cache_interval: self.cache_interval,
            process: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder of the database, for other files of a test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, at the same address and on the same database, and waits until
    /// it answers.
    pub(crate) fn start(&mut self) {
        let mut shell = Command::new("sh")
            .args(["-c", GUARD])
            .arg(&self.program)
            .env("FLAGR_DB_DBDRIVER", "sqlite3")
            .env("FLAGR_DB_DBCONNECTIONSTR", &self.database)
            .env("FLAGR_EVALCACHE_REFRESHINTERVAL", self.cache_interval)
            .env("FLAGR_LOGRUS_LEVEL", "error")
            .env("FLAGR_MIDDLEWARE_VERBOSE_LOGGER_ENABLED", "false")
            .env("FLAGR_PPROF_ENABLED", "false")
            .env("FLAGR_PROMETHEUS_ENABLED", "false")
            .env("FLAGR_RECORDER_ENABLED", "false")
            .env("HOST", self.address.ip().to_string())
            .env("PORT", self.address.port().to_string())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut id = String::new();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        output.read_line(&mut id).unwrap();
        let id = id.trim().to_owned();
        self.process = Some(Process { shell, id });
        let start = Instant::now();
        while !matches!(http::send(self.address, "GET", "/health", ""), Ok((200, _))) {
            assert!(start.elapsed() < START_LIMIT, "Flagr does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues it by a signal, `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Copies the database of a server that is down.
    pub(crate) fn back_up(&self) -> PathBuf {
        let copy = self.folder.file("backup.sqlite");
        fs::copy(&self.database, &copy).unwrap();
        copy
    }

    /// Puts another database in place of that of a server that is down; none is
    /// an empty one.
    pub(crate) fn replace_database(&self, other: Option<&Path>) {
        fs::remove_file(&self.database).unwrap();
        if let Some(other) = other {
            fs::copy(other, &self.database).unwrap();
        }
    }

    /// Creates a flag that answers `on`. The ID must be the next one.
    pub(crate) fn create(&self, id: u64) {
        let body = format!(
            r#"{{"description":"a flag","key":"{}","template":"simple_boolean_flag"}}"#,
            key(id)
        );
        let created = self.json("POST", "/flags", &body);
        assert_eq!(created["id"], id);
        self.set_enabled(id, true);
    }

    pub(crate) fn set_enabled(&self, id: u64, enabled: bool) {
        let body = format!(r#"{{"enabled":{enabled}}}"#);
        self.json("PUT", &format!("/flags/{id}/enabled"), &body);
    }

    pub(crate) fn delete(&self, id: u64) {
        self.json("DELETE", &format!("/flags/{id}"), "");
    }

    pub(crate) fn restore(&self, id: u64) {
        self.json("PUT", &format!("/flags/{id}/restore"), "");
    }

    /// Gives a flag two constraints that Flagr takes one by one and cannot load
    /// together: from now on its cache stays as it is, until the flag is deleted.
    pub(crate) fn stop_loading(&self, id: u64) {
        // Each flag has one segment, of the same ID.
        let path = format!("/flags/{id}/segments/{id}/constraints");
        for (property, value) in [("p", "1) /*"), ("q/* c */", "1")] {
            let body = format!(r#"{{"property":"{property}","operator":"EQ","value":"{value}"}}"#);
            self.json("POST", &path, &body);
        }
    }

    /// The latest snapshot ID.
    pub(crate) fn latest_id(&self) -> u64 {
        let answer = self.json("GET", "/flags/snapshots/max_id", "");
        answer["maxID"].as_u64().unwrap_or(0)
    }

    /// Waits until the export carries the last change, which must not be a
    /// deletion.
    pub(crate) fn until_exported(&self) {
        let latest = self.latest_id();
        let start = Instant::now();
        loop {
            let export = self.json("GET", "/export/eval_cache/json", "");
            let flags = export["Flags"].as_array().unwrap();
            let newest = flags.iter().filter_map(|flag| flag["SnapshotID"].as_u64());
            if newest.max().unwrap_or(0) >= latest {
                return;
            }
            assert!(start.elapsed() < START_LIMIT, "the export stays behind");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn json(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = http::send(self.address, method, path, body).unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(status, 200, "{method} {path} {body}: {text}");
        serde_json::from_slice(&answer).unwrap_or_default()
    }
}

impl Process {
    fn signal(&self, signal: &str) {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-s", signal, &self.id]).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}
