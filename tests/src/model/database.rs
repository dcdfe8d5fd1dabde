//! The database of a [`Model`](super::Model).

use std::collections::BTreeMap;
use std::sync::Arc;

use vexilla_core::flag::Flag;
use vexilla_core::flag::FlagSet;
use vexilla_core::snapshot::Snapshot;

use super::Random;

/// Flags, and the number of the newest change. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Database {
    flags: BTreeMap<u64, Arc<Flag>>,
    deleted: BTreeMap<u64, Arc<Flag>>,
    /// The last ID that a flag got.
    last_flag: u64,
    /// The number of the newest change.
    last_change: u64,
    failing: bool,
}

/// A database as it was.
#[derive(Debug, Clone)]
pub struct Backup(Database);

impl Database {
    /// Adds a flag, and gives its ID.
    pub fn create(&mut self, flag: Flag) -> u64 {
        self.last_flag += 1;
        let id = self.last_flag;
        self.flags.insert(id, Arc::new(flag.id(id)));
        self.note(id);
        id
    }

    /// Changes a flag, if there is one of this ID: its tags or segments, too.
    pub fn edit(&mut self, id: u64, edit: impl FnOnce(&mut Flag)) {
        if let Some(flag) = self.flags.get_mut(&id) {
            edit(Arc::make_mut(flag));
            self.note(id);
        }
    }

    /// Deletes a flag. That takes a number, which no flag carries.
    pub fn delete(&mut self, id: u64) {
        if let Some(flag) = self.flags.remove(&id) {
            self.deleted.insert(id, flag);
            self.last_change += 1;
        }
    }

    /// Brings a deleted flag back.
    pub fn restore(&mut self, id: u64) {
        if let Some(flag) = self.deleted.remove(&id) {
            self.flags.insert(id, flag);
            self.note(id);
        }
    }

    /// A backup of all that there is.
    #[must_use]
    pub fn back_up(&self) -> Backup {
        Backup(self.clone())
    }

    /// Puts a backup back, counters included.
    pub fn put_back(&mut self, backup: Backup) {
        *self = backup.0;
    }

    /// Begins anew, with no flags and all counters at zero.
    pub fn empty(&mut self) {
        *self = Self::default();
    }

    /// Sets whether it fails: the number of the newest change is not told then,
    /// and caches are not renewed.
    pub fn fail(&mut self, failing: bool) {
        self.failing = failing;
    }

    /// Whether it fails.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// The number of the newest change; 0 before the first.
    #[must_use]
    pub fn max_id(&self) -> u64 {
        self.last_change
    }

    /// The flags, by ID.
    pub fn flags(&self) -> impl ExactSizeIterator<Item = &Flag> {
        self.flags.values().map(|flag| &**flag)
    }

    /// The IDs of the flags that are deleted.
    pub fn deleted(&self) -> impl Iterator<Item = u64> {
        self.deleted.keys().copied()
    }

    /// The document that tells the number of the newest change.
    #[must_use]
    pub fn max_id_document(&self) -> Vec<u8> {
        match self.last_change {
            0 => b"{}".to_vec(),
            _ if self.failing => b"{}".to_vec(),
            number => format!("{{\"maxID\":{number}}}").into_bytes(),
        }
    }

    /// The document of all flags, in random order.
    #[must_use]
    pub fn export_document(&self, random: &mut Random) -> Vec<u8> {
        let mut flags: Vec<Flag> = self.flags().cloned().collect();
        for end in (1..flags.len()).rev() {
            flags.swap(end, random.index(end + 1));
        }
        serde_json::to_vec(&FlagSet::from(flags)).expect("flags can be printed")
    }

    /// The flags as whoever reads an export now has to hold them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let export = self.export_document(&mut Random::new(0));
        Snapshot::new(FlagSet::from_export(&export).expect("an export can be read"))
    }

    /// Gives the flag the next number, and IDs to all that is new in it.
    fn note(&mut self, id: u64) {
        self.last_change += 1;
        let Some(held) = self.flags.get_mut(&id) else {
            return;
        };
        let mut set = FlagSet::from([Flag::clone(held)]);
        set.assign_missing_ids();
        if let Some(mut flag) = set.flags.pop() {
            flag.snapshot_id = self.last_change;
            *held = Arc::new(flag);
        }
    }
}
