//! The last-known-good copy in a file: whatever is there, and however a save
//! ends, the next load gives the old document or the new one, whole, or an
//! error.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::persist::{LastKnownGood, PersistErrorKind};
use vexilla_core::source::{MemorySource, Source};
use vexilla_core::{FileSource, LastKnownGoodFile, SourceError, Vexilla};
use vexilla_tests::fake_flagr::GUARD;

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vexilla-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn store(&self) -> LastKnownGoodFile {
        LastKnownGoodFile::new(self.path("flags.lkg"))
    }

    /// Everything in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Temporary files of saves.
    fn temporary(&self) -> Vec<PathBuf> {
        let ours = |name: &String| name.starts_with(".vexilla-") && name.ends_with(".tmp");
        let names = self.names().into_iter().filter(ours);
        names.map(|name| self.path(&name)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn load(store: &LastKnownGoodFile) -> Option<Vec<u8>> {
    store.load().await.unwrap()
}

/// The kind of the errors that saving to and loading from this path give. Both
/// name the path.
async fn refused(path: &Path) -> (PersistErrorKind, Option<PersistErrorKind>) {
    let store = LastKnownGoodFile::new(path);
    let error = store.save(b"new".to_vec()).await.unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    let loaded = store.load().await.err().map(|error| {
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        error.kind()
    });
    (error.kind(), loaded)
}

#[tokio::test]
async fn what_is_saved_is_loaded_and_replaced_as_a_whole() {
    let folder = Folder::new("saved");
    let store = folder.store();
    assert_eq!(load(&store).await, None);
    for document in [&b"first, and long"[..], b"second", b"", &[7; 1_000_000]] {
        store.save(document.to_vec()).await.unwrap();
        assert_eq!(load(&store).await.unwrap(), document);
        assert_eq!(load(&folder.store()).await.unwrap(), document, "by another");
        assert_eq!(folder.names(), ["flags.lkg"]);
    }
    assert_eq!(store.path(), folder.path("flags.lkg"));
    assert!(store.name().ends_with("flags.lkg"));
}

#[tokio::test]
async fn after_a_loss_the_document_before_is_kept_beside_the_new_one() {
    let folder = Folder::new("previous");
    let store = folder.store();
    let previous = LastKnownGoodFile::new(folder.path("flags.lkg.previous"));
    store.save_after_loss(b"first".to_vec()).await.unwrap();
    assert_eq!(folder.names(), ["flags.lkg"], "nothing was there before");
    store.save(b"all".to_vec()).await.unwrap();
    store.save_after_loss(b"few".to_vec()).await.unwrap();
    assert_eq!(folder.names(), ["flags.lkg", "flags.lkg.previous"]);
    assert_eq!(load(&store).await.unwrap(), b"few");
    assert_eq!(load(&previous).await.unwrap(), b"all");
    // Repeated, because flushing the folder had failed, say.
    store.save_after_loss(b"few".to_vec()).await.unwrap();
    assert_eq!(load(&previous).await.unwrap(), b"all");
    store.save(b"fewer".to_vec()).await.unwrap();
    assert_eq!(load(&previous).await.unwrap(), b"all");
    store.save_after_loss(b"least".to_vec()).await.unwrap();
    assert_eq!(load(&previous).await.unwrap(), b"fewer");

    // What cannot be kept is not replaced.
    fs::remove_file(previous.path()).unwrap();
    fs::create_dir(previous.path()).unwrap();
    let error = store.save_after_loss(b"none".to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Io);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("flags.lkg.previous"), "{cause}");
    assert_eq!(load(&store).await.unwrap(), b"least");
    let small = folder.store().max_bytes(3);
    store.save(b"large".to_vec()).await.unwrap();
    let error = small.save_after_loss(b"new".to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::Io);
    assert_eq!(load(&store).await.unwrap(), b"large");
    fs::remove_dir(previous.path()).unwrap();
    small.save_after_loss(b"new".to_vec()).await.unwrap();
    assert_eq!(load(&previous).await.unwrap(), b"large");
    assert_eq!(load(&store).await.unwrap(), b"new");
}

#[tokio::test]
async fn a_copy_larger_than_the_limit_is_kept_as_previous_and_saving_goes_on() {
    let folder = Folder::new("lowered");
    let large = (0..20).map(|number| Flag::boolean(format!("flag-{number}"), true));
    let source = MemorySource::new(large.collect::<Vec<_>>());
    let store = folder.store();
    let vexilla = Vexilla::builder(source.clone()).last_known_good(store.clone());
    vexilla.build().await.unwrap().shutdown(GUARD).await;
    let saved = fs::read(store.path()).unwrap();

    // The flags became fewer while the service was down, and the limit, too.
    source.update(|set| set.flags.truncate(1));
    let small = store.max_bytes(saved.len() / 2);
    for round in 0..2 {
        let vexilla = Vexilla::builder(source.clone()).last_known_good(small.clone());
        let vexilla = vexilla.build().await.unwrap();
        source.update(|set| set.flags.push(Flag::boolean(format!("new-{round}"), true)));
        vexilla.refresh().await.unwrap();
        assert!(vexilla.shutdown(GUARD).await.saved);
        let error = vexilla.status().last_known_good_error;
        assert_eq!(error, None, "{round}");
    }
    assert_eq!(fs::read(folder.path("flags.lkg.previous")).unwrap(), saved);
    let builder = Vexilla::builder(Away).last_known_good(small);
    assert_eq!(builder.build().await.unwrap().status().flags, 3);
}

/// As the documentation of the file says.
#[tokio::test]
#[cfg_attr(windows, ignore = "there is no shell")]
async fn an_operator_reads_and_restores_the_previous_generation() {
    let folder = Folder::new("operator");
    let source = MemorySource::new([Flag::boolean("a", true), Flag::boolean("b", true)]);
    for _ in 0..2 {
        let builder = Vexilla::builder(source.clone()).last_known_good(folder.store());
        let vexilla = builder.build().await.unwrap();
        vexilla.refresh().await.unwrap();
        vexilla.shutdown(Duration::from_secs(60)).await;
        // In the second run they are lost.
        source.update(|set| set.flags.clear());
    }
    let sh = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).current_dir(&folder.0);
        assert!(shell.status().unwrap().success(), "{command}");
    };
    sh("tail -n 1 flags.lkg.previous > flags.json");
    let read = FileSource::new(folder.path("flags.json")).read().unwrap();
    assert_eq!(read.flags.len(), 2);
    sh("tail -c +40 flags.lkg.previous | tail -n 1 | cmp - flags.json");
    sh("mv flags.lkg.previous flags.lkg");
    let builder = Vexilla::builder(Away).last_known_good(folder.store());
    let vexilla = builder.build().await.unwrap();
    assert_eq!(vexilla.status().flags, 2);
}

