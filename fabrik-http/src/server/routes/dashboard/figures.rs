//! Counting what the caller can see.

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_core::store::SnapshotFilter;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Order, Query, SelectStatement};
use serde::Serialize;
use uuid::Uuid;

use super::Activity;
use crate::server::caller::Caller;
use crate::server::connections;
use crate::server::error::ApiError;
use crate::server::moment::Moment;
use crate::server::queries;
use crate::server::schedules::{EXECUTION, TASK, overdue, percent};
use crate::server::state::AppState;
use crate::server::time_machine::visible_by_series;

const LOG: &str = "audit_log";
const RUNS: &str = "query_execution";

/// Figures of saved queries, and of the runs that the caller began; of all for administrators.
#[derive(Serialize, JsonSchema)]
pub(super) struct QueryFigures {
    total_saved: i64,
    executions_24h: i64,
    /// The same, a day earlier.
    prev_24h: i64,
    running_now: i64,
    success_24h: i64,
    failed_24h: i64,
    /// In percent; null where nothing ran.
    success_rate_7d: Option<f64>,
    /// Runs in each of the last seven times 24 hours, the last one last.
    sparkline_7d: Vec<i64>,
}

/// Figures of scheduled tasks.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaskFigures {
    total: i64,
    active: i64,
    paused: i64,
    /// Active tasks that should have run a while ago and did not.
    overdue: i64,
    running_now: i64,
    success_24h: i64,
    failed_24h: i64,
}

/// Figures of AWX.
#[derive(Serialize, JsonSchema)]
pub(super) struct AwxFigures {
    /// Whether this server automates with AWX.
    pub(super) enabled: bool,
}

/// Figures of snapshots.
#[derive(Serialize, JsonSchema)]
pub(super) struct TimeMachineFigures {
    total_snapshots: u64,
    snapshots_24h: u64,
    changes_detected_24h: u64,
    /// Queries that have snapshots.
    monitored_queries: u64,
    annotated_snapshots: u64,
}

/// Figures of connections.
#[derive(Serialize, JsonSchema)]
pub(super) struct ConnectionFigures {
    total: i64,
    active: i64,
    inactive: i64,
}

fn count(table: &str) -> SelectStatement {
    Query::select().expr(Func::count(Expr::col((Alias::new(table), Alias::new("id"))))).from(Alias::new(table)).take()
}

fn column(table: &str, name: &str) -> Expr {
    Expr::col((Alias::new(table), Alias::new(name)))
}

/// Counts saved queries and their runs.
pub(super) async fn queries(state: &AppState, caller: &Caller) -> Result<QueryFigures, ApiError> {
    let now = state.clock().now();
    let total_saved = i64::try_from(queries::visible_ids(state, caller).await?.len()).unwrap_or(i64::MAX);
    let runs = |from: i64, to: i64| {
        let mut query = count(RUNS);
        query
            .and_where(column(RUNS, "executed_at").gt(now - TimeDelta::days(from)))
            .and_where(column(RUNS, "executed_at").lte(now - TimeDelta::days(to)));
        if !caller.is_admin() {
            query.and_where(column(RUNS, "executed_by").eq(caller.id()));
        }
        query
    };
    let mut sparkline_7d = Vec::new();
    for day in (0..7).rev() {
        sparkline_7d.push(state.db().number(&runs(day + 1, day)).await?);
    }
    let is_over = || column(RUNS, "finished_at").is_not_null();
    let is_good = |good: bool| column(RUNS, "success").eq(good);
    let number =
        async |query: &mut SelectStatement, condition: Expr| state.db().number(query.and_where(condition)).await;
    let well_7d = number(&mut runs(7, 0), is_over().and(is_good(true))).await?;
    let over_7d = number(&mut runs(7, 0), is_over()).await?;
    Ok(QueryFigures {
        total_saved,
        executions_24h: sparkline_7d[6],
        prev_24h: sparkline_7d[5],
        running_now: number(&mut runs(1, 0), column(RUNS, "finished_at").is_null()).await?,
        success_24h: number(&mut runs(1, 0), is_over().and(is_good(true))).await?,
        failed_24h: number(&mut runs(1, 0), is_over().and(is_good(false))).await?,
        success_rate_7d: percent(well_7d, over_7d).as_f64(),
        sparkline_7d,
    })
}

/// Returns the query for the ids of the tasks that the caller can see.
pub(super) fn visible_tasks(caller: &Caller) -> SelectStatement {
    let mut query = Query::select().expr(TASK.id_column()).from(Alias::new(TASK.table)).take();
    if !caller.is_admin() {
        query.and_where(column(TASK.table, "owner_id").eq(caller.id()));
    }
    query
}

