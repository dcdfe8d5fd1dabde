//! Outages on real sockets: whatever the server does, what was known stays, the
//! level says so, and the flags are fresh again soon after it is over.
//!
//! The limits are real and short. Tests wait for what happens, never for time;
//! the times that they print are beside the bound that they are meant to keep.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::print_stdout, reason = "figures for whoever runs the tests")]

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vexilla_core::{
    BreakerPolicy, BreakerState, Context, FlagrSource, Level, RetryPolicy, Status, Vexilla,
    VexillaBuilder,
};
use vexilla_tests::fake_flagr::{Answer, Authority, FakeFlagr, GUARD, Route, key, until};

/// How many flags are known.
const FLAGS: u64 = 40;
const POLL: Duration = Duration::from_millis(50);
const REQUEST: Duration = Duration::from_millis(200);
const OPEN: Duration = Duration::from_millis(150);
const SLOW_RETRY: Duration = Duration::from_millis(200);
const MAX_BYTES: usize = 100_000;
const TOKEN: &str = "Bearer secret-token";
const LOGIN_PAGE: &str = "<!doctype html><html><body>Please log in</body></html>";

/// What was logged by all tests, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start_to_log() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(|| Log)
            .init();
    });
}

/// The lines that were logged with all of this in them.
fn logged(parts: &[&str]) -> Vec<String> {
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    let with_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.lines().filter(with_all).map(str::to_owned).collect()
}

/// A service's settings; each secret in them has `secret` in it.
fn at(url: &str) -> VexillaBuilder {
    start_to_log();
    let source = FlagrSource::builder(&format!("{url}/secret-path/?secret-query"))
        .header("Authorization", TOKEN)
        .header("x-api-key", "secret-key")
        .timeout(REQUEST)
        .max_bytes(MAX_BYTES)
        .build()
        .unwrap();
    let (short, longer) = (Duration::from_millis(5), Duration::from_millis(20));
    let retry = RetryPolicy::new().first_delay(short).longest_delay(longer);
    Vexilla::builder(source)
        .poll_interval(POLL)
        .full_refresh_interval(Duration::from_secs(86_400))
        .slow_retry_interval(SLOW_RETRY)
        .flagr_cache_interval(Duration::from_millis(10))
        .retry(retry.retry_after_limit(OPEN))
        .breaker(BreakerPolicy::new().open_for(OPEN).probe_limit(REQUEST * 5))
}

/// The levels from now on, each as long as it lasts.
struct Levels(Arc<Mutex<Vec<Level>>>);

impl Levels {
    fn of(vexilla: &Vexilla) -> Self {
        let mut watch = vexilla.watch_status();
        let levels = Arc::new(Mutex::new(vec![vexilla.status().level]));
        let seen = Arc::clone(&levels);
        tokio::spawn(async move {
            while let Some(status) = watch.next().await {
                let mut seen = seen.lock().unwrap();
                if seen.last() != Some(&status.level) {
                    seen.push(status.level);
                }
            }
        });
        Self(levels)
    }

