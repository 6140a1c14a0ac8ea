//! A store in one SQLite file: the default.
//!
//! The file is in WAL mode and every commit is synced, so what a call reported done survives the loss of
//! power. Readers never wait; writers wait for each other.
//!
//! rusqlite and not sqlx: a comparison reads some thousand small chunks one by one, and sqlx hands every
//! row from its own thread to the caller's, which costs several times what SQLite takes to find it.

mod documents;
mod open;
mod records;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hashbrown::HashSet;
use rusqlite::{Connection, OptionalExtension, params};

use super::frame::{Dictionaries, needs_base};
use super::packed::{Fetched, MAX_CHAIN, Stored, pack};
use super::{
    CapturedChanges, CapturedQuery, Document, NodeCache, OpenMode, QueryHistory, ReadChunks, ReadRecords,
    SnapshotFilter, Store, StoredChunk, Transaction,
};
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{Series, Snapshot};

/// How long a writer waits for another.
const WAIT: Duration = Duration::from_secs(10);

/// Keeps everything in one file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// Connections not in use; each reader and the writer takes one.
    idle: Mutex<Vec<Connection>>,
    /// Those read so far. Numbers are never used again, except after a transaction was rolled back.
    dictionaries: Mutex<Arc<Dictionaries>>,
    mode: OpenMode,
    wait: Duration,
    nodes: Option<NodeCache>,
}

impl SqliteStore {
    /// Sets how long a writer waits for another before it gives up; 10 seconds unless set.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Keeps so many bytes of what comparisons and timelines read in memory; none unless set.
    #[must_use]
    pub fn with_node_cache(mut self, bytes: u64) -> Self {
        self.nodes = (bytes > 0).then(|| NodeCache::new(bytes));
        self
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    /// Wraps what SQLite reports, telling a full disk from other failures.
    fn failed(&self, operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        let location = self.location();
        move |error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => {
                Error::StorageFull { operation, location, source: Some(error.into()) }
            }
            _ => Error::Storage { operation, location, source: error.into() },
        }
    }

    fn take_connection(&self) -> Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open::connect(&self.path, self.mode), Ok)
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// Returns the dictionaries, read again when one of `wanted` is not among those at hand.
    fn dictionaries(&self, connection: &Connection, wanted: impl Iterator<Item = u64>) -> Result<Arc<Dictionaries>> {
        let mut known = self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner);
        for number in wanted {
            if !known.contains_key(&number) {
                *known = Arc::new(records::dictionaries(self, connection)?);
                break;
            }
        }
        Ok(Arc::clone(&known))
    }

    fn forget_dictionaries(&self) {
        *self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.take_connection()?;
        let result = work(&connection);
        self.give_back(connection);
        result
    }
}

/// Reads chunks, the bases they need included, each once.
fn read_chunks(store: &SqliteStore, connection: &Connection, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
    let failed = || store.failed("reading chunks");
    // One read transaction around all look-ups, unless a transaction is open: taking its locks costs as much
    // as finding a chunk.
    let around = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose().map_err(failed())?;
    let mut by_id = connection
        .prepare_cached("SELECT c.seq, c.base, c.frame FROM chunk_id i JOIN chunk c ON c.seq = i.seq WHERE i.id = ?1")
        .map_err(failed())?;
    let mut by_seq = connection.prepare_cached("SELECT seq, base, frame FROM chunk WHERE seq = ?1").map_err(failed())?;
    let stored = |row: &rusqlite::Row<'_>| Ok(Stored { key: row.get(0)?, base: row.get(1)?, frame: row.get(2)? });

    let mut fetched: Fetched<i64> = Fetched::with_capacity(ids.len());
    let mut wanted: Vec<usize> = Vec::with_capacity(ids.len());
    for id in ids {
        let chunk = by_id.query_row([ChunkPrefix::from(id).as_bytes()], stored).optional().map_err(failed())?;
        wanted.push(fetched.add(chunk.ok_or(Error::ChunkNotFound { id: *id, snapshots: Vec::new() })?));
    }
    // Fetch the bases that are not among them, and theirs.
    let mut next = 0;
    while next < fetched.len() {
        if let Some(base) = fetched.absent_base(next) {
            // A base that is gone shows below, as a frame that lacks it: the id asked for is what to report.
            if let Some(chunk) = by_seq.query_row([base], stored).optional().map_err(failed())? {
                fetched.add(chunk);
            }
        }
        next += 1;
    }
    drop((by_id, by_seq));
    if let Some(around) = around {
        around.commit().map_err(failed())?;
    }
    let dictionaries = store.dictionaries(connection, fetched.dictionaries())?;
    fetched.read(ids, &wanted, &dictionaries)
}

