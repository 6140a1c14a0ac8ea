//! Answers captured into a store, one after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fabrik_apic::RecordedSource;
use fabrik_core::store::{OpenMode, SqliteStore};
use fabrik_core::{CaptureOptions, Captured, RetentionPolicy, Snapshot, SnapshotId, capture};
use uuid::Uuid;

use crate::{Random, Result, timed};

/// The name of the query that all answers belong to.
pub const QUERY: &str = "all objects";

/// A store and the snapshots in it, in the order of capture.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    policies: Random,
    snapshots: Vec<Snapshot>,
    times: Vec<Duration>,
}

impl History {
    /// Makes a new store in the file `path`. The seed chooses the retention policy of each snapshot.
    ///
    /// # Errors
    ///
    /// When the file is there already or cannot be made.
    pub fn create(path: &Path, seed: u64) -> Result<Self> {
        if path.exists() {
            return Err(format!("{} is there already; a measurement begins with a new store", path.display()).into());
        }
        SqliteStore::open(path, OpenMode::Create)?;
        Ok(Self { path: path.to_owned(), policies: Random::new(seed), snapshots: Vec::new(), times: Vec::new() })
    }

    /// Captures the next answer from a file.
    ///
    /// # Errors
    ///
    /// When the file is no answer or the store fails.
    pub fn capture(&mut self, file: &Path, taken: DateTime<Utc>) -> Result<Captured> {
        let policy = RetentionPolicy::ALL[self.policies.below(RetentionPolicy::ALL.len())];
        let (time, captured) = timed(|| {
            let store = self.open()?;
            capture_file(&store, file, taken, policy)
        });
        let captured = captured?;
        self.times.push(time);
        self.snapshots.push(captured.snapshot.clone());
        Ok(captured)
    }

    /// Opens the store anew, with nothing in its memory.
    ///
    /// # Errors
    ///
    /// When it is damaged.
    pub fn open(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(&self.path, OpenMode::Existing)?)
    }

    /// Returns the snapshots in the order of capture.
    #[must_use]
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Returns what each capture took: opening the store, reading and parsing the file, and until all is durable.
    #[must_use]
    pub fn capture_times(&self) -> &[Duration] {
        &self.times
    }
}

/// Captures an answer from a file, as the command does.
///
/// # Errors
///
/// When the file is no answer or the store fails.
pub fn capture_file(
    store: &SqliteStore,
    file: &Path,
    taken: DateTime<Utc>,
    policy: RetentionPolicy,
) -> Result<Captured> {
    let mut source = RecordedSource::open(file, None)?;
    let mut options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), QUERY, taken);
    options.retention_policy = policy;
    options.spill_dir = Some(std::env::temp_dir());
    Ok(pollster::block_on(capture(store, &mut source, &options))?)
}
