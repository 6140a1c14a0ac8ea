//! Deliveries: queued, claimed, sent, tried again, logged, forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use serde_json::json;
use uuid::Uuid;

use super::courier::{Outcome, Parcel};
use super::{DELIVERY, WEBHOOK, open_secret};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::mail;
use crate::server::notifications::{self, Notice, Severity, Source, Told};
use crate::server::state::AppState;

/// How many deliveries one round makes at most, and how many of them at the same time.
const ROUND: u64 = 100;
const AT_ONCE: usize = 8;
/// How long a server has for a delivery that it claimed; more than a request may take.
const CLAIM: TimeDelta = TimeDelta::minutes(2);
/// How long the log is kept.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How long a webhook may fail without a success before it is switched off.
const PATIENCE: TimeDelta = TimeDelta::days(5);

/// Queues a delivery and returns its id.
pub(super) async fn insert(
    state: &AppState,
    transaction: &mut Transaction,
    webhook_id: Uuid,
    event_id: Uuid,
    event: &str,
    body: &str,
) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    let now = state.clock().now();
    let columns = ["id", "webhook_id", "event_id", "event", "body", "next_try_at", "created_at"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new(DELIVERY))
        .columns(columns)
        .values_panic([
            id.into(),
            webhook_id.into(),
            event_id.into(),
            event.into(),
            body.into(),
            now.into(),
            now.into(),
        ])
        .take();
    transaction.run(&insert).await?;
    Ok(id)
}

/// Queues what was delivered once more and returns the id of the new delivery, if there is such an old one.
pub(crate) async fn copy(
    state: &AppState,
    transaction: &mut Transaction,
    webhook_id: Uuid,
    id: Uuid,
) -> Result<Option<Uuid>, DbError> {
    let query = Query::select()
        .columns(["event_id", "event", "body"].map(Alias::new))
        .from(Alias::new(DELIVERY))
        .and_where(col("id").eq(id))
        .and_where(col("webhook_id").eq(webhook_id))
        .take();
    let Some((event_id, event, body)) = transaction.first::<(Uuid, String, String)>(&query).await? else {
        return Ok(None);
    };
    insert(state, transaction, webhook_id, event_id, &event, &body).await.map(Some)
}

#[derive(sqlx::FromRow)]
struct Due {
    id: Uuid,
    webhook_id: Uuid,
    event: String,
    body: String,
    tries: i64,
    next_try_at: DateTime<Utc>,
    url: String,
    secret: String,
}

/// Makes the deliveries that are due.
pub(crate) async fn deliver_due(state: &AppState) -> Result<(), ApiError> {
    let deliveries = due(state).await?.into_iter().map(|due| {
        let state = state.clone();
        async move { deliver(&state, &due).await }
    });
    let results: Vec<_> = stream::iter(deliveries).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect()
}

async fn due(state: &AppState) -> Result<Vec<Due>, DbError> {
    let (delivery, webhook) = (Alias::new(DELIVERY), Alias::new(WEBHOOK));
    let of_delivery = ["id", "webhook_id", "event", "body", "tries", "next_try_at"];
    let query = Query::select()
        .columns(of_delivery.map(|name| (delivery.clone(), Alias::new(name))))
        .columns(["url", "secret"].map(|name| (webhook.clone(), Alias::new(name))))
        .from(delivery.clone())
        .inner_join(
            webhook.clone(),
            Expr::col((webhook.clone(), Alias::new("id"))).equals((delivery.clone(), Alias::new("webhook_id"))),
        )
        .and_where(Expr::col((webhook, Alias::new("is_active"))).eq(true))
        .and_where(Expr::col((delivery.clone(), Alias::new("status"))).eq("pending"))
        .and_where(Expr::col((delivery.clone(), Alias::new("next_try_at"))).lte(state.clock().now()))
        .order_by((delivery, Alias::new("next_try_at")), Order::Asc)
        .limit(ROUND)
        .take();
    state.db().all(&query).await
}

async fn deliver(state: &AppState, due: &Due) -> Result<(), ApiError> {
    if !claim(state, due).await? {
        return Ok(());
    }
    let outcome = match open_secret(state, &due.secret) {
        Some(secret) => {
            let parcel = Parcel { id: due.id, url: &due.url, event: &due.event, body: &due.body, secret: &secret };
            state.courier().send(&parcel, state.clock()).await
        }
        None => Outcome { error: "the secret cannot be opened; make a new one".to_owned(), ..Outcome::default() },
    };
    let mut transaction = state.db().begin().await?;
    log(state, &mut transaction, due, &outcome).await?;
    let told = judge(state, &mut transaction, due.webhook_id, outcome.error.is_empty()).await?;
    transaction.commit().await?;
    Ok(told.publish(state).await?)
}

