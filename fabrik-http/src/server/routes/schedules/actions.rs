//! What can be done with a task: paused, resumed, run now, cloned; and what it did and will do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::executions::Executions;
use super::{PATH, Tasks, find, permission};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::Json;
use crate::server::extract::{Path, Query};
use crate::server::listing::Listing;
use crate::server::model::{Values, Verb};
use crate::server::moment::Moment;
use crate::server::registry::{Registry, Route};
use crate::server::resource::{Key, Resource, Shown, list_among, show, write};
use crate::server::schedules::{self, EXECUTION, TASK, Task, Trigger, begin_run};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    let at = |rest: &str| format!("{PATH}{{id}}/{rest}");
    registry.add(
        Route::get(&format!("{PATH}upcoming/"), "queries_scheduled_task_upcoming", permission(Verb::View), upcoming)
            .about("Lists the next runs of the tasks that the caller can see, the first ones first."),
    );
    registry.add(
        Route::post(&at("pause/"), "queries_scheduled_task_pause", permission(Verb::Change), pause)
            .about("Lets a task rest. What waits to be tried again is not."),
    );
    registry.add(
        Route::post(&at("resume/"), "queries_scheduled_task_resume", permission(Verb::Change), resume)
            .about("Lets a task run by its schedule again, from now on.")
            .errors(&[400]),
    );
    registry.add(
        Route::post(&at("execute_now/"), "queries_scheduled_task_execute_now", permission(Verb::View), execute_now)
            .about("Runs a task now, beside its schedule, on each of its connections.")
            .errors(&[400]),
    );
    registry.add(
        Route::post(&at("clone/"), "queries_scheduled_task_clone", permission(Verb::Add), clone)
            .about("Makes a paused copy of a task, which belongs to the caller.")
            .errors(&[400]),
    );
    registry.add(
        Route::get(&at("executions/"), "queries_scheduled_task_executions", permission(Verb::View), executions)
            .about("Lists the executions of a task, the last ones first."),
    );
}

async fn pause(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<Shown<Tasks>, ApiError> {
    set_status(&state, &caller, id, "paused").await
}

async fn resume(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<Shown<Tasks>, ApiError> {
    set_status(&state, &caller, id, "active").await
}

async fn set_status(
    state: &AppState,
    caller: &Caller,
    id: i64,
    status: &'static str,
) -> Result<Shown<Tasks>, ApiError> {
    let mut values = Values::default();
    values.set("status", status);
    let key = write::<Tasks>(state, caller, Some(Key::Number(id)), values).await?;
    state.runner().tell(state).await?;
    show(state, caller, key).await
}

/// A run that was queued.
#[derive(Serialize, JsonSchema)]
struct RunBegun {
    success: bool,
    message: String,
    /// What the executions have in common.
    run_id: Uuid,
    /// One for each connection.
    execution_ids: Vec<Uuid>,
}

impl IntoResponse for RunBegun {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, axum::Json(self)).into_response()
    }
}

impl Describe for RunBegun {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.given::<Self>();
        operation.json_response(202, &schema);
    }
}

async fn execute_now(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<RunBegun, ApiError> {
    let now = state.clock().now();
    let mut transaction = state.db().begin().await?;
    let task = find(&mut transaction, &caller, id).await?;
    if task.text("status") == "disabled" {
        return Err(ApiError::BadRequest("The task is disabled.".into()));
    }
    let (run_id, execution_ids) = begin_run(&mut transaction, &task, Trigger::User(caller.username()), now).await?;
    Entry::new(Category::TaskManagement, "scheduled_task_run_requested", "Scheduled task run requested")
        .on(TASK.name, id, task.text("name"))
        .with(json!({ "run_id": run_id }))
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    schedules::take_up(&state);
    let message = format!("{} queued.", if execution_ids.len() == 1 { "The run is" } else { "The runs are" });
    Ok(RunBegun { success: true, message, run_id, execution_ids })
}

async fn clone(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Shown<Tasks, false, 201>, ApiError> {
    let record = show::<Tasks>(&state, &caller, Key::Number(id)).await?.value;
    if record["is_system_task"] == true {
        return Err(ApiError::Refused("Tasks of the server cannot be cloned.".into()));
    }
    let object = record.as_object().cloned().unwrap_or_default();
    let mut values = Values::of(object, Tasks::model().creatable());
    let name: String = record["name"].as_str().unwrap_or_default().chars().take(193).collect();
    values.set("name", format!("{name} (Copy)"));
    values.set("status", "paused");
    let key = write::<Tasks>(&state, &caller, None, values).await?;
    Ok(show::<Tasks>(&state, &caller, key).await?.with_status())
}

async fn executions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    listing: Listing<Executions>,
) -> Result<Shown<Executions, true>, ApiError> {
    show::<Tasks>(&state, &caller, Key::Number(id)).await?;
    list_among(&state, &caller, &listing, |query| {
        query.and_where(Expr::col((Alias::new(EXECUTION.table), Alias::new("scheduled_task"))).eq(id));
    })
    .await
}

/// How many runs to list.
#[derive(Deserialize, JsonSchema)]
struct UpcomingQuery {
    /// How many runs to list, 200 at most.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    limit: usize,
}

fn ten() -> usize {
    10
}

/// The next runs.
#[derive(Serialize, JsonSchema)]
struct Upcoming {
    results: Vec<UpcomingRun>,
}

/// A run to come.
#[derive(Serialize, JsonSchema)]
struct UpcomingRun {
    task_id: i64,
    task_name: String,
    priority: String,
    /// When it runs.
    next_run_at: Moment,
    timezone: String,
}

async fn upcoming(
    State(state): State<AppState>,
    caller: Caller,
    Query(asked): Query<UpcomingQuery>,
) -> Result<Json<Upcoming>, ApiError> {
    let limit = asked.limit.min(200);
    let mut query = TASK.select();
    Tasks::visible(&caller, &mut query);
    let next = || Expr::col((Alias::new(TASK.table), Alias::new("next_run_at")));
    // Tasks that begin later than this many others have no place among the first runs.
    query
        .and_where(next().is_not_null())
        .order_by_expr(next(), sea_query::Order::Asc)
        .order_by_expr(TASK.id_column(), sea_query::Order::Asc)
        .limit(u64::try_from(limit).unwrap_or(200));
    let rows = state.db().rows(&query).await?;
    let tasks = rows.iter().map(|row| TASK.record(row).map(Task)).collect::<Result<Vec<_>, _>>()?;
    let run = |(moment, place): (DateTime<chrono::Utc>, usize)| {
        let task = &tasks[place];
        UpcomingRun {
            task_id: task.id(),
            task_name: task.text("name").to_owned(),
            priority: task.text("priority").to_owned(),
            next_run_at: Moment(moment),
            timezone: task.text("timezone").to_owned(),
        }
    };
    Ok(Json(Upcoming { results: schedules::upcoming(&tasks, limit).into_iter().map(run).collect() }))
}
