//! What administrators do to users beside changing fields.

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::server::audit::{Actor, Category, Entry};
use crate::server::authority;
use crate::server::caller::Caller;
use crate::server::db::Transaction;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Path};
use crate::server::memberships::USER_PERMISSIONS;
use crate::server::moment::Moment;
use crate::server::permissions::{self, ADMIN, Held};
use crate::server::registry::{Access, Registry, Route};
use crate::server::routes::account::{Message, check_new_password};
use crate::server::sessions::{self, Which};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::users::{self, User};
use crate::server::{lockout, mfa, reset_codes};

pub(super) fn declare(registry: &mut Registry) {
    let path = |action: &str| format!("/api/auth/management/{{id}}/{action}/");
    for route in [
        Route::post(&path("reset_password"), "auth_user_reset_password", Access::Admin, reset_password)
            .about("Gives a user another password, unlocks the account and ends its sessions."),
        Route::post(&path("generate_reset_code"), "auth_user_generate_reset_code", Access::Admin, generate_reset_code)
            .about("Makes a code by which a user chooses a new password within half an hour; older ones are void."),
        Route::post(&path("verify_email"), "auth_user_verify_email", Access::Admin, verify_email)
            .about("Says that the address of a user is the user's."),
        Route::post(&path("disable_mfa"), "auth_user_disable_mfa", Access::Admin, disable_mfa)
            .about("Takes the second step of the login away from a user who lost it."),
        Route::post(&path("activate"), "auth_user_activate", Access::Admin, activate)
            .about("Lets a user log in again."),
        Route::post(&path("deactivate"), "auth_user_deactivate", Access::Admin, deactivate)
            .about("Lets a user log in no more, and ends the sessions."),
        Route::post(&path("add_permissions"), "auth_user_add_permissions", Access::Admin, add_permissions)
            .about("Gives a user permissions directly."),
        Route::post(&path("remove_permissions"), "auth_user_remove_permissions", Access::Admin, remove_permissions)
            .about("Takes permissions from a user that are held directly."),
    ] {
        registry.add(route.throttle(Scope::SensitiveAction).errors(&[400]));
    }
    registry.add(
        Route::get(&path("user_permissions"), "auth_user_permissions", Access::Admin, user_permissions)
            .about("Lists the permissions that a user holds directly."),
    );
    registry.add(
        Route::get(&path("effective_permissions"), "auth_user_effective_permissions", Access::Admin, effective)
            .about("Lists all permissions that a user has, each with where it comes from."),
    );
}

/// An action under way, on a user whom the caller may change.
struct Action<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    transaction: Transaction,
    user: User,
}

impl<'a> Action<'a> {
    async fn begin(state: &'a AppState, caller: &'a Caller, id: i64) -> Result<Self, ApiError> {
        let mut transaction = state.db().begin().await?;
        let user = authority::target(&mut transaction, caller, id).await?;
        Ok(Self { state, caller, transaction, user })
    }

    async fn set(&mut self, column: &'static str, value: impl Into<sea_query::Value>) -> Result<(), ApiError> {
        Ok(users::set_within(&mut self.transaction, self.user.id, vec![(column, value.into())]).await?)
    }

    async fn end_sessions(&mut self, because: &str) -> Result<(), ApiError> {
        sessions::end_within(&mut self.transaction, self.state, self.user.id, Which::All, because).await?;
        Ok(())
    }

    /// Keeps what was done, and tells it.
    async fn done(mut self, action: &'static str, sentence: &'static str, details: Value) -> Result<(), ApiError> {
        Entry::new(Category::UserManagement, action, sentence)
            .on("user", self.user.id, &self.user.username)
            .with(details)
            .append(&mut self.transaction, self.state, &Actor::of(self.caller))
            .await?;
        self.transaction.commit().await?;
        self.state.callers().forget_all();
        Ok(())
    }
}

/// Fails where somebody would get around the proof that the own account asks for: a stolen token shall not be enough.
fn refuse_self(caller: &Caller, id: i64) -> Result<(), ApiError> {
    if caller.id() == id {
        return Err(ApiError::BadRequest("For your own account, use the routes that ask for your password.".into()));
    }
    Ok(())
}

