//! The flags of a healthy Flagr.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

/// Flags that everybody gets the same whole number of, as [`key`] names them.
/// Every edit raises the number of the newest change, as Flagr's do.
#[derive(Debug, Clone, Default)]
pub struct Database {
    flags: BTreeMap<u64, Row>,
    newest: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    value: i64,
    snapshot_id: u64,
}

/// The key of the flag with this id.
#[must_use]
pub fn key(id: u64) -> String {
    format!("flag-{id}")
}

impl Database {
    /// Flags of the ids from 1 to this, each of value 0.
    #[must_use]
    pub fn of(flags: u64) -> Self {
        let mut database = Self::default();
        for id in 1..=flags {
            database.set(id, 0);
        }
        database
    }

    /// Sets the value of a flag, which need not be there yet; gives the number
    /// of the change.
    pub fn set(&mut self, id: u64, value: i64) -> u64 {
        self.newest += 1;
        let row = Row {
            value,
            snapshot_id: self.newest,
        };
        self.flags.insert(id, row);
        self.newest
    }

    /// The value of a flag.
    #[must_use]
    pub fn value(&self, id: u64) -> Option<i64> {
        self.flags.get(&id).map(|row| row.value)
    }

    /// Deletes the flags that are not among these.
    pub fn retain(&mut self, kept: impl Fn(u64) -> bool) {
        let before = self.flags.len();
        self.flags.retain(|id, _| kept(*id));
        self.newest += u64::try_from(before - self.flags.len()).unwrap_or(0);
    }

    /// Loses the flags that are not among these, as no real Flagr does.
    pub fn lose(&mut self, kept: impl Fn(u64) -> bool) {
        self.flags.retain(|id, _| kept(*id));
    }

    /// What `GET /api/v1/flags/snapshots/max_id` answers.
    #[must_use]
    pub fn max_id(&self) -> String {
        match self.newest {
            0 => "{}".to_owned(),
            newest => format!("{{\"maxID\":{newest}}}"),
        }
    }

    /// What `GET /api/v1/export/eval_cache/json` answers; in another order each
    /// time.
    #[must_use]
    pub fn export(&self) -> String {
        let order = RandomState::new();
        let mut flags: Vec<_> = self.flags.iter().collect();
        flags.sort_by_cached_key(|(id, _)| order.hash_one(id));
        let mut json = String::from("{\"Flags\":[");
        for (number, (id, row)) in flags.into_iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            let (key, Row { value, snapshot_id }) = (key(*id), row);
            // Writing to a string does not fail.
            let _ = write!(
                json,
                r#"{{"ID":{id},"Key":"{key}","Enabled":true,"SnapshotID":{snapshot_id},"Variants":[{{"ID":{id},"Key":"{value}"}}],"Segments":[{{"ID":{id},"RolloutPercent":100,"Distributions":[{{"ID":{id},"VariantID":{id},"VariantKey":"{value}","Percent":100}}]}}]}}"#
            );
        }
        json.push_str("]}");
        json
    }
}
