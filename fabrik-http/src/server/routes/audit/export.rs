//! The log as CSV, for spreadsheets and archives.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sea_query::{ExprTrait, Func, Query, SelectStatement};
use serde_json::{Value, json};

use super::{LOG, Logs, column};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::ApiError;
use crate::server::listing::{Listing, Selection};
use crate::server::model::Record;
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Resource, read};
use crate::server::state::AppState;

/// How many rows an export has at most.
const MOST: u64 = 10_000;
/// How many rows are read at once.
const BATCH: u64 = 500;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(Route::get("/api/audit/logs/export/", "audit_log_export", Access::Admin, export).about(
        "Returns the first 10000 rows that match as CSV; `X-Total-Count` tells how many there are. Cells that a \
         spreadsheet would take for a formula begin with an apostrophe.",
    ));
}

/// Rows as CSV, sent as they are read.
struct Csv {
    name: String,
    total: i64,
    body: Body,
}

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION.as_str(), format!("attachment; filename=\"{}\"", self.name)),
            ("x-total-count", self.total.to_string()),
        ];
        (headers, self.body).into_response()
    }
}

impl Describe for Csv {
    fn describe(operation: &mut Operation<'_>) {
        let total = json!({ "description": "how many rows match", "schema": { "type": "integer", "format": "int64" } });
        let answer = json!({
            "description": reason(200),
            "headers": { "X-Total-Count": total },
            "content": { "text/csv": { "schema": { "type": "string" } } },
        });
        operation.response(200, answer);
    }
}

async fn export(State(state): State<AppState>, caller: Caller, selection: Selection<Logs>) -> Result<Csv, ApiError> {
    let mut query = LOG.select();
    Logs::visible(&caller, &mut query);
    selection.narrow(&mut query);
    // What is appended meanwhile would move the rows between the batches.
    let last = Query::select().expr(Func::max(column("sequence"))).from(super::TABLE).take();
    let last = state.db().first::<(Option<i64>,)>(&last).await?.and_then(|(last,)| last).unwrap_or(0);
    query.and_where(column("sequence").lte(last));
    let total = state.db().number(&Listing::<Logs>::counting(&query)).await?;
    selection.order(&mut query);
    let name = format!("audit-{}.csv", state.clock().now().format("%Y-%m-%d"));
    let batches = stream::try_unfold(0, move |offset| {
        let (state, query) = (state.clone(), query.clone());
        async move { batch(&state, query, offset).await.map_err(|error| std::io::Error::other(format!("{error:?}"))) }
    });
    Ok(Csv { name, total, body: Body::from_stream(batches) })
}

/// Writes the rows from `offset` on, and returns where the next ones begin.
async fn batch(state: &AppState, mut query: SelectStatement, offset: u64) -> Result<Option<(Bytes, u64)>, ApiError> {
    if offset >= MOST {
        return Ok(None);
    }
    let records = read::<Logs>(state, query.limit(BATCH).offset(offset)).await?;
    if records.is_empty() && offset > 0 {
        return Ok(None);
    }
    let lines = write(&records, offset == 0).map_err(|error| ApiError::Internal(error.into()))?;
    // The head alone is a batch, too: the next one is empty and ends it.
    Ok(Some((lines.into(), offset + BATCH)))
}

fn write(records: &[Record], with_head: bool) -> Result<Vec<u8>, csv::Error> {
    let names: Vec<_> = LOG.fields.iter().filter(|field| field.is_readable).map(|field| field.name).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_head {
        writer.write_record(&names)?;
    }
    for record in records {
        writer.write_record(names.iter().map(|name| cell(&record[*name])))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Writes a value so that no spreadsheet takes it for a formula.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => return other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(cell(&json!(formula)), format!("'{formula}"));
        }
        for (plain, text) in [(json!("a=b"), "a=b"), (json!(-1), "-1"), (Value::Null, ""), (json!({}), "{}")] {
            assert_eq!(cell(&plain), text);
        }
    }
}
