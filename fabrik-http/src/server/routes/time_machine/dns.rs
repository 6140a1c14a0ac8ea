//! DNs for those who type.

use axum::extract::State;
use fabrik_core::store::SnapshotFilter;
use fabrik_core::{KeyPage, Snapshot, resolve};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::detail::reference_in_path;
use super::snapshots::at_error;
use crate::server::error::ApiError;
use crate::server::extract::{Json, Path, Query};
use crate::server::queries;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, find, history_filter};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/saved-queries/{id}/dns/", "time_machine_dns", Access::Login, search)
            .about(
                "Finds the DNs of a query's newest snapshot that contain a text, whatever the case of its letters. \
                 Typing makes bursts, so no general rate holds here.",
            )
            .exempt(),
    );
    registry.add(
        Route::get("/api/time-machine/snapshots/{id}/dns/", "time_machine_snapshot_dns", Access::Login, within)
            .about("Finds the DNs of a snapshot that contain a text. The snapshot is named as for its rows."),
    );
}

/// What to look for, and where.
#[derive(Deserialize, JsonSchema)]
struct DnsQuery {
    /// A part of the DN; none finds all.
    #[serde(default)]
    q: String,
    /// How many to give; more than 200 are 200.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1))]
    limit: u64,
    /// Only the newest snapshot of this connection.
    #[serde(default)]
    apic_connection: Option<i64>,
    /// The newest snapshot at or before a moment: `2026-01-15T10:30:00Z`, `-7d`, `latest~2`.
    #[serde(default)]
    at: Option<String>,
}

/// What to look for in a snapshot.
#[derive(Deserialize, JsonSchema)]
struct SnapshotDnsQuery {
    /// A part of the DN; none finds all.
    #[serde(default)]
    q: String,
    /// How many to give; more than 200 are 200.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1))]
    limit: u64,
}

fn fifty() -> u64 {
    50
}

/// Some DNs of a snapshot.
#[derive(Default, Serialize, JsonSchema)]
struct DnList {
    /// The DNs, ascending.
    dns: Vec<DnShown>,
    /// How many are given.
    count: usize,
    /// How many there are.
    total_matches: usize,
    /// Whether there are more than are given.
    truncated: bool,
}

/// A DN and what it names.
#[derive(Serialize, JsonSchema)]
struct DnShown {
    /// The DN.
    dn: String,
    /// The class of the object, where the row says so.
    #[serde(rename = "className")]
    class_name: Option<String>,
}

impl From<KeyPage> for DnList {
    fn from(page: KeyPage) -> Self {
        let shown = page.dns.into_iter().map(|entry| DnShown { dn: entry.dn, class_name: entry.class_name });
        Self { dns: shown.collect(), count: page.count, total_matches: page.total_matches, truncated: page.truncated }
    }
}

async fn search(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Path(id): Path<i64>,
    Query(asked): Query<DnsQuery>,
) -> Result<Json<DnList>, ApiError> {
    let query = queries::find(&state, &caller, id).await?;
    let now = state.clock().now();
    let (connection, at) = (asked.apic_connection, asked.at);
    let newest: Option<Snapshot> = state
        .engine(async move |store| {
            let filter: SnapshotFilter = history_filter(&*store, &query.series, connection).await?;
            let Some(at) = at else { return Ok(store.snapshots(&filter.with_page(0, 1)).await?.pop()) };
            let reference = match connection {
                Some(connection) => format!("{}@{connection}@{at}", query.series),
                None => format!("{}@{at}", query.series),
            };
            match resolve(&*store, &reference, now).await {
                Ok(snapshot) => Ok(Some(snapshot)),
                Err(error) if error.kind() == fabrik_core::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(at_error(error)),
            }
        })
        .await?;
    let Some(newest) = newest else { return Ok(Json(DnList::default())) };
    found_in(&state, &newest, asked.q, asked.limit).await
}

async fn within(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Path(id): Path<String>,
    Query(asked): Query<SnapshotDnsQuery>,
) -> Result<Json<DnList>, ApiError> {
    let found = find(&state, &caller, reference_in_path(&id)?, None).await?;
    found_in(&state, &found.snapshot, asked.q, asked.limit).await
}

async fn found_in(state: &AppState, snapshot: &Snapshot, part: String, limit: u64) -> Result<Json<DnList>, ApiError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Json(state.key_indexes().search(state, snapshot, part, limit).await?.into()))
}
