//! Tickets: what a client trades its token for to open a WebSocket, since a browser cannot send a header with one.
//!
//! A ticket is good once and soon over, so that one in the log of a proxy is worth nothing. It is used by one statement:
//! of two servers that are shown the same ticket, one takes it.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query};
use uuid::Uuid;

use super::caller::{self, Caller, Credential};
use super::error::ApiError;
use super::peer::Peer;
use super::secrets::{fingerprint, random_token};
use super::state::AppState;

const TABLE: &str = "ws_ticket";
const COLUMNS: [&str; 4] = ["user_id", "credential_kind", "credential_id", "expires_at"];

/// How long a ticket lasts.
pub(crate) const LIFE: TimeDelta = TimeDelta::seconds(60);

/// Makes a ticket that stands for the caller, for as long as what they logged in with is good.
pub(crate) async fn issue(state: &AppState, caller: &Caller) -> Result<String, ApiError> {
    let ticket = random_token();
    let (kind, id) = written(caller.credential());
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns([["fingerprint"].as_slice(), &COLUMNS].concat().into_iter().map(Alias::new))
        .values_panic([
            fingerprint(&ticket).into(),
            caller.id().into(),
            kind.into(),
            id.into(),
            (state.clock().now() + LIFE).into(),
        ])
        .take();
    state.db().run(&insert).await?;
    Ok(ticket)
}

/// Uses a ticket up, and returns for whom it stood if it was good.
pub(crate) async fn redeem(state: &AppState, ticket: &str, peer: &Peer) -> Result<Option<Caller>, ApiError> {
    let take = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("fingerprint")).eq(fingerprint(ticket)))
        .returning(Query::returning().columns(COLUMNS.map(Alias::new)))
        .take();
    let taken = state.db().all::<(i64, String, String, DateTime<Utc>)>(&take).await?.pop();
    let Some((user_id, kind, id, expires_at)) = taken else { return Ok(None) };
    match read(&kind, &id) {
        Some(credential) if expires_at > state.clock().now() => caller::resume(state, user_id, credential, peer).await,
        _ => Ok(None),
    }
}

/// Forgets tickets that nobody used in time.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let over = Expr::col(Alias::new("expires_at")).lt(state.clock().now());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}

fn written(credential: Credential) -> (&'static str, String) {
    match credential {
        Credential::Session(id) => ("session", id.to_string()),
        Credential::ApiKey(id) => ("api_key", id.to_string()),
    }
}

fn read(kind: &str, id: &str) -> Option<Credential> {
    match kind {
        "session" => Uuid::from_str(id).ok().map(Credential::Session),
        "api_key" => id.parse().ok().map(Credential::ApiKey),
        _ => None,
    }
}
