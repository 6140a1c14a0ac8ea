//! Connecting to a database without trusting it, and making the tables of a new store.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row, raw_sql};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connections::Watcher;
use super::failure::{DUPLICATE_TABLE, LOCK_NOT_AVAILABLE, code, refused};
use super::{PostgresAddress, PostgresStore};
use crate::error::{Error, Result};
use crate::store::OpenMode;

/// How long a writer waits for another, and a connection for the server.
const WAIT: Duration = Duration::from_secs(10);
/// How many reads a store does at a time. A server has 100 connections unless told otherwise, for all stores together.
const READERS: usize = 12;
/// The oldest version of PostgreSQL that is tried, as the server counts.
const OLDEST: u32 = 140_000;
/// `FABK`: the first half of the advisory lock under which tables are made. The second half is for the schema.
const MAKING: i32 = 0x4641_424b;

/// The version of the tables and of what their columns hold, kept in `fabrik_store`.
const FORMAT: i32 = 2;
/// The statements that lead to each format from the one before it. `ARCHITECTURE.md` describes the tables.
const STEPS: [&str; 2] = [FORMAT_1, FORMAT_2];

/// Free text is `bytea`: PostgreSQL's own texts hold no NUL, depend on the encoding of the database, and sort by locale.
///
/// A frame is compressed already, hence `EXTERNAL`. Frames of up to 4 KB, which most are, stay in the row.
const FORMAT_1: &str = "
CREATE TABLE fabrik_store (one boolean PRIMARY KEY DEFAULT true CHECK (one), format integer NOT NULL);
INSERT INTO fabrik_store (format) VALUES (0);
CREATE TABLE query (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name bytea NOT NULL UNIQUE);
CREATE TABLE connection (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name bytea NOT NULL UNIQUE);
CREATE TABLE snapshot (
  id uuid PRIMARY KEY,
  query bigint NOT NULL REFERENCES query,
  connection bigint REFERENCES connection,
  captured_at bigint NOT NULL,
  captured_by bytea NOT NULL,
  key bytea NOT NULL,
  root bytea NOT NULL,
  version_hash bytea NOT NULL,
  row_count bigint NOT NULL,
  duplicate_keys bigint NOT NULL,
  size_bytes bigint NOT NULL,
  stored_bytes bigint NOT NULL,
  retention_policy text NOT NULL,
  pinned boolean NOT NULL,
  annotation bytea,
  label bytea,
  verdict bytea NOT NULL,
  coverage text NOT NULL,
  previous uuid,
  added bigint,
  removed bigint,
  changed bigint,
  unchanged bigint
);
CREATE INDEX snapshot_by_time ON snapshot (query, captured_at, id);
CREATE TABLE chunk (
  id bytea PRIMARY KEY,
  base bytea,
  chain integer NOT NULL,
  frame bytea NOT NULL
) WITH (toast_tuple_target = 4080);
ALTER TABLE chunk ALTER COLUMN frame SET STORAGE EXTERNAL;
CREATE TABLE dictionary (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  content bytea NOT NULL
);
CREATE TABLE document (kind bytea NOT NULL, name bytea NOT NULL, body bytea NOT NULL, PRIMARY KEY (kind, name));
";

/// The first index holds all that a heatmap reads of a record. The second finds the newest snapshot on a connection, and
/// whether a query has any there, at one place.
const FORMAT_2: &str = "
DROP INDEX snapshot_by_time;
CREATE INDEX snapshot_by_time ON snapshot (query, captured_at, id)
  INCLUDE (previous, added, removed, changed, unchanged, connection);
CREATE INDEX snapshot_by_connection ON snapshot (query, connection, captured_at, id);
";

impl PostgresStore {
    /// Opens the store in a schema of a PostgreSQL database, version 14 or later. One of an older format is brought up to
    /// date first, all at once or not at all; older versions of the program then no longer open it. Many processes may
    /// open it, and many at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the server does not let this user in, has no such
    /// database or is too old, and when the schema holds no store or one of a newer format; it is then left as it is.
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) when the server cannot be reached.
    pub async fn open(address: &PostgresAddress, mode: OpenMode) -> Result<Self> {
        let watcher = Watcher::start().map_err(|error| Error::Storage {
            operation: "starting a thread for connections",
            location: address.to_string(),
            source: error.into(),
        })?;
        let store = Self {
            address: address.clone(),
            idle: Arc::default(),
            reading: Semaphore::new(READERS),
            writing: Semaphore::new(1),
            dictionaries: Mutex::default(),
            wait: WAIT,
            nodes: None,
            watcher,
        };
        let connected = async {
            let mut connection = connect(address).await?;
            prepare(address, &mut connection, mode).await?;
            store.give_back(connection);
            Result::<()>::Ok(())
        };
        store.watcher.within(connected).await?;
        Ok(store)
    }
}

fn not_a_store(address: &PostgresAddress, problem: impl Into<String>) -> Error {
    Error::NotAStore { location: address.to_string(), problem: problem.into() }
}

