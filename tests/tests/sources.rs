//! Sources against real sockets: whatever is no set of flags is
//! a typed error, and never takes the place of flags.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vexilla_core::flag::{DocumentErrorKind, Flag};
use vexilla_core::source::{FlagrSourceBuilder, MemorySource, Source, SourceErrorKind};
use vexilla_core::{Context, FileSource, FlagrSource, Level, SourceError, Vexilla};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr, Route};

const FLAGS: &str = r#"{"Flags":[{"ID":1,"Key":"new","Enabled":true,"SnapshotID":3,
    "Variants":[{"ID":1,"Key":"on"}],
    "Segments":[{"ID":1,"RolloutPercent":100,
        "Distributions":[{"ID":1,"VariantID":1,"VariantKey":"on","Percent":100}]}]}]}"#;
const LOGIN_PAGE: &str = "<!doctype html><html><body>Please log in</body></html>";
const MAX_BYTES: usize = 100_000;

/// A server that gives these answers, then status 500.
fn server(answers: impl IntoIterator<Item = Answer>) -> FakeFlagr {
    let server = FakeFlagr::start().unwrap();
    for answer in answers {
        server.answer(answer);
    }
    server
}

/// A source that knows secrets; each of them has `secret` in it.
fn builder(server: &FakeFlagr) -> FlagrSourceBuilder {
    let address = server.address();
    let url =
        format!("http://secret-name:secret-password@{address}/secret-path/?token=secret-token");
    FlagrSource::builder(&url)
        .header("x-api-key", "secret-key")
        .max_bytes(MAX_BYTES)
}

async fn held(source: impl Source) -> Vexilla {
    Vexilla::builder(source)
        .poll_interval(Duration::from_secs(3600))
        .build()
        .await
        .unwrap()
}

/// Neither form of an error or of anything it stands in tells a secret.
fn assert_no_secret(shown: &[&dyn Debug], error: &SourceError) {
    let mut shown: Vec<_> = shown.iter().map(|shown| format!("{shown:?}")).collect();
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        shown.extend([
            format!("{error}"),
            format!("{error:?}"),
            format!("{error:#?}"),
        ]);
        cause = error.source();
    }
    for shown in shown {
        assert!(!shown.contains("secret"), "{shown}");
    }
}

/// The error of such an answer, when flags are held already. Sees to it that
/// they stay, that the failure is told of, and no longer once an answer is good.
async fn outage(answer: Answer) -> SourceError {
    let server = server([Answer::json(FLAGS), answer, Answer::json(FLAGS)]);
    let source = builder(&server).build().unwrap();
    let vexilla = held(source.clone()).await;
    assert_eq!(vexilla.status().last_error, None);

    let error = vexilla.refresh().await.unwrap_err();
    assert!(
        error.to_string().contains(&server.address().to_string()),
        "{error}"
    );
    assert_no_secret(&[&source, &builder(&server), &vexilla], &error);
    let status = vexilla.status();
    assert_eq!(status.consecutive_failures, 1);
    assert_eq!(status.last_error, Some(error.to_string()));
    assert_eq!(
        status.level,
        Level::Live,
        "three poll intervals have not passed"
    );
    let flags = vexilla.flags(Context::new("u"));
    assert!(flags.bool("new") && !flags.evaluate("new").is_stale());

    assert!(
        !vexilla.refresh().await.unwrap(),
        "the same flags are no change"
    );
    let status = vexilla.status();
    assert_eq!((status.consecutive_failures, status.last_error), (0, None));
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    assert_eq!(status.version, 3);
    error
}

