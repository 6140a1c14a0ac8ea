//! The second step of a login: codes of an authenticator (TOTP, RFC 6238) and backup codes.
//!
//! The secret is sealed and bound to its user. A step of the authenticator is good once: the last one that was taken is
//! kept, and only later ones are right. Backup codes are kept as argon2id of them with one salt a set, so that one hash
//! tells whether a code is any of eight.

mod authenticator;
mod backup_codes;

use hashbrown::HashSet;
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};

use super::db::{Database, DbError, Transaction};
use super::error::ApiError;
use super::state::AppState;
use super::{seal, secrets};

use authenticator::Authenticator;
pub(crate) use authenticator::Enrolment;
pub(crate) use backup_codes::remaining as backup_codes_remaining;

const TABLE: &str = "auth_mfa";

/// Returns which of these users have a second step.
pub(crate) async fn is_enabled(db: &Database, ids: &[i64]) -> Result<HashSet<i64>, DbError> {
    let query = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).is_in(ids.iter().copied()))
        .and_where(Expr::col(Alias::new("enabled_at")).is_not_null())
        .take();
    Ok(db.all::<(i64,)>(&query).await?.into_iter().map(|(id,)| id).collect())
}

/// Returns whether a user has a second step.
pub(crate) async fn is_enabled_for(db: &Database, user_id: i64) -> Result<bool, DbError> {
    Ok(is_enabled(db, &[user_id]).await?.contains(&user_id))
}

/// Makes a new secret that is not in force yet; nothing when there is one in force.
pub(crate) async fn set_up(state: &AppState, user_id: i64, username: &str) -> Result<Option<Enrolment>, ApiError> {
    let authenticator = Authenticator::generate();
    let sealed = seal::seal(state, &purpose(user_id), authenticator.secret());
    let columns = ["user_id", "sealed_secret", "created_at", "backup_salt"];
    let now = state.clock().now();
    let salt = secrets::random_bytes::<16>().to_vec();
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([user_id.into(), sealed.into(), now.into(), salt.into()])
        .on_conflict(
            OnConflict::column(Alias::new("user_id"))
                .update_columns(["sealed_secret", "created_at", "backup_salt"].map(Alias::new))
                .action_and_where(Expr::col((Alias::new(TABLE), Alias::new("enabled_at"))).is_null())
                .to_owned(),
        )
        .take();
    let is_pending = state.db().run(&insert).await? > 0;
    Ok(is_pending.then(|| authenticator.enrolment(username)))
}

#[derive(sqlx::FromRow)]
struct Kept {
    sealed_secret: Vec<u8>,
    last_step: i64,
    backup_salt: Vec<u8>,
}

