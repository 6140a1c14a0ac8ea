//! What is sent to a provider and what comes back, checked.

mod http;
mod openid;
mod plain;

use std::borrow::Cow;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthenticationFlow, AuthorizationRequest, Client, CodeTokenRequest, EmptyExtraTokenFields,
    EndpointNotSet, IdTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::under_way::UnderWay;
use crate::server::settings::{ProviderKind, ProviderSettings};
use crate::server::state::AppState;
use http::{Http, HttpFailure};

/// What a provider says of somebody, after all checks.
#[derive(Debug)]
pub(super) struct Claims {
    /// What stays the same for somebody for ever.
    pub(super) subject: String,
    pub(super) all: Value,
}

/// A browser that is sent to the provider.
pub(super) struct Leaving {
    pub(super) url: Url,
    pub(super) verifier: String,
}

/// Why a provider's answer is no login.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderFailure {
    #[error("the provider cannot be asked")]
    Http(#[from] HttpFailure),
    #[error("what the provider says of itself makes no sense: {0}")]
    Discovery(String),
    #[error("the provider gave no token: {0}")]
    NoToken(String),
    #[error("the ID token is not valid: {0}")]
    Token(String),
    #[error("what the provider tells of the user makes no sense: {0}")]
    UserInfo(String),
    #[error("the answer is from another issuer than {0}")]
    OtherIssuer(String),
    #[error("the provider told no {0}")]
    NoSubject(String),
}

impl ProviderFailure {
    /// Returns whether trying again later may help.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Http(_))
    }
}

/// Claims beside those of the standard.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct OtherClaims {
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type TokenError = StandardErrorResponse<CoreErrorResponseType>;
type ProviderClient<Auth, Token, UserInfo> = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenError,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    Auth,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    Token,
    UserInfo,
>;
type Flow = AuthenticationFlow<CoreResponseType>;

/// Returns where a browser that begins a login is sent.
pub(super) async fn leave(
    settings: &ProviderSettings,
    redirect_uri: &str,
    state: &str,
    nonce: &str,
) -> Result<Leaving, ProviderFailure> {
    match &settings.kind {
        ProviderKind::Oidc { issuer } => openid::leave(settings, issuer, redirect_uri, state, nonce).await,
        ProviderKind::OAuth2(addresses) => plain::leave(settings, addresses, redirect_uri, state),
    }
}

/// Trades the code that a browser came back with for claims.
pub(super) async fn arrive(
    state: &AppState,
    settings: &ProviderSettings,
    login: &UnderWay,
    code: String,
    issuer: Option<&str>,
) -> Result<Claims, ProviderFailure> {
    match &settings.kind {
        ProviderKind::Oidc { issuer: own } if issuer.is_some_and(|issuer| issuer != own) => {
            Err(ProviderFailure::OtherIssuer(own.clone()))
        }
        ProviderKind::Oidc { issuer } => openid::arrive(state, settings, issuer, login, code).await,
        ProviderKind::OAuth2(addresses) => plain::arrive(settings, addresses, login, code).await,
    }
}

/// Completes the address that a browser is sent to.
fn departure(
    request: AuthorizationRequest<'_, CoreAuthDisplay, CoreAuthPrompt, CoreResponseType>,
    settings: &ProviderSettings,
    redirect_uri: &str,
) -> Result<Leaving, ProviderFailure> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    // The client asks for this one by itself, where it is right.
    let scopes = settings.scopes.iter().filter(|scope| *scope != "openid");
    let (url, _, _) = request
        .add_scopes(scopes.map(|scope| Scope::new(scope.clone())))
        .set_pkce_challenge(challenge)
        .set_redirect_uri(Cow::Owned(redirect(redirect_uri)?))
        .url();
    Ok(Leaving { url, verifier: verifier.secret().clone() })
}

/// Trades a code for tokens.
async fn exchange(
    request: CodeTokenRequest<'_, TokenError, Tokens>,
    login: &UnderWay,
    http: &Http,
) -> Result<Tokens, ProviderFailure> {
    use openidconnect::RequestTokenError;
    let request = request
        .set_pkce_verifier(PkceCodeVerifier::new(login.verifier.clone()))
        .set_redirect_uri(Cow::Owned(redirect(&login.redirect_uri)?));
    request.request_async(http).await.map_err(|error| match error {
        RequestTokenError::Request(failure) => ProviderFailure::Http(failure),
        RequestTokenError::ServerResponse(refusal) => ProviderFailure::NoToken(refusal.to_string()),
        // What could not be read may be a token, so it is not told.
        RequestTokenError::Parse(..) => ProviderFailure::NoToken("the answer makes no sense".to_owned()),
        RequestTokenError::Other(problem) => ProviderFailure::NoToken(problem),
    })
}

fn redirect(uri: &str) -> Result<RedirectUrl, ProviderFailure> {
    RedirectUrl::new(uri.to_owned()).map_err(|error| ProviderFailure::Discovery(error.to_string()))
}
