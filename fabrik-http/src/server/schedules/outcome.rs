//! What came of executions: written down, tried again, counted, and told once a run is over.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::execution::{EXECUTION, Failure, Next, column, queue, update};
use super::runner::Job;
use super::task::{TASK, Task};
use super::work::Done;
use super::{ONLY, SETTINGS};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::mail::Mail;
use crate::server::notifications::{self, Notice, Severity, Source, Told};
use crate::server::state::AppState;

/// How long an execution may take.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(2);
/// How much of a message is kept.
const MOST_CHARS: usize = 10_000;

/// Says that an execution took longer than any may.
pub(super) fn took_too_long() -> Failure {
    Failure::passing("timeout", format!("The execution took longer than {} hours.", LONGEST.num_hours()))
}

fn interrupted() -> Failure {
    Failure::passing("interrupted", "The server that worked on this stopped.")
}

/// Writes down what came of an execution, unless it was taken away meanwhile.
pub(super) async fn end(state: &AppState, job: &Job, result: Result<Done, Failure>) -> Result<(), ApiError> {
    let ending = Ending { id: job.id, run: job.run, attempt: job.attempt, started_at: Some(job.started_at) };
    settle(state, &job.task, &ending, state.runner().id(), result).await.map(|_| ())
}

/// What is known of an execution that ends.
struct Ending {
    id: Uuid,
    run: Uuid,
    attempt: i64,
    started_at: Option<DateTime<Utc>>,
}

/// Ends an execution that `worker` holds; returns whether it did.
async fn settle(
    state: &AppState,
    task: &Task,
    ending: &Ending,
    worker: Uuid,
    result: Result<Done, Failure>,
) -> Result<bool, ApiError> {
    let now = state.clock().now();
    let mut transaction = state.db().begin().await?;
    // The task is locked first, by everybody, so that of executions that end at the same time one sees the others.
    let Some(task) = Task::lock(&mut transaction, task.id()).await? else { return Ok(false) };
    let took = ending.started_at.map(|started| Ord::max((now - started).num_milliseconds(), 0));
    let mut write = update(ending.id);
    write
        .value(Alias::new("completed_at"), now)
        .value(Alias::new("execution_time_ms"), took)
        .and_where(column("status").eq("running"))
        .and_where(column("worker").eq(worker));
    let mut drift = None;
    match &result {
        Ok(done) => {
            write
                .value(Alias::new("status"), "success")
                .value(Alias::new("result"), done.result.clone())
                .value(Alias::new("result_count"), done.rows)
                .value(Alias::new("snapshot_id"), done.snapshot);
            drift.clone_from(&done.drift);
        }
        Err(failure) => {
            write
                .value(Alias::new("status"), "failed")
                .value(Alias::new("error_type"), failure.kind)
                .value(Alias::new("error_message"), cut(&failure.message))
                .value(Alias::new("error_traceback"), cut(&failure.causes));
        }
    }
    if let Some((id, name)) = result.as_ref().map_or_else(|failure| &failure.connection, |done| &done.connection) {
        write.value(Alias::new("apic_connection_id"), *id).value(Alias::new("apic_connection_name"), name.as_str());
    }
    if transaction.run(&write.take()).await? == 0 {
        return Ok(false);
    }
    let mut told = Vec::new();
    if let Some(mut notice) = drift {
        notice.related_task_id = Some(task.id());
        notice.related_execution_id = Some(ending.id);
        let whom = whom(&mut transaction, &task).await?;
        told.push(notifications::tell(state, &mut transaction, &whom, &notice).await?);
    }
    if let Err(failure) = &result {
        retry(&mut transaction, &task, ending, failure, now).await?;
    }
    told.push(conclude(state, &mut transaction, &task, ending.run).await?);
    let mut entry = Entry::new(Category::TaskManagement, "scheduled_task_executed", "Scheduled task executed")
        .on(TASK.name, task.id(), task.text("name"))
        .with(json!({ "execution_id": ending.id, "run_id": ending.run, "retry_attempt": ending.attempt }));
    if let Err(failure) = &result {
        entry = entry.failed(cut(&failure.message));
    }
    entry.append(&mut transaction, state, &Actor::server()).await?;
    transaction.commit().await?;
    for told in told {
        told.publish(state).await?;
    }
    Ok(true)
}

