//! Executions: one for each connection of a run and each try, kept as a queue and as a log.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query, UpdateStatement};
use serde_json::{Value, json};
use uuid::Uuid;

use super::task::Task;
use crate::server::db::{DbError, Transaction};
use crate::server::model::{Field, Kind, Model};

/// What becomes of an execution.
pub(crate) const STATUSES: &[&str] = &["pending", "running", "success", "failed", "cancelled"];

/// The table of executions and its fields.
pub(crate) static EXECUTION: Model = Model {
    app: "queries",
    name: "scheduled_execution",
    title: "ScheduledExecution",
    table: "scheduled_execution",
    default_order: "-created_at",
    fields: &[
        Field::new("id", Kind::Uuid, "the id of the execution"),
        Field::new("scheduled_task", Kind::Integer, "the task"),
        Field::new("task_name", Kind::Text { least: 0, most: 200 }, "its name at that time").search(),
        Field::new("run_id", Kind::Uuid, "the same for all connections of a run and for what is tried again").filter(),
        Field::new("triggered_by", Kind::Text { least: 0, most: 150 }, "`(schedule)`, or who asked for it"),
        Field::new("apic_connection_id", Kind::Integer, "where it ran").nullable(),
        Field::new("apic_connection_name", Kind::Text { least: 0, most: 200 }, "its name at that time").search(),
        Field::new("status", Kind::Choice(STATUSES), "what came of it").filter(),
        Field::new("result", Kind::Other(result_schema), "what was found").nullable(),
        Field::new("result_count", Kind::Integer, "how many rows were found").nullable(),
        Field::new("snapshot_id", Kind::Uuid, "the snapshot that was captured").nullable(),
        Field::new("error_type", Kind::Text { least: 0, most: 100 }, "the kind of failure"),
        Field::new("error_message", Kind::Text { least: 0, most: 10_000 }, "why it failed").search(),
        Field::new("error_traceback", Kind::Text { least: 0, most: 10_000 }, "the causes of that"),
        Field::new("retry_attempt", Kind::Integer, "0 for the first try"),
        Field::new("is_retry", Kind::Boolean, "whether it tries something again").filter(),
        Field::new("created_at", Kind::Moment, "when it was due").order(),
        Field::new("ready_at", Kind::Moment, "from when it may run").order(),
        Field::new("started_at", Kind::Moment, "when it began").nullable().order(),
        Field::new("completed_at", Kind::Moment, "when it ended").nullable().order(),
        Field::new("execution_time_ms", Kind::Integer, "how long it took").nullable(),
        Field::new("duration_seconds", Kind::Other(seconds_schema), "the same in seconds").computed().nullable(),
    ],
};

fn result_schema() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

fn seconds_schema() -> Value {
    json!({ "type": "number" })
}

/// Why an execution failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The kind, for machines.
    pub(crate) kind: &'static str,
    /// A sentence.
    pub(crate) message: String,
    /// The causes, joined.
    pub(crate) causes: String,
    /// Whether trying again may help.
    pub(crate) may_pass: bool,
    /// Where it was tried, as far as that was known.
    pub(crate) connection: Option<(i64, String)>,
}

impl Failure {
    /// Says that it failed and would again.
    pub(crate) fn lasting(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: String::new(), may_pass: false, connection: None }
    }

    /// Says that it failed and may go well another time.
    pub(crate) fn passing(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: String::new(), may_pass: true, connection: None }
    }
}

/// What stands where nobody asked for a run. It is no name that a user can have.
pub(crate) const BY_SCHEDULE: &str = "(schedule)";

/// Who made a task run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger<'a> {
    Schedule,
    User(&'a str),
}

/// An execution to come.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) run: Uuid,
    pub(super) connection: (Option<i64>, String),
    pub(super) attempt: i64,
    pub(super) ready_at: DateTime<Utc>,
}

/// Queues an execution and returns its id.
pub(super) async fn queue(
    transaction: &mut Transaction,
    task: &Task,
    next: &Next,
    triggered_by: &str,
    now: DateTime<Utc>,
) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    let columns = [
        "id",
        "scheduled_task",
        "task_name",
        "run_id",
        "triggered_by",
        "apic_connection_id",
        "apic_connection_name",
        "status",
        "retry_attempt",
        "is_retry",
        "urgency",
        "created_at",
        "ready_at",
    ];
    let insert = Query::insert()
        .into_table(Alias::new(EXECUTION.table))
        .columns(columns.map(Alias::new))
        .values_panic([
            id.into(),
            task.id().into(),
            task.text("name").into(),
            next.run.into(),
            triggered_by.into(),
            next.connection.0.into(),
            next.connection.1.as_str().into(),
            "pending".into(),
            next.attempt.into(),
            (next.attempt > 0).into(),
            task.urgency().into(),
            now.into(),
            next.ready_at.into(),
        ])
        .take();
    transaction.run(&insert).await?;
    Ok(id)
}

/// Begins a run of a task, now: one execution for each connection. Returns the run and its executions.
pub(crate) async fn begin_run(
    transaction: &mut Transaction,
    task: &Task,
    trigger: Trigger<'_>,
    now: DateTime<Utc>,
) -> Result<(Uuid, Vec<Uuid>), DbError> {
    let run = Uuid::now_v7();
    let triggered_by = match trigger {
        Trigger::Schedule => BY_SCHEDULE,
        Trigger::User(name) => name,
    };
    let mut executions = Vec::new();
    for connection in task.connections() {
        let next = Next { run, connection: (connection, String::new()), attempt: 0, ready_at: now };
        executions.push(queue(transaction, task, &next, triggered_by, now).await?);
    }
    let count = Query::update()
        .table(Alias::new(super::task::TASK.table))
        .value(Alias::new("execution_count"), Expr::col(Alias::new("execution_count")).add(1))
        .value(Alias::new("last_run_at"), now)
        .and_where(Expr::col(Alias::new("id")).eq(task.id()))
        .take();
    transaction.run(&count).await?;
    Ok((run, executions))
}

/// Returns the beginning of a change of one execution.
pub(super) fn update(id: Uuid) -> UpdateStatement {
    Query::update().table(Alias::new(EXECUTION.table)).and_where(column("id").eq(id)).take()
}

pub(super) fn column(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}
