//! Headers that every answer carries.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::peer::OverTls;
use super::state::AppState;

/// Adds what keeps browsers from doing more than they should, and caches from keeping what is not theirs.
pub(crate) async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_tls = request.extensions().get::<OverTls>().is_some();
    let mut response = next.run(request).await;
    let is_tls = is_tls || state.settings().site_url.as_deref().is_some_and(|url| url.starts_with("https:"));
    let headers = response.headers_mut();
    let mut set = |name, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    set(header::HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::SERVER, "fabrik");
    // Answers depend on who asks, so only their own browser may keep them, and must ask whether they changed.
    set(header::CACHE_CONTROL, if is_read { "private, no-cache" } else { "no-store" });
    if is_tls {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    headers.append(header::VARY, HeaderValue::from_static("authorization"));
    response
}