/// PostgreSQL keeps no null characters in a text.
fn cut(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MOST_CHARS).collect()
}

/// Queues another try where that may help and is wanted.
async fn retry(
    transaction: &mut Transaction,
    task: &Task,
    ending: &Ending,
    failure: &Failure,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // That a server stopped is no fault of the query, so it is always tried again, and at once.
    let is_interrupted = failure.kind == interrupted().kind;
    let most = match (task.flag("retry_enabled"), is_interrupted) {
        (true, true) => Ord::max(task.number("retry_count"), 1),
        (true, false) => task.number("retry_count"),
        (false, is_interrupted) => i64::from(is_interrupted),
    };
    if !failure.may_pass || ending.attempt >= most || task.text("status") == "disabled" {
        return Ok(());
    }
    let rest = if is_interrupted { 0 } else { task.number("retry_interval_minutes") };
    let query = Query::select()
        .columns(["apic_connection_id", "apic_connection_name", "triggered_by"].map(Alias::new))
        .from(Alias::new(EXECUTION.table))
        .and_where(column("id").eq(ending.id))
        .take();
    let Some((connection, name, triggered_by)) = transaction.first::<(Option<i64>, String, String)>(&query).await?
    else {
        return Ok(());
    };
    let next = Next {
        run: ending.run,
        connection: (connection, name),
        attempt: ending.attempt + 1,
        ready_at: now + TimeDelta::minutes(rest),
    };
    queue(transaction, task, &next, &triggered_by, now).await?;
    let mark = update(ending.id).value(Alias::new("is_superseded"), true).take();
    transaction.run(&mark).await.map(|_| ())
}

/// What counts of an execution: how it ended, where, and why.
#[derive(sqlx::FromRow)]
struct Counted {
    id: Uuid,
    status: String,
    apic_connection_id: Option<i64>,
    apic_connection_name: String,
    result_count: Option<i64>,
    result: Option<Value>,
    error_message: String,
}

impl Counted {
    /// What is not right with what was found.
    fn warning(&self) -> Option<&str> {
        self.result.as_ref()?.get("warning")?.as_str()
    }

    /// What else is worth telling, each sentence behind a space.
    fn notes(&self) -> String {
        let notes = self.result.as_ref().and_then(|result| result.get("warnings")?.as_array());
        notes.into_iter().flatten().filter_map(Value::as_str).map(|note| format!(" {note}")).collect()
    }

    fn place(&self) -> String {
        match (self.apic_connection_name.as_str(), self.apic_connection_id) {
            ("", Some(id)) => format!("connection {id}"),
            ("", None) => "its own connection".to_owned(),
            (name, _) => name.to_owned(),
        }
    }
}