/// Opens one more connection and makes it ready for use.
pub(super) async fn connect(address: &PostgresAddress) -> Result<PgConnection> {
    let connected = timeout(WAIT, address.options().connect()).await.unwrap_or_else(|_| {
        let sentence = format!("the server did not answer within {} s", WAIT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, sentence).into())
    });
    let mut connection = connected.map_err(refused(address.to_string(), "connecting"))?;
    check_version(address, connection.server_version_num())?;
    // - A commit must not return before it is durable; stronger settings of the server stay.
    // - Plans are made once: made for the case at hand they would cost more than they save, and estimates for lists of
    //   ids are poor, which compiling (jit) takes for a reason to start.
    // - A writer whose machine has vanished, or that has been stopped, must not lock out the others for hours.
    let setup = format!(
        "SET search_path = \"{}\"; SET plan_cache_mode = force_generic_plan; SET jit = off;
         SET client_min_messages = warning; SET idle_in_transaction_session_timeout = '10min';
         SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        address.schema()
    );
    connection.execute(raw_sql(AssertSqlSafe(setup))).await.map_err(refused(address.to_string(), "connecting"))?;
    Ok(connection)
}

fn check_version(address: &PostgresAddress, version: Option<u32>) -> Result<()> {
    match version {
        Some(version) if version < OLDEST => {
            let problem = format!(
                "the server is PostgreSQL {}, and a store needs version {} or later",
                version / 10_000,
                OLDEST / 10_000
            );
            Err(not_a_store(address, problem))
        }
        // What speaks the protocol and counts otherwise may do as well.
        _ => Ok(()),
    }
}

/// Makes the tables of a new store, brings those of an older format up to date, and checks what there is.
async fn prepare(address: &PostgresAddress, connection: &mut PgConnection, mode: OpenMode) -> Result<()> {
    match read_format(address, connection).await? {
        Some(FORMAT) => return Ok(()),
        Some(format) => check_format(address, format)?,
        None if mode == OpenMode::Existing => {
            return Err(not_a_store(address, format!("there is no store in its schema {:?}", address.schema())));
        }
        None => {}
    }
    let (schema, failed) = (address.schema(), || refused(address.to_string(), "making the tables of a store"));
    // Each statement sees what was committed before it, so that what the lock was waited for is seen.
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {};
         SELECT pg_advisory_xact_lock({MAKING}, hashtext('{schema}'))",
        WAIT.as_millis()
    );
    connection.execute(raw_sql(AssertSqlSafe(begin))).await.map_err(|error| {
        if code(&error).is_none_or(|code| code != LOCK_NOT_AVAILABLE) {
            return failed()(error);
        }
        let holder = "another process that makes or changes its tables".into();
        Error::Locked { location: address.to_string(), holder, waited_seconds: WAIT.as_secs() }
    })?;
    // Another process may have been faster.
    let current = read_format(address, connection).await?;
    if let Some(format) = current {
        check_format(address, format)?;
    } else {
        let find = format!("SELECT FROM pg_namespace WHERE nspname = '{schema}'");
        // Asking first, because making a schema takes a right that using one does not.
        if raw_sql(AssertSqlSafe(find)).fetch_optional(&mut *connection).await.map_err(failed())?.is_none() {
            let make = format!("CREATE SCHEMA \"{schema}\"");
            connection.execute(raw_sql(AssertSqlSafe(make))).await.map_err(failed())?;
        }
    }
    for (format, step) in (1..=FORMAT).zip(STEPS) {
        if format > current.unwrap_or(0) {
            let step = format!("{step}; UPDATE fabrik_store SET format = {format}");
            connection.execute(raw_sql(AssertSqlSafe(step))).await.map_err(|error| {
                if code(&error).is_some_and(|code| code == DUPLICATE_TABLE) {
                    return not_a_store(address, format!("its schema {schema:?} has tables of another program"));
                }
                failed()(error)
            })?;
        }
    }
    connection.execute("COMMIT").await.map_err(failed())?;
    Ok(())
}

fn check_format(address: &PostgresAddress, format: i32) -> Result<()> {
    if (1..=FORMAT).contains(&format) {
        return Ok(());
    }
    Err(not_a_store(address, format!("it has format {format}, and this version reads formats 1 to {FORMAT}")))
}

/// Reads the format of the store; `None` where there is none.
async fn read_format(address: &PostgresAddress, connection: &mut PgConnection) -> Result<Option<i32>> {
    let failed = || refused(address.to_string(), "looking for a store");
    let schema = address.schema();
    // Asked for first, since a statement that fails would end a transaction; and in the catalogue itself, since looking a
    // name up may repeat what the server remembers from before the lock.
    let find = format!(
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = '{schema}' AND c.relname = 'fabrik_store'"
    );
    if raw_sql(AssertSqlSafe(find)).fetch_optional(&mut *connection).await.map_err(failed())?.is_none() {
        return Ok(None);
    }
    let read = format!("SELECT format FROM \"{schema}\".fabrik_store");
    let row = raw_sql(AssertSqlSafe(read)).fetch_optional(&mut *connection).await.map_err(failed())?;
    let row = row.ok_or_else(|| not_a_store(address, "its table fabrik_store is empty"))?;
    row.try_get(0).map(Some).map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_version_14_are_refused() {
        let address: PostgresAddress = "postgres://mara@db/a".parse().unwrap();

        let error = check_version(&address, Some(130_022)).unwrap_err();

        let expected = "postgres://mara@db/a cannot be opened as a Fabrik store: \
                        the server is PostgreSQL 13, and a store needs version 14 or later";
        assert_eq!(error.to_string(), expected);
        for good in [Some(140_000), Some(150_018), Some(180_001), None] {
            check_version(&address, good).unwrap();
        }
    }
}
