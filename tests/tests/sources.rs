//! Sources against real files and real sockets: whatever is no set of flags is
//! a typed error, and never takes the place of flags.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use vexilla_core::flag::Flag;
use vexilla_core::{
    Context, FileSource, FlagrSource, MemorySource, Source, SourceError, SourceErrorKind, Vexilla,
};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr};

const FLAGS: &str = r#"{"Flags":[{"ID":1,"Key":"new","Enabled":true,"SnapshotID":3,
    "Variants":[{"ID":1,"Key":"on"}],
    "Segments":[{"ID":1,"RolloutPercent":100,
        "Distributions":[{"ID":1,"VariantID":1,"VariantKey":"on","Percent":100}]}]}]}"#;

fn gzipped(body: &[u8]) -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    let headers = "content-encoding: gzip\r\n".to_owned();
    Answer::Whole(200, headers, encoder.finish().unwrap())
}

/// The error of a source whose server answers so.
async fn error_of(answer: Answer) -> SourceError {
    let flagr = FakeFlagr::start([answer]);
    let source = FlagrSource::builder(&flagr.url)
        .timeout(Duration::from_millis(300))
        .max_bytes(100_000)
        .build()
        .unwrap();
    let error = source.fetch().await.unwrap_err();
    let host = flagr.url.trim_start_matches("http://");
    assert!(error.to_string().contains(host), "{error}");
    error
}

#[tokio::test]
async fn answers_that_are_no_set_of_flags_are_errors() {
    let html = "<!doctype html><html><body>Please log in</body></html>";
    for body in [
        html,
        "",
        r#"{"Flags":[{"ID":1,"Key":"new""#,
        r#"{"message":"internal error"}"#,
        "{}",
        "null",
        r#"{"Flags":null}"#,
        r#"{"Flags":{}}"#,
        "[]",
        "5",
    ] {
        let error = error_of(Answer::json(body)).await;
        assert_eq!(error.kind(), SourceErrorKind::Document, "{body}: {error}");
        assert!(error.document().is_some(), "{body}");
    }
    for status in [201, 204, 400, 401, 403, 404, 429, 500, 501, 503] {
        let error = error_of(Answer::error(status)).await;
        assert_eq!(error.kind(), SourceErrorKind::Status(status), "{error}");
    }
    let login = "location: /login\r\n".to_owned();
    let error = error_of(Answer::Whole(302, login, html.into())).await;
    assert_eq!(error.kind(), SourceErrorKind::Status(302));
    assert!(error.to_string().contains("login"), "{error}");
}

#[tokio::test]
async fn faults_on_the_wire_are_errors() {
    let whole = FLAGS.as_bytes();
    for answer in [
        Answer::Truncated(whole.len() + 1, whole.to_vec()),
        Answer::Closed,
        Answer::Whole(200, "content-encoding: gzip\r\n".to_owned(), b"no gzip".to_vec()),
    ] {
        let error = error_of(answer.clone()).await;
        assert_eq!(error.kind(), SourceErrorKind::Unreachable, "{answer:?}: {error}");
    }
    let error = error_of(Answer::Silent).await;
    assert_eq!(error.kind(), SourceErrorKind::Timeout, "{error}");

    let nobody = FakeFlagr::start([]).url.clone();
    let source = FlagrSource::new(&nobody).unwrap();
    let mut kind = None;
    // The listener may take one more connection before it is gone.
    for _ in 0..3 {
        kind = source.fetch().await.err().map(|error| error.kind());
    }
    assert_eq!(kind, Some(SourceErrorKind::Unreachable));
}

#[tokio::test]
async fn answers_beyond_the_limit_are_errors_packed_or_not() {
    let mut large = FLAGS.to_owned();
    large.push_str(&" ".repeat(200_000));
    for answer in [Answer::json(&large), gzipped(large.as_bytes())] {
        assert_eq!(error_of(answer).await.kind(), SourceErrorKind::TooLarge);
    }
}

#[tokio::test]
async fn gzip_is_read() {
    let flagr = FakeFlagr::start([gzipped(FLAGS.as_bytes())]);
    let set = FlagrSource::new(&flagr.url).unwrap().fetch().await.unwrap();
    assert_eq!(set.flags[0].key, "new");
    assert!(flagr.requests()[0].contains("accept-encoding: gzip"));
}

#[tokio::test]
async fn a_fetch_that_fails_leaves_the_flags_and_marks_them() {
    let flagr = FakeFlagr::start([
        Answer::json(FLAGS),
        Answer::json("<html>"),
        Answer::error(500),
        Answer::json(FLAGS),
    ]);
    let source = FlagrSource::new(&flagr.url).unwrap();
    let vexilla = Vexilla::builder(source)
        .refresh_interval(Duration::from_secs(3600))
        .build()
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(vexilla.refresh().await.is_err());
        let flags = vexilla.flags(Context::new("u"));
        assert!(flags.bool("new") && flags.evaluate("new").is_stale());
    }
    assert!(!vexilla.refresh().await.unwrap(), "the same flags are no change");
    assert!(!vexilla.is_stale());
    assert_eq!(vexilla.snapshot().version(), 3);
}

