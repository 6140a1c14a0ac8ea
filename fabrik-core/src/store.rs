//! Where chunks and records live.

mod cancellable;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
mod faulty;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod frame;
mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod packed;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use uuid::Uuid;

use crate::chunk::NewChunk;
use crate::error::Result;
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{ChangeSummary, Connection, Query, Series, Snapshot};

pub use crate::tree::cache::NodeCache;
pub use cancellable::CancellableStore;
#[cfg(any(test, feature = "conformance"))]
pub use faulty::FaultyStore;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresAddress, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Reads chunks by their ids.
#[async_trait]
pub trait ReadChunks: fmt::Debug + Send + Sync {
    /// Returns the canonical bytes under each id, in the order of `ids`, which may repeat.
    ///
    /// Every byte returned has been checked against its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) when a chunk is not there or is not what its id promises.
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>>;

    /// Returns where nodes are kept that were read through this; nowhere unless somebody asked for it.
    fn node_cache(&self) -> Option<&NodeCache> {
        None
    }
}

/// Reads what the store knows of its snapshots and chunks, beside their content.
#[async_trait]
pub trait ReadRecords: fmt::Debug + Send + Sync {
    /// Lists the queries that the store knows, by name, with the snapshots each has.
    async fn queries(&self) -> Result<Vec<QueryHistory>>;

    /// Finds a query by its exact name, whatever number of others there are; `None` for an unknown one.
    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>>;

    /// Lists snapshots newest first: by capture time, then by id.
    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>>;

    /// Lists in the same order how much the snapshots changed, which is less to read than their whole records.
    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>>;

    /// Lists every stored chunk, in no particular order.
    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>>;

    /// Lists the documents of a kind, by the bytes of their names; none for a kind that nobody stored.
    async fn documents(&self, kind: &str) -> Result<Vec<Document>>;
}

/// A place for snapshots.
///
/// Calls may block the thread they run on while they wait for a disk or a lock: a server calls them from
/// threads where that is allowed.
#[async_trait]
pub trait Store: ReadChunks + ReadRecords {
    /// Starts the only write transaction of the store, waiting for another one to end.
    ///
    /// What it changes is seen by readers at once and in full when it commits, and never when it does not.
    /// Because nothing else writes in the meantime, a chunk that it finds present stays present.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) when the other one does not end in time.
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>>;

    /// Looks for contradictions that reading chunks and records does not show, such as a broken index.
    ///
    /// Returns a sentence for each; none when all is well.
    async fn check(&self) -> Result<Vec<String>>;

    /// Returns the bytes that the store takes on disk, all included; 0 for one in memory.
    async fn disk_bytes(&self) -> Result<u64>;
}

/// Changes to a store that happen together or not at all. Dropped without [`commit`](Transaction::commit), it
/// leaves no trace.
#[async_trait]
pub trait Transaction: ReadChunks + ReadRecords {
    /// Returns for each id whether the store lacks the chunk.
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>>;

    /// Shows the store what chunks are like that are about to come, from all over a tree, so that it may
    /// prepare to pack them. A store that does not pack has nothing to learn.
    async fn learn(&mut self, samples: &[Vec<u8>]) -> Result<()> {
        let _ = samples;
        Ok(())
    }

    /// Stores chunks and returns the bytes that this took. One that is there already is left as it is.
    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64>;

    /// Returns the series of these names, making up numbers for names that are new.
    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series>;

    /// Stores a snapshot's record in place of any with the same id.
    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()>;

    /// Deletes records and leaves their chunks; returns how many there were.
    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64>;

    /// Deletes chunks and returns the bytes that this freed. Deleting a base that another chunk is stored
    /// against is an error of the caller.
    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64>;

    /// Stores a document in place of any of the same kind and name.
    async fn put_document(&mut self, document: &Document) -> Result<()>;

    /// Deletes a document; returns whether there was one.
    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool>;

    /// Makes all changes durable: they survive the loss of power from the moment that this returns.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// What to do when there is no store at the place named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Make a new store.
    Create,
    /// Report that there is none.
    Existing,
}

