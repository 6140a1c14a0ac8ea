//! Opening a store file without trusting it, and making a new one.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{SqliteStore, WAIT};
use crate::error::{Error, Result};
use crate::store::OpenMode;

/// `FABK`: marks a SQLite file as ours, at byte 68 of its header.
const APPLICATION_ID: i32 = 0x4641_424b;
/// The version of the schema and of what its columns hold, at byte 60 of the header.
const FORMAT: i32 = 3;

/// The statements that lead to each format from the one before it, from an empty file to format 1 on. A new file goes
/// through all of them, so that it is the same as one that was brought up to date. `ARCHITECTURE.md` describes the
/// tables.
const STEPS: [&str; 3] = [FORMAT_1, FORMAT_2, FORMAT_3];

const FORMAT_1: &str = "
CREATE TABLE query (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE connection (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE snapshot (
  id BLOB PRIMARY KEY,
  query INTEGER NOT NULL REFERENCES query,
  connection INTEGER REFERENCES connection,
  captured_at INTEGER NOT NULL,
  captured_by TEXT NOT NULL,
  key TEXT NOT NULL,
  root BLOB NOT NULL,
  version_hash BLOB NOT NULL,
  row_count INTEGER NOT NULL,
  duplicate_keys INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  retention_policy TEXT NOT NULL,
  pinned INTEGER NOT NULL,
  annotation TEXT,
  label TEXT,
  verdict TEXT NOT NULL,
  previous BLOB,
  added INTEGER,
  removed INTEGER,
  changed INTEGER,
  unchanged INTEGER
) WITHOUT ROWID;
CREATE INDEX snapshot_by_time ON snapshot (query, captured_at, id);
CREATE TABLE chunk (seq INTEGER PRIMARY KEY, base INTEGER, chain INTEGER NOT NULL, frame BLOB NOT NULL);
CREATE TABLE chunk_id (id BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dictionary (number INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL);
";

/// What was captured before there were coverages came from answers with all attributes.
const FORMAT_2: &str = "
ALTER TABLE snapshot ADD COLUMN coverage TEXT NOT NULL DEFAULT 'full';
CREATE TABLE document (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;
";

/// The first index holds all that a heatmap reads of a record. The second finds the newest snapshot on a connection, and
/// whether a query has any there, at one place.
const FORMAT_3: &str = "
DROP INDEX snapshot_by_time;
CREATE INDEX snapshot_by_time ON snapshot (query, captured_at, id, previous, added, removed, changed, unchanged, connection);
CREATE INDEX snapshot_by_connection ON snapshot (query, connection, captured_at, id);
";

impl SqliteStore {
    /// Opens the store in the file `path`. One of an older format is brought up to date first, all at once or not at
    /// all; older versions of the program then no longer open it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the file is no store, one of a newer
    /// format or cut short; it is then left as it is.
    pub fn open(path: impl Into<PathBuf>, mode: OpenMode) -> Result<Self> {
        let path = path.into();
        let is_new = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Err(refused(&path, "it is a folder")),
            Ok(found) => found.len() == 0,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match mode {
                OpenMode::Create => true,
                OpenMode::Existing => return Err(refused(&path, "there is no such file")),
            },
            Err(error) => return Err(refused(&path, error)),
        };
        // After a crash while the file was made, its header means nothing until SQLite has rolled back.
        if !is_new && !has_bytes(&beside(&path, "-journal")) {
            check_header(&path)?;
        }
        let mut connection = connect(&path, mode)?;
        prepare(&path, &mut connection)?;
        Ok(Self {
            path,
            idle: Mutex::new(vec![connection]),
            dictionaries: Mutex::default(),
            mode,
            wait: WAIT,
            nodes: None,
        })
    }
}

fn refused(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::NotAStore { location: path.display().to_string(), problem: problem.to_string() }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn has_bytes(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// Reads what the first hundred bytes say, before SQLite may touch the file.
/// Layout: <https://www.sqlite.org/fileformat2.html#the_database_header>.
fn check_header(path: &Path) -> Result<()> {
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(|error| refused(path, error))?;
    let len = file.metadata().map_err(|error| refused(path, error))?.len();
    if file.read_exact(&mut header).is_err() || &header[..16] != b"SQLite format 3\0" {
        return Err(refused(path, "it is not a SQLite file"));
    }
    let number = |at: usize| i32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes were taken"));
    if number(68) != APPLICATION_ID {
        return Err(refused(path, "it is a SQLite file of another program"));
    }
    check_format(path, number(60))?;
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u64::from(u32::from_be_bytes(header[28..32].try_into().expect("four bytes were taken")));
    // With a log beside it, the file may rightly be behind its header.
    if len < pages * page_size && !has_bytes(&beside(path, "-wal")) {
        let problem = format!("it is cut short: {len} of {} bytes are there", pages * page_size);
        return Err(refused(path, problem));
    }
    Ok(())
}

fn check_format(path: &Path, format: i32) -> Result<()> {
    if (1..=FORMAT).contains(&format) {
        return Ok(());
    }
    Err(refused(path, format!("it has format {format}, and this version reads formats 1 to {FORMAT}")))
}

/// Opens one more connection to a file that has passed the checks.
pub(super) fn connect(path: &Path, mode: OpenMode) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if mode == OpenMode::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(|error| refused(path, error))?;
    let set = || {
        connection.busy_timeout(WAIT)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;")
    };
    set().map_err(|error| refused(path, error))?;
    Ok(connection)
}

/// Makes the tables in a new file, brings those of an older format up to date, and checks what there is then.
fn prepare(path: &Path, connection: &mut Connection) -> Result<()> {
    make_tables(connection).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => Error::Locked {
            location: path.display().to_string(),
            holder: lock_holder(path),
            waited_seconds: WAIT.as_secs(),
        },
        Some(rusqlite::ErrorCode::DiskFull) => Error::StorageFull {
            operation: "making the tables of a store",
            location: path.display().to_string(),
            source: Some(error.into()),
        },
        _ => refused(path, error),
    })?;
    let read = |name| read_number(connection, name).map_err(|error| refused(path, error));
    if read("application_id")? != APPLICATION_ID {
        return Err(refused(path, "it is a SQLite file of another program"));
    }
    check_format(path, read("user_version")?)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        .map_err(|error| refused(path, error))?;
    Ok(())
}

fn read_number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Takes the steps from the format of the file to the newest, in one transaction; none for a file that is not ours.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    match read_number(connection, "application_id")? {
        // These two can only be said before the first table, and wait for writers, so never for an old file.
        0 => connection.execute_batch("PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL;")?,
        APPLICATION_ID if read_number(connection, "user_version")? < FORMAT => {}
        _ => return Ok(()),
    }
    // A new file is not yet in WAL mode, so that the header is in the file itself from the first moment on.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Another process may have been faster.
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_ours = read_number(&transaction, "application_id")? == APPLICATION_ID;
    if tables > 0 && !is_ours {
        return Ok(());
    }
    let current = if is_ours { read_number(&transaction, "user_version")? } else { 0 };
    for (format, step) in (1..=FORMAT).zip(STEPS) {
        if format > current {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", format)?;
        }
    }
    transaction.commit()
}

/// Says who holds the write lock, from the system's list of locks: in WAL mode it is byte 120 of the `-shm`
/// file (<https://www.sqlite.org/walformat.html#locks>).
#[cfg(target_os = "linux")]
pub(super) fn lock_holder(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    const UNKNOWN: &str = "another process";
    let (Ok(found), Ok(locks)) = (fs::metadata(beside(path, "-shm")), fs::read_to_string("/proc/locks")) else {
        return UNKNOWN.into();
    };
    // A line: "1: POSIX  ADVISORY  WRITE 4711 fe:01:131 120 120"; one that waits has "->" for its second field.
    let holder = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", process, file, first, last] = fields[..] else { return None };
        let inode: u64 = file.rsplit(':').next()?.parse().ok()?;
        let last = if last == "EOF" { u64::MAX } else { last.parse().ok()? };
        let covers = (first.parse::<u64>().ok()?..=last).contains(&120);
        (inode == found.ino() && covers).then_some(process)
    });
    match holder {
        Some(process) if process == std::process::id().to_string() => "this process".into(),
        Some(process) => match fs::read_to_string(format!("/proc/{process}/comm")) {
            Ok(name) => format!("process {process} ({})", name.trim()),
            Err(_) => format!("process {process}"),
        },
        None => UNKNOWN.into(),
    }
}

/// Elsewhere nobody says who holds a lock.
#[cfg(not(target_os = "linux"))]
pub(super) fn lock_holder(_path: &Path) -> String {
    "another process".into()
}
