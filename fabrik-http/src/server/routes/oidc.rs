//! Logging in by a provider: the browser goes there and comes back.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::form_urlencoded;

use super::auth::{LoginAnswer, proved};
use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Path, Query};
use crate::server::oidc::{self, Return};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;

/// What the browser that began a login is known by.
const COOKIE: &str = "fabrik_oidc";
/// The page that trades the code for tokens.
const PAGE: &str = "/signed-in/";

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/auth/oidc/providers/", "auth_oidc_providers", Access::Public, providers)
            .about("Lists the providers that users log in with."),
    );
    registry.add(
        Route::get("/api/auth/oidc/{name}/login/", "auth_oidc_login", Access::Public, leave)
            .about("Sends a browser to a provider; `next` is the path that it ends up at.")
            .throttle(Scope::Login)
            .errors(&[503]),
    );
    registry.add(
        Route::get("/api/auth/oidc/{name}/callback/", "auth_oidc_callback", Access::Public, arrive)
            .about("Takes a browser back from a provider and sends it to the page that trades a code for tokens.")
            .throttle(Scope::Login),
    );
    registry.add(
        Route::post("/api/auth/oidc/token/", "auth_oidc_token", Access::Public, trade)
            .about("Trades the code that a login by a provider ended with for tokens; it is good once.")
            .throttle(Scope::Login)
            .errors(&[401]),
    );
}

/// The providers that users log in with.
#[derive(Serialize, JsonSchema)]
struct OidcProviders {
    providers: Vec<OidcProvider>,
}

/// A provider that users log in with.
#[derive(Serialize, JsonSchema)]
struct OidcProvider {
    name: String,
    /// What a button says.
    label: String,
    /// Where a button leads.
    login_url: String,
}

async fn providers(State(state): State<AppState>) -> Json<OidcProviders> {
    let provider = |provider: &crate::server::settings::ProviderSettings| OidcProvider {
        name: provider.name.clone(),
        label: provider.label.clone(),
        login_url: format!("/api/auth/oidc/{}/login/", provider.name),
    };
    Json(OidcProviders { providers: state.settings().providers.iter().map(provider).collect() })
}

/// A browser that is sent on, with what it shall keep.
struct Redirect {
    to: String,
    cookie: Option<HeaderValue>,
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let Ok(to) = HeaderValue::try_from(self.to) else {
            return ApiError::Internal("an address that cannot stand in a header".into()).into_response();
        };
        let mut response =
            (StatusCode::FOUND, [(header::LOCATION, to), (header::CACHE_CONTROL, NO_STORE), NO_REFERRER])
                .into_response();
        if let Some(cookie) = self.cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The address that a browser comes back to holds a code.
const NO_REFERRER: (HeaderName, HeaderValue) = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));

impl Describe for Redirect {
    fn describe(operation: &mut Operation<'_>) {
        let location = json!({ "description": "where to", "schema": { "type": "string" } });
        operation.response(302, json!({ "description": reason(302), "headers": { "Location": location } }));
    }
}

/// Where a user wants to go after the login.
#[derive(Deserialize, JsonSchema)]
struct OidcLoginQuery {
    /// a path of this server; anything else counts as `/`
    #[serde(default)]
    #[schemars(length(max = 2000))]
    next: String,
}

async fn leave(
    State(state): State<AppState>,
    peer: Peer,
    Path(name): Path<String>,
    Query(query): Query<OidcLoginQuery>,
) -> Result<Redirect, ApiError> {
    let settings = oidc::named(&state, &name)?;
    let begun = oidc::begin(&state, settings, &query.next, &peer).await?;
    Ok(Redirect { to: begun.url.into(), cookie: Some(cookie(&peer, &begun.browser)) })
}

/// What a provider says by the address that it sends a browser to.
#[derive(Deserialize, JsonSchema)]
struct OidcCallbackQuery {
    /// the code to trade for tokens
    #[schemars(length(max = 4096))]
    code: Option<String>,
    /// what the login was begun with
    #[schemars(length(max = 500))]
    state: Option<String>,
    /// why there is no code
    #[schemars(length(max = 500))]
    error: Option<String>,
    /// which provider it is
    #[schemars(length(max = 2000))]
    iss: Option<String>,
}

async fn arrive(
    State(state): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Path(name): Path<String>,
    Query(query): Query<OidcCallbackQuery>,
) -> Result<Redirect, ApiError> {
    let settings = oidc::named(&state, &name)?;
    let OidcCallbackQuery { code, state: token, error, iss: issuer } = query;
    let returned = Return { code, state: token, error, issuer };
    let finished = oidc::finish(&state, settings, returned, browser(&headers).as_deref(), &peer).await?;
    let mut fragment = form_urlencoded::Serializer::new(String::new());
    match &finished {
        Ok(finished) => fragment.append_pair("code", &finished.code).append_pair("next", &finished.next),
        Err(denied) => fragment.append_pair("error", denied.code()),
    };
    // Behind the hash, the code is in no log of any server or proxy.
    Ok(Redirect { to: format!("{PAGE}#{}", fragment.finish()), cookie: None })
}

/// The code that a login by a provider ended with.
#[derive(Deserialize, JsonSchema)]
struct OidcTokenRequest {
    #[schemars(length(min = 1, max = 200))]
    code: String,
}

async fn trade(
    State(state): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Body(body): Body<OidcTokenRequest>,
) -> Result<LoginAnswer, ApiError> {
    let user = oidc::trade(&state, &body.code, browser(&headers).as_deref()).await?;
    proved(&state, &user, &peer).await
}

/// Returns what this browser was told to keep when the login began.
fn browser(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// A provider sends the browser back by a link, which is why the cookie cannot be stricter than `Lax`.
fn cookie(peer: &Peer, browser: &str) -> HeaderValue {
    let secure = if peer.origin().starts_with("https:") { "; Secure" } else { "" };
    let text = format!("{COOKIE}={browser}; Path=/api/auth/oidc/; Max-Age=660; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).expect("a token is plain")
}
