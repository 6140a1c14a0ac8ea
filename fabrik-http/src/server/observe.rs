//! What every request leaves behind: its id, a line in the log, and figures.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::state::AppState;
use super::telemetry;

/// The header that carries the id, on the way in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// Returns the id of the request that this task answers; empty outside of one.
pub(crate) fn request_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Which route answered whom, for the log; the check before every handler adds it to the response.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) route: Arc<str>,
    pub(crate) user: Option<i64>,
}

/// Gives the request its id and tells how it went.
pub(crate) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request.headers().get(&REQUEST_ID).and_then(taken_over).unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = request.method().clone();
    // The path alone: a query may hold a ticket.
    let path = request.uri().path().to_owned();
    let span = telemetry::request_span(&id, request.headers());
    let mut response = CURRENT.scope(id.clone(), next.run(request).instrument(span.clone())).await;
    let header = HeaderValue::from_str(&id).expect("ids are plain, whether ours or taken over");
    response.headers_mut().insert(REQUEST_ID, header);
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let answered = response.extensions().get::<Answered>();
    let user = answered.and_then(|answered| answered.user);
    let route = answered.map_or("unmatched", |answered| &answered.route);
    state.metrics().count_request(&method, route, status, elapsed);
    span.in_scope(|| tracing::info!(%method, path, status, user, ms = elapsed.as_secs_f64() * 1000.0, "answered"));
    telemetry::finish_span(&span, &method, route, status, user);
    response
}

/// Takes over an id of the caller when it is short and cannot harm a log or a header.
fn taken_over(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (is_plain && (1..=64).contains(&text.len())).then(|| text.to_owned())
}
