//! Runs of queries: their rows, limits, and what is kept of each.

use std::time::Duration;

use chrono::TimeDelta;
use fabrik_core::{Error, RowRef, Source, SourceProgress, Verdict};
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde_json::json;
use uuid::Uuid;

use super::{SavedQuery, refuse_step};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::connections::Connection;
use crate::server::error::{ApiError, chain};
use crate::server::state::AppState;

/// The table of what was run.
pub(crate) const TABLE: &str = "query_execution";
/// How long the log of a run is kept.
const MEMORY: TimeDelta = TimeDelta::days(90);
/// What still seems to run after this time was lost with its server.
const LONGEST: TimeDelta = TimeDelta::hours(2);

/// Where rows go.
pub(crate) trait Sink {
    /// Takes a row.
    fn row(&mut self, row: RowRef<'_>) -> Result<(), ApiError>;

    /// Forgets all rows: the source begins anew.
    fn start_over(&mut self) -> Result<(), ApiError>;

    /// Hears how far the source has come.
    fn progress(&mut self, _progress: SourceProgress) {}
}

/// What came of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) rows: u64,
    /// Whether there were more rows than the limit.
    pub(crate) is_truncated: bool,
    /// How complete the rows were, where all were read.
    pub(crate) verdict: Verdict,
}

/// Reads a source to its end, or to so many rows.
pub(crate) async fn read(
    source: &mut dyn Source,
    limit: Option<u64>,
    sink: &mut impl Sink,
) -> Result<Outcome, ApiError> {
    let mut rows = 0;
    loop {
        let batch = source.next_batch().await.map_err(refuse)?;
        if source.has_started_over() {
            sink.start_over()?;
            rows = 0;
        }
        sink.progress(source.progress());
        let Some(batch) = batch else {
            return Ok(Outcome { rows, is_truncated: false, verdict: source.verdict() });
        };
        for row in batch.iter() {
            if limit == Some(rows) {
                return Ok(Outcome { rows, is_truncated: true, verdict: Verdict::Complete });
            }
            sink.row(row)?;
            rows += 1;
        }
    }
}

/// Says what a client can do about rows that do not come.
pub(crate) fn refuse(error: Error) -> ApiError {
    match error {
        Error::Step(error) => refuse_step(&error),
        other => other.into(),
    }
}

/// A run that is under way. One that is dropped before its end counts as given up.
#[derive(Debug)]
pub(crate) struct Execution {
    id: Uuid,
    state: AppState,
    actor: Actor,
    query: (i64, String),
    connection: String,
    began: Duration,
    is_finished: bool,
}

impl Execution {
    /// Notes that a query begins to run, what the controller is asked, and how.
    pub(crate) async fn begin(
        state: &AppState,
        caller: &Caller,
        query: &SavedQuery,
        connection: &Connection,
        (url, strategy): (&str, &str),
    ) -> Result<Self, ApiError> {
        let id = Uuid::now_v7();
        let columns = [
            "id",
            "query",
            "query_name",
            "query_version",
            "query_url",
            "strategy",
            "apic_connection",
            "apic_connection_name",
            "executed_by",
            "executed_by_username",
            "executed_at",
        ];
        let insert = Query::insert()
            .into_table(Alias::new(TABLE))
            .columns(columns.map(Alias::new))
            .values_panic([
                id.into(),
                query.id.into(),
                query.name.as_str().into(),
                query.version.to_string().into(),
                url.into(),
                strategy.into(),
                connection.id.into(),
                connection.name.as_str().into(),
                caller.id().into(),
                caller.username().into(),
                state.clock().now().into(),
            ])
            .take();
        state.db().run(&insert).await?;
        Ok(Self {
            id,
            state: state.clone(),
            actor: Actor::of(caller),
            query: (query.id, query.name.clone()),
            connection: connection.name.clone(),
            began: state.clock().elapsed(),
            is_finished: false,
        })
    }

