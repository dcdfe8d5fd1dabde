//! Flags files that change while they are followed: told of by the system, and
//! by looking at them only.
//!
//! Real files and real time: a test waits for what must come, and gives up
//! after [`GUARD`].

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::source::{Source, SourceErrorKind};
use vexilla_core::{Context, FileSource, SourceError, Vexilla};

/// How long a test waits for what must come.
const GUARD: Duration = Duration::from_secs(20);

/// An interval that never passes.
const NEVER: Duration = Duration::from_secs(3600);

/// An empty folder, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("vexilla-watch-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// A folder with flags of version 1 in it.
    fn with_flags(name: &str) -> Self {
        let folder = Self::new(name);
        folder.write(1);
        folder
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn flags(&self) -> PathBuf {
        self.at("flags.json")
    }

    /// Writes flags of a version, in place.
    fn write(&self, version: usize) {
        fs::write(self.flags(), document(version)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Flags of a version of one digit; all documents are of one length.
fn document(version: usize) -> String {
    format!(
        r#"{{"Flags":[{{"ID":1,"Key":"on","Enabled":true,"SnapshotID":{version},
        "Variants":[{{"ID":1,"Key":"on"}}],"Segments":[{{"ID":1,"RolloutPercent":100,
        "Distributions":[{{"ID":1,"VariantID":1,"VariantKey":"on","Percent":100}}]}}]}}]}}"#
    )
}

fn version(set: &FlagSet) -> usize {
    set.flags[0].snapshot_id.try_into().unwrap()
}

/// How changes come to be known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The system tells of them.
    Told,
    /// By looking.
    Looking,
}

impl How {
    /// A name of a folder of a test's own.
    fn name(self, name: &str) -> String {
        match self {
            Self::Told => format!("{name}-told"),
            Self::Looking => format!("{name}-looking"),
        }
    }

    /// A source that comes to know of changes in this way only.
    fn source(self, path: impl Into<PathBuf>) -> FileSource {
        let source = FileSource::new(path).debounce(Duration::from_millis(50));
        match self {
            Self::Told => source.poll_interval(NEVER),
            Self::Looking => source
                .poll_interval(Duration::from_millis(20))
                .without_notifications(),
        }
    }
}

/// Runs each test in both ways.
macro_rules! in_both_ways {
    ($($name:ident)*) => {
        $(mod $name {
            #[tokio::test]
            async fn when_the_system_tells() {
                super::$name(super::How::Told).await;
            }

            #[tokio::test]
            async fn when_only_looking() {
                super::$name(super::How::Looking).await;
            }
        })*
    };
}

in_both_ways! {
    an_edit_in_place_is_a_change
    an_edit_right_after_a_fetch_is_a_change
    a_file_that_takes_the_place_of_another_is_a_change
    a_file_that_goes_is_a_change_and_so_is_its_return
    a_link_that_leads_elsewhere_is_a_change
    a_config_map_of_kubernetes_is_followed
    a_folder_that_takes_the_place_of_another_is_a_change
    a_bad_edit_is_one_change_and_so_is_the_good_one_after_it
    a_waiter_that_gives_up_misses_nothing
    a_vexilla_follows_edits_and_keeps_its_flags_through_bad_ones
    a_file_that_is_rewritten_slowly_is_never_served_by_half
    a_burst_of_writes_is_few_fetches
    clones_follow_by_themselves
}

#[cfg(unix)]
in_both_ways! {
    a_file_that_becomes_readable_is_a_change
}

async fn guarded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, what).await.unwrap()
}

type Fetched = Result<FlagSet, SourceError>;

/// Flags of this version.
fn of(wanted: usize) -> impl Fn(&Fetched) -> bool {
    move |fetched| fetched.as_ref().is_ok_and(|set| version(set) == wanted)
}

/// An error of this kind.
fn error(kind: SourceErrorKind) -> impl Fn(&Fetched) -> bool {
    move |fetched| fetched.as_ref().is_err_and(|error| error.kind() == kind)
}

/// Waits for changes and fetches them until something comes; tells how often
/// it fetched.
async fn follow(source: &FileSource, mut until: impl FnMut(&Fetched) -> bool) -> usize {
    guarded(async {
        for fetches in 1.. {
            source.changed().await;
            if until(&source.fetch().await) {
                return fetches;
            }
        }
        0
    })
    .await
}