/// Counts scheduled tasks and their executions.
pub(super) async fn tasks(state: &AppState, caller: &Caller) -> Result<TaskFigures, ApiError> {
    let now = state.clock().now();
    let tasks = async |condition: Option<Expr>| {
        let mut query = count(TASK.table);
        query.and_where(TASK.id_column().in_subquery(visible_tasks(caller)));
        if let Some(condition) = condition {
            query.and_where(condition);
        }
        state.db().number(&query).await
    };
    let executions = async |status: &str, since: Option<DateTime<Utc>>| {
        let mut query = count(EXECUTION.table);
        query
            .and_where(column(EXECUTION.table, "scheduled_task").in_subquery(visible_tasks(caller)))
            .and_where(column(EXECUTION.table, "status").eq(status));
        if let Some(since) = since {
            query.and_where(column(EXECUTION.table, "completed_at").gt(since));
        }
        state.db().number(&query).await
    };
    let day = Some(now - TimeDelta::days(1));
    let has_status = |status: &str| Some(column(TASK.table, "status").eq(status));
    Ok(TaskFigures {
        total: tasks(None).await?,
        active: tasks(has_status("active")).await?,
        paused: tasks(has_status("paused")).await?,
        overdue: tasks(Some(overdue(now))).await?,
        running_now: executions("running", None).await?,
        success_24h: executions("success", day).await?,
        failed_24h: executions("failed", day).await?,
    })
}

/// Counts the snapshots of the queries that the caller can see.
pub(super) async fn time_machine(state: &AppState, caller: &Caller) -> Result<TimeMachineFigures, ApiError> {
    let visible = visible_by_series(state, caller, None).await?;
    let since = state.clock().now() - TimeDelta::days(1);
    let figures = state.engine(move |store| async move {
        let mut figures = TimeMachineFigures {
            total_snapshots: 0,
            snapshots_24h: 0,
            changes_detected_24h: 0,
            monitored_queries: 0,
            annotated_snapshots: 0,
        };
        for history in store.queries().await? {
            if history.snapshot_count == 0 || !visible.contains_key(&history.query.name) {
                continue;
            }
            figures.monitored_queries += 1;
            figures.total_snapshots += history.snapshot_count;
            figures.annotated_snapshots += history.annotated_count;
        }
        let lately = SnapshotFilter::default().with_range(Some(since), None);
        for snapshot in store.snapshots(&lately).await? {
            if visible.contains_key(&snapshot.series.query.name) && snapshot.captured_at > since {
                figures.snapshots_24h += 1;
                figures.changes_detected_24h += u64::from(snapshot.has_changes());
            }
        }
        Ok(figures)
    });
    figures.await
}

/// Counts connections.
pub(super) async fn connections(state: &AppState, caller: &Caller) -> Result<ConnectionFigures, ApiError> {
    let of = async |active: bool| {
        let mut query = count(connections::TABLE);
        connections::visible(caller, &mut query);
        query.and_where(column(connections::TABLE, "is_active").eq(active));
        state.db().number(&query).await
    };
    let (active, inactive) = (of(true).await?, of(false).await?);
    Ok(ConnectionFigures { total: active + inactive, active, inactive })
}

#[derive(sqlx::FromRow)]
struct Told {
    id: Uuid,
    timestamp: DateTime<Utc>,
    username: String,
    category: String,
    action: String,
    description: String,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    success: bool,
}

/// Returns what was done last.
pub(super) async fn activity(state: &AppState, caller: &Caller) -> Result<Vec<Activity>, ApiError> {
    let columns = [
        "id",
        "timestamp",
        "username",
        "category",
        "action",
        "description",
        "resource_type",
        "resource_id",
        "resource_name",
        "success",
    ];
    let mut query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(LOG))
        .and_where(Expr::col(Alias::new("forgotten_at")).is_null())
        .order_by(Alias::new("sequence"), Order::Desc)
        .limit(10)
        .take();
    if !caller.is_admin() {
        query.and_where(Expr::col(Alias::new("user")).eq(caller.id()));
    }
    let told = state.db().all::<Told>(&query).await?;
    let activity = |told: Told| Activity {
        id: told.id,
        timestamp: Moment(told.timestamp),
        username: told.username,
        category: told.category,
        action: told.action,
        description: told.description,
        resource_type: told.resource_type,
        resource_id: told.resource_id,
        resource_name: told.resource_name,
        success: told.success,
    };
    Ok(told.into_iter().map(activity).collect())
}
