//! One snapshot with all its rows, streamed.

use std::io::Write;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fabrik_core::arrow::{write_ipc, write_parquet};
use fabrik_core::store::ReadChunks;
use fabrik_core::{CLASS_NAME, RowRef, Snapshot, Value, column_names, rows};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::document::{list, object, row, text, with_optional};
use crate::server::captures::in_order;
use crate::server::describe::{Describe, Operation, reason};
use crate::server::engine::Pieces;
use crate::server::error::ApiError;
use crate::server::etag;
use crate::server::extract::{Path, Query};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, Reference, SnapshotShown, find};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(Route::get("/api/time-machine/snapshots/{id}/", "time_machine_snapshot", Access::Login, show).about(
        "Returns a snapshot with all its rows. It is named by its id, or as `202@latest`, `202@latest~2`, \
             `202@-7d`, `202@2026-01-15T10:30:00Z`, with the connection as `202@4@latest`. The rows come last, or before the \
             columns where those were not noted at the capture. \
             `application/x-ndjson`, `text/csv`, `application/vnd.apache.arrow.stream` and \
             `application/vnd.apache.parquet` give the rows alone.",
    ));
}

/// Reads the name of a snapshot in a path, where what is none is not found.
pub(super) fn reference_in_path(text: &str) -> Result<Reference, ApiError> {
    Reference::parse(text).ok_or(ApiError::NotFound)
}

/// How to write a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SnapshotFormat {
    // One JSON document.
    Json,
    // A JSON object for each row.
    Ndjson,
    // A line for each row.
    Csv,
    // As a controller answers: `totalCount` and `imdata`.
    Raw,
    // An Arrow IPC stream, a column for each attribute.
    Arrow,
    // A Parquet file, a column for each attribute.
    Parquet,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

impl SnapshotFormat {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Raw => JSON,
            Self::Ndjson => NDJSON,
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => ARROW,
            Self::Parquet => PARQUET,
        }
    }
}

/// How to write a snapshot.
#[derive(Deserialize, JsonSchema)]
struct SnapshotQuery {
    /// The form; unless told, what `Accept` asks for, or JSON.
    #[serde(default)]
    format: Option<SnapshotFormat>,
}

/// What a client takes, and what it has already.
struct Wanted {
    format: SnapshotFormat,
    known: Option<HeaderValue>,
}

impl FromRequestParts<AppState> for Wanted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut types = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        let format = types.find_map(|one| match one {
            NDJSON => Some(SnapshotFormat::Ndjson),
            CSV => Some(SnapshotFormat::Csv),
            ARROW => Some(SnapshotFormat::Arrow),
            PARQUET => Some(SnapshotFormat::Parquet),
            JSON | "*/*" => Some(SnapshotFormat::Json),
            _ => None,
        });
        let known = parts.headers.get(header::IF_NONE_MATCH).cloned();
        Ok(Self { format: format.unwrap_or(SnapshotFormat::Json), known })
    }
}

impl Describe for Wanted {}

/// What stands before the rows.
#[derive(Serialize)]
struct Head {
    #[serde(flatten)]
    snapshot: SnapshotShown,
    /// The names of the columns, if they were noted at the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
}

/// A snapshot on its way, or word that the client has it.
struct Sent {
    format: SnapshotFormat,
    tag: String,
    body: Option<Body>,
}

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        // What a shared cache keeps is nobody else's, and what the form is depends on what was asked for.
        let headers = [(header::ETAG, self.tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
        match self.body {
            None => (StatusCode::NOT_MODIFIED, headers).into_response(),
            Some(body) => {
                let mut response = (headers, body).into_response();
                let kind = HeaderValue::from_static(self.format.content_type());
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
                response
            }
        }
    }
}

impl Describe for Sent {
    fn describe(operation: &mut Operation<'_>) {
        let snapshot = operation.schemas.given::<SnapshotShown>();
        let rest = object([
            ("columns", list("the names of all columns", &text("a name"))),
            ("rows", list("all rows, by key", &row())),
        ]);
        let raw = with_optional(
            object([("totalCount", text("how many objects there are")), ("imdata", list("the objects", &row()))]),
            [],
        );
        let document = json!({ "oneOf": [{ "allOf": [snapshot, rest] }, raw] });
        let answer = json!({
            "description": reason(200),
            "headers": { "ETag": { "description": "names this form of this content", "schema": { "type": "string" } } },
            "content": {
                JSON: { "schema": document },
                NDJSON: { "schema": { "type": "string" } },
                CSV: { "schema": { "type": "string" } },
                ARROW: { "schema": { "type": "string", "format": "binary" } },
                PARQUET: { "schema": { "type": "string", "format": "binary" } },
            },
        });
        operation.response(200, answer);
        operation.response(304, json!({ "description": reason(304) }));
    }
}

