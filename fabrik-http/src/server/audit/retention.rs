//! Retention: what is too old is forgotten, and dropped where the whole beginning of the log is forgotten.
//!
//! Whatever it does is said before, in a row of the log: that rows of a category before a moment are forgotten
//! ([`FORGOTTEN`]), and at which sequence the log begins ([`DROPPED`]). A forgotten row bears the time of the row that
//! announced it. Verification asks for these announcements, so they outlast what they announced.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Order, Query, SelectStatement};
use serde_json::{Map, json};

use super::row::Said;
use super::settings::{self, CleanUp};
use super::{Actor, CHAIN, Category, Chain, DROPPED, Entry, FORGOTTEN, LOG, ONLY, SETTINGS};
use crate::server::db::{DbError, Transaction};
use crate::server::moment::Moment;
use crate::server::state::AppState;

/// How many rows are forgotten in one transaction, so that others need not wait long.
const BATCH: u64 = 5_000;

/// Cleans up where it is due: once a day, by whichever server comes first.
pub(crate) async fn clean_up(state: &AppState) -> Result<(), DbError> {
    let now = state.clock().now();
    let mut transaction = state.db().begin().await?;
    let settings = settings::clean_up(&mut transaction).await?;
    if !settings.is_enabled || !claim(&mut transaction, &settings, now).await? {
        return Ok(());
    }
    let limits: Vec<_> = settings.lives.iter().map(|(category, life)| (*category, now - *life)).collect();
    if has_any(&mut transaction, &limits).await? {
        let before: Map<_, _> = limits
            .iter()
            .map(|(category, before)| (category.name().to_owned(), Moment(*before).to_string().into()))
            .collect();
        Entry::new(Category::SystemSettings, FORGOTTEN, "Forgot what was older than the log keeps")
            .with(json!({ "before": before }))
            .append_at(&mut transaction, &Actor::server(), now)
            .await?;
    }
    transaction.commit().await?;
    for (category, before) in &limits {
        while forget(state, *category, *before, now).await? == BATCH {}
    }
    drop_beginning(state, &limits, now).await
}

/// Returns whether this server is the one to clean up, now.
async fn claim(transaction: &mut Transaction, settings: &CleanUp, now: DateTime<Utc>) -> Result<bool, DbError> {
    let today = now.date_naive().and_time(NaiveTime::MIN).and_utc() + settings.after_midnight;
    let due = if now >= today { today } else { today - TimeDelta::days(1) };
    let last = || Expr::col(Alias::new("last_cleanup_at"));
    let update = Query::update()
        .table(Alias::new(SETTINGS))
        .value(Alias::new("last_cleanup_at"), now)
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .cond_where(Cond::any().add(last().is_null()).add(last().lt(due)))
        .take();
    Ok(transaction.run(&update).await? > 0)
}

/// What is kept where everything of its age is forgotten: the announcements.
fn is_announcement() -> Expr {
    Expr::col(Alias::new("action")).is_in([FORGOTTEN, DROPPED])
}

/// Returns the condition that a row says something and is too old to.
fn is_over(category: Category, before: DateTime<Utc>) -> Cond {
    Cond::all()
        .add(Expr::col(Alias::new("category")).eq(category.name()))
        .add(Expr::col(Alias::new("timestamp")).lt(before))
        .add(Expr::col(Alias::new("forgotten_at")).is_null())
        .add(is_announcement().not())
}

fn sequences() -> SelectStatement {
    Query::select().column(Alias::new("sequence")).from(Alias::new(LOG)).take()
}

async fn has_any(transaction: &mut Transaction, limits: &[(Category, DateTime<Utc>)]) -> Result<bool, DbError> {
    for (category, before) in limits {
        let query = sequences().cond_where(is_over(*category, *before)).limit(1).take();
        if transaction.first::<(i64,)>(&query).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a batch of rows and returns how many they were.
async fn forget(
    state: &AppState,
    category: Category,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let batch = sequences().cond_where(is_over(category, before)).limit(BATCH).take();
    let nothing = Said::default().columns();
    let update = Query::update()
        .table(Alias::new(LOG))
        .values(nothing.map(|(name, value)| (Alias::new(name), value.into())))
        .value(Alias::new("forgotten_at"), now)
        .and_where(Expr::col(Alias::new("sequence")).in_subquery(batch))
        .take();
    state.db().run(&update).await
}

/// Drops the forgotten rows that the log begins with. Announcements among them go, too, when they are too old.
async fn drop_beginning(
    state: &AppState,
    limits: &[(Category, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut kept = Cond::any().add(Cond::all().add(is_announcement().not()).add(is_said()));
    let limit = limits.iter().find(|(category, _)| *category == Category::SystemSettings);
    let mut young = Cond::all().add(is_announcement());
    if let Some((_, before)) = limit {
        young = young.add(Expr::col(Alias::new("timestamp")).gte(*before));
    }
    kept = kept.add(young);
    let mut transaction = state.db().begin().await?;
    let Some(chain) = transaction.first::<Chain>(&Chain::select()).await? else { return Ok(()) };
    let first_kept = sequences().cond_where(kept).order_by(Alias::new("sequence"), Order::Asc).limit(1).take();
    let first = match transaction.first::<(i64,)>(&first_kept).await? {
        Some((first,)) => first,
        None => chain.last_sequence + 1,
    };
    let last_dropped = Query::select()
        .column(Alias::new("hash"))
        .from(Alias::new(LOG))
        .and_where(Expr::col(Alias::new("sequence")).eq(first - 1))
        .take();
    let hash_before_first = match transaction.first::<(Vec<u8>,)>(&last_dropped).await? {
        Some((hash,)) if first > chain.first_sequence => hash,
        _ => return Ok(()),
    };
    let update = Query::update()
        .table(Alias::new(CHAIN))
        .value(Alias::new("first_sequence"), first)
        .value(Alias::new("hash_before_first"), hash_before_first)
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .take();
    transaction.run(&update).await?;
    let gone =
        Query::delete().from_table(Alias::new(LOG)).and_where(Expr::col(Alias::new("sequence")).lt(first)).take();
    transaction.run(&gone).await?;
    Entry::new(Category::SystemSettings, DROPPED, "Dropped the forgotten beginning of the log")
        .with(json!({ "first_sequence": first }))
        .append_at(&mut transaction, &Actor::server(), now)
        .await?;
    transaction.commit().await
}

fn is_said() -> Expr {
    Expr::col(Alias::new("forgotten_at")).is_null()
}
