//! Outages on real sockets: whatever the server does, what was known stays, the
//! level says so, and the flags are fresh again soon after it is over.
//!
//! The limits are real and short. Tests wait for what happens, never for time;
//! the times that they print are beside the bound that they are meant to keep.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![expect(clippy::print_stdout, reason = "figures for whoever runs the tests")]

mod log;
mod outage;

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vexilla_core::Level;
use vexilla_tests::fake_flagr::{Answer, Authority, Database, FakeFlagr, GUARD, Route, until};

use log::logged;
use outage::{FLAGS, Outage, TOKEN, at, survive};

const LOGIN_PAGE: &str = "<!doctype html><html><body>Please log in</body></html>";
const HOUR: Duration = Duration::from_secs(3_600);
/// Where a test writes down whom it trusts, for itself.
const TRUSTED: &str = "VEXILLA_TESTS_TRUSTED";

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_tell_its_newest_change_is_live_all_the_same() {
    for (name, answer) in [
        ("501", Answer::status(501)),
        ("401", Answer::status(401)),
        ("404", Answer::status(404)),
        ("{}", Answer::json("{}")),
        ("0", Answer::json(r#"{"maxID":0}"#)),
        ("HTML", Answer::json(LOGIN_PAGE)),
        ("too much", Answer::json(" ".repeat(65 << 10))),
    ] {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        server.authorize(TOKEN);
        server.spoil(Route::MaxId, move |_| answer.clone());
        let vexilla = at(&server.url()).build().await.unwrap();
        let (mut counts, before) = (server.watch(), server.counts().export);
        let polled = counts.wait_for(|counts| counts.export >= before + 5);
        timeout(GUARD, polled).await.unwrap().unwrap();
        let change = server.edit(|database| database.set(1, 1));
        let status = until(&vexilla, |status| status.version == change).await;
        assert_eq!(status.level, Level::Live, "{name}");
        assert_eq!(
            (status.counts.failures, status.last_error),
            (0, None),
            "{name}"
        );
        assert_eq!(
            status.counts.changes, 2,
            "{name}: the order of flags is none"
        );
    }
}

#[test]
fn wrong_tls_is_survived() {
    // Whom to trust is read from the environment when a process starts.
    let folder = std::env::temp_dir().join(format!("vexilla-{}-tls", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let trusted = folder.join("authority.pem");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["wrong_tls", "--exact", "--ignored", "--nocapture"])
        .env(TRUSTED, &trusted)
        .env("SSL_CERT_FILE", &trusted)
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
    let Some(trusted) = std::env::var_os(TRUSTED) else {
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
async fn a_loss_that_no_snapshot_id_explains_is_kept_aside_until_answers_agree() {
    type Lose = fn(&FakeFlagr);
    let emptied: Lose = |server| server.edit(|database| database.retain(|_| false));
    let part: Lose = |server| {
        server.edit(|database| database.lose(|id| id == 1 || id == FLAGS));
    };
    let made_anew: Lose = |server| server.edit(|database| *database = Database::default());
    let without_id: Lose = |server| {
        server.spoil(Route::MaxId, |_| Answer::status(501));
        server.edit(|database| database.retain(|_| false));
    };
    for (name, lose, left) in [
        ("emptied", emptied, 0),
        ("a part", part, 2),
        ("a new database", made_anew, 0),
        ("emptied, without max_id", without_id, 0),
    ] {
        kept_aside(name, lose, left).await;
        println!("{name}: kept aside twice, loaded when the third answer agrees");
    }
}

async fn kept_aside(name: &str, lose: fn(&FakeFlagr), left: u64) {
    let server = FakeFlagr::healthy(FLAGS).unwrap();
    let vexilla = at(&server.url())
        .poll_interval(HOUR)
        .flagr_cache_interval(Duration::ZERO)
        .loss_confirmation(Duration::ZERO)
        .build()
        .await
        .unwrap();
    // Ports are used again.
    let address = server.address().to_string();
    let before = logged(&["ERROR", &address]).len();
    for times in [1, 2] {
        lose(&server);
        for _ in 0..times {
            assert!(!vexilla.refresh().await.unwrap(), "{name}");
        }
        let status = vexilla.status();
        assert_eq!((status.flags as u64, status.level), (FLAGS, Level::Stale));
        assert!(status.last_error.unwrap().contains("are missing"), "{name}");
        if times == 1 {
            // It was but a moment, and is forgotten.
            server.heal();
            server.edit(|database| {
                for id in 1..=FLAGS {
                    database.set(id, 0);
                }
            });
            vexilla.refresh().await.unwrap();
            let status = vexilla.status();
            assert_eq!((status.last_error, status.level), (None, Level::Live));
        }
    }
    assert!(vexilla.refresh().await.unwrap(), "{name}: answers agree");
    let status = vexilla.status();
    assert_eq!(
        (status.flags as u64, status.last_error, status.level),
        (left, None, Level::Live),
        "{name}"
    );
    let loud = logged(&["ERROR", &address]).split_off(before);
    // The second loss comes within a minute.
    let [missing, gone] = &loud[..] else {
        panic!("{loud:?}");
    };
    assert!(
        missing.contains("flags are missing in the answer"),
        "{loud:?}"
    );
    assert!(gone.contains("loading fewer flags"), "{loud:?}");
}

#[tokio::test]
async fn flags_that_were_lost_without_a_change_are_back_as_soon_as_they_are_exported() {
    for cache in [Duration::ZERO, HOUR] {
        let server = FakeFlagr::healthy(FLAGS).unwrap();
        let vexilla = at(&server.url())
            .poll_interval(HOUR)
            .flagr_cache_interval(cache)
            .build()
            .await
            .unwrap();
        server.spoil(Route::Export, |_| Answer::json(r#"{"Flags":[]}"#));
        assert!(!vexilla.refresh().await.unwrap(), "kept aside");
        assert_eq!(vexilla.status().flags as u64, FLAGS);
        assert!(vexilla.accept_loss().await.unwrap(), "accepted");
        assert!(vexilla.snapshot().is_empty());
        server.heal();
        assert!(vexilla.refresh().await.unwrap(), "back at once");
        assert_eq!(vexilla.status().flags as u64, FLAGS);
    }
}
