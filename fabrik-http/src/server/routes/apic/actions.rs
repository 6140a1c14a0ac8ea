//! What is done with a connection: a test, and a query that is handed through.

use std::io;
use std::time::Duration;

use axum::body::{Body as RawBody, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fabrik_apic::{ApicError, ApicQuery, Change, RawAnswer};
use futures_util::stream::{self, BoxStream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{CONNECTION, answer, viewers};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::connections::{self, Connection};
use crate::server::describe::{Describe, Operation};
use crate::server::error::{ApiError, chain};
use crate::server::extract::{Body, Json, Path};
use crate::server::quotas::{self, Quota, Switch};
use crate::server::registry::{Registry, Route};
use crate::server::state::AppState;

const TESTED: &str = "apic_connection_tested";
const EXECUTED: &str = "apic_query_executed";

/// The longest path that is handed through: what web servers take.
const LONGEST_PATH: usize = 8 * 1024;

pub(super) fn declare(registry: &mut Registry, path: &str) {
    for (rest, id) in [("test_connection/", "apic_connection_test_connection"), ("test/", "apic_connection_test")] {
        registry.add(
            Route::post(&format!("{path}{{id}}/{rest}"), id, viewers(), test)
                .about("Logs in with a connection and out again, and keeps what came of it.")
                .errors(&[503]),
        );
    }
    registry.add(
        Route::post(&format!("{path}execute_query/"), "apic_connection_execute_query", viewers(), execute)
            .about("Hands a query through to a controller. Only what reads is handed through.")
            .errors(&[404, 502, 503, 504]),
    );
}

/// What came of a test.
#[derive(Serialize, JsonSchema)]
struct TestResult {
    /// `success` or `failed`.
    status: &'static str,
    success: bool,
    /// A sentence for people.
    message: String,
}

async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<TestResult>, ApiError> {
    let actor = Actor::of(&caller);
    let tell = |name: &str| {
        Entry::new(Category::ApicManagement, TESTED, "APIC connection tested").on(CONNECTION.name, id, name)
    };
    let found = connections::find(&state, &caller, id).await;
    if let Err(ApiError::NotFound) = &found {
        tell("").failed("there is no such connection, or the user may not see it").record(&state, &actor).await?;
    }
    let connection = found?;
    let tested = match connections::test(&state, &connection).await {
        Ok(tested) => tested,
        Err(error) => {
            tell(&connection.name).failed(told(&error)).record(&state, &actor).await?;
            return Err(error);
        }
    };
    let mut entry = tell(&connection.name).with(json!({ "message": tested.message }));
    if !tested.is_good {
        entry = entry.failed(tested.message.clone());
    }
    let mut transaction = state.db().begin().await?;
    connections::remember_test(&mut transaction, &state, id, &tested).await?;
    entry.append(&mut transaction, &state, &actor).await?;
    transaction.commit().await?;
    let status = if tested.is_good { "success" } else { "failed" };
    Ok(Json(TestResult { status, success: tested.is_good, message: tested.message }))
}

/// A query to hand through.
#[derive(Deserialize, JsonSchema)]
struct ExecuteQueryRequest {
    /// The connection to use.
    connection_id: i64,
    /// The path with its options: `/api/class/fvBD.json`, or of the forms `/api/node/class/…`, `/api/mo/…` and
    /// `/api/node/mo/…`.
    #[schemars(length(min = 1, max = 8192))]
    query_path: String,
    /// GET; where the setting `apic.allow_writes` is on, who may edit the connection may also POST and DELETE.
    #[serde(default)]
    method: Method,
    /// What to post.
    #[serde(default)]
    data: Option<Value>,
}

/// What is to be done with the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Get,
    Post,
    Put,
    Delete,
}

/// The connection that was used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct UsedConnection {
    id: i64,
    name: String,
    url: String,
}

/// What a controller answered.
enum Executed {
    /// Its answer, in its own bytes; a long one while it arrives.
    Answered { connection: UsedConnection, data: RawAnswer },
    /// That it will not.
    Refused { connection: UsedConnection, error: String },
}

