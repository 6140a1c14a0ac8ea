//! Answers that the core writes: handed on as they are, and documented here.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::server::describe::{Describe, Operation};

/// An answer in the words of the core.
pub(super) struct Document<T>(pub(super) T);

/// A type of the core whose JSON form is documented.
pub(super) trait Documented: Serialize {
    /// Returns the schema of its JSON form.
    fn schema() -> Value;
}

impl<T: Serialize> IntoResponse for Document<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: Documented> Describe for Document<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.json_response(200, &T::schema());
    }
}

/// Returns the schema of an object all of whose members are always there.
#[expect(clippy::needless_pass_by_value, reason = "written where it is called")]
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] =
        Value::Object(members.iter().map(|(name, member)| ((*name).to_owned(), member.clone())).collect());
    schema
}

/// Adds members to the schema of an object that may be left out.
pub(super) fn with_optional<const N: usize>(mut schema: Value, members: [(&str, Value); N]) -> Value {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(members.into_iter().map(|(name, member)| (name.to_owned(), member)));
    }
    schema
}

pub(super) fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

pub(super) fn moment(about: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": about })
}

pub(super) fn number(about: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "description": about })
}

pub(super) fn switch(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

pub(super) fn list(about: &str, items: &Value) -> Value {
    json!({ "type": "array", "items": items, "description": about })
}

/// Returns the schema of a row: an object with whatever attributes.
pub(super) fn row() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

/// Makes a schema of what may also be null.
pub(super) fn or_null(mut schema: Value) -> Value {
    schema["nullable"] = true.into();
    schema
}

/// Returns the members of a value that is an object.
pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
