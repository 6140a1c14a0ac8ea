//! The own second step: turning it on and off, and its backup codes.

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::Message;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::{ApiError, NON_FIELD};
use crate::server::extract::{Body, Json};
use crate::server::mfa::{self, Enrolment};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::{lockout, users};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/mfa/setup/", "auth_mfa_setup", Access::Login, set_up)
            .about("Makes a secret for an authenticator; it is in force once `verify/` took a code of it.")
            .throttle(Scope::Mfa)
            .errors(&[400]),
    );
    registry.add(
        Route::post("/api/auth/mfa/verify/", "auth_mfa_verify", Access::Login, verify)
            .about("Turns the second step on, and shows the backup codes once.")
            .throttle(Scope::Mfa),
    );
    registry.add(
        Route::post("/api/auth/mfa/disable/", "auth_mfa_disable", Access::Login, disable)
            .about("Turns the second step off.")
            .throttle(Scope::SensitiveAction),
    );
    registry.add(
        Route::get("/api/auth/mfa/status/", "auth_mfa_status", Access::Login, status)
            .about("Tells whether there is a second step."),
    );
    registry.add(
        Route::post("/api/auth/mfa/backup-codes/", "auth_mfa_backup_codes", Access::Login, renew)
            .about("Makes new backup codes; the old ones are void.")
            .throttle(Scope::SensitiveAction),
    );
}

/// What the authenticator is given.
#[derive(Serialize, JsonSchema)]
struct MfaSetup {
    /// The secret in base 32, for typing.
    secret: String,
    otpauth_uri: String,
    /// The same as a picture: a PNG in a `data:` address.
    qr_code: String,
}

async fn set_up(State(state): State<AppState>, caller: Caller) -> Result<Json<MfaSetup>, ApiError> {
    let enrolment = mfa::set_up(&state, caller.id(), caller.username()).await?;
    let Enrolment { secret, otpauth_uri, qr_code } =
        enrolment.ok_or_else(|| ApiError::BadRequest("There is a second step already.".into()))?;
    entry(&caller, "mfa_setup", "A secret for a second step was made").record(&state, &Actor::of(&caller)).await?;
    Ok(Json(MfaSetup { secret, otpauth_uri, qr_code }))
}

/// A code of the authenticator.
#[derive(Deserialize, JsonSchema)]
struct MfaCode {
    #[schemars(length(min = 6, max = 7))]
    code: String,
}

/// A sentence for people, and codes that are shown once.
#[derive(Serialize, JsonSchema)]
struct NewBackupCodes {
    message: String,
    backup_codes: Vec<String>,
}

async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<MfaCode>,
) -> Result<Json<NewBackupCodes>, ApiError> {
    let code = body.code.replace(' ', "");
    let Some(proof) = mfa::prove(&state, caller.id(), &code).await? else {
        return Err(ApiError::field("code", "The code is not right."));
    };
    let mut transaction = state.db().begin().await?;
    if !mfa::enable(&mut transaction, &state, caller.id(), &proof).await? {
        return Err(ApiError::field("code", "The code is not right."));
    }
    entry(&caller, "mfa_enabled", "A second step was turned on")
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    let message = "The second step is on. Keep the backup codes: they are not shown again.".to_owned();
    Ok(Json(NewBackupCodes { message, backup_codes: proof.backup_codes.codes }))
}

/// The password; or a code of the second step, for users whose password a directory keeps.
#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    #[schemars(length(min = 1, max = 1024))]
    password: Option<String>,
    #[schemars(length(min = 1, max = 20))]
    code: Option<String>,
}

/// Fails unless it is the user who asks, and not somebody at their screen.
async fn confirm(state: &AppState, caller: &Caller, body: &Confirmation) -> Result<(), ApiError> {
    let user = users::by_id(state.db(), caller.id()).await?.ok_or(ApiError::NotFound)?;
    let (field, is_right) = match (&body.password, &body.code) {
        (Some(password), _) if user.auth_source == "local" => {
            lockout::begin_try(state, &user.username).await?;
            ("password", state.passwords().verify(password, Some(&user.password)).await?)
        }
        (_, Some(code)) if user.auth_source != "local" => {
            lockout::begin_try(state, &user.username).await?;
            ("code", mfa::spend(state, user.id, code).await?.is_some())
        }
        _ if user.auth_source == "local" => return Err(ApiError::field("password", "This field is required.")),
        _ => return Err(ApiError::field("code", "This field is required, as a directory keeps the password.")),
    };
    if !is_right {
        entry(caller, "mfa_confirmation_failed", "A change of the second step was refused")
            .failed(format!("the {field} is not right"))
            .record(state, &Actor::of(caller))
            .await?;
        return Err(ApiError::field(field, format!("The {field} is not right.")));
    }
    lockout::clear(state, &user.username).await
}

async fn disable(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<Confirmation>,
) -> Result<Json<Message>, ApiError> {
    confirm(&state, &caller, &body).await?;
    let mut transaction = state.db().begin().await?;
    if !mfa::disable(&mut transaction, caller.id()).await? {
        return Err(NOT_ON);
    }
    entry(&caller, "mfa_disabled", "A second step was turned off")
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Json(Message { message: "The second step is off.".to_owned() }))
}

const NOT_ON: ApiError = ApiError::BadRequest(std::borrow::Cow::Borrowed("There is no second step."));

/// Whether there is a second step.
#[derive(Serialize, JsonSchema)]
struct MfaStatus {
    mfa_enabled: bool,
    backup_codes_remaining: i64,
}

async fn status(State(state): State<AppState>, caller: Caller) -> Result<Json<MfaStatus>, ApiError> {
    Ok(Json(MfaStatus {
        mfa_enabled: mfa::is_enabled_for(state.db(), caller.id()).await?,
        backup_codes_remaining: mfa::backup_codes_remaining(state.db(), caller.id()).await?,
    }))
}

async fn renew(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<Confirmation>,
) -> Result<Json<NewBackupCodes>, ApiError> {
    confirm(&state, &caller, &body).await?;
    let codes = mfa::new_backup_codes(&state, caller.id()).await?.ok_or(NOT_ON)?;
    let mut transaction = state.db().begin().await?;
    // The second step may have been turned off while the codes were made.
    if !mfa::replace_backup_codes(&mut transaction, caller.id(), &codes).await? {
        return Err(ApiError::field(NON_FIELD, "The second step was turned off."));
    }
    entry(&caller, "mfa_backup_codes_renewed", "Backup codes were made anew")
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    let message = "Keep the backup codes: they are not shown again, and the old ones are void.".to_owned();
    Ok(Json(NewBackupCodes { message, backup_codes: codes.codes }))
}

fn entry(caller: &Caller, action: &'static str, about: &str) -> Entry {
    Entry::new(Category::UserManagement, action, about).on("user", caller.id(), caller.username())
}