/// Counts and tells how a run went, once nothing of it is left to do.
async fn conclude(state: &AppState, transaction: &mut Transaction, task: &Task, run: Uuid) -> Result<Told, DbError> {
    let columns =
        ["id", "status", "apic_connection_id", "apic_connection_name", "result_count", "result", "error_message"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(EXECUTION.table))
        .and_where(column("run_id").eq(run))
        .and_where(column("is_superseded").eq(false))
        .order_by(Alias::new("id"), sea_query::Order::Asc)
        .take();
    let counted: Vec<Counted> = transaction.all(&query).await?;
    let is = |status: &str| counted.iter().filter(|one| one.status == status).count();
    let (well, badly) = (is("success"), is("failed"));
    if is("pending") + is("running") > 0 || well + badly == 0 {
        return Ok(Told::default());
    }
    let outcome = match (well, badly) {
        (_, 0) if counted.iter().all(|one| one.warning().is_none()) => Outcome::Success,
        (0, _) => Outcome::Failed,
        _ => Outcome::Partial,
    };
    let counter = if outcome == Outcome::Success { "success_count" } else { "failure_count" };
    let count = Query::update()
        .table(Alias::new(TASK.table))
        .value(Alias::new(counter), Expr::col(Alias::new(counter)).add(1))
        .value(Alias::new("last_run_status"), outcome.name())
        .and_where(column("id").eq(task.id()))
        .take();
    transaction.run(&count).await?;
    let notice = outcome.notice(task, &counted, run);
    send_mails(state, transaction, task, outcome, &notice).await?;
    let whom = whom(transaction, task).await?;
    notifications::tell(state, transaction, &whom, &notice).await
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Success,
    Partial,
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    fn notice(self, task: &Task, counted: &[Counted], run: Uuid) -> Notice {
        let name = task.text("name");
        let (source, severity, title) = match self {
            Self::Success => {
                (Source::ScheduledTaskSuccess, Severity::Success, format!("Scheduled task {name} succeeded"))
            }
            Self::Partial => {
                (Source::ScheduledTaskFailure, Severity::Warning, format!("Scheduled task {name} succeeded in part"))
            }
            Self::Failed => (Source::ScheduledTaskFailure, Severity::Error, format!("Scheduled task {name} failed")),
        };
        let lines: Vec<_> = counted
            .iter()
            .filter(|one| one.status != "cancelled")
            .map(|one| match (one.status.as_str(), one.result_count, one.warning()) {
                ("success", Some(rows), None) if one.notes().is_empty() => format!("{}: {rows} rows", one.place()),
                ("success", Some(rows), None) => format!("{}: {rows} rows.{}", one.place(), one.notes()),
                ("success", Some(rows), Some(warning)) => {
                    format!("{}: {rows} rows. {warning}{}", one.place(), one.notes())
                }
                ("success", None, _) => "done".to_owned(),
                _ => format!("{}: {}", one.place(), one.error_message),
            })
            .collect();
        let source = if task.flag("is_system_task") { Source::SystemMaintenance } else { source };
        let mut notice = Notice::new(source, severity, title, lines.join("\n"));
        notice.related_task_id = Some(task.id());
        notice.related_execution_id = counted.first().map(|one| one.id);
        let ids: Vec<_> = counted.iter().map(|one| one.id).collect();
        notice.metadata = json!({ "run_id": run, "outcome": self.name(), "execution_ids": ids });
        notice
    }
}

/// Returns whom to tell of a task: its owner, or the administrators where it is one of the server's.
async fn whom(transaction: &mut Transaction, task: &Task) -> Result<Vec<i64>, DbError> {
    match task.owner() {
        Some(owner) => Ok(vec![owner]),
        None => notifications::administrators(transaction).await,
    }
}

/// Queues the mails that the task asks for.
async fn send_mails(
    state: &AppState,
    transaction: &mut Transaction,
    task: &Task,
    outcome: Outcome,
    notice: &Notice,
) -> Result<(), DbError> {
    let is_wanted = task.flag(if outcome == Outcome::Success { "email_on_success" } else { "email_on_failure" });
    if !is_wanted {
        return Ok(());
    }
    let settings = Query::select()
        .column(Alias::new("email_enabled"))
        .from(Alias::new(SETTINGS))
        .and_where(column("id").eq(ONLY))
        .take();
    if transaction.first::<(bool,)>(&settings).await? != Some((true,)) {
        return Ok(());
    }
    let mut recipients = task.recipients();
    if recipients.is_empty()
        && let Some(owner) = task.owner()
    {
        let query = Query::select()
            .column(Alias::new("email"))
            .from(Alias::new("auth_user"))
            .and_where(column("id").eq(owner))
            .and_where(column("is_active").eq(true))
            .take();
        recipients.extend(transaction.first::<(String,)>(&query).await?.map(|(email,)| email));
    }
    for to in recipients.into_iter().filter(|to| !to.is_empty()) {
        let mail = Mail { to, subject: notice.title.clone(), text: notice.message.clone() };
        mail.queue(transaction, state.clock().now()).await?;
    }
    Ok(())
}

