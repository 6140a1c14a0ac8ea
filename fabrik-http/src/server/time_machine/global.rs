//! What holds for all users of the Time Machine, as administrators set it.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};

use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const TABLE: &str = "time_machine_global";
/// The id of its one row.
const ONLY: i64 = 1;
const COLUMNS: [&str; 7] = [
    "max_snapshot_size_mb",
    "warn_large_snapshots",
    "large_snapshot_mb",
    "store_duplicates",
    "retention_count",
    "auto_cleanup_enabled",
    "keep_newest",
];

/// What holds for all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, sqlx::FromRow)]
pub(crate) struct TimeMachineGlobal {
    /// The largest result that becomes a snapshot, in MiB of JSON; 0 for any.
    pub(crate) max_snapshot_size_mb: i64,
    /// Whether whoever captures a large result is warned.
    pub(crate) warn_large_snapshots: bool,
    /// From which size on a result is large, in MiB of JSON.
    pub(crate) large_snapshot_mb: i64,
    /// Whether a scheduled capture is kept though it equals the one before. Those by hand always are.
    pub(crate) store_duplicates: bool,
    /// How many snapshots a query has on a connection, but for older ones that are pinned or kept for ever; 0 for any
    /// number. A cleanup deletes the others though their time is not over.
    pub(crate) retention_count: i64,
    /// Whether what has expired is deleted daily.
    pub(crate) auto_cleanup_enabled: bool,
    /// Whether the newest snapshot of a query on a connection stays though it has expired.
    pub(crate) keep_newest: bool,
}

/// A change to what holds for all users.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(crate) struct TimeMachineGlobalPatch {
    /// The largest result that becomes a snapshot, in MiB of JSON; 0 for any.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    max_snapshot_size_mb: Option<i64>,
    /// Whether whoever captures a large result is warned.
    #[serde(default)]
    warn_large_snapshots: Option<bool>,
    /// From which size on a result is large, in MiB of JSON.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    large_snapshot_mb: Option<i64>,
    /// Whether a scheduled capture is kept though it equals the one before.
    #[serde(default)]
    store_duplicates: Option<bool>,
    /// How many snapshots a query has on a connection; 0 for any number.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    retention_count: Option<i64>,
    /// Whether what has expired is deleted daily.
    #[serde(default)]
    auto_cleanup_enabled: Option<bool>,
    /// Whether the newest snapshot of a query on a connection stays though it has expired.
    #[serde(default)]
    keep_newest: Option<bool>,
}

impl TimeMachineGlobal {
    /// Returns the settings with a change.
    #[must_use]
    pub(crate) fn with(self, patch: TimeMachineGlobalPatch) -> Self {
        Self {
            max_snapshot_size_mb: patch.max_snapshot_size_mb.unwrap_or(self.max_snapshot_size_mb),
            warn_large_snapshots: patch.warn_large_snapshots.unwrap_or(self.warn_large_snapshots),
            large_snapshot_mb: patch.large_snapshot_mb.unwrap_or(self.large_snapshot_mb),
            store_duplicates: patch.store_duplicates.unwrap_or(self.store_duplicates),
            retention_count: patch.retention_count.unwrap_or(self.retention_count),
            auto_cleanup_enabled: patch.auto_cleanup_enabled.unwrap_or(self.auto_cleanup_enabled),
            keep_newest: patch.keep_newest.unwrap_or(self.keep_newest),
        }
    }

    /// Returns how many snapshots a query has on a connection at most, if that is limited.
    #[must_use]
    pub(crate) fn max_per_series(&self) -> Option<NonZeroU64> {
        u64::try_from(self.retention_count).ok().and_then(NonZeroU64::new)
    }

    /// Returns a sentence where a result of this size is large.
    #[must_use]
    pub(crate) fn size_warning(&self, size_bytes: u64) -> Option<String> {
        let large_bytes = u64::try_from(self.large_snapshot_mb).unwrap_or(0) << 20;
        (self.warn_large_snapshots && size_bytes > large_bytes).then(|| {
            let size_mb = size_bytes.div_ceil(1 << 20);
            format!("The snapshot is large: {size_mb} MiB of JSON, and {} count as large.", self.large_snapshot_mb)
        })
    }

    /// Saves them.
    pub(crate) async fn save(&self, transaction: &mut Transaction) -> Result<(), DbError> {
        let values: [Expr; 7] = [
            self.max_snapshot_size_mb.into(),
            self.warn_large_snapshots.into(),
            self.large_snapshot_mb.into(),
            self.store_duplicates.into(),
            self.retention_count.into(),
            self.auto_cleanup_enabled.into(),
            self.keep_newest.into(),
        ];
        let update = Query::update()
            .table(Alias::new(TABLE))
            .values(COLUMNS.map(Alias::new).into_iter().zip(values))
            .and_where(Expr::col(Alias::new("id")).eq(ONLY))
            .take();
        transaction.run(&update).await.map(|_| ())
    }
}

/// Returns what holds now.
pub(crate) async fn read(state: &AppState) -> Result<TimeMachineGlobal, ApiError> {
    let query = Query::select()
        .columns(COLUMNS.map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .take();
    Ok(state.db().first(&query).await?.ok_or(DbError::from(sqlx::Error::RowNotFound))?)
}
