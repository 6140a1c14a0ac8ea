//! A new password for who forgot the old one: asked for by anybody, mailed to the user alone.
//!
//! Whoever asks gets the same answer after the same work: the request is noted, and a job looks later whether there is
//! such a user.

use chrono::TimeDelta;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use super::audit::{Actor, Category, Entry};
use super::error::ApiError;
use super::mail::Mail;
use super::mail_tokens::{self, Purpose};
use super::sessions::{self, Which};
use super::state::AppState;
use super::users::{self, User};
use super::{lockout, reset_codes};

const TABLE: &str = "auth_reset_request";
/// How soon a user is sent another mail, so that nobody's mailbox is filled by asking.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// How many requests one run of the job answers.
const BATCH: u64 = 100;

/// What somebody shows to choose a new password.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// The token of a mail.
    Token(&'a str),
    /// A code that an administrator read out.
    Code { username: &'a str, code: &'a str },
}

/// Notes that somebody asked, by the name or address they gave.
pub(crate) async fn request(state: &AppState, login: &str, actor: &Actor) -> Result<(), ApiError> {
    let mut transaction = state.db().begin().await?;
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["username", "created_at"].map(Alias::new))
        .values_panic([login.into(), state.clock().now().into()])
        .take();
    transaction.run(&insert).await?;
    let entry = Entry::new(Category::UserManagement, "password_reset_requested", "A new password was asked for");
    entry.append(&mut transaction, state, actor).await?;
    transaction.commit().await?;
    Ok(())
}

/// Answers what was asked for, as a job: mails a token to whoever there is.
pub(crate) async fn answer(state: &AppState) -> Result<(), ApiError> {
    let waiting = Query::select()
        .columns(["id", "username"].map(Alias::new))
        .from(Alias::new(TABLE))
        .order_by(Alias::new("id"), Order::Asc)
        .limit(BATCH)
        .take();
    for (id, login) in state.db().all::<(i64, String)>(&waiting).await? {
        let user = find(state, &login).await?;
        let mut transaction = state.db().begin().await?;
        let claim = Query::delete().from_table(Alias::new(TABLE)).and_where(Expr::col(Alias::new("id")).eq(id)).take();
        // Another server was first.
        if transaction.run(&claim).await? == 0 {
            continue;
        }
        if let Some(user) = user {
            let last = mail_tokens::issued_at(&mut transaction, Purpose::PasswordReset, user.id).await?;
            let now = state.clock().now();
            if last.is_none_or(|last| now - last >= PAUSE) {
                let life = state.settings().password_reset_life;
                let token = mail_tokens::issue(&mut transaction, state, Purpose::PasswordReset, &user, life).await?;
                mail(state, &user, &token).queue(&mut transaction, now).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Returns the user with this name or address who can be sent a new password.
async fn find(state: &AppState, login: &str) -> Result<Option<User>, ApiError> {
    let named = users::by_name(state.db(), login).await?;
    let user = match (named, users::id_by_email(state.db(), login).await?) {
        (Some(user), _) => Some(user),
        (None, Some(id)) => users::by_id(state.db(), id).await?,
        (None, None) => None,
    };
    Ok(user.filter(|user| is_resettable(user) && !user.email.is_empty()))
}

fn is_resettable(user: &User) -> bool {
    user.is_active && user.auth_source == "local"
}

/// Writes the mail. Its link begins with the address that the operator gave, never with one that a request brought.
fn mail(state: &AppState, user: &User, token: &str) -> Mail {
    let how = match &state.settings().site_url {
        Some(site) => format!("open this link:\n\n{site}/reset/#{token}\n"),
        None => format!("open the page /reset/ of your Fabrik server and enter this token:\n\n{token}\n"),
    };
    let minutes = state.settings().password_reset_life.num_minutes();
    let text = format!(
        "A new password was asked for the account {} of Fabrik.\n\nTo choose one, {how}\nThis works once, for {minutes} \
         minutes. If it was not you who asked, ignore this mail: the password stays as it is.\n",
        user.username
    );
    Mail { to: user.email.clone(), subject: "A new password for Fabrik".to_owned(), text }
}

/// Returns whom a proof belongs to; one by code is used up.
pub(crate) async fn prove(state: &AppState, proof: Proof<'_>) -> Result<Option<User>, ApiError> {
    let id = match proof {
        Proof::Token(token) => {
            mail_tokens::owner(state.db(), Purpose::PasswordReset, token, state.clock().now()).await?
        }
        Proof::Code { username, code } => {
            // Counted first, so that many guesses at the same time are not one.
            lockout::begin_try(state, username).await?;
            reset_codes::redeem(state, username, code).await?
        }
    };
    let Some(id) = id else { return Ok(None) };
    Ok(users::by_id(state.db(), id).await?.filter(is_resettable))
}

/// Sets the password of a user who proved themselves, unlocks the account, and ends all its sessions.
///
/// Returns false when the token was used or voided in between.
pub(crate) async fn complete(
    state: &AppState,
    user: &User,
    proof: Proof<'_>,
    hash: String,
    actor: &Actor,
) -> Result<bool, ApiError> {
    let mut transaction = state.db().begin().await?;
    if let Proof::Token(token) = proof {
        let now = state.clock().now();
        if !mail_tokens::redeem(&mut transaction, Purpose::PasswordReset, token, user, now).await? {
            return Ok(false);
        }
    }
    let update = Query::update()
        .table(Alias::new("auth_user"))
        .value(Alias::new("password"), hash)
        .and_where(Expr::col(Alias::new("id")).eq(user.id))
        .take();
    transaction.run(&update).await?;
    reset_codes::forget(&mut transaction, user.id).await?;
    lockout::clear_within(&mut transaction, &user.username).await?;
    sessions::end_within(&mut transaction, state, user.id, Which::All, "password reset").await?;
    let method = match proof {
        Proof::Token(_) => "token",
        Proof::Code { .. } => "code",
    };
    Entry::new(Category::UserManagement, "password_reset_completed", "A new password was chosen")
        .on("user", user.id, &user.username)
        .with(serde_json::json!({ "method": method }))
        .append(&mut transaction, state, actor)
        .await?;
    transaction.commit().await?;
    state.callers().forget_all();
    Ok(true)
}
