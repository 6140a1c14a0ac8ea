//! The own sessions: where one is logged in, and ending that.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::{Json, NoContent, Path};
use crate::server::moment::Moment;
use crate::server::registry::{Access, Registry, Route};
use crate::server::sessions::{self, Which};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/auth/sessions/", "auth_session_list", Access::Login, list)
            .about("Lists the own sessions, the one used last first."),
    );
    registry.add(
        Route::delete("/api/auth/sessions/", "auth_session_delete_others", Access::Login, end_others)
            .about("Ends all own sessions but this one."),
    );
    registry.add(
        Route::delete("/api/auth/sessions/{id}/", "auth_session_delete", Access::Login, end)
            .about("Ends one of the own sessions."),
    );
}

/// The own sessions, all on one page.
#[derive(Serialize, JsonSchema)]
struct SessionList {
    count: i64,
    /// Always null.
    next: Option<String>,
    /// Always null.
    previous: Option<String>,
    results: Vec<SessionItem>,
}

/// A session.
#[derive(Serialize, JsonSchema)]
struct SessionItem {
    id: Uuid,
    /// When it began with a login.
    created_at: Moment,
    /// When its tokens were last renewed.
    refreshed_at: Moment,
    /// When it ends unless its tokens are renewed.
    expires_at: Moment,
    /// Where the login came from.
    ip_address: String,
    user_agent: String,
    /// Whether it is the session of this request.
    is_current: bool,
}

async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<SessionList>, ApiError> {
    let results: Vec<_> = sessions::of_user(&state, caller.id())
        .await?
        .into_iter()
        .map(|session| SessionItem {
            is_current: caller.session() == Some(session.id),
            id: session.id,
            created_at: Moment(session.created_at),
            refreshed_at: Moment(session.refreshed_at),
            expires_at: Moment(session.expires_at),
            ip_address: session.ip_address,
            user_agent: session.user_agent,
        })
        .collect();
    Ok(Json(SessionList {
        count: i64::try_from(results.len()).unwrap_or(i64::MAX),
        next: None,
        previous: None,
        results,
    }))
}

async fn end_others(State(state): State<AppState>, caller: Caller) -> Result<NoContent, ApiError> {
    let which = caller.session().map_or(Which::All, Which::AllBut);
    end_and_tell(&state, &caller, which, "sessions_ended", "All other sessions were ended").await?;
    Ok(NoContent)
}

async fn end(State(state): State<AppState>, caller: Caller, Path(id): Path<Uuid>) -> Result<NoContent, ApiError> {
    match end_and_tell(&state, &caller, Which::Only(id), "session_ended", "A session was ended").await? {
        0 => Err(ApiError::NotFound),
        _ => Ok(NoContent),
    }
}

async fn end_and_tell(
    state: &AppState,
    caller: &Caller,
    which: Which,
    action: &'static str,
    about: &'static str,
) -> Result<u64, ApiError> {
    let mut transaction = state.db().begin().await?;
    let count = sessions::end_within(&mut transaction, state, caller.id(), which, "ended by its user").await?;
    if count > 0 {
        Entry::new(Category::LoginLogout, action, about)
            .on("user", caller.id(), caller.username())
            .with(serde_json::json!({ "sessions": count }))
            .append(&mut transaction, state, &Actor::of(caller))
            .await?;
        transaction.commit().await?;
        state.callers().forget_all();
    }
    Ok(count)
}
