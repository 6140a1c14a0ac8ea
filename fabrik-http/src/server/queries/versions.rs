//! The history of what a saved query asked.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use serde::Serialize;

use crate::server::caller::Caller;
use crate::server::db::{DbError, Transaction};
use crate::server::moment::Moment;
use crate::server::state::AppState;

const TABLE: &str = "saved_query_version";
/// How many versions are shown, the newest ones.
const SHOWN: u64 = 100;

/// One version of a saved query.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionEntry {
    /// Such as 2.3.
    version: String,
    /// `sha256:` and eight digits.
    hash: String,
    /// What has changed, in words.
    changes: String,
    created_at: Moment,
    created_by_id: Option<i64>,
    created_by_username: String,
}

/// Keeps that a query has a new version: its number, its hash, and what has changed.
pub(crate) async fn keep_version(
    transaction: &mut Transaction,
    state: &AppState,
    caller: &Caller,
    query_id: i64,
    [version, hash, changes]: [&str; 3],
) -> Result<(), DbError> {
    let columns = ["query_id", "version", "hash", "changes", "created_at", "created_by_id", "created_by_username"];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            query_id.into(),
            version.into(),
            hash.into(),
            changes.into(),
            state.clock().now().into(),
            caller.id().into(),
            caller.username().into(),
        ])
        .take();
    transaction.run(&insert).await.map(|_| ())
}

/// Returns the versions of a query, the newest first.
pub(crate) async fn history(state: &AppState, query_id: i64) -> Result<Vec<VersionEntry>, DbError> {
    type Row = (String, String, String, DateTime<Utc>, Option<i64>, String);
    let columns = ["version", "hash", "changes", "created_at", "created_by_id", "created_by_username"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("query_id")).eq(query_id))
        .order_by(Alias::new("id"), Order::Desc)
        .limit(SHOWN)
        .take();
    let rows = state.db().all::<Row>(&query).await?;
    let entry = |(version, hash, changes, created_at, created_by_id, created_by_username)| VersionEntry {
        version,
        hash,
        changes,
        created_at: Moment(created_at),
        created_by_id,
        created_by_username,
    };
    Ok(rows.into_iter().map(entry).collect())
}