#[tokio::test]
async fn paths_credentials_and_headers_are_sent() {
    let flagr = FakeFlagr::start([Answer::json(FLAGS)]);
    let with_path = format!("{}/flagr?query#fragment", flagr.url);
    let bearer = FlagrSource::builder(&with_path)
        .bearer_token("s3cret")
        .header("X-Team", "checkout");
    bearer.clone().build().unwrap().fetch().await.unwrap();
    let basic = FlagrSource::builder(&flagr.url).basic_auth("alice", "p4ss");
    basic.build().unwrap().fetch().await.unwrap();
    let in_url = flagr.url.replace("http://", "http://bob:pw@");
    FlagrSource::new(&in_url).unwrap().fetch().await.unwrap();

    let requests = flagr.requests();
    let start = "get /flagr/api/v1/export/eval_cache/json http/1.1\n";
    assert!(requests[0].starts_with(start), "{}", requests[0]);
    assert!(requests[0].contains("authorization: bearer s3cret\n"));
    assert!(requests[0].contains("x-team: checkout\n"));
    assert!(requests[1].starts_with("get /api/v1/export/eval_cache/json http/1.1\n"));
    assert!(requests[1].contains("authorization: basic ywxpy2u6cdrzcw==\n"));
    assert!(requests[2].contains("authorization: basic ym9ionb3\n"));

    let shown = format!("{bearer:?} {:?}", bearer.clone().build().unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("checkout"), "{shown}");
}

#[tokio::test]
async fn errors_tell_no_secrets() {
    let flagr = FakeFlagr::start([Answer::error(401)]);
    let url = flagr.url.replace("http://", "http://bob:hidden@") + "/?token=hidden";
    let source = FlagrSource::builder(&url).bearer_token("hidden").build().unwrap();
    let refused = source.fetch().await.unwrap_err();
    drop(flagr);
    let unreachable = source.fetch().await.unwrap_err();
    let shown = format!("{refused} {refused:?} {unreachable} {unreachable:?} {source:?} {}", source.name());
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn addresses_that_are_none_are_refused_when_the_source_is_built() {
    for url in ["", "localhost:18000", "ftp://localhost", "http://", "/path", "http://[::1"] {
        let error = FlagrSource::new(url).unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Configuration, "{url}");
    }
    for (name, value) in [("x\r\ny", "z"), ("x", "y\r\nz"), ("", "z")] {
        let error = FlagrSource::builder("http://localhost").header(name, value).build();
        assert_eq!(error.unwrap_err().kind(), SourceErrorKind::Configuration, "{name:?}");
    }
}

/// A file in a folder of its own, gone when dropped.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("flags.json");
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn files_that_are_no_set_of_flags_are_errors_that_name_file_line_and_column() {
    for (name, content, place) in [
        ("empty", &b""[..], (1, 1)),
        ("broken", b"{\n  \"Flags\": [\n    {,}\n  ]\n}", (3, 6)),
        ("list", b"[]", (1, 1)),
        ("number", b"5", (1, 1)),
        ("trailing", b"{\"Flags\":[]} x", (1, 14)),
    ] {
        let file = File::new(name, content);
        let error = FileSource::new(&file.0).read().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Document, "{name}: {error}");
        assert!(error.to_string().contains("flags.json"), "{error}");
        let document = error.document().unwrap();
        assert_eq!((document.line(), document.column()), place, "{name}: {error}");
    }
}

#[test]
fn files_that_cannot_be_read_are_errors_that_name_the_file() {
    let missing = FileSource::new("/nowhere/flags.json").read().unwrap_err();
    assert_eq!(missing.kind(), SourceErrorKind::Unreachable);
    assert!(missing.to_string().contains("/nowhere/flags.json"), "{missing}");

    let file = File::new("folder", b"");
    let folder = FileSource::new(file.0.parent().unwrap()).read().unwrap_err();
    assert_eq!(folder.kind(), SourceErrorKind::Unreachable, "{folder}");

    let file = File::new("large", b"");
    let sparse = std::fs::File::options().write(true).open(&file.0).unwrap();
    sparse.set_len(100 << 20).unwrap();
    let large = FileSource::new(&file.0).read().unwrap_err();
    assert_eq!(large.kind(), SourceErrorKind::TooLarge);
    assert!(large.to_string().contains("flags.json"), "{large}");
}

#[tokio::test]
async fn a_file_is_read_anew_and_a_bad_edit_changes_nothing() {
    let file = File::new("edit", FLAGS.as_bytes());
    let vexilla = Vexilla::builder(FileSource::new(&file.0)).build().await.unwrap();
    std::fs::write(&file.0, "{").unwrap();
    assert!(vexilla.refresh().await.is_err());
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    std::fs::write(&file.0, "{}").unwrap();
    assert!(vexilla.refresh().await.unwrap());
    assert!(vexilla.snapshot().is_empty(), "an empty set is a set");
}

#[tokio::test]
async fn flags_in_memory_can_be_changed() {
    let source = MemorySource::new([Flag::boolean("new", false)]);
    let vexilla = Vexilla::builder(source.clone()).build().await.unwrap();
    assert!(!vexilla.flags(Context::new("u")).bool("new"));
    source.update(|set| set.flags = vec![Flag::boolean("new", true)]);
    vexilla.refresh().await.unwrap();
    assert!(vexilla.flags(Context::new("u")).bool("new"));
}
