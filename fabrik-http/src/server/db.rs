//! The server's own state: one schema, on SQLite or PostgreSQL.
//!
//! Statements are built with sea-query and run on whichever pool there is, so no caller knows which one it is.
//! By default the state lies in its own SQLite file beside the store of snapshots (`fabrik.db`, `fabrik-server.db`):
//! the store's file is copied and cleaned up by itself, and passwords do not travel with it.

mod place;
mod row;
#[cfg(test)]
mod tests;

use sea_query::{PostgresQueryBuilder, SqliteQueryBuilder};
use sea_query_sqlx::SqlxBinder;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite};

pub use place::DatabasePlace;
pub(crate) use row::Row;

/// Why the server's state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The database refused or lost a statement.
    #[error("the database of the server failed")]
    Query(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema of the server's database could not be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The file of the database could not be made.
    #[error("the database file {path} cannot be made")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl DbError {
    /// Returns whether a row with the same unique value is there already.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// A row that either database can be read into; `#[derive(sqlx::FromRow)]` gives it.
pub(crate) trait FromAnyRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> FromAnyRow for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A pool of connections. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction that ends with [`Transaction::commit`], or undone when it is dropped.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Runs a statement on both kinds of connection: `on_both!(self, statement, as query_as, with fetch_all)`.
macro_rules! on_both {
    ($self:ident, $type:ident, $executor:ident => $deref:expr, $statement:ident, $query:ident $(::<$row:ty>)?, $call:ident) => {
        match $self {
            $type::Sqlite($executor) => {
                let (sql, values) = $statement.build_sqlx(SqliteQueryBuilder);
                sqlx::$query $(::<_, $row, _>)? (AssertSqlSafe(sql), values).$call($deref).await
            }
            $type::Postgres($executor) => {
                let (sql, values) = $statement.build_sqlx(PostgresQueryBuilder);
                sqlx::$query $(::<_, $row, _>)? (AssertSqlSafe(sql), values).$call($deref).await
            }
        }
    };
}

/// The same calls for a pool and for a transaction.
macro_rules! statements {
    ($type:ident, ($($reference:tt)+), $executor:ident => $deref:expr) => {
        impl $type {
            /// Returns all rows of a query.
            pub(crate) async fn all<T: FromAnyRow>($($reference)+ self, query: &(impl SqlxBinder + Sync)) -> Result<Vec<T>, DbError> {
                Ok(on_both!(self, $type, $executor => $deref, query, query_as_with::<T>, fetch_all)?)
            }

            /// Returns the first row of a query, if there is one.
            pub(crate) async fn first<T: FromAnyRow>($($reference)+ self, query: &(impl SqlxBinder + Sync)) -> Result<Option<T>, DbError> {
                Ok(on_both!(self, $type, $executor => $deref, query, query_as_with::<T>, fetch_optional)?)
            }

            /// Returns all rows of a query whose columns are known at run time only.
            pub(crate) async fn rows($($reference)+ self, query: &(impl SqlxBinder + Sync)) -> Result<Vec<Row>, DbError> {
                Ok(match self {
                    $type::Sqlite($executor) => {
                        let (sql, values) = query.build_sqlx(SqliteQueryBuilder);
                        let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all($deref).await?;
                        rows.into_iter().map(Row::Sqlite).collect()
                    }
                    $type::Postgres($executor) => {
                        let (sql, values) = query.build_sqlx(PostgresQueryBuilder);
                        let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all($deref).await?;
                        rows.into_iter().map(Row::Postgres).collect()
                    }
                })
            }

            /// Returns the single number that a query gives: a count, or the id of a new row.
            pub(crate) async fn number($($reference)+ self, query: &(impl SqlxBinder + Sync)) -> Result<i64, DbError> {
                Ok(on_both!(self, $type, $executor => $deref, query, query_scalar_with::<i64>, fetch_one)?)
            }

            /// Runs a statement and returns how many rows it touched.
            pub(crate) async fn run($($reference)+ self, statement: &(impl SqlxBinder + Sync)) -> Result<u64, DbError> {
                Ok(match self {
                    $type::Sqlite($executor) => {
                        let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                        sqlx::query_with(AssertSqlSafe(sql), values).execute($deref).await?.rows_affected()
                    }
                    $type::Postgres($executor) => {
                        let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
                        sqlx::query_with(AssertSqlSafe(sql), values).execute($deref).await?.rows_affected()
                    }
                })
            }
        }
    };
}

statements!(Database, (&), pool => pool);
statements!(Transaction, (&mut), transaction => &mut **transaction);

impl Database {
    /// Begins a transaction that will write.
    ///
    /// SQLite takes the write lock at once, so that two transactions queue instead of one failing at its first write.
    pub(crate) async fn begin(&self) -> Result<Transaction, DbError> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    /// Brings the schema up to date.
    pub(crate) async fn migrate(&self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(pool) => sqlx::migrate!("migrations/sqlite").run(pool).await?,
            Self::Postgres(pool) => sqlx::migrate!("migrations/postgres").run(pool).await?,
        }
        Ok(())
    }

    /// Checks that the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(pool) => sqlx::query("SELECT 1").execute(pool).await.map(|_| ())?,
            Self::Postgres(pool) => sqlx::query("SELECT 1").execute(pool).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Closes all connections; what is running ends first.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Keeps what the transaction wrote.
    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}
