//! Everything but the content of chunks: records, names, lists of chunks.

use chrono::DateTime;
use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection as Sqlite, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use super::SqliteStore;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId, VersionHash};
use crate::snapshot::{ChangeSummary, Connection, Query, Series, Snapshot};
use crate::store::frame::{Dictionaries, Dictionary};
use crate::store::{CapturedChanges, CapturedQuery, QueryHistory, SnapshotFilter, StoredChunk, ids_that_start_with};

const COLUMNS: &str = "s.id, s.query, q.name, s.connection, c.name, s.captured_at, s.captured_by, s.key, s.root,
    s.version_hash, s.row_count, s.duplicate_keys, s.size_bytes, s.stored_bytes, s.retention_policy, s.pinned,
    s.annotation, s.label, s.verdict, s.previous, s.added, s.removed, s.changed, s.unchanged, s.coverage";
const TABLES: &str = "snapshot s LEFT JOIN query q ON q.id = s.query LEFT JOIN connection c ON c.id = s.connection";

pub(super) fn queries(store: &SqliteStore, sqlite: &Sqlite) -> Result<Vec<QueryHistory>> {
    let failed = || store.failed("listing queries");
    let mut connections: HashMap<i64, Vec<Connection>> = HashMap::new();
    let mut used = sqlite
        .prepare_cached(
            "SELECT DISTINCT s.query, c.id, c.name FROM snapshot s JOIN connection c ON c.id = s.connection
             ORDER BY c.name",
        )
        .map_err(failed())?;
    let mut rows = used.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let read = || Ok((row.get(0)?, Connection { id: row.get(1)?, name: row.get(2)? }));
        let (query, connection): (i64, Connection) = read().map_err(failed())?;
        connections.entry(query).or_default().push(connection);
    }
    let mut histories = sqlite
        .prepare_cached(
            "SELECT q.id, q.name, count(s.id), max(s.captured_at),
                    max(CASE WHEN s.added + s.removed + s.changed > 0 THEN s.captured_at END),
                    count(s.annotation)
             FROM query q LEFT JOIN snapshot s ON s.query = q.id GROUP BY q.id ORDER BY q.name",
        )
        .map_err(failed())?;
    let read = |row: &Row<'_>| {
        let id = row.get(0)?;
        Ok(QueryHistory {
            query: Query { id, name: row.get(1)? },
            connections: connections.remove(&id).unwrap_or_default(),
            snapshot_count: row.get(2)?,
            latest_snapshot_at: row.get::<_, Option<i64>>(3)?.and_then(DateTime::from_timestamp_micros),
            last_change_at: row.get::<_, Option<i64>>(4)?.and_then(DateTime::from_timestamp_micros),
            annotated_count: row.get(5)?,
        })
    };
    histories.query_map([], read).and_then(Iterator::collect).map_err(failed())
}

pub(super) fn query(store: &SqliteStore, sqlite: &Sqlite, name: &str) -> Result<Option<CapturedQuery>> {
    let failed = || store.failed("looking for a query");
    let mut find = sqlite.prepare_cached("SELECT id FROM query WHERE name = ?1").map_err(failed())?;
    let Some(id) = find.query_row([name], |row| row.get(0)).optional().map_err(failed())? else { return Ok(None) };
    // One look into an index for each connection, however many snapshots there are.
    let mut connections = sqlite
        .prepare_cached(
            "SELECT c.id, c.name FROM connection c
             WHERE EXISTS (SELECT 1 FROM snapshot s WHERE s.query = ?1 AND s.connection = c.id) ORDER BY c.name",
        )
        .map_err(failed())?;
    let connections = connections
        .query_map([id], |row| Ok(Connection { id: row.get(0)?, name: row.get(1)? }))
        .and_then(Iterator::collect)
        .map_err(failed())?;
    Ok(Some(CapturedQuery { query: Query { id, name: name.to_owned() }, connections }))
}

pub(super) fn snapshots(store: &SqliteStore, sqlite: &Sqlite, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
    let Some((selection, values)) = select(filter) else { return Ok(Vec::new()) };
    let text = format!("SELECT {COLUMNS} FROM {TABLES} {selection}");
    let failed = || store.failed("listing snapshots");
    let mut select = sqlite.prepare_cached(&text).map_err(failed())?;
    let mut rows = select.query(params_from_iter(values)).map_err(failed())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed())? {
        found.push(snapshot(row)?);
    }
    Ok(found)
}

