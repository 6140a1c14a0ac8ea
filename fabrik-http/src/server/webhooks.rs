//! Webhooks: notices sent as signed requests to addresses that users give.
//!
//! A delivery is a row that is written in the transaction of what it tells about, claimed before it is sent, tried again
//! with growing pauses, and kept as the log. What a receiver checks: `X-Fabrik-Signature` is `sha256=` and the
//! HMAC-SHA-256, in hex, of `X-Fabrik-Timestamp`, a dot and the body, with the secret of the webhook as key.

mod address;
mod courier;
mod delivery;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::db::{DbError, Transaction};
use super::moment::Moment;
use super::notifications::{self, Notice, Severity};
use super::seal;
use super::state::AppState;

pub(crate) use address::check_url;
pub(crate) use courier::Courier;
pub(crate) use delivery::{copy, deliver_due, purge};

pub(crate) const WEBHOOK: &str = "webhook";
pub(crate) const DELIVERY: &str = "webhook_delivery";
/// What secrets of webhooks are sealed for.
const PURPOSE: &str = "webhook secret";
/// The event of a delivery that somebody asked for to try a webhook.
const TEST_EVENT: &str = "test";

/// Seals the secret of a webhook as its column keeps it.
pub(crate) fn seal_secret(state: &AppState, secret: &str) -> String {
    BASE64_STANDARD.encode(seal::seal(state, PURPOSE, secret.as_bytes()))
}

/// Opens what the column keeps.
fn open_secret(state: &AppState, sealed: &str) -> Option<Vec<u8>> {
    seal::open(state, PURPOSE, &BASE64_STANDARD.decode(sealed).ok()?)
}

#[derive(sqlx::FromRow)]
struct Listener {
    id: Uuid,
    owner_id: i64,
    sources: Value,
    min_severity: String,
    all_users: bool,
}

impl Listener {
    fn wants(&self, notice: &Notice) -> bool {
        let sources = self.sources.as_array().map(Vec::as_slice).unwrap_or_default();
        let is_named = sources.iter().any(|source| source == notice.source.name());
        (sources.is_empty() || is_named) && notice.severity >= Severity::named(&self.min_severity)
    }
}

/// Queues a notice for the webhooks that want it: those of the users it is for, and those for all users.
pub(crate) async fn queue(
    state: &AppState,
    transaction: &mut Transaction,
    users: &[i64],
    notice_id: Uuid,
    notice: &Notice,
) -> Result<(), DbError> {
    let (webhook, user) = (Alias::new(WEBHOOK), Alias::new("auth_user"));
    let query = Query::select()
        .columns(
            ["id", "owner_id", "sources", "min_severity", "all_users"].map(|name| (webhook.clone(), Alias::new(name))),
        )
        .from(webhook.clone())
        .inner_join(
            user.clone(),
            Expr::col((user.clone(), Alias::new("id"))).equals((webhook.clone(), Alias::new("owner_id"))),
        )
        .and_where(Expr::col((webhook, Alias::new("is_active"))).eq(true))
        .and_where(Expr::col((user, Alias::new("is_active"))).eq(true))
        .take();
    let mut listeners: Vec<Listener> = transaction.all(&query).await?;
    listeners.retain(|listener| listener.wants(notice));
    if listeners.iter().any(|listener| listener.all_users) {
        // Who is no administrator any more hears of the own matters only.
        let administrators = notifications::administrators(transaction).await?;
        for listener in &mut listeners {
            listener.all_users = listener.all_users && administrators.contains(&listener.owner_id);
        }
    }
    listeners.retain(|listener| listener.all_users || users.contains(&listener.owner_id));
    let data = json!({
        "severity": notice.severity.name(),
        "title": notice.title,
        "message": notice.message,
        "related_task_id": notice.related_task_id,
        "related_execution_id": notice.related_execution_id,
        "metadata": notice.metadata,
    });
    let body = body(state, notice_id, notice.source.name(), &data);
    for listener in listeners {
        delivery::insert(state, transaction, listener.id, notice_id, notice.source.name(), &body).await?;
    }
    Ok(())
}

/// Queues a delivery that tells nothing, to try a webhook, and returns its id.
pub(crate) async fn queue_test(
    state: &AppState,
    transaction: &mut Transaction,
    webhook_id: Uuid,
) -> Result<Uuid, DbError> {
    let event_id = Uuid::now_v7();
    let data = json!({ "severity": "info", "title": "A test", "message": "This webhook works." });
    let body = body(state, event_id, TEST_EVENT, &data);
    delivery::insert(state, transaction, webhook_id, event_id, TEST_EVENT, &body).await
}

fn body(state: &AppState, id: Uuid, event: &str, data: &Value) -> String {
    let timestamp = Moment(state.clock().now()).to_string();
    json!({ "id": id, "type": event, "timestamp": timestamp, "data": data }).to_string()
}
