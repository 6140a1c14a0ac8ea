//! OAuth 2 without ID tokens: an address tells, to whoever has an access token, whose it is.

use openidconnect::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, IssuerUrl, JsonWebKeySet, Nonce, OAuth2TokenResponse, TokenUrl,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::http::Http;
use super::{Claims, Flow, Leaving, ProviderClient, ProviderFailure, departure, exchange};
use crate::server::oidc::under_way::UnderWay;
use crate::server::settings::{Addresses, ProviderSettings};

type PlainClient = ProviderClient<EndpointSet, EndpointSet, EndpointNotSet>;
type NewClient = ProviderClient<EndpointNotSet, EndpointNotSet, EndpointNotSet>;

/// Returns where a browser that begins a login is sent.
pub(super) fn leave(
    settings: &ProviderSettings,
    addresses: &Addresses,
    redirect_uri: &str,
    state: &str,
) -> Result<Leaving, ProviderFailure> {
    let client = client(settings, addresses);
    let state = CsrfToken::new(state.to_owned());
    // Without an ID token nobody reads the nonce.
    let request = client.authorize_url(Flow::AuthorizationCode, move || state, || Nonce::new(String::new()));
    departure(request, settings, redirect_uri)
}

/// Trades the code that a browser came back with for claims.
pub(super) async fn arrive(
    settings: &ProviderSettings,
    addresses: &Addresses,
    login: &UnderWay,
    code: String,
) -> Result<Claims, ProviderFailure> {
    let http = Http::new(settings.ca.as_deref())?;
    let client = client(settings, addresses);
    let tokens = exchange(client.exchange_code(AuthorizationCode::new(code)), login, &http).await?;
    let request = axum::http::Request::get(addresses.userinfo.as_str())
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {}", tokens.access_token().secret()))
        .body(Vec::new())
        .map_err(|_| ProviderFailure::NoToken("the token cannot stand in a header".to_owned()))?;
    let answer = http.call(request).await?;
    if !answer.status().is_success() {
        return Err(ProviderFailure::UserInfo(format!("status {}", answer.status().as_u16())));
    }
    let all: Value = serde_json::from_slice(answer.body())
        .map_err(|_| ProviderFailure::UserInfo("the answer is no JSON".to_owned()))?;
    let subject = match &all[addresses.subject_claim.as_str()] {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(ProviderFailure::NoSubject(addresses.subject_claim.clone())),
    };
    Ok(Claims { subject, all })
}

fn client(settings: &ProviderSettings, addresses: &Addresses) -> PlainClient {
    // There are no ID tokens, so no issuer and no keys are ever looked at.
    let issuer = IssuerUrl::from_url(addresses.authorize.clone());
    let client = NewClient::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::default());
    let client = match &settings.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    };
    client
        .disable_openid_scope()
        .set_auth_type(AuthType::RequestBody)
        .set_auth_uri(AuthUrl::from_url(addresses.authorize.clone()))
        .set_token_uri(TokenUrl::from_url(addresses.token.clone()))
}
