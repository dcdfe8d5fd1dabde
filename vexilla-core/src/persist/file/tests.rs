//! Which set of flags is in the previous generation.

use std::fs;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::super::document::{Identity, Provenance, decode, encode};
use super::*;
use crate::flag::{Flag, FlagSet};

const HOUR: Duration = Duration::from_secs(3600);

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("vexilla-{}-generation-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn store(&self) -> LastKnownGoodFile {
        LastKnownGoodFile::new(self.0.join("flags.lkg"))
    }

    /// How many flags the previous generation has, and the change they are of.
    fn previous(&self) -> Option<(usize, u64)> {
        let document = fs::read(self.0.join("flags.lkg.previous")).ok()?;
        let saved = decode(&document, Packing::new()).unwrap();
        Some((saved.set.flags.len(), saved.provenance.id))
    }

    /// The previous generation was written so long ago.
    fn age(&self, age: Duration) {
        let path = self.0.join("flags.lkg.previous");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn of(source: &str, change: u64, flags: &FlagSet) -> Vec<u8> {
    let provenance = Provenance {
        source: source.to_owned(),
        identity: Identity::of(source),
        saved_at: SystemTime::UNIX_EPOCH,
        id: change,
    };
    encode(flags, &provenance, Packing::new()).unwrap()
}

/// A document with the flags of these IDs.
fn document(change: u64, ids: RangeInclusive<u64>) -> Vec<u8> {
    of("flagr", change, &flags(ids))
}

fn flags(ids: RangeInclusive<u64>) -> FlagSet {
    let flag = |id: u64| Flag::boolean(format!("flag-{id}"), true).id(id);
    ids.map(flag).collect()
}

async fn save(store: &LastKnownGoodFile, document: Vec<u8>) {
    LastKnownGood::save(store, document).await.unwrap();
}

async fn lose(store: &LastKnownGoodFile, document: Vec<u8>) {
    store.save_after_loss(document).await.unwrap();
}

#[tokio::test]
async fn after_a_loss_in_steps_it_is_from_before_the_first_one() {
    let folder = Folder::new("steps");
    let store = folder.store();
    save(&store, document(1, 1..=50)).await;
    for step in 1..5 {
        lose(&store, document(1 + step, 10 * step + 1..=50)).await;
        assert_eq!(folder.previous(), Some((50, 1)), "{step}");
        // A flag that is created meanwhile changes nothing about that.
        save(&store, document(1 + step, 10 * step + 1..=51)).await;
    }
}

#[tokio::test]
async fn a_second_process_that_saves_the_same_loss_leaves_it() {
    let folder = Folder::new("processes");
    let (first, second) = (folder.store(), folder.store());
    save(&first, document(1, 1..=10)).await;
    save(&second, document(1, 1..=10)).await;
    lose(&first, document(2, 1..=1)).await;
    assert_eq!(folder.previous(), Some((10, 1)));
    lose(&second, document(2, 1..=1)).await;
    assert_eq!(folder.previous(), Some((10, 1)));
    // However long after that, and with one more flag.
    folder.age(1_000 * HOUR);
    lose(&second, document(3, 1..=2)).await;
    assert_eq!(folder.previous(), Some((10, 1)));
    // The first has seen yet another one; the second saves what it has.
    folder.age(HOUR);
    save(&first, document(3, 1..=11)).await;
    save(&first, document(3, 11..=11)).await;
    lose(&second, document(3, 1..=1)).await;
    assert_eq!(folder.previous(), Some((10, 1)));
}

#[tokio::test]
async fn the_next_loss_after_a_repair_replaces_it() {
    let folder = Folder::new("repair");
    let store = folder.store();
    save(&store, document(1, 1..=50)).await;
    lose(&store, document(2, 1..=10)).await;
    save(&store, document(3, 1..=50)).await;
    assert_eq!(folder.previous(), Some((50, 1)));
    lose(&store, document(4, 1..=5)).await;
    assert_eq!(folder.previous(), Some((50, 3)));
}

#[tokio::test]
async fn a_loss_more_than_a_day_later_is_another_one() {
    let folder = Folder::new("day");
    let store = folder.store();
    save(&store, document(1, 1..=50)).await;
    lose(&store, document(2, 1..=40)).await;
    folder.age(23 * HOUR);
    lose(&store, document(3, 1..=30)).await;
    assert_eq!(folder.previous(), Some((50, 1)));
    folder.age(25 * HOUR);
    lose(&store, document(4, 1..=20)).await;
    assert_eq!(folder.previous(), Some((30, 3)));
}

#[tokio::test]
async fn flags_without_ids_are_told_apart_by_their_keys() {
    let folder = Folder::new("keys");
    let store = folder.store();
    let keys = |keys: &[&str]| {
        let flags = keys.iter().map(|key| Flag::boolean(*key, true));
        of("file", keys.len() as u64, &flags.collect())
    };
    save(&store, keys(&["a", "b", "c"])).await;
    lose(&store, keys(&["a", "b"])).await;
    lose(&store, keys(&["a"])).await;
    assert_eq!(folder.previous(), Some((3, 3)));
    save(&store, keys(&["d", "e"])).await;
    folder.age(25 * HOUR);
    lose(&store, keys(&["d", "e", "f", "g"])).await;
    assert_eq!(folder.previous(), Some((3, 3)), "nothing is lost");
    lose(&store, keys(&["d", "e"])).await;
    assert_eq!(folder.previous(), Some((4, 4)));
}

#[tokio::test]
async fn the_flags_of_another_source_are_lost_whatever_their_ids() {
    let folder = Folder::new("source");
    let store = folder.store();
    save(&store, document(1, 1..=9)).await;
    lose(&store, document(2, 1..=5)).await;
    save(&store, of("staging", 3, &flags(1..=5))).await;
    lose(&store, document(4, 1..=50)).await;
    assert_eq!(folder.previous(), Some((5, 3)));
}

#[tokio::test]
async fn a_file_that_is_not_a_whole_copy_never_replaces_one() {
    let folder = Folder::new("whole");
    let store = folder.store();
    save(&store, document(1, 1..=9)).await;
    lose(&store, document(2, 1..=5)).await;
    let truncated = document(2, 1..=5)[..60].to_vec();
    let mut changed = document(2, 1..=5);
    changed[60] ^= 1;
    folder.age(25 * HOUR);
    for broken in [Vec::new(), truncated, changed] {
        save(&store, broken).await;
        lose(&store, document(3, 1..=1)).await;
        assert_eq!(folder.previous(), Some((9, 1)));
    }
    // What another program wrote may be dear to somebody.
    save(&store, b"notes".to_vec()).await;
    lose(&store, document(3, 1..=1)).await;
    let kept = fs::read(folder.0.join("flags.lkg.previous")).unwrap();
    assert_eq!(kept, b"notes");
    // As soon as there is a whole copy, that is worth more.
    save(&store, document(4, 1..=9)).await;
    lose(&store, document(5, 1..=8)).await;
    assert_eq!(folder.previous(), Some((9, 4)));
}

#[test]
fn a_relative_path_is_made_absolute_at_once() {
    let store = LastKnownGoodFile::new("flags.lkg");
    let expected = std::env::current_dir().unwrap().join("flags.lkg");
    assert_eq!(store.path(), expected);
    assert_eq!(store.name(), format!("file {}", expected.display()));
}
