//! Accounts that people make for themselves, where the operator allows it.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};

use super::email::queue_verification;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::db::{DbError, Transaction};
use crate::server::describe::Describe;
use crate::server::error::{ApiError, FieldErrors, NON_FIELD};
use crate::server::extract::{Body, Json};
use crate::server::first::{BAD_NAME, is_name_character};
use crate::server::memberships::{USER_GROUPS, group_named};
use crate::server::passwords::weaknesses;
use crate::server::peer::Peer;
use crate::server::permissions::USERS;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::users::{self, NewUser};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/register/", "auth_register", Access::Public, register)
            .about("Makes an account for oneself, where the setting `auth.allow_registration` is on.")
            .throttle(Scope::Registration)
            .errors(&[403]),
    );
}

/// Who wants an account.
#[derive(Deserialize, JsonSchema)]
struct Registration {
    #[schemars(length(min = 1, max = 150))]
    username: String,
    #[schemars(email, length(min = 1, max = 254))]
    email: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
    #[schemars(length(min = 1, max = 1024))]
    password_confirm: String,
    #[serde(default)]
    #[schemars(length(max = 150))]
    first_name: String,
    #[serde(default)]
    #[schemars(length(max = 150))]
    last_name: String,
}

/// The account that was made.
#[derive(Serialize, JsonSchema)]
struct RegisteredUser {
    id: i64,
    username: String,
    email: String,
    first_name: String,
    last_name: String,
}

/// Refuses before anybody looks at the body.
struct RegistrationIsOn;

impl FromRequestParts<AppState> for RegistrationIsOn {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if state.settings().allow_registration {
            Ok(Self)
        } else {
            Err(ApiError::Refused("Registration is off.".into()))
        }
    }
}

impl Describe for RegistrationIsOn {}

async fn register(
    State(state): State<AppState>,
    _: RegistrationIsOn,
    peer: Peer,
    Body(body): Body<Registration>,
) -> Result<Json<RegisteredUser, 201>, ApiError> {
    check(&body)?;
    // Hashed before names are compared, so that the time tells no more than the answer.
    let hash = state.passwords().hash(&body.password).await?;
    refuse_taken(&state, &body).await?;
    let mut transaction = state.db().begin().await?;
    // Somebody registered the same in between.
    let id = add(&mut transaction, &state, &body, &hash).await.map_err(|error| match error {
        error if error.is_duplicate() => ApiError::field(NON_FIELD, "This user already exists."),
        error => error.into(),
    })?;
    if let Some(user) = users::by_id_within(&mut transaction, id).await? {
        queue_verification(&mut transaction, &state, &user).await?;
    }
    Entry::new(Category::UserManagement, "user_registered", "An account was registered")
        .on("user", id, &body.username)
        .append(&mut transaction, &state, &Actor::user(id, &body.username, &peer))
        .await?;
    transaction.commit().await?;
    let Registration { username, email, first_name, last_name, .. } = body;
    Ok(Json(RegisteredUser { id, username, email, first_name, last_name }))
}

fn check(body: &Registration) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    if !body.username.chars().all(is_name_character) {
        errors.add("username", BAD_NAME);
    }
    for sentence in weaknesses(&body.password, &[&body.username, &body.email, &body.first_name, &body.last_name]) {
        errors.add("password", sentence);
    }
    if body.password != body.password_confirm {
        errors.add("password_confirm", "The two passwords do not match.");
    }
    errors.into_result()
}

async fn refuse_taken(state: &AppState, body: &Registration) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    if users::by_name(state.db(), &body.username).await?.is_some() {
        errors.add("username", "user with this username already exists.");
    }
    if users::id_by_email(state.db(), &body.email).await?.is_some() {
        errors.add("email", "user with this email already exists.");
    }
    errors.into_result()
}

async fn add(transaction: &mut Transaction, state: &AppState, body: &Registration, hash: &str) -> Result<i64, DbError> {
    let new = NewUser {
        username: &body.username,
        email: &body.email,
        password_hash: hash,
        is_superuser: false,
        expires_at: None,
    };
    let id = users::add(transaction, &new, state.clock().now()).await?;
    let names = Query::update()
        .table(Alias::new("auth_user"))
        .value(Alias::new("first_name"), body.first_name.as_str())
        .value(Alias::new("last_name"), body.last_name.as_str())
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    transaction.run(&names).await?;
    if let Some((group,)) = transaction.first::<(i64,)>(&group_named(USERS)).await? {
        USER_GROUPS.add(transaction, id, group).await?;
    }
    Ok(id)
}