/// Reads what the index by time holds, and no record.
pub(super) fn changes(store: &SqliteStore, sqlite: &Sqlite, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
    let Some((selection, values)) = select(filter) else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT s.captured_at, s.previous, s.added, s.removed, s.changed, s.unchanged, s.id FROM snapshot s {selection}"
    );
    let failed = || store.failed("listing changes");
    let mut select = sqlite.prepare_cached(&text).map_err(failed())?;
    let mut rows = select.query(params_from_iter(values)).map_err(failed())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed())? {
        let read = || -> std::result::Result<_, Box<dyn std::error::Error>> {
            let captured_at = DateTime::from_timestamp_micros(row.get(0)?).ok_or("its time is out of range")?;
            Ok(CapturedChanges { captured_at, changes: change_summary(row, 1)? })
        };
        let name =
            || row.get(6).map_or_else(|_| "?".to_owned(), |id| SnapshotId::new(Uuid::from_bytes(id)).to_string());
        found.push(read().map_err(|problem| damaged(&name(), problem))?);
    }
    Ok(found)
}

/// Returns how a statement goes on that selects what a filter says, newest first, and the values in it; `None` for
/// what nothing matches.
fn select(filter: &SnapshotFilter) -> Option<(String, Vec<Sql>)> {
    let mut conditions: Vec<&str> = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    let mut add = |condition, value| {
        conditions.push(condition);
        values.push(value);
    };
    if let Some(query) = filter.query {
        add("s.query = ?", Sql::Integer(query));
    }
    if let Some(connection) = filter.connection {
        add("s.connection IS ?", connection.map_or(Sql::Null, Sql::Integer));
    }
    if let Some(from) = filter.from {
        add("s.captured_at >= ?", Sql::Integer(from.timestamp_micros()));
    }
    if let Some(to) = filter.to {
        add("s.captured_at <= ?", Sql::Integer(to.timestamp_micros()));
    }
    if let Some(prefix) = &filter.id_prefix {
        let (first, last) = ids_that_start_with(prefix)?;
        add("s.id >= ?", Sql::Blob(first.as_bytes().to_vec()));
        add("s.id <= ?", Sql::Blob(last.as_bytes().to_vec()));
    }
    let filters = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    values.push(Sql::Integer(filter.limit.map_or(-1, count)));
    values.push(Sql::Integer(count(filter.skip)));
    Some((format!("{filters} ORDER BY s.captured_at DESC, s.id DESC LIMIT ? OFFSET ?"), values))
}

/// Reads a record, trusting nothing in it.
fn snapshot(row: &Row<'_>) -> Result<Snapshot> {
    let id: [u8; 16] = row.get(0).map_err(|error| damaged("?", error))?;
    let id = SnapshotId::new(Uuid::from_bytes(id));
    let name = id.to_string();
    read_snapshot(id, row).map_err(|problem| damaged(&name, problem))
}

fn damaged(snapshot: &str, problem: impl std::fmt::Display) -> Error {
    Error::RecordDamaged { snapshot: snapshot.to_owned(), problem: problem.to_string() }
}

fn read_snapshot(id: SnapshotId, row: &Row<'_>) -> std::result::Result<Snapshot, Box<dyn std::error::Error>> {
    let text = |at: usize| row.get::<_, String>(at);
    let connection =
        row.get::<_, Option<i64>>(3)?.map(|id| Ok::<_, rusqlite::Error>(Connection { id, name: text(4)? }));
    Ok(Snapshot {
        id,
        series: Series { query: Query { id: row.get(1)?, name: text(2)? }, connection: connection.transpose()? },
        captured_at: DateTime::from_timestamp_micros(row.get(5)?).ok_or("its time is out of range")?,
        captured_by: text(6)?,
        key: text(7)?.parse()?,
        root: ChunkId::from_bytes(row.get(8)?),
        version_hash: VersionHash::from_bytes(row.get(9)?),
        row_count: row.get(10)?,
        duplicate_keys: row.get(11)?,
        size_bytes: row.get(12)?,
        stored_bytes: row.get(13)?,
        retention_policy: text(14)?.parse()?,
        pinned: row.get(15)?,
        annotation: row.get(16)?,
        label: row.get(17)?,
        verdict: serde_json::from_str(&text(18)?)?,
        coverage: text(24)?.parse()?,
        changes: change_summary(row, 19)?,
    })
}

