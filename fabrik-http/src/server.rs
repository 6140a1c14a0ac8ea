//! The server: API, users and what keeps them.
//!
//! Routes are declared in `routes/`, each with its rights and limits; `registry` makes the router and the OpenAPI
//! document of them. [`AppState`] is what handlers work with. [`router`] needs no socket; [`serve`] brings one.

mod api_keys;
mod audit;
mod authority;
mod caller;
mod captures;
mod clock;
mod connections;
mod console;
mod db;
mod describe;
mod engine;
mod error;
mod etag;
mod events;
mod extract;
mod first;
mod folding;
mod headers;
mod jobs;
mod ldap;
mod listing;
mod lockout;
mod logging;
mod mail;
mod mail_tokens;
mod memberships;
mod metrics;
mod mfa;
mod model;
mod moment;
mod notifications;
mod observe;
mod oidc;
mod openapi;
mod outside;
mod page;
mod password_reset;
mod passwords;
mod peer;
mod permissions;
mod queries;
mod quotas;
mod registry;
mod reset_codes;
mod resource;
mod routes;
mod run;
mod schedules;
mod seal;
mod secrets;
mod sessions;
pub mod settings;
mod socket;
mod spent_tokens;
mod state;
mod telemetry;
#[cfg(test)]
mod tests;
mod throttle;
mod tickets;
mod time_machine;
mod tokens;
mod users;
mod validate;
mod webhooks;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate};
use tower_http::compression::{CompressionLayer, DefaultPredicate};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use audit::{AuditDamage, AuditDamageKind, AuditHead, AuditHeadError, AuditReport, verify_audit, verify_audit_at};
pub use clock::Clock;
pub use console::{UserSummary, generate_reset_code, list_users};
pub use db::{DatabasePlace, DbError};
pub use first::{AdminError, FirstStart, create_temporary_admin, create_user, first_start, reset_password};
pub use jobs::run_jobs;
pub use logging::{Logging, LoggingError, start_logging};
pub use registry::Access;
pub use run::{ServeError, serve, site_address};
pub use settings::Settings;
pub use state::AppState;
pub use telemetry::TelemetryError;

use error::ApiError;
use peer::Peer;
use throttle::{Bucket, Scope};

/// A route as it was declared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeclaredRoute {
    /// The verb.
    pub method: Method,
    /// The path, with names in braces.
    pub path: String,
    /// Who may call it.
    pub access: Access,
}

/// Returns all routes that a server has, by path and verb.
#[must_use]
pub fn declared_routes() -> Vec<DeclaredRoute> {
    let (api, _) = routes::registry().finish();
    let declared = |meta: &registry::Meta| DeclaredRoute {
        method: meta.method.clone(),
        path: meta.path.to_string(),
        access: meta.access.clone(),
    };
    api.metas().iter().map(declared).collect()
}

/// Returns the whole API.
pub fn router(state: &AppState) -> Router {
    let (_, routes) = routes::registry().finish();
    layered(state.mount(routes), state)
}

/// Puts around routes what holds for every request. The last layer is the first to see a request.
fn layered(routes: Router<AppState>, state: &AppState) -> Router {
    routes
        // Bodies are limited where they are read, by the setting.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(etag::tag))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state(state.clone(), hold_zones))
        .layer(from_fn_with_state(state.clone(), peer::find_peer))
        // A Parquet file is compressed already.
        .layer(
            CompressionLayer::new().gzip(true).zstd(true).compress_when(
                DefaultPredicate::new().and(NotForContentType::const_new("application/vnd.apache.parquet")),
            ),
        )
        .layer(cors(state.settings()))
        .layer(from_fn_with_state(state.clone(), headers::protect))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state.clone())
}

/// Limits what comes from one address, whatever it asks for.
async fn hold_zones(state: axum::extract::State<AppState>, peer: Peer, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    let is_guessing =
        ["/api/auth/ldap-login", "/api/auth/login", "/api/auth/password-reset", "/api/auth/password-reset/confirm"]
            .contains(&path);
    let is_asking = path.starts_with("/api/") || path.starts_with("/ws/");
    // Who types asks often.
    let is_typing = path.starts_with("/api/time-machine/saved-queries/") && path.ends_with("/dns");
    let zones = [(is_asking && !is_typing, Scope::ZoneApi), (is_guessing, Scope::ZoneLogin)];
    let bucket = Bucket::of_address(peer.ip);
    for (_, scope) in zones.into_iter().filter(|(is_in, _)| *is_in) {
        if let Err(error) = state.throttles().take(state.db(), scope, bucket).await {
            return error.into_response();
        }
    }
    next.run(request).await
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn answer_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned());
    ApiError::Internal(text.into()).into_response()
}

/// Lets browsers call from other origins: none unless told.
fn cors(settings: &Settings) -> CorsLayer {
    if settings.cors_origins.is_empty() {
        return CorsLayer::new();
    }
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH, observe::REQUEST_ID])
        .expose_headers([header::ETAG, header::RETRY_AFTER, observe::REQUEST_ID])
}