    /// Returns the id of the run.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Notes how the run ended and returns how many milliseconds it took.
    pub(crate) async fn finish(mut self, result: Result<u64, &ApiError>) -> Result<i64, ApiError> {
        self.is_finished = true;
        let ended = Ended::of(result);
        let end = End { ended, id: self.id, actor: self.actor.clone(), began: self.began };
        end.keep(&self.state, &self.query, &self.connection).await
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_finished {
            return;
        }
        let ended = Ended { rows: 0, error: Some("Nobody waited for the result any more.".to_owned()) };
        let end = End { ended, id: self.id, actor: self.actor.clone(), began: self.began };
        let (state, query, connection) = (self.state.clone(), self.query.clone(), self.connection.clone());
        runtime.spawn(async move {
            if let Err(error) = end.keep(&state, &query, &connection).await {
                tracing::warn!(?error, "the end of a run could not be kept");
            }
        });
    }
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    rows: u64,
    error: Option<String>,
}

impl Ended {
    fn of(result: Result<u64, &ApiError>) -> Self {
        match result {
            Ok(rows) => Self { rows, error: None },
            Err(error) => Self { rows: 0, error: Some(sentence(error)) },
        }
    }
}

struct End {
    ended: Ended,
    id: Uuid,
    actor: Actor,
    began: Duration,
}

impl End {
    async fn keep(self, state: &AppState, query: &(i64, String), connection: &str) -> Result<i64, ApiError> {
        let now = state.clock().now();
        let took = state.clock().elapsed().saturating_sub(self.began).as_millis();
        let took = i64::try_from(took).unwrap_or(i64::MAX);
        let rows = i64::try_from(self.ended.rows).unwrap_or(i64::MAX);
        let update = Query::update()
            .table(Alias::new(TABLE))
            .values(
                [
                    ("finished_at", now.into()),
                    ("execution_time_ms", took.into()),
                    ("result_count", rows.into()),
                    ("success", self.ended.error.is_none().into()),
                    ("error_message", self.ended.error.clone().unwrap_or_default().into()),
                ]
                .map(|(name, value): (&str, Expr)| (Alias::new(name), value)),
            )
            .and_where(Expr::col(Alias::new("id")).eq(self.id))
            .take();
        let count = Query::update()
            .table(Alias::new(super::TABLE))
            .value(Alias::new("execution_count"), Expr::col(Alias::new("execution_count")).add(1))
            .value(Alias::new("last_executed_at"), now)
            .and_where(Expr::col(Alias::new("id")).eq(query.0))
            .take();
        let mut entry = Entry::new(Category::QueryExecution, "query_executed", "Query executed")
            .on("saved_query", query.0, query.1.as_str())
            .with(json!({
                "execution_id": self.id, "apic_connection": connection, "row_count": rows, "execution_time_ms": took,
            }));
        if let Some(error) = self.ended.error {
            entry = entry.failed(error);
        }
        let mut transaction = state.db().begin().await?;
        transaction.run(&update).await?;
        transaction.run(&count).await?;
        entry.append(&mut transaction, state, &self.actor).await?;
        transaction.commit().await?;
        Ok(took)
    }
}

/// Returns what a caller is told of an error, as a sentence.
pub(crate) fn sentence(error: &ApiError) -> String {
    match error {
        ApiError::Invalid(errors) => errors.first_sentence(),
        ApiError::BadRequest(detail) | ApiError::Refused(detail) => detail.to_string(),
        ApiError::Unavailable { detail, .. } => detail.to_string(),
        ApiError::NotFound => "Not found.".to_owned(),
        ApiError::Internal(error) => {
            tracing::error!(error = %chain(&**error), "a run failed");
            "Internal server error.".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Forgets runs of long ago, and ends those that were lost with their server.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let now = state.clock().now();
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("executed_at")).lt(now - MEMORY))
        .take();
    state.db().run(&gone).await?;
    let lost = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("finished_at"), now)
        .value(Alias::new("error_message"), "The server was stopped.")
        .and_where(Expr::col(Alias::new("finished_at")).is_null())
        .and_where(Expr::col(Alias::new("executed_at")).lt(now - LONGEST))
        .take();
    state.db().run(&lost).await?;
    Ok(super::results::purge(state).await?)
}