/// A [`MemorySource`] that is away, by its name.
struct Away;

impl Source for Away {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        Err(SourceError::other("away"))
    }
}

#[tokio::test]
async fn missing_folders_are_made() {
    let folder = Folder::new("missing");
    let store = LastKnownGoodFile::new(folder.path("a/b/flags.lkg"));
    assert_eq!(load(&store).await, None);
    store.save(b"new".to_vec()).await.unwrap();
    assert_eq!(load(&store).await.unwrap(), b"new");
}

#[tokio::test]
async fn more_bytes_than_allowed_are_neither_saved_nor_loaded() {
    let folder = Folder::new("large");
    let store = folder.store().max_bytes(4);
    store.save(b"1234".to_vec()).await.unwrap();
    let error = store.save(b"12345".to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), PersistErrorKind::TooLarge);
    assert_eq!(load(&store).await.unwrap(), b"1234");
    let sparse = fs::File::options().write(true).open(store.path()).unwrap();
    sparse.set_len(100 << 20).unwrap();
    for store in [store, folder.store()] {
        let error = store.load().await.unwrap_err();
        assert_eq!(error.kind(), PersistErrorKind::TooLarge);
        assert!(error.to_string().contains("max_bytes"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_file_is_neither_read_nor_replaced() {
    let folder = Folder::new("no-file");
    let inside = folder.path("flags.lkg");
    fs::create_dir(&inside).unwrap();
    let io = PersistErrorKind::Io;
    assert_eq!(refused(&inside).await, (io, Some(io)));
    assert_eq!(folder.names(), ["flags.lkg"]);
    assert!(inside.is_dir());

    let file = folder.path("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refused(&file.join("flags.lkg")).await.0, io);
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[cfg(unix)]
#[path = "persist/unix.rs"]
mod unix;

#[tokio::test]
async fn what_killed_processes_left_is_removed() {
    let folder = Folder::new("left-over");
    let (old, young, other) = (
        folder.path(".vexilla-7-0123456789abcdef.tmp"),
        folder.path(".vexilla-8-0123456789abcdef.tmp"),
        folder.path("other.tmp"),
    );
    for path in [&old, &young, &other] {
        fs::write(path, "half a docum").unwrap();
    }
    age(&old);
    age(&other);
    folder.store().save(b"new".to_vec()).await.unwrap();
    assert!(!old.exists() && young.exists() && other.exists());
}

/// Makes a file a minute old.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_saves_at_the_same_time_each_is_whole() {
    let folder = Folder::new("two");
    let store = folder.store();
    store.save(document(0)).await.unwrap();
    let save = |start: u8| {
        let store = folder.store();
        tokio::spawn(async move {
            for number in start..start + 50 {
                store.save(document(number)).await.unwrap();
            }
        })
    };
    let savers = [save(1), save(101)];
    while !savers.iter().all(tokio::task::JoinHandle::is_finished) {
        whole(&load(&store).await.unwrap());
    }
    for saver in savers {
        saver.await.unwrap();
    }
    let last = whole(&load(&store).await.unwrap());
    assert!([50, 150].contains(&last), "{last}");
    assert_eq!(folder.names(), ["flags.lkg"]);
}

const PATH: &str = "VEXILLA_TEST_PATH";

/// A document of a length and content of its own.
fn document(number: u8) -> Vec<u8> {
    vec![number; 100_000 + usize::from(number) * 1_000]
}

/// Sees to it that a document is one of [`document`]; tells which.
fn whole(bytes: &[u8]) -> u8 {
    let number = *bytes.first().unwrap();
    assert!(
        bytes == document(number),
        "{} bytes, the first {number}",
        bytes.len()
    );
    number
}

/// Saves one of two documents after the other until it is killed, or its parent
/// is gone.
#[tokio::test]
#[ignore = "the process that another test kills"]
async fn saves_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let store = LastKnownGoodFile::new(path);
    for number in [1, 2].into_iter().cycle() {
        store.save(document(number)).await.unwrap();
        // Tells that it is under way.
        std::io::stderr().write_all(b".").unwrap();
    }
}

/// Starts [`saves_until_it_is_killed`], and waits until it has saved so many
/// times.
fn saving(path: &Path, times: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "saves_until_it_is_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut dots = vec![0; times];
    let told = child.stderr.as_mut().unwrap().read_exact(&mut dots);
    told.unwrap();
    assert!(dots.iter().all(|dot| *dot == b'.'), "{dots:?}");
    child
}

#[tokio::test]
async fn killed_at_any_moment_of_a_save_the_old_or_the_new_document_is_there() {
    const KILLS: usize = 200;
    let mut random = Random::seeded();
    println!("{random:?}");
    let folder = Folder::new("killed");
    let store = folder.store();
    store.save(document(1)).await.unwrap();
    let mut found = [0; 2];
    let mut amid = 0;
    for kill in 0..KILLS {
        // Whichever of the two documents comes next, however slow the disk is.
        let mut child = saving(store.path(), 1 + kill % 2);
        // Not a time to wait for anything, but a random moment.
        std::thread::sleep(Duration::from_micros(random.below(8_000)));
        child.kill().unwrap();
        child.wait().unwrap();

        let number = whole(&load(&store).await.unwrap());
        found[usize::from(number) - 1] += 1;
        let left = folder.temporary();
        amid += left.len();
        assert!(left.len() <= 1, "one process leaves one file: {left:?}");
        left.iter().for_each(|path| age(path));
        // What is left over is cleared by the next save, here that of the next
        // process or of this one.
        store.save(document(number)).await.unwrap();
        assert_eq!(folder.names(), ["flags.lkg"]);
    }
    println!(
        "{KILLS} kills, {amid} of them while a temporary file was there; documents found {found:?}"
    );
    assert!(
        amid > 0 && found.iter().all(|found| *found > 0),
        "no kill hit a save: {amid}, {found:?}"
    );
}

#[tokio::test]
async fn of_two_processes_on_one_path_each_saves_whole_documents() {
    let folder = Folder::new("processes");
    let store = folder.store();
    let mut processes = [saving(store.path(), 1), saving(store.path(), 1)];
    let mut found = [0; 2];
    while found.contains(&0) || found[0] + found[1] < 100 {
        assert!(found[0] + found[1] < 1_000_000, "nothing is saved");
        found[usize::from(whole(&load(&store).await.unwrap())) - 1] += 1;
    }
    for process in &mut processes {
        assert!(
            process.try_wait().unwrap().is_none(),
            "it went on all the time"
        );
        process.kill().unwrap();
        process.wait().unwrap();
    }
    whole(&load(&store).await.unwrap());
    assert!(folder.temporary().len() <= 2);
}

/// Pseudo-random numbers (xorshift).
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// Starts from `VEXILLA_TEST_SEED`, to repeat a run, or anew.
    fn seeded() -> Self {
        let given = std::env::var("VEXILLA_TEST_SEED").ok();
        let seed = given.and_then(|seed| seed.parse().ok());
        Self(seed.unwrap_or_else(|| RandomState::new().hash_one(())) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
