//! Quotas and switches: what groups limit, and what of it is left to a user.
//!
//! A user in several groups with limits gets the most generous of each; where no group has any, the default holds.
//! Superusers have no limits. Stock (what a user has) is counted when more is made; what is done per day is counted in
//! the database, for all servers together, from midnight to midnight UTC.

mod limits;
mod stock;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, LockType, OnConflict, Query, SelectStatement};

use super::caller::Caller;
use super::db::{Database, DbError, Transaction};
use super::error::ApiError;
use super::state::AppState;

pub(crate) use limits::{Features, Limits, LimitsRequest, Quota, Switch, Template};
pub(crate) use stock::Stock;

const TABLE: &str = "auth_quota";
const USE: &str = "auth_quota_use";

/// Returns the limits that hold for a user.
pub(crate) async fn limits_of(db: &Database, user_id: i64, is_superuser: bool) -> Result<Limits, DbError> {
    if is_superuser {
        return Ok(Limits::UNLIMITED);
    }
    Ok(effective(db.all::<Limits>(&limits_of_groups(user_id)).await?))
}

async fn limits_within(transaction: &mut Transaction, caller: &Caller) -> Result<Limits, DbError> {
    if caller.is_superuser() {
        return Ok(Limits::UNLIMITED);
    }
    Ok(effective(transaction.all::<Limits>(&limits_of_groups(caller.id())).await?))
}

fn effective(of_groups: Vec<Limits>) -> Limits {
    of_groups.into_iter().reduce(Limits::or).unwrap_or(Limits::DEFAULT)
}

fn limits_of_groups(user_id: i64) -> SelectStatement {
    let groups = Query::select()
        .column(Alias::new("group_id"))
        .from(Alias::new("auth_user_group"))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .take();
    select().and_where(Expr::col(Alias::new("group_id")).in_subquery(groups)).take()
}

fn select() -> SelectStatement {
    Query::select().columns(Limits::COLUMNS.iter().map(|name| Alias::new(*name))).from(Alias::new(TABLE)).take()
}

/// Returns the limits of a group, where it has any.
pub(crate) async fn of_group(db: &Database, group_id: i64) -> Result<Option<Limits>, DbError> {
    db.first(select().and_where(Expr::col(Alias::new("group_id")).eq(group_id))).await
}

/// Gives a group limits, in place of those it had.
pub(crate) async fn set_of_group(transaction: &mut Transaction, group_id: i64, limits: &Limits) -> Result<(), DbError> {
    let columns = std::iter::once(&"group_id").chain(Limits::COLUMNS).map(|name| Alias::new(*name));
    let values = std::iter::once(group_id.into()).chain(limits.values()).map(Expr::from);
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns)
        .values_panic(values)
        .on_conflict(
            OnConflict::column(Alias::new("group_id"))
                .update_columns(Limits::COLUMNS.iter().map(|name| Alias::new(*name)))
                .to_owned(),
        )
        .take();
    transaction.run(&insert).await.map(|_| ())
}

/// Fails where a caller may not do something at all.
pub(crate) async fn require(state: &AppState, caller: &Caller, switch: Switch) -> Result<(), ApiError> {
    if limits_of(state.db(), caller.id(), caller.is_superuser()).await?.allows(switch) {
        return Ok(());
    }
    let (name, about) = (switch.name(), switch.about());
    Err(ApiError::Refused(format!("Your groups do not allow this: {name} is off ({about}).").into()))
}

/// Fails where a caller has as much of something as is allowed. To be called in the transaction that adds one more:
/// until its end nobody else adds for this user.
pub(crate) async fn check_stock(transaction: &mut Transaction, caller: &Caller, stock: Stock) -> Result<(), ApiError> {
    match (stock.quota(), stock.counting(&[caller.id()])) {
        (Some(quota), Some(counting)) => check_count(transaction, caller, quota, &counting).await,
        _ => Ok(()),
    }
}

async fn check_count(
    transaction: &mut Transaction,
    caller: &Caller,
    quota: Quota,
    counting: &SelectStatement,
) -> Result<(), ApiError> {
    let limit = limits_within(transaction, caller).await?.number(quota);
    if limit == 0 {
        return Ok(());
    }
    let lock = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).eq(caller.id()))
        .lock(LockType::NoKeyUpdate)
        .take();
    transaction.first::<(i64,)>(&lock).await?;
    let has = transaction.first::<(i64, i64)>(counting).await?.map_or(0, |(_, count)| count);
    if has < limit { Ok(()) } else { Err(ApiError::Refused(over(quota, limit).into())) }
}

/// Takes one from a daily quota, or fails where none is left. Of two who ask for the last one, one gets it.
pub(crate) async fn take_daily(state: &AppState, caller: &Caller, quota: Quota) -> Result<(), ApiError> {
    let limit = limits_of(state.db(), caller.id(), caller.is_superuser()).await?.number(quota);
    let now = state.clock().now();
    let used = Expr::col((Alias::new(USE), Alias::new("used")));
    let mut conflict = OnConflict::columns(["user_id", "quota", "day"].map(Alias::new));
    conflict.value(Alias::new("used"), used.clone().add(1));
    if limit > 0 {
        conflict.action_and_where(used.lt(limit));
    }
    let take = Query::insert()
        .into_table(Alias::new(USE))
        .columns(["user_id", "quota", "day", "used"].map(Alias::new))
        .values_panic([caller.id().into(), quota.name().into(), day(now).into(), 1_i64.into()])
        .on_conflict(conflict)
        .take();
    if state.db().run(&take).await? > 0 {
        return Ok(());
    }
    Err(ApiError::OverQuota { detail: over(quota, limit), wait: until_midnight(now) })
}

/// Returns how much of a daily quota a user has used today.
pub(crate) async fn used_today(state: &AppState, user_id: i64, quota: Quota) -> Result<i64, DbError> {
    let query = Query::select()
        .column(Alias::new("used"))
        .from(Alias::new(USE))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .and_where(Expr::col(Alias::new("quota")).eq(quota.name()))
        .and_where(Expr::col(Alias::new("day")).eq(day(state.clock().now())))
        .take();
    Ok(state.db().first::<(i64,)>(&query).await?.map_or(0, |(used,)| used))
}

/// Forgets what was used on days that are over.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let today = day(state.clock().now());
    let gone = Query::delete().from_table(Alias::new(USE)).and_where(Expr::col(Alias::new("day")).lt(today)).take();
    state.db().run(&gone).await?;
    Ok(())
}

fn over(quota: Quota, limit: i64) -> String {
    format!("Quota exceeded: {} is {limit} ({}).", quota.name(), quota.about())
}

fn day(now: DateTime<Utc>) -> String {
    now.date_naive().to_string()
}

fn until_midnight(now: DateTime<Utc>) -> Duration {
    let midnight = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc();
    (midnight - now).to_std().unwrap_or_default()
}
