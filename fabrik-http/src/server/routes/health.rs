//! Whether the server lives, whether it is ready, and its figures.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::{ApiError, chain};
use crate::server::extract::Json;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/health/", "health_live", Access::Public, live)
            .about("Tells that the server lives; for the supervisor that restarts it.")
            .exempt(),
    );
    registry.add(
        Route::get("/api/health/ready/", "health_ready", Access::Public, ready)
            .about("Tells that the server can do its work; for the proxy that sends requests to it.")
            .exempt()
            .errors(&[503]),
    );
    registry.add(
        Route::get("/metrics/", "metrics", Access::Public, figures)
            .about("Returns the figures of the server for Prometheus.")
            .exempt()
            .errors(&[404]),
    );
}

/// That the server lives.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`, or there is no answer.
    status: &'static str,
}

async fn live() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn ready(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    let refuse = |detail: &'static str| ApiError::Unavailable {
        status: StatusCode::SERVICE_UNAVAILABLE,
        detail: detail.into(),
        error: "not_ready",
    };
    if state.is_stopping() {
        return Err(refuse("The server is stopping."));
    }
    if let Err(error) = state.db().ping().await {
        tracing::error!(error = %chain(&error), "not ready");
        return Err(refuse("The database of the server does not answer."));
    }
    if let Err(error) = state.store().disk_bytes().await {
        tracing::error!(error = %chain(&error), "not ready");
        return Err(refuse("The store of snapshots does not answer."));
    }
    Ok(Json(Health { status: "ready" }))
}

/// Figures in the text form of Prometheus.
struct Figures(String);

impl IntoResponse for Figures {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.0).into_response()
    }
}

impl Describe for Figures {
    fn describe(operation: &mut Operation<'_>) {
        let content = json!({ "text/plain": { "schema": { "type": "string" } } });
        operation.response(200, json!({ "description": reason(200), "content": content }));
    }
}

async fn figures(State(state): State<AppState>) -> Result<Figures, ApiError> {
    state.metrics().render().map(Figures).ok_or(ApiError::NotFound)
}
