//! OpenID Connect: the provider is known by its issuer alone, and vouches by a signed ID token.

use openidconnect::core::{CoreClientAuthMethod, CoreGenderClaim, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DiscoveryError, EndpointMaybeSet,
    EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse, TokenResponse, UserInfoClaims, UserInfoError,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::http::{Http, HttpFailure};
use super::{Claims, Flow, Leaving, OtherClaims, ProviderClient, ProviderFailure, departure, exchange};
use crate::server::oidc::under_way::UnderWay;
use crate::server::settings::ProviderSettings;
use crate::server::state::AppState;

type OpenIdClient = ProviderClient<EndpointSet, EndpointMaybeSet, EndpointMaybeSet>;

/// Signatures that are made with a key that only the provider has. One made with the client's secret, or none, would be
/// a token that others can make.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Returns where a browser that begins a login is sent.
pub(super) async fn leave(
    settings: &ProviderSettings,
    issuer: &str,
    redirect_uri: &str,
    state: &str,
    nonce: &str,
) -> Result<Leaving, ProviderFailure> {
    let http = Http::new(settings.ca.as_deref())?;
    let client = discover(settings, issuer, &http).await?;
    let (state, nonce) = (CsrfToken::new(state.to_owned()), Nonce::new(nonce.to_owned()));
    let request = client.authorize_url(Flow::AuthorizationCode, move || state, move || nonce);
    departure(request, settings, redirect_uri)
}

/// Trades the code that a browser came back with for claims.
pub(super) async fn arrive(
    state: &AppState,
    settings: &ProviderSettings,
    issuer: &str,
    login: &UnderWay,
    code: String,
) -> Result<Claims, ProviderFailure> {
    let http = Http::new(settings.ca.as_deref())?;
    let client = discover(settings, issuer, &http).await?;
    let request = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| ProviderFailure::Discovery(error.to_string()))?;
    let tokens = exchange(request, login, &http).await?;
    let invalid = |problem: &dyn std::fmt::Display| ProviderFailure::Token(problem.to_string());
    let id_token = tokens.id_token().ok_or_else(|| invalid(&"there is none"))?;
    let clock = state.clock().clone();
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(move || clock.now());
    let nonce = Nonce::new(login.nonce.clone());
    let claims = id_token.claims(&verifier, &nonce).map_err(|error| invalid(&error))?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = id_token.signing_alg().map_err(|error| invalid(&error))?;
        let key = id_token.signing_key(&verifier).map_err(|error| invalid(&error))?;
        let hash =
            AccessTokenHash::from_token(tokens.access_token(), algorithm, key).map_err(|error| invalid(&error))?;
        if hash != *expected {
            return Err(invalid(&"it belongs to another access token"));
        }
    }
    let subject = claims.subject().to_string();
    let mut all = object(serde_json::to_value(claims));
    if let Ok(request) = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone())) {
        let told: UserInfoClaims<OtherClaims, CoreGenderClaim> =
            request.request_async(&http).await.map_err(|error| match error {
                UserInfoError::Request(failure) => ProviderFailure::Http(failure),
                other => ProviderFailure::UserInfo(other.to_string()),
            })?;
        // What is signed wins.
        for (name, value) in object(serde_json::to_value(told)) {
            all.entry(name).or_insert(value);
        }
    }
    Ok(Claims { subject, all: Value::Object(all) })
}

/// Asks the provider for its addresses and keys. Nothing is remembered: keys are changed without notice.
async fn discover(settings: &ProviderSettings, issuer: &str, http: &Http) -> Result<OpenIdClient, ProviderFailure> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| ProviderFailure::Discovery(error.to_string()))?;
    let metadata = CoreProviderMetadata::discover_async(issuer, http).await.map_err(|error| match error {
        DiscoveryError::<HttpFailure>::Request(failure) => ProviderFailure::Http(failure),
        other => ProviderFailure::Discovery(other.to_string()),
    })?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    let by_body = methods.is_some_and(|methods| {
        methods.contains(&CoreClientAuthMethod::ClientSecretPost)
            && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
    });
    let secret = settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
    let client = OpenIdClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret);
    Ok(client.set_auth_type(if by_body { AuthType::RequestBody } else { AuthType::BasicAuth }))
}

fn object(value: serde_json::Result<Value>) -> serde_json::Map<String, Value> {
    match value {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    }
}
