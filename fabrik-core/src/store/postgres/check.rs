//! Looking for contradictions between tables and indexes, and measuring them.

use sqlx::{Executor, PgConnection, query_scalar, raw_sql};

use super::PostgresStore;
use crate::error::Result;

/// What must not be there, and how many there are.
const CONTRADICTIONS: [(&str, &str); 4] = [
    (
        "chunks whose base is missing",
        "SELECT count(*) FROM chunk c WHERE c.base IS NOT NULL AND NOT EXISTS (SELECT FROM chunk b WHERE b.id = c.base)",
    ),
    (
        "chunks whose chain is not one longer than that of their base",
        "SELECT count(*) FROM chunk c LEFT JOIN chunk b ON b.id = c.base
         WHERE c.chain <> coalesce(b.chain + 1, 0) AND (c.base IS NULL OR b.id IS NOT NULL)",
    ),
    (
        "snapshots of an unknown query",
        "SELECT count(*) FROM snapshot s WHERE NOT EXISTS (SELECT FROM query q WHERE q.id = s.query)",
    ),
    (
        "snapshots of an unknown connection",
        "SELECT count(*) FROM snapshot s
         WHERE s.connection IS NOT NULL AND NOT EXISTS (SELECT FROM connection c WHERE c.id = s.connection)",
    ),
];

/// The rows of a table, counted in the table and by its index.
const COUNTS: [(&str, &str); 3] = [
    ("chunk", "SELECT count(*) FROM chunk WHERE id >= ''"),
    ("snapshot", "SELECT count(*) FROM snapshot WHERE id >= '00000000-0000-0000-0000-000000000000'"),
    ("document", "SELECT count(*) FROM document WHERE kind >= ''"),
];

/// All at one moment, whatever is written meanwhile; with plans made for the settings that follow.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = auto";
const BY_TABLE: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off;
                        SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on;
                        SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = off";

pub(super) async fn check(store: &PostgresStore, connection: &mut PgConnection) -> Result<Vec<String>> {
    find_problems(connection).await.map_err(store.failed("checking indexes"))
}

async fn find_problems(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let mut problems = Vec::new();
    connection.execute(raw_sql(BEGIN)).await?;
    for (what, count) in CONTRADICTIONS {
        let found: i64 = query_scalar(count).persistent(false).fetch_one(&mut *connection).await?;
        if found > 0 {
            problems.push(format!("{found} {what}"));
        }
    }
    let mut counts = [[0_i64; COUNTS.len()]; 2];
    for (settings, counts) in [BY_TABLE, BY_INDEX].into_iter().zip(&mut counts) {
        connection.execute(raw_sql(settings)).await?;
        for ((_, count), found) in COUNTS.into_iter().zip(counts) {
            *found = query_scalar(count).persistent(false).fetch_one(&mut *connection).await?;
        }
    }
    for ((table, _), (by_table, by_index)) in COUNTS.into_iter().zip(counts[0].into_iter().zip(counts[1])) {
        if by_table != by_index {
            problems.push(format!("the table {table} has {by_table} rows and its index {by_index}"));
        }
    }
    connection.execute("COMMIT").await?;
    Ok(problems)
}

/// Adds up tables and indexes. Space that was freed counts until PostgreSQL has cleaned up and hands it out again.
pub(super) async fn disk_bytes(store: &PostgresStore, connection: &mut PgConnection) -> Result<u64> {
    let bytes: i64 = query_scalar(
        "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint
         FROM unnest('{fabrik_store, query, connection, snapshot, chunk, dictionary, document}'::text[]) AS name",
    )
    .fetch_one(connection)
    .await
    .map_err(store.failed("measuring the tables"))?;
    Ok(bytes.unsigned_abs())
}
