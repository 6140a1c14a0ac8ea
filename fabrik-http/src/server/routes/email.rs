//! Proving that an address for mail is one's own.

use axum::extract::State;
use chrono::TimeDelta;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::Deserialize;

use super::account::Message;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json};
use crate::server::mail::Mail;
use crate::server::mail_tokens::{self, Purpose};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::users::{self, User};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/email/send-verification/", "auth_email_send_verification", Access::Login, send)
            .about("Mails a token to the own address, which proves it.")
            .throttle(Scope::EmailSend)
            .errors(&[400]),
    );
    registry.add(
        Route::post("/api/auth/email/verify/", "auth_email_verify", Access::Public, verify)
            .about("Takes the token of such a mail.")
            .throttle(Scope::EmailVerify),
    );
}

const LIFE: TimeDelta = TimeDelta::hours(24);

async fn send(State(state): State<AppState>, caller: Caller) -> Result<Json<Message>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let user = users::by_id_within(&mut transaction, caller.id()).await?.ok_or(ApiError::NotFound)?;
    if user.email.is_empty() {
        return Err(ApiError::BadRequest("The account has no address for mail.".into()));
    }
    if is_verified(&mut transaction, user.id).await? {
        return Err(ApiError::BadRequest("The address is verified already.".into()));
    }
    queue_verification(&mut transaction, &state, &user).await?;
    let entry =
        Entry::new(Category::UserManagement, "email_verification_sent", "A mail to verify the address was sent");
    entry.on("user", user.id, &user.username).append(&mut transaction, &state, &Actor::of(&caller)).await?;
    transaction.commit().await?;
    Ok(Json(Message { message: format!("A mail is on its way to {}.", user.email) }))
}

async fn is_verified(transaction: &mut Transaction, user_id: i64) -> Result<bool, DbError> {
    let query = Query::select()
        .column(Alias::new("email_verified"))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).eq(user_id))
        .take();
    Ok(transaction.first::<(bool,)>(&query).await?.is_some_and(|(is_verified,)| is_verified))
}

/// Queues the mail that a user proves their address by.
pub(super) async fn queue_verification(
    transaction: &mut Transaction,
    state: &AppState,
    user: &User,
) -> Result<(), DbError> {
    let token = mail_tokens::issue(transaction, state, Purpose::EmailVerification, user, LIFE).await?;
    // As for passwords, the link begins with the address that the operator gave, never with one that a request brought.
    let how = match &state.settings().site_url {
        Some(site) => format!("open this link:\n\n{site}/verify-email/#{token}\n"),
        None => format!("open the page /verify-email/ of your Fabrik server and enter this token:\n\n{token}\n"),
    };
    let text = format!(
        "To tell the account {} of Fabrik that this address is yours, {how}\nThis works once, for {} hours.\n",
        user.username,
        LIFE.num_hours()
    );
    Mail { to: user.email.clone(), subject: "Your address for Fabrik".to_owned(), text }
        .queue(transaction, state.clock().now())
        .await
}

/// The token of a mail.
#[derive(Deserialize, JsonSchema)]
struct EmailVerification {
    #[schemars(length(min = 1, max = 200))]
    token: String,
}

async fn verify(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<EmailVerification>,
) -> Result<Json<Message>, ApiError> {
    let refused = || ApiError::BadRequest("The token is not right, was used, or has expired.".into());
    let now = state.clock().now();
    let id = mail_tokens::owner(state.db(), Purpose::EmailVerification, &body.token, now).await?.ok_or_else(refused)?;
    let mut transaction = state.db().begin().await?;
    let user = users::by_id_within(&mut transaction, id).await?.ok_or_else(refused)?;
    if !mail_tokens::redeem(&mut transaction, Purpose::EmailVerification, &body.token, &user, now).await? {
        return Err(refused());
    }
    let update = Query::update()
        .table(Alias::new("auth_user"))
        .value(Alias::new("email_verified"), true)
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    transaction.run(&update).await?;
    Entry::new(Category::UserManagement, "email_verified", "An address was verified")
        .on("user", id, &user.username)
        .append(&mut transaction, &state, &Actor::user(id, &user.username, &peer))
        .await?;
    transaction.commit().await?;
    Ok(Json(Message { message: "The address is verified.".to_owned() }))
}
