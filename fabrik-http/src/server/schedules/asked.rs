//! What tasks ask of saved queries and connections: the same as their owners could by hand.

use fabrik_apic::graph::{CompileOptions, Variables};
use fabrik_core::{RowRef, Verdict};
use serde_json::{Value, json};

use super::drift;
use super::execution::Failure;
use super::runner::Job;
use super::work::{Done, failure};
use crate::server::audit::Actor;
use crate::server::caller::Caller;
use crate::server::captures::{self, Capturing, Execution};
use crate::server::connections::{self, Connection};
use crate::server::error::ApiError;
use crate::server::queries::{self, Compiled, SavedQuery, Sink};
use crate::server::quotas::{self, Switch};
use crate::server::state::AppState;
use crate::server::time_machine::TimeMachineSettings;

/// Runs the query of a task on one connection.
pub(super) async fn run(state: &AppState, job: &Job, owner: &Caller) -> Result<Done, Failure> {
    let id = job.task.number("saved_query");
    let query = found(queries::find(state, owner, id).await, "query_gone", "The saved query", id)?;
    let Some(id) = job.connection.or(query.connection_id) else {
        return Err(Failure::lasting("no_connection", "Neither the task nor its query names a connection."));
    };
    let connection = found(connections::find(state, owner, id).await, "connection_gone", "The connection", id)?;
    if !connection.is_active {
        let sentence = format!("The connection {} is not active.", connection.name);
        return Err(Failure::lasting("connection_inactive", sentence));
    }
    let place = (connection.id, connection.name.clone());
    let captures = job.task.flag("auto_capture") || query.enable_time_machine;
    let switch = if captures { Switch::CanUseTimeMachine } else { Switch::CanExecuteQueries };
    quotas::require(state, owner, switch).await.map_err(|error| failure(&error))?;
    let variables = variables(job);
    let done = if captures {
        capture(state, job, owner, &query, &connection, &variables).await
    } else {
        execute(state, owner, &query, &connection, variables).await.map_err(|error| failure(&error))
    };
    match done {
        Ok(done) => Ok(Done { connection: Some(place), ..done }),
        Err(failure) => Err(Failure { connection: Some(place), ..failure }),
    }
}

fn found<T>(result: Result<T, ApiError>, kind: &'static str, what: &str, id: i64) -> Result<T, Failure> {
    result.map_err(|error| match error {
        ApiError::NotFound => {
            Failure::lasting(kind, format!("{what} {id} is gone, or the task's owner cannot see it any more."))
        }
        other => failure(&other),
    })
}

fn variables(job: &Job) -> Variables {
    let values = job.task.0.get("variable_values").and_then(Value::as_object).cloned().unwrap_or_default();
    values.into_iter().collect()
}

/// Runs the query and stores its rows as a snapshot.
async fn capture(
    state: &AppState,
    job: &Job,
    owner: &Caller,
    query: &SavedQuery,
    connection: &Connection,
    variables: &Variables,
) -> Result<Done, Failure> {
    let retention_policy = match job.task.text("retention_policy").parse() {
        Ok(policy) => policy,
        Err(_) => {
            let preferences = TimeMachineSettings::of(state, owner.id()).await.map_err(|error| failure(&error))?;
            preferences.default_retention_policy.into()
        }
    };
    let capturing = Capturing {
        query,
        connection,
        variables,
        retention_policy,
        annotation: None,
        label: None,
        actor: Actor::server(),
        user_id: Some(owner.id()),
        username: owner.username().to_owned(),
        execution: Execution::Scheduled { task: job.task.id(), execution: job.id },
    };
    let captured = captures::capture(state, capturing)
        .await
        .map_err(|error| Failure { message: error.message, ..failure(&error.error) })?;
    let snapshot = captured.snapshot;
    let mut result = json!({
        "row_count": snapshot.row_count,
        "version_hash": snapshot.version_hash.to_string(),
        "is_duplicate": captured.is_duplicate,
        "has_changes": snapshot.has_changes(),
        "warnings": captured.warnings,
    });
    if captured.is_skipped {
        result["skipped"] = true.into();
        result["reason"] = "duplicate".into();
        result["previous_snapshot_id"] = captured.previous.as_ref().map(|previous| previous.id.to_string()).into();
    } else {
        result["snapshot_id"] = snapshot.id.to_string().into();
    }
    let warning = incomplete(&snapshot.verdict);
    if let Some(warning) = &warning {
        result["warning"] = warning.as_str().into();
    }
    let mut done = Done {
        rows: i64::try_from(snapshot.row_count).ok(),
        snapshot: (!captured.is_skipped).then_some(*snapshot.id.as_uuid()),
        result,
        ..Done::default()
    };
    if let Some(previous) = captured.previous.filter(|_| snapshot.has_changes()) {
        // The capture is done whatever becomes of telling about it.
        match drift::notice(state, &query.name, &connection.name, previous, snapshot).await {
            Ok(notice) => done.drift = notice,
            Err(error) => tracing::warn!(?error, task = job.task.id(), "what a capture found changed cannot be told"),
        }
    }
    Ok(done)
}

/// Says what is not right with rows that are not complete.
fn incomplete(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Complete => None,
        Verdict::Partial { reason, .. } => Some(format!("The snapshot is partial: {reason}.")),
        Verdict::Unstable { rows_before, rows_after } => {
            Some(format!("The rows changed while they were read: {rows_before} before and {rows_after} after."))
        }
        other => Some(format!("The snapshot is {}.", other.name())),
    }
}

/// Counts rows.
#[derive(Default)]
struct Counter(u64);

impl Sink for Counter {
    fn row(&mut self, _: RowRef<'_>) -> Result<(), ApiError> {
        self.0 += 1;
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), ApiError> {
        self.0 = 0;
        Ok(())
    }
}

/// Runs the query and notes how many rows it finds, as somebody who runs it by hand does.
async fn execute(
    state: &AppState,
    owner: &Caller,
    query: &SavedQuery,
    connection: &Connection,
    variables: Variables,
) -> Result<Done, ApiError> {
    let compiled = Compiled::new(&query.question, &CompileOptions::default().with_variables(variables))?;
    let asked = (compiled.plan.path().to_owned(), compiled.plan.strategy.name());
    let execution = queries::Execution::begin(state, owner, query, connection, (&asked.0, asked.1)).await?;
    let read = read(state, connection, compiled).await;
    execution.finish(read.as_ref().map(|(rows, _)| *rows)).await?;
    let (rows, verdict) = read?;
    let mut result = json!({ "row_count": rows });
    if let Some(warning) = incomplete(&verdict) {
        result["warning"] = warning.into();
    }
    Ok(Done { rows: i64::try_from(rows).ok(), result, ..Done::default() })
}

async fn read(state: &AppState, connection: &Connection, compiled: Compiled) -> Result<(u64, Verdict), ApiError> {
    let mut source = compiled.start(state, connection)?;
    state
        .engine(move |_| async move {
            let mut counter = Counter::default();
            let outcome = queries::read(&mut *source, None, &mut counter).await?;
            Ok((counter.0, outcome.verdict))
        })
        .await
}
