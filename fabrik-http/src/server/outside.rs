//! Users whom others vouch for: a directory or a provider checked who they are, and says what they may.

use sea_query::{Alias, Expr, ExprTrait, Func, Query};

use super::db::{DbError, Transaction};
use super::first::is_name_character;
use super::memberships::{USER_GROUPS, group_named};
use super::permissions::{ADMIN, USERS};
use super::state::AppState;
use super::users::{self, NewUser};

const TABLE: &str = "auth_user";

/// What others say of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outsider {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    /// Whether the user is an administrator, where others decide about that.
    pub(crate) is_admin: Option<bool>,
}

impl Outsider {
    /// Returns whether an account can have this name.
    pub(crate) fn has_good_name(&self) -> bool {
        let length = self.username.chars().count();
        (1..=150).contains(&length) && self.username.chars().all(is_name_character)
    }

    /// Adds the account, without a password, and returns its id.
    pub(crate) async fn add(
        &self,
        transaction: &mut Transaction,
        state: &AppState,
        source: &'static str,
    ) -> Result<i64, DbError> {
        let user =
            NewUser { username: &self.username, email: "", password_hash: "", is_superuser: false, expires_at: None };
        let id = users::add(transaction, &user, state.clock().now()).await?;
        set(transaction, id, vec![("auth_source", source.into())]).await?;
        if let Some((group,)) = transaction.first::<(i64,)>(&group_named(USERS)).await? {
            USER_GROUPS.add(transaction, id, group).await?;
        }
        self.update(transaction, id).await?;
        Ok(id)
    }

    /// Brings the account up to date with what others say now.
    pub(crate) async fn update(&self, transaction: &mut Transaction, id: i64) -> Result<(), DbError> {
        let short = |text: &str| text.chars().take(150).collect::<String>();
        let mut columns =
            vec![("first_name", short(&self.first_name).into()), ("last_name", short(&self.last_name).into())];
        // No two accounts have the same address; whoever had it first keeps it.
        if is_address(&self.email) && !is_taken(transaction, &self.email, id).await? {
            columns.push(("email", self.email.as_str().into()));
            columns.push(("email_verified", true.into()));
        }
        set(transaction, id, columns).await?;
        let Some(is_admin) = self.is_admin else { return Ok(()) };
        let Some((group,)) = transaction.first::<(i64,)>(&group_named(ADMIN)).await? else { return Ok(()) };
        match (is_admin, USER_GROUPS.has(transaction, id, group).await?) {
            (true, false) => USER_GROUPS.add(transaction, id, group).await,
            (false, true) => leave(transaction, id, group).await,
            _ => Ok(()),
        }
    }
}

fn is_address(text: &str) -> bool {
    let has_ends = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    has_ends && text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

async fn is_taken(transaction: &mut Transaction, email: &str, by_other_than: i64) -> Result<bool, DbError> {
    let same = Expr::expr(Func::lower(Expr::col(Alias::new("email")))).eq(Func::lower(Expr::val(email)));
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(TABLE))
        .and_where(same)
        .and_where(Expr::col(Alias::new("id")).ne(by_other_than))
        .take();
    Ok(transaction.first::<(i64,)>(&query).await?.is_some())
}

async fn leave(transaction: &mut Transaction, user: i64, group: i64) -> Result<(), DbError> {
    let gone = Query::delete()
        .from_table(Alias::new("auth_user_group"))
        .and_where(Expr::col(Alias::new("user_id")).eq(user))
        .and_where(Expr::col(Alias::new("group_id")).eq(group))
        .take();
    transaction.run(&gone).await.map(|_| ())
}

async fn set(
    transaction: &mut Transaction,
    id: i64,
    columns: Vec<(&'static str, sea_query::Value)>,
) -> Result<(), DbError> {
    let values = columns.into_iter().map(|(name, value)| (Alias::new(name), Expr::from(value)));
    let update =
        Query::update().table(Alias::new(TABLE)).values(values).and_where(Expr::col(Alias::new("id")).eq(id)).take();
    transaction.run(&update).await.map(|_| ())
}
