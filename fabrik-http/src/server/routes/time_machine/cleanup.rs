//! Forgetting what has expired or is too much: what would go, and doing it.

use axum::extract::State;
use fabrik_core::{RetentionOutcome, RetentionPlan, RetentionPolicy};
use hashbrown::HashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Document, Documented, list, moment, number, object, text, with_optional};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Query};
use crate::server::queries;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, cleanup, visible_by_series};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/cleanup/preview/", "time_machine_cleanup_preview", Access::Login, preview)
            .about(
                "Tells what a cleanup would delete now, and deletes nothing. Administrators see all of it, others that \
                 of their own queries.",
            )
            .errors(&[404]),
    );
    registry.add(
        Route::post("/api/time-machine/cleanup/execute/", "time_machine_cleanup_execute", Access::Admin, execute)
            .about("Deletes the snapshots that have expired or are too many, as it is done daily at half past three.")
            .errors(&[404, 503]),
    );
}

/// Of which query.
#[derive(Deserialize, JsonSchema)]
struct CleanupQuery {
    /// Only snapshots of this saved query.
    #[serde(default)]
    saved_query: Option<i64>,
    /// Whether the newest snapshot of a query on a connection stays, also where the global settings do not say so.
    #[serde(default)]
    keep_newest: bool,
}

/// Of which query.
#[derive(Deserialize, JsonSchema)]
struct CleanupRequest {
    /// Only snapshots of this saved query.
    #[serde(default)]
    saved_query: Option<i64>,
    /// Of those that have expired only these, such as a preview named.
    #[serde(default)]
    snapshots: Option<Vec<Uuid>>,
}

/// What was deleted, and what was spared.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    outcome: RetentionOutcome,
    protected: Value,
}

fn counts() -> Value {
    let counts = object(RetentionPolicy::ALL.map(|policy| (policy.name(), number("how many snapshots"))));
    object([
        ("will_delete", counts),
        ("over_count", number("how many of these go only because their query has enough newer ones on the connection")),
        ("total_bytes_reclaimed", number("size of their rows as JSON, in bytes")),
        ("stored_bytes_reclaimed", number("what the store has less, in bytes")),
    ])
}

fn protected() -> Value {
    let snapshot = object([
        ("snapshot_id", text("the snapshot")),
        ("query", text("its series in the store")),
        ("captured_at", moment("when it was captured")),
        ("protected_by", json!({ "type": "string", "enum": ["pin", "newest_of_series", "forever"] })),
    ]);
    list("snapshots that would go and stay", &snapshot)
}

impl Documented for RetentionPlan {
    fn schema() -> Value {
        let doomed = object([
            ("snapshot_id", text("the snapshot")),
            ("query", text("its series in the store")),
            ("captured_at", moment("when it was captured")),
            ("retention_policy", text("its policy")),
            ("expires_at", moment("until when its policy keeps it")),
            ("doomed_by", json!({ "type": "string", "enum": ["policy", "count"] })),
            ("reason", text("why it goes, in words")),
        ]);
        with_optional(
            counts(),
            [("doomed", list("the snapshots that go, oldest first", &doomed)), ("protected", protected())],
        )
    }
}

impl Documented for Done {
    fn schema() -> Value {
        with_optional(
            counts(),
            [
                ("deleted", list("the snapshots that went", &text("an id"))),
                ("chunks_deleted", number("how many chunks of the store went with them")),
                ("protected", protected()),
            ],
        )
    }
}

/// Returns the series that a cleanup is limited to.
async fn series_of(
    state: &AppState,
    caller: &Caller,
    saved_query: Option<i64>,
) -> Result<Option<Vec<String>>, ApiError> {
    if let Some(id) = saved_query {
        let query = queries::find(state, caller, id).await?;
        if !queries::may_edit(caller, &query) {
            return Err(ApiError::NotFound);
        }
        return Ok(Some(vec![query.series]));
    }
    if caller.is_admin() {
        return Ok(None);
    }
    Ok(Some(visible_by_series(state, caller, Some(caller.id())).await?.into_keys().collect()))
}

async fn preview(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(asked): Query<CleanupQuery>,
) -> Result<Document<RetentionPlan>, ApiError> {
    let series = series_of(&state, &caller, asked.saved_query).await?;
    let scope = cleanup::Scope { series, keep_newest: asked.keep_newest, only: None };
    let plan = cleanup::plan(&state, scope).await?;
    Entry::new(Category::TimeMachine, "time_machine_cleanup_previewed", "Asked what a cleanup would delete")
        .with(json!({ "will_delete": plan.will_delete }))
        .record(&state, &Actor::of(&caller))
        .await?;
    Ok(Document(plan))
}

async fn execute(
    State(state): State<AppState>,
    caller: Caller,
    Body(asked): Body<CleanupRequest>,
) -> Result<Document<Done>, ApiError> {
    let series = series_of(&state, &caller, asked.saved_query).await?;
    // A client that goes away does not end it half-way.
    let scope = cleanup::Scope { series, keep_newest: false, only: asked.snapshots.map(HashSet::from_iter) };
    let done = tokio::spawn(async move { cleanup::execute(&state, scope, &Actor::of(&caller), "manual").await });
    let (plan, outcome) = done.await.map_err(|error| ApiError::Internal(error.into()))??;
    Ok(Document(Done { outcome, protected: json!(plan.protected) }))
}
