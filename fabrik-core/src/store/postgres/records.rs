//! Records: snapshots, and the names of queries and connections.

use chrono::DateTime;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{PgConnection, QueryBuilder, Row, query, query_scalar};
use uuid::Uuid;

use super::PostgresStore;
use crate::error::{BoxError, Error, Result};
use crate::id::{ChunkId, SnapshotId, VersionHash};
use crate::snapshot::{ChangeSummary, Connection, Query, Series, Snapshot};
use crate::store::{CapturedChanges, CapturedQuery, QueryHistory, SnapshotFilter, ids_that_start_with};

const SELECT: &str = "
SELECT s.id, s.query, q.name, s.connection, c.name, s.captured_at, s.captured_by, s.key, s.root, s.version_hash,
  s.row_count, s.duplicate_keys, s.size_bytes, s.stored_bytes, s.retention_policy, s.pinned, s.annotation, s.label,
  s.verdict, s.coverage, s.previous, s.added, s.removed, s.changed, s.unchanged
FROM snapshot s JOIN query q ON q.id = s.query LEFT JOIN connection c ON c.id = s.connection
WHERE true";

/// Reads free text, which lies in the database as its bytes.
pub(super) fn text(row: &PgRow, at: usize) -> sqlx::Result<String> {
    as_text(row.try_get(at)?)
}

fn as_text(bytes: Vec<u8>) -> sqlx::Result<String> {
    String::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) async fn queries(store: &PostgresStore, connection: &mut PgConnection) -> Result<Vec<QueryHistory>> {
    let failed = || store.failed("listing queries");
    let rows = query(
        "SELECT q.id, q.name, count(s.id), max(s.captured_at),
                max(s.captured_at) FILTER (WHERE s.added + s.removed + s.changed > 0),
                ARRAY(SELECT c.id FROM connection c WHERE c.id IN (SELECT connection FROM snapshot WHERE query = q.id)
                      ORDER BY c.name),
                ARRAY(SELECT c.name FROM connection c WHERE c.id IN (SELECT connection FROM snapshot WHERE query = q.id)
                      ORDER BY c.name),
                count(s.annotation)
         FROM query q LEFT JOIN snapshot s ON s.query = q.id GROUP BY q.id ORDER BY q.name",
    )
    .fetch_all(connection)
    .await
    .map_err(failed())?;
    let history = |row: PgRow| -> sqlx::Result<QueryHistory> {
        let time =
            |at: usize| row.try_get::<Option<i64>, _>(at).map(|time| time.and_then(DateTime::from_timestamp_micros));
        let (ids, names): (Vec<i64>, Vec<Vec<u8>>) = (row.try_get(5)?, row.try_get(6)?);
        let connections = ids.into_iter().zip(names).map(|(id, name)| Ok(Connection { id, name: as_text(name)? }));
        Ok(QueryHistory {
            query: Query { id: row.try_get(0)?, name: text(&row, 1)? },
            connections: connections.collect::<sqlx::Result<_>>()?,
            snapshot_count: row.try_get::<i64, _>(2)?.unsigned_abs(),
            latest_snapshot_at: time(3)?,
            last_change_at: time(4)?,
            annotated_count: row.try_get::<i64, _>(7)?.unsigned_abs(),
        })
    };
    rows.into_iter().map(history).collect::<sqlx::Result<_>>().map_err(failed())
}

