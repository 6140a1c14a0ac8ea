//! Where the server's state is, and connecting to it there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use fabrik_core::store::PostgresAddress;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Database, DbError};

/// How long a statement waits for a lock before it fails.
const BUSY: Duration = Duration::from_secs(10);
/// How many connections a pool has at most.
const CONNECTIONS: u32 = 8;

/// The place of the server's state.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabasePlace {
    /// One file.
    Sqlite(PathBuf),
    /// Nowhere: it ends with the server.
    Memory,
    /// A schema of a PostgreSQL database.
    Postgres(Box<PostgresAddress>),
}

/// Why a text names no place.
#[derive(Debug, thiserror::Error)]
#[error("expected sqlite:PATH, memory: or postgres://USER@HOST/DATABASE")]
pub struct PlaceError;

impl FromStr for DatabasePlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("postgres" | "postgresql", _)) => {
                let address: PostgresAddress = text.parse().map_err(|_| PlaceError)?;
                // Beside the store's tables, not among them.
                let schema = format!("{}_server", address.schema());
                address.with_schema(&schema).map(|address| Self::Postgres(Box::new(address))).map_err(|_| PlaceError)
            }
            _ => Err(PlaceError),
        }
    }
}

/// Addresses carry passwords, so only where they lead is shown.
impl fmt::Display for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl DatabasePlace {
    /// Returns the place beside a store of snapshots: `sqlite:fabrik.db` gives `sqlite:fabrik-server.db`, and the schema
    /// `fabrik` gives `fabrik_server`.
    ///
    /// # Errors
    ///
    /// An address of PostgreSQL that makes no sense.
    pub fn beside(store: &str) -> Result<Self, PlaceError> {
        Ok(match store.split_once(':') {
            Some(("sqlite", path)) => {
                let path = Path::new(path);
                let stem = path.file_stem().map_or_else(|| "fabrik".into(), |stem| stem.to_string_lossy());
                Self::Sqlite(path.with_file_name(format!("{stem}-server.db")))
            }
            Some(("postgres" | "postgresql", _)) => return store.parse(),
            _ => Self::Memory,
        })
    }

    /// Connects to a database that is there, to read it as it is; `None` where there is none.
    pub(crate) async fn connect_existing(&self) -> Result<Option<Database>, DbError> {
        Ok(match self {
            Self::Sqlite(path) if !path.exists() => None,
            Self::Sqlite(path) => {
                let options = sqlite_options().filename(path).pragma("query_only", "on");
                Some(Database::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?))
            }
            Self::Memory => None,
            Self::Postgres(address) => {
                let options = address.options().clone().options([("search_path", address.schema())]);
                Some(Database::Postgres(PgPoolOptions::new().max_connections(1).connect_with(options).await?))
            }
        })
    }

    /// Connects to the database and brings its schema up to date.
    pub(crate) async fn connect(&self) -> Result<Database, DbError> {
        let database = match self {
            Self::Sqlite(path) => {
                make_private(path)?;
                let options = sqlite_options().filename(path).journal_mode(SqliteJournalMode::Wal);
                Database::Sqlite(SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?)
            }
            Self::Memory => {
                // A database in memory belongs to its connection: there is one, and it never goes.
                let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
                Database::Sqlite(pool.connect_with(sqlite_options().in_memory(true)).await?)
            }
            Self::Postgres(address) => {
                let options = address.options().clone().options([("search_path", address.schema())]);
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
                make_schema(&pool, address.schema()).await?;
                Database::Postgres(pool)
            }
        };
        database.migrate().await?;
        Ok(database)
    }
}

fn sqlite_options() -> SqliteConnectOptions {
    // A refresh token that was rotated must stay rotated when the power fails.
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(BUSY).synchronous(SqliteSynchronous::Full)
}

/// Makes the schema, where there is none. Only then does it need the right to.
async fn make_schema(pool: &PgPool, schema: &str) -> Result<(), DbError> {
    let is_there = "SELECT to_regnamespace($1) IS NOT NULL";
    let (is_there,): (bool,) = sqlx::query_as(is_there).bind(schema).fetch_one(pool).await?;
    if is_there {
        return Ok(());
    }
    // The address lets no name through that would need quoting.
    let made = sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(pool).await;
    match made {
        // Another server was faster: the name is taken, or was while we tried.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P06" | "23505")) => Ok(()),
        made => Ok(made.map(|_| ())?),
    }
}

/// Makes the file, where there is none, so that only its owner can read it.
fn make_private(path: &Path) -> Result<(), DbError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(DbError::File { path: path.display().to_string(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_beside_the_store() {
        for (store, place) in [
            ("sqlite:fabrik.db", "sqlite:fabrik-server.db"),
            ("sqlite:/var/lib/f/a.sqlite", "sqlite:/var/lib/f/a-server.db"),
            ("memory:", "memory:"),
            ("postgres://u:secret@db/fabrik", "postgres://u@db/fabrik?schema=fabrik_server"),
            ("postgres://u@db/fabrik?schema=lab", "postgres://u@db/fabrik?schema=lab_server"),
        ] {
            assert_eq!(DatabasePlace::beside(store).unwrap().to_string(), place);
        }
    }

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        let place: DatabasePlace = "postgres://mara:geheim@db.lab:6432/fabrik".parse().unwrap();

        let shown = "postgres://mara@db.lab:6432/fabrik?schema=fabrik_server";
        assert_eq!(format!("{place} {place:?}"), format!("{shown} {shown}"));
    }
}
