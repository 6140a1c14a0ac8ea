//! The queries that have snapshots.

use axum::extract::State;
use chrono::TimeDelta;
use fabrik_core::store::SnapshotFilter;
use fabrik_core::view;
use hashbrown::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::error::ApiError;
use crate::server::extract::{Json, Query};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, visible_by_series};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/queries/", "time_machine_queries", Access::Login, list)
            .about(
                "Lists the saved queries that have snapshots and that the caller can see, that with the newest snapshot \
                 first. Administrators may ask with `?ad_hoc=true` for the series that belong to no saved query, such as \
                 those of the command line: a saved query adopts one whose name it is given as `series`.",
            )
            .errors(&[403]),
    );
}

/// Which of them.
#[derive(Deserialize, JsonSchema)]
struct HistoriesQuery {
    /// Series that belong to no saved query, in place of saved queries; for administrators.
    #[serde(default)]
    ad_hoc: bool,
}

/// Queries that have snapshots.
#[derive(Serialize, JsonSchema)]
struct Histories {
    /// One each, that with the newest snapshot first.
    queries: Vec<HistoryShown>,
}

/// A query that has snapshots.
#[derive(Serialize, JsonSchema)]
struct HistoryShown {
    /// The saved query; null for a series that belongs to none.
    id: Option<i64>,
    /// Its name; that of the series where it belongs to none.
    name: String,
    /// The name of its series in the store.
    series: String,
    /// How many snapshots it has.
    snapshot_count: u64,
    /// When the newest was captured.
    latest_snapshot_at: Option<String>,
    /// When the newest that differs from the one before it was captured.
    last_change_at: Option<String>,
    /// The connections that it was captured on.
    connections: Vec<i64>,
    /// The same by their names in the store, also those that the server does not know.
    connection_names: Vec<String>,
    /// How many snapshots of the last 24 hours differ from the one before.
    changed_24h: u64,
}

async fn list(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(asked): Query<HistoriesQuery>,
) -> Result<Json<Histories>, ApiError> {
    if asked.ad_hoc && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    // Administrators see all, so what they do not see has no owner.
    let mut visible = visible_by_series(&state, &caller, None).await?;
    let since = state.clock().now() - TimeDelta::hours(24);
    let (histories, changed) = state
        .engine(async move |store| {
            let mut changed: HashMap<String, u64> = HashMap::new();
            for snapshot in store.snapshots(&SnapshotFilter::default().with_range(Some(since), None)).await? {
                let name = snapshot.series.query.name.clone();
                *changed.entry(name).or_default() += u64::from(snapshot.has_changes());
            }
            Ok((store.queries().await?, changed))
        })
        .await?;
    let shown = view::queries(&histories).queries.into_iter().filter_map(|history| {
        let (id, name) = match (visible.remove(&history.name), asked.ad_hoc) {
            (Some((id, name)), false) => (Some(id), name),
            (None, true) => (None, history.name.clone()),
            _ => return None,
        };
        Some(HistoryShown {
            id,
            name,
            snapshot_count: history.snapshot_count,
            latest_snapshot_at: history.latest_snapshot_at,
            last_change_at: history.last_change_at,
            connections: history.connections.iter().filter_map(|name| name.parse().ok()).collect(),
            connection_names: history.connections,
            changed_24h: changed.get(&history.name).copied().unwrap_or(0),
            series: history.name,
        })
    });
    Ok(Json(Histories { queries: shown.collect() }))
}
