//! Flags files as people leave them: whatever is no set of flags is an error
//! that names the file and the place, and never takes the place of flags.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod log;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use vexilla_core::evaluation::ErrorCode;
use vexilla_core::source::{Source, SourceErrorKind};
use vexilla_core::{Context, FileSource, Filter, SourceError, Vexilla};

const FLAGS: &str = r#"{"Flags":[{"ID":1,"Key":"new","Enabled":true,"SnapshotID":3,
    "Variants":[{"ID":1,"Key":"on"}],
    "Segments":[{"ID":1,"RolloutPercent":100,
        "Distributions":[{"ID":1,"VariantID":1,"VariantKey":"on","Percent":100}]}]}]}"#;
/// How long to wait for something that must come.
const GUARD: Duration = Duration::from_secs(20);
const LOGIN_PAGE: &str = "<!doctype html><html><body>Please log in</body></html>";

/// A file in a folder of its own, gone when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("flags.json");
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn source(&self) -> FileSource {
        FileSource::new(&self.0)
    }

    /// The error of reading it, which names the file.
    fn error(&self) -> SourceError {
        let error = self.source().read().unwrap_err();
        assert!(
            error.to_string().contains(self.0.to_str().unwrap()),
            "{error}"
        );
        error
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
        ("bytes", b"{\"Flags\":[\n\xff]}", (2, 1)),
        ("html", LOGIN_PAGE.as_bytes(), (1, 1)),
    ] {
        let error = File::new(name, content).error();
        assert_eq!(error.kind(), SourceErrorKind::Document, "{name}: {error}");
        let document = error.document().unwrap();
        assert_eq!(
            (document.line(), document.column()),
            place,
            "{name}: {error}"
        );
        let told = format!("line {}, column {}", place.0, place.1);
        assert!(error.to_string().contains(&told), "{error}");
        assert_eq!(
            error.to_string().contains("web page"),
            name == "html",
            "{error}"
        );
    }
}

#[test]
fn probable_mistakes_are_logged_once_as_long_as_they_stand_and_refused_if_strict() {
    const ENABLE: &str = r#"{"Flags":[{"Key":"new","enable":true}]}"#;
    const PERCENT: &str = r#"{"Flags":[{"Key":"new","enable":true,"percent":1}]}"#;

    log::log();
    let file = File::new("mistakes", ENABLE.as_bytes());
    let source = file.source();
    let warned = |document: &str| {
        std::fs::write(&file.0, document).unwrap();
        assert_eq!(source.read().unwrap().flags.len(), 1);
        [r#"unknown member "enable""#, r#"unknown member "percent""#].map(log::logged)
    };
    assert_eq!(warned(ENABLE), [1, 0]);
    assert_eq!(warned(ENABLE), [1, 0]);
    assert_eq!(warned(PERCENT), [1, 1]);
    assert_eq!(warned(FLAGS), [1, 1]);
    assert_eq!(warned(ENABLE), [2, 1]);
    assert_eq!(log::logged("mistakes/flags.json"), 3, "each names the file");

    let error = file.source().strict().read().unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Document);
    let told = error.to_string();
    assert!(
        told.contains("line 1, column 24: Flags[0] has an unknown member"),
        "{told}"
    );
    std::fs::write(&file.0, FLAGS).unwrap();
    file.source().strict().read().unwrap();
}

#[test]
fn files_that_cannot_be_read_are_errors_that_name_the_file() {
    let missing = FileSource::new("/nowhere/flags.json").read().unwrap_err();
    assert_eq!(missing.kind(), SourceErrorKind::Unreadable);
    assert!(missing.source().is_some(), "why it cannot be read");
    assert!(
        missing.to_string().contains("/nowhere/flags.json"),
        "{missing}"
    );

    let file = File::new("folder", b"");
    let folder = FileSource::new(file.0.parent().unwrap());
    let error = folder.read().unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreadable, "{error}");
    assert!(error.to_string().contains("-folder"), "{error}");
}

