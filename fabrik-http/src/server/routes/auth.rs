//! Logging in and out, and trading tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::{self, Caller};
use crate::server::db::{DbError, Transaction};
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, NoContent};
use crate::server::mfa::{self, Spent};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::sessions::{self, TokenPair, Which};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::tokens::{Claims, TokenKind};
use crate::server::users::User;
use crate::server::{lockout, permissions, secrets, spent_tokens, users};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/login/", "auth_login", Access::Public, login)
            .about("Trades a name and a password for tokens.")
            .throttle(Scope::Login)
            .errors(&[401]),
    );
    registry.add(
        Route::post("/api/auth/mfa-login/", "auth_mfa_login", Access::Public, mfa_login)
            .about("Takes the second step of a login.")
            .throttle(Scope::Mfa)
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

/// What to go on with, where a second step is to come.
#[derive(Serialize, JsonSchema)]
pub(super) struct SecondStep {
    /// Always true.
    mfa_required: bool,
    /// What `mfa-login/` takes beside the code, for five minutes.
    mfa_token: String,
    message: String,
}

/// What a login answers: tokens, or that a second step is to come.
pub(super) enum LoginAnswer {
    Tokens(LoginResponse),
    SecondStep(SecondStep),
}

impl IntoResponse for LoginAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Tokens(tokens) => Json::<_, 200>(tokens).into_response(),
            Self::SecondStep(step) => Json::<_, 202>(step).into_response(),
        }
    }
}

impl Describe for LoginAnswer {
    fn describe(operation: &mut Operation<'_>) {
        Json::<LoginResponse, 200>::describe(operation);
        Json::<SecondStep, 202>::describe(operation);
    }
}

async fn login(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<LoginRequest>,
) -> Result<LoginAnswer, ApiError> {
    let user = check_password(&state, &peer, &body.username, &body.password).await?;
    proved(&state, &user, &peer).await
}

/// Returns the user with this name and password, or counts the failure.
pub(super) async fn check_password(
    state: &AppState,
    peer: &Peer,
    username: &str,
    password: &str,
) -> Result<User, ApiError> {
    lockout::check(state, username).await?;
    let found = users::by_name(state.db(), username).await?;
    // Whom a directory knows has no password here, whatever the row says.
    let known = found.filter(|user| user.auth_source == "local");
    let is_right = state.passwords().verify(password, known.as_ref().map(|user| &*user.password)).await?;
    match known.filter(|user| is_right && is_current(state, user)) {
        Some(user) => Ok(user),
        None => {
            failed(state, username, peer, "name or password is not right").await?;
            Err(ApiError::LoginRefused("No active account found with the given credentials"))
        }
    }
}

/// Counts a failed login and tells the audit log why.
pub(super) async fn failed(state: &AppState, username: &str, peer: &Peer, why: &'static str) -> Result<(), ApiError> {
    lockout::count_failure(state, username).await?;
    let entry = Entry::new(Category::LoginLogout, "login_failed", "A login failed").failed(why);
    Ok(entry.record(state, &Actor::named(username, peer)).await?)
}

/// Says whether a user may log in now.
fn is_current(state: &AppState, user: &User) -> bool {
    user.is_active && user.expires_at.is_none_or(|end| end > state.clock().now())
}

/// Goes on after a password or a directory was right: asks for the second step, or begins a session.
pub(super) async fn proved(state: &AppState, user: &User, peer: &Peer) -> Result<LoginAnswer, ApiError> {
    if !mfa::is_enabled_for(state.db(), user.id).await? {
        return begin(state, user, peer).await.map(LoginAnswer::Tokens);
    }
    // The count of failures stays: who has the password alone must not clear it between guesses at the code.
    let claims = Claims::new(TokenKind::Mfa, user.id, standing_for(user), state.clock().now(), SECOND_STEP_LIFE);
    Ok(LoginAnswer::SecondStep(SecondStep {
        mfa_required: true,
        mfa_token: state.token_key().sign(&claims),
        message: "Enter the code of your authenticator.".to_owned(),
    }))
}

const SECOND_STEP_LIFE: TimeDelta = TimeDelta::minutes(5);

/// Returns what stands for the password that was right, so that a change of it voids the second step.
fn standing_for(user: &User) -> Uuid {
    let fingerprint = secrets::fingerprint(&format!("{}:{}", user.id, user.password));
    uuid::Builder::from_custom_bytes(fingerprint[..16].try_into().expect("a fingerprint has 32 bytes")).into_uuid()
}

/// Begins a session for a user who proved who they are.
pub(super) async fn begin(state: &AppState, user: &User, peer: &Peer) -> Result<LoginResponse, ApiError> {
    let mut transaction = state.db().begin().await?;
    let pair = begin_within(&mut transaction, state, user, peer).await?;
    let entry = Entry::new(Category::LoginLogout, "login_success", "Logged in").on("user", user.id, &user.username);
    entry.append(&mut transaction, state, &Actor::user(user.id, &user.username, peer)).await?;
    transaction.commit().await?;
    respond(state, user, pair).await
}