#[tokio::test]
async fn answers_that_are_no_set_of_flags_are_errors() {
    use DocumentErrorKind::{Empty, MissingFlags, NotAFlagSet, Syntax};

    for (body, kind) in [
        (LOGIN_PAGE, Syntax),
        ("", Empty),
        ("\r\n", Empty),
        (&FLAGS[..FLAGS.len() / 2], Syntax),
        (r#"{"Flags":[]}{"Flags":[]}"#, Syntax),
        (r#"{"message":"internal error"}"#, MissingFlags),
        ("{}", MissingFlags),
        (r#"{"Flags":null}"#, MissingFlags),
        ("null", MissingFlags),
        (r#"{"Flags":{}}"#, NotAFlagSet),
        ("[]", NotAFlagSet),
        ("5", NotAFlagSet),
    ] {
        let error = outage(Answer::json(body)).await;
        assert_eq!(error.kind(), SourceErrorKind::Document, "{body}: {error}");
        assert_eq!(error.document().unwrap().kind(), kind, "{body}: {error}");
    }
    let broken = Answer::json(b"{\"Flags\":[\n  \xff]}");
    let error = outage(broken).await;
    assert_eq!(error.document().unwrap().line(), 2, "{error}");
}

#[tokio::test]
async fn answers_of_another_status_are_errors() {
    for status in [201, 204, 206, 304, 400, 401, 403, 404, 429, 500, 501, 503] {
        // Even where there are flags in them.
        let body = if status == 204 || status == 304 {
            ""
        } else {
            FLAGS
        };
        let error = outage(Answer::status(status).body(body)).await;
        assert_eq!(error.kind(), SourceErrorKind::Status(status), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        let route = "/api/v1/export/eval_cache/json";
        assert!(error.to_string().contains(route), "{error}");
    }
}

#[tokio::test]
async fn an_error_names_the_route_that_failed() {
    let latest = "/api/v1/flags/snapshots/max_id";
    for answer in [
        Answer::status(401),
        Answer::status(302),
        Answer::status(500),
        Answer::json("<html>"),
        Answer::json("{").cut_after(0),
        Answer::json("x".repeat(MAX_BYTES)),
    ] {
        let server = server([]);
        server.spoil(Route::MaxId, move |_| answer.clone());
        let error = builder(&server).build().unwrap().latest().await;
        let told = error.unwrap_err().to_string();
        assert!(told.contains(latest), "{told}");
    }
    for answer in [
        Answer::json("<html>"),
        Answer::json("x".repeat(MAX_BYTES + 1)),
    ] {
        let server = server([answer]);
        let error = builder(&server).build().unwrap().fetch().await;
        let told = error.unwrap_err().to_string();
        assert!(told.contains("/api/v1/export/eval_cache/json"), "{told}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = server([Answer::json(FLAGS)]);
    for (status, location) in [(302, "/login".to_owned()), (307, elsewhere.url())] {
        let redirect = Answer::status(status)
            .header("Location", &location)
            .body(LOGIN_PAGE);
        let error = outage(redirect).await;
        assert_eq!(error.kind(), SourceErrorKind::Status(status));
        assert!(error.to_string().contains("login"), "{error}");
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn connections_that_break_are_errors() {
    for (answer, message) in [
        (
            Answer::json(FLAGS).cut_after(20),
            "cannot read the answer of",
        ),
        (
            Answer::json(FLAGS).cut_after(0),
            "cannot read the answer of",
        ),
        (Answer::reset(), "cannot reach"),
        (
            Answer::json("no gzip").header("Content-Encoding", "gzip"),
            "cannot read the answer of",
        ),
        (
            Answer::json(FLAGS).gzip().unwrap().cut_after(20),
            "cannot read the answer of",
        ),
        (Answer::json(FLAGS).header("no name", ""), "cannot reach"),
    ] {
        let error = outage(answer.clone()).await;
        assert_eq!(
            error.kind(),
            SourceErrorKind::Unreachable,
            "{answer:?}: {error}"
        );
        assert!(
            error.to_string().starts_with(message),
            "{answer:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_an_error() {
    for answer in [
        Answer::silence(),
        Answer::json(FLAGS).stall_after(0),
        Answer::json(FLAGS).stall_after(20),
    ] {
        let server = server([answer.clone(), answer.clone()]);
        let impatient = builder(&server).timeout(Duration::from_millis(50));
        let source = impatient.build().unwrap();
        let vexilla = Vexilla::builder(source.clone())
            .poll_interval(Duration::from_secs(3600))
            .embedded([Flag::boolean("new", true)])
            .build()
            .await
            .unwrap();
        let error = vexilla.refresh().await.unwrap_err();
        assert_eq!(
            error.kind(),
            SourceErrorKind::Timeout,
            "{answer:?}: {error}"
        );
        let told = error.to_string();
        assert!(told.contains(&server.address().to_string()), "{error}");
        assert_no_secret(&[&source], &error);
        assert!(vexilla.flags(Context::new("u")).bool("new") && vexilla.is_stale());
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error() {
    let address = "127.0.0.1:1";
    let url = format!("http://secret-name:secret@{address}/?secret");
    let source = FlagrSource::new(&url).unwrap();
    let error = source.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreachable);
    let start = format!("cannot reach Flagr at {address}: ");
    assert!(error.to_string().starts_with(&start), "{error}");
    assert_no_secret(&[&source, &source.name()], &error);
}

#[tokio::test]
async fn answers_beyond_the_limit_are_errors_packed_or_not() {
    let padded = |length: usize| FLAGS.to_owned() + &" ".repeat(length - FLAGS.len());
    let bomb = padded(20_000_000);
    for answer in [
        Answer::json(padded(MAX_BYTES + 1)),
        Answer::json(padded(MAX_BYTES + 1)).gzip().unwrap(),
        Answer::json(bomb).gzip().unwrap(),
    ] {
        let error = outage(answer).await;
        assert_eq!(error.kind(), SourceErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains("max_bytes"), "{error}");
    }
    for answer in [
        Answer::json(padded(MAX_BYTES)),
        Answer::json(padded(MAX_BYTES)).gzip().unwrap(),
    ] {
        let server = server([answer]);
        let set = builder(&server).build().unwrap().fetch().await.unwrap();
        assert_eq!(set.flags.len(), 1);
    }
}

#[tokio::test]
async fn gzip_is_asked_for_and_read() {
    let server = server([Answer::json(FLAGS).gzip().unwrap()]);
    let source = FlagrSource::new(&server.url()).unwrap();
    let set = source.fetch().await.unwrap();
    assert_eq!(set.flags[0].key, "new");
    let request = server.requests().remove(0).to_lowercase();
    assert!(
        request.contains("\r\naccept-encoding: gzip\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn an_export_without_flags_is_loaded_once_it_is_accepted() {
    let empty = Answer::json(r#"{"Flags":[]}"#);
    let server = server([Answer::json(FLAGS), empty.clone(), empty]);
    let vexilla = held(builder(&server).build().unwrap()).await;
    assert!(!vexilla.refresh().await.unwrap(), "it is kept aside");
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    assert!(vexilla.accept_loss().await.unwrap());
    assert!(vexilla.snapshot().is_empty() && !vexilla.is_stale());
}

#[tokio::test]
async fn paths_credentials_and_headers_are_sent() {
    let server = server([]);
    let (url, address) = (server.url(), server.address());
    let at = FlagrSource::builder;
    for builder in [
        at(&url).bearer_token("t0ken"),
        at(&url).basic_auth("alice", "p4ss"),
        at(&format!("http://bob:p%40ss@{address}")),
        at(&format!("{url}/behind/a%20proxy?query#fragment")),
        at(&format!("{url}/flagr/")),
        at(&url)
            .header("X-Team", "checkout")
            .header("x-team", "cart"),
        at(&format!("http://bob:p4ss@{address}")).basic_auth("alice", "p4ss"),
        at(&format!("http://bob:p4ss@{address}")).bearer_token("t0ken"),
    ] {
        builder.build().unwrap().fetch().await.unwrap_err();
    }

    let requests = server.requests();
    let export = "/api/v1/export/eval_cache/json HTTP/1.1\r\n";
    let has = |number: usize, name: &str, values: &[&str]| {
        let request: &String = &requests[number];
        let headers = request.lines().filter_map(|line| line.split_once(": "));
        let named = headers.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let found: Vec<_> = named.map(|(_, value)| value).collect();
        assert_eq!(found, values, "{name} in {request:?}");
    };
    has(0, "authorization", &["Bearer t0ken"]);
    has(1, "authorization", &["Basic YWxpY2U6cDRzcw=="]);
    has(2, "authorization", &["Basic Ym9iOnBAc3M="]);
    has(3, "authorization", &[]);
    has(5, "x-team", &["checkout", "cart"]);
    has(6, "authorization", &["Basic YWxpY2U6cDRzcw=="]);
    has(7, "authorization", &["Bearer t0ken"]);
    for (number, request) in requests.iter().enumerate() {
        let path = match number {
            3 => "/behind/a%20proxy",
            4 => "/flagr",
            _ => "",
        };
        assert!(
            request.starts_with(&format!("GET {path}{export}")),
            "{request}"
        );
        has(number, "host", &[&address.to_string()]);
    }
    assert_eq!(requests.len(), 8);
}

#[tokio::test]
async fn an_address_with_the_path_of_the_api_is_named() {
    let server = server([Answer::status(404), Answer::status(404)]);
    for (path, named) in [("/api/v1", true), ("/flagr", false)] {
        let source = FlagrSource::new(&format!("{}{path}", server.url())).unwrap();
        let error = source.fetch().await.unwrap_err().to_string();
        assert_eq!(error.contains("must not end in /api/v1"), named, "{error}");
    }
}

#[tokio::test]
async fn a_provider_without_a_usable_token_is_an_error_that_is_retried_soon() {
    for (token, requests, wanted) in [
        ("", 0, "the provider's bearer token is empty"),
        (" \n", 0, "the provider's bearer token is empty"),
        (
            "the-old-one",
            1,
            "the server refused the bearer token, and its provider has no other",
        ),
    ] {
        let server = server([Answer::status(401), Answer::json(FLAGS)]);
        let source = FlagrSource::builder(&format!("http://{}", server.address()))
            .bearer_token_with(move || async move { Ok::<_, String>(token.to_owned()) })
            .build()
            .unwrap();
        let error = source.fetch().await.unwrap_err();
        assert_eq!(error.to_string(), wanted);
        assert_eq!(error.kind(), SourceErrorKind::Credentials);
        assert!(error.is_transient());
        assert_eq!(server.requests().len(), requests);
    }
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_by_its_provider() {
    let refused = || Answer::status(401);
    let server = server([
        Answer::json(FLAGS),
        refused(),
        Answer::json(FLAGS),
        refused(),
        refused(),
    ]);
    let given = Arc::new(AtomicU32::new(0));
    let provider = Arc::clone(&given);
    let source = FlagrSource::builder(&format!("http://bob:p4ss@{}", server.address()))
        .bearer_token("fixed")
        .basic_auth("alice", "p4ss")
        .bearer_token_with(move || {
            let number = provider.fetch_add(1, Ordering::SeqCst);
            async move {
                match number {
                    3 => Err("no more tokens".to_owned()),
                    4 => Ok("bad\ntoken".to_owned()),
                    5 => std::future::pending().await,
                    _ => Ok(format!(" token-{number}\n")),
                }
            }
        })
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    source.fetch().await.unwrap();
    source.fetch().await.unwrap();
    // A new one is refused as well: once is enough.
    let error = source.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Status(401));

    let sent: Vec<_> = server
        .requests()
        .iter()
        .map(|request| {
            let lines = request.lines().filter_map(|line| line.split_once(": "));
            let named = lines.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            named.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let expected = [0, 0, 1, 1, 2].map(|number| vec![format!("Bearer token-{number}")]);
    assert_eq!(sent, expected);

    // What was refused is not sent again, and what the provider does is an error of a check.
    let error = source.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Credentials);
    assert!(error.is_transient());
    assert_eq!(error.source().unwrap().to_string(), "no more tokens");
    let error = source.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Credentials);
    assert!(!format!("{error:?}").contains("token-"));
    let error = source.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Timeout);
    assert!(
        error.to_string().contains("provider of bearer tokens"),
        "{error}"
    );
    assert_eq!(
        (given.load(Ordering::SeqCst), server.requests().len()),
        (6, 5)
    );
    server.answer(Answer::json(FLAGS));
    source.fetch().await.unwrap();
}

#[test]
fn addresses_that_are_none_are_refused_when_the_source_is_built() {
    for url in [
        "",
        " ",
        "localhost:18000",
        "ftp://secret:secret@localhost/secret?secret",
        "file:///secret",
        "http://",
        "http://secret:secret@",
        "http://host:port",
        "http://host:99999/secret",
        "http://[::1",
        "/path",
        "//host",
    ] {
        let error = FlagrSource::new(url).unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Configuration, "{url}");
        assert_no_secret(&[&FlagrSource::builder(url)], &error);
    }
}

#[test]
fn headers_that_cannot_be_sent_are_refused_when_the_source_is_built() {
    let local = || FlagrSource::builder("http://localhost");
    for builder in [
        local().header("x-key", "secret\r\nx-forged: 1"),
        local().header("x-key", "secret\n"),
        local().header("x-key", "secret\0"),
        local().header("x\r\nx-forged", "secret"),
        local().header("x key", "secret"),
        local().header("", "secret"),
        local().bearer_token("secret\r\nx-forged: 1"),
    ] {
        let error = builder.clone().build().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Configuration, "{error}");
        assert_no_secret(&[&builder], &error);
    }
}

#[tokio::test]
async fn flags_in_memory_can_be_changed() {
    let source = MemorySource::new([Flag::boolean("new", false)]);
    let vexilla = held(source.clone()).await;
    let before = vexilla.flags(Context::new("u"));
    assert!(!before.bool("new"));
    source.update(|set| set.flags = vec![Flag::boolean("new", true)]);
    assert!(vexilla.refresh().await.unwrap());
    assert!(!vexilla.refresh().await.unwrap());
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    assert!(!before.bool("new"), "pinned");
}

#[tokio::test]
async fn the_number_of_the_newest_change_is_read() {
    let server = FakeFlagr::healthy(0).unwrap();
    let source = builder(&server).build().unwrap();
    assert_eq!(source.latest().await.unwrap(), None, "an empty database");
    server.edit(|database| database.set(1, 1));
    assert_eq!(source.latest().await.unwrap(), Some(1));
    for answer in [
        Answer::json(LOGIN_PAGE),
        Answer::json(" ".repeat(65 << 10)),
        Answer::json(r#"{"maxID":-1}"#),
        Answer::json(r#"{"maxID":"7"}"#),
        Answer::json(""),
    ] {
        server.spoil(Route::MaxId, move |_| answer.clone());
        let error = source.latest().await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Document, "{error}");
        assert_no_secret(&[], &error);
    }
    server.spoil(Route::MaxId, |_| Answer::status(404));
    let error = source.latest().await.unwrap_err();
    let route = "/api/v1/flags/snapshots/max_id;";
    assert!(error.to_string().contains(route), "{error}");
    assert_no_secret(&[], &error);
}

#[test]
fn sources_at_other_addresses_have_other_identities() {
    let identity = |url: &str| FlagrSource::new(url).unwrap().identity();
    let production = identity("https://user:secret@flags.example.com/production");
    for other in [
        "https://flags.example.com/staging",
        "https://flags.example.com",
        "http://flags.example.com/production",
        "https://flags.example.com:8443/production",
        "https://flags.example.org/production",
    ] {
        assert_ne!(identity(other), production);
    }
    for same in [
        "https://flags.example.com/production/",
        "https://FLAGS.example.com:443/production?page=1",
        "https://other:password@flags.example.com/production",
    ] {
        assert_eq!(identity(same), production);
    }
    assert!(!production.contains("secret"));

    let file = |path: &str| FileSource::new(path).identity();
    let here = std::env::current_dir().unwrap().join("flags.json");
    assert_eq!(file("flags.json"), file(here.to_str().unwrap()));
    assert_ne!(file("flags.json"), file("other/flags.json"));
}
