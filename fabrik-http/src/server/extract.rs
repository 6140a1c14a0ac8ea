//! What handlers take out of a request, checked, and what they answer with.

use axum::body::{Body as RawBody, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::describe::{Describe, Operation, reason};
use super::error::{ApiError, FieldErrors};
use super::state::AppState;
use super::validate::check_object;

/// A JSON body, checked against the schema of its type before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> FromRequest<AppState> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let object = json_object(request, state, &T::schema_name()).await?;
        read(object).map(Self)
    }
}

impl<T: JsonSchema> Describe for Body<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.taken::<T>();
        operation.json_body(&schema);
    }
}

/// Reads a JSON object that fits the schema with this name. No body at all is an empty object.
pub(crate) async fn json_object(
    request: Request,
    state: &AppState,
    schema: &str,
) -> Result<Map<String, Value>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read_bytes(body, &parts.headers, state).await?;
    let mut value = if bytes.is_empty() {
        json!({})
    } else {
        refuse_other_types(&parts.headers)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::BadRequest(format!("JSON parse error - {error}").into()))?
    };
    let components = state.api().components();
    let schema = components.get(schema).expect("the router registered what its handlers take");
    let mut errors = FieldErrors::default();
    check_object(schema, components, &mut value, &mut errors);
    errors.into_result()?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::BadRequest("JSON parse error - expected an object".into())),
    }
}

/// Reads a body within the limits of size and time.
async fn read_bytes(body: RawBody, headers: &HeaderMap, state: &AppState) -> Result<Bytes, ApiError> {
    let limit = state.settings().body_limit_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::BodyTooLarge);
    }
    let reading = axum::body::to_bytes(body, limit);
    let read = tokio::time::timeout(state.settings().body_timeout, reading).await.map_err(|_| ApiError::BodyTimeout)?;
    read.map_err(|error| {
        let is_limit = std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if is_limit {
            ApiError::BodyTooLarge
        } else {
            ApiError::BadRequest("The body of the request broke off.".into())
        }
    })
}

fn refuse_other_types(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let shown = essence.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
    Err(ApiError::UnsupportedMediaType(shown))
}

/// Reads a checked object into its type. The schema was checked, so what is left is rare and belongs to no field.
fn read<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(object))
        .map_err(|error| ApiError::field(super::error::NON_FIELD, error.to_string()))
}

/// The query of an address, checked like a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> FromRequestParts<AppState> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let text = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(text.as_bytes()).into_owned();
        let mut value = Value::Object(pairs.map(|(key, value)| (key, Value::String(value))).collect());
        let components = state.api().components();
        let schema = components.get(&*T::schema_name()).expect("the router registered what its handlers take");
        let mut errors = FieldErrors::default();
        check_object(schema, components, &mut value, &mut errors);
        errors.into_result()?;
        read(value.as_object().cloned().unwrap_or_default()).map(Self)
    }
}

impl<T: JsonSchema + 'static> Describe for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.hide::<T>();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let mut field = field.clone();
            let about = field.as_object_mut().and_then(|field| {
                // Left out is not null: a parameter has no way to be null.
                field.remove("nullable");
                field
                    .remove("default")
                    .filter(|default| !default.is_null())
                    .map(|default| field.insert("default".into(), default));
                field.remove("description")
            });
            let mut parameter =
                json!({ "name": name, "in": "query", "required": required.contains(&json!(name)), "schema": field });
            if let Some(about) = about {
                parameter["description"] = about;
            }
            operation.parameter(parameter);
        }
        operation.error(400);
    }
}

/// The values in the path; one that cannot be is not found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<T>(pub(crate) T);

/// A type of value in the path.
pub(crate) trait PathValue: Sized + Send {
    /// Reads the value, if it can be one.
    fn parse(text: &str) -> Option<Self>;
    /// Returns the schema of its values.
    fn schema() -> Value;
}

impl PathValue for i64 {
    fn parse(text: &str) -> Option<Self> {
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
    }

    fn schema() -> Value {
        json!({ "type": "integer", "format": "int64" })
    }
}

impl PathValue for uuid::Uuid {
    fn parse(text: &str) -> Option<Self> {
        Self::try_parse(text).ok()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "uuid" })
    }
}

impl PathValue for String {
    fn parse(text: &str) -> Option<Self> {
        (!text.contains('\0')).then(|| text.to_owned())
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

/// Returns the value in the path at this place.
pub(crate) async fn path_value<T: PathValue>(parts: &mut Parts, state: &AppState, index: usize) -> Result<T, ApiError> {
    let values = RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::NotFound)?;
    values.iter().nth(index).and_then(|(_, text)| T::parse(text)).ok_or(ApiError::NotFound)
}

/// Describes the value in the path at this place.
pub(crate) fn describe_path_value(operation: &mut Operation<'_>, index: usize, schema: &Value) {
    let name = operation.path_names.get(index).cloned().expect("the path has a place for every value that is taken");
    operation.parameter(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    operation.error(404);
}

impl<T: PathValue> FromRequestParts<AppState> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        path_value(parts, state, 0).await.map(Self)
    }
}

impl<T: PathValue> Describe for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        describe_path_value(operation, 0, &T::schema());
    }
}

impl<T: PathValue, U: PathValue> FromRequestParts<AppState> for Path<(T, U)> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Ok(Self((path_value(parts, state, 0).await?, path_value(parts, state, 1).await?)))
    }
}

impl<T: PathValue, U: PathValue> Describe for Path<(T, U)> {
    fn describe(operation: &mut Operation<'_>) {
        describe_path_value(operation, 0, &T::schema());
        describe_path_value(operation, 1, &U::schema());
    }
}

/// An answer in JSON; its status is in its type, so that the document knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T, const STATUS: u16 = 200>(pub(crate) T);

impl<T: Serialize, const STATUS: u16> IntoResponse for Json<T, STATUS> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(STATUS).expect("statuses are written in the code");
        (status, axum::Json(self.0)).into_response()
    }
}

impl<T: JsonSchema, const STATUS: u16> Describe for Json<T, STATUS> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.given::<T>();
        operation.json_response(STATUS, &schema);
    }
}

/// An answer without a body: 204.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Describe for NoContent {
    fn describe(operation: &mut Operation<'_>) {
        operation.response(204, json!({ "description": reason(204) }));
    }
}
