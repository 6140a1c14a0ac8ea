//! Sessions: what a login begins and a logout ends.
//!
//! A session knows the one refresh token that is good. Each use makes a new one; whoever shows an older one has a
//! copy, so the session ends for both.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use uuid::Uuid;

use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::peer::Peer;
use super::state::AppState;
use super::tokens::{Claims, TokenKind};

const TABLE: &str = "auth_session";

/// The tokens of a session.
#[derive(Clone)]
pub(crate) struct TokenPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Begins a session of a user in a transaction of its own.
#[cfg(test)]
pub(crate) async fn begin(state: &AppState, user_id: i64, peer: &Peer) -> Result<TokenPair, ApiError> {
    let mut transaction = state.db().begin().await?;
    let pair = begin_within(&mut transaction, state, user_id, peer).await?;
    transaction.commit().await?;
    Ok(pair)
}

/// Begins a session of a user.
pub(crate) async fn begin_within(
    transaction: &mut Transaction,
    state: &AppState,
    user_id: i64,
    peer: &Peer,
) -> Result<TokenPair, DbError> {
    let now = state.clock().now();
    let id = Uuid::now_v7();
    let (pair, refresh) = issue(state, user_id, id, now);
    let columns =
        ["id", "user_id", "refresh_id", "created_at", "refreshed_at", "expires_at", "ip_address", "user_agent"];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            id.into(),
            user_id.into(),
            refresh.jti.into(),
            now.into(),
            now.into(),
            (now + state.settings().refresh_token_life).into(),
            peer.ip.to_string().into(),
            peer.user_agent.clone().into(),
        ])
        .take();
    transaction.run(&insert).await?;
    Ok(pair)
}

/// Trades a refresh token for new tokens. The token is good once; showing it again ends the session.
pub(crate) async fn refresh(state: &AppState, token: &str) -> Result<TokenPair, ApiError> {
    const REFUSED: ApiError = ApiError::BadToken("Token is invalid or expired");
    let now = state.clock().now();
    let Some(claims) = state.token_key().read(token, TokenKind::Refresh, now) else { return Err(REFUSED) };
    let (pair, next) = issue(state, claims.user_id, claims.sid, now);
    // One statement, so that of two who show the same token one finds it used.
    let rotate = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("refresh_id"), next.jti)
        .value(Alias::new("refreshed_at"), now)
        .value(Alias::new("expires_at"), now + state.settings().refresh_token_life)
        .and_where(is(claims.sid))
        .and_where(Expr::col(Alias::new("refresh_id")).eq(claims.jti))
        .and_where(Expr::col(Alias::new("revoked_at")).is_null())
        .and_where(
            Expr::col(Alias::new("user_id")).in_subquery(
                Query::select()
                    .column(Alias::new("id"))
                    .from(Alias::new("auth_user"))
                    .and_where(Expr::col(Alias::new("is_active")).eq(true))
                    .take(),
            ),
        )
        .take();
    if state.db().run(&rotate).await? == 1 {
        return Ok(pair);
    }
    if end(state, claims.sid, "refresh token shown twice").await? {
        tracing::warn!(user = claims.user_id, session = %claims.sid, "a used refresh token was shown again");
    }
    Err(REFUSED)
}

/// Ends one session and returns whether it was still going.
pub(crate) async fn end(state: &AppState, id: Uuid, because: &str) -> Result<bool, ApiError> {
    let count = state.db().run(&ending(state, because).and_where(is(id)).take()).await?;
    state.callers().forget_all();
    Ok(count > 0)
}

/// Ends sessions of a user as part of what makes them end: all but one, or the one alone. Returns how many went on.
///
/// The caller forgets the callers after the commit.
pub(crate) async fn end_within(
    transaction: &mut Transaction,
    state: &AppState,
    user_id: i64,
    which: Which,
    because: &str,
) -> Result<u64, DbError> {
    let mut update = ending(state, because);
    update.and_where(Expr::col(Alias::new("user_id")).eq(user_id));
    match which {
        Which::All => {}
        Which::AllBut(id) => {
            update.and_where(Expr::col(Alias::new("id")).ne(id));
        }
        Which::Only(id) => {
            update.and_where(is(id));
        }
    }
    transaction.run(&update).await
}

/// Which sessions of a user.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    All,
    AllBut(Uuid),
    Only(Uuid),
}

/// A session as its user sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) refreshed_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) ip_address: String,
    pub(crate) user_agent: String,
}

/// Returns the sessions of a user that go on, the one used last first.
pub(crate) async fn of_user(state: &AppState, user_id: i64) -> Result<Vec<Session>, DbError> {
    let columns = ["id", "created_at", "refreshed_at", "expires_at", "ip_address", "user_agent"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("revoked_at")).is_null())
        .and_where(Expr::col(Alias::new("expires_at")).gt(state.clock().now()))
        .order_by(Alias::new("refreshed_at"), Order::Desc)
        .order_by(Alias::new("id"), Order::Desc)
        .take();
    state.db().all(&query).await
}

/// Forgets sessions that are over.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let over = Expr::col(Alias::new("expires_at")).lt(state.clock().now());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}

fn ending(state: &AppState, because: &str) -> sea_query::UpdateStatement {
    Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("revoked_at"), state.clock().now())
        .value(Alias::new("revoked_because"), because)
        .and_where(Expr::col(Alias::new("revoked_at")).is_null())
        .take()
}

fn issue(state: &AppState, user_id: i64, sid: Uuid, now: DateTime<Utc>) -> (TokenPair, Claims) {
    let settings = state.settings();
    let access = Claims::new(TokenKind::Access, user_id, sid, now, settings.access_token_life);
    let refresh = Claims::new(TokenKind::Refresh, user_id, sid, now, settings.refresh_token_life);
    let sign = |claims| state.token_key().sign(claims);
    (TokenPair { access: sign(&access), refresh: sign(&refresh) }, refresh)
}

fn is(id: Uuid) -> Expr {
    Expr::col(Alias::new("id")).eq(id)
}