#[async_trait]
impl ReadChunks for SqliteStore {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.with(|connection| read_chunks(self, connection, ids))
    }

    fn node_cache(&self) -> Option<&NodeCache> {
        self.nodes.as_ref()
    }
}

#[async_trait]
impl ReadRecords for SqliteStore {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.with(|connection| records::queries(self, connection))
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.with(|connection| records::query(self, connection, name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.with(|connection| records::snapshots(self, connection, filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.with(|connection| records::changes(self, connection, filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.with(|connection| records::stored_chunks(self, connection))
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.with(|connection| documents::list(self, connection, kind))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        let connection = self.take_connection()?;
        connection.busy_timeout(self.wait).map_err(self.failed("waiting for other writers"))?;
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => Ok(Box::new(SqliteTransaction { store: self, connection: Some(Mutex::new(connection)) })),
            Err(error) => {
                let busy = matches!(
                    error.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
                );
                self.give_back(connection);
                if !busy {
                    return Err(self.failed("starting to write")(error));
                }
                Err(Error::Locked {
                    location: self.location(),
                    holder: open::lock_holder(&self.path),
                    waited_seconds: self.wait.as_secs(),
                })
            }
        }
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.with(|connection| records::check(self, connection))
    }

    async fn disk_bytes(&self) -> Result<u64> {
        self.with(|connection| records::disk_bytes(self, connection))
    }
}

#[derive(Debug)]
struct SqliteTransaction<'s> {
    store: &'s SqliteStore,
    /// `None` once it is over.
    connection: Option<Mutex<Connection>>,
}

impl SqliteTransaction<'_> {
    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.as_ref().expect("a transaction is used before its end");
        work(&connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for SqliteTransaction<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let connection = connection.into_inner().unwrap_or_else(PoisonError::into_inner);
            // Where rolling back fails, closing the connection does it.
            self.store.forget_dictionaries();
            if connection.execute_batch("ROLLBACK").is_ok() {
                self.store.give_back(connection);
            }
        }
    }
}

#[async_trait]
impl ReadChunks for SqliteTransaction<'_> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.with(|connection| read_chunks(self.store, connection, ids))
    }
}

#[async_trait]
impl ReadRecords for SqliteTransaction<'_> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.with(|connection| records::queries(self.store, connection))
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.with(|connection| records::query(self.store, connection, name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.with(|connection| records::snapshots(self.store, connection, filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.with(|connection| records::changes(self.store, connection, filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.with(|connection| records::stored_chunks(self.store, connection))
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.with(|connection| documents::list(self.store, connection, kind))
    }
}

#[async_trait]
impl Transaction for SqliteTransaction<'_> {
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        self.with(|connection| {
            let failed = || self.store.failed("looking for chunks");
            let mut exists = connection.prepare_cached("SELECT 1 FROM chunk_id WHERE id = ?1").map_err(failed())?;
            ids.iter()
                .map(|id| exists.exists([ChunkPrefix::from(id).as_bytes()]).map(|is| !is).map_err(failed()))
                .collect()
        })
    }

    async fn learn(&mut self, samples: &[Vec<u8>]) -> Result<()> {
        self.with(|connection| records::make_dictionary(self.store, connection, samples))
    }

    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64> {
        self.with(|connection| put_chunks(self.store, connection, &chunks))
    }

    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series> {
        self.with(|sqlite| records::series(self.store, sqlite, query, connection))
    }

    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.with(|connection| records::put_snapshot(self.store, connection, snapshot))
    }

    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64> {
        self.with(|connection| records::delete_snapshots(self.store, connection, ids))
    }

    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64> {
        self.with(|connection| records::delete_chunks(self.store, connection, chunks))
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        self.with(|connection| documents::put(self.store, connection, document))
    }

    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        self.with(|connection| documents::delete(self.store, connection, kind, name))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.with(|connection| connection.execute_batch("COMMIT").map_err(self.store.failed("committing")))?;
        if let Some(connection) = self.connection.take() {
            let connection = connection.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.store.give_back(connection);
        }
        Ok(())
    }
}

