//! Connections to controllers: what is kept of them, who may use them, and the sessions that last.
//!
//! A password is sealed for the id of its connection and opened only to log in there.

mod host;
mod pool;
mod test;

use std::fmt;
use std::num::NonZeroU64;

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fabrik_apic::{Client, ConnectionOptions, Credentials, Secret, Verification};
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, Query, SelectStatement};

use super::caller::Caller;
use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::seal;
use super::state::AppState;

pub(crate) use host::normalize;
pub(crate) use pool::{Controllers, tidy};
pub(crate) use test::{remember_test, test};

/// The table of connections.
pub(crate) const TABLE: &str = "apic_connection";
/// The table of whom they are shared with.
pub(crate) const SHARES: &str = "apic_connection_share";

/// A connection as it is kept.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Connection {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Scheme, name and port of the controller.
    pub(crate) host: String,
    pub(crate) username: String,
    pub(crate) login_domain: String,
    pub(crate) verify_ssl: bool,
    /// The authorities that its certificate is checked by, in PEM form; those of the machine where it is empty.
    pub(crate) ca_certificate: String,
    /// How many seconds an answer may take.
    pub(crate) timeout: i64,
    pub(crate) is_active: bool,
    /// Whose it is; nobody's once its user is gone.
    pub(crate) owner_id: Option<i64>,
    /// The sealed password.
    secret: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns a client whose session is shared by all who use this connection.
    ///
    /// Fails where the connection is switched off or its password cannot be opened.
    pub(crate) fn client(&self, state: &AppState) -> Result<Client, ApiError> {
        if !self.is_active {
            return Err(ApiError::BadRequest(format!("The connection {} is switched off.", self.name).into()));
        }
        state.controllers().client(state, self)
    }

    fn options(&self) -> ConnectionOptions {
        let mut options = ConnectionOptions::new(&self.host);
        options.verification = verification(self.verify_ssl, &self.ca_certificate);
        options.timeout_seconds = u64::try_from(self.timeout).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
        options
    }

    fn credentials(&self, state: &AppState) -> Result<Credentials, ApiError> {
        let opened = BASE64_STANDARD.decode(&self.secret).ok();
        let opened = opened.and_then(|sealed| seal::open(state, &purpose(self.id), &sealed));
        let password = opened.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(ApiError::Unavailable {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail: "The stored password of the connection cannot be opened; give it anew.".into(),
            error: "connection_secret",
        })?;
        Ok(Credentials::Password {
            username: self.username.clone(),
            domain: Some(self.login_domain.clone()).filter(|domain| !domain.is_empty()),
            password: Secret::new(password),
        })
    }
}

/// Returns how a certificate is checked.
pub(crate) fn verification(verify_ssl: bool, ca_certificate: &str) -> Verification {
    match (verify_ssl, ca_certificate.trim()) {
        (false, _) => Verification::Off,
        (true, "") => Verification::System,
        (true, authority) => Verification::Authority(authority.to_owned()),
    }
}

/// Returns whether a caller may change a connection of this owner.
pub(crate) fn may_edit(caller: &Caller, owner_id: Option<i64>) -> bool {
    caller.is_admin() || owner_id == Some(caller.id())
}

/// Narrows a query for connections to those that a caller can see: the own ones, those shared with them, public ones;
/// administrators see all.
pub(crate) fn visible(caller: &Caller, query: &mut SelectStatement) {
    if caller.is_admin() {
        return;
    }
    let shared = Query::select()
        .column(Alias::new("connection_id"))
        .from(Alias::new(SHARES))
        .and_where(Expr::col(Alias::new("user_id")).eq(caller.id()))
        .take();
    let any = Cond::any()
        .add(column("owner_id").eq(caller.id()))
        .add(column("is_public").eq(true))
        .add(column("id").in_subquery(shared));
    query.cond_where(any);
}

/// Returns a connection that a caller can see.
pub(crate) async fn find(state: &AppState, caller: &Caller, id: i64) -> Result<Connection, ApiError> {
    let mut query = select(id);
    visible(caller, &mut query);
    state.db().first(&query).await?.ok_or(ApiError::NotFound)
}

fn select(id: i64) -> SelectStatement {
    let columns = [
        "id",
        "name",
        "host",
        "username",
        "login_domain",
        "verify_ssl",
        "ca_certificate",
        "timeout",
        "is_active",
        "owner_id",
        "secret",
    ];
    Query::select()
        .columns(columns.map(|name| (Alias::new(TABLE), Alias::new(name))))
        .from(Alias::new(TABLE))
        .and_where(column("id").eq(id))
        .take()
}

/// Keeps the password of a connection, sealed for it.
pub(crate) async fn keep_password(
    transaction: &mut Transaction,
    state: &AppState,
    id: i64,
    password: &str,
) -> Result<(), DbError> {
    let sealed = BASE64_STANDARD.encode(seal::seal(state, &purpose(id), password.as_bytes()));
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("secret"), sealed)
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    transaction.run(&update).await.map(|_| ())
}

/// Returns the query that counts the connections of these users.
pub(crate) fn counting(owners: &[i64]) -> SelectStatement {
    Query::select()
        .column(Alias::new("owner_id"))
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("owner_id")).is_in(owners.iter().copied()))
        .group_by_col(Alias::new("owner_id"))
        .take()
}

/// Returns a column of the table.
pub(crate) fn column(name: &'static str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}

/// What a password is sealed for, so that no other connection can use it.
fn purpose(id: i64) -> String {
    format!("apic connection {id}")
}
