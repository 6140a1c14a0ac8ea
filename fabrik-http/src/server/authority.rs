//! Who may do what to whom, for every way there is: fields, actions and deletion.
//!
//! Only superusers change superusers, make others, and decide who is in the group Admin. Nobody takes their own account
//! away. An active administrator stays, whatever happens at the same time.

use sea_query::{Alias, Expr, ExprTrait, LockType, Query};

use super::caller::Caller;
use super::db::{DbError, Transaction};
use super::error::ApiError;
use super::permissions::ADMIN;
use super::users::{self, User};

const LAST_ADMIN: ApiError = ApiError::BadRequest(std::borrow::Cow::Borrowed(
    "The last administrator can be neither deleted, deactivated nor stripped.",
));

/// Finds the user that a caller wants to change, or fails where the caller may not.
///
/// To be called first in a transaction: until its end, nobody else changes who is an administrator. So of two
/// administrators who take each other's rights at the same time, one is refused.
pub(crate) async fn target(transaction: &mut Transaction, caller: &Caller, user_id: i64) -> Result<User, ApiError> {
    hold_admins(transaction).await?;
    let user = users::by_id_within(transaction, user_id).await?.ok_or(ApiError::NotFound)?;
    check(caller, &user)?;
    Ok(user)
}

/// Fails where a caller may not change a user.
pub(crate) fn check(caller: &Caller, user: &User) -> Result<(), ApiError> {
    if user.is_superuser && !caller.is_superuser() { Err(ApiError::forbidden()) } else { Ok(()) }
}

/// Fails where a transaction leaves nobody who passes all checks: after a change, or with the id of who is to go.
pub(crate) async fn keep_an_admin(transaction: &mut Transaction, leaving: Option<i64>) -> Result<(), ApiError> {
    if users::count_admins(transaction, leaving).await? == 0 { Err(LAST_ADMIN) } else { Ok(()) }
}

/// Lets one transaction at a time change who is an administrator.
async fn hold_admins(transaction: &mut Transaction) -> Result<(), DbError> {
    let lock = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_group"))
        .and_where(Expr::col(Alias::new("name")).eq(ADMIN))
        .lock(LockType::NoKeyUpdate)
        .take();
    transaction.first::<(i64,)>(&lock).await.map(|_| ())
}