async fn begin_within(
    transaction: &mut Transaction,
    state: &AppState,
    user: &User,
    peer: &Peer,
) -> Result<TokenPair, DbError> {
    let pair = sessions::begin_within(transaction, state, user.id, peer).await?;
    let update = Query::update()
        .table(Alias::new("auth_user"))
        .value(Alias::new("last_login"), state.clock().now())
        .and_where(Expr::col(Alias::new("id")).eq(user.id))
        .take();
    transaction.run(&update).await?;
    lockout::clear_within(transaction, &user.username).await?;
    Ok(pair)
}

async fn respond(state: &AppState, user: &User, pair: TokenPair) -> Result<LoginResponse, ApiError> {
    let is_admin = user.is_superuser || permissions::is_in_admin(state.db(), user.id).await?;
    let mfa_enabled = mfa::is_enabled_for(state.db(), user.id).await?;
    let user = LoginUser { id: user.id, username: user.username.clone(), is_admin, mfa_enabled };
    Ok(LoginResponse { access: pair.access, refresh: pair.refresh, user })
}

/// The second step of a login: `mfa_token` and `code`; or, from clients that keep no token, name and password again
/// with `totp_code` or `backup_code`.
#[derive(Deserialize, JsonSchema)]
struct MfaLoginRequest {
    /// What the first step answered.
    #[schemars(length(min = 1, max = 4096))]
    mfa_token: Option<String>,
    /// A code of the authenticator, or a backup code.
    #[schemars(length(min = 1, max = 20))]
    code: Option<String>,
    #[schemars(length(min = 1, max = 254))]
    username: Option<String>,
    #[schemars(length(min = 1, max = 1024))]
    password: Option<String>,
    #[schemars(length(min = 1, max = 20))]
    totp_code: Option<String>,
    #[schemars(length(min = 1, max = 20))]
    backup_code: Option<String>,
}

async fn mfa_login(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<MfaLoginRequest>,
) -> Result<Json<LoginResponse>, ApiError> {
    let (user, claims, code) = first_step(&state, &peer, body).await?;
    // Counted first, so that many guesses at the same time are not one.
    lockout::begin_try(&state, &user.username).await?;
    let actor = Actor::user(user.id, &user.username, &peer);
    let entry = |about| Entry::new(Category::LoginLogout, "mfa_login", about).on("user", user.id, &user.username);
    let Some(spent) = mfa::spend(&state, user.id, &code).await? else {
        entry("A second step failed").failed("the code is not right").record(&state, &actor).await?;
        return Err(ApiError::LoginRefused("The code is not right, or was used."));
    };
    let mut transaction = state.db().begin().await?;
    if let Some(claims) = claims
        && !spent_tokens::spend(&mut transaction, claims.jti, claims.exp).await?
    {
        return Err(BAD_SECOND_STEP);
    }
    let pair = begin_within(&mut transaction, &state, &user, &peer).await?;
    let means = match spent {
        Spent::Authenticator => "authenticator",
        Spent::BackupCode => "backup_code",
    };
    entry("Logged in with a second step")
        .with(json!({ "means": means }))
        .append(&mut transaction, &state, &actor)
        .await?;
    transaction.commit().await?;
    respond(&state, &user, pair).await.map(Json)
}

const BAD_SECOND_STEP: ApiError = ApiError::BadToken("Token is invalid or expired");

/// Returns who passed the first step, by which token, and the code for the second.
async fn first_step(
    state: &AppState,
    peer: &Peer,
    body: MfaLoginRequest,
) -> Result<(User, Option<Claims>, String), ApiError> {
    let required = |field: &str| ApiError::field(field, "This field is required.");
    if let Some(token) = body.mfa_token {
        let code = body.code.ok_or_else(|| required("code"))?;
        let claims = state.token_key().read(&token, TokenKind::Mfa, state.clock().now()).ok_or(BAD_SECOND_STEP)?;
        let user = users::by_id(state.db(), claims.user_id).await?;
        let user = user.filter(|user| is_current(state, user) && claims.sid == standing_for(user));
        let user = user.ok_or(BAD_SECOND_STEP)?;
        if spent_tokens::is_spent(state.db(), claims.jti).await? {
            return Err(BAD_SECOND_STEP);
        }
        return Ok((user, Some(claims), code));
    }
    let Some(username) = body.username else { return Err(required("mfa_token")) };
    let password = body.password.ok_or_else(|| required("password"))?;
    let code = body.totp_code.or(body.backup_code).or(body.code).ok_or_else(|| required("totp_code"))?;
    let user = check_password(state, peer, &username, &password).await?;
    Ok((user, None, code))
}

async fn logout(State(state): State<AppState>, caller: Caller) -> Result<NoContent, ApiError> {
    let id = caller.session().ok_or_else(ApiError::forbidden)?;
    let mut transaction = state.db().begin().await?;
    sessions::end_within(&mut transaction, &state, caller.id(), Which::Only(id), "logout").await?;
    let entry = Entry::new(Category::LoginLogout, "logout", "Logged out").on("user", caller.id(), caller.username());
    entry.append(&mut transaction, &state, &Actor::of(&caller)).await?;
    transaction.commit().await?;
    state.callers().forget_all();
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
        Some(claims) => caller::load(&state, claims.user_id, claims.sid).await?.is_some(),
        None => false,
    };
    if is_good { Ok(Json(Map::new())) } else { Err(ApiError::BadToken("Token is invalid or expired")) }
}
