//! From tasks that are due to executions in the queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Func, Order, Query};

use super::execution::{EXECUTION, Trigger, begin_run, column};
use super::outcome::cancel_pending;
use super::task::{TASK, Task};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::notifications::Told;
use crate::server::state::AppState;

/// How many tasks one round begins at most; the next round follows soon.
const ROUND: u64 = 200;
/// A task that should have run this long ago is overdue.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

/// Begins a run of each task that is due.
pub(crate) async fn start_due(state: &AppState) -> Result<(), ApiError> {
    let now = state.clock().now();
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(TASK.table))
        .and_where(column("status").eq("active"))
        .and_where(column("next_run_at").lte(now))
        .order_by(Alias::new("next_run_at"), Order::Asc)
        .limit(ROUND)
        .take();
    for (id,) in state.db().all::<(i64,)>(&query).await? {
        let mut transaction = state.db().begin().await?;
        let told = start(state, &mut transaction, id, now).await?;
        transaction.commit().await?;
        told.publish(state).await?;
    }
    Ok(())
}

/// Begins a run of a task, if it still is due: another server may have begun it.
async fn start(state: &AppState, transaction: &mut Transaction, id: i64, now: DateTime<Utc>) -> Result<Told, ApiError> {
    let mut told = Told::default();
    let Some(task) = Task::lock(transaction, id).await? else { return Ok(told) };
    let next = task.next_after(now);
    let mut advance = Query::update()
        .table(Alias::new(TASK.table))
        .value(Alias::new("next_run_at"), next)
        .and_where(column("id").eq(id))
        .and_where(column("status").eq("active"))
        .and_where(column("next_run_at").lte(now))
        .take();
    // A task without another run rests, as one does that runs once.
    if next.is_none() {
        advance.value(Alias::new("status"), "paused");
    }
    if transaction.run(&advance).await? == 0 {
        return Ok(told);
    }
    // A controller that is slower than the schedule is not asked ever more.
    if is_under_way(transaction, id).await? {
        tracing::warn!(task = id, "a scheduled task is due while its last run goes on: this run is left out");
        return Ok(told);
    }
    // What the last run would try again, this run does.
    told = cancel_pending(state, transaction, &task).await?;
    begin_run(transaction, &task, Trigger::Schedule, now).await?;
    Ok(told)
}

/// Returns whether a run goes on, but for what waits to be tried again.
async fn is_under_way(transaction: &mut Transaction, task: i64) -> Result<bool, DbError> {
    let is_waiting = column("status").eq("pending").and(column("is_retry").eq(false));
    let query = Query::select()
        .expr(Func::count(column("id")))
        .from(Alias::new(EXECUTION.table))
        .and_where(column("scheduled_task").eq(task))
        .and_where(column("status").eq("running").or(is_waiting))
        .take();
    Ok(transaction.number(&query).await? > 0)
}

/// Returns the next runs of tasks, the first ones first.
pub(crate) fn upcoming(tasks: &[Task], most: usize) -> Vec<(DateTime<Utc>, usize)> {
    let first = |(place, task): (usize, &Task)| {
        let next = DateTime::parse_from_rfc3339(task.text("next_run_at")).ok()?;
        Some(Reverse((next.to_utc(), place)))
    };
    let mut ahead: BinaryHeap<_> = tasks.iter().enumerate().filter_map(first).collect();
    let mut runs = Vec::new();
    while runs.len() < most
        && let Some(Reverse((moment, place))) = ahead.pop()
    {
        runs.push((moment, place));
        ahead.extend(tasks[place].next_after(moment).map(|next| Reverse((next, place))));
    }
    runs
}

/// Returns the condition for tasks that should have run a while ago and did not.
pub(crate) fn overdue(now: DateTime<Utc>) -> Expr {
    column("status").eq("active").and(column("next_run_at").lt(now - PATIENCE))
}
