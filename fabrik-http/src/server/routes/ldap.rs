//! Logging in by the directory, and looking into it.

use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::{LoginAnswer, proved};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::{ApiError, chain};
use crate::server::extract::{Body, Json, Query};
use crate::server::ldap::{self, Connection, LdapFailure};
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::settings::LdapSettings;
use crate::server::state::AppState;
use crate::server::throttle::Scope;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/ldap-login/", "auth_ldap_login", Access::Public, log_in)
            .about("Trades a name and a password that the directory checks for tokens.")
            .throttle(Scope::Login)
            .errors(&[401, 503]),
    );
    registry.add(
        Route::get("/api/auth/ldap/status/", "auth_ldap_status", Access::Admin, status)
            .about("Tells which directory checks passwords, and whether it answers."),
    );
    registry.add(
        Route::post("/api/auth/ldap/test/", "auth_ldap_test", Access::Admin, test)
            .about("Tries the directory step by step, where a name and a password are given with a login.")
            .throttle(Scope::Login),
    );
    registry.add(
        Route::get("/api/auth/ldap/users/", "auth_ldap_users", Access::Admin, list_users)
            .about("Lists users of the directory.")
            .errors(&[503]),
    );
    registry.add(
        Route::get("/api/auth/ldap/groups/", "auth_ldap_groups", Access::Admin, list_groups)
            .about("Lists groups of the directory.")
            .errors(&[503]),
    );
}

/// What somebody logs in with.
#[derive(Deserialize, JsonSchema)]
struct LdapLoginRequest {
    #[schemars(length(min = 1, max = 254))]
    username: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
}

async fn log_in(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<LdapLoginRequest>,
) -> Result<LoginAnswer, ApiError> {
    let user = ldap::login(&state, &body.username, &body.password, &peer).await?;
    proved(&state, &user, &peer).await
}

/// Which directory checks passwords.
#[derive(Default, Serialize, JsonSchema)]
struct LdapStatus {
    enabled: bool,
    /// `ok`, `unreachable` or `disabled`.
    status: &'static str,
    url: String,
    /// Whether passwords travel encrypted.
    is_encrypted: bool,
    user_base: String,
    group_base: String,
    admin_group: String,
    require_group: String,
    /// Why it does not answer.
    error: String,
}

async fn status(State(state): State<AppState>) -> Json<LdapStatus> {
    let Some(settings) = &state.settings().ldap else {
        return Json(LdapStatus { status: "disabled", ..LdapStatus::default() });
    };
    let failure = Connection::open(settings).await.err();
    Json(LdapStatus {
        enabled: true,
        status: if failure.is_none() { "ok" } else { "unreachable" },
        url: settings.url.to_string(),
        is_encrypted: settings.start_tls || settings.url.scheme() == "ldaps",
        user_base: settings.user_base.clone(),
        group_base: settings.group_base.clone().unwrap_or_default(),
        admin_group: settings.admin_group.clone().unwrap_or_default(),
        require_group: settings.require_group.clone().unwrap_or_default(),
        error: failure.map_or_else(String::new, |failure| chain(&failure)),
    })
}

/// Whose login is tried, if anybody's.
#[derive(Deserialize, JsonSchema)]
struct LdapTestRequest {
    #[serde(default)]
    #[schemars(length(max = 254))]
    username: String,
    #[serde(default)]
    #[schemars(length(max = 1024))]
    password: String,
}

/// How the steps of a login went.
#[derive(Serialize, JsonSchema)]
struct LdapTestResponse {
    success: bool,
    steps: Vec<LdapStep>,
}

/// One step of a login.
#[derive(Serialize, JsonSchema)]
struct LdapStep {
    name: &'static str,
    success: bool,
    detail: String,
}

async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<LdapTestRequest>,
) -> Result<Json<LdapTestResponse>, ApiError> {
    let settings = enabled(&state)?;
    let mut steps = Vec::new();
    if let Err(failure) = try_steps(settings, &body, &mut steps).await {
        steps.push(LdapStep { name: "answer", success: false, detail: chain(&failure) });
    }
    let success = steps.iter().all(|step| step.success);
    let mut entry = Entry::new(Category::SystemSettings, "ldap_tested", "Tried the directory.");
    if !success {
        entry = entry.failed("a step failed");
    }
    entry.record(&state, &Actor::of(&caller)).await?;
    Ok(Json(LdapTestResponse { success, steps }))
}

