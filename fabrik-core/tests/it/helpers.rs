//! What the tests share: rows in one line, sources, stores, times, and the calls with nothing left out.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
#[cfg(feature = "postgres")]
use fabrik_core::store::PostgresStore;
#[cfg(feature = "sqlite")]
use fabrik_core::store::SqliteStore;
use fabrik_core::store::{CancellableStore, FaultyStore, MemoryStore, OpenMode, ReadChunks, SnapshotFilter, Store};
use fabrik_core::{
    Cancel, CaptureOptions, Captured, Change, Coverage, DiffOptions, DiffSummary, KeySpec, RowBatch, RowBatchBuilder,
    Snapshot, SnapshotId, Source, Verdict, verify,
};
use uuid::Uuid;

pub(crate) use pollster::block_on;

/// Rows given as JSON, in batches.
#[derive(Debug)]
pub(crate) struct VecSource {
    batches: VecDeque<RowBatch>,
    verdict: Verdict,
    coverage: Coverage,
}

impl VecSource {
    pub(crate) fn new<S: AsRef<str>>(rows: impl IntoIterator<Item = S>) -> Self {
        Self::in_batches(rows, usize::MAX)
    }

    pub(crate) fn of(batch: RowBatch) -> Self {
        Self { batches: [batch].into(), verdict: Verdict::Complete, coverage: Coverage::Full }
    }

    pub(crate) fn in_batches<S: AsRef<str>>(rows: impl IntoIterator<Item = S>, batch_rows: usize) -> Self {
        let mut builder = RowBatchBuilder::default();
        let mut batches = VecDeque::new();
        for row in rows {
            builder.push_json(row.as_ref()).unwrap();
            if builder.len() >= batch_rows {
                batches.push_back(builder.take());
            }
        }
        batches.push_back(builder.take());
        Self { batches, verdict: Verdict::Complete, coverage: Coverage::Full }
    }

    pub(crate) fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    pub(crate) fn with_coverage(mut self, coverage: Coverage) -> Self {
        self.coverage = coverage;
        self
    }
}

#[async_trait]
impl Source for VecSource {
    async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
        Ok(self.batches.pop_front())
    }

    fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    fn coverage(&self) -> Coverage {
        self.coverage
    }
}

/// A SQLite store in a folder that goes with it.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub(crate) struct InFolder {
    store: SqliteStore,
    pub(crate) folder: tempfile::TempDir,
}

#[cfg(feature = "sqlite")]
impl Deref for InFolder {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

#[cfg(feature = "sqlite")]
impl InFolder {
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("fabrik.db")
    }

    /// Closes the store and hands over its folder.
    pub(crate) fn close(self) -> tempfile::TempDir {
        self.folder
    }
}

#[cfg(feature = "sqlite")]
pub(crate) fn sqlite() -> InFolder {
    let folder = tempfile::tempdir().unwrap();
    InFolder { store: SqliteStore::open(folder.path().join("fabrik.db"), OpenMode::Create).unwrap(), folder }
}

/// A store in a schema of its own on the server that the tests share.
#[cfg(feature = "postgres")]
pub(crate) fn postgres() -> PostgresStore {
    let address = fabrik_core::store::conformance::postgres::server().new_address();
    block_on(PostgresStore::open(&address, OpenMode::Create)).unwrap()
}

/// A store of any kind, with the folder it may need.
#[derive(Debug)]
pub(crate) struct AnyStore<S: ?Sized> {
    _folder: Option<tempfile::TempDir>,
    store: Box<S>,
}

impl<S: ?Sized> Deref for AnyStore<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}

/// One new store of each kind.
pub(crate) fn stores() -> Vec<AnyStore<dyn Store>> {
    let mut stores: Vec<AnyStore<dyn Store>> =
        vec![AnyStore { _folder: None, store: Box::new(MemoryStore::default()) }];
    #[cfg(feature = "sqlite")]
    {
        let InFolder { store, folder } = sqlite();
        stores.push(AnyStore { _folder: Some(folder), store: Box::new(store) });
    }
    #[cfg(feature = "postgres")]
    stores.push(AnyStore { _folder: None, store: Box::new(postgres()) });
    stores
}

/// A faulty store around a memory store.
pub(crate) fn faulty_memory() -> AnyStore<FaultyStore<MemoryStore>> {
    AnyStore { _folder: None, store: Box::new(FaultyStore::new(MemoryStore::default())) }
}

/// A faulty store around a SQLite store.
#[cfg(feature = "sqlite")]
pub(crate) fn faulty_sqlite() -> AnyStore<FaultyStore<SqliteStore>> {
    let InFolder { store, folder } = sqlite();
    AnyStore { _folder: Some(folder), store: Box::new(FaultyStore::new(store)) }
}

