//! What the own account used of what it may, and how the server does.

use axum::extract::State;
use chrono::TimeDelta;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Query};
use serde::Serialize;

use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::Json;
use crate::server::mail;
use crate::server::moment::Moment;
use crate::server::quotas::{self, Limits, Quota, Stock, used_today};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::users;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/auth/stats/", "auth_stats", Access::Login, stats)
            .about("Returns how many queries the caller has.")
            .errors(&[404]),
    );
    registry.add(
        Route::get("/api/auth/quota-usage/", "auth_quota_usage", Access::Login, quota_usage)
            .about("Returns how much the caller may, and how much of it is used."),
    );
    registry.add(
        Route::get("/api/auth/health/", "auth_health", Access::Login, health)
            .about("Returns whether mail is sent; to administrators also how logins go."),
    );
}

/// How many queries a user has.
#[derive(Serialize, JsonSchema)]
struct Stats {
    username: String,
    email: String,
    date_joined: Moment,
    query_count: i64,
    favorite_count: i64,
    shared_query_count: i64,
}

async fn stats(State(state): State<AppState>, caller: Caller) -> Result<Json<Stats>, ApiError> {
    let (db, id) = (state.db(), caller.id());
    let user = users::by_id(db, id).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(Stats {
        username: user.username,
        email: user.email,
        date_joined: Moment(user.date_joined),
        query_count: Stock::SavedQueries.of_one(db, id).await?,
        favorite_count: Stock::FavoriteQueries.of_one(db, id).await?,
        shared_query_count: Stock::SharedQueries.of_one(db, id).await?,
    }))
}

/// What a user may, and what of it is used.
#[derive(Serialize, JsonSchema)]
struct QuotaUsage {
    quota: Limits,
    usage: Usage,
}

/// What of the quotas is used.
#[derive(Serialize, JsonSchema)]
struct Usage {
    saved_queries: i64,
    query_executions_today: i64,
    scheduled_tasks: i64,
    apic_connections: i64,
    awx_executions_today: i64,
}

async fn quota_usage(State(state): State<AppState>, caller: Caller) -> Result<Json<QuotaUsage>, ApiError> {
    let (db, id) = (state.db(), caller.id());
    let usage = Usage {
        saved_queries: Stock::SavedQueries.of_one(db, id).await?,
        query_executions_today: used_today(&state, id, Quota::QueryExecutionDaily).await?,
        scheduled_tasks: Stock::ScheduledTasks.of_one(db, id).await?,
        apic_connections: Stock::ApicConnections.of_one(db, id).await?,
        awx_executions_today: used_today(&state, id, Quota::AwxRequestsDaily).await?,
    };
    let quota = quotas::limits_of(db, id, caller.is_superuser()).await?;
    Ok(Json(QuotaUsage { quota, usage }))
}

/// Whether something outside of the server is set up.
#[derive(Serialize, JsonSchema)]
struct ServiceStatus {
    /// `configured` or `not_configured`.
    status: &'static str,
}

impl ServiceStatus {
    fn of(is_configured: bool) -> Self {
        Self { status: if is_configured { "configured" } else { "not_configured" } }
    }
}

/// How the server does. What is for administrators is left out for others.
#[derive(Serialize, JsonSchema)]
struct AccountHealth {
    email_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_available: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<ServiceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ldap: Option<ServiceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_accounts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_users_24h: Option<i64>,
}

async fn health(State(state): State<AppState>, caller: Caller) -> Result<Json<AccountHealth>, ApiError> {
    let sends_mail = mail::is_configured(state.settings());
    let is_admin = caller.is_admin();
    Ok(Json(AccountHealth {
        email_enabled: sends_mail,
        email_available: (!is_admin).then_some(sends_mail),
        email: is_admin.then(|| ServiceStatus::of(sends_mail)),
        ldap: is_admin.then(|| ServiceStatus::of(state.settings().ldap.is_some())),
        locked_accounts: if is_admin { Some(locked_accounts(&state).await?) } else { None },
        active_users_24h: if is_admin { Some(active_users(&state).await?) } else { None },
    }))
}

async fn locked_accounts(state: &AppState) -> Result<i64, ApiError> {
    let query = Query::select()
        .expr(Func::count(Expr::col(Alias::new("username"))))
        .from(Alias::new("auth_lockout"))
        .and_where(Expr::col(Alias::new("locked_until")).gt(state.clock().now()))
        .take();
    Ok(state.db().number(&query).await?)
}

async fn active_users(state: &AppState) -> Result<i64, ApiError> {
    let since = state.clock().now() - TimeDelta::hours(24);
    let query = Query::select()
        .expr(Func::count_distinct(Expr::col(Alias::new("user_id"))))
        .from(Alias::new("auth_session"))
        .and_where(Expr::col(Alias::new("refreshed_at")).gt(since))
        .take();
    Ok(state.db().number(&query).await?)
}
