//! Where the store is, and opening it there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use fabrik_core::Error;
use fabrik_core::store::{MemoryStore, OpenMode, PostgresAddress, PostgresStore, SqliteStore, Store};

use super::exit::Failure;

/// The place of a store, as it is written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StorePlace {
    /// One file.
    Sqlite(PathBuf),
    /// A schema of a database.
    Postgres(Box<PostgresAddress>),
    /// Nowhere: it ends with the command.
    Memory,
}

impl FromStr for StorePlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("memory", "")) => Ok(Self::Memory),
            // It tells what is wrong without the text, which may hold a password.
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(text.parse()?))),
            _ => Err(Error::InvalidArgument {
                field: "store",
                value: text.to_owned(),
                expected: "sqlite:PATH, postgres://USER@HOST/DATABASE or memory:".to_owned(),
            }),
        }
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl StorePlace {
    /// Opens the store; what `mode` says when there is none. It keeps so many bytes of what was read in memory.
    pub(super) fn open(&self, mode: OpenMode, cache_bytes: u64) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::default())),
            Self::Postgres(address) => {
                let store = pollster::block_on(PostgresStore::open(address, mode))?;
                Ok(Arc::new(store.with_node_cache(cache_bytes)))
            }
            Self::Sqlite(path) => {
                if mode == OpenMode::Existing && is_missing(path) {
                    return Err(Failure::Refused(format!(
                        "no store at {self}; `fabrik capture` or `fabrik demo` makes one"
                    )));
                }
                Ok(Arc::new(SqliteStore::open(path, mode)?.with_node_cache(cache_bytes)))
            }
        }
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip() {
        for text in ["sqlite:fabrik.db", "sqlite:/var/lib/a:b.db", "postgres://mara@db/network?schema=b", "memory:"] {
            assert_eq!(text.parse::<StorePlace>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_places_are_refused_by_name() {
        for text in ["fabrik.db", "sqlite:", "memory:x", "mysql://localhost/fabrik", ""] {
            let error = text.parse::<StorePlace>().unwrap_err().to_string();

            let expected = "sqlite:PATH, postgres://USER@HOST/DATABASE or memory:";
            assert_eq!(error, format!("store {text:?} is not valid: expected {expected}"));
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        let place: StorePlace = "postgresql://mara:s3cret@db/network".parse().unwrap();
        let error = "postgres://mara:s3cret@db:x/network".parse::<StorePlace>().unwrap_err();

        assert_eq!(place.to_string(), "postgres://mara@db/network");
        assert!(!format!("{place:?} {error:?} {error}").contains("s3cret"));
    }
}
