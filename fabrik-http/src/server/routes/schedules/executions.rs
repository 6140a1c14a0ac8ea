//! What came of the tasks that the caller can see.

use axum::extract::State;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement};
use serde::Serialize;
use serde_json::{Value, json};

use super::Tasks;
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::Json;
use crate::server::listing::Filter;
use crate::server::model::{Kind, Model, Record, Verb};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::Resource;
use crate::server::schedules::{EXECUTION, TASK, percent};
use crate::server::state::AppState;

const PATH: &str = "/api/queries/scheduled-executions/";

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Executions>(PATH);
    registry.add(
        Route::get(
            &format!("{PATH}stats/"),
            "queries_scheduled_execution_stats",
            Executions::access(Verb::View),
            stats,
        )
        .about("Counts the executions of the tasks that the caller can see."),
    );
}

/// Executions of tasks.
#[derive(Debug)]
pub(super) struct Executions;

impl Resource for Executions {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &EXECUTION
    }

    /// Who may see a task may see what came of it.
    fn access(verb: Verb) -> Access {
        Tasks::access(verb)
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        let mut tasks = Query::select().expr(TASK.id_column()).from(Alias::new(TASK.table)).take();
        Tasks::visible(caller, &mut tasks);
        query.and_where(column("scheduled_task").in_subquery(tasks));
    }

    fn filters() -> &'static [Filter] {
        &[
            Filter { name: "task_id", kind: Kind::Integer, about: "executions of this task", apply: of_task },
            Filter { name: "connection_id", kind: Kind::Integer, about: "executions there", apply: on_connection },
        ]
    }

    async fn complete(_: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        for record in records {
            let seconds = record["execution_time_ms"].as_i64().and_then(|ms| i32::try_from(ms).ok());
            record.insert("duration_seconds".into(), seconds.map(|ms| json!(f64::from(ms) / 1000.0)).into());
        }
        Ok(())
    }
}

fn column(name: &'static str) -> Expr {
    Expr::col((Alias::new(EXECUTION.table), Alias::new(name)))
}

fn of_task(query: &mut SelectStatement, value: &Value) {
    query.and_where(column("scheduled_task").eq(value.as_i64()));
}

fn on_connection(query: &mut SelectStatement, value: &Value) {
    query.and_where(column("apic_connection_id").eq(value.as_i64()));
}

/// How many executions there are.
#[derive(Serialize, JsonSchema)]
struct ExecutionStats {
    total_executions: i64,
    successful: i64,
    failed: i64,
    running: i64,
    pending: i64,
    cancelled: i64,
    /// The share of those that ended well, in percent; null where none ended.
    success_rate: Option<f64>,
}

async fn stats(State(state): State<AppState>, caller: Caller) -> Result<Json<ExecutionStats>, ApiError> {
    let mut query = Query::select()
        .expr(column("status"))
        .expr(Func::count(EXECUTION.id_column()))
        .from(Alias::new(EXECUTION.table))
        .add_group_by([column("status")])
        .take();
    Executions::visible(&caller, &mut query);
    let counts = state.db().all::<(String, i64)>(&query).await?;
    let of = |status: &str| counts.iter().find(|(name, _)| name == status).map_or(0, |(_, count)| *count);
    let (successful, failed) = (of("success"), of("failed"));
    Ok(Json(ExecutionStats {
        total_executions: counts.iter().map(|(_, count)| count).sum(),
        successful,
        failed,
        running: of("running"),
        pending: of("pending"),
        cancelled: of("cancelled"),
        success_rate: percent(successful, successful + failed).as_f64(),
    }))
}