/// A faulty store around a PostgreSQL store.
#[cfg(feature = "postgres")]
pub(crate) fn faulty_postgres() -> AnyStore<FaultyStore<PostgresStore>> {
    AnyStore { _folder: None, store: Box::new(FaultyStore::new(postgres())) }
}

/// A memory store whose work nobody calls off.
pub(crate) fn cancellable_memory() -> AnyStore<CancellableStore<MemoryStore>> {
    let store = CancellableStore::new(Arc::new(MemoryStore::default()), Cancel::default());
    AnyStore { _folder: None, store: Box::new(store) }
}

/// A SQLite store whose work nobody calls off.
#[cfg(feature = "sqlite")]
pub(crate) fn cancellable_sqlite() -> AnyStore<CancellableStore<SqliteStore>> {
    let InFolder { store, folder } = sqlite();
    AnyStore { _folder: Some(folder), store: Box::new(CancellableStore::new(Arc::new(store), Cancel::default())) }
}

/// A PostgreSQL store whose work nobody calls off.
#[cfg(feature = "postgres")]
pub(crate) fn cancellable_postgres() -> AnyStore<CancellableStore<PostgresStore>> {
    let store = CancellableStore::new(Arc::new(postgres()), Cancel::default());
    AnyStore { _folder: None, store: Box::new(store) }
}

pub(crate) fn id(number: u128) -> SnapshotId {
    SnapshotId::new(Uuid::from_u128(number))
}

/// Midnight of 1 March 2026, UTC.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn minute(number: u32) -> DateTime<Utc> {
    start() + TimeDelta::minutes(i64::from(number))
}

pub(crate) fn day(number: i64) -> DateTime<Utc> {
    start() + TimeDelta::days(number)
}

/// Options for the capture of this number: its id, and its minute.
pub(crate) fn options(number: u32) -> CaptureOptions {
    CaptureOptions::new(id(u128::from(number)), "q", minute(number))
}

pub(crate) fn keyed(number: u32, key: &KeySpec) -> CaptureOptions {
    let mut options = options(number);
    options.key = key.clone();
    options
}

/// Captures rows under options.
pub(crate) fn capture_with<S: AsRef<str>>(
    store: &dyn Store,
    options: &CaptureOptions,
    rows: impl IntoIterator<Item = S>,
) -> Captured {
    block_on(fabrik_core::capture(store, &mut VecSource::new(rows), options)).unwrap()
}

/// Makes a verdict of being partial. The variant may grow, so it is made from its JSON form.
pub(crate) fn partial(missing: &[&str]) -> Verdict {
    serde_json::from_value(serde_json::json!({"status": "partial", "reason": "a shard is down", "missing": missing}))
        .unwrap()
}

/// Captures rows as the snapshot of this number of the query `q`.
pub(crate) fn capture<S: AsRef<str>>(store: &dyn Store, number: u32, rows: impl IntoIterator<Item = S>) -> Snapshot {
    capture_with(store, &options(number), rows).snapshot
}

/// Reads all rows of a snapshot as JSON, in key order.
pub(crate) fn read(store: &dyn ReadChunks, snapshot: &Snapshot) -> Vec<String> {
    block_on(async {
        let mut stream = fabrik_core::rows(store, snapshot).await.unwrap();
        let mut rows = Vec::new();
        loop {
            let batch = stream.next_batch().await.unwrap();
            if batch.is_empty() {
                return rows;
            }
            rows.extend(batch.iter().map(|row| json(row.as_ref())));
        }
    })
}

pub(crate) fn json(row: fabrik_core::RowRef<'_>) -> String {
    let mut out = Vec::new();
    row.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// Compares two snapshots to the end.
pub(crate) fn compare(
    store: &dyn ReadChunks,
    before: &Snapshot,
    after: &Snapshot,
    options: DiffOptions,
) -> (Vec<Change>, DiffSummary) {
    block_on(async {
        let mut comparison = fabrik_core::compare(store, before, after, options).await.unwrap();
        let mut changes = Vec::new();
        loop {
            let batch = comparison.next_batch().await.unwrap();
            if batch.is_empty() {
                return (changes, *comparison.summary());
            }
            changes.extend(batch);
        }
    })
}

pub(crate) fn list(store: &dyn Store) -> Vec<Snapshot> {
    block_on(store.snapshots(&SnapshotFilter::default())).unwrap()
}

pub(crate) fn listed(store: &dyn Store, wanted: SnapshotId) -> Snapshot {
    list(store).into_iter().find(|snapshot| snapshot.id == wanted).unwrap()
}

/// Asserts that nothing in the store is damaged or left over.
pub(crate) fn assert_sound(store: &dyn Store) {
    let found = block_on(verify(store)).unwrap();
    assert_eq!(found.damage, []);
    assert_eq!(found.unreferenced_chunks, 0);
}