/// Reads the secret of a user: one in force, or one that waits for its first code.
async fn read(state: &AppState, user_id: i64, is_enabled: bool) -> Result<Option<Kept>, ApiError> {
    let enabled_at = Expr::col(Alias::new("enabled_at"));
    let query = Query::select()
        .columns(["sealed_secret", "last_step", "backup_salt"].map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(if is_enabled { enabled_at.is_not_null() } else { enabled_at.is_null() })
        .take();
    Ok(state.db().first(&query).await?)
}

/// Returns the step that a code of the authenticator is for, where it is right and later than the last one taken.
fn step_of(state: &AppState, user_id: i64, kept: &Kept, code: &str) -> Option<i64> {
    let Some(secret) = seal::open(state, &purpose(user_id), &kept.sealed_secret) else {
        tracing::error!(user = user_id, "the secret of an authenticator cannot be opened; was secret_key changed?");
        return None;
    };
    Authenticator::of(secret).step_of(code, state.clock().now()).filter(|step| *step > kept.last_step)
}

/// Codes that were made to turn a second step on, or in place of older ones.
pub(crate) struct BackupCodes {
    /// What the user is shown, once.
    pub(crate) codes: Vec<String>,
    salt: Vec<u8>,
    stretched: Vec<Vec<u8>>,
}

/// Makes backup codes; they are in force once [`enable`] or [`replace_backup_codes`] kept them.
async fn make_backup_codes(state: &AppState, salt: Vec<u8>) -> Result<BackupCodes, ApiError> {
    let codes = backup_codes::generate();
    let stretched = backup_codes::stretch(state, codes.clone(), &salt).await?;
    Ok(BackupCodes { codes, salt, stretched })
}

/// What a first code proved: that the user's authenticator has the secret.
pub(crate) struct Proof {
    step: i64,
    pub(crate) backup_codes: BackupCodes,
}

/// Checks the first code of a new secret; nothing when it is wrong or there is no secret that waits for one.
pub(crate) async fn prove(state: &AppState, user_id: i64, code: &str) -> Result<Option<Proof>, ApiError> {
    let Some(kept) = read(state, user_id, false).await? else { return Ok(None) };
    let Some(step) = step_of(state, user_id, &kept, code) else { return Ok(None) };
    Ok(Some(Proof { step, backup_codes: make_backup_codes(state, kept.backup_salt).await? }))
}

/// Puts a secret that was proved in force; returns false when another request did so in between.
pub(crate) async fn enable(
    transaction: &mut Transaction,
    state: &AppState,
    user_id: i64,
    proof: &Proof,
) -> Result<bool, DbError> {
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("enabled_at"), state.clock().now())
        .value(Alias::new("last_step"), proof.step)
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("enabled_at")).is_null())
        .take();
    if transaction.run(&update).await? == 0 {
        return Ok(false);
    }
    backup_codes::replace(transaction, user_id, &proof.backup_codes.stretched).await?;
    Ok(true)
}

/// Takes the second step away from a user, with the backup codes; returns whether there was one.
pub(crate) async fn disable(transaction: &mut Transaction, user_id: i64) -> Result<bool, DbError> {
    let gone =
        Query::delete().from_table(Alias::new(TABLE)).and_where(Expr::col(Alias::new("user_id")).eq(user_id)).take();
    Ok(transaction.run(&gone).await? > 0)
}

/// Makes backup codes for a user who has a second step.
pub(crate) async fn new_backup_codes(state: &AppState, user_id: i64) -> Result<Option<BackupCodes>, ApiError> {
    if !is_enabled_for(state.db(), user_id).await? {
        return Ok(None);
    }
    make_backup_codes(state, secrets::random_bytes::<16>().to_vec()).await.map(Some)
}

/// Keeps new backup codes, and the old ones are void; returns false when there is no second step any more.
pub(crate) async fn replace_backup_codes(
    transaction: &mut Transaction,
    user_id: i64,
    codes: &BackupCodes,
) -> Result<bool, DbError> {
    let hold = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("backup_salt"), codes.salt.clone())
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("enabled_at")).is_not_null())
        .take();
    if transaction.run(&hold).await? == 0 {
        return Ok(false);
    }
    backup_codes::replace(transaction, user_id, &codes.stretched).await?;
    Ok(true)
}

/// What was right as the second step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    Authenticator,
    BackupCode,
}

/// Spends a code, of the authenticator or a backup code; nothing when it is wrong or was used.
///
/// Of two who show the same code at the same time, one gets through.
pub(crate) async fn spend(state: &AppState, user_id: i64, code: &str) -> Result<Option<Spent>, ApiError> {
    let Some(kept) = read(state, user_id, true).await? else { return Ok(None) };
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if code.chars().count() == backup_codes::LENGTH {
        let is_right = backup_codes::spend(state, user_id, &code, &kept.backup_salt).await?;
        return Ok(is_right.then_some(Spent::BackupCode));
    }
    let Some(step) = step_of(state, user_id, &kept, &code) else { return Ok(None) };
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("last_step"), step)
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("last_step")).lt(step))
        .take();
    Ok((state.db().run(&update).await? > 0).then_some(Spent::Authenticator))
}

/// A sealed secret moved to another user's row does not open.
fn purpose(user_id: i64) -> String {
    format!("mfa:{user_id}")
}
