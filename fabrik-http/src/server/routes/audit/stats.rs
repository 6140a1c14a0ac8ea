//! Figures of the log.

use axum::extract::State;
use chrono::TimeDelta;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Order, Query};
use serde::{Deserialize, Serialize};

use super::{TABLE, column, hide_forgotten};
use crate::server::audit::Category;
use crate::server::error::ApiError;
use crate::server::extract::{Json, Query as Parameters};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::sentence;
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/audit/logs/stats/", "audit_log_stats", Access::Admin, stats)
            .about("Counts the rows of the last days by category and by action, the most frequent first."),
    );
}

/// How far back to count.
#[derive(Deserialize, JsonSchema)]
struct AuditStatsQuery {
    /// How many days back from now.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 3650))]
    days: u32,
}

fn thirty() -> u32 {
    30
}

/// Figures of the log.
#[derive(Serialize, JsonSchema)]
struct AuditStats {
    /// How many rows there are.
    total_logs: i64,
    /// Of how many days.
    days: u32,
    /// How many there are of each category.
    by_category: Vec<CategoryCount>,
    /// How many there are of each action.
    by_action: Vec<ActionCount>,
}

/// How many rows a category has.
#[derive(Serialize, JsonSchema)]
struct CategoryCount {
    category: String,
    category_display: String,
    count: i64,
}

/// How many rows an action has.
#[derive(Serialize, JsonSchema)]
struct ActionCount {
    action: String,
    action_display: String,
    count: i64,
}

async fn stats(
    State(state): State<AppState>,
    Parameters(parameters): Parameters<AuditStatsQuery>,
) -> Result<Json<AuditStats>, ApiError> {
    let by_category = count_by(&state, "category", parameters.days).await?;
    let by_action = count_by(&state, "action", parameters.days).await?;
    let category = |(category, count): (String, i64)| CategoryCount {
        category_display: Category::title_of(&category),
        category,
        count,
    };
    let action = |(action, count): (String, i64)| ActionCount { action_display: sentence(&action), action, count };
    Ok(Json(AuditStats {
        total_logs: by_category.iter().map(|(_, count)| count).sum(),
        days: parameters.days,
        by_category: by_category.into_iter().map(category).collect(),
        by_action: by_action.into_iter().map(action).collect(),
    }))
}

async fn count_by(state: &AppState, name: &'static str, days: u32) -> Result<Vec<(String, i64)>, ApiError> {
    let since = state.clock().now() - TimeDelta::days(days.into());
    let count = || Func::count(Expr::col(sea_query::Asterisk));
    let mut query = Query::select()
        .expr(column(name))
        .expr(count())
        .from(Alias::new(TABLE))
        .and_where(column("timestamp").gte(since))
        .add_group_by([column(name)])
        .order_by_expr(count().into(), Order::Desc)
        .order_by((Alias::new(TABLE), Alias::new(name)), Order::Asc)
        .take();
    hide_forgotten(&mut query);
    Ok(state.db().all(&query).await?)
}