pub(super) async fn query_named(
    store: &PostgresStore,
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<CapturedQuery>> {
    let failed = || store.failed("looking for a query");
    let found = query_scalar("SELECT id FROM query WHERE name = $1").bind(name.as_bytes());
    let Some(id) = found.fetch_optional(&mut *connection).await.map_err(failed())? else { return Ok(None) };
    // One look into an index for each connection, however many snapshots there are.
    let rows = query(
        "SELECT c.id, c.name FROM connection c
         WHERE EXISTS (SELECT FROM snapshot s WHERE s.query = $1 AND s.connection = c.id) ORDER BY c.name",
    );
    let rows = rows.bind(id).fetch_all(connection).await.map_err(failed())?;
    let known = |row: &PgRow| Ok(Connection { id: row.try_get(0)?, name: text(row, 1)? });
    let connections = rows.iter().map(known).collect::<sqlx::Result<_>>().map_err(failed())?;
    Ok(Some(CapturedQuery { query: Query { id, name: name.to_owned() }, connections }))
}

pub(super) async fn snapshots(
    store: &PostgresStore,
    connection: &mut PgConnection,
    filter: &SnapshotFilter,
) -> Result<Vec<Snapshot>> {
    let Some(mut select) = select(SELECT, filter) else { return Ok(Vec::new()) };
    let rows = select.build().fetch_all(connection).await.map_err(store.failed("listing snapshots"))?;
    rows.iter().map(snapshot).collect()
}

/// Reads what the index by time holds, and no record.
pub(super) async fn changes(
    store: &PostgresStore,
    connection: &mut PgConnection,
    filter: &SnapshotFilter,
) -> Result<Vec<CapturedChanges>> {
    const SELECT: &str = "SELECT s.captured_at, s.previous, s.added, s.removed, s.changed, s.unchanged, s.id
        FROM snapshot s WHERE true";
    let Some(mut select) = select(SELECT, filter) else { return Ok(Vec::new()) };
    let rows = select.build().fetch_all(connection).await.map_err(store.failed("listing changes"))?;
    let read = |row: &PgRow| {
        let captured_at = DateTime::from_timestamp_micros(row.try_get(0)?).ok_or("its time is out of range")?;
        Ok(CapturedChanges { captured_at, changes: change_summary(row, 1)? })
    };
    let name = |row: &PgRow| row.try_get(6).map_or_else(|_| "?".to_owned(), |id| SnapshotId::new(id).to_string());
    rows.iter().map(|row| read(row).map_err(|problem| damaged(name(row), &problem))).collect()
}

/// Returns a statement that goes on to select what a filter says, newest first; `None` for what nothing matches.
fn select(start: &str, filter: &SnapshotFilter) -> Option<QueryBuilder<Postgres>> {
    let mut select = QueryBuilder::new(start);
    if let Some(query) = filter.query {
        select.push(" AND s.query = ").push_bind(query);
    }
    match filter.connection {
        Some(Some(connection)) => _ = select.push(" AND s.connection = ").push_bind(connection),
        Some(None) => _ = select.push(" AND s.connection IS NULL"),
        None => {}
    }
    if let Some(from) = filter.from {
        select.push(" AND s.captured_at >= ").push_bind(from.timestamp_micros());
    }
    if let Some(to) = filter.to {
        select.push(" AND s.captured_at <= ").push_bind(to.timestamp_micros());
    }
    if let Some(prefix) = &filter.id_prefix {
        let (first, last) = ids_that_start_with(prefix)?;
        select.push(" AND s.id BETWEEN ").push_bind(first).push(" AND ").push_bind(last);
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    select.push(" ORDER BY s.captured_at DESC, s.id DESC LIMIT ").push_bind(filter.limit.map(count));
    select.push(" OFFSET ").push_bind(count(filter.skip));
    Some(select)
}

/// Reads a record, trusting nothing in it.
fn snapshot(row: &PgRow) -> Result<Snapshot> {
    let id = row.try_get::<Uuid, _>(0).map_err(|error| damaged("?".to_owned(), &error.into()))?;
    let id = SnapshotId::new(id);
    read_snapshot(id, row).map_err(|problem| damaged(id.to_string(), &problem))
}

fn damaged(snapshot: String, problem: &BoxError) -> Error {
    Error::RecordDamaged { snapshot, problem: problem.to_string() }
}

fn count(row: &PgRow, at: usize) -> Result<u64, BoxError> {
    Ok(u64::try_from(row.try_get::<i64, _>(at)?)?)
}

/// Reads what changed at a capture from five columns.
fn change_summary(row: &PgRow, first: usize) -> Result<Option<ChangeSummary>, BoxError> {
    let Some(previous) = row.try_get(first)? else { return Ok(None) };
    Ok(Some(ChangeSummary {
        previous: SnapshotId::new(previous),
        added: count(row, first + 1)?,
        removed: count(row, first + 2)?,
        changed: count(row, first + 3)?,
        unchanged: count(row, first + 4)?,
    }))
}

fn read_snapshot(id: SnapshotId, row: &PgRow) -> Result<Snapshot, BoxError> {
    let optional_text = |at: usize| row.try_get::<Option<Vec<u8>>, _>(at)?.map(as_text).transpose();
    let connection = match row.try_get(3)? {
        Some(id) => Some(Connection { id, name: text(row, 4)? }),
        None => None,
    };
    Ok(Snapshot {
        id,
        series: Series { query: Query { id: row.try_get(1)?, name: text(row, 2)? }, connection },
        captured_at: DateTime::from_timestamp_micros(row.try_get(5)?).ok_or("its time is out of range")?,
        captured_by: text(row, 6)?,
        key: text(row, 7)?.parse()?,
        root: ChunkId::from_bytes(row.try_get(8)?),
        version_hash: VersionHash::from_bytes(row.try_get(9)?),
        row_count: count(row, 10)?,
        duplicate_keys: count(row, 11)?,
        size_bytes: count(row, 12)?,
        stored_bytes: count(row, 13)?,
        retention_policy: row.try_get::<&str, _>(14)?.parse()?,
        pinned: row.try_get(15)?,
        annotation: optional_text(16)?,
        label: optional_text(17)?,
        verdict: serde_json::from_str(&text(row, 18)?)?,
        coverage: row.try_get::<&str, _>(19)?.parse()?,
        changes: change_summary(row, 20)?,
    })
}

pub(super) async fn series(
    store: &PostgresStore,
    connection: &mut PgConnection,
    query: &str,
    on: Option<&str>,
) -> Result<Series> {
    let failed = || store.failed("naming a series");
    const QUERY: [&str; 2] =
        ["SELECT id FROM query WHERE name = $1", "INSERT INTO query (name) VALUES ($1) RETURNING id"];
    const CONNECTION: [&str; 2] =
        ["SELECT id FROM connection WHERE name = $1", "INSERT INTO connection (name) VALUES ($1) RETURNING id"];
    let query = Query { id: number(connection, QUERY, query).await.map_err(failed())?, name: query.to_owned() };
    let connection = match on {
        None => None,
        Some(name) => {
            let id = number(connection, CONNECTION, name).await.map_err(failed())?;
            Some(Connection { id, name: name.to_owned() })
        }
    };
    Ok(Series { query, connection })
}

/// Finds the number of a name, or makes one up. Nobody else writes in the meantime.
async fn number(connection: &mut PgConnection, [find, make]: [&'static str; 2], name: &str) -> sqlx::Result<i64> {
    if let Some(found) = query_scalar(find).bind(name.as_bytes()).fetch_optional(&mut *connection).await? {
        return Ok(found);
    }
    query_scalar(make).bind(name.as_bytes()).fetch_one(connection).await
}

pub(super) async fn put(store: &PostgresStore, connection: &mut PgConnection, snapshot: &Snapshot) -> Result<()> {
    let changes = snapshot.changes.as_ref();
    let verdict = serde_json::to_vec(&snapshot.verdict).expect("a verdict always has a JSON form");
    let number = |number: u64| {
        i64::try_from(number).map_err(|_| Error::Storage {
            operation: "storing a record",
            location: store.location(),
            source: format!("the number {number} is larger than PostgreSQL can keep").into(),
        })
    };
    let change = |of: fn(&ChangeSummary) -> u64| changes.map(|changes| number(of(changes))).transpose();
    let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
    query(
        "INSERT INTO snapshot VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
           $19, $20, $21, $22, $23)
         ON CONFLICT (id) DO UPDATE SET (query, connection, captured_at, captured_by, key, root, version_hash, row_count,
           duplicate_keys, size_bytes, stored_bytes, retention_policy, pinned, annotation, label, verdict, coverage,
           previous, added, removed, changed, unchanged)
         = ROW (excluded.query, excluded.connection, excluded.captured_at, excluded.captured_by, excluded.key,
           excluded.root, excluded.version_hash, excluded.row_count, excluded.duplicate_keys, excluded.size_bytes,
           excluded.stored_bytes, excluded.retention_policy, excluded.pinned, excluded.annotation, excluded.label,
           excluded.verdict, excluded.coverage, excluded.previous, excluded.added, excluded.removed, excluded.changed,
           excluded.unchanged)",
    )
    .bind(snapshot.id.as_uuid())
    .bind(snapshot.series.query.id)
    .bind(snapshot.series.connection.as_ref().map(|connection| connection.id))
    .bind(snapshot.captured_at.timestamp_micros())
    .bind(snapshot.captured_by.as_bytes())
    .bind(snapshot.key.to_string().into_bytes())
    .bind(snapshot.root.as_bytes())
    .bind(snapshot.version_hash.as_bytes())
    .bind(number(snapshot.row_count)?)
    .bind(number(snapshot.duplicate_keys)?)
    .bind(number(snapshot.size_bytes)?)
    .bind(number(snapshot.stored_bytes)?)
    .bind(snapshot.retention_policy.name())
    .bind(snapshot.pinned)
    .bind(bytes(&snapshot.annotation))
    .bind(bytes(&snapshot.label))
    .bind(verdict)
    .bind(snapshot.coverage.name())
    .bind(changes.map(|changes| *changes.previous.as_uuid()))
    .bind(change(|changes| changes.added)?)
    .bind(change(|changes| changes.removed)?)
    .bind(change(|changes| changes.changed)?)
    .bind(change(|changes| changes.unchanged)?)
    .execute(connection)
    .await
    .map_err(store.failed("storing a record"))?;
    Ok(())
}

pub(super) async fn delete(store: &PostgresStore, connection: &mut PgConnection, ids: &[SnapshotId]) -> Result<u64> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let deleted = query("DELETE FROM snapshot WHERE id = ANY($1)")
        .bind(ids)
        .execute(connection)
        .await
        .map_err(store.failed("deleting records"))?;
    Ok(deleted.rows_affected())
}
