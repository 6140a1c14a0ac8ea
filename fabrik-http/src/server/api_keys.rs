//! API keys: what programs log in with.
//!
//! A key never does more than its user, and what it may do is further narrowed by its scopes; see [`ABOUT`]. It is
//! looked for by its fingerprint, so the database does not tell what the key is.

use axum::http::Method;
use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Func, Query};
use serde_json::{Value, json};

use super::caller::Caller;
use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::peer::Peer;
use super::registry::{Access, Meta};
use super::secrets;
use super::state::AppState;

/// How every key begins, so that people and scanners know it when they see it.
pub(crate) const PREFIX: &str = "fab_";
/// The header that a key may come in, beside `Authorization: Bearer`.
pub(crate) const HEADER: &str = "X-API-Key";
/// What the document says about keys.
pub(crate) const ABOUT: &str = "An API key, also taken as `Authorization: Bearer fab_…`. Its scopes limit what its user may: `*` everything, \
     `read` every GET, or codenames of permissions. Passwords, second factors, sessions and API keys are kept from every \
     key; users and groups are open to keys that also have the scope `users`.";

/// Everything that the user may.
const ALL: &str = "*";
/// Every GET that the user may.
const READ: &str = "read";
/// User administration, as far as the other scopes go.
const USERS: &str = "users";

/// How often the last use of a key is written at most.
const USE_STEP: TimeDelta = TimeDelta::minutes(1);
const TABLE: &str = "auth_api_key";

/// What a key is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    /// Takes scopes whose names make sense; otherwise says which does not.
    pub(crate) fn of(names: Vec<String>, state: &AppState) -> Result<Self, String> {
        let is_known =
            |name: &String| [ALL, READ, USERS].contains(&name.as_str()) || state.api().codenames().contains_key(name);
        match names.iter().find(|name| !is_known(name)) {
            Some(name) => Err(format!("\"{name}\" is not a valid choice.")),
            None if names.iter().all(|name| name == USERS) => {
                Err(format!("Name \"{ALL}\", \"{READ}\" or permissions; \"{USERS}\" widens these."))
            }
            None => Ok(Self(names)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope == name)
    }

    /// Returns the permissions that the key is limited to; nothing where it is limited by verb or not at all.
    pub(crate) fn codenames(&self) -> Option<impl Iterator<Item = &str>> {
        let is_whole = self.has(ALL) || self.has(READ);
        (!is_whole).then(|| self.0.iter().map(String::as_str).filter(|name| *name != USERS))
    }

    /// Says whether a key with these scopes may call a route that its user may call.
    fn admit(&self, meta: &Meta) -> bool {
        let is_kept = match area(meta) {
            Area::Account => true,
            Area::Users => !self.has(USERS),
            Area::Own | Area::Other => false,
        };
        let is_reading = meta.method == Method::GET;
        let is_named = match &meta.access {
            // Whom the permission is missing was refused before.
            Access::Permission(codename) => self.has(codename),
            _ => area(meta) == Area::Own,
        };
        !is_kept && (self.has(ALL) || self.has(READ) && is_reading || is_named)
    }
}

/// What a route is about, as far as keys are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    /// Logins and what guards them: not for keys.
    Account,
    /// Other users and what they may.
    Users,
    /// Who the key's user is: for every key.
    Own,
    Other,
}

/// Everything below `/api/auth/` that is not named here guards logins, so that a new route there is closed to keys.
fn area(meta: &Meta) -> Area {
    let Some(rest) = meta.path.strip_prefix("/api/auth/") else { return Area::Other };
    match rest.split('/').next().unwrap_or_default() {
        "management" | "groups" | "permissions" => Area::Users,
        "profile" | "stats" | "quota-usage" if meta.method == Method::GET => Area::Own,
        _ => Area::Account,
    }
}

/// Fails where the caller came with a key that is not for this route.
pub(crate) fn admit(meta: &Meta, caller: Option<&Caller>) -> Result<(), ApiError> {
    match caller.and_then(Caller::scopes) {
        Some(scopes) if meta.access != Access::Public && !scopes.admit(meta) => {
            Err(ApiError::Refused("This API key is not for that.".into()))
        }
        _ => Ok(()),
    }
}

/// Says whether there are keys for this route.
pub(crate) fn opens(meta: &Meta) -> bool {
    meta.access != Access::Public && area(meta) != Area::Account
}

/// A key as a request with it needs it.
#[derive(sqlx::FromRow)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    scopes: Value,
    last_used_at: Option<DateTime<Utc>>,
}

impl Found {
    /// Returns what the key is limited to.
    pub(crate) fn scopes(&self) -> Scopes {
        let names = self.scopes.as_array().into_iter().flatten();
        Scopes(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// Writes when and from where the key was used, unless that was written just now.
    pub(crate) async fn tell_use(&self, state: &AppState, peer: &Peer) -> Result<(), DbError> {
        let now = state.clock().now();
        if self.last_used_at.is_some_and(|last| now - last < USE_STEP) {
            return Ok(());
        }
        let update = Query::update()
            .table(Alias::new(TABLE))
            .value(Alias::new("last_used_at"), now)
            .value(Alias::new("last_used_ip"), peer.ip.to_string())
            .and_where(Expr::col(Alias::new("id")).eq(self.id))
            .take();
        state.db().run(&update).await.map(|_| ())
    }
}

/// Finds a key that has not expired.
pub(crate) async fn find(state: &AppState, fingerprint: &[u8]) -> Result<Option<Found>, DbError> {
    let expires_at = Expr::col(Alias::new("expires_at"));
    let query = Query::select()
        .columns(["id", "user_id", "scopes", "last_used_at"].map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("fingerprint")).eq(fingerprint))
        .and_where(expires_at.clone().is_null().or(expires_at.gt(state.clock().now())))
        .take();
    state.db().first(&query).await
}

/// Returns the fingerprint of a key of a user, by which it is found.
pub(crate) async fn fingerprint_of(state: &AppState, id: i64, user_id: i64) -> Result<Option<Vec<u8>>, DbError> {
    let query = Query::select()
        .column(Alias::new("fingerprint"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .take();
    Ok(state.db().first::<(Vec<u8>,)>(&query).await?.map(|(fingerprint,)| fingerprint))
}

/// A key that is to be made.
#[derive(Debug)]
pub(crate) struct NewKey<'a> {
    pub(crate) user_id: i64,
    pub(crate) name: &'a str,
    pub(crate) scopes: &'a Scopes,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Makes a key and returns its id and the key itself, which is not kept.
pub(crate) async fn make(
    transaction: &mut Transaction,
    state: &AppState,
    new: &NewKey<'_>,
) -> Result<(i64, String), DbError> {
    let key = format!("{PREFIX}{}", secrets::random_token());
    let columns = ["user_id", "name", "prefix", "fingerprint", "scopes", "created_at", "expires_at"];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            new.user_id.into(),
            new.name.into(),
            key[..PREFIX.len() + 6].into(),
            secrets::fingerprint(&key).into(),
            json!(new.scopes.0).into(),
            state.clock().now().into(),
            new.expires_at.into(),
        ])
        .returning_col(Alias::new("id"))
        .take();
    Ok((transaction.number(&insert).await?, key))
}

/// Returns how many keys a user has.
pub(crate) async fn count(transaction: &mut Transaction, user_id: i64) -> Result<i64, DbError> {
    let query = Query::select()
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .take();
    transaction.number(&query).await
}
