//! Scheduled tasks: what is due is queued, run once by one of the servers, tried again where it failed, and told.
//!
//! All state is in the database. A task is due by its `next_run_at`, which one conditional UPDATE moves on, so of several
//! servers one begins the run; the same holds for each execution. Whoever runs one renews a lease; where that ends, the
//! server died, and another tries again. What was missed while no server ran is caught up once: the next run is counted
//! from now, not from the last one.

mod asked;
mod drift;
mod execution;
mod outcome;
mod plan;
mod recurrence;
mod runner;
mod system;
mod task;
#[cfg(test)]
mod tests;
mod work;

use chrono::TimeDelta;
use sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement};

use super::error::ApiError;
use super::state::AppState;

pub(crate) use execution::{EXECUTION, Trigger, begin_run};
pub(crate) use outcome::cancel_pending;
pub(crate) use plan::{overdue, upcoming};
pub(crate) use runner::{Runner, take_up};
pub(crate) use system::make_tasks;
pub(crate) use task::{APIC_QUERY, TASK, Task, WHEN, percent};

/// The table of the settings; its one row has the id 1.
pub(crate) const SETTINGS: &str = "scheduled_task_settings";
/// The id of the one row of the settings.
pub(crate) const ONLY: i64 = 1;

/// Begins what is due and works on what is queued. What it starts goes on by itself.
pub(crate) async fn run_due(state: &AppState) -> Result<(), ApiError> {
    if state.is_stopping() {
        return Ok(());
    }
    state.runner().tell(state).await?;
    plan::start_due(state).await?;
    runner::take_up(state);
    Ok(())
}

/// Takes up what servers that are gone left behind, and what takes too long.
pub(crate) async fn recover(state: &AppState) -> Result<(), ApiError> {
    outcome::recover(state).await
}

/// Counts the tasks of these users.
pub(crate) fn counting(owners: &[i64]) -> SelectStatement {
    Query::select()
        .column(Alias::new("owner_id"))
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TASK.table))
        .and_where(Expr::col(Alias::new("owner_id")).is_in(owners.iter().copied()))
        .group_by_col(Alias::new("owner_id"))
        .take()
}

/// Forgets executions that are older than their task keeps them.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let days = || Expr::col(Alias::new("log_retention_days"));
    let kept = Query::select().distinct().expr(days()).from(Alias::new(TASK.table)).take();
    for (number,) in state.db().all::<(i64,)>(&kept).await? {
        let tasks =
            Query::select().column(Alias::new("id")).from(Alias::new(TASK.table)).and_where(days().eq(number)).take();
        let gone = Query::delete()
            .from_table(Alias::new(EXECUTION.table))
            .and_where(execution::column("scheduled_task").in_subquery(tasks))
            .and_where(execution::column("completed_at").lt(state.clock().now() - TimeDelta::days(number)))
            .take();
        state.db().run(&gone).await?;
    }
    Ok(())
}
