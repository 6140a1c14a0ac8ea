//! Who calls, found out from the credentials of a request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::api_keys::{self, Scopes};
use super::describe::Describe;
use super::error::ApiError;
use super::peer::Peer;
use super::registry::CallerSlot;
use super::state::AppState;
use super::tokens::TokenKind;
use super::{permissions, secrets};

/// How long a caller is remembered. Changes are seen at once, here and on other servers; but one by a command, or while
/// the servers cannot tell each other, is seen within this time.
const MEMORY: Duration = Duration::from_secs(1);
/// How many callers are remembered at most.
const MOST: usize = 10_000;

/// Who calls, and from where. Clones share what is known.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    known: Arc<Known>,
    peer: Peer,
}

/// Who is logged in.
#[derive(Debug)]
pub(crate) struct Known {
    id: i64,
    username: String,
    is_superuser: bool,
    is_admin: bool,
    permissions: HashSet<String>,
    credential: Credential,
    /// What an API key is limited to.
    scopes: Option<Scopes>,
}

/// What somebody logged in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credential {
    /// An access token of a session.
    Session(Uuid),
    /// An API key.
    ApiKey(i64),
}

impl Caller {
    /// Returns the id of the user.
    pub(crate) fn id(&self) -> i64 {
        self.known.id
    }

    /// Returns the name that the user logs in with.
    pub(crate) fn username(&self) -> &str {
        &self.known.username
    }

    /// Returns whether the user is a superuser, who alone makes others.
    pub(crate) fn is_superuser(&self) -> bool {
        self.known.is_superuser
    }

    /// Returns whether the user passes all checks: a superuser, or in the group Admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.known.is_admin
    }

    /// Returns whether the user has a permission.
    pub(crate) fn has(&self, codename: &str) -> bool {
        self.known.is_admin || self.known.permissions.contains(codename)
    }

    /// Returns where the request came from.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns what the user logged in with.
    pub(crate) fn credential(&self) -> Credential {
        self.known.credential
    }

    /// Returns the session, unless the user came with an API key.
    pub(crate) fn session(&self) -> Option<Uuid> {
        match self.known.credential {
            Credential::Session(id) => Some(id),
            Credential::ApiKey(_) => None,
        }
    }

    /// Returns what the API key is limited to, if the user came with one.
    pub(crate) fn scopes(&self) -> Option<&Scopes> {
        self.known.scopes.as_ref()
    }
}

/// Who called lately, so that a burst of requests asks the database once.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    remembered: Mutex<Remembered>,
    /// Counts the changes, for those who are connected for long.
    changes: watch::Sender<u64>,
    /// That there is a change of which the other servers were not told.
    untold: Notify,
}

#[derive(Debug, Default)]
struct Remembered {
    callers: HashMap<Presented, (Duration, Arc<Known>)>,
    /// Counts forgetting, so that what was read before is not remembered after.
    generation: u64,
}

/// What a request shows, checked as far as that goes without the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Presented {
    Session {
        id: Uuid,
        user_id: i64,
    },
    /// The fingerprint of an API key.
    ApiKey(Vec<u8>),
}

impl Presented {
    /// Returns what the headers show: nothing, or nothing that could be good.
    fn by(state: &AppState, headers: &HeaderMap) -> Option<Option<Self>> {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if let Some(token) = header("authorization").and_then(bearer) {
            if token.starts_with(api_keys::PREFIX) {
                return Some(Some(Self::ApiKey(secrets::fingerprint(token))));
            }
            let claims = state.token_key().read(token, TokenKind::Access, state.clock().now());
            return Some(claims.map(|claims| Self::Session { id: claims.sid, user_id: claims.user_id }));
        }
        let key = header(api_keys::HEADER)?.trim();
        Some(key.starts_with(api_keys::PREFIX).then(|| Self::ApiKey(secrets::fingerprint(key))))
    }
}

impl Callers {
    /// Forgets everybody; to be called after each write that may change who may do what.
    pub(crate) fn forget_all(&self) {
        self.forget_here();
        self.untold.notify_one();
    }

    /// Forgets everybody, as another server said.
    pub(crate) fn forget_here(&self) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.callers.clear();
        remembered.generation += 1;
        drop(remembered);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Returns what changes when somebody who is connected may no longer be who they were.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits for a change on this server of which the others are to be told; several at once count as one.
    pub(crate) async fn changed_here(&self) {
        self.untold.notified().await;
    }

    fn find(&self, presented: &Presented, now: Duration) -> Result<Arc<Known>, u64> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        match remembered.callers.get(presented) {
            Some((since, known)) if now.saturating_sub(*since) < MEMORY => Ok(Arc::clone(known)),
            _ => Err(remembered.generation),
        }
    }

    fn remember(&self, presented: Presented, known: &Arc<Known>, now: Duration, generation: u64) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.generation != generation {
            return;
        }
        if remembered.callers.len() >= MOST {
            remembered.callers.clear();
        }
        remembered.callers.insert(presented, (now, Arc::clone(known)));
    }
}