/// Reads what changed at a capture from five columns.
fn change_summary(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ChangeSummary>> {
    let Some(previous) = row.get(first)? else { return Ok(None) };
    Ok(Some(ChangeSummary {
        previous: SnapshotId::new(Uuid::from_bytes(previous)),
        added: row.get(first + 1)?,
        removed: row.get(first + 2)?,
        changed: row.get(first + 3)?,
        unchanged: row.get(first + 4)?,
    }))
}

pub(super) fn series(store: &SqliteStore, sqlite: &Sqlite, query: &str, connection: Option<&str>) -> Result<Series> {
    let failed = || store.failed("naming a series");
    let number = |table: &str, name: &str| {
        sqlite.execute(&format!("INSERT INTO {table} (name) VALUES (?1) ON CONFLICT DO NOTHING"), [name])?;
        sqlite.query_row(&format!("SELECT id FROM {table} WHERE name = ?1"), [name], |row| row.get(0))
    };
    let query = Query { id: number("query", query).map_err(failed())?, name: query.to_owned() };
    let connection = connection
        .map(|name| Ok(Connection { id: number("connection", name)?, name: name.to_owned() }))
        .transpose()
        .map_err(failed())?;
    Ok(Series { query, connection })
}

pub(super) fn put_snapshot(store: &SqliteStore, sqlite: &Sqlite, snapshot: &Snapshot) -> Result<()> {
    let changes = snapshot.changes.as_ref();
    let verdict = serde_json::to_string(&snapshot.verdict).expect("a verdict always has a JSON form");
    sqlite
        .prepare_cached(
            "INSERT OR REPLACE INTO snapshot VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
              ?23)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                snapshot.id.as_uuid().as_bytes(),
                snapshot.series.query.id,
                snapshot.series.connection.as_ref().map(|connection| connection.id),
                snapshot.captured_at.timestamp_micros(),
                snapshot.captured_by,
                snapshot.key.to_string(),
                snapshot.root.as_bytes(),
                snapshot.version_hash.as_bytes(),
                snapshot.row_count,
                snapshot.duplicate_keys,
                snapshot.size_bytes,
                snapshot.stored_bytes,
                snapshot.retention_policy.name(),
                snapshot.pinned,
                snapshot.annotation,
                snapshot.label,
                verdict,
                changes.map(|changes| *changes.previous.as_uuid().as_bytes()),
                changes.map(|changes| changes.added),
                changes.map(|changes| changes.removed),
                changes.map(|changes| changes.changed),
                changes.map(|changes| changes.unchanged),
                snapshot.coverage.name(),
            ])
        })
        .map_err(store.failed("storing a record"))?;
    Ok(())
}

pub(super) fn delete_snapshots(store: &SqliteStore, sqlite: &Sqlite, ids: &[SnapshotId]) -> Result<u64> {
    let failed = || store.failed("deleting records");
    let mut delete = sqlite.prepare_cached("DELETE FROM snapshot WHERE id = ?1").map_err(failed())?;
    let delete = |id: &SnapshotId| delete.execute([id.as_uuid().as_bytes()]).map(|count| count as u64);
    ids.iter().map(delete).sum::<rusqlite::Result<u64>>().map_err(failed())
}

pub(super) fn stored_chunks(store: &SqliteStore, sqlite: &Sqlite) -> Result<Vec<StoredChunk>> {
    let failed = || store.failed("listing chunks");
    let mut ids = sqlite.prepare_cached("SELECT seq, id FROM chunk_id").map_err(failed())?;
    let ids: HashMap<i64, ChunkPrefix> = ids
        .query_map([], |row| Ok((row.get(0)?, ChunkPrefix::from_bytes(row.get(1)?))))
        .and_then(Iterator::collect)
        .map_err(failed())?;
    let mut chunks =
        sqlite.prepare_cached("SELECT seq, base, length(frame), chain FROM chunk ORDER BY seq").map_err(failed())?;
    let mut rows = chunks.query([]).map_err(failed())?;
    let mut stored = Vec::with_capacity(ids.len());
    while let Some(row) = rows.next().map_err(failed())? {
        let read = || {
            let base = row.get::<_, Option<i64>>(1)?.and_then(|base| ids.get(&base).copied());
            Ok((row.get::<_, i64>(0)?, base, row.get(2)?, row.get(3)?))
        };
        let (seq, base, stored_bytes, chain) = read().map_err(failed())?;
        if let Some(&id) = ids.get(&seq) {
            stored.push(StoredChunk { id, base, stored_bytes, chain });
        }
    }
    Ok(stored)
}

/// Reads all dictionaries: one for every kind of content that a store holds much of.
pub(super) fn dictionaries(store: &SqliteStore, sqlite: &Sqlite) -> Result<Dictionaries> {
    let failed = || store.failed("reading dictionaries");
    let mut all = sqlite.prepare_cached("SELECT number, content FROM dictionary").map_err(failed())?;
    let mut rows = all.query([]).map_err(failed())?;
    let mut found = Dictionaries::new();
    while let Some(row) = rows.next().map_err(failed())? {
        let number: u64 = row.get(0).map_err(failed())?;
        let packed: Vec<u8> = row.get(1).map_err(failed())?;
        // One that cannot be read is missed by the chunks that need it, and they report it.
        if let Ok(content) = zstd::decode_all(&packed[..]) {
            found.insert(number, Arc::new(Dictionary::new(number, content)));
        }
    }
    Ok(found)
}

