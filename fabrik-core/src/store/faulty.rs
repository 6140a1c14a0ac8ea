//! A store that fails when told to, so that tests can see what a failure leaves behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    CapturedChanges, CapturedQuery, Document, NodeCache, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter, Store,
    StoredChunk, Transaction,
};
use crate::cancel::Cancel;
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{Series, Snapshot};

/// Hands every call on to another store, except the one that was chosen to fail.
///
/// Calls of the store and of its transactions are counted together, from 1. A call that fails does nothing.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Faults {
    calls: AtomicU64,
    /// 0 for none.
    fail_at: AtomicU64,
    cancel_at: Mutex<Option<(u64, Cancel)>>,
}

impl Faults {
    fn count(&self, operation: &'static str) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some((_, cancel)) =
            self.cancel_at.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(chosen, _)| *chosen == call)
        {
            cancel.cancel();
        }
        if call != self.fail_at.load(Ordering::SeqCst) {
            return Ok(());
        }
        let source = format!("call {call} was chosen to fail").into();
        Err(Error::Storage { operation, location: "a faulty store".into(), source })
    }
}

impl<S: Store> FaultyStore<S> {
    /// Starts without faults.
    pub fn new(inner: S) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// Counts from 0 again and lets the `call`th call from now fail; none for 0.
    pub fn fail_at(&self, call: u64) {
        self.faults.calls.store(0, Ordering::SeqCst);
        self.faults.fail_at.store(call, Ordering::SeqCst);
    }

    /// Counts from 0 again and calls off the work that makes the `call`th call from now, just before that call is
    /// handed on.
    pub fn cancel_at(&self, call: u64, cancel: Cancel) {
        self.faults.calls.store(0, Ordering::SeqCst);
        *self.faults.cancel_at.lock().unwrap_or_else(PoisonError::into_inner) = Some((call, cancel));
    }

    /// Returns how many calls were made since counting began.
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// Returns the store behind, which never fails.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: Store> ReadChunks for FaultyStore<S> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.faults.count("reading chunks")?;
        self.inner.read_chunks(ids).await
    }

    fn node_cache(&self) -> Option<&NodeCache> {
        self.inner.node_cache()
    }
}

#[async_trait]
impl<S: Store> ReadRecords for FaultyStore<S> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.faults.count("listing queries")?;
        self.inner.queries().await
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.faults.count("looking for a query")?;
        self.inner.query(name).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.faults.count("listing snapshots")?;
        self.inner.snapshots(filter).await
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.faults.count("listing changes")?;
        self.inner.changes(filter).await
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.faults.count("listing chunks")?;
        self.inner.stored_chunks().await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.faults.count("listing documents")?;
        self.inner.documents(kind).await
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        self.faults.count("starting to write")?;
        Ok(Box::new(FaultyTransaction { inner: self.inner.begin().await?, faults: &self.faults }))
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.faults.count("checking indexes")?;
        self.inner.check().await
    }

    async fn disk_bytes(&self) -> Result<u64> {
        self.faults.count("measuring the store")?;
        self.inner.disk_bytes().await
    }
}

#[derive(Debug)]
struct FaultyTransaction<'s> {
    inner: Box<dyn Transaction + 's>,
    faults: &'s Faults,
}

#[async_trait]
impl ReadChunks for FaultyTransaction<'_> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.faults.count("reading chunks")?;
        self.inner.read_chunks(ids).await
    }
}

#[async_trait]
impl ReadRecords for FaultyTransaction<'_> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.faults.count("listing queries")?;
        self.inner.queries().await
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.faults.count("looking for a query")?;
        self.inner.query(name).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.faults.count("listing snapshots")?;
        self.inner.snapshots(filter).await
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.faults.count("listing changes")?;
        self.inner.changes(filter).await
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.faults.count("listing chunks")?;
        self.inner.stored_chunks().await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.faults.count("listing documents")?;
        self.inner.documents(kind).await
    }
}

#[async_trait]
impl Transaction for FaultyTransaction<'_> {
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        self.faults.count("looking for chunks")?;
        self.inner.missing(ids).await
    }

    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64> {
        self.faults.count("storing chunks")?;
        self.inner.put_chunks(chunks).await
    }

    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series> {
        self.faults.count("naming a series")?;
        self.inner.series(query, connection).await
    }

    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.faults.count("storing a record")?;
        self.inner.put_snapshot(snapshot).await
    }

    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64> {
        self.faults.count("deleting records")?;
        self.inner.delete_snapshots(ids).await
    }

    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64> {
        self.faults.count("deleting chunks")?;
        self.inner.delete_chunks(chunks).await
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        self.faults.count("storing a document")?;
        self.inner.put_document(document).await
    }

    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        self.faults.count("deleting a document")?;
        self.inner.delete_document(kind, name).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.faults.count("committing")?;
        self.inner.commit().await
    }
}