/// What a new chunk may be stored against.
#[derive(Debug)]
struct Base {
    seq: i64,
    id: ChunkId,
    chain: u32,
}

fn put_chunks(store: &SqliteStore, connection: &Connection, chunks: &[NewChunk]) -> Result<u64> {
    let failed = || store.failed("storing chunks");
    let mut find_base = connection
        .prepare_cached("SELECT c.seq, c.chain FROM chunk_id i JOIN chunk c ON c.seq = i.seq WHERE i.id = ?1")
        .map_err(failed())?;
    let mut bases: Vec<Option<Base>> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let Some(id) = chunk.base else {
            bases.push(None);
            continue;
        };
        let base = find_base
            .query_row([ChunkPrefix::from(&id).as_bytes()], |row| Ok(Base { seq: row.get(0)?, id, chain: row.get(1)? }))
            .optional()
            .map_err(failed())?;
        bases.push(base.filter(|base| base.chain < MAX_CHAIN));
    }
    let base_ids: Vec<ChunkId> = bases.iter().flatten().map(|base| base.id).collect();
    let base_bytes = read_chunks(store, connection, &base_ids)?;
    let mut next_bytes = base_bytes.iter();
    let base_bytes: Vec<Option<&Bytes>> =
        bases.iter().map(|base| base.as_ref().and_then(|_| next_bytes.next())).collect();
    let dictionary = records::newest_dictionary(store, connection)?;
    let frames = pack(chunks, &base_bytes, dictionary.as_deref());

    let mut exists = connection.prepare_cached("SELECT 1 FROM chunk_id WHERE id = ?1").map_err(failed())?;
    let mut insert =
        connection.prepare_cached("INSERT INTO chunk (base, chain, frame) VALUES (?1, ?2, ?3)").map_err(failed())?;
    let mut index = connection.prepare_cached("INSERT INTO chunk_id (id, seq) VALUES (?1, ?2)").map_err(failed())?;
    let mut added = 0;
    let mut indexed: Vec<(&ChunkId, i64)> = Vec::with_capacity(chunks.len());
    let mut in_batch: HashSet<&ChunkId> = HashSet::with_capacity(chunks.len());
    for ((chunk, base), frame) in chunks.iter().zip(&bases).zip(&frames) {
        if !in_batch.insert(&chunk.id) || exists.exists([ChunkPrefix::from(&chunk.id).as_bytes()]).map_err(failed())? {
            continue;
        }
        let base = base.as_ref().filter(|_| needs_base(frame));
        let chain = base.map_or(0, |base| base.chain + 1);
        let seq = insert.insert(params![base.map(|base| base.seq), chain, frame]).map_err(failed())?;
        indexed.push((&chunk.id, seq));
        added += frame.len() as u64;
    }
    // In the order of the index, so that each of its pages is visited once.
    indexed.sort_unstable_by_key(|(id, _)| *id);
    for (id, seq) in indexed {
        index.execute(params![ChunkPrefix::from(id).as_bytes(), seq]).map_err(failed())?;
    }
    Ok(added)
}
