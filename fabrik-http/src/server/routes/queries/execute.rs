//! Runs saved queries: at once, as a stream of rows, or in the background.

mod background;
mod rows;

use async_trait::async_trait;
use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fabrik_apic::graph::{CompileOptions, Variables};
use fabrik_core::{Coverage, RowBatch, RowRef, Source, SourceProgress, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::saved::known_connection;
use super::{PATH, VIEW};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation, reason};
use crate::server::engine::Pieces;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Path, Query};
use crate::server::queries::{self, Compiled, Execution, Outcome, Sink, read};
use crate::server::quotas::{self, Quota, Switch};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use background::execute_background;

/// How long an answer may be that is not a stream.
const MOST_BYTES: usize = 64 << 20;

pub(super) fn declare(registry: &mut Registry) {
    let of = |action: &str| format!("{PATH}{{id}}/{action}/");
    let may = || Access::Permission(VIEW.into());
    for route in [
        Route::post(&of("execute"), "queries_saved_query_execute", may(), execute).about(
            "Runs a query on the server and returns its rows. With `?stream=ndjson` each row is a line, sent as it \
             comes; an answer that breaks off is not whole.",
        ),
        Route::post(&of("execute_background"), "queries_saved_query_execute_background", may(), execute_background)
            .about(
                "Runs a query in the background; `/ws/chain-execution/{job_id}/` tells how it goes, and its rows can be \
                 fetched for a while.",
            ),
    ] {
        registry.add(route.errors(&[400, 429, 502, 503]));
    }
    let path = "/api/queries/execution-logs/{id}/rows/";
    registry.add(
        Route::get(path, "queries_execution_log_rows", may(), rows::rows)
            .about(
                "Returns the rows of a run in the background to whoever ran it, as long as they are kept. With \
                 `?stream=ndjson` each row is a line; an answer that breaks off is not whole.",
            )
            .errors(&[404, 409, 410]),
    );
}

/// How a query is run.
#[derive(Deserialize, JsonSchema)]
struct ExecuteRequest {
    /// In place of the query's own connection.
    #[serde(default)]
    apic_connection: Option<i64>,
    /// The values of its variables.
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    /// How many rows are wanted at most.
    #[serde(default)]
    #[schemars(range(min = 1))]
    limit: Option<u32>,
}

