//! Who calls, found out from the credentials of a request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Query};
use uuid::Uuid;

use super::describe::Describe;
use super::error::ApiError;
use super::permissions;
use super::registry::CallerSlot;
use super::state::AppState;
use super::tokens::TokenKind;

/// How long a caller is remembered. A change on this server is seen at once, one on another within this time.
const MEMORY: Duration = Duration::from_secs(1);
/// How many callers are remembered at most.
const MOST: usize = 10_000;

/// Who is logged in. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Known>);

#[derive(Debug)]
struct Known {
    id: i64,
    username: String,
    is_superuser: bool,
    is_admin: bool,
    permissions: HashSet<String>,
    credential: Credential,
}

/// What somebody logged in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credential {
    /// An access token of a session.
    Session(Uuid),
}

impl Caller {
    /// Returns the id of the user.
    pub(crate) fn id(&self) -> i64 {
        self.0.id
    }

    /// Returns the name that the user logs in with.
    pub(crate) fn username(&self) -> &str {
        &self.0.username
    }

    /// Returns whether the user is a superuser, who alone makes others.
    pub(crate) fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// Returns whether the user passes all checks: a superuser, or in the group Admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.0.is_admin
    }

    /// Returns whether the user has a permission.
    pub(crate) fn has(&self, codename: &str) -> bool {
        self.0.is_admin || self.0.permissions.contains(codename)
    }

    /// Returns what the user logged in with.
    pub(crate) fn credential(&self) -> Credential {
        self.0.credential
    }
}

/// Who called lately, so that a burst of requests asks the database once.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    callers: HashMap<Credential, (Duration, Caller)>,
    /// Counts forgetting, so that what was read before is not remembered after.
    generation: u64,
}

impl Callers {
    /// Forgets everybody; to be called after each write that may change who may do what.
    pub(crate) fn forget_all(&self) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.callers.clear();
        remembered.generation += 1;
    }

    fn find(&self, credential: Credential, now: Duration) -> Result<Caller, u64> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match remembered.callers.get(&credential) {
            Some((since, caller)) if now.saturating_sub(*since) < MEMORY => Ok(caller.clone()),
            _ => Err(remembered.generation),
        }
    }

    fn remember(&self, caller: &Caller, now: Duration, generation: u64) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.generation != generation {
            return;
        }
        if remembered.callers.len() >= MOST {
            remembered.callers.clear();
        }
        remembered.callers.insert(caller.credential(), (now, caller.clone()));
    }
}

/// Finds out who sent a request: nobody, somebody, or somebody with credentials that are not good.
pub(crate) async fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    const BAD: ApiError = ApiError::BadToken("Given token not valid for any token type");
    let Some(token) = bearer(headers) else { return Ok(None) };
    let Some(claims) = state.token_key().read(token, TokenKind::Access, state.clock().now()) else { return Err(BAD) };
    let credential = Credential::Session(claims.sid);
    let generation = match state.callers().find(credential, state.clock().elapsed()) {
        Ok(caller) => return Ok(Some(caller)),
        Err(generation) => generation,
    };
    let Some(caller) = load(state, claims.user_id, credential).await? else { return Err(BAD) };
    state.callers().remember(&caller, state.clock().elapsed(), generation);
    Ok(Some(caller))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[derive(sqlx::FromRow)]
struct UserRow {
    username: String,
    is_superuser: bool,
}

/// Reads a user whose session still goes.
pub(crate) async fn load(state: &AppState, user_id: i64, credential: Credential) -> Result<Option<Caller>, ApiError> {
    let now = state.clock().now();
    let (user, session) = (Alias::new("auth_user"), Alias::new("auth_session"));
    let Credential::Session(sid) = credential;
    let query = Query::select()
        .columns(["username", "is_superuser"].map(|name| (user.clone(), Alias::new(name))))
        .from(user.clone())
        .inner_join(
            session.clone(),
            Expr::col((session.clone(), Alias::new("user_id"))).equals((user.clone(), Alias::new("id"))),
        )
        .and_where(Expr::col((user.clone(), Alias::new("id"))).eq(user_id))
        .and_where(Expr::col((user.clone(), Alias::new("is_active"))).eq(true))
        .and_where(
            Expr::col((user.clone(), Alias::new("expires_at"))).is_null().or(Expr::col((
                user,
                Alias::new("expires_at"),
            ))
            .gt(now)),
        )
        .and_where(Expr::col((session.clone(), Alias::new("id"))).eq(sid))
        .and_where(Expr::col((session, Alias::new("revoked_at"))).is_null())
        .take();
    let Some(row) = state.db().first::<UserRow>(&query).await? else { return Ok(None) };
    let is_admin = row.is_superuser || permissions::is_in_admin(state.db(), user_id).await?;
    Ok(Some(Caller(Arc::new(Known {
        id: user_id,
        username: row.username,
        is_superuser: row.is_superuser,
        is_admin,
        permissions: if is_admin { HashSet::new() } else { permissions::of_user(state.db(), user_id).await? },
        credential,
    }))))
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        slot(parts).ok_or(ApiError::NotLoggedIn)
    }
}

impl Describe for Caller {}

/// The caller of a public route, who may be nobody.
#[derive(Clone, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "a public route that shows more to those it knows takes it"))]
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for MaybeCaller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(slot(parts)))
    }
}

impl Describe for MaybeCaller {}

fn slot(parts: &Parts) -> Option<Caller> {
    parts.extensions.get::<CallerSlot>().and_then(|slot| slot.0.clone())
}
