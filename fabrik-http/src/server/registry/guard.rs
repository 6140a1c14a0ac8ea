//! What stands before every handler: who is it, may they, and not too often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Access, Meta};
use crate::server::api_keys;
use crate::server::caller::{Caller, authenticate};
use crate::server::error::ApiError;
use crate::server::observe::Answered;
use crate::server::peer::Peer;
use crate::server::state::AppState;
use crate::server::throttle::{Bucket, Scope};

/// Who calls, as handlers take it out of the request.
#[derive(Clone, Debug)]
pub(crate) struct CallerSlot(pub(crate) Option<Caller>);

/// Lets a request through to its handler, or answers why not.
pub(super) async fn guard(
    State((state, meta)): State<(AppState, Arc<Meta>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().expect("every request passes find_peer").clone();
    let (caller, refusal) = match check(&state, &meta, request.headers(), &peer).await {
        Ok(caller) => (caller, None),
        Err(error) => (None, Some(error)),
    };
    let answered = Answered { route: Arc::clone(&meta.path), user: caller.as_ref().map(Caller::id) };
    let mut response = match refusal {
        Some(error) => error.into_response(),
        None => {
            request.extensions_mut().insert(CallerSlot(caller));
            next.run(request).await
        }
    };
    response.extensions_mut().insert(answered);
    response
}

async fn check(state: &AppState, meta: &Meta, headers: &HeaderMap, peer: &Peer) -> Result<Option<Caller>, ApiError> {
    let address = Bucket::of_address(peer.ip);
    let take = |scope: Scope, bucket: Bucket| state.throttles().take(state.db(), scope, bucket);
    // Who is not known pays before the token is looked at, so that guessing at tokens is limited, too.
    let caller = match authenticate(state, headers, peer).await {
        // A bad token does not matter where nobody asked for one.
        Err(ApiError::BadToken(_)) if meta.access == Access::Public => None,
        Err(error) => {
            take(Scope::Anonymous, address).await?;
            return Err(error);
        }
        Ok(caller) => caller,
    };
    let bucket = caller.as_ref().map_or(address, |caller| Bucket::User(caller.id()));
    if !meta.is_exempt {
        take(if caller.is_some() { Scope::User } else { Scope::Anonymous }, bucket).await?;
    }
    allow(&meta.access, caller.as_ref())?;
    api_keys::admit(meta, caller.as_ref())?;
    if let Some(scope) = meta.scope {
        take(scope, bucket).await?;
    }
    Ok(caller)
}

/// Says whether the caller may call what has this access.
fn allow(access: &Access, caller: Option<&Caller>) -> Result<(), ApiError> {
    let caller = match (access, caller) {
        (Access::Public, _) => return Ok(()),
        (_, None) => return Err(ApiError::NotLoggedIn),
        (_, Some(caller)) => caller,
    };
    match access {
        Access::Public | Access::Login => Ok(()),
        Access::Admin if caller.is_admin() => Ok(()),
        Access::Admin => Err(ApiError::forbidden()),
        Access::Permission(codename) if caller.has(codename) => Ok(()),
        Access::Permission(codename) => Err(ApiError::Forbidden { required: Some(codename.clone()) }),
    }
}
