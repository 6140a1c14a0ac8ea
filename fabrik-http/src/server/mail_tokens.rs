//! Tokens that go out by mail: good once, for a time, and for what they were bound to.
//!
//! What is kept is the fingerprint of a token, and of what it is bound to: once that changes, the token is void,
//! whoever changed it and however.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query};

use super::db::{Database, DbError, Transaction};
use super::secrets::{fingerprint, random_token};
use super::state::AppState;
use super::users::User;

const TABLE: &str = "auth_mail_token";

/// What a token is for. One kind is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Choosing a new password; void once password or address change.
    PasswordReset,
    /// Proving an address; void once it changes.
    EmailVerification,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
        }
    }

    fn bound_to(self, user: &User) -> Vec<u8> {
        fingerprint(&match self {
            Self::PasswordReset => format!("{}\n{}", user.email, user.password),
            Self::EmailVerification => user.email.clone(),
        })
    }
}

/// Makes a token; older ones of the user for the same purpose are void.
pub(crate) async fn issue(
    transaction: &mut Transaction,
    state: &AppState,
    purpose: Purpose,
    user: &User,
    life: TimeDelta,
) -> Result<String, DbError> {
    let older = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user.id))
        .and_where(Expr::col(Alias::new("purpose")).eq(purpose.name()))
        .take();
    transaction.run(&older).await?;
    let (token, now) = (random_token(), state.clock().now());
    let columns = ["fingerprint", "purpose", "user_id", "bound_to", "created_at", "expires_at"];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            fingerprint(&token).into(),
            purpose.name().into(),
            user.id.into(),
            purpose.bound_to(user).into(),
            now.into(),
            (now + life).into(),
        ])
        .take();
    transaction.run(&insert).await?;
    Ok(token)
}

/// Returns when the last token for a purpose was made for a user, if it is still there.
pub(crate) async fn issued_at(
    transaction: &mut Transaction,
    purpose: Purpose,
    user_id: i64,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let query = Query::select()
        .column(Alias::new("created_at"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("purpose")).eq(purpose.name()))
        .take();
    Ok(transaction.first::<(DateTime<Utc>,)>(&query).await?.map(|(at,)| at))
}

/// Returns whose a token is, without using it up.
pub(crate) async fn owner(
    db: &Database,
    purpose: Purpose,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<i64>, DbError> {
    let query = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("fingerprint")).eq(fingerprint(token)))
        .and_where(Expr::col(Alias::new("purpose")).eq(purpose.name()))
        .and_where(Expr::col(Alias::new("expires_at")).gt(now))
        .take();
    Ok(db.first::<(i64,)>(&query).await?.map(|(id,)| id))
}

/// Uses up the token of a user as they are now; of two who show it, one gets true.
pub(crate) async fn redeem(
    transaction: &mut Transaction,
    purpose: Purpose,
    token: &str,
    user: &User,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("fingerprint")).eq(fingerprint(token)))
        .and_where(Expr::col(Alias::new("purpose")).eq(purpose.name()))
        .and_where(Expr::col(Alias::new("user_id")).eq(user.id))
        .and_where(Expr::col(Alias::new("bound_to")).eq(purpose.bound_to(user)))
        .and_where(Expr::col(Alias::new("expires_at")).gt(now))
        .take();
    Ok(transaction.run(&gone).await? > 0)
}

/// Forgets tokens whose time is over.
pub(crate) async fn purge(state: &AppState) -> Result<(), DbError> {
    let over = Expr::col(Alias::new("expires_at")).lte(state.clock().now());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await.map(|_| ())
}
