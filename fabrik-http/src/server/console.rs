//! What whoever sits at the server sees and does of accounts, beside making them.

use chrono::{DateTime, Utc};
use hashbrown::HashSet;
use sea_query::{Alias, Order, Query};

use super::audit::{Actor, Category, Entry};
use super::db::DbError;
use super::first::AdminError;
use super::permissions::{ADMIN, members_of};
use super::state::AppState;
use super::{reset_codes, users};

/// A user as `fabrik user list` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserSummary {
    /// The name to log in with.
    pub username: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// Whether the user passes all checks: a superuser, or in the group Admin.
    pub is_admin: bool,
    /// Whether the user may log in.
    pub is_active: bool,
    /// Who checks the password.
    pub auth_source: String,
    /// When tokens were last given.
    pub last_login: Option<DateTime<Utc>>,
}

/// Returns all users by name.
///
/// # Errors
///
/// A database that fails.
pub async fn list_users(state: &AppState) -> Result<Vec<UserSummary>, DbError> {
    let columns = ["id", "username", "email", "is_superuser", "is_active", "auth_source", "last_login"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new("auth_user"))
        .order_by(Alias::new("username_key"), Order::Asc)
        .take();
    let admins: HashSet<i64> = members_of(state.db(), ADMIN).await?.into_iter().collect();
    let rows =
        state.db().all::<(i64, String, String, bool, bool, String, Option<DateTime<Utc>>)>(&query).await?.into_iter();
    let summary = |(id, username, email, is_superuser, is_active, auth_source, last_login)| UserSummary {
        username,
        email,
        is_admin: is_superuser || admins.contains(&id),
        is_active,
        auth_source,
        last_login,
    };
    Ok(rows.map(summary).collect())
}

/// Makes a code by which a user chooses a new password, and returns it with the end of its time; older ones are void.
///
/// # Errors
///
/// A user that is not there or whose password is kept elsewhere, or a database that fails.
pub async fn generate_reset_code(state: &AppState, username: &str) -> Result<(String, DateTime<Utc>), AdminError> {
    let Some(user) = users::by_name(state.db(), username).await? else {
        return Err(AdminError::Refused(format!("there is no user called {username}")));
    };
    if user.auth_source != "local" {
        return Err(AdminError::Refused(format!("the password of {username} is kept by a directory")));
    }
    let mut transaction = state.db().begin().await?;
    let issued = reset_codes::issue(&mut transaction, state, user.id).await?;
    Entry::new(Category::UserManagement, "user_reset_code_generated", "Code for a new password made")
        .on("user", user.id, &user.username)
        .append(&mut transaction, state, &Actor::server())
        .await?;
    transaction.commit().await?;
    Ok(issued)
}
