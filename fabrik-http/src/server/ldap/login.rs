//! Logging in with a password that the directory checks.

use serde_json::json;

use super::{Connection, LdapFailure, Person};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::error::{ApiError, chain};
use crate::server::outside::Outsider;
use crate::server::peer::Peer;
use crate::server::settings::LdapSettings;
use crate::server::state::AppState;
use crate::server::users::User;
use crate::server::{lockout, users};

const REFUSED: ApiError = ApiError::LoginRefused("No active account found with the given credentials");
const SOURCE: &str = "ldap";

/// Returns the user whose password the directory says this is, brought up to date, or counts the failure.
pub(crate) async fn login(state: &AppState, username: &str, password: &str, peer: &Peer) -> Result<User, ApiError> {
    let Some(settings) = &state.settings().ldap else {
        return Err(ApiError::BadRequest("LDAP login is not enabled.".into()));
    };
    lockout::check(state, username).await?;
    let found = match prove(state, settings, username, password).await? {
        Ok(found) => found,
        Err(failure) => return Err(unavailable(state, username, peer, &failure).await),
    };
    let refusal = match found {
        Proof::Right { dn, outsider } => match keep(state, &dn, &outsider, peer).await? {
            // The session that begins clears the failures; where there is a second step, not before that.
            Ok(user) => return Ok(user),
            Err(refusal) => refusal,
        },
        Proof::Wrong { person } => {
            // A name that is written in another way, as directories allow, is no way around the lock.
            lockout::count_failure(state, person.as_deref().unwrap_or(username)).await?;
            "wrong name or password"
        }
        Proof::NotInGroup => "not in the group that may log in",
    };
    let entry = Entry::new(Category::LoginLogout, "ldap_login", "Login with the directory failed.");
    entry.failed(refusal).record(state, &Actor::named(username, peer)).await?;
    Err(REFUSED)
}

/// What the directory says to a name and a password.
enum Proof {
    Right { dn: String, outsider: Outsider },
    Wrong { person: Option<String> },
    NotInGroup,
}

async fn prove(
    state: &AppState,
    settings: &LdapSettings,
    username: &str,
    password: &str,
) -> Result<Result<Proof, LdapFailure>, ApiError> {
    let mut connection = match Connection::open(settings).await {
        Ok(connection) => connection,
        Err(failure) => return Ok(Err(failure)),
    };
    let person = match connection.person(username).await {
        Ok(person) => person,
        Err(failure) => return Ok(Err(failure)),
    };
    if let Some(person) = &person {
        lockout::check(state, &person.username).await?;
    }
    Ok(ask(&mut connection, settings, person, password).await)
}

async fn ask(
    connection: &mut Connection<'_>,
    settings: &LdapSettings,
    person: Option<Person>,
    password: &str,
) -> Result<Proof, LdapFailure> {
    let Some(person) = person else {
        // As much is asked for a name that nobody has, so that the time tells little.
        connection.is_password(&format!("cn=nobody,{}", settings.user_base), password).await?;
        return Ok(Proof::Wrong { person: None });
    };
    if !connection.is_password(&person.dn, password).await? {
        return Ok(Proof::Wrong { person: Some(person.username) });
    }
    let groups = connection.groups_of(&person).await?;
    let is_allowed = |wanted: &String| groups.iter().any(|group| group.is(wanted));
    if !settings.require_group.as_ref().is_none_or(is_allowed) {
        return Ok(Proof::NotInGroup);
    }
    let outsider = person.as_outsider(settings, &groups);
    Ok(Proof::Right { dn: person.dn, outsider })
}

/// Makes the account at the first login, brings it up to date at others, and says why it may not log in.
async fn keep(
    state: &AppState,
    dn: &str,
    outsider: &Outsider,
    peer: &Peer,
) -> Result<Result<User, &'static str>, ApiError> {
    if !outsider.has_good_name() {
        return Ok(Err("a name that no account can have"));
    }
    let known = users::by_name(state.db(), &outsider.username).await?;
    let now = state.clock().now();
    match &known {
        // Who has a local account did not agree that the directory decides about it.
        Some(user) if user.auth_source != SOURCE => return Ok(Err("the name belongs to an account of another kind")),
        Some(user) if !user.is_active => return Ok(Err("the account is not active")),
        Some(user) if user.expires_at.is_some_and(|end| end <= now) => return Ok(Err("the account has expired")),
        _ => {}
    }
    let mut transaction = state.db().begin().await?;
    let id = match &known {
        Some(user) => {
            outsider.update(&mut transaction, user.id).await?;
            user.id
        }
        None => match outsider.add(&mut transaction, state, SOURCE).await {
            Err(error) if error.is_duplicate() => return Ok(Err("another login made the account at this moment")),
            added => added?,
        },
    };
    Entry::new(Category::LoginLogout, "ldap_login", "Logged in with the directory.")
        .on("user", id, &outsider.username)
        .with(json!({ "dn": dn, "is_new": known.is_none(), "is_admin": outsider.is_admin }))
        .append(&mut transaction, state, &Actor::user(id, &outsider.username, peer))
        .await?;
    transaction.commit().await?;
    state.callers().forget_all();
    Ok(users::by_id(state.db(), id).await?.ok_or("the account was deleted"))
}

async fn unavailable(state: &AppState, username: &str, peer: &Peer, failure: &LdapFailure) -> ApiError {
    tracing::warn!(error = %chain(failure), "the directory does not answer");
    let entry = Entry::new(Category::LoginLogout, "ldap_login", "Login with the directory failed.");
    if let Err(error) = entry.failed(failure.to_string()).record(state, &Actor::named(username, peer)).await {
        return error.into();
    }
    ApiError::Unavailable {
        status: axum::http::StatusCode::SERVICE_UNAVAILABLE,
        detail: "The directory cannot be reached. Try again later.".into(),
        error: "ldap_unavailable",
    }
}
