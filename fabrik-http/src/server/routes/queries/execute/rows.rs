//! The rows of runs in the background, fetched afterwards.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures_util::stream;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query as Select};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::StreamKind;
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::ApiError;
use crate::server::extract::{Path, Query};
use crate::server::queries::{KeptRows, RUNS, kept};
use crate::server::state::AppState;

/// How the rows are sent.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RowsQuery {
    /// `ndjson`: a line for each row.
    #[serde(default)]
    stream: Option<StreamKind>,
}

/// Returns where the rows of a run are.
pub(super) fn address(execution_id: Uuid) -> String {
    format!("/api/queries/execution-logs/{execution_id}/rows/")
}

/// The rows of a run, sent piece by piece.
pub(super) struct Rows {
    id: Uuid,
    is_stream: bool,
    body: Body,
}

impl IntoResponse for Rows {
    fn into_response(self) -> Response {
        let kind = if self.is_stream { "application/x-ndjson" } else { "application/json" };
        let headers = [(header::CONTENT_TYPE.as_str(), kind.to_owned()), ("x-execution-id", self.id.to_string())];
        (headers, self.body).into_response()
    }
}

impl Describe for Rows {
    fn describe(operation: &mut Operation<'_>) {
        let text = json!({ "type": "string" });
        let whole = json!({
            "type": "object",
            "required": ["execution_id", "query", "strategy", "row_count", "truncated", "verdict", "execution_time_ms", "rows"],
            "properties": {
                "execution_id": { "type": "string", "format": "uuid", "description": "the id in the log of runs" },
                "query": { "type": "string", "description": "what the controller was asked" },
                "strategy": { "type": "string", "enum": ["mo", "mo_partial", "class", "node_class"] },
                "row_count": { "type": "integer", "format": "int64", "description": "how many rows came" },
                "truncated": { "type": "boolean", "description": "whether there were more than were wanted" },
                "verdict": {
                    "type": "object", "additionalProperties": true, "nullable": true,
                    "description": "how complete the rows are; null where not all were read",
                },
                "execution_time_ms": { "type": "integer", "format": "int64" },
                "rows": { "type": "array", "items": { "type": "object", "additionalProperties": true } },
            },
        });
        let whole = operation.schemas.write(("KeptRows".to_owned(), whole));
        let answer = json!({
            "description": reason(200),
            "headers": { "X-Execution-Id": { "description": "the id in the log of runs", "schema": text } },
            "content": { "application/json": { "schema": whole }, "application/x-ndjson": { "schema": text } },
        });
        operation.response(200, answer);
    }
}

/// What the log knows of a run.
#[derive(sqlx::FromRow)]
struct Run {
    executed_by: Option<i64>,
    query_url: String,
    strategy: String,
    finished_at: Option<DateTime<Utc>>,
    execution_time_ms: i64,
    result_count: i64,
}

pub(super) async fn rows(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(how): Query<RowsQuery>,
) -> Result<Rows, ApiError> {
    let query = Select::select()
        .columns(
            ["executed_by", "query_url", "strategy", "finished_at", "execution_time_ms", "result_count"]
                .map(Alias::new),
        )
        .from(Alias::new(RUNS))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    // What a run found is for whoever ran it: others may lack the rights to the connection.
    let run = state.db().first::<Run>(&query).await?.filter(|run| run.executed_by == Some(caller.id()));
    let run = run.ok_or(ApiError::NotFound)?;
    if run.finished_at.is_none() {
        return Err(ApiError::Conflict("The run is not over yet.".into()));
    }
    let Some(kept) = kept(&state, id).await? else {
        let detail = "The rows of this run are not kept: only those of runs in the background that went well, for a while, \
                      and as far as there is room.";
        return Err(ApiError::Gone(detail.into()));
    };
    let is_stream = how.stream == Some(StreamKind::Ndjson);
    let head = json!({
        "execution_id": id,
        "query": run.query_url,
        "strategy": run.strategy,
        "row_count": run.result_count,
        "truncated": kept.is_truncated,
        "verdict": kept.verdict,
        "execution_time_ms": run.execution_time_ms,
    });
    let body = if is_stream { lines(state, kept) } else { document(state, kept, &head) };
    Ok(Rows { id, is_stream, body })
}

/// Sends the lines as they are.
fn lines(state: AppState, kept: KeptRows) -> Body {
    Body::from_stream(stream::try_unfold(0, move |place| {
        let (state, kept) = (state.clone(), kept.clone());
        async move {
            if place == kept.pieces {
                // Lines cannot say that some are missing, other than by breaking off.
                return if kept.is_whole() { Ok(None) } else { Err(io::Error::other("the rows are not whole")) };
            }
            Ok(Some((Bytes::from(piece(&state, &kept, place).await?), place + 1)))
        }
    }))
}

/// Sends the rows as a list, the last member of an object.
fn document(state: AppState, kept: KeptRows, head: &Value) -> Body {
    let head = head.to_string();
    let head = format!("{},\"rows\":[", head.strip_suffix('}').expect("an object ends with a brace"));
    let mut head = Some(head.into_bytes());
    Body::from_stream(stream::try_unfold(-1, move |place| {
        let (state, kept, head) = (state.clone(), kept.clone(), head.take());
        async move {
            let bytes = match head {
                Some(head) => head,
                None if place == kept.pieces => b"]}".to_vec(),
                None if place > kept.pieces => return Ok::<_, io::Error>(None),
                None => {
                    // A row has no line breaks of its own: within texts JSON escapes them.
                    let mut lines = piece(&state, &kept, place).await?;
                    lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
                    if place + 1 == kept.pieces {
                        lines.pop();
                    }
                    lines
                }
            };
            Ok(Some((Bytes::from(bytes), place + 1)))
        }
    }))
}

async fn piece(state: &AppState, kept: &KeptRows, place: i64) -> io::Result<Vec<u8>> {
    let lines = kept.lines(state, place).await;
    lines.map_err(|error| io::Error::other(format!("rows that were kept cannot be read: {error:?}")))
}
