//! A new password without the old one: by a token from a mail, or by a code from an administrator.

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{Message, check_new_password};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json};
use crate::server::mail;
use crate::server::password_reset::{Proof, complete, prove, request};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/password-reset/", "auth_password_reset", Access::Public, ask)
            .about("Mails a token for a new password; answers the same whether there is such a user or not.")
            .throttle(Scope::PasswordReset),
    );
    registry.add(
        Route::post("/api/auth/password-reset/confirm/", "auth_password_reset_confirm", Access::Public, confirm)
            .about("Sets a new password for a token or a code, unlocks the account and ends its sessions.")
            .throttle(Scope::PasswordReset),
    );
}

/// Who forgot their password.
#[derive(Deserialize, JsonSchema)]
struct PasswordResetRequest {
    /// The name to log in with, or the address for mail.
    #[schemars(length(min = 1, max = 254))]
    username: String,
}

/// What everybody who asks is told.
#[derive(Serialize, JsonSchema)]
struct PasswordResetAnswer {
    message: String,
    /// Whether this server sends no mail, so that an administrator has to help.
    fallback: bool,
}

async fn ask(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<PasswordResetRequest>,
) -> Result<Json<PasswordResetAnswer>, ApiError> {
    request(&state, &body.username, &Actor::named(&body.username, &peer)).await?;
    let message = "If there is such an account, a mail with instructions is on its way.".to_owned();
    Ok(Json(PasswordResetAnswer { message, fallback: !mail::is_configured(state.settings()) }))
}

/// How somebody proves that they may choose a new password.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ResetMethod {
    #[default]
    Token,
    Code,
}

/// The proof and, twice, the new password.
#[derive(Deserialize, JsonSchema)]
struct PasswordResetConfirmation {
    #[serde(default)]
    method: ResetMethod,
    /// The token of the mail, for the method `token`.
    #[schemars(length(min = 1, max = 200))]
    token: Option<String>,
    /// The name to log in with, for the method `code`.
    #[schemars(length(min = 1, max = 254))]
    username: Option<String>,
    /// The code of an administrator, for the method `code`.
    #[schemars(length(min = 1, max = 20))]
    code: Option<String>,
    #[schemars(length(min = 1, max = 1024))]
    new_password: String,
    #[schemars(length(min = 1, max = 1024))]
    new_password_confirm: String,
}

const REFUSED: ApiError =
    ApiError::BadRequest(std::borrow::Cow::Borrowed("The token or code is not right, was used, or has expired."));

async fn confirm(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<PasswordResetConfirmation>,
) -> Result<Json<Message>, ApiError> {
    let proof = proof(&body)?;
    // What is weak by itself is told before a code is used up; what is known of the user stays untold without one.
    check_new_password(
        &body.new_password,
        &body.new_password_confirm,
        &[body.username.as_deref().unwrap_or_default()],
    )?;
    let name = body.username.as_deref().unwrap_or_default();
    let Some(user) = prove(&state, proof).await? else {
        let entry = Entry::new(Category::UserManagement, "password_reset_completed", "A new password was refused");
        entry.failed("the proof is not right").record(&state, &Actor::named(name, &peer)).await?;
        return Err(REFUSED);
    };
    if let Proof::Token(_) = proof {
        check_new_password(&body.new_password, &body.new_password_confirm, &[&user.username, &user.email])?;
    }
    let hash = state.passwords().hash(&body.new_password).await?;
    let actor = Actor::user(user.id, &user.username, &peer);
    if !complete(&state, &user, proof, hash, &actor).await? {
        return Err(REFUSED);
    }
    Ok(Json(Message { message: "The password was changed. Log in with the new one.".to_owned() }))
}

fn proof(body: &PasswordResetConfirmation) -> Result<Proof<'_>, ApiError> {
    fn required<'a>(field: &str, value: Option<&'a String>) -> Result<&'a str, ApiError> {
        value.map(String::as_str).ok_or_else(|| ApiError::field(field, "This field is required."))
    }
    Ok(match body.method {
        ResetMethod::Token => Proof::Token(required("token", body.token.as_ref())?),
        ResetMethod::Code => Proof::Code {
            username: required("username", body.username.as_ref())?,
            code: required("code", body.code.as_ref())?,
        },
    })
}