async fn show(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Path(id): Path<String>,
    Query(asked): Query<SnapshotQuery>,
    wanted: Wanted,
) -> Result<Sent, ApiError> {
    let found = find(&state, &caller, reference_in_path(&id)?, None).await?;
    let format = asked.format.unwrap_or(wanted.format);
    let shown = SnapshotShown::new(&found.snapshot, found.query.as_ref(), found.facts.as_ref());
    let tag = tag(format, &shown)?;
    let has_it = wanted.known.as_ref().and_then(|known| known.to_str().ok());
    if has_it.is_some_and(|known| etag::matches(known, &tag)) {
        return Ok(Sent { format, tag, body: None });
    }
    let snapshot = found.snapshot;
    let columns = found.facts.as_ref().and_then(crate::server::captures::Facts::column_names);
    let body = state.engine_body(async move |store, mut pieces| {
        match format {
            SnapshotFormat::Json => {
                let as_json = |error: serde_json::Error| ApiError::Internal(error.into());
                let is_known = columns.is_some();
                let mut head = serde_json::to_vec(&Head { snapshot: shown, columns }).map_err(as_json)?;
                // What is not known yet becomes the last members of the object.
                head.pop();
                pieces.write_all(&head)?;
                pieces.write_all(b",\"rows\":")?;
                let mut rows = rows(&*store, &snapshot).await?;
                rows.write_array(&mut pieces).await?;
                if !is_known {
                    let columns = serde_json::to_string(&in_order(rows.column_names().clone())).map_err(as_json)?;
                    write!(pieces, ",\"columns\":{columns}")?;
                }
                pieces.write_all(b"}\n")?;
            }
            SnapshotFormat::Ndjson => rows(&*store, &snapshot).await?.write_lines(&mut pieces).await?,
            SnapshotFormat::Csv => {
                let columns = columns_of(&*store, &snapshot, columns).await?;
                write_csv(&*store, &snapshot, &columns, &mut pieces).await?;
            }
            SnapshotFormat::Raw => write_raw(&*store, &snapshot, &mut pieces).await?,
            SnapshotFormat::Arrow => write_ipc(&*store, &snapshot, &mut pieces).await?,
            SnapshotFormat::Parquet => write_parquet(&*store, &snapshot, &mut pieces).await?,
        }
        Ok(pieces)
    });
    Ok(Sent { format, tag, body: Some(body) })
}

/// Returns the strong tag of a form of a snapshot. Rows never change, so where there are only rows it is the hash of the
/// content; what stands before them in JSON may be annotated anew.
fn tag(format: SnapshotFormat, shown: &SnapshotShown) -> Result<String, ApiError> {
    let content = shown.version_hash.trim_start_matches("sha256:");
    Ok(match format {
        SnapshotFormat::Json => {
            let head = serde_json::to_vec(shown).map_err(|error| ApiError::Internal(error.into()))?;
            format!("\"{content}-{}\"", &blake3::hash(&head).to_hex()[..16])
        }
        SnapshotFormat::Ndjson => format!("\"{content}-ndjson\""),
        SnapshotFormat::Csv => format!("\"{content}-csv\""),
        SnapshotFormat::Raw => format!("\"{content}-raw\""),
        SnapshotFormat::Arrow => format!("\"{content}-arrow\""),
        SnapshotFormat::Parquet => format!("\"{content}-parquet\""),
    })
}

/// Returns the names of the columns: those noted at the capture, or else all that the rows have.
async fn columns_of(
    store: &dyn ReadChunks,
    snapshot: &Snapshot,
    noted: Option<Vec<String>>,
) -> Result<Vec<String>, ApiError> {
    if let Some(noted) = noted {
        return Ok(noted);
    }
    Ok(in_order(column_names(store, snapshot).await?))
}

async fn write_csv(
    store: &dyn ReadChunks,
    snapshot: &Snapshot,
    names: &[String],
    out: &mut Pieces,
) -> Result<(), ApiError> {
    let failed = |error: csv::Error| ApiError::Internal(error.into());
    let mut writer = csv::Writer::from_writer(out);
    if !names.is_empty() {
        writer.write_record(names.iter().map(|name| plain(name.clone()))).map_err(failed)?;
    }
    let mut stream = rows(store, snapshot).await?;
    loop {
        let batch = stream.next_batch().await?;
        if batch.is_empty() {
            return Ok(writer.flush()?);
        }
        for row in &batch {
            writer.write_record(names.iter().map(|name| cell(row.as_ref(), name))).map_err(failed)?;
        }
    }
}

fn cell(row: RowRef<'_>, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text.to_owned()),
        Some(value) => value.to_string(),
    }
}

/// Writes a text so that no spreadsheet takes it for a formula.
fn plain(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// Writes the rows as a controller would answer: children stay below their object.
async fn write_raw(store: &dyn ReadChunks, snapshot: &Snapshot, out: &mut Pieces) -> Result<(), ApiError> {
    write!(out, "{{\"totalCount\":\"{}\",\"imdata\":[", snapshot.row_count)?;
    let mut stream = rows(store, snapshot).await?;
    let mut is_first = true;
    loop {
        let batch = stream.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        for row in &batch {
            out.write_all(if std::mem::take(&mut is_first) { b"" } else { b"," })?;
            out.append(|text| write_object(row.as_ref(), text))?;
        }
    }
    Ok(out.write_all(b"]}\n")?)
}

/// Appends `{"fvBD":{"attributes":{…}}}`.
fn write_object(row: RowRef<'_>, out: &mut Vec<u8>) {
    const CHILDREN: &str = "children";
    let member = |name: &str, value: Value<'_>, is_first: bool, out: &mut Vec<u8>| {
        if !is_first {
            out.push(b',');
        }
        Value::String(name).write_json(out);
        out.push(b':');
        value.write_json(out);
    };
    out.push(b'{');
    Value::String(row.class_name().unwrap_or("row")).write_json(out);
    out.extend_from_slice(b":{\"attributes\":{");
    let own = row.attributes().filter(|(name, _)| *name != CLASS_NAME && *name != CHILDREN);
    own.enumerate().for_each(|(i, (name, value))| member(name, value, i == 0, out));
    out.push(b'}');
    if let Some(children) = row.get(CHILDREN) {
        member(CHILDREN, children, false, out);
    }
    out.extend_from_slice(b"}}");
}