/// Takes a delivery before another server does.
async fn claim(state: &AppState, due: &Due) -> Result<bool, DbError> {
    let claim = Query::update()
        .table(Alias::new(DELIVERY))
        .value(Alias::new("next_try_at"), state.clock().now() + CLAIM)
        .value(Alias::new("tries"), due.tries + 1)
        .and_where(col("id").eq(due.id))
        .and_where(col("status").eq("pending"))
        .and_where(col("next_try_at").eq(due.next_try_at))
        .take();
    Ok(state.db().run(&claim).await? == 1)
}

/// Notes what came of a delivery.
async fn log(state: &AppState, transaction: &mut Transaction, due: &Due, outcome: &Outcome) -> Result<(), DbError> {
    let now = state.clock().now();
    let mut update = Query::update().table(Alias::new(DELIVERY)).and_where(col("id").eq(due.id)).take();
    update
        .value(Alias::new("status_code"), outcome.status.map(i64::from))
        .value(Alias::new("duration_ms"), i64::try_from(outcome.duration.as_millis()).unwrap_or(i64::MAX))
        .value(Alias::new("error"), outcome.error.replace('\0', " "))
        .value(Alias::new("answer"), outcome.answer.clone());
    let next = mail::next_try(due.tries + 1, now);
    match next {
        _ if outcome.error.is_empty() => update.value(Alias::new("status"), "delivered").values([
            (Alias::new("delivered_at"), now.into()),
            (Alias::new("next_try_at"), None::<DateTime<Utc>>.into()),
        ]),
        Some(next) => update.value(Alias::new("next_try_at"), next),
        None => update.value(Alias::new("status"), "failed").value(Alias::new("next_try_at"), None::<DateTime<Utc>>),
    };
    transaction.run(&update).await.map(|_| ())
}

#[derive(sqlx::FromRow)]
struct Failing {
    owner_id: i64,
    name: String,
}

/// Counts a success or a failure; a webhook that has failed for too long is switched off, and its owner told.
async fn judge(
    state: &AppState,
    transaction: &mut Transaction,
    webhook_id: Uuid,
    is_success: bool,
) -> Result<Told, ApiError> {
    let now = state.clock().now();
    let update = || Query::update().table(Alias::new(WEBHOOK)).and_where(col("id").eq(webhook_id)).take();
    if is_success {
        let none = None::<DateTime<Utc>>;
        transaction
            .run(update().value(Alias::new("failing_since"), none).value(Alias::new("last_success_at"), now))
            .await?;
        return Ok(Told::default());
    }
    transaction.run(update().value(Alias::new("failing_since"), now).and_where(col("failing_since").is_null())).await?;
    let mut off = update();
    off.value(Alias::new("is_active"), false)
        .and_where(col("is_active").eq(true))
        .and_where(col("failing_since").lte(now - PATIENCE));
    if transaction.run(&off).await? == 0 {
        return Ok(Told::default());
    }
    let query = Query::select()
        .columns(["owner_id", "name"].map(Alias::new))
        .from(Alias::new(WEBHOOK))
        .and_where(col("id").eq(webhook_id))
        .take();
    let Some(Failing { owner_id, name }) = transaction.first(&query).await? else { return Ok(Told::default()) };
    let days = PATIENCE.num_days();
    let message = format!("Nothing could be delivered to it for {days} days. Its log says why.");
    let title = format!("The webhook {name} was switched off");
    let mut notice = Notice::new(Source::SystemMaintenance, Severity::Warning, title, message);
    notice.metadata = json!({ "webhook_id": webhook_id });
    // By the inbox and by mail only: a webhook must not be told of itself.
    let told = notifications::tell_people(state, transaction, &[owner_id], &notice).await?;
    Entry::new(Category::NotificationManagement, "webhook_switched_off", "Webhook switched off, as it kept failing")
        .on("webhook", webhook_id, name)
        .append(transaction, state, &Actor::server())
        .await?;
    Ok(told)
}

/// Forgets deliveries of long ago.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let old = col("created_at").lt(state.clock().now() - KEPT);
    state.db().run(&Query::delete().from_table(Alias::new(DELIVERY)).and_where(old).take()).await?;
    Ok(())
}

fn col(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}
