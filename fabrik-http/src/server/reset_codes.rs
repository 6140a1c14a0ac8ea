//! Codes by which users choose a new password: an administrator reads one out to whoever has no mail.
//!
//! A code is good once and for half an hour, and it stands few wrong guesses. What is kept is its code of
//! authentication under the server's key, so that who only sees the database cannot try all codes.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};

use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::secrets::random_bytes;
use super::state::AppState;
use super::users;

const TABLE: &str = "auth_reset_code";
/// Nothing that is read as something else: no I and O, no 0 and 1. A power of two, so that each is as likely.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 8;
const LIFE: TimeDelta = TimeDelta::minutes(30);
/// How many wrong guesses make a code void.
const MOST_FAILURES: i64 = 5;

/// Makes a code for a user and returns it with the end of its time; an older one is void.
pub(crate) async fn issue(
    transaction: &mut Transaction,
    state: &AppState,
    user_id: i64,
) -> Result<(String, DateTime<Utc>), DbError> {
    let code: String =
        random_bytes::<LENGTH>().map(|byte| char::from(ALPHABET[usize::from(byte) % 32])).iter().collect();
    let expires_at = state.clock().now() + LIFE;
    let mac = mac(state, user_id, &code);
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["user_id", "code_mac", "expires_at", "failures"].map(Alias::new))
        .values_panic([user_id.into(), mac.into(), expires_at.into(), 0_i64.into()])
        .on_conflict(
            OnConflict::column(Alias::new("user_id"))
                .update_columns(["code_mac", "expires_at", "failures"].map(Alias::new))
                .to_owned(),
        )
        .take();
    transaction.run(&insert).await?;
    Ok((code, expires_at))
}

/// Uses up the code of a user and returns whose it was; a wrong one counts against the code that is there.
pub(crate) async fn redeem(state: &AppState, username: &str, code: &str) -> Result<Option<i64>, ApiError> {
    let Some(user) = users::by_name(state.db(), username).await?.filter(|user| user.is_active) else {
        return Ok(None);
    };
    let is_of = || Expr::col(Alias::new("user_id")).eq(user.id);
    // One statement, so that of two who show the same code one finds it used.
    let take = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(is_of())
        .and_where(Expr::col(Alias::new("code_mac")).eq(mac(state, user.id, &code.trim().to_ascii_uppercase())))
        .and_where(Expr::col(Alias::new("expires_at")).gt(state.clock().now()))
        .and_where(Expr::col(Alias::new("failures")).lt(MOST_FAILURES))
        .take();
    if state.db().run(&take).await? > 0 {
        return Ok(Some(user.id));
    }
    let count = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("failures"), Expr::col(Alias::new("failures")).add(1))
        .and_where(is_of())
        .take();
    state.db().run(&count).await?;
    Ok(None)
}

/// Makes the code of a user void.
pub(crate) async fn forget(transaction: &mut Transaction, user_id: i64) -> Result<(), DbError> {
    let of_user = Expr::col(Alias::new("user_id")).eq(user_id);
    transaction.run(&Query::delete().from_table(Alias::new(TABLE)).and_where(of_user).take()).await.map(|_| ())
}

/// Forgets codes whose time is over.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let over = Expr::col(Alias::new("expires_at")).lte(state.clock().now());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}

fn mac(state: &AppState, user_id: i64, code: &str) -> Vec<u8> {
    state.token_key().mac(&format!("reset code of {user_id}: {code}"))
}
