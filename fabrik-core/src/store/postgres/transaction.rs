//! The one write transaction of a store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, query, query_scalar, raw_sql};
use tokio::sync::{Mutex, SemaphorePermit};
use tokio::time::{sleep, timeout};

use super::connections::{acquire, keep};
use super::failure::{LOCK_NOT_AVAILABLE, code, is_lost};
use super::{PostgresStore, chunks, documents, open, records};
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId};
use crate::snapshot::{Series, Snapshot};
use crate::store::{
    CapturedChanges, CapturedQuery, Document, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter, StoredChunk,
    Transaction,
};

/// How often to ask again what has become of a commit.
const ASK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct PostgresTransaction<'s> {
    store: &'s PostgresStore,
    /// `None` once it is over.
    connection: Option<Mutex<PgConnection>>,
    _permit: SemaphorePermit<'s>,
}

/// Starts a transaction, first among those of this process and then among those of the database.
pub(super) async fn begin(store: &PostgresStore) -> Result<PostgresTransaction<'_>> {
    let started = Instant::now();
    let permit = timeout(store.wait, acquire(&store.writing)).await;
    let permit = permit.map_err(|_| store.locked("another transaction of this process".into()))?;
    loop {
        let (mut connection, is_new) = store.take_connection().await?;
        // 0 would be to wait for ever.
        let left = store.wait.saturating_sub(started.elapsed()).as_millis().max(1);
        // What a transaction sees is settled by its first query, and locking a table is none: it sees all that those
        // before it have committed. An advisory lock is taken by a query, which would see the past.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = {left};
             LOCK TABLE fabrik_store IN EXCLUSIVE MODE"
        );
        match connection.execute(raw_sql(AssertSqlSafe(begin))).await {
            Ok(_) => {
                return Ok(PostgresTransaction { store, connection: Some(Mutex::new(connection)), _permit: permit });
            }
            Err(error) if is_lost(&error) && !is_new => store.distrust(),
            Err(error) if code(&error).is_some_and(|code| code == LOCK_NOT_AVAILABLE) => {
                connection.execute("ROLLBACK").await.map_err(store.failed("waiting for other writers"))?;
                let holder = lock_holder(&mut connection).await;
                store.give_back(connection);
                return Err(store.locked(holder));
            }
            Err(error) => return Err(store.failed("starting to write")(error)),
        }
    }
}

/// Says who holds the write lock, as far as the server tells.
async fn lock_holder(connection: &mut PgConnection) -> String {
    let holder = query(
        "SELECT a.application_name, a.pid, a.usename::text, host(a.client_addr)
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.relation = 'fabrik_store'::regclass AND l.mode = 'ExclusiveLock' AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(connection)
    .await;
    let described = holder.and_then(|holder| {
        let Some(row) = holder else { return Ok(None) };
        let text = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(at)?.unwrap_or_default());
        let (name, process, user, host) = (text(0)?, row.try_get::<i32, _>(1)?, text(2)?, text(3)?);
        let from = if host.is_empty() { String::new() } else { format!(" from {host}") };
        Ok(Some(format!("{name:?}, user {user:?}{from} (process {process} of the database server)")))
    });
    described.ok().flatten().unwrap_or_else(|| "another process".into())
}

impl PostgresTransaction<'_> {
    fn connection(&self) -> &Mutex<PgConnection> {
        self.connection.as_ref().expect("a transaction is used before its end")
    }
}

impl Drop for PostgresTransaction<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let (idle, mut connection) = (Arc::clone(&self.store.idle), connection.into_inner());
            // Where rolling back fails, closing the connection does it.
            self.store.watcher.handle().spawn(async move {
                if connection.execute("ROLLBACK").await.is_ok() {
                    keep(&idle, connection);
                }
            });
        }
    }
}

/// Runs `$work` with the connection of the transaction.
macro_rules! within {
    ($transaction:expr, $connection:ident => $work:expr) => {
        $transaction
            .store
            .call(async {
                let mut locked = $transaction.connection().lock().await;
                let $connection: &mut PgConnection = &mut locked;
                $work.await
            })
            .await
    };
}