async fn try_steps(
    settings: &LdapSettings,
    body: &LdapTestRequest,
    steps: &mut Vec<LdapStep>,
) -> Result<(), LdapFailure> {
    let mut step = |name, success, detail: String| steps.push(LdapStep { name, success, detail });
    let mut connection = Connection::open(settings).await?;
    step("connect", true, format!("{} answers and lets the server's own account in", settings.url));
    let (people, _) = connection.people("", 1).await?;
    step("search", !people.is_empty(), format!("users below {}", settings.user_base));
    if body.username.is_empty() {
        return Ok(());
    }
    let Some(person) = connection.person(&body.username).await? else {
        step("find", false, format!("no single entry for {:?} by {}", body.username, settings.user_filter));
        return Ok(());
    };
    step("find", true, person.dn.clone());
    let groups = connection.groups_of(&person).await?;
    let names: Vec<_> = groups.into_iter().map(|group| group.name).collect();
    step("groups", true, names.join(", "));
    if !body.password.is_empty() {
        let is_right = connection.is_password(&person.dn, &body.password).await?;
        step("login", is_right, if is_right { "the password is right" } else { "the password is wrong" }.to_owned());
    }
    Ok(())
}

/// Which entries are listed.
#[derive(Deserialize, JsonSchema)]
struct LdapListQuery {
    /// what the name has in it
    #[serde(default)]
    #[schemars(length(max = 100))]
    search: String,
    /// how many entries are given at most
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1000))]
    limit: u16,
}

fn hundred() -> u16 {
    100
}

/// Users of the directory.
#[derive(Serialize, JsonSchema)]
struct LdapUsers {
    results: Vec<LdapUser>,
    /// Whether there are more than the limit.
    is_truncated: bool,
}

/// A user of the directory.
#[derive(Serialize, JsonSchema)]
struct LdapUser {
    dn: String,
    username: String,
    email: String,
    first_name: String,
    last_name: String,
}

async fn list_users(
    State(state): State<AppState>,
    Query(query): Query<LdapListQuery>,
) -> Result<Json<LdapUsers>, ApiError> {
    let settings = enabled(&state)?;
    let listed = async { Connection::open(settings).await?.people(&query.search, query.limit.into()).await };
    let (people, is_truncated) = listed.await.map_err(|failure| unavailable(&failure))?;
    let user = |person: ldap::Person| LdapUser {
        dn: person.dn,
        username: person.username,
        email: person.email,
        first_name: person.first_name,
        last_name: person.last_name,
    };
    Ok(Json(LdapUsers { results: people.into_iter().map(user).collect(), is_truncated }))
}

/// Groups of the directory.
#[derive(Serialize, JsonSchema)]
struct LdapGroups {
    results: Vec<LdapGroup>,
    /// Whether there are more than the limit.
    is_truncated: bool,
}

/// A group of the directory.
#[derive(Serialize, JsonSchema)]
struct LdapGroup {
    dn: String,
    name: String,
    member_count: usize,
}

async fn list_groups(
    State(state): State<AppState>,
    Query(query): Query<LdapListQuery>,
) -> Result<Json<LdapGroups>, ApiError> {
    let settings = enabled(&state)?;
    let listed = async { Connection::open(settings).await?.groups(&query.search, query.limit.into()).await };
    let (groups, is_truncated) = listed.await.map_err(|failure| unavailable(&failure))?;
    let group = |group: ldap::Group| LdapGroup { dn: group.dn, name: group.name, member_count: group.members };
    Ok(Json(LdapGroups { results: groups.into_iter().map(group).collect(), is_truncated }))
}

fn enabled(state: &AppState) -> Result<&LdapSettings, ApiError> {
    state.settings().ldap.as_ref().ok_or(ApiError::BadRequest("LDAP login is not enabled.".into()))
}

fn unavailable(failure: &LdapFailure) -> ApiError {
    tracing::warn!(error = %chain(failure), "the directory does not answer");
    ApiError::Unavailable {
        status: StatusCode::SERVICE_UNAVAILABLE,
        detail: chain(failure).into(),
        error: "ldap_unavailable",
    }
}
