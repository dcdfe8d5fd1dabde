//! A Flagr that hangs, on real sockets: how soon the reason is known, what it
//! names, and how far a download is.

use std::net::TcpListener;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vexilla_core::source::{Source, SourceErrorKind};
use vexilla_core::{FileSource, FlagrSource, Level, Vexilla};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr, GUARD, Route, until};

const HOUR: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(50);

/// Time is paused and jumps to whatever is waited for, as a server that hangs
/// does nothing in between.
#[tokio::test(start_paused = true)]
async fn the_reason_is_visible_within_five_seconds_by_default() {
    // Connections are made, and nobody answers: not even to a TLS handshake,
    // which is a part of connecting.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for scheme in ["http", "https"] {
        let source = FlagrSource::new(&format!("{scheme}://{address}")).unwrap();
        let vexilla = Vexilla::builder(source);
        let start = Instant::now();
        let building = tokio::spawn(vexilla.start_without_flags().build());
        let vexilla = building.await.unwrap().unwrap();
        let status = vexilla.status();
        assert!(status.last_error.is_some());
        assert!(start.elapsed() <= Duration::from_secs(6));
        assert_eq!(status.level, Level::Defaults);
        // The first refresh goes on to the download.
        while vexilla.status().counts.failures == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(start.elapsed() <= Duration::from_secs(15));

        // Polls do not.
        let before = status.counts.checks;
        while vexilla.status().counts.checks == before {
            sleep(Duration::from_millis(10)).await;
        }
        let begun = Instant::now();
        while vexilla.status().counts.failures == before {
            sleep(Duration::from_millis(10)).await;
        }
        let took = begun.elapsed();
        assert!(took <= Duration::from_secs(5), "{scheme}: {took:?}");
        let error = vexilla.status().last_error.unwrap();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("_timeout"), "names what limits it: {error}");
    }
}

#[tokio::test]
async fn an_error_names_the_setting_that_was_too_short() {
    for answer in [
        Answer::silence(),
        Answer::json(r#"{"maxID":1}"#).stall_after(0),
        Answer::json(r#"{"maxID":1}"#).stall_after(5),
        Answer::trickle(Answer::json(r#"{"maxID":1}"#)),
    ] {
        let server = FakeFlagr::healthy(3).unwrap();
        let said = answer.clone();
        server.spoil(Route::MaxId, move |_| said.clone());
        server.spoil(Route::Export, move |_| answer.clone());
        let at = |limit, latest_limit| {
            let source = FlagrSource::builder(&server.url()).timeout(limit);
            source.latest_timeout(latest_limit).build().unwrap()
        };
        let source = at(HOUR, SHORT);
        let error = timeout(GUARD, source.latest()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("within 50ms"), "{error}");
        assert!(
            error.to_string().contains("raise latest_timeout"),
            "{error}"
        );

        let source = at(SHORT, HOUR);
        let error = timeout(GUARD, source.fetch()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("within 50ms"), "{error}");
        assert!(error.to_string().contains("raise timeout"), "{error}");
        let latest = timeout(GUARD, source.latest()).await.unwrap();
        assert!(latest.is_err(), "no longer than any other request");
    }
}

#[tokio::test(start_paused = true)]
async fn the_provider_of_tokens_is_within_the_limit_of_the_request() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for takes in [Duration::from_secs(2), HOUR] {
        let source = FlagrSource::builder(&url).bearer_token_with(move || async move {
            sleep(takes).await;
            Ok::<_, String>("token".to_owned())
        });
        let source = source.timeout(HOUR).build().unwrap();
        let start = Instant::now();
        let error = source.latest().await.unwrap_err();
        let took = start.elapsed();
        let limit = Duration::from_secs(4);
        assert!(took <= limit + SHORT, "{takes:?}: {took:?}");
        assert_eq!(error.kind(), SourceErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("bearer tokens"), "{error}");
        let setting = "raise latest_timeout";
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn a_loop_waits_longer_than_the_source_itself() {
    let source = FlagrSource::builder("http://localhost").timeout(HOUR);
    let timeouts = source.build().unwrap().timeouts();
    assert!(timeouts.fetch > HOUR && timeouts.latest > Duration::from_secs(4));
    let source = FlagrSource::builder("http://localhost").timeout(Duration::MAX);
    assert_eq!(source.build().unwrap().timeouts().fetch, Duration::MAX);

    // It may wait for the read before, and as long again for its own.
    for limit in [Duration::from_millis(1), HOUR] {
        let timeouts = FileSource::new("flags.json").timeout(limit).timeouts();
        assert!(timeouts.fetch > 2 * limit, "{timeouts:?}");
    }
    let timeouts = FileSource::new("flags.json").timeout(Duration::MAX);
    assert_eq!(timeouts.timeouts().fetch, Duration::MAX);
}

#[tokio::test]
async fn a_download_under_way_shows_since_when_and_how_many_bytes_have_come() {
    let server = FakeFlagr::healthy(40).unwrap();
    let source = FlagrSource::builder(&server.url()).timeout(HOUR);
    let vexilla = Vexilla::builder(source.build().unwrap())
        .poll_interval(Duration::from_millis(20))
        .build()
        .await
        .unwrap();
    assert_eq!(vexilla.status().download, None);
    server.spoil(Route::Export, |healthy| healthy.stall_after(1_234));
    let change = server.edit(|database| database.set(1, 1));
    let status = until(&vexilla, |status| {
        let download = status.download;
        download.is_some_and(|download| download.bytes == Some(1_234))
    })
    .await;
    let download = status.download.unwrap();
    assert!(status.last_success.unwrap() <= download.since);
    assert!(status.version < change);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["download"]["bytes"], 1_234);
    assert!(json["download"]["since"].is_u64());
    // It goes with the loop.
    assert!(vexilla.shutdown(GUARD).await.ended);
    assert_eq!(vexilla.status().download, None);
}