fn refuse_directory(user: &User) -> Result<(), ApiError> {
    if user.auth_source == "local" {
        return Ok(());
    }
    Err(ApiError::BadRequest("The password of this account is kept by a directory.".into()))
}

fn message(text: impl Into<String>) -> Json<Message> {
    Json(Message { message: text.into() })
}

/// The new password, twice.
#[derive(Deserialize, JsonSchema)]
struct NewPassword {
    #[schemars(length(min = 1, max = 1024))]
    new_password: String,
    #[schemars(length(min = 1, max = 1024))]
    new_password_confirm: String,
}

async fn reset_password(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<NewPassword>,
) -> Result<Json<Message>, ApiError> {
    let user = users::by_id(state.db(), id).await?.ok_or(ApiError::NotFound)?;
    authority::check(&caller, &user)?;
    refuse_self(&caller, id)?;
    refuse_directory(&user)?;
    check_new_password(&body.new_password, &body.new_password_confirm, &[&user.username, &user.email])?;
    let hash = state.passwords().hash(&body.new_password).await?;
    let mut action = Action::begin(&state, &caller, id).await?;
    action.set("password", hash).await?;
    action.end_sessions("password reset by an administrator").await?;
    reset_codes::forget(&mut action.transaction, id).await?;
    action.done("user_password_reset", "Password of a user reset", json!({})).await?;
    lockout::clear(&state, &user.username).await?;
    Ok(message("The password was reset."))
}

/// A code by which a user chooses a new password. It is shown this once.
#[derive(Serialize, JsonSchema)]
struct ResetCode {
    code: String,
    expires_at: Moment,
    message: String,
}

async fn generate_reset_code(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<ResetCode>, ApiError> {
    refuse_self(&caller, id)?;
    let mut action = Action::begin(&state, &caller, id).await?;
    refuse_directory(&action.user)?;
    let (code, expires_at) = reset_codes::issue(&mut action.transaction, &state, id).await?;
    let message = format!("Tell {} this code; it is good once, for 30 minutes.", action.user.username);
    action.done("user_reset_code_generated", "Code for a new password made", json!({})).await?;
    Ok(Json(ResetCode { code, expires_at: Moment(expires_at), message }))
}

async fn verify_email(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Message>, ApiError> {
    let mut action = Action::begin(&state, &caller, id).await?;
    if action.user.email.is_empty() {
        return Err(ApiError::BadRequest("This user has no address for mail.".into()));
    }
    action.set("email_verified", true).await?;
    action.done("user_email_verified", "Address of a user confirmed", json!({})).await?;
    Ok(message("The address is confirmed."))
}

async fn disable_mfa(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Message>, ApiError> {
    refuse_self(&caller, id)?;
    let mut action = Action::begin(&state, &caller, id).await?;
    if !mfa::disable(&mut action.transaction, id).await? {
        return Err(ApiError::BadRequest("This user has no second step.".into()));
    }
    action.done("user_mfa_disabled", "Second step of a user's login taken away", json!({})).await?;
    Ok(message("The second step is off."))
}

async fn activate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Message>, ApiError> {
    let mut action = Action::begin(&state, &caller, id).await?;
    action.set("is_active", true).await?;
    action.done("user_activated", "User activated", json!({})).await?;
    Ok(message("The user is active."))
}

async fn deactivate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Message>, ApiError> {
    if caller.id() == id {
        return Err(ApiError::BadRequest("You cannot deactivate yourself.".into()));
    }
    let mut action = Action::begin(&state, &caller, id).await?;
    action.set("is_active", false).await?;
    action.end_sessions("deactivated").await?;
    authority::keep_an_admin(&mut action.transaction, None).await?;
    action.done("user_deactivated", "User deactivated", json!({})).await?;
    Ok(message("The user is not active."))
}

/// Permissions, by their ids.
#[derive(Deserialize, JsonSchema)]
pub(in crate::server::routes) struct PermissionList {
    #[schemars(length(max = 1000))]
    pub(in crate::server::routes) permission_ids: Vec<i64>,
}

async fn add_permissions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<PermissionList>,
) -> Result<Json<HeldPermissions>, ApiError> {
    let mut action = Action::begin(&state, &caller, id).await?;
    USER_PERMISSIONS.add_all(&mut action.transaction, id, &body.permission_ids, "permission_ids").await?;
    let details = json!({ "permission_ids": body.permission_ids });
    action.done("user_permissions_added", "Permissions given to a user", details).await?;
    Ok(Json(HeldPermissions::direct(permissions::held_directly(state.db(), id).await?)))
}

async fn remove_permissions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<PermissionList>,
) -> Result<Json<HeldPermissions>, ApiError> {
    let mut action = Action::begin(&state, &caller, id).await?;
    USER_PERMISSIONS.remove_all(&mut action.transaction, id, &body.permission_ids, "permission_ids").await?;
    let details = json!({ "permission_ids": body.permission_ids });
    action.done("user_permissions_removed", "Permissions taken from a user", details).await?;
    Ok(Json(HeldPermissions::direct(permissions::held_directly(state.db(), id).await?)))
}

/// Where a permission comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    Direct,
    Group,
}

