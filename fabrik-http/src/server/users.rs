//! Users and their groups in the database.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, Query, SelectStatement, UpdateStatement};

use super::db::{Database, DbError, Transaction};
use super::folding::{fold, key_column};

/// A user, as logins and the own account need it.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) email: String,
    /// The hash of the password; empty where there is none, as for users of a directory.
    pub(crate) password: String,
    pub(crate) is_active: bool,
    pub(crate) is_superuser: bool,
    pub(crate) auth_source: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) date_joined: DateTime<Utc>,
    pub(crate) display_timezone: String,
    pub(crate) date_format: String,
    pub(crate) time_format: String,
}

/// What a new user begins with.
#[derive(Debug)]
pub(crate) struct NewUser<'a> {
    pub(crate) username: &'a str,
    pub(crate) email: &'a str,
    pub(crate) password_hash: &'a str,
    pub(crate) is_superuser: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

const TABLE: &str = "auth_user";

fn select() -> SelectStatement {
    let columns = [
        "id",
        "username",
        "email",
        "password",
        "is_active",
        "is_superuser",
        "auth_source",
        "expires_at",
        "date_joined",
        "display_timezone",
        "date_format",
        "time_format",
    ];
    Query::select().columns(columns.map(Alias::new)).from(Alias::new(TABLE)).take()
}

/// Finds a user by the name to log in with, whatever its case.
pub(crate) async fn by_name(db: &Database, username: &str) -> Result<Option<User>, DbError> {
    let keys = [fold(username), username.to_owned()];
    let found = db.all::<User>(select().and_where(Expr::col(Alias::new("username_key")).is_in(keys))).await?;
    // Two that differ by case alone are older than the rule.
    let exact = found.iter().position(|user| user.username == username).unwrap_or_default();
    Ok(found.into_iter().nth(exact))
}

/// Finds a user.
pub(crate) async fn by_id(db: &Database, id: i64) -> Result<Option<User>, DbError> {
    db.first(select().and_where(Expr::col(Alias::new("id")).eq(id))).await
}

/// Finds the user with this address for mail, whatever its case.
pub(crate) async fn id_by_email(db: &Database, email: &str) -> Result<Option<i64>, DbError> {
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("email_key")).eq(fold(email)))
        .and_where(Expr::col(Alias::new("email")).ne(""))
        .take();
    Ok(db.first::<(i64,)>(&query).await?.map(|(id,)| id))
}

/// Finds a user inside a transaction.
pub(crate) async fn by_id_within(transaction: &mut Transaction, id: i64) -> Result<Option<User>, DbError> {
    transaction.first(select().and_where(Expr::col(Alias::new("id")).eq(id))).await
}

/// Returns how many users there are.
pub(crate) async fn count(db: &Database) -> Result<i64, DbError> {
    db.number(&Query::select().expr(Func::count(Expr::col(Alias::new("id")))).from(Alias::new(TABLE)).take()).await
}

/// Adds a user and returns the id.
pub(crate) async fn add(transaction: &mut Transaction, user: &NewUser<'_>, now: DateTime<Utc>) -> Result<i64, DbError> {
    let columns = [
        "username",
        "username_key",
        "email",
        "email_key",
        "password",
        "is_superuser",
        "is_staff",
        "expires_at",
        "date_joined",
    ];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            user.username.into(),
            fold(user.username).into(),
            user.email.into(),
            fold(user.email).into(),
            user.password_hash.into(),
            user.is_superuser.into(),
            user.is_superuser.into(),
            user.expires_at.into(),
            now.into(),
        ])
        .returning_col(Alias::new("id"))
        .take();
    transaction.number(&insert).await
}

/// Writes columns of a user inside a transaction.
pub(crate) async fn set_within(
    transaction: &mut Transaction,
    id: i64,
    columns: Vec<(&'static str, sea_query::Value)>,
) -> Result<(), DbError> {
    transaction.run(&setting(id, columns)).await.map(|_| ())
}

fn setting(id: i64, columns: Vec<(&'static str, sea_query::Value)>) -> UpdateStatement {
    let values = with_keys(columns).into_iter().map(|(name, value)| (Alias::new(name), Expr::from(value)));
    Query::update().table(Alias::new(TABLE)).values(values).and_where(Expr::col(Alias::new("id")).eq(id)).take()
}

/// Adds to names what they are compared by.
fn with_keys(columns: Vec<(&'static str, sea_query::Value)>) -> Vec<(String, sea_query::Value)> {
    let mut all = Vec::with_capacity(columns.len());
    for (name, value) in columns {
        if let ("username" | "email", sea_query::Value::String(Some(text))) = (name, &value) {
            all.push((key_column(name), fold(text).into()));
        }
        all.push((name.to_owned(), value));
    }
    all
}

/// Forgets users whose time is over.
pub(crate) async fn purge(db: &Database, now: DateTime<Utc>) -> Result<(), DbError> {
    let over = Expr::col(Alias::new("expires_at")).lte(now);
    db.run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}

/// Returns how many active users pass all checks, leaving one out.
pub(crate) async fn count_admins(transaction: &mut Transaction, but: Option<i64>) -> Result<i64, DbError> {
    let members = Query::select()
        .column((Alias::new("auth_user_group"), Alias::new("user_id")))
        .from(Alias::new("auth_user_group"))
        .inner_join(
            Alias::new("auth_group"),
            Expr::col((Alias::new("auth_group"), Alias::new("id")))
                .equals((Alias::new("auth_user_group"), Alias::new("group_id"))),
        )
        .and_where(Expr::col((Alias::new("auth_group"), Alias::new("name"))).eq(super::permissions::ADMIN))
        .take();
    let is_admin = Cond::any()
        .add(Expr::col(Alias::new("is_superuser")).eq(true))
        .add(Expr::col(Alias::new("id")).in_subquery(members));
    let query = Query::select()
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TABLE))
        .cond_where(is_admin)
        .and_where(Expr::col(Alias::new("is_active")).eq(true))
        .and_where(Expr::col(Alias::new("expires_at")).is_null())
        .and_where_option(but.map(|id| Expr::col(Alias::new("id")).ne(id)))
        .take();
    transaction.number(&query).await
}