/// How the rows are sent.
#[derive(Deserialize, JsonSchema)]
struct ExecuteQuery {
    /// `ndjson`: a line for each row.
    #[serde(default)]
    stream: Option<StreamKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum StreamKind {
    Ndjson,
}

/// Fails where a caller may not ask a controller, or has done so often enough today.
pub(super) async fn begin_run(state: &AppState, caller: &Caller) -> Result<(), ApiError> {
    quotas::require(state, caller, Switch::CanExecuteQueries).await?;
    quotas::take_daily(state, caller, Quota::QueryExecutionDaily).await
}

/// A run that was checked and has begun.
struct Begun {
    execution: Execution,
    source: Box<dyn Source>,
    limit: Option<u64>,
    query: queries::SavedQuery,
    path: String,
    strategy: &'static str,
    target: Option<String>,
}

async fn begin(state: &AppState, caller: &Caller, id: i64, request: ExecuteRequest) -> Result<Begun, ApiError> {
    let query = queries::find(state, caller, id).await?;
    let Some(connection) = request.apic_connection.or(query.connection_id) else {
        return Err(ApiError::field("apic_connection", "The query has no connection; give one."));
    };
    let connection = known_connection(state, caller, connection).await?;
    let variables: Variables = request.variables.unwrap_or_default().into_iter().collect();
    let compiled = Compiled::new(&query.question, &CompileOptions::default().with_variables(variables))?;
    begin_run(state, caller).await?;
    let most = quotas::limits_of(state.db(), caller.id(), caller.is_superuser()).await?.number(Quota::QueryResults);
    let most = u64::try_from(most).ok().filter(|most| *most > 0);
    let limit = request.limit.map(u64::from).into_iter().chain(most).min();
    let (path, strategy, target) = (compiled.plan.path(), compiled.plan.strategy.name(), compiled.plan.target.clone());
    let execution = Execution::begin(state, caller, &query, &connection, (&path, strategy)).await?;
    match compiled.start(state, &connection) {
        Ok(source) => Ok(Begun { execution, source, limit, query, path, strategy, target }),
        Err(error) => {
            execution.finish(Err(&error)).await?;
            Err(error)
        }
    }
}

/// Rows as JSON, divided by commas.
#[derive(Debug, Default)]
pub(super) struct JsonRows {
    bytes: Vec<u8>,
}

impl Sink for JsonRows {
    fn row(&mut self, row: RowRef<'_>) -> Result<(), ApiError> {
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        row.write_json(&mut self.bytes);
        if self.bytes.len() > MOST_BYTES {
            let sentence = "The rows are longer than 64 MiB. Ask for fewer, or for a stream with ?stream=ndjson.";
            return Err(ApiError::BadRequest(sentence.into()));
        }
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), ApiError> {
        self.bytes.clear();
        Ok(())
    }
}

impl JsonRows {
    /// Returns the rows as values.
    pub(super) fn values(&self) -> Vec<Value> {
        let text = [b"[".as_slice(), &self.bytes, b"]"].concat();
        serde_json::from_slice(&text).expect("rows are written as JSON")
    }
}

/// Rows as they are sent, a line each.
struct Lines {
    pieces: Pieces,
    has_sent: bool,
}

impl Sink for Lines {
    fn row(&mut self, row: RowRef<'_>) -> Result<(), ApiError> {
        self.has_sent = true;
        let write = |out: &mut Vec<u8>| {
            row.write_json(out);
            out.push(b'\n');
        };
        Ok(self.pieces.append(write)?)
    }

    fn start_over(&mut self) -> Result<(), ApiError> {
        match self.has_sent {
            true => Err(ApiError::BadRequest("The rows changed while they were read.".into())),
            false => Ok(()),
        }
    }
}

/// A source whose first rows are there already, so that what fails at once is known before an answer begins.
#[derive(Debug)]
struct Peeked {
    first: Option<Option<RowBatch>>,
    source: Box<dyn Source>,
}

#[async_trait]
impl Source for Peeked {
    async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
        match self.first.take() {
            Some(first) => Ok(first),
            None => self.source.next_batch().await,
        }
    }

    fn has_started_over(&mut self) -> bool {
        self.source.has_started_over()
    }

    fn verdict(&self) -> Verdict {
        self.source.verdict()
    }

    fn coverage(&self) -> Coverage {
        self.source.coverage()
    }

    fn progress(&self) -> SourceProgress {
        self.source.progress()
    }
}

/// The rows of a run.
enum Executed {
    Whole(RawBody),
    Stream { body: RawBody, id: Uuid, limit: Option<u64> },
}

