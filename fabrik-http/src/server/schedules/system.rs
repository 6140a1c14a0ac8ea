//! Tasks of the server itself: there from the start, never deleted; administrators may pause them.

use futures_util::future::BoxFuture;
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use serde_json::{Value, json};

use super::execution::Failure;
use super::runner::Job;
use super::task::{TASK, Task};
use super::work::Done;
use crate::server::audit::Actor;
use crate::server::db::DbError;
use crate::server::error::ApiError;
use crate::server::state::AppState;
use crate::server::time_machine::{cleanup, global};

/// A task of the server.
struct SystemTask {
    handler: &'static str,
    name: &'static str,
    description: &'static str,
    task_type: &'static str,
    /// The time of day at which it runs, in the time zone of the server.
    time_of_day: &'static str,
    /// Does it; told whether nobody asked for it.
    run: fn(AppState, bool) -> BoxFuture<'static, Result<Value, ApiError>>,
}

/// All tasks of the server.
const SYSTEM_TASKS: &[SystemTask] = &[SystemTask {
    handler: "time_machine_cleanup",
    name: "Time Machine cleanup",
    description: "Deletes snapshots whose time is over.",
    task_type: "system_snapshot",
    time_of_day: "03:30:00",
    run: |state, is_by_schedule| Box::pin(clean_up(state, is_by_schedule)),
}];

async fn clean_up(state: AppState, is_by_schedule: bool) -> Result<Value, ApiError> {
    if is_by_schedule && !global::read(&state).await?.auto_cleanup_enabled {
        return Ok(json!({ "is_disabled": true }));
    }
    let trigger = if is_by_schedule { "daily" } else { "task" };
    let (_, outcome) = cleanup::execute(&state, cleanup::Scope::default(), &Actor::server(), trigger).await?;
    Ok(json!({ "deleted": outcome.deleted.len(), "stored_bytes_reclaimed": outcome.stored_bytes_reclaimed }))
}

/// Does a task of the server.
pub(super) async fn run(state: &AppState, job: &Job) -> Result<Done, Failure> {
    let handler = job.task.text("system_task_handler");
    let Some(task) = SYSTEM_TASKS.iter().find(|task| task.handler == handler) else {
        return Err(Failure::lasting("unknown_handler", format!("This server knows no task called {handler}.")));
    };
    let result = (task.run)(state.clone(), job.is_by_schedule).await.map_err(|error| super::work::failure(&error))?;
    Ok(Done { result, ..Done::default() })
}

/// Adds the tasks of the server that are not there yet.
pub(crate) async fn make_tasks(state: &AppState) -> Result<(), DbError> {
    let now = state.clock().now();
    for system in SYSTEM_TASKS {
        let mut task = Task::blank();
        task.0.insert("frequency".to_owned(), "daily".into());
        task.0.insert("time_of_day".to_owned(), system.time_of_day.into());
        let zone = state.settings().time_zone.name();
        task.0.insert("timezone".to_owned(), zone.into());
        let next = task.next_after(now);
        let columns = [
            "name",
            "description",
            "task_type",
            "is_system_task",
            "system_task_handler",
            "apic_connection_ids",
            "variable_values",
            "frequency",
            "time_of_day",
            "timezone",
            "retry_count",
            "retry_interval_minutes",
            "email_recipients",
            "log_retention_days",
            "next_run_at",
            "created_at",
            "updated_at",
        ];
        let insert = Query::insert()
            .into_table(Alias::new(TASK.table))
            .columns(columns.map(Alias::new))
            .values_panic([
                system.name.into(),
                system.description.into(),
                system.task_type.into(),
                true.into(),
                system.handler.into(),
                json!([]).into(),
                json!({}).into(),
                "daily".into(),
                system.time_of_day.into(),
                zone.into(),
                3_i64.into(),
                5_i64.into(),
                json!([]).into(),
                30_i64.into(),
                next.into(),
                now.into(),
                now.into(),
            ])
            .on_conflict(OnConflict::column(Alias::new("system_task_handler")).do_nothing().to_owned())
            .take();
        state.db().run(&insert).await?;
        // The setting may be another one since.
        let is_of = Expr::col(Alias::new("system_task_handler")).eq(system.handler);
        let is_elsewhere = Expr::col(Alias::new("timezone")).ne(zone);
        let shift = Query::update()
            .table(Alias::new(TASK.table))
            .value(Alias::new("timezone"), zone)
            .and_where(is_of.clone().and(is_elsewhere.clone()))
            .take();
        let advance = Query::update()
            .table(Alias::new(TASK.table))
            .value(Alias::new("next_run_at"), next)
            .and_where(is_of.and(is_elsewhere).and(Expr::col(Alias::new("status")).eq("active")))
            .take();
        state.db().run(&advance).await?;
        state.db().run(&shift).await?;
    }
    Ok(())
}
