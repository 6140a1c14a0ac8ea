//! Conditional reading: an answer that the client has is not sent again.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Larger answers are sent as they come; their handlers know them by better tags than a hash of all bytes.
const MOST: u64 = 4 * 1024 * 1024;

/// Tags answers to reading by their content, and answers 304 where the client has it.
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_small = response.body().size_hint().exact().is_some_and(|size| size <= MOST);
    if !is_read || response.status() != StatusCode::OK || !is_small {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if !parts.headers.contains_key(header::ETAG) {
        let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        // Weak, because compression makes other bytes of the same content.
        let tag = format!("W/\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
        parts.headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("hex digits are plain"));
        return answer(parts, Body::from(bytes), known.as_ref());
    }
    answer(parts, body, known.as_ref())
}

fn answer(mut parts: axum::http::response::Parts, body: Body, known: Option<&HeaderValue>) -> Response {
    let tag = parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    if !known.and_then(|known| known.to_str().ok()).is_some_and(|known| matches(known, tag)) {
        return Response::from_parts(parts, body);
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// Compares as HTTP wants it for reading: weak or not is all the same.
pub(crate) fn matches(known: &str, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|other| bare(other) == bare(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_weak_or_not() {
        for known in ["W/\"a\"", "\"a\"", "*", "\"x\", W/\"a\""] {
            assert!(matches(known, "W/\"a\""), "{known}");
        }
        for known in ["\"b\"", "", "a", "\"aa\""] {
            assert!(!matches(known, "W/\"a\""), "{known}");
        }
    }
}
