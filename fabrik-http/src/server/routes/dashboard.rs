//! What the first page shows: figures of what the caller can see, and what the server is.

mod attention;
mod figures;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::Json;
use crate::server::moment::Moment;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use attention::Attention;
use figures::{AwxFigures, ConnectionFigures, QueryFigures, TaskFigures, TimeMachineFigures};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/dashboard/stats/", "dashboard_stats", Access::Login, stats)
            .about("Returns figures of what the caller can see."),
    );
    registry.add(
        Route::get("/api/dashboard/platform-info/", "dashboard_platform_info", Access::Public, platform_info)
            .about("Tells what the login page has to know of the server."),
    );
}

/// Figures of what the caller can see.
#[derive(Serialize, JsonSchema)]
struct DashboardStats {
    /// When they were counted.
    generated_at: Moment,
    queries: QueryFigures,
    scheduled_tasks: TaskFigures,
    awx: AwxFigures,
    time_machine: TimeMachineFigures,
    connections: ConnectionFigures,
    /// What was done last, at most 10: by the caller, or by anybody for administrators.
    activity: Vec<Activity>,
    /// What somebody should look at, the gravest first.
    attention: Vec<Attention>,
}

/// Something that was done.
#[derive(Serialize, JsonSchema)]
struct Activity {
    id: Uuid,
    timestamp: Moment,
    username: String,
    category: String,
    action: String,
    description: String,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    success: bool,
}

async fn stats(State(state): State<AppState>, caller: Caller) -> Result<Json<DashboardStats>, ApiError> {
    Ok(Json(DashboardStats {
        generated_at: Moment(state.clock().now()),
        queries: figures::queries(&state, &caller).await?,
        scheduled_tasks: figures::tasks(&state, &caller).await?,
        awx: AwxFigures { enabled: false },
        time_machine: figures::time_machine(&state, &caller).await?,
        connections: figures::connections(&state, &caller).await?,
        activity: figures::activity(&state, &caller).await?,
        attention: attention::of(&state, &caller).await?,
    }))
}

/// What the server is.
#[derive(Serialize, JsonSchema)]
struct PlatformInfo {
    /// Whether it shows invented data.
    demo_mode: bool,
    version: &'static str,
    /// Whether users of a directory can log in.
    ldap_enabled: bool,
    /// Whether people may make accounts for themselves.
    registration_enabled: bool,
}

async fn platform_info(State(state): State<AppState>) -> Json<PlatformInfo> {
    let settings = state.settings();
    Json(PlatformInfo {
        demo_mode: false,
        version: env!("CARGO_PKG_VERSION"),
        ldap_enabled: settings.ldap.is_some(),
        registration_enabled: settings.allow_registration,
    })
}