/// Cancels what waits of a task, and tells of runs that end by that.
pub(crate) async fn cancel_pending(
    state: &AppState,
    transaction: &mut Transaction,
    task: &Task,
) -> Result<Told, DbError> {
    let cancel = Query::update()
        .table(Alias::new(EXECUTION.table))
        .value(Alias::new("status"), "cancelled")
        .value(Alias::new("completed_at"), state.clock().now())
        .and_where(column("scheduled_task").eq(task.id()))
        .and_where(column("status").eq("pending"))
        .returning(Query::returning().columns(["run_id", "apic_connection_id", "retry_attempt"].map(Alias::new)))
        .take();
    let mut runs: Vec<Uuid> = Vec::new();
    for (run, connection, attempt) in transaction.all::<(Uuid, Option<i64>, i64)>(&cancel).await? {
        if !runs.contains(&run) {
            runs.push(run);
        }
        // What is not tried again has failed.
        let last = Query::update()
            .table(Alias::new(EXECUTION.table))
            .value(Alias::new("is_superseded"), false)
            .and_where(column("run_id").eq(run))
            .and_where(
                connection
                    .map_or_else(|| column("apic_connection_id").is_null(), |id| column("apic_connection_id").eq(id)),
            )
            .and_where(column("retry_attempt").eq(attempt - 1))
            .take();
        transaction.run(&last).await?;
    }
    let mut told = Told::default();
    for run in runs {
        told.extend(conclude(state, transaction, task, run).await?);
    }
    Ok(told)
}

/// An execution whose server is not heard of, or that takes too long.
#[derive(sqlx::FromRow)]
struct Stuck {
    id: Uuid,
    scheduled_task: i64,
    run_id: Uuid,
    retry_attempt: i64,
    started_at: Option<DateTime<Utc>>,
    worker: Option<Uuid>,
}

/// Fails what servers that are gone left behind and what takes too long; it is tried again.
pub(super) async fn recover(state: &AppState) -> Result<(), ApiError> {
    let now = state.clock().now();
    let is_late = column("started_at").lt(now - LONGEST);
    for stuck in running(state, column("lease_until").lt(now).or(is_late)).await? {
        let is_late = stuck.started_at.is_some_and(|started| started < now - LONGEST);
        let failure = if is_late { took_too_long() } else { interrupted() };
        fail(state, &stuck, failure).await?;
    }
    Ok(())
}

/// Leaves what this server works on to others.
pub(super) async fn give_up(state: &AppState, worker: Uuid) -> Result<(), ApiError> {
    for left in running(state, column("worker").eq(worker)).await? {
        fail(state, &left, interrupted()).await?;
    }
    Ok(())
}

async fn running(state: &AppState, condition: Expr) -> Result<Vec<Stuck>, DbError> {
    let query = Query::select()
        .columns(["id", "scheduled_task", "run_id", "retry_attempt", "started_at", "worker"].map(Alias::new))
        .from(Alias::new(EXECUTION.table))
        .and_where(column("status").eq("running"))
        .and_where(condition)
        .take();
    state.db().all(&query).await
}

async fn fail(state: &AppState, stuck: &Stuck, failure: Failure) -> Result<(), ApiError> {
    let task = Task([("id".to_owned(), Value::from(stuck.scheduled_task))].into_iter().collect());
    let ending = Ending { id: stuck.id, run: stuck.run_id, attempt: stuck.retry_attempt, started_at: stuck.started_at };
    let worker = stuck.worker.unwrap_or_default();
    if settle(state, &task, &ending, worker, Err(failure)).await? {
        tracing::warn!(execution = %stuck.id, task = stuck.scheduled_task, "a scheduled execution was given up");
    }
    Ok(())
}