/// Edits while a change is being waited for, and follows until something comes.
async fn follow_edit(source: &FileSource, edit: impl FnOnce(), until: impl Fn(&Fetched) -> bool) {
    loop {
        let mut waiting = std::pin::pin!(source.changed());
        // What was changed just before it was fetched is fetched once more.
        // After that nothing comes, and what does after the edit must have been
        // told of, or seen when it was time to look. Were it edited too early,
        // the test would find out less, and pass.
        let rest = Duration::from_millis(150);
        if tokio::time::timeout(rest, waiting.as_mut()).await.is_err() {
            edit();
            guarded(waiting).await;
            break;
        }
        let _ = source.fetch().await;
    }
    if !until(&source.fetch().await) {
        follow(source, until).await;
    }
}

/// The version of the flags that are served.
fn served(vexilla: &Vexilla) -> usize {
    vexilla.snapshot().version().try_into().unwrap()
}

/// Waits until the flags that are served are of this version.
async fn serves(vexilla: &Vexilla, version: usize) {
    guarded(async {
        while served(vexilla) != version || vexilla.is_stale() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn an_edit_in_place_is_a_change(how: How) {
    let folder = Folder::with_flags(&how.name("place"));
    let source = how.source(folder.flags());
    assert!(of(1)(&source.fetch().await));
    for version in [2, 3] {
        follow_edit(&source, || folder.write(version), of(version)).await;
    }
}

async fn an_edit_right_after_a_fetch_is_a_change(how: How) {
    let folder = Folder::new(&how.name("right-after"));
    let source = how.source(folder.flags());
    // Of the same length and most likely within one tick of the clock by which
    // files are dated.
    for version in 2..8 {
        folder.write(1);
        assert!(of(1)(&source.read()));
        folder.write(version);
        follow(&source, of(version)).await;
    }
}

async fn a_file_that_takes_the_place_of_another_is_a_change(how: How) {
    let folder = Folder::with_flags(&how.name("replace"));
    let source = how.source(folder.flags());
    source.fetch().await.unwrap();
    for version in [2, 3] {
        let replace = || {
            fs::write(folder.at("flags.json.swp"), document(version)).unwrap();
            fs::rename(folder.at("flags.json.swp"), folder.flags()).unwrap();
        };
        follow_edit(&source, replace, of(version)).await;
    }
    // As an editor does it that keeps what was there before.
    let replace = || {
        fs::rename(folder.flags(), folder.at("flags.json~")).unwrap();
        folder.write(4);
    };
    follow_edit(&source, replace, of(4)).await;
}

async fn a_file_that_goes_is_a_change_and_so_is_its_return(how: How) {
    let folder = Folder::with_flags(&how.name("return"));
    let source = how.source(folder.flags());
    source.fetch().await.unwrap();
    for version in [2, 3] {
        let remove = || fs::remove_file(folder.flags()).unwrap();
        follow_edit(&source, remove, error(SourceErrorKind::Unreadable)).await;
        follow_edit(&source, || folder.write(version), of(version)).await;
    }
}

async fn a_link_that_leads_elsewhere_is_a_change(how: How) {
    let folder = Folder::new(&how.name("link"));
    for (name, version) in [("one", 1), ("two", 2)] {
        fs::create_dir(folder.at(name)).unwrap();
        fs::write(folder.at(name).join("flags"), document(version)).unwrap();
    }
    link(Path::new("one/flags"), &folder.flags());
    let source = how.source(folder.flags());
    source.fetch().await.unwrap();
    let elsewhere = || link(&folder.at("two/flags"), &folder.flags());
    follow_edit(&source, elsewhere, of(2)).await;
    // What it leads to now is followed as well.
    let edit = || fs::write(folder.at("two/flags"), document(3)).unwrap();
    follow_edit(&source, edit, of(3)).await;
}

/// Makes a link in place of what is there, in one go.
fn link(to: &Path, link: &Path) {
    let next = link.with_file_name("next-link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(to, &next).unwrap();
    #[cfg(windows)]
    std::os::windows::fs::symlink_file(to, &next).unwrap();
    fs::rename(&next, link).unwrap();
}

async fn a_config_map_of_kubernetes_is_followed(how: How) {
    let folder = Folder::new(&how.name("config-map"));
    let update = |version: usize| {
        let name = format!("..2026_11_0{version}");
        fs::create_dir(folder.at(&name)).unwrap();
        fs::write(folder.at(&name).join("flags.json"), document(version)).unwrap();
        link(Path::new(&name), &folder.at("..data"));
        // What was there before goes later on.
        let old = folder.at(&format!("..2026_11_0{}", version.saturating_sub(2)));
        let _ = fs::remove_dir_all(old);
    };
    update(1);
    link(Path::new("..data/flags.json"), &folder.flags());
    let source = how.source(folder.flags());
    assert!(of(1)(&source.fetch().await));
    for version in 2..5 {
        follow_edit(&source, || update(version), of(version)).await;
    }
}

async fn a_folder_that_takes_the_place_of_another_is_a_change(how: How) {
    let folder = Folder::new(&how.name("folder"));
    let make = |name: &str, version| {
        fs::create_dir(folder.at(name)).unwrap();
        fs::write(folder.at(name).join("flags.json"), document(version)).unwrap();
    };
    let edit = |version| fs::write(folder.at("now/flags.json"), document(version)).unwrap();
    make("now", 1);
    let source = how.source(folder.at("now/flags.json"));
    source.fetch().await.unwrap();
    let replace = || {
        make("next", 2);
        fs::rename(folder.at("now"), folder.at("old")).unwrap();
        fs::rename(folder.at("next"), folder.at("now")).unwrap();
    };
    follow_edit(&source, replace, of(2)).await;
    follow_edit(&source, || edit(3), of(3)).await;
    // The new folder may well get the number of the one that went.
    let make_anew = || {
        fs::remove_dir_all(folder.at("now")).unwrap();
        make("now", 4);
    };
    follow_edit(&source, make_anew, of(4)).await;
    follow_edit(&source, || edit(5), of(5)).await;
}

#[cfg(unix)]
async fn a_file_that_becomes_readable_is_a_change(how: How) {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::with_flags(&how.name("readable"));
    let source = how.source(folder.flags());
    let set_mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.flags(), permissions).unwrap();
    };
    set_mode(0);
    // To the superuser, who may read it all the same, it is a change as well.
    let _ = source.fetch().await;
    follow_edit(&source, || set_mode(0o644), of(1)).await;
}

async fn a_bad_edit_is_one_change_and_so_is_the_good_one_after_it(how: How) {
    let folder = Folder::with_flags(&how.name("bad"));
    let other = Folder::with_flags(&how.name("bad-other"));
    let source = how.source(folder.flags()).max_bytes(1000);
    let clock = how.source(other.flags());
    source.fetch().await.unwrap();
    let large = " ".repeat(1001);
    for (edit, kind) in [
        ("{", SourceErrorKind::Document),
        ("", SourceErrorKind::Document),
        (&large, SourceErrorKind::TooLarge),
    ] {
        fs::write(folder.flags(), edit).unwrap();
        follow(&source, error(kind)).await;
        // While another file goes through changes, this one has at most one
        // more, since it was fetched right after it changed.
        let mut changes = 0;
        let counting = follow(&source, |fetched| {
            assert!(error(kind)(fetched));
            changes += 1;
            false
        });
        let clock = async {
            for version in 2..6 {
                other.write(version);
                follow(&clock, of(version)).await;
            }
        };
        tokio::select! {
            _ = counting => {}
            () = clock => {}
        }
        assert!(changes <= 1, "{changes} changes");
        folder.write(2);
        follow(&source, of(2)).await;
    }
}

async fn a_waiter_that_gives_up_misses_nothing(how: How) {
    let folder = Folder::with_flags(&how.name("gives-up"));
    let source = how.source(folder.flags());
    source.fetch().await.unwrap();
    for version in 2..5 {
        folder.write(version);
        guarded(async {
            // Less than the debounce, again and again.
            let patience = Duration::from_millis(20);
            while tokio::time::timeout(patience, source.changed())
                .await
                .is_err()
            {}
        })
        .await;
        follow(&source, of(version)).await;
    }
}

async fn a_vexilla_follows_edits_and_keeps_its_flags_through_bad_ones(how: How) {
    let folder = Folder::with_flags(&how.name("vexilla"));
    let builder = Vexilla::builder(how.source(folder.flags())).poll_interval(NEVER);
    let vexilla = builder.build().await.unwrap();
    let mut statuses = vexilla.watch_status();
    for edit in [2, 4, 6] {
        fs::write(folder.flags(), document(edit)).unwrap();
        serves(&vexilla, edit).await;
        fs::write(folder.flags(), "{\"Flags\":[").unwrap();
        guarded(async { while statuses.next().await.unwrap().last_error.is_none() {} }).await;
        assert_eq!(served(&vexilla), edit);
        assert!(vexilla.flags(Context::new("u")).bool("on"));
        fs::write(folder.flags(), document(edit + 1)).unwrap();
        serves(&vexilla, edit + 1).await;
    }
}

async fn a_file_that_is_rewritten_slowly_is_never_served_by_half(how: How) {
    let folder = Folder::new(&how.name("slow"));
    let many = |version: usize| {
        let mut set = FlagSet::from_json(document(version).as_bytes()).unwrap();
        set.flags
            .extend((0..50).map(|number| Flag::boolean(format!("flag-{number}"), true)));
        serde_json::to_vec(&set).unwrap()
    };
    fs::write(folder.flags(), many(1)).unwrap();
    let builder = Vexilla::builder(how.source(folder.flags())).poll_interval(NEVER);
    let vexilla = builder.build().await.unwrap();
    assert_eq!(vexilla.snapshot().len(), 51);
    let mut half = 0;
    for edit in [2, 3] {
        let mut file = fs::File::create(folder.flags()).unwrap();
        for chunk in many(edit).chunks(200) {
            // Others may read it by half; they get an error, not some flags.
            let other = FileSource::new(folder.flags());
            half += usize::from(other.fetch().await.is_err());
            assert_eq!(vexilla.snapshot().len(), 51);
            assert_eq!(served(&vexilla), edit - 1);
            file.write_all(chunk).unwrap();
        }
        serves(&vexilla, edit).await;
        assert_eq!(vexilla.snapshot().len(), 51);
    }
    assert!(half > 10, "{half}");
}

async fn a_burst_of_writes_is_few_fetches(how: How) {
    let folder = Folder::with_flags(&how.name("burst"));
    let source = how
        .source(folder.flags())
        .debounce(Duration::from_millis(100));
    source.fetch().await.unwrap();
    let path = folder.flags();
    let writing = tokio::task::spawn_blocking(move || {
        for edit in 0..1000 {
            fs::write(&path, document(edit % 9)).unwrap();
        }
        fs::write(&path, document(9)).unwrap();
    });
    let fetches = follow(&source, of(9)).await;
    writing.await.unwrap();
    assert!(fetches < 20, "{fetches} fetches");
}

async fn clones_follow_by_themselves(how: How) {
    let folder = Folder::with_flags(&how.name("clones"));
    let source = how.source(folder.flags());
    let builder = || Vexilla::builder(source.clone()).poll_interval(NEVER);
    let one = builder().build().await.unwrap();
    let two = builder().build().await.unwrap();
    for edit in [2, 3] {
        fs::write(folder.flags(), document(edit)).unwrap();
        serves(&one, edit).await;
        serves(&two, edit).await;
    }
    drop(one);
    fs::write(folder.flags(), document(4)).unwrap();
    serves(&two, 4).await;
}

#[test]
fn a_fetch_that_is_given_up_has_fetched_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = Folder::with_flags("given-up");
        let source = How::Looking.source(folder.flags());
        source.fetch().await.unwrap();
        folder.write(2);
        // The only thread that could read is busy until the fetch is given up.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        tokio::select! {
            biased;
            _ = source.fetch() => panic!("fetched"),
            () = std::future::ready(()) => {}
        }
        drop(release);
        assert!(busy.await.unwrap().is_err());
        follow(&source, of(2)).await;
    });
}