/// A permission that a user has.
#[derive(Serialize, JsonSchema)]
struct HeldPermission {
    id: i64,
    codename: String,
    name: String,
    source: Source,
    /// The groups that bring it.
    groups: Vec<String>,
}

/// The permissions of a user, all on one page.
#[derive(Serialize, JsonSchema)]
struct HeldPermissions {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<HeldPermission>,
}

impl HeldPermissions {
    fn of(results: Vec<HeldPermission>) -> Self {
        Self { count: results.len(), next: None, previous: None, results }
    }

    fn direct(held: Vec<Held>) -> Self {
        Self::of(held.into_iter().map(|held| HeldPermission::of(held, Source::Direct)).collect())
    }
}

impl HeldPermission {
    fn of(held: Held, source: Source) -> Self {
        Self { id: held.id, codename: held.codename, name: held.name, source, groups: held.groups }
    }
}

async fn user_permissions(
    State(state): State<AppState>,
    _: Caller,
    Path(id): Path<i64>,
) -> Result<Json<HeldPermissions>, ApiError> {
    users::by_id(state.db(), id).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(HeldPermissions::direct(permissions::held_directly(state.db(), id).await?)))
}

/// A permission that is held directly and by groups is listed twice: taking one away leaves the other.
async fn effective(
    State(state): State<AppState>,
    _: Caller,
    Path(id): Path<i64>,
) -> Result<Json<HeldPermissions>, ApiError> {
    let user = users::by_id(state.db(), id).await?.ok_or(ApiError::NotFound)?;
    let mut direct = permissions::held_directly(state.db(), id).await?;
    let mut by_groups = permissions::held_by_groups(state.db(), id).await?;
    // Superusers and the group Admin pass all checks, whatever they hold.
    if user.is_superuser {
        direct = permissions::all(state.db()).await?;
    }
    if permissions::is_in_admin(state.db(), id).await? {
        by_groups = through_admin(permissions::all(state.db()).await?, by_groups);
    }
    let mut results: Vec<_> = direct.into_iter().map(|held| HeldPermission::of(held, Source::Direct)).collect();
    results.extend(by_groups.into_iter().map(|held| HeldPermission::of(held, Source::Group)));
    results.sort_by(|one, other| one.codename.cmp(&other.codename));
    Ok(Json(HeldPermissions::of(results)))
}

/// Names the group Admin beside the other groups that bring a permission.
fn through_admin(all: Vec<Held>, by_groups: Vec<Held>) -> Vec<Held> {
    let mut groups: hashbrown::HashMap<_, _> = by_groups.into_iter().map(|held| (held.id, held.groups)).collect();
    let with_groups = |mut held: Held| {
        held.groups = groups.remove(&held.id).unwrap_or_default();
        if !held.groups.iter().any(|group| group == ADMIN) {
            held.groups.insert(0, ADMIN.to_owned());
        }
        held
    };
    all.into_iter().map(with_groups).collect()
}
