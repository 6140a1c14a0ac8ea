//! A store in memory, for tests and for one-off questions.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::{
    CapturedChanges, CapturedQuery, Document, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter, Store,
    StoredChunk, Transaction,
};
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{Connection, Query, Series, Snapshot};

/// Keeps everything in memory and is strict: what any real store might refuse, it refuses.
#[derive(Debug, Default)]
pub struct MemoryStore {
    committed: Mutex<Arc<State>>,
    writing: Mutex<bool>,
    written: Condvar,
}

/// Everything a store knows at one moment.
#[derive(Clone, Debug, Default)]
struct State {
    chunks: HashMap<ChunkId, Held>,
    snapshots: BTreeMap<SnapshotId, Snapshot>,
    queries: BTreeMap<String, i64>,
    connections: BTreeMap<String, i64>,
    /// The bodies, by kind and then by name.
    documents: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Clone, Debug)]
struct Held {
    bytes: Bytes,
    base: Option<ChunkId>,
}

/// How long a second writer waits.
const WAIT: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere left no half-made change behind: states are replaced whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    fn state(&self) -> Arc<State> {
        Arc::clone(&lock(&self.committed))
    }

    /// Replaces the bytes of a chunk, so that a test can see what damage does.
    #[cfg(any(test, feature = "conformance"))]
    pub fn damage(&self, id: &ChunkId, bytes: &'static [u8]) {
        let mut committed = lock(&self.committed);
        if let Some(held) = Arc::make_mut(&mut committed).chunks.get_mut(id) {
            held.bytes = Bytes::from_static(bytes);
        }
    }
}

impl State {
    fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        let read = |id: &ChunkId| {
            let held = self.chunks.get(id).ok_or(Error::ChunkNotFound { id: *id, snapshots: Vec::new() })?;
            if ChunkId::of(&held.bytes) != *id {
                return Err(Error::damaged(*id, "its bytes do not match its id"));
            }
            Ok(held.bytes.clone())
        };
        ids.iter().map(read).collect()
    }

    fn snapshots(&self, filter: &SnapshotFilter) -> Vec<Snapshot> {
        let matches = |snapshot: &&Snapshot| {
            let connection = snapshot.series.connection.as_ref().map(|connection| connection.id);
            filter.query.is_none_or(|query| snapshot.series.query.id == query)
                && filter.connection.is_none_or(|wanted| connection == wanted)
                && filter.from.is_none_or(|from| snapshot.captured_at >= from)
                && filter.to.is_none_or(|to| snapshot.captured_at <= to)
                && (filter.id_prefix.as_ref())
                    .is_none_or(|prefix| snapshot.id.as_uuid().simple().to_string().starts_with(prefix.as_str()))
        };
        let mut found: Vec<Snapshot> = self.snapshots.values().filter(matches).cloned().collect();
        found.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.captured_at, snapshot.id)));
        let skip = usize::try_from(filter.skip).unwrap_or(usize::MAX);
        let limit = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        found.into_iter().skip(skip).take(limit).collect()
    }

    fn query(&self, name: &str) -> Option<CapturedQuery> {
        let query = Query { id: *self.queries.get(name)?, name: name.to_owned() };
        let connections = connections(&self.snapshots(&SnapshotFilter::of_query(query.id)));
        Some(CapturedQuery { query, connections })
    }

    fn changes(&self, filter: &SnapshotFilter) -> Vec<CapturedChanges> {
        let changes =
            |snapshot: Snapshot| CapturedChanges { captured_at: snapshot.captured_at, changes: snapshot.changes };
        self.snapshots(filter).into_iter().map(changes).collect()
    }

    fn queries(&self) -> Vec<QueryHistory> {
        let history = |(name, &id): (&String, &i64)| {
            let snapshots = self.snapshots(&SnapshotFilter::of_query(id));
            let connections = connections(&snapshots);
            QueryHistory {
                query: Query { id, name: name.clone() },
                connections,
                snapshot_count: snapshots.len() as u64,
                latest_snapshot_at: snapshots.first().map(|snapshot| snapshot.captured_at),
                last_change_at: snapshots.iter().find(|snapshot| snapshot.has_changes()).map(|found| found.captured_at),
                annotated_count: snapshots.iter().filter(|snapshot| snapshot.annotation.is_some()).count() as u64,
            }
        };
        self.queries.iter().map(history).collect()
    }

    fn stored_chunks(&self) -> Vec<StoredChunk> {
        let stored = |(id, held): (&ChunkId, &Held)| StoredChunk {
            id: id.into(),
            base: held.base.as_ref().map(ChunkPrefix::from),
            stored_bytes: held.bytes.len() as u64,
            chain: std::iter::successors(held.base, |base| self.chunks.get(base)?.base).fold(0, |chain, _| chain + 1),
        };
        self.chunks.iter().map(stored).collect()
    }

    fn documents(&self, kind: &str) -> Vec<Document> {
        let document =
            |(name, body): (&String, &String)| Document { kind: kind.into(), name: name.clone(), body: body.clone() };
        self.documents.get(kind).into_iter().flatten().map(document).collect()
    }
}

