//! Signed tokens that were used up before they expire.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use uuid::Uuid;

use super::db::{Database, DbError, Transaction};
use super::state::AppState;

const TABLE: &str = "auth_spent_token";

/// Spends a token, given when it expires in seconds since 1970; returns false when it was spent before.
pub(crate) async fn spend(transaction: &mut Transaction, id: Uuid, expires_at: i64) -> Result<bool, DbError> {
    let expires_at = DateTime::<Utc>::from_timestamp(expires_at, 0).unwrap_or_default();
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["id", "expires_at"].map(Alias::new))
        .values_panic([id.into(), expires_at.into()])
        .on_conflict(OnConflict::column(Alias::new("id")).do_nothing().to_owned())
        .take();
    Ok(transaction.run(&insert).await? > 0)
}

/// Returns whether a token was spent.
pub(crate) async fn is_spent(db: &Database, id: Uuid) -> Result<bool, DbError> {
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    Ok(db.first::<(Uuid,)>(&query).await?.is_some())
}

/// Forgets tokens that have expired, as the signature tells that by itself.
pub(crate) async fn purge(state: &AppState) -> Result<(), DbError> {
    let over = Expr::col(Alias::new("expires_at")).lt(state.clock().now());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await.map(|_| ())
}