#[test]
fn a_file_of_100_mb_is_an_error_that_names_the_limit() {
    let file = File::new("large", b"");
    let sparse = std::fs::File::options().write(true).open(&file.0).unwrap();
    sparse.set_len(100 << 20).unwrap();
    let error = file.error();
    assert_eq!(error.kind(), SourceErrorKind::TooLarge);
    assert!(error.to_string().contains("max_bytes"), "{error}");

    let file = File::new("limit", FLAGS.as_bytes());
    assert!(file.source().max_bytes(FLAGS.len()).read().is_ok());
    let error = file.source().max_bytes(FLAGS.len() - 1).read().unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::TooLarge);
}

#[tokio::test]
async fn a_file_is_read_anew_and_a_bad_edit_changes_nothing() {
    let file = File::new("edit", FLAGS.as_bytes());
    // So that nobody else fetches what was edited.
    let source = file.source().debounce(Duration::MAX);
    let vexilla = Vexilla::builder(source).build().await.unwrap();
    std::fs::write(&file.0, "{").unwrap();
    let error = vexilla.refresh().await.unwrap_err();
    assert!(vexilla.flags(Context::new("u")).bool("new"));
    let status = vexilla.status();
    assert!(status.consecutive_failures > 0);
    assert_eq!(status.last_error, Some(error.to_string()));
    std::fs::write(&file.0, FLAGS).unwrap();
    assert!(
        !vexilla.refresh().await.unwrap(),
        "the same flags are no change"
    );
    let status = vexilla.status();
    assert_eq!((status.consecutive_failures, status.last_error), (0, None));
    std::fs::write(&file.0, "{}").unwrap();
    assert!(vexilla.refresh().await.unwrap());
    assert!(vexilla.snapshot().is_empty(), "an empty set is a set");
}

/// Reading it would wait for ever for somebody who writes, and keep the process
/// from ending.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_not_opened() {
    let file = File::new("pipe", b"");
    std::fs::remove_file(&file.0).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file.0).status();
    assert!(made.unwrap().success());
    // With a writer that writes nothing, so that opening it would not wait but
    // reading it would, until this test is over.
    let writer = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&file.0);
    let source = file.source();
    let fetched = tokio::time::timeout(GUARD, Source::fetch(&source)).await;
    drop(writer.unwrap());
    let error = fetched.expect("an answer").unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreadable);
    assert!(error.to_string().contains("a named pipe"), "{error}");
    let error = file.error();
    assert!(error.to_string().contains("a named pipe"), "{error}");

    std::fs::remove_file(&file.0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&file.0).unwrap();
    assert!(file.error().to_string().contains("a socket"));
    for (path, found) in [("/dev/zero", "a device"), ("/", "a folder")] {
        let error = FileSource::new(path).read().unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unreadable);
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[tokio::test]
async fn a_flag_is_valid_again_once_its_disabled_duplicate_is_gone() {
    let duplicate = r#",{"ID":2,"Key":"new"}]}"#;
    let twice = FLAGS.strip_suffix("]}").unwrap().to_owned() + duplicate;
    let file = File::new("duplicate", twice.as_bytes());
    // So that nobody else fetches what was edited.
    let source = file.source().debounce(Duration::MAX);
    let vexilla = Vexilla::builder(source)
        .filter(Filter::new().only_enabled())
        .build()
        .await
        .unwrap();
    let read = || vexilla.flags(Context::new("u")).try_bool("new");
    assert_eq!(read().unwrap_err().code(), ErrorCode::ParseError);
    assert_eq!(vexilla.snapshot().problem_count(), 1);

    std::fs::write(&file.0, FLAGS).unwrap();
    vexilla.refresh().await.unwrap();
    assert_eq!(read().unwrap(), Some(true));
    assert_eq!(vexilla.snapshot().problem_count(), 0);

    std::fs::write(&file.0, &twice).unwrap();
    vexilla.refresh().await.unwrap();
    assert_eq!(read().unwrap_err().code(), ErrorCode::ParseError);
}