impl IntoResponse for Executed {
    fn into_response(self) -> Response {
        match self {
            Self::Refused { connection, error } => {
                let body = json!({ "success": false, "error": error, "connection": connection });
                (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
            }
            Self::Answered { connection, data } => {
                let connection = json!(connection).to_string();
                let parts = [&br#"{"success":true,"connection":"#[..], connection.as_bytes(), br#","data":"#].concat();
                let head = stream::iter([Ok(Bytes::from(parts))]);
                let end = stream::iter([Ok(Bytes::from_static(b"}"))]);
                let body = RawBody::from_stream(head.chain(pieces(data)).chain(end));
                ([(header::CONTENT_TYPE, "application/json")], body).into_response()
            }
        }
    }
}

/// Returns an answer as it is sent. One that goes wrong on the way breaks off, so that the client sees that it is not whole.
fn pieces(data: RawAnswer) -> BoxStream<'static, io::Result<Bytes>> {
    match data {
        RawAnswer::Whole(body) => stream::iter([Ok(Bytes::from(body))]).boxed(),
        RawAnswer::Arriving(arriving) => stream::try_unfold(arriving, |mut arriving| async move {
            match arriving.next_piece().await {
                Ok(piece) => Ok(piece.map(|piece| (Bytes::from(piece), arriving))),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "an answer that was handed through broke off");
                    Err(io::Error::other("the answer broke off"))
                }
            }
        })
        .boxed(),
    }
}

impl Describe for Executed {
    fn describe(operation: &mut Operation<'_>) {
        let connection = operation.schemas.given::<UsedConnection>();
        let schema = json!({
            "type": "object",
            "required": ["success", "data", "connection"],
            "properties": {
                "success": { "type": "boolean" },
                "data": {
                    "type": "object",
                    "description": "what the controller answered; where the options name several classes, the objects of the last one",
                    "required": ["imdata"],
                    "properties": {
                        "totalCount": { "type": "string" },
                        "imdata": { "type": "array", "items": { "type": "object", "additionalProperties": true } },
                    },
                },
                "connection": connection,
            },
        });
        let schema = operation.schemas.write(("ExecutedQuery".to_owned(), schema));
        operation.json_response(200, &schema);
        let refused = json!({
            "type": "object",
            "required": ["success", "error", "connection"],
            "properties": {
                "success": { "type": "boolean" },
                "error": { "type": "string", "description": "what the controller said" },
                "connection": connection,
            },
        });
        let refused = operation.schemas.write(("RefusedQuery".to_owned(), refused));
        let invalid = json!({ "$ref": "#/components/schemas/FieldErrors" });
        operation.json_response(400, &json!({ "anyOf": [refused, invalid] }));
    }
}

async fn execute(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<ExecuteQueryRequest>,
) -> Result<Executed, ApiError> {
    let id = request.connection_id;
    let result = run(&state, &caller, &request).await;
    let (name, failure) = match &result {
        Ok(Executed::Answered { connection, .. }) => (connection.name.as_str(), None),
        Ok(Executed::Refused { connection, error }) => (connection.name.as_str(), Some(error.clone())),
        Err(error) => ("", Some(told(error))),
    };
    let mut entry = Entry::new(Category::QueryExecution, EXECUTED, "APIC query executed")
        .on(CONNECTION.name, id, name)
        .with(json!({ "query_path": request.query_path, "method": format!("{:?}", request.method).to_uppercase() }));
    if let Some(failure) = failure {
        entry = entry.failed(failure);
    }
    entry.record(&state, &Actor::of(&caller)).await?;
    result
}

async fn run(state: &AppState, caller: &Caller, request: &ExecuteQueryRequest) -> Result<Executed, ApiError> {
    let change = change(state, request)?;
    let query = readable(&request.query_path).map_err(|sentence| ApiError::field("query_path", sentence))?;
    let connection = connections::find(state, caller, request.connection_id).await?;
    if change.is_some() && !connections::may_edit(caller, connection.owner_id) {
        return Err(ApiError::forbidden());
    }
    quotas::require(state, caller, Switch::CanExecuteQueries).await?;
    let client = connection.client(state)?;
    quotas::take_daily(state, caller, Quota::QueryExecutionDaily).await?;
    let used = UsedConnection { id: connection.id, name: connection.name.clone(), url: connection.host.clone() };
    let within = Duration::from_secs(u64::try_from(connection.timeout).unwrap_or(1));
    // Also when it asks more than once, because the controller is busy.
    let limit = state.settings().apic_answer_bytes;
    let target = answer::target(&query).map(str::to_owned);
    let asked = async {
        match (&change, &target) {
            (None, None) => client.open(&query, limit).await,
            // What is taken apart is held.
            (None, Some(_)) => client.answer(&query, limit).await.map(RawAnswer::Whole),
            (Some(change), _) => client.change(&query, change, limit).await.map(RawAnswer::Whole),
        }
    };
    let asked = timeout(within, asked).await;
    let asked =
        asked.unwrap_or_else(|_| Err(ApicError::TimedOut { path: query.to_string(), seconds: within.as_secs() }));
    let body = match asked {
        Ok(body) => body,
        Err(error @ (ApicError::Controller { .. } | ApicError::LoginRefused { .. })) => {
            return Ok(Executed::Refused { connection: used, error: chain(&error) });
        }
        Err(error @ ApicError::InvalidOption { .. }) => {
            return Err(ApiError::field("query_path", format!("{error}.")));
        }
        Err(error) => return Err(unavailable(&connection, &error)),
    };
    let data = match (target, body) {
        (Some(class), RawAnswer::Whole(body)) => {
            let flat = tokio::task::spawn_blocking(move || answer::flatten(&body, &class)).await;
            let flat = flat.map_err(|error| ApiError::Internal(error.into()))?;
            RawAnswer::Whole(flat.map_err(|error| ApiError::Internal(error.into()))?)
        }
        (_, body) => body,
    };
    Ok(Executed::Answered { connection: used, data })
}

