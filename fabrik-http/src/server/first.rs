//! What a first start makes: the built-in groups, and the first administrator or a link to become one.

use chrono::TimeDelta;
use sea_query::{Alias, OnConflict, Query};
use secrecy::ExposeSecret;
use serde_json::json;

use super::audit::{Actor, Category, Entry};
use super::db::DbError;
use super::error::{ApiError, FieldErrors};
use super::folding::fold;
use super::memberships::{USER_GROUPS, group_named};
use super::moment::Moment;
use super::passwords::weaknesses;
use super::peer::Peer;
use super::permissions::{ADMIN, USERS};
use super::sessions::{self, Which};
use super::state::AppState;
use super::users::{self, NewUser};
use super::{lockout, secrets};

const SETUP: &str = "setup";

/// What a start found or made.
#[derive(Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// There are users.
    HasUsers,
    /// The administrator of the settings was made.
    AdminMade(String),
    /// There is nobody: whoever opens this path of the server, once, becomes the administrator.
    Link(String),
}

/// Why an administrator could not be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The name or the password makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ApiError> for AdminError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Invalid(errors) => Self::Refused(errors.first_sentence()),
            other => Self::Refused(format!("{other:?}")),
        }
    }
}

/// Adds the groups that every server has.
pub(crate) async fn make_groups(state: &AppState) -> Result<(), DbError> {
    for name in [ADMIN, USERS] {
        if state.db().first::<(i64,)>(&group_named(name)).await?.is_none() {
            let insert = Query::insert()
                .into_table(Alias::new("auth_group"))
                .columns(["name", "name_key"].map(Alias::new))
                .values_panic([name.into(), fold(name).into()])
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .take();
            state.db().run(&insert).await?;
        }
    }
    Ok(())
}

/// Makes the first administrator where there are no users, or a link to become one.
///
/// # Errors
///
/// A database that fails, or an administrator in the settings whose password is weak.
pub async fn first_start(state: &AppState) -> Result<FirstStart, AdminError> {
    if users::count(state.db()).await? > 0 {
        return Ok(FirstStart::HasUsers);
    }
    if let Some((username, password)) = &state.settings().admin {
        create_user(state, username, "", password.expose_secret(), true).await?;
        return Ok(FirstStart::AdminMade(username.clone()));
    }
    let token = secrets::random_token();
    secrets::forget(state.db(), SETUP).await?;
    secrets::keep_unless_there(state.db(), state.clock(), SETUP, secrets::fingerprint(&token)).await?;
    // Behind the hash, the token is in no log of any server or proxy.
    Ok(FirstStart::Link(format!("/setup/#{token}")))
}

/// Makes the first administrator for whoever has the token of the link; it is good once.
pub(crate) async fn set_up(
    state: &AppState,
    peer: &Peer,
    token: &str,
    username: &str,
    password: &str,
) -> Result<i64, ApiError> {
    const REFUSED: &str = "This link is not valid, or was used.";
    let kept = secrets::read(state.db(), SETUP).await?;
    let given = secrets::fingerprint(token);
    let is_right = kept.is_some_and(|kept| aws_lc_rs::constant_time::verify_slices_are_equal(&kept, &given).is_ok());
    if !is_right {
        return Err(ApiError::Refused(REFUSED.into()));
    }
    check(username, "", password)?;
    // Of two who have the link, one goes on.
    if !secrets::forget(state.db(), SETUP).await? || users::count(state.db()).await? > 0 {
        return Err(ApiError::Refused(REFUSED.into()));
    }
    make(state, &Actor::named(username, peer), &admin(username, ""), password).await
}

/// Adds a user, as `fabrik user create` does.
///
/// # Errors
///
/// A name that is taken, a weak password, or a database that fails.
pub async fn create_user(
    state: &AppState,
    username: &str,
    email: &str,
    password: &str,
    is_superuser: bool,
) -> Result<i64, AdminError> {
    check(username, email, password)?;
    if users::by_name(state.db(), username).await?.is_some() {
        return Err(AdminError::Refused(format!("a user called {username} already exists")));
    }
    let user = NewUser { is_superuser, ..admin(username, email) };
    Ok(make(state, &Actor::server(), &user, password).await?)
}

/// Adds an administrator that is gone after `life`, and returns its name and password.
///
/// # Errors
///
/// A database that fails.
pub async fn create_temporary_admin(state: &AppState, life: TimeDelta) -> Result<(String, String), AdminError> {
    let name = format!("recovery-{}", &secrets::random_token().to_lowercase().replace(['-', '_'], "x")[..8]);
    let password = secrets::random_token();
    let end = state.clock().now() + life;
    let user = NewUser { expires_at: Some(end), ..admin(&name, "") };
    make(state, &Actor::server(), &user, &password).await?;
    Ok((name, password))
}

/// Gives a user another password, unlocks the account and ends its sessions, as `fabrik user reset-password` does.
///
/// # Errors
///
/// A user that is not there, a weak password, or a database that fails.
pub async fn reset_password(state: &AppState, username: &str, password: &str) -> Result<(), AdminError> {
    let Some(user) = users::by_name(state.db(), username).await? else {
        return Err(AdminError::Refused(format!("there is no user called {username}")));
    };
    check(username, &user.email, password)?;
    let hash = state.passwords().hash(password).await?;
    let columns = vec![("password", hash.into()), ("is_active", true.into())];
    let mut transaction = state.db().begin().await?;
    users::set_within(&mut transaction, user.id, columns).await?;
    sessions::end_within(&mut transaction, state, user.id, Which::All, "password reset").await?;
    lockout::clear_within(&mut transaction, username).await?;
    Entry::new(Category::UserManagement, "user_password_reset", "Password reset at the server")
        .on("user", user.id, &user.username)
        .append(&mut transaction, state, &Actor::server())
        .await?;
    transaction.commit().await?;
    state.callers().forget_all();
    Ok(())
}

/// Returns an administrator for ever, without a password.
fn admin<'a>(username: &'a str, email: &'a str) -> NewUser<'a> {
    NewUser { username, email, password_hash: "", is_superuser: true, expires_at: None }
}

async fn make(state: &AppState, actor: &Actor, user: &NewUser<'_>, password: &str) -> Result<i64, ApiError> {
    let hash = state.passwords().hash(password).await?;
    let mut transaction = state.db().begin().await?;
    let group = transaction.first::<(i64,)>(&group_named(if user.is_superuser { ADMIN } else { USERS })).await?;
    let user = NewUser { password_hash: &hash, ..*user };
    let id = users::add(&mut transaction, &user, state.clock().now()).await?;
    if let Some((group,)) = group {
        USER_GROUPS.add(&mut transaction, id, group).await?;
    }
    Entry::new(Category::UserManagement, "user_created", "User made at the server")
        .on("user", id, user.username)
        .with(json!({ "is_superuser": user.is_superuser, "expires_at": user.expires_at.map(Moment) }))
        .append(&mut transaction, state, actor)
        .await?;
    transaction.commit().await?;
    Ok(id)
}

fn check(username: &str, email: &str, password: &str) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    if username.is_empty() || !username.chars().all(is_name_character) || username.chars().count() > 150 {
        errors.add("username", BAD_NAME);
    }
    for sentence in weaknesses(password, &[username, email]) {
        errors.add("password", sentence);
    }
    errors.into_result()
}

/// What a name may not be.
pub(crate) const BAD_NAME: &str = "Enter a valid username: up to 150 letters, digits, and any of @ . + - _";

/// Says whether a character may be in a name.
pub(crate) fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '@' | '.' | '+' | '-' | '_')
}
