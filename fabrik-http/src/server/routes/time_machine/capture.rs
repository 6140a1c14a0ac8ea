//! Capturing by hand.

use axum::extract::State;
use fabrik_apic::graph::Variables;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::audit::Actor;
use crate::server::captures::{Capturing, Execution, capture};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json};
use crate::server::quotas::{Quota, Switch, require, take_daily};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, Retention, SnapshotShown, TimeMachineSettings};
use crate::server::{connections, queries};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/time-machine/capture/", "time_machine_capture", Access::Login, run)
            .about(
                "Runs a saved query and stores its rows, after its post-processors, as a snapshot. Answers once the \
                 snapshot is on disk. A result that equals the one before is a snapshot, too, and shares its content.",
            )
            .errors(&[502, 503]),
    );
}

/// What to capture.
#[derive(Deserialize, JsonSchema)]
struct CaptureRequest {
    /// The saved query.
    saved_query: i64,
    /// The connection, where it is not that of the query.
    #[serde(default)]
    apic_connection: Option<i64>,
    /// How long to keep the snapshot; unless told, as the caller's settings say.
    #[serde(default)]
    retention_policy: Option<Retention>,
    /// Free text.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    annotation: Option<String>,
    /// A short tag.
    #[serde(default)]
    #[schemars(length(max = 100))]
    label: Option<String>,
    /// Values for the variables of the query.
    #[serde(default)]
    variables: Variables,
}

/// A new snapshot.
#[derive(Serialize, JsonSchema)]
struct CaptureAnswer {
    #[serde(flatten)]
    snapshot: SnapshotShown,
    /// Whether its rows equal those of the one before.
    is_duplicate: bool,
    /// The one before on the same connection; null for the first.
    previous_snapshot_id: Option<String>,
    /// What is worth knowing about it, in sentences, such as that it is large.
    warnings: Vec<String>,
}

async fn run(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Body(request): Body<CaptureRequest>,
) -> Result<Json<CaptureAnswer, 201>, ApiError> {
    require(&state, &caller, Switch::CanExecuteQueries).await?;
    let unknown = |field: &'static str, id: i64| {
        move |error| match error {
            ApiError::NotFound => ApiError::field(field, format!("Invalid pk \"{id}\" - object does not exist.")),
            other => other,
        }
    };
    let query = queries::find(&state, &caller, request.saved_query)
        .await
        .map_err(unknown("saved_query", request.saved_query))?;
    let Some(connection) = request.apic_connection.or(query.connection_id) else {
        return Err(ApiError::field("apic_connection", "The query has no connection, so one must be named."));
    };
    let connection =
        connections::find(&state, &caller, connection).await.map_err(unknown("apic_connection", connection))?;
    let retention = match request.retention_policy {
        Some(retention) => retention,
        None => TimeMachineSettings::of(&state, caller.id()).await?.default_retention_policy,
    };
    take_daily(&state, &caller, Quota::QueryExecutionDaily).await?;
    // A client that goes away does not end a capture half-way.
    let captured = tokio::spawn(async move {
        let asked = Capturing {
            query: &query,
            connection: &connection,
            variables: &request.variables,
            retention_policy: retention.into(),
            annotation: request.annotation,
            label: request.label,
            actor: Actor::of(&caller),
            user_id: Some(caller.id()),
            username: caller.username().to_owned(),
            execution: Execution::Manual,
        };
        let captured = capture(&state, asked).await.map_err(|failed| failed.error)?;
        Ok::<_, ApiError>(CaptureAnswer {
            snapshot: SnapshotShown::new(&captured.snapshot, Some(&query), Some(&captured.facts)),
            is_duplicate: captured.is_duplicate,
            previous_snapshot_id: captured.previous.map(|previous| previous.id.to_string()),
            warnings: captured.warnings,
        })
    });
    captured.await.map_err(|error| ApiError::Internal(error.into()))?.map(Json)
}