/// Returns what is to be changed, if anything is and may be.
fn change(state: &AppState, request: &ExecuteQueryRequest) -> Result<Option<Change>, ApiError> {
    let change = match (request.method, &request.data) {
        (Method::Get, _) => return Ok(None),
        _ if !state.settings().apic_allow_writes => {
            let sentence = "Only GET is handed through: what could change a controller is not.";
            return Err(ApiError::field("method", sentence));
        }
        (Method::Put, _) => return Err(ApiError::field("method", "A controller takes POST for this.")),
        (Method::Post, None) => return Err(ApiError::field("data", "This field is required.")),
        (Method::Post, Some(data)) => Change::Post(data.to_string()),
        (Method::Delete, _) => Change::Delete,
    };
    Ok(Some(change))
}

/// Reads a path that may be handed through. What is sent is written anew of what was read, so nothing else gets through.
fn readable(path: &str) -> Result<ApicQuery, String> {
    const FORMS: &str = "Expected /api/class/CLASS.json, /api/node/class/NODE/CLASS.json, /api/mo/DN.json or \
                         /api/node/mo/DN.json, with options after a `?`.";
    if path.len() > LONGEST_PATH {
        return Err(format!("Ensure this field has no more than {LONGEST_PATH} bytes."));
    }
    // Raw, these would be dropped or mean something else on the way.
    if path.contains(|letter: char| letter.is_control() || "\\#".contains(letter)) {
        return Err("Control characters, backslashes and fragments are not allowed.".to_owned());
    }
    let (before, _) = path.split_once('?').unwrap_or((path, ""));
    let encoded = before.to_ascii_lowercase();
    if ["%2f", "%5c", "%2e", "%25", "%3f", "%23"].iter().any(|escape| encoded.contains(escape)) {
        return Err("Slashes, dots and signs that divide an address must not be encoded in the path.".to_owned());
    }
    if !["/api/class/", "/api/node/class/", "/api/mo/", "/api/node/mo/"].iter().any(|form| before.starts_with(form)) {
        return Err(FORMS.to_owned());
    }
    path.parse().map_err(|error: ApicError| format!("{error}."))
}

/// Says in the API's words that a controller could not be asked.
fn unavailable(connection: &Connection, error: &ApicError) -> ApiError {
    let (status, code) = match error {
        ApicError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "apic_timeout"),
        ApicError::TooLong { .. } => (StatusCode::BAD_GATEWAY, "apic_answer_too_long"),
        ApicError::Untrusted { .. } => (StatusCode::BAD_GATEWAY, "apic_untrusted"),
        _ => (StatusCode::BAD_GATEWAY, "apic_unavailable"),
    };
    let detail = match error {
        ApicError::TooLong { limit_bytes, .. } => {
            format!(
                "{}: the answer is longer than {limit_bytes} bytes, which is the limit; ask for less.",
                connection.name
            )
        }
        error => format!("{}: {}", connection.name, chain(error)),
    };
    ApiError::Unavailable { status, detail: detail.into(), error: code }
}

/// Says for the audit log why something was not done.
fn told(error: &ApiError) -> String {
    match error {
        ApiError::NotFound => "there is no such connection, or the user may not see it".to_owned(),
        ApiError::Invalid(errors) => errors.first_sentence(),
        ApiError::BadRequest(detail) | ApiError::Refused(detail) | ApiError::Unavailable { detail, .. } => {
            detail.to_string()
        }
        ApiError::OverQuota { detail, .. } => detail.clone(),
        _ => "the server failed".to_owned(),
    }
}
