//! The forms of a comparison on the wire.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::document::{list, moment, number, object, or_null, row, switch, text, with_optional};
use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::ApiError;
use crate::server::state::AppState;

/// How a client wants a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As one document.
    Json,
    /// As a line for each change.
    Lines,
    /// As an Arrow stream, a line for each attribute.
    Arrow,
}

const ARROW: &str = "application/vnd.apache.arrow.stream";

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Arrow => ARROW,
        }
    }
}

impl FromRequestParts<AppState> for Form {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut types = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        let form = types.find_map(|one| match one {
            "application/x-ndjson" => Some(Self::Lines),
            ARROW => Some(Self::Arrow),
            "application/json" | "*/*" => Some(Self::Json),
            _ => None,
        });
        Ok(form.unwrap_or(Self::Json))
    }
}

impl Describe for Form {}

/// A comparison on its way.
pub(super) struct Sent(pub(super) Form, pub(super) Body);

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, self.0.content_type()), (header::VARY, "accept")];
        (headers, self.1).into_response()
    }
}

impl Describe for Sent {
    fn describe(operation: &mut Operation<'_>) {
        let content = json!({
            "application/json": { "schema": schema() },
            "application/x-ndjson": { "schema": { "type": "string" } },
            ARROW: { "schema": { "type": "string", "format": "binary" } },
        });
        operation.response(200, json!({ "description": reason(200), "content": content }));
    }
}

fn schema() -> Value {
    let snapshot = || {
        object([
            ("id", text("the snapshot")),
            ("query", text("the name of its series in the store")),
            ("captured_at", moment("when it was captured")),
            ("row_count", number("how many rows it has")),
            ("version_hash", text("the hash of its content")),
            ("saved_query", or_null(number("its saved query"))),
            ("query_name", text("the name of that")),
            ("query_version", or_null(text("the version of that"))),
            ("apic_connection", or_null(number("the connection it was captured on"))),
            ("apic_connection_name", or_null(text("the name of that"))),
        ])
    };
    let by_severity = object(["critical", "high", "medium", "low", "info"].map(|name| (name, number("how many"))));
    let summary = with_optional(
        object([
            ("added", number("rows only in the newer snapshot")),
            ("removed", number("rows only in the older snapshot")),
            ("changed", number("rows in both whose attributes differ")),
            ("unchanged", number("rows that are equal")),
            ("duplicate_keys", number("keys that belong to more than one row of a snapshot")),
            ("hidden", number("changes that were to be passed over")),
            ("unkeyed", number("rows that differ and have no DN, under the key dn")),
            ("unknown", number("rows on one side only that the other may not show")),
        ]),
        [
            ("noise_changes", number("rows that changed by themselves; with noise")),
            ("noise_attributes", number("attributes that changed by themselves; with noise")),
            ("risk_score", number("how risky all changes are together, from 0 to 100; with severity")),
            ("risk_level", text("critical, high, medium, low or info; with severity")),
            ("by_severity", by_severity),
            ("below_min_severity", number("changes that are less severe than was asked for; with severity")),
        ],
    );
    let changed = with_optional(
        object([("key", row()), ("fields", row())]),
        [("severity", text("how much it matters")), ("reason", text("why")), ("rule", text("the rule that says so"))],
    );
    with_optional(
        object([
            ("snapshot_a", snapshot()),
            ("snapshot_b", snapshot()),
            ("key", text("what rows were matched by")),
            ("identical", switch("whether both have the same content")),
            ("coverage", row()),
            ("warnings", list("what to know before trusting this", &text("a sentence"))),
            ("summary", summary),
        ]),
        [
            ("change_count", number("how many changes there are on all pages; with a page")),
            ("page", number("which page this is; with a page")),
            ("page_size", number("how many changes a page has; with a page")),
            ("added", list("rows that came; with severity in `row`", &row())),
            ("removed", list("rows that went; with severity in `row`", &row())),
            ("changed", list("rows whose attributes differ", &changed)),
        ],
    )
}
