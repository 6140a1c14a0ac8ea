//! The rows of the outbox: claimed, sent, tried again, forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Order, Query};

use super::TABLE;
use super::post::{Letter, PostError};
use crate::server::db::DbError;
use crate::server::error::{ApiError, chain};
use crate::server::state::AppState;

/// How many mails one round sends at most.
const ROUND: u64 = 100;
/// How long a server has for a mail that it claimed. Where it dies meanwhile, another one tries after this.
const CLAIM: TimeDelta = TimeDelta::minutes(10);
/// How long rows are kept, sent or not.
const KEPT: TimeDelta = TimeDelta::days(30);

/// How long to wait after each try that failed; after the last of these and one more try, nobody tries any more.
pub(crate) const BACKOFF: [TimeDelta; 5] =
    [TimeDelta::minutes(1), TimeDelta::minutes(5), TimeDelta::minutes(30), TimeDelta::hours(2), TimeDelta::hours(12)];

/// Returns when to try again after so many tries.
pub(crate) fn next_try(tries: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wait = usize::try_from(tries - 1).ok().and_then(|index| BACKOFF.get(index))?;
    Some(now + *wait)
}

#[derive(sqlx::FromRow)]
struct Due {
    id: i64,
    recipient: String,
    subject: String,
    body: String,
    queued_at: DateTime<Utc>,
    next_try_at: DateTime<Utc>,
    tries: i64,
}

/// Sends what is due.
pub(crate) async fn send_due(state: &AppState) -> Result<(), ApiError> {
    let due = due(state).await?;
    if due.is_empty() || !state.post().is_open() {
        return Ok(());
    }
    for mail in due {
        if claim(state, &mail).await? && !send(state, &mail).await? {
            // Nobody answers there: the others need not wait for that, too.
            break;
        }
    }
    Ok(())
}

async fn due(state: &AppState) -> Result<Vec<Due>, DbError> {
    let columns = ["id", "recipient", "subject", "body", "queued_at", "next_try_at", "tries"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(TABLE))
        .cond_where(open())
        .and_where(col("next_try_at").lte(state.clock().now()))
        .order_by(Alias::new("next_try_at"), Order::Asc)
        .order_by(Alias::new("id"), Order::Asc)
        .limit(ROUND)
        .take();
    state.db().all(&query).await
}

/// Takes a mail before another server does.
async fn claim(state: &AppState, mail: &Due) -> Result<bool, DbError> {
    let claim = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("next_try_at"), state.clock().now() + CLAIM)
        .value(Alias::new("tries"), mail.tries + 1)
        .and_where(col("id").eq(mail.id))
        .and_where(col("next_try_at").eq(mail.next_try_at))
        .cond_where(open())
        .take();
    Ok(state.db().run(&claim).await? == 1)
}

/// Sends a mail, notes what came of it, and returns whether the mail server is there at all.
async fn send(state: &AppState, mail: &Due) -> Result<bool, ApiError> {
    let letter = Letter {
        id: mail.id,
        to: &mail.recipient,
        subject: &mail.subject,
        text: &mail.body,
        queued_at: mail.queued_at,
    };
    let result = state.post().send(&letter).await;
    let now = state.clock().now();
    let mut update = Query::update().table(Alias::new(TABLE)).and_where(col("id").eq(mail.id)).take();
    let is_there = match result {
        Ok(()) => {
            update.value(Alias::new("sent_at"), now).value(Alias::new("body"), "").value(Alias::new("last_error"), "");
            true
        }
        Err(error) => {
            let again = if error.is_final() { None } else { next_try(mail.tries + 1, now) };
            match again {
                Some(next) => update.value(Alias::new("next_try_at"), next),
                None => update.value(Alias::new("given_up_at"), now).value(Alias::new("body"), ""),
            };
            let reason = chain(&error);
            tracing::warn!(mail = mail.id, error = reason, given_up = again.is_none(), "a mail could not be sent");
            update.value(Alias::new("last_error"), reason.replace('\0', " "));
            !matches!(error, PostError::Unreachable(_) | PostError::Slow)
        }
    };
    state.db().run(&update).await?;
    Ok(is_there)
}

/// Forgets what was queued long ago.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let is_over = Cond::any().add(col("sent_at").is_not_null()).add(col("given_up_at").is_not_null());
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .cond_where(is_over)
        .and_where(col("queued_at").lt(state.clock().now() - KEPT))
        .take();
    state.db().run(&gone).await?;
    Ok(())
}

/// The condition that a mail is still to be sent.
fn open() -> Cond {
    Cond::all().add(col("sent_at").is_null()).add(col("given_up_at").is_null())
}

fn col(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}