#[tokio::test]
async fn a_folder_that_is_not_there_yet_is_looked_for() {
    for (name, notifications) in [("later-told", true), ("later-looking", false)] {
        let folder = Folder::new(name);
        let mut source = FileSource::new(folder.at("a/b/flags.json"));
        source = source.poll_interval(Duration::from_millis(20));
        if !notifications {
            source = source.without_notifications();
        }
        let error = source.fetch().await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unreadable);
        let making = async {
            fs::create_dir_all(folder.at("a/b")).unwrap();
            fs::write(folder.at("a/b/flags.json"), document(2)).unwrap();
        };
        tokio::join!(follow(&source, of(2)), making);
    }
}

/// How many entries there are in these folders of the system about us.
#[cfg(target_os = "linux")]
fn held() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|folder| fs::read_dir(folder).unwrap().count())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sources_that_are_dropped_leave_no_descriptors_and_no_threads() {
    const CYCLES: usize = 200;
    let folder = Folder::with_flags("leak");
    let cycle = async || {
        let source = How::Told.source(folder.flags()).debounce(Duration::ZERO);
        source.fetch().await.unwrap();
        // It looked, and so asked the system to tell, before it saw the edit.
        tokio::select! {
            biased;
            () = source.changed() => {}
            () = async {
                folder.write(2);
                std::future::pending::<()>().await;
            } => {}
        }
    };
    cycle().await;
    let before = held();
    for _ in 0..CYCLES {
        cycle().await;
    }
    // The other tests hold some as well. What watches ends in its own time.
    let few = |now: [usize; 2]| {
        now.iter()
            .zip(before)
            .all(|(now, before)| *now < before + CYCLES / 2)
    };
    guarded(async {
        while !few(held()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