/// A chunk as a store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// Its id, as far as the store's index holds it.
    pub id: ChunkPrefix,
    /// The chunk it is stored against, which must stay as long as this one does.
    pub base: Option<ChunkPrefix>,
    /// The bytes it takes.
    pub stored_bytes: u64,
    /// How many chunks must be read before it: 0 when it stands alone.
    pub chain: u32,
}

/// A small text that is kept beside the snapshots, such as a saved connection or query.
///
/// The store tells documents apart by kind and name, byte by byte, and knows nothing of what they say. They come and
/// go by themselves: deleting snapshots and sweeping chunks leaves them alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is: one word for all documents of a sort.
    pub kind: String,
    /// Its name among those of its kind.
    pub name: String,
    /// What it says: JSON text, kept as it is.
    pub body: String,
}

impl fmt::Debug for Document {
    /// Leaves the body out: a connection's holds sealed secrets, which belong in no log either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which snapshots to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFilter {
    /// Only of the query with this number.
    pub query: Option<i64>,
    /// Only of the connection with this number; `Some(None)` for those without one.
    pub connection: Option<Option<i64>>,
    /// Only captured at or after this moment.
    pub from: Option<DateTime<Utc>>,
    /// Only captured up to this moment, itself included.
    pub to: Option<DateTime<Utc>>,
    /// Only with an id that starts with these hexadecimal digits, in lower case and without dashes.
    pub id_prefix: Option<String>,
    /// Skip this many of the newest.
    pub skip: u64,
    /// At most this many.
    pub limit: Option<u64>,
}

impl SnapshotFilter {
    /// Selects the snapshots of one series.
    #[must_use]
    pub fn of_series(series: &Series) -> Self {
        Self {
            query: Some(series.query.id),
            connection: Some(series.connection.as_ref().map(|connection| connection.id)),
            ..Self::default()
        }
    }

    /// Selects the snapshots of one query, on whatever connection.
    #[must_use]
    pub fn of_query(query: i64) -> Self {
        Self { query: Some(query), ..Self::default() }
    }

    /// Selects only what was captured from `from` to `to`, both included.
    #[must_use]
    pub fn with_range(mut self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// Selects only one connection, or only snapshots without one.
    #[must_use]
    pub fn with_connection(mut self, connection: Option<i64>) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Passes over the `skip` newest and lists at most `limit`.
    #[must_use]
    pub fn with_page(mut self, skip: u64, limit: u64) -> Self {
        (self.skip, self.limit) = (skip, Some(limit));
        self
    }

    /// Selects ids that start with these digits.
    #[must_use]
    pub fn with_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }
}

/// Returns the first and the last id that begin with these digits; `None` when none can.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn ids_that_start_with(digits: &str) -> Option<(Uuid, Uuid)> {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if digits.len() > 32 || !digits.bytes().all(is_digit) {
        return None;
    }
    let filled_up = |with: &str| Uuid::try_parse(&format!("{digits}{}", with.repeat(32 - digits.len()))).ok();
    Some((filled_up("0")?, filled_up("f")?))
}

/// A query and where it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedQuery {
    /// The query.
    pub query: Query,
    /// The connections it was captured on, by name.
    pub connections: Vec<Connection>,
}

/// How much changed at one capture: what a heatmap needs of a snapshot's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedChanges {
    /// When the snapshot was captured.
    pub captured_at: DateTime<Utc>,
    /// What changed since the one before it; `None` for the first of a series.
    pub changes: Option<ChangeSummary>,
}

/// A query and what the store holds of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryHistory {
    /// The query.
    pub query: Query,
    /// The connections it was captured on, by name.
    pub connections: Vec<Connection>,
    /// How many snapshots it has, on all connections.
    pub snapshot_count: u64,
    /// When the newest was captured; `None` once all are deleted.
    pub latest_snapshot_at: Option<DateTime<Utc>>,
    /// When the newest that differs from the one before it was captured.
    pub last_change_at: Option<DateTime<Utc>>,
    /// How many of its snapshots have an annotation.
    pub annotated_count: u64,
}
