//! A store whose work can be called off.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    CapturedChanges, CapturedQuery, Document, NodeCache, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter, Store,
    StoredChunk, Transaction,
};
use crate::cancel::Cancel;
use crate::chunk::NewChunk;
use crate::error::Result;
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{Series, Snapshot};

/// Hands every call on to another store until the work is called off; from then on each fails, with an error of kind
/// [`Cancelled`](crate::ErrorKind::Cancelled).
///
/// A transaction that is open then has not been committed and leaves no trace; a commit that has begun is finished.
#[derive(Debug)]
pub struct CancellableStore<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    cancel: Cancel,
}

impl<S: Store + ?Sized> CancellableStore<S> {
    /// Watches `cancel` at every call, and while the store waits in one.
    pub fn new(inner: Arc<S>, cancel: Cancel) -> Self {
        Self { inner, cancel }
    }
}

#[async_trait]
impl<S: Store + ?Sized> ReadChunks for CancellableStore<S> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.cancel.watch(self.inner.read_chunks(ids)).await
    }

    fn node_cache(&self) -> Option<&NodeCache> {
        self.inner.node_cache()
    }
}

#[async_trait]
impl<S: Store + ?Sized> ReadRecords for CancellableStore<S> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.cancel.watch(self.inner.queries()).await
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.cancel.watch(self.inner.query(name)).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.cancel.watch(self.inner.snapshots(filter)).await
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.cancel.watch(self.inner.changes(filter)).await
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.cancel.watch(self.inner.stored_chunks()).await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.cancel.watch(self.inner.documents(kind)).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for CancellableStore<S> {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        let inner = self.cancel.watch(self.inner.begin()).await?;
        Ok(Box::new(CancellableTransaction { inner, cancel: &self.cancel }))
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.cancel.watch(self.inner.check()).await
    }

    async fn disk_bytes(&self) -> Result<u64> {
        self.cancel.watch(self.inner.disk_bytes()).await
    }
}

#[derive(Debug)]
struct CancellableTransaction<'s> {
    inner: Box<dyn Transaction + 's>,
    cancel: &'s Cancel,
}

#[async_trait]
impl ReadChunks for CancellableTransaction<'_> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.cancel.watch(self.inner.read_chunks(ids)).await
    }
}

#[async_trait]
impl ReadRecords for CancellableTransaction<'_> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.cancel.watch(self.inner.queries()).await
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.cancel.watch(self.inner.query(name)).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.cancel.watch(self.inner.snapshots(filter)).await
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.cancel.watch(self.inner.changes(filter)).await
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.cancel.watch(self.inner.stored_chunks()).await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.cancel.watch(self.inner.documents(kind)).await
    }
}

#[async_trait]
impl Transaction for CancellableTransaction<'_> {
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        self.cancel.watch(self.inner.missing(ids)).await
    }

    async fn learn(&mut self, samples: &[Vec<u8>]) -> Result<()> {
        self.cancel.watch(self.inner.learn(samples)).await
    }

    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64> {
        self.cancel.watch(self.inner.put_chunks(chunks)).await
    }

    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series> {
        self.cancel.watch(self.inner.series(query, connection)).await
    }

    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.cancel.watch(self.inner.put_snapshot(snapshot)).await
    }

    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64> {
        self.cancel.watch(self.inner.delete_snapshots(ids)).await
    }

    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64> {
        self.cancel.watch(self.inner.delete_chunks(chunks)).await
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        self.cancel.watch(self.inner.put_document(document)).await
    }

    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        self.cancel.watch(self.inner.delete_document(kind, name)).await
    }

    /// Not broken off once begun: nobody could tell whether it was made.
    async fn commit(self: Box<Self>) -> Result<()> {
        self.cancel.check()?;
        self.inner.commit().await
    }
}
