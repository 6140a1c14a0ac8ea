//! The one error of the API, and its shapes on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::db::DbError;
use super::observe::request_id;

/// The key for what is wrong with no single field.
pub(crate) const NON_FIELD: &str = "non_field_errors";

/// What is wrong with a request, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Adds a sentence about one field.
    pub(crate) fn add(&mut self, field: impl Into<String>, sentence: impl Into<String>) {
        self.0.entry(field.into()).or_default().push(sentence.into());
    }

    /// Returns the first sentence, for a value inside another.
    pub(crate) fn first_sentence(&self) -> String {
        self.0.iter().next().map_or_else(String::new, |(field, sentences)| format!("{field}: {}", sentences.join(" ")))
    }

    /// Returns whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails if there is anything.
    pub(crate) fn into_result(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self)) }
    }
}

/// Why a request was not answered as asked.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// Fields of the request make no sense.
    Invalid(FieldErrors),
    /// The request makes no sense as a whole.
    BadRequest(Cow<'static, str>),
    /// Nobody is logged in.
    NotLoggedIn,
    /// What was given to log in with is not right.
    LoginRefused(&'static str),
    /// A token was given, and it is not good.
    BadToken(&'static str),
    /// The caller may not; where it is one, the permission that would help.
    Forbidden { required: Option<Cow<'static, str>> },
    /// The caller may not, for a reason of its own.
    Refused(Cow<'static, str>),
    /// There is no such thing, or the caller may not know.
    NotFound,
    /// It stands in the way of what is there.
    Conflict(Cow<'static, str>),
    /// It was there, and is no more.
    Gone(Cow<'static, str>),
    /// There is no such page of a list.
    InvalidPage,
    /// The path is there, the verb is not.
    MethodNotAllowed(String),
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is too large.
    BodyTooLarge,
    /// The body is of another type than JSON.
    UnsupportedMediaType(String),
    /// Too many requests; one will be taken after this time.
    Throttled(Duration),
    /// As much was done today as is allowed; more will be after this time.
    OverQuota { detail: String, wait: Duration },
    /// The account is locked for this time.
    Locked(Duration),
    /// Something that this server depends on is not there.
    Unavailable { status: StatusCode, detail: Cow<'static, str>, error: &'static str },
    /// A result is larger than a snapshot may be.
    SnapshotTooLarge { size_bytes: u64, limit_mb: u64 },
    /// The server failed; the client is told nothing but the id of the request.
    Internal(Box<dyn StdError + Send + Sync>),
}

impl ApiError {
    /// Says that one field makes no sense.
    pub(crate) fn field(field: &str, sentence: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, sentence);
        Self::Invalid(errors)
    }

    /// Says that the caller may not.
    pub(crate) fn forbidden() -> Self {
        Self::Forbidden { required: None }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::BadRequest(_) | Self::SnapshotTooLarge { .. } => StatusCode::BAD_REQUEST,
            Self::NotLoggedIn | Self::LoginRefused(_) | Self::BadToken(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::NotFound | Self::InvalidPage => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone(_) => StatusCode::GONE,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Throttled(_) | Self::OverQuota { .. } | Self::Locked(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { status, .. } => *status,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::Invalid(FieldErrors(errors)) => json!(errors),
            Self::BadRequest(detail) | Self::Refused(detail) | Self::Conflict(detail) | Self::Gone(detail) => {
                json!({ "detail": detail })
            }
            Self::NotLoggedIn => json!({ "detail": "Authentication credentials were not provided." }),
            Self::LoginRefused(detail) => json!({ "detail": detail }),
            Self::BadToken(detail) => json!({ "detail": detail, "code": "token_not_valid" }),
            Self::Forbidden { required } => {
                let mut body = json!({ "detail": "You do not have permission to perform this action." });
                if let Some(codename) = required {
                    body["required_permission"] = json!(codename);
                }
                body
            }
            Self::NotFound => json!({ "detail": "Not found." }),
            Self::InvalidPage => json!({ "detail": "Invalid page." }),
            Self::MethodNotAllowed(method) => json!({ "detail": format!("Method \"{method}\" not allowed.") }),
            Self::BodyTimeout => json!({ "detail": "The body of the request did not arrive in time." }),
            Self::BodyTooLarge => json!({ "detail": "The body of the request is too large." }),
            Self::UnsupportedMediaType(given) => {
                json!({ "detail": format!("Unsupported media type \"{given}\" in request.") })
            }
            Self::Throttled(wait) => {
                let seconds = whole_seconds(*wait);
                let unit = if seconds == 1 { "second" } else { "seconds" };
                json!({ "detail": format!("Request was throttled. Expected available in {seconds} {unit}.") })
            }
            Self::OverQuota { detail, .. } => json!({ "detail": detail }),
            Self::Locked(wait) => {
                let minutes = whole_seconds(*wait).div_ceil(60);
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                json!({ "detail": format!("Too many failed logins. Try again in {minutes} {unit}.") })
            }
            Self::Unavailable { detail, error, .. } => {
                json!({ "detail": detail, "error": error, "request_id": request_id() })
            }
            Self::SnapshotTooLarge { size_bytes, limit_mb } => json!({
                "detail": format!("The result is larger than the {limit_mb} MiB that a snapshot may have."),
                "code": "snapshot_too_large",
                "size_mb": size_bytes.div_ceil(1 << 20),
                "limit_mb": limit_mb,
            }),
            Self::Internal(_) => json!({ "detail": "Internal server error.", "request_id": request_id() }),
        }
    }
}

/// Clients wait what they are told, so a part of a second counts as a whole one.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::Internal(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = %chain(&**error), "request failed");
        }
        let mut response = (self.status(), Json(self.body())).into_response();
        if let Self::Throttled(wait) | Self::OverQuota { wait, .. } | Self::Locked(wait) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait).max(1)));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
        }
        response
    }
}

/// Joins an error and its causes by colons, for the log.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        sentence.push_str(": ");
        sentence.push_str(&cause.to_string());
        next = cause.source();
    }
    sentence
}