/// Finds out who sent a request: nobody, somebody, or somebody with credentials that are not good.
pub(crate) async fn authenticate(
    state: &AppState,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Option<Caller>, ApiError> {
    const BAD: ApiError = ApiError::BadToken("Given token not valid for any token type");
    let Some(presented) = Presented::by(state, headers) else { return Ok(None) };
    recall(state, presented.ok_or(BAD)?, peer).await?.map(Some).ok_or(BAD)
}

/// Returns the caller whom a credential stood for before, if it still does.
pub(crate) async fn resume(
    state: &AppState,
    user_id: i64,
    credential: Credential,
    peer: &Peer,
) -> Result<Option<Caller>, ApiError> {
    let presented = match credential {
        Credential::Session(id) => Presented::Session { id, user_id },
        Credential::ApiKey(id) => match api_keys::fingerprint_of(state, id, user_id).await? {
            Some(fingerprint) => Presented::ApiKey(fingerprint),
            None => return Ok(None),
        },
    };
    recall(state, presented, peer).await
}

/// Returns who shows this, from memory or from the database.
async fn recall(state: &AppState, presented: Presented, peer: &Peer) -> Result<Option<Caller>, ApiError> {
    let generation = match state.callers().find(&presented, state.clock().elapsed()) {
        Ok(known) => return Ok(Some(Caller { known, peer: peer.clone() })),
        Err(generation) => generation,
    };
    let found = match &presented {
        Presented::Session { id, user_id } => load(state, *user_id, *id).await?,
        Presented::ApiKey(fingerprint) => load_by_key(state, fingerprint, peer).await?,
    };
    let Some(known) = found else { return Ok(None) };
    let known = Arc::new(known);
    state.callers().remember(presented, &known, state.clock().elapsed(), generation);
    Ok(Some(Caller { known, peer: peer.clone() }))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[derive(sqlx::FromRow)]
struct UserRow {
    username: String,
    is_superuser: bool,
}

/// Reads a user whose session still goes.
pub(crate) async fn load(state: &AppState, user_id: i64, session: Uuid) -> Result<Option<Known>, ApiError> {
    let table = Alias::new("auth_session");
    let mut query = current_user(state, user_id);
    query
        .inner_join(
            table.clone(),
            Expr::col((table.clone(), Alias::new("user_id"))).equals((Alias::new("auth_user"), Alias::new("id"))),
        )
        .and_where(Expr::col((table.clone(), Alias::new("id"))).eq(session))
        .and_where(Expr::col((table, Alias::new("revoked_at"))).is_null());
    complete(state, user_id, &query, Credential::Session(session), None).await
}

/// Returns a user whom no request names, with what the user may do now: for what runs on somebody's behalf.
pub(crate) async fn of_user(state: &AppState, user_id: i64) -> Result<Option<Caller>, ApiError> {
    // There is no session with this id.
    let credential = Credential::Session(Uuid::nil());
    let known = complete(state, user_id, &current_user(state, user_id), credential, None).await?;
    Ok(known.map(|known| Caller { known: Arc::new(known), peer: Peer::local() }))
}

/// Reads a user by an API key that is good.
async fn load_by_key(state: &AppState, fingerprint: &[u8], peer: &Peer) -> Result<Option<Known>, ApiError> {
    let Some(key) = api_keys::find(state, fingerprint).await? else { return Ok(None) };
    let query = current_user(state, key.user_id);
    let known = complete(state, key.user_id, &query, Credential::ApiKey(key.id), Some(key.scopes())).await?;
    if known.is_some() {
        key.tell_use(state, peer).await?;
    }
    Ok(known)
}

/// Returns the query for a user who may log in now.
fn current_user(state: &AppState, user_id: i64) -> SelectStatement {
    let column = |name| Expr::col((Alias::new("auth_user"), Alias::new(name)));
    Query::select()
        .columns(["username", "is_superuser"].map(|name| (Alias::new("auth_user"), Alias::new(name))))
        .from(Alias::new("auth_user"))
        .and_where(column("id").eq(user_id))
        .and_where(column("is_active").eq(true))
        .and_where(column("expires_at").is_null().or(column("expires_at").gt(state.clock().now())))
        .take()
}

/// Reads what a user may do, as far as the key lets them.
async fn complete(
    state: &AppState,
    user_id: i64,
    query: &SelectStatement,
    credential: Credential,
    scopes: Option<Scopes>,
) -> Result<Option<Known>, ApiError> {
    let Some(row) = state.db().first::<UserRow>(query).await? else { return Ok(None) };
    let is_admin = row.is_superuser || permissions::is_in_admin(state.db(), user_id).await?;
    let mut permissions = HashSet::new();
    if let Some(codenames) = scopes.as_ref().and_then(Scopes::codenames) {
        let held = if is_admin { None } else { Some(permissions::of_user(state.db(), user_id).await?) };
        permissions
            .extend(codenames.filter(|name| held.as_ref().is_none_or(|held| held.contains(*name))).map(Into::into));
    } else if !is_admin {
        permissions = permissions::of_user(state.db(), user_id).await?;
    }
    // A key for single permissions makes nobody an administrator.
    let is_whole = scopes.as_ref().is_none_or(|scopes| scopes.codenames().is_none());
    Ok(Some(Known {
        id: user_id,
        username: row.username,
        is_superuser: row.is_superuser && is_whole,
        is_admin: is_admin && is_whole,
        permissions,
        credential,
        scopes,
    }))
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