    /// Waits until the last one is this, and gives them all.
    async fn until(&self, level: Level) -> Vec<Level> {
        let waiting = async {
            loop {
                let levels = self.0.lock().unwrap().clone();
                if levels.last() == Some(&level) {
                    return levels;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, waiting).await.unwrap()
    }
}

type Act = Box<dyn Fn(&FakeFlagr)>;

/// Something that goes wrong for a while.
struct Outage {
    name: &'static str,
    begin: Act,
    end: Act,
    /// The server is there and says no.
    refuses: bool,
}

impl Outage {
    fn new(
        name: &'static str,
        begin: impl Fn(&FakeFlagr) + 'static,
        end: impl Fn(&FakeFlagr) + 'static,
    ) -> Self {
        Self {
            name,
            begin: Box::new(begin),
            end: Box::new(end),
            refuses: false,
        }
    }

    /// Some routes are spoilt.
    fn of(
        routes: &'static [Route],
        name: &'static str,
        mode: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let begin = move |server: &FakeFlagr| {
            for route in routes {
                server.spoil(*route, mode.clone());
            }
        };
        Self::new(name, begin, FakeFlagr::heal)
    }

    fn both(
        name: &'static str,
        mode: impl Fn(Answer) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::of(&[Route::MaxId, Route::Export], name, mode)
    }

    fn answer(name: &'static str, answer: Answer) -> Self {
        Self::both(name, move |_| answer.clone())
    }

    fn refusal(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// Goes through it with a service at this address of the server, from live
    /// to stale to live again.
    async fn survive(self, server: &FakeFlagr, url: &str) {
        let name = self.name;
        let vexilla = at(url).build().await.unwrap();
        until(&vexilla, |status| status.level == Level::Live).await;
        let reader = server.reader(vexilla.clone(), 1..=FLAGS);

        let levels = Levels::of(&vexilla);
        (self.begin)(server);
        let value = server.edit(|database| database.value(1)).unwrap() + 1;
        let change = server.edit(|database| database.set(1, value));
        let status = until(&vexilla, |status| {
            status.level == Level::Stale && status.consecutive_failures >= 4
        })
        .await;
        assert!(status.version < change, "{name}: nothing is made up");
        assert_eq!(status.flags as u64, FLAGS, "{name}");
        assert!(status.last_error.is_some(), "{name}");
        let closed = status.breaker == BreakerState::Closed;
        assert_eq!(closed, self.refuses, "{name}: {status:?}");
        let served = vexilla.flags(Context::new("visitor"));
        assert!(served.evaluate(&key(1)).is_stale(), "{name}");

        let (before, checks) = (server.counts(), vexilla.status().counts.checks);
        let healed = Instant::now();
        (self.end)(server);
        let live = |status: &Status| status.level == Level::Live && status.version == change;
        let recovered = until(&vexilla, live).await;
        let took = healed.elapsed();
        let requests = server.counts().requests() - before.requests();
        let checks = recovered.counts.checks - checks;
        assert!(
            checks <= 2,
            "{name}: one under way, one after it; not {checks}"
        );
        assert!(requests <= 8, "{name}: {requests}");
        assert_eq!(
            (recovered.consecutive_failures, recovered.last_error),
            (0, None)
        );
        let levels = levels.until(Level::Live).await;
        assert_eq!(levels, [Level::Live, Level::Stale, Level::Live], "{name}");

        let readings = reader.stop();
        assert_eq!(readings.wrong, 0, "{name}: {:?}", readings.example);
        assert!(readings.values > FLAGS, "{name}");
        let json = format!("{status:?} {vexilla:?}");
        assert!(!json.contains("secret"), "{name}: {json}");
        assert_eq!(logged(&["secret"]), [""; 0], "{name}");
        let rest = match self.refuses {
            true => SLOW_RETRY.mul_f64(1.1),
            false => OPEN.mul_f64(1.2),
        };
        println!(
            "{name}: live, stale, live; {} values read, 0 wrong; recovered in {took:.0?} (bound {:.0?}, and a request under way) with {requests} requests",
            readings.values,
            rest + POLL.mul_f64(1.1),
        );
    }
}

async fn survive(outages: impl IntoIterator<Item = Outage>) {
    for outage in outages {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        server.authorize(TOKEN);
        let url = server.url();
        outage.survive(&server, &url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_are_survived() {
    survive([
        Outage::new("refused", FakeFlagr::refuse, |server| {
            let start = Instant::now();
            // Somebody else's connection may have the port for a moment.
            while server.accept_again().is_err() {
                assert!(start.elapsed() < GUARD);
                std::thread::yield_now();
            }
        }),
        Outage::answer("reset at once", Answer::reset()),
        Outage::both("reset amid the body", |healthy| healthy.reset_after(5)),
        Outage::both("ended amid the body", |healthy| healthy.cut_after(5)),
        Outage::answer("garbage", Answer::garbage(vec![0xff; 3_000])),
        Outage::answer("another protocol", Answer::garbage("220 mail ESMTP\r\n")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_hang_are_survived() {
    survive([
        Outage::answer("accepted and silent", Answer::silence()),
        Outage::both("silent amid the body", |healthy| healthy.stall_after(5)),
        Outage::both("one byte a second", Answer::trickle),
        Outage::of(&[Route::Export], "only the export silent", |_| {
            Answer::silence()
        }),
        Outage::of(&[Route::MaxId], "only max_id silent", |_| Answer::silence()),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_a_server_are_survived() {
    let after = |status, wait: &str| Answer::status(status).header("Retry-After", wait);
    survive([
        Outage::answer("500", Answer::status(500)),
        Outage::answer("502", Answer::status(502).body(LOGIN_PAGE)),
        Outage::answer("503", Answer::status(503)),
        Outage::answer("503, Retry-After 0", after(503, "0")),
        Outage::answer("503, Retry-After 1", after(503, "1")),
        Outage::answer("503, Retry-After a day", after(503, "86400")),
        Outage::answer("504", Answer::status(504)),
        Outage::answer("408", Answer::status(408)),
        Outage::answer("429", Answer::status(429)),
        Outage::answer("429, Retry-After 1", after(429, "1")),
        Outage::answer(
            "429, Retry-After a date",
            after(429, "Sun, 06 Nov 2094 08:49:37 GMT"),
        ),
        Outage::answer("503, Retry-After nonsense", after(503, "-soon")),
        Outage::of(&[Route::Export], "only the export 500", |_| {
            Answer::status(500)
        }),
        Outage::of(&[Route::MaxId], "only max_id 500", |_| Answer::status(500)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_survived_and_asked_again_slowly() {
    let token = Outage::new(
        "another token wanted",
        |server| server.authorize("Bearer another"),
        |server| server.authorize(TOKEN),
    );
    survive([
        Outage::answer("400", Answer::status(400)).refusal(),
        Outage::answer("401", Answer::status(401)).refusal(),
        Outage::answer("403", Answer::status(403)).refusal(),
        Outage::answer("404", Answer::status(404)).refusal(),
        Outage::answer("501", Answer::status(501)).refusal(),
        token.refusal(),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_no_flags_are_survived() {
    let redirect = Answer::status(302).header("Location", "/login");
    let bomb = Answer::json(" ".repeat(20_000_000)).gzip().unwrap();
    survive([
        Outage::answer("HTML with 200", Answer::json(LOGIN_PAGE)),
        Outage::answer("a redirect", redirect),
        Outage::answer("204", Answer::status(204)),
        Outage::answer("nothing with 200", Answer::json("")),
        Outage::both("half of the JSON", Answer::half),
        Outage::answer("{}", Answer::json("{}")),
        Outage::answer("{\"Flags\":null}", Answer::json(r#"{"Flags":null}"#)),
        Outage::answer("null", Answer::json("null")),
        Outage::answer("a number", Answer::json("7")),
        Outage::answer("a gzip bomb", bomb),
        Outage::answer(
            "no gzip",
            Answer::json("7").header("Content-Encoding", "gzip"),
        ),
        Outage::of(&[Route::Export], "only the export HTML", |_| {
            Answer::json(LOGIN_PAGE)
        }),
    ])
    .await;
}

#[test]
fn wrong_tls_is_survived() {
    // Whom to trust is read from the environment when a process starts.
    let folder = std::env::temp_dir().join(format!("vexilla-{}-tls", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["wrong_tls", "--exact", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", folder.join("authority.pem"))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    println!("{told}");
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{errors}");
    assert_eq!(told.matches("live, stale, live").count(), 5, "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wrong_tls_is_survived starts it"]
async fn wrong_tls() {
    let Some(trusted) = std::env::var_os("SSL_CERT_FILE") else {
        return;
    };
    let authority = Authority::new().unwrap();
    std::fs::write(trusted, authority.pem()).unwrap();
    let here = "127.0.0.1";
    let right = authority.identity(here).unwrap();
    let stranger = Authority::new().unwrap();
    for (name, wrong) in [
        (
            "a certificate of another name",
            Some(authority.identity("flagr.example").unwrap()),
        ),
        (
            "a certificate of a stranger",
            Some(stranger.identity(here).unwrap()),
        ),
        (
            "a certificate of the past",
            Some(authority.expired_identity(here).unwrap()),
        ),
        ("no TLS at all", None),
    ] {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        server.identify(Some(right.clone()));
        let right = right.clone();
        let outage = Outage::new(
            name,
            move |server| server.identify(wrong.clone()),
            move |server| server.identify(Some(right.clone())),
        );
        outage.survive(&server, &server.https_url()).await;
    }
    let server = FakeFlagr::healthy(FLAGS).unwrap();
    let outage = Outage::new(
        "TLS where none is expected",
        move |server| server.identify(Some(right.clone())),
        |server| server.identify(None),
    );
    outage.survive(&server, &server.url()).await;
}

#[tokio::test]
async fn suddenly_few_flags_are_held_back_until_a_second_fetch_confirms_them() {
    type Shrink = fn(&FakeFlagr);
    let emptied: Shrink = |server| server.edit(|database| database.retain(|_| false));
    let shrunk: Shrink = |server| server.edit(|database| database.retain(|id| id <= FLAGS / 20));
    let made_anew: Shrink = |server| server.edit(|database| *database = Default::default());
    let without_number: Shrink = |server| {
        server.spoil(Route::MaxId, |_| Answer::status(501));
        server.edit(|database| database.retain(|_| false));
    };
    for (name, shrink, left) in [
        ("emptied", emptied, 0),
        ("95 % smaller", shrunk, FLAGS / 20),
        ("a new database", made_anew, 0),
        ("emptied, without max_id", without_number, 0),
    ] {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        let address = server.address().to_string();
        let rarely = Duration::from_secs(3_600);
        let vexilla = at(&server.url())
            .poll_interval(rarely)
            .build()
            .await
            .unwrap();
        for time in 1..=2 {
            let before = server.edit(|database| database.clone());
            shrink(&server);
            assert!(!vexilla.refresh().await.unwrap(), "{name}");
            let status = vexilla.status();
            assert_eq!(
                (status.flags as u64, status.counts.held_back),
                (FLAGS, time),
                "{name}"
            );
            assert!(status.last_error.unwrap().contains("held back"), "{name}");
            let held_back = logged(&["ERROR", &address, "flags are held back"]);
            assert_eq!(held_back.len() as u64, time, "{name}");
            if time == 1 {
                // It was but a moment: not a word is left of it.
                server.edit(|database| *database = before);
                server.heal();
                assert!(!vexilla.refresh().await.unwrap(), "{name}");
                assert_eq!(vexilla.status().last_error, None, "{name}");
            }
        }
        assert!(vexilla.refresh().await.unwrap(), "{name}: it is confirmed");
        assert_eq!(vexilla.status().flags as u64, left, "{name}");
        assert_eq!(vexilla.status().last_error, None, "{name}");
        let taken = logged(&["ERROR", &address, "as a second fetch confirmed"]);
        assert_eq!(taken.len(), 1, "{name}");
        println!("{name}: held back at the first fetch, taken at the second");
    }
}

#[tokio::test]
async fn few_flags_without_a_change_are_taken_once_answers_agree() {
    let server = FakeFlagr::healthy(FLAGS).unwrap();
    let rarely = Duration::from_secs(3_600);
    let vexilla = at(&server.url())
        .poll_interval(rarely)
        .build()
        .await
        .unwrap();
    server.spoil(Route::Export, |_| Answer::json(r#"{"Flags":[]}"#));
    let start = Instant::now();
    let mut answers = 1;
    while !vexilla.refresh().await.unwrap() {
        assert_eq!(vexilla.status().flags as u64, FLAGS);
        assert!(start.elapsed() < GUARD);
        answers += 1;
    }
    assert!(answers >= 3, "{answers}");
    assert!(vexilla.snapshot().is_empty());
    let address = server.address().to_string();
    assert_eq!(logged(&["ERROR", &address]).len(), 1, "one loud event");
}