/// Lists the connections that some snapshots were captured on, by name.
fn connections(snapshots: &[Snapshot]) -> Vec<Connection> {
    let mut connections: Vec<Connection> =
        snapshots.iter().filter_map(|snapshot| snapshot.series.connection.clone()).collect();
    connections.sort_by(|before, after| before.name.cmp(&after.name));
    connections.dedup();
    connections
}

#[async_trait]
impl ReadChunks for MemoryStore {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.state().read_chunks(ids)
    }
}

#[async_trait]
impl ReadRecords for MemoryStore {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        Ok(self.state().queries())
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        Ok(self.state().query(name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        Ok(self.state().snapshots(filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        Ok(self.state().changes(filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        Ok(self.state().stored_chunks())
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        Ok(self.state().documents(kind))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        let writing = lock(&self.writing);
        let (mut writing, timeout) = (self.written)
            .wait_timeout_while(writing, WAIT, |writing| *writing)
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && *writing {
            return Err(Error::Locked {
                location: "memory".into(),
                holder: "another transaction of this process".into(),
                waited_seconds: WAIT.as_secs(),
            });
        }
        *writing = true;
        Ok(Box::new(MemoryTransaction { store: self, state: (*self.state()).clone() }))
    }

    async fn check(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }
}

#[derive(Debug)]
struct MemoryTransaction<'s> {
    store: &'s MemoryStore,
    state: State,
}

impl Drop for MemoryTransaction<'_> {
    fn drop(&mut self) {
        *lock(&self.store.writing) = false;
        self.store.written.notify_one();
    }
}

#[async_trait]
impl ReadChunks for MemoryTransaction<'_> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.state.read_chunks(ids)
    }
}

#[async_trait]
impl ReadRecords for MemoryTransaction<'_> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        Ok(self.state.queries())
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        Ok(self.state.query(name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        Ok(self.state.snapshots(filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        Ok(self.state.changes(filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        Ok(self.state.stored_chunks())
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        Ok(self.state.documents(kind))
    }
}

#[async_trait]
impl Transaction for MemoryTransaction<'_> {
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        Ok(ids.iter().map(|id| !self.state.chunks.contains_key(id)).collect())
    }

    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64> {
        let mut added = 0;
        for chunk in chunks {
            if ChunkId::of(&chunk.bytes) != chunk.id {
                return Err(Error::damaged(chunk.id, "its bytes do not match its id"));
            }
            if self.state.chunks.contains_key(&chunk.id) {
                continue;
            }
            let base = chunk.base.filter(|base| self.state.chunks.contains_key(base));
            added += chunk.bytes.len() as u64;
            self.state.chunks.insert(chunk.id, Held { bytes: chunk.bytes, base });
        }
        Ok(added)
    }

    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series> {
        fn number(names: &mut BTreeMap<String, i64>, name: &str) -> i64 {
            let next = names.values().max().map_or(1, |max| max + 1);
            *names.entry(name.to_owned()).or_insert(next)
        }
        Ok(Series {
            query: Query { id: number(&mut self.state.queries, query), name: query.to_owned() },
            connection: connection
                .map(|name| Connection { id: number(&mut self.state.connections, name), name: name.to_owned() }),
        })
    }

    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.state.snapshots.insert(snapshot.id, snapshot.clone());
        Ok(())
    }

    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64> {
        Ok(ids.iter().filter(|id| self.state.snapshots.remove(*id).is_some()).count() as u64)
    }

    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64> {
        let doomed: HashSet<&ChunkPrefix> = chunks.iter().collect();
        let before: u64 = self.state.chunks.values().map(|held| held.bytes.len() as u64).sum();
        self.state.chunks.retain(|id, _| !doomed.contains(&ChunkPrefix::from(id)));
        let after: u64 = self.state.chunks.values().map(|held| held.bytes.len() as u64).sum();
        let mut bases = self.state.chunks.values().filter_map(|held| held.base);
        match bases.find(|base| !self.state.chunks.contains_key(base)) {
            Some(base) => Err(Error::damaged(base, "it was deleted while another chunk is stored against it")),
            None => Ok(before - after),
        }
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        let Document { kind, name, body } = document.clone();
        self.state.documents.entry(kind).or_default().insert(name, body);
        Ok(())
    }

    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        Ok(self.state.documents.get_mut(kind).is_some_and(|of_kind| of_kind.remove(name).is_some()))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        *lock(&self.store.committed) = Arc::new(self.state.clone());
        Ok(())
    }
}