#[async_trait]
impl ReadChunks for PostgresTransaction<'_> {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        within!(self, connection => chunks::read(self.store, connection, ids))
    }
}

#[async_trait]
impl ReadRecords for PostgresTransaction<'_> {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        within!(self, connection => records::queries(self.store, connection))
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        within!(self, connection => records::query_named(self.store, connection, name))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        within!(self, connection => records::snapshots(self.store, connection, filter))
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        within!(self, connection => records::changes(self.store, connection, filter))
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        within!(self, connection => chunks::list(self.store, connection))
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        within!(self, connection => documents::list(self.store, connection, kind))
    }
}

#[async_trait]
impl Transaction for PostgresTransaction<'_> {
    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        within!(self, connection => chunks::missing(self.store, connection, ids))
    }

    async fn learn(&mut self, samples: &[Vec<u8>]) -> Result<()> {
        within!(self, connection => chunks::make_dictionary(self.store, connection, samples))
    }

    async fn put_chunks(&mut self, chunks: Vec<NewChunk>) -> Result<u64> {
        within!(self, connection => chunks::put(self.store, connection, &chunks))
    }

    async fn series(&mut self, query: &str, connection: Option<&str>) -> Result<Series> {
        within!(self, postgres => records::series(self.store, postgres, query, connection))
    }

    async fn put_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        within!(self, connection => records::put(self.store, connection, snapshot))
    }

    async fn delete_snapshots(&mut self, ids: &[SnapshotId]) -> Result<u64> {
        within!(self, connection => records::delete(self.store, connection, ids))
    }

    async fn delete_chunks(&mut self, chunks: &[ChunkPrefix]) -> Result<u64> {
        within!(self, connection => chunks::delete(self.store, connection, chunks))
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        within!(self, connection => documents::put(self.store, connection, document))
    }

    async fn delete_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        within!(self, connection => documents::delete(self.store, connection, kind, name))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let connection = self.connection.take().expect("a transaction is used before its end").into_inner();
        self.store.call(commit(self.store, connection)).await
    }
}

/// Commits. When this fails, nothing was committed, even if the connection was lost on the way.
async fn commit(store: &PostgresStore, mut connection: PgConnection) -> Result<()> {
    let failed = || store.failed("committing");
    // This also fails when a statement before it has: PostgreSQL would then take COMMIT for ROLLBACK and call it done.
    let number: Option<String> = query_scalar("SELECT pg_current_xact_id_if_assigned()::text")
        .fetch_one(&mut connection)
        .await
        .map_err(failed())?;
    let Err(error) = connection.execute("COMMIT").await else {
        store.give_back(connection);
        return Ok(());
    };
    drop(connection);
    store.distrust();
    match number {
        Some(number) if is_lost(&error) => match was_committed(store, &number).await {
            Some(true) => Ok(()),
            Some(false) => Err(failed()(error)),
            None => Err(Error::Storage {
                operation: "committing",
                location: store.location(),
                source: "the connection was lost before the server said whether it did; what was to be stored may be \
                         there in full, or not at all"
                    .into(),
            }),
        },
        _ => Err(failed()(error)),
    }
}

/// Asks on another connection what has become of a transaction; `None` when nobody says in time.
async fn was_committed(store: &PostgresStore, number: &str) -> Option<bool> {
    let started = Instant::now();
    while started.elapsed() < store.wait {
        if let Ok(mut connection) = open::connect(&store.address).await {
            let status = query_scalar::<_, Option<String>>("SELECT pg_xact_status($1::text::xid8)")
                .bind(number)
                .fetch_one(&mut connection)
                .await;
            match status.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Some(true),
                Ok(Some("aborted")) => return Some(false),
                // It is still at it, or does not answer yet.
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return None,
            }
        }
        sleep(ASK_AGAIN).await;
    }
    None
}
