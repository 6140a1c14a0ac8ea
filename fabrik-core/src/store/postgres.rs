//! A store in a PostgreSQL database, for many processes on many machines.
//!
//! A write transaction begins by locking the table `fabrik_store` and then sees the database as it is at that moment until
//! it ends; the server ends it when the connection is lost. Readers take no lock that a writer waits for, nor the other
//! way round.
//!
//! sqlx and not tokio-postgres: its futures do their own reading and writing where they are polled, so that an answer
//! wakes one thread and not two, and a server that keeps its own state here uses it anyway.

mod address;
mod check;
mod chunks;
mod connections;
mod documents;
mod failure;
mod open;
mod records;
mod transaction;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::PgConnection;
use tokio::sync::Semaphore;

use super::frame::Dictionaries;
use super::{
    CapturedChanges, CapturedQuery, Document, NodeCache, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter, Store,
    StoredChunk, Transaction,
};
use crate::error::Result;
use crate::id::ChunkId;
use crate::snapshot::Snapshot;

pub use address::PostgresAddress;
use connections::{Idle, Watcher};

/// Keeps everything in one schema of a PostgreSQL database.
///
/// It needs no runtime around it: it brings along a thread that watches its connections. It opens a connection when it
/// needs one more and keeps it: at most 12 for reading and one for writing.
pub struct PostgresStore {
    address: PostgresAddress,
    /// Connections not in use.
    idle: Idle,
    /// One permit for each connection that may read.
    reading: Semaphore,
    /// One permit: writers of this process wait here, and only the first of them in the database.
    writing: Semaphore,
    /// Those read so far.
    dictionaries: Mutex<Arc<Dictionaries>>,
    wait: Duration,
    nodes: Option<NodeCache>,
    /// Dropped last: connections belong to it.
    watcher: Watcher,
}

impl PostgresStore {
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
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Runs `$work` with a connection on loan and gives it back.
macro_rules! reading {
    ($store:expr, $connection:ident => $work:expr) => {
        $store
            .call(async {
                let mut lease = $store.lend().await?;
                let $connection: &mut PgConnection = &mut lease;
                let result = $work.await;
                lease.end(result)
            })
            .await
    };
}

#[async_trait]
impl ReadChunks for PostgresStore {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        reading!(self, connection => chunks::read(self, connection, ids))
    }

    fn node_cache(&self) -> Option<&NodeCache> {
        self.nodes.as_ref()
    }
}

#[async_trait]
impl ReadRecords for PostgresStore {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        reading!(self, connection => records::queries(self, connection))
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        reading!(self, connection => records::query_named(self, connection, name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        reading!(self, connection => records::snapshots(self, connection, filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        reading!(self, connection => records::changes(self, connection, filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        reading!(self, connection => chunks::list(self, connection))
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        reading!(self, connection => documents::list(self, connection, kind))
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        Ok(Box::new(self.call(transaction::begin(self)).await?))
    }

    async fn check(&self) -> Result<Vec<String>> {
        reading!(self, connection => check::check(self, connection))
    }

    async fn disk_bytes(&self) -> Result<u64> {
        reading!(self, connection => check::disk_bytes(self, connection))
    }
}