impl IntoResponse for Executed {
    fn into_response(self) -> Response {
        match self {
            Self::Whole(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Self::Stream { body, id, limit } => {
                let headers = [
                    (header::CONTENT_TYPE.as_str(), "application/x-ndjson".to_owned()),
                    ("x-execution-id", id.to_string()),
                ];
                let limit = limit.map(|limit| [("x-row-limit", limit.to_string())]);
                match limit {
                    Some(limit) => (headers, limit, body).into_response(),
                    None => (headers, body).into_response(),
                }
            }
        }
    }
}

impl Describe for Executed {
    fn describe(operation: &mut Operation<'_>) {
        let text = json!({ "type": "string" });
        let whole = json!({
            "type": "object",
            "required": [
                "execution_id", "query", "strategy", "row_count", "truncated", "verdict", "execution_time_ms", "rows",
            ],
            "properties": {
                "execution_id": { "type": "string", "format": "uuid", "description": "the id in the log of runs" },
                "query": { "type": "string", "description": "what the controller was asked" },
                "strategy": { "type": "string", "enum": ["mo", "mo_partial", "class", "node_class"] },
                "row_count": { "type": "integer", "format": "int64", "description": "how many rows came" },
                "truncated": { "type": "boolean", "description": "whether there are more" },
                "verdict": {
                    "type": "object", "additionalProperties": true, "nullable": true,
                    "description": "how complete the rows are; null where not all were read",
                },
                "execution_time_ms": { "type": "integer", "format": "int64" },
                "rows": { "type": "array", "items": { "type": "object", "additionalProperties": true } },
            },
        });
        let whole = operation.schemas.write(("QueryExecuted".to_owned(), whole));
        let answer = json!({
            "description": reason(200),
            "headers": {
                "X-Execution-Id": { "description": "the id in the log of runs, of a stream", "schema": text },
                "X-Row-Limit": { "description": "how many lines a stream has at most", "schema": text },
            },
            "content": { "application/json": { "schema": whole }, "application/x-ndjson": { "schema": text } },
        });
        operation.response(200, answer);
    }
}

async fn execute(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Query(how): Query<ExecuteQuery>,
    Body(request): Body<ExecuteRequest>,
) -> Result<Executed, ApiError> {
    let begun = begin(&state, &caller, id, request).await?;
    match how.stream {
        None => whole(&state, begun).await,
        Some(StreamKind::Ndjson) => stream(&state, begun).await,
    }
}

async fn whole(state: &AppState, begun: Begun) -> Result<Executed, ApiError> {
    let Begun { execution, mut source, limit, path, strategy, .. } = begun;
    let result = state
        .engine(move |_| async move {
            let mut rows = JsonRows::default();
            let outcome = read(&mut *source, limit, &mut rows).await?;
            Ok((rows, outcome))
        })
        .await;
    let id = execution.id();
    let took = execution.finish(result.as_ref().map(|(_, outcome)| outcome.rows)).await?;
    let (rows, outcome) = result?;
    let head = json!({
        "execution_id": id,
        "query": path,
        "strategy": strategy,
        "row_count": outcome.rows,
        "truncated": outcome.is_truncated,
        "verdict": if outcome.is_truncated { Value::Null } else { json!(outcome.verdict) },
        "execution_time_ms": took,
    })
    .to_string();
    let head = head.strip_suffix('}').expect("an object ends with a brace");
    let body = [head.as_bytes(), b",\"rows\":[", &rows.bytes, b"]}"].concat();
    Ok(Executed::Whole(body.into()))
}

async fn stream(state: &AppState, begun: Begun) -> Result<Executed, ApiError> {
    let Begun { execution, mut source, limit, .. } = begun;
    let id = execution.id();
    let peeked = state
        .engine(move |_| async move {
            let first = source.next_batch().await.map_err(queries::refuse)?;
            Ok(Peeked { first: Some(first), source })
        })
        .await;
    let mut source = match peeked {
        Ok(source) => source,
        Err(error) => {
            execution.finish(Err(&error)).await?;
            return Err(error);
        }
    };
    let body = state.engine_body(move |_, pieces| async move {
        let mut lines = Lines { pieces, has_sent: false };
        let result = read(&mut source, limit, &mut lines).await.and_then(require_whole);
        execution.finish(result.as_ref().map(|outcome| outcome.rows)).await?;
        result.map(|_| lines.pieces)
    });
    Ok(Executed::Stream { body, id, limit })
}

/// Lines cannot say that some are missing, other than by breaking off.
fn require_whole(outcome: Outcome) -> Result<Outcome, ApiError> {
    match &outcome.verdict {
        Verdict::Complete => Ok(outcome),
        other => Err(ApiError::BadRequest(format!("The rows are not whole: {other:?}.").into())),
    }
}
