//! Logging in by a provider: OpenID Connect, and OAuth 2 with an address that tells who somebody is.
//!
//! The browser is sent to the provider with a challenge (PKCE), a state and a nonce, and comes back with a code. What
//! is kept of a login under way lies in the database, so that it may begin on one server and end on another; it is good
//! once, for ten minutes, and for the browser that began it, which a cookie tells. The tokens of the session never
//! stand in an address: the browser lands on a page with a code behind the hash, good once and for a minute, and trades
//! it. An account belongs to a subject of a provider, never to an address for mail or a name.

mod account;
mod provider;
mod under_way;

use axum::http::StatusCode;
use url::Url;

use super::audit::{Actor, Category, Entry};
use super::error::{ApiError, chain};
use super::peer::Peer;
use super::secrets::random_token;
use super::settings::ProviderSettings;
use super::state::AppState;
use super::users::{self, User};

use provider::ProviderFailure;
use under_way::UnderWay;

pub(crate) use under_way::purge;

/// What the address that a provider sends the browser back to says.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) issuer: Option<String>,
}

/// A login that begins.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Where the browser is sent.
    pub(crate) url: Url,
    /// What the browser keeps, to be known again.
    pub(crate) browser: String,
}

/// A login that the provider's side of is over.
#[derive(Debug)]
pub(crate) struct Finished {
    /// What the page trades for tokens.
    pub(crate) code: String,
    /// Where the user wanted to go.
    pub(crate) next: String,
}

/// Why somebody is not logged in, as the page is told and as the audit log says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the login is not under way in this browser, or took too long")]
    Expired,
    #[error("the provider said no: {0}")]
    ByProvider(String),
    #[error(transparent)]
    Failure(ProviderFailure),
    #[error("not in the group that may log in")]
    NotInGroup,
    #[error("there is no account, and none is made")]
    NoSignup,
    #[error("the account is not active")]
    Inactive,
    #[error("the name belongs to another account")]
    NameTaken,
    #[error("the provider told no name that an account can have")]
    NoName,
}

impl Denied {
    /// Returns the word that the page is told.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::ByProvider(_) => "denied",
            Self::Failure(failure) if failure.is_network() => "unavailable",
            Self::Failure(_) => "invalid",
            Self::NotInGroup | Self::NoSignup | Self::Inactive => "not_allowed",
            Self::NameTaken | Self::NoName => "name",
        }
    }
}

/// Returns the settings of a provider.
pub(crate) fn named<'a>(state: &'a AppState, name: &str) -> Result<&'a ProviderSettings, ApiError> {
    state.settings().providers.iter().find(|provider| provider.name == name).ok_or(ApiError::NotFound)
}

/// Begins a login; `next` is where the user wants to go then.
pub(crate) async fn begin(
    state: &AppState,
    settings: &ProviderSettings,
    next: &str,
    peer: &Peer,
) -> Result<Begun, ApiError> {
    let redirect_uri = format!("{}/api/auth/oidc/{}/callback/", peer.origin(), settings.name);
    let (token, nonce, browser) = (random_token(), random_token(), random_token());
    let leaving = provider::leave(settings, &redirect_uri, &token, &nonce).await.map_err(|failure| {
        tracing::warn!(provider = settings.name, error = %chain(&failure), "a login cannot begin");
        ApiError::Unavailable {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail: "The provider cannot be reached. Try again later.".into(),
            error: "oidc_unavailable",
        }
    })?;
    let login = UnderWay {
        provider: settings.name.clone(),
        redirect_uri,
        nonce,
        verifier: leaving.verifier,
        next: if is_local(next) { next.to_owned() } else { "/".to_owned() },
    };
    login.keep(state, &token, &browser).await?;
    Ok(Begun { url: leaving.url, browser })
}

/// Ends the provider's side of a login.
pub(crate) async fn finish(
    state: &AppState,
    settings: &ProviderSettings,
    returned: Return,
    browser: Option<&str>,
    peer: &Peer,
) -> Result<Result<Finished, Denied>, ApiError> {
    let finished = try_finish(state, settings, returned, browser, peer).await?;
    if let Err(denied) = &finished {
        tracing::info!(provider = settings.name, error = %chain(denied), "a login by a provider failed");
        let entry = Entry::new(Category::LoginLogout, "oidc_login", format!("Login by {} failed.", settings.label));
        entry.failed(denied.to_string()).record(state, &Actor::named("", peer)).await?;
    }
    Ok(finished)
}

async fn try_finish(
    state: &AppState,
    settings: &ProviderSettings,
    returned: Return,
    browser: Option<&str>,
    peer: &Peer,
) -> Result<Result<Finished, Denied>, ApiError> {
    let (Some(token), Some(browser)) = (&returned.state, browser) else { return Ok(Err(Denied::Expired)) };
    let login = match UnderWay::take(state, token, browser).await? {
        Some(login) if login.provider == settings.name => login,
        _ => return Ok(Err(Denied::Expired)),
    };
    if let Some(error) = returned.error {
        return Ok(Err(Denied::ByProvider(error.chars().filter(char::is_ascii_graphic).take(100).collect())));
    }
    let Some(code) = returned.code else { return Ok(Err(Denied::ByProvider("no code".to_owned()))) };
    let claims = match provider::arrive(state, settings, &login, code, returned.issuer.as_deref()).await {
        Ok(claims) => claims,
        Err(failure) => return Ok(Err(Denied::Failure(failure))),
    };
    let user = match account::keep(state, settings, &claims, peer).await? {
        Ok(user) => user,
        Err(denied) => return Ok(Err(denied)),
    };
    let code = under_way::keep_code(state, user, browser).await?;
    Ok(Ok(Finished { code, next: login.next }))
}

/// Returns the user that a code is for, and forgets the code.
pub(crate) async fn trade(state: &AppState, code: &str, browser: Option<&str>) -> Result<User, ApiError> {
    const REFUSED: ApiError = ApiError::LoginRefused("This code is not valid, or was used.");
    let id = match browser {
        Some(browser) => under_way::take_code(state, code, browser).await?,
        None => None,
    };
    let Some(id) = id else { return Err(REFUSED) };
    let now = state.clock().now();
    let user = users::by_id(state.db(), id).await?;
    let may = |user: &User| user.is_active && user.expires_at.is_none_or(|end| end > now);
    user.filter(may).ok_or(REFUSED)
}

/// Returns whether an address leads to this server, however a browser may read it.
fn is_local(next: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && c != '\\';
    next.starts_with('/') && !next.starts_with("//") && next.len() <= 2000 && next.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_local() {
        for next in ["/", "/queries/7/?tab=1#x", "/a//b", "/https://evil.example"] {
            assert!(is_local(next), "{next}");
        }
        for next in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "a", "\\/", "/\n"] {
            assert!(!is_local(next), "{next}");
        }
    }
}
