//! What holds for all users of the Time Machine, as administrators set it.

use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};

use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const TABLE: &str = "time_machine_global";
/// The id of its one row.
const ONLY: i64 = 1;

/// What holds for all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, sqlx::FromRow)]
pub(crate) struct TimeMachineGlobal {
    /// The largest result that becomes a snapshot, in MiB of JSON; 0 for any.
    pub(crate) max_snapshot_size_mb: i64,
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
            auto_cleanup_enabled: patch.auto_cleanup_enabled.unwrap_or(self.auto_cleanup_enabled),
            keep_newest: patch.keep_newest.unwrap_or(self.keep_newest),
        }
    }

    /// Saves them.
    pub(crate) async fn save(&self, transaction: &mut Transaction) -> Result<(), DbError> {
        let update = Query::update()
            .table(Alias::new(TABLE))
            .value(Alias::new("max_snapshot_size_mb"), self.max_snapshot_size_mb)
            .value(Alias::new("auto_cleanup_enabled"), self.auto_cleanup_enabled)
            .value(Alias::new("keep_newest"), self.keep_newest)
            .and_where(Expr::col(Alias::new("id")).eq(ONLY))
            .take();
        transaction.run(&update).await.map(|_| ())
    }
}

/// Returns what holds now.
pub(crate) async fn read(state: &AppState) -> Result<TimeMachineGlobal, ApiError> {
    let query = Query::select()
        .columns(["max_snapshot_size_mb", "auto_cleanup_enabled", "keep_newest"].map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .take();
    Ok(state.db().first(&query).await?.ok_or(DbError::from(sqlx::Error::RowNotFound))?)
}