/// Returns the dictionary to pack with, if there is one.
pub(super) fn newest_dictionary(store: &SqliteStore, sqlite: &Sqlite) -> Result<Option<Arc<Dictionary>>> {
    let newest: Option<u64> = sqlite
        .query_row("SELECT max(number) FROM dictionary", [], |row| row.get(0))
        .map_err(store.failed("looking for a dictionary"))?;
    let known = store.dictionaries(sqlite, newest.into_iter())?;
    Ok(newest.and_then(|newest| known.get(&newest).cloned()))
}

/// Makes a dictionary from samples, where that pays.
pub(super) fn make_dictionary(store: &SqliteStore, sqlite: &Sqlite, samples: &[Vec<u8>]) -> Result<()> {
    let current = newest_dictionary(store, sqlite)?;
    let Some(content) = Dictionary::make(samples, current.as_deref()) else { return Ok(()) };
    let packed = zstd::encode_all(&content[..], 6).expect("a vector takes whatever zstd writes");
    sqlite
        .prepare_cached("INSERT INTO dictionary (content) VALUES (?1)")
        .and_then(|mut insert| insert.insert([packed]))
        .map_err(store.failed("storing a dictionary"))?;
    Ok(())
}

pub(super) fn delete_chunks(store: &SqliteStore, sqlite: &Sqlite, chunks: &[ChunkPrefix]) -> Result<u64> {
    let failed = || store.failed("deleting chunks");
    let mut find = sqlite
        .prepare_cached("SELECT c.seq, length(c.frame) FROM chunk_id i JOIN chunk c ON c.seq = i.seq WHERE i.id = ?1")
        .map_err(failed())?;
    let mut delete_id = sqlite.prepare_cached("DELETE FROM chunk_id WHERE id = ?1").map_err(failed())?;
    let mut delete = sqlite.prepare_cached("DELETE FROM chunk WHERE seq = ?1").map_err(failed())?;
    let mut freed = 0;
    for chunk in chunks {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?));
        let Some((seq, len)) = find.query_row([chunk.as_bytes()], read).optional().map_err(failed())? else { continue };
        delete_id.execute([chunk.as_bytes()]).map_err(failed())?;
        delete.execute([seq]).map_err(failed())?;
        freed += len;
    }
    // Hand the empty pages back to the file system. Each step of this statement frees some.
    let mut vacuum = sqlite.prepare("PRAGMA incremental_vacuum").map_err(failed())?;
    let mut steps = vacuum.query([]).map_err(failed())?;
    while steps.next().map_err(failed())?.is_some() {}
    Ok(freed)
}

/// Looks for contradictions between tables, and lets SQLite look for damage to its own structure.
pub(super) fn check(store: &SqliteStore, sqlite: &Sqlite) -> Result<Vec<String>> {
    let failed = || store.failed("checking indexes");
    let mut problems = Vec::new();
    let mut integrity = sqlite.prepare("PRAGMA integrity_check").map_err(failed())?;
    let mut rows = integrity.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let line: String = row.get(0).map_err(failed())?;
        if line != "ok" {
            problems.push(format!("SQLite reports: {line}"));
        }
    }
    let counts = [
        (
            "chunks without an entry in the index",
            "SELECT count(*) FROM chunk WHERE seq NOT IN (SELECT seq FROM chunk_id)",
        ),
        ("index entries without a chunk", "SELECT count(*) FROM chunk_id WHERE seq NOT IN (SELECT seq FROM chunk)"),
        (
            "chunks whose base is missing",
            "SELECT count(*) FROM chunk c WHERE c.base IS NOT NULL AND NOT EXISTS (SELECT 1 FROM chunk b WHERE b.seq = c.base)",
        ),
        ("snapshots of an unknown query", "SELECT count(*) FROM snapshot WHERE query NOT IN (SELECT id FROM query)"),
        (
            "snapshots of an unknown connection",
            "SELECT count(*) FROM snapshot WHERE connection IS NOT NULL AND connection NOT IN (SELECT id FROM connection)",
        ),
    ];
    for (what, count) in counts {
        let found: i64 = sqlite.query_row(count, [], |row| row.get(0)).map_err(failed())?;
        if found > 0 {
            problems.push(format!("{found} {what}"));
        }
    }
    Ok(problems)
}

pub(super) fn disk_bytes(store: &SqliteStore, sqlite: &Sqlite) -> Result<u64> {
    sqlite
        .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| row.get(0))
        .map_err(store.failed("measuring the file"))
}
