//! Logging in and out, and trading tokens.

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::server::caller::{Caller, Credential};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, NoContent};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::sessions::{self, TokenPair};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::tokens::TokenKind;
use crate::server::users::User;
use crate::server::{caller, lockout, permissions, users};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/login/", "auth_login", Access::Public, login)
            .about("Trades a name and a password for tokens.")
            .throttle(Scope::Login)
            .errors(&[401]),
    );
    registry.add(
        Route::post("/api/auth/logout/", "auth_logout", Access::Login, logout)
            .about("Ends the session of the token that is shown."),
    );
    registry.add(
        Route::post("/api/auth/token/refresh/", "auth_token_refresh", Access::Public, refresh)
            .about("Trades a refresh token for new tokens; it is good once, and showing it again ends the session.")
            .throttle(Scope::TokenRefresh)
            .errors(&[401]),
    );
    registry.add(
        Route::post("/api/auth/token/verify/", "auth_token_verify", Access::Public, verify)
            .about("Tells whether a token is good.")
            .throttle(Scope::TokenRefresh)
            .errors(&[401]),
    );
}

/// What somebody logs in with.
#[derive(Deserialize, JsonSchema)]
struct LoginRequest {
    #[schemars(length(min = 1, max = 254))]
    username: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
}

/// Tokens, and who they are for.
#[derive(Serialize, JsonSchema)]
pub(super) struct LoginResponse {
    access: String,
    refresh: String,
    user: LoginUser,
}

/// The user who logged in.
#[derive(Serialize, JsonSchema)]
struct LoginUser {
    id: i64,
    username: String,
    is_admin: bool,
    mfa_enabled: bool,
}

async fn login(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<LoginRequest>,
) -> Result<Json<LoginResponse>, ApiError> {
    let user = check_password(&state, &body.username, &body.password).await?;
    begin(&state, &user, &peer).await.map(Json)
}

/// Returns the user with this name and password, or counts the failure.
async fn check_password(state: &AppState, username: &str, password: &str) -> Result<User, ApiError> {
    lockout::check(state, username).await?;
    let found = users::by_name(state.db(), username).await?;
    let is_right = state.passwords().verify(password, found.as_ref().map(|user| &*user.password)).await?;
    let now = state.clock().now();
    let is_current = |user: &User| user.is_active && user.expires_at.is_none_or(|end| end > now);
    match found.filter(|user| is_right && is_current(user)) {
        Some(user) => {
            lockout::clear(state, username).await?;
            Ok(user)
        }
        None => {
            lockout::count_failure(state, username).await?;
            Err(ApiError::LoginRefused("No active account found with the given credentials"))
        }
    }
}

/// Begins a session for a user who proved who they are.
pub(super) async fn begin(state: &AppState, user: &User, peer: &Peer) -> Result<LoginResponse, ApiError> {
    let TokenPair { access, refresh } = sessions::begin(state, user.id, peer).await?;
    users::set(state.db(), user.id, vec![("last_login", state.clock().now().into())]).await?;
    let is_admin = user.is_superuser || permissions::is_in_admin(state.db(), user.id).await?;
    let user = LoginUser { id: user.id, username: user.username.clone(), is_admin, mfa_enabled: false };
    Ok(LoginResponse { access, refresh, user })
}

async fn logout(State(state): State<AppState>, caller: Caller) -> Result<NoContent, ApiError> {
    let Credential::Session(id) = caller.credential();
    sessions::end(&state, id, "logout").await?;
    Ok(NoContent)
}

/// A refresh token.
#[derive(Deserialize, JsonSchema)]
struct RefreshRequest {
    #[schemars(length(min = 1, max = 4096))]
    refresh: String,
}

/// New tokens for an old one.
#[derive(Serialize, JsonSchema)]
struct RefreshResponse {
    access: String,
    refresh: String,
}

async fn refresh(
    State(state): State<AppState>,
    Body(body): Body<RefreshRequest>,
) -> Result<Json<RefreshResponse>, ApiError> {
    let TokenPair { access, refresh } = sessions::refresh(&state, &body.refresh).await?;
    Ok(Json(RefreshResponse { access, refresh }))
}

/// A token of either kind.
#[derive(Deserialize, JsonSchema)]
struct VerifyRequest {
    #[schemars(length(min = 1, max = 4096))]
    token: String,
}

async fn verify(
    State(state): State<AppState>,
    Body(body): Body<VerifyRequest>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let now = state.clock().now();
    let read = |kind| state.token_key().read(&body.token, kind, now);
    let is_good = match read(TokenKind::Access).or_else(|| read(TokenKind::Refresh)) {
        Some(claims) => caller::load(&state, claims.user_id, Credential::Session(claims.sid)).await?.is_some(),
        None => false,
    };
    if is_good { Ok(Json(Map::new())) } else { Err(ApiError::BadToken("Token is invalid or expired")) }
}
