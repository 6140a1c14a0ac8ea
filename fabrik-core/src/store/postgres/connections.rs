//! Connections: who holds one, and the thread that waits for their answers.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{PostgresStore, open};
use crate::error::{Error, ErrorKind, Result};

/// A connection not used for so long is tried before it is trusted: a server or a firewall may have ended it.
const FRESH: Duration = Duration::from_secs(1);

/// How long the server may take for one call before it counts as gone. Losing its machine is not noticed otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// The connections of a store that are not in use.
pub(super) type Idle = Arc<Mutex<Vec<(PgConnection, Instant)>>>;

/// One thread that watches the sockets.
///
/// The store brings it along because it is called from anywhere: from a thread that runs nothing but this future, or
/// from tasks of a server. Futures run where they are polled; this thread only wakes them.
#[derive(Debug)]
pub(super) struct Watcher(Option<Runtime>);

impl Watcher {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("fabrik-postgres")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken only when dropped").handle()
    }

    /// Runs `work` where it is polled, with this thread for its sockets and timers.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let _entered = self.handle().enter();
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Waiting for the thread would panic on a thread that runs a server's tasks.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection on loan. Dropped without being given back it is closed, which ends whatever it was doing.
#[derive(Debug)]
pub(super) struct Lease<'s> {
    store: &'s PostgresStore,
    connection: PgConnection,
    _permit: SemaphorePermit<'s>,
}

impl Lease<'_> {
    /// Gives the connection back unless the result speaks against it.
    pub(super) fn end<T>(self, result: Result<T>) -> Result<T> {
        let is_trusted = result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Damaged);
        if is_trusted {
            self.store.give_back(self.connection)
        } else {
            self.store.distrust()
        }
        result
    }
}

impl Deref for Lease<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl PostgresStore {
    /// Runs the work of one call.
    pub(super) async fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let answered = self.watcher.within(async { timeout(PATIENCE, work).await }).await;
        answered.unwrap_or_else(|_| {
            let sentence = format!("the server did not answer within {} s", PATIENCE.as_secs());
            Err(Error::Storage {
                operation: "waiting for an answer",
                location: self.location(),
                source: std::io::Error::new(std::io::ErrorKind::TimedOut, sentence).into(),
            })
        })
    }

    /// Lends a connection for reading, waiting while too many are on loan.
    pub(super) async fn lend(&self) -> Result<Lease<'_>> {
        let permit = acquire(&self.reading).await;
        let connection = self.take_connection().await?.0;
        Ok(Lease { store: self, connection, _permit: permit })
    }

    /// Returns a connection, and whether it is a new one.
    pub(super) async fn take_connection(&self) -> Result<(PgConnection, bool)> {
        while let Some((mut connection, since)) = self.pop_idle() {
            if since.elapsed() < FRESH || connection.ping().await.is_ok() {
                return Ok((connection, false));
            }
        }
        Ok((open::connect(&self.address).await?, true))
    }

    pub(super) fn give_back(&self, connection: PgConnection) {
        keep(&self.idle, connection);
    }

    /// Closes all connections not in use: what ended one has often ended them all.
    pub(super) fn distrust(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn pop_idle(&self) -> Option<(PgConnection, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn location(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn locked(&self, holder: String) -> Error {
        Error::Locked { location: self.location(), holder, waited_seconds: self.wait.as_secs() }
    }
}

pub(super) fn keep(idle: &Idle, connection: PgConnection) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
}

pub(super) async fn acquire(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("a store never closes its semaphores")
}
