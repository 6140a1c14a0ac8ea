//! Accounts are locked after failed logins.
//!
//! The count goes by the name that was tried, whether somebody has it or not: a lock tells nothing about accounts.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};

use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::state::AppState;

const TABLE: &str = "auth_lockout";

/// Fails while the account is locked.
pub(crate) async fn check(state: &AppState, username: &str) -> Result<(), ApiError> {
    let query = Query::select()
        .column(Alias::new("locked_until"))
        .from(Alias::new(TABLE))
        .and_where(named(username))
        .and_where(Expr::col(Alias::new("locked_until")).gt(state.clock().now()))
        .take();
    match state.db().first::<(DateTime<Utc>,)>(&query).await? {
        Some((until,)) => Err(locked(until - state.clock().now())),
        None => Ok(()),
    }
}

/// Counts a failed login; the one that is too many locks the account for those to come.
pub(crate) async fn count_failure(state: &AppState, username: &str) -> Result<(), ApiError> {
    let mut transaction = state.db().begin().await?;
    count(&mut transaction, state, username).await?;
    transaction.commit().await?;
    Ok(())
}

/// Counts a try before it is known whether it is right, for codes so short that many tries at once could find one.
///
/// The try that makes it too many locks the account and is itself let through; a login that succeeds clears the count.
pub(crate) async fn begin_try(state: &AppState, username: &str) -> Result<(), ApiError> {
    check(state, username).await?;
    let mut transaction = state.db().begin().await?;
    let tries = count(&mut transaction, state, username).await?;
    transaction.commit().await?;
    let most = i64::from(state.settings().lockout_failures);
    if most > 0 && tries > most { Err(locked(state.settings().lockout_life)) } else { Ok(()) }
}

/// Counts one more failure and returns how many there are.
async fn count(transaction: &mut Transaction, state: &AppState, username: &str) -> Result<i64, DbError> {
    let settings = state.settings();
    let now = state.clock().now();
    // A lock that has run out takes its failures along.
    let over = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(named(username))
        .and_where(Expr::col(Alias::new("locked_until")).lte(now))
        .take();
    transaction.run(&over).await?;
    let failures = Expr::col((Alias::new(TABLE), Alias::new("failures"))).add(1);
    let count = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["username", "failures", "last_failure_at"].map(Alias::new))
        .values_panic([key(username).into(), 1_i64.into(), now.into()])
        .on_conflict(
            OnConflict::column(Alias::new("username"))
                .value(Alias::new("failures"), failures)
                .value(Alias::new("last_failure_at"), now)
                .to_owned(),
        )
        .returning_col(Alias::new("failures"))
        .take();
    let failures = transaction.number(&count).await?;
    if settings.lockout_failures > 0 && failures >= settings.lockout_failures.into() {
        let lock = Query::update()
            .table(Alias::new(TABLE))
            .value(Alias::new("locked_until"), now + settings.lockout_life)
            .and_where(named(username))
            .take();
        transaction.run(&lock).await?;
    }
    Ok(failures)
}

/// Forgets the failed logins of an account.
pub(crate) async fn clear(state: &AppState, username: &str) -> Result<(), ApiError> {
    let gone = Query::delete().from_table(Alias::new(TABLE)).and_where(named(username)).take();
    state.db().run(&gone).await?;
    Ok(())
}

/// Forgets the failed logins of an account, as part of what made up for them.
pub(crate) async fn clear_within(transaction: &mut Transaction, username: &str) -> Result<(), DbError> {
    let gone = Query::delete().from_table(Alias::new(TABLE)).and_where(named(username)).take();
    transaction.run(&gone).await.map(|_| ())
}

/// Forgets failures of more than a day ago.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let before = state.clock().now() - chrono::TimeDelta::days(1);
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("last_failure_at")).lt(before))
        .and_where(Expr::col(Alias::new("locked_until")).is_null().or(Expr::col(Alias::new("locked_until")).lt(before)))
        .take();
    state.db().run(&gone).await?;
    Ok(())
}

fn locked(wait: chrono::TimeDelta) -> ApiError {
    ApiError::Locked(wait.to_std().unwrap_or(Duration::ZERO))
}

fn named(username: &str) -> Expr {
    Expr::col(Alias::new("username")).eq(key(username))
}

/// Names are equal whatever their case, and nobody fills the table with long ones.
fn key(username: &str) -> String {
    username.to_lowercase().chars().take(150).collect()
}
