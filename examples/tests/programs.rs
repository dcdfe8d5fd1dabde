//! Every example runs, and answers as it says.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An example that serves, stopped when dropped.
struct Server {
    process: Child,
    address: String,
    /// What it printed before and after its address.
    hints: String,
}

impl Server {
    /// Starts a program on a free port and reads what it prints, up to the line
    /// that starts with `last`.
    fn start(program: &str, last: &str) -> Self {
        let mut process = Command::new(program)
            .env("PORT", "0")
            .env("OPS_ADDR", "127.0.0.1:0")
            .env("WEBHOOK_ADDR", "127.0.0.1:0")
            .env("OPS_SOCKET", socket())
            .env_remove("FLAGR_URL")
            .env_remove("FLAGS_FILE")
            .env_remove("OPS_TOKEN")
            .env_remove("WEBHOOK_SECRET")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut hints = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            hints.push_str(&line);
            hints.push('\n');
            if line.starts_with(last) {
                break;
            }
        }
        let address = hints
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://"))
            .unwrap_or_else(|| panic!("no address in {hints:?}"))
            .trim_end_matches(',')
            .to_owned();
        Self {
            process,
            address,
            hints,
        }
    }

    /// Status and body of the answer.
    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        ask(&self.address, &format!("GET {path}"), headers, "")
    }
}

/// Status and body of the answer to a method and path.
fn ask(address: &str, what: &str, headers: &str, body: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).unwrap();
    ask_on(stream, address, what, headers, body)
}

fn ask_on(
    mut stream: impl Read + Write,
    host: &str,
    what: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the operations' Unix socket is, for one program at a time.
fn socket() -> PathBuf {
    let name = format!("vexilla-example-{}.sock", std::process::id());
    std::env::temp_dir().join(name)
}

fn output(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn quickstart() -> Server {
    Server::start(env!("CARGO_BIN_EXE_quickstart"), "ctrl-c")
}

#[test]
fn the_quick_start_answers_as_it_prints() {
    let server = quickstart();
    let mut commands = server.hints.split("\n$ ");
    assert!(
        commands
            .next()
            .is_some_and(|intro| intro.ends_with("try:\n"))
    );
    let mut asked = 0;
    for command in commands {
        let (curl, printed) = command.split_once('\n').unwrap();
        let printed = printed.split("\nctrl-c").next().unwrap();
        let headers: String = curl
            .split('\'')
            .skip(1)
            .step_by(2)
            .map(|header| format!("{header}\r\n"))
            .collect();
        let (_, path) = curl.split_once(&server.address).unwrap();
        let (status, body) = server.get(path, &headers);
        assert_eq!(
            (status, body.trim_end()),
            (200, printed.trim_end()),
            "{curl}"
        );
        asked += 1;
    }
    assert_eq!(asked, 5, "{}", server.hints);
}

#[test]
fn the_first_page_of_the_quick_start_shows_every_flag_and_escapes_all() {
    let server = quickstart();
    let (status, page) = server.get(
        "/",
        "user-agent: <script>alert(1)</script>\r\nx-user-id: dora\r\n",
    );
    assert_eq!(status, 200);
    for key in [
        "new-feature",
        "new_checkout_flow",
        "express_shipping",
        "button_color",
        "dark_mode",
        "cpf_rollout",
        "max_upload_mb",
        "beta_banner",
    ] {
        assert!(page.contains(&format!("<td>{key}</td>")), "{key}: {page}");
    }
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    let (_, explained) = server.get("/flags/nowhere/explain", "");
    assert!(explained.contains("FLAG_NOT_FOUND"), "{explained}");
}

#[test]
fn the_quick_start_says_what_is_wrong_with_its_file_or_server() {
    for (variable, value, message) in [
        ("FLAGS_FILE", "/nowhere/flags.json", "/nowhere/flags.json"),
        ("FLAGR_URL", "ftp://localhost", "must be http or https"),
        ("PORT", "much", "is no port"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
            .env("PORT", "0")
            .env_remove("FLAGR_URL")
            .env(variable, value)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(message), "{variable}: {error}");
    }
}

#[test]
fn plain_hyper_serves_flags() {
    let server = Server::start(env!("CARGO_BIN_EXE_hyper"), "serving");
    let answer = |user: &str| server.get("/", &format!("x-user-id: {user}\r\n"));
    assert_eq!(answer("dora"), (200, "the new checkout\n".to_owned()));
    assert_eq!(answer("alice"), (200, "the old checkout\n".to_owned()));
}

#[test]
fn the_operations_answer_with_the_token_and_on_listeners_of_their_own() {
    let server = Server::start(env!("CARGO_BIN_EXE_operations"), "ctrl-c");
    let token = "authorization: Bearer example-token\r\n";
    assert_eq!(server.get("/internal/health/ready", "").0, 200);
    assert_eq!(server.get("/internal/admin/stats", "").0, 401);
    let (status, stats) = server.get("/internal/admin/stats", token);
    assert!(status == 200 && stats.contains("\"flags\":8"), "{stats}");
    let secret = "x-flagr-secret: example-secret\r\n";
    assert_eq!(
        ask(&server.address, "POST /webhook", secret, "{}").0,
        202,
        "{}",
        server.hints
    );
    assert_eq!(ask(&server.address, "POST /webhook", "", "{}").0, 401);

    let mut addresses = server
        .hints
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("http://"))
        .map(|address| address.split(['/', ',']).next().unwrap());
    assert_eq!(addresses.next(), Some(&*server.address));
    let operations = addresses.next().unwrap();
    let explain = "POST /admin/flags/new-feature/explain";
    assert_eq!(ask(operations, "GET /admin/stats", "", "").0, 200);
    assert_eq!(
        ask(operations, "GET /admin/stats", "origin: x\r\n", "").0,
        403
    );
    assert_eq!(ask(operations, explain, "", "").0, 403);
    let socket = UnixStream::connect(socket()).unwrap();
    let (status, explained) = ask_on(socket, "localhost", explain, "", r#"{"entityID":"7"}"#);
    assert!(status == 200 && explained.contains("STATIC"), "{explained}");
    assert_eq!(addresses.next(), Some("localhost"), "by the socket");
    let webhook = addresses.next().unwrap();
    assert_eq!(ask(webhook, "POST /webhook", "", "{}").0, 202);
}

#[test]
fn the_worker_sees_the_change_in_its_next_job() {
    assert_eq!(
        output(env!("CARGO_BIN_EXE_worker")),
        "acme: storing 12 MB\nacme: compressing 12 MB\n"
    );
}

#[test]
fn typed_flags_have_values_and_defaults() {
    let output = output(env!("CARGO_BIN_EXE_typed_flags"));
    for line in [
        "new checkout: false",
        "upload: 25 MB",
        "button: #33d",
        "a default: true",
        "14 px of #33d",
    ] {
        assert!(output.contains(line), "{output}");
    }
}

#[test]
fn both_branches_are_printed() {
    assert_eq!(
        output(env!("CARGO_BIN_EXE_both_branches")),
        "off: Hello.\non: Ahoy!\n"
    );
}
