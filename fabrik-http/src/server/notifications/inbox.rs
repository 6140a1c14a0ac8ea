//! The notifications of a user in the application.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, Order, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Content, SEVERITIES};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::events::Channel;
use crate::server::model::{Field, Kind, Model, Record};
use crate::server::state::AppState;

const TABLE: &str = "notification";

/// A notification as its user sees it.
pub(crate) static NOTIFICATION: Model = Model {
    app: "notifications",
    name: "notification",
    title: "Notification",
    table: TABLE,
    default_order: "-created_at,-id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the notification").order(),
        Field::new("user", Kind::Integer, "whose it is"),
        Field::new("source", Kind::Text { least: 0, most: 100 }, "where it comes from; null where a user wrote it")
            .nullable()
            .filter(),
        Field::new("type", Kind::Choice(SEVERITIES), "how grave it is").filter().order(),
        Field::new("title", Kind::Text { least: 1, most: 200 }, "what it is about").search(),
        Field::new("message", Kind::Text { least: 0, most: 10_000 }, "what it says").search(),
        Field::new("related_task_id", Kind::Integer, "the task that it is about").nullable(),
        Field::new("related_execution_id", Kind::Uuid, "the run that it is about").nullable(),
        Field::new("metadata", Kind::Json, "details for programs"),
        Field::new("is_read", Kind::Boolean, "whether it was read").filter().order(),
        Field::new("read_at", Kind::Moment, "when it was read").nullable(),
        Field::new("created_at", Kind::Moment, "when it was told").order(),
    ],
};

/// Puts a notice into the inbox of a user and returns the id of the notification.
pub(super) async fn insert(
    transaction: &mut Transaction,
    user_id: i64,
    content: &Content,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let written = Written {
        kind: content.severity.name(),
        title: &content.title,
        message: &content.message,
        related_task_id: content.related_task_id,
        related_execution_id: content.related_execution_id,
        metadata: &content.metadata,
    };
    write(transaction, user_id, &written, Some((content.notice_id, &content.source)), now).await
}

/// What a notification says.
pub(crate) struct Written<'a> {
    pub(crate) kind: &'a str,
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    pub(crate) related_task_id: Option<i64>,
    pub(crate) related_execution_id: Option<Uuid>,
    pub(crate) metadata: &'a Value,
}

/// Puts what a user wrote into the user's own inbox and returns the id.
pub(crate) async fn write_own(
    transaction: &mut Transaction,
    user_id: i64,
    written: &Written<'_>,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    write(transaction, user_id, written, None, now).await
}

async fn write(
    transaction: &mut Transaction,
    user_id: i64,
    written: &Written<'_>,
    notice: Option<(Uuid, &str)>,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let columns = [
        "user",
        "notice_id",
        "source",
        "type",
        "title",
        "message",
        "related_task_id",
        "related_execution_id",
        "metadata",
        "created_at",
    ];
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns.map(Alias::new))
        .values_panic([
            user_id.into(),
            notice.map(|(id, _)| id).into(),
            notice.map(|(_, source)| source.to_owned()).into(),
            written.kind.into(),
            written.title.into(),
            written.message.into(),
            written.related_task_id.into(),
            written.related_execution_id.into(),
            written.metadata.clone().into(),
            now.into(),
        ])
        .returning_col(Alias::new("id"))
        .take();
    transaction.number(&insert).await
}

/// Tells a connected user of a new notification.
pub(crate) async fn publish_new(state: &AppState, user_id: i64, id: i64) -> Result<(), DbError> {
    let query = NOTIFICATION.select().and_where(col("id").eq(id)).take();
    if let Some(row) = state.db().rows(&query).await?.first() {
        let data = json!({ "notification": NOTIFICATION.record(row)? });
        state.events().publish(state, &Channel::Notifications(user_id), "notification_new", data).await;
    }
    publish_count(state, user_id).await
}

/// Tells a connected user how many notifications are not read.
pub(crate) async fn publish_count(state: &AppState, user_id: i64) -> Result<(), DbError> {
    let count = count_unread(state, user_id).await?;
    let channel = Channel::Notifications(user_id);
    state.events().publish(state, &channel, "notification_count", json!({ "count": count })).await;
    Ok(())
}

/// Returns how many notifications a user has not read.
pub(crate) async fn count_unread(state: &AppState, user_id: i64) -> Result<i64, DbError> {
    let query =
        Query::select().expr(Func::count(col("id"))).from(Alias::new(TABLE)).cond_where(unread_of(user_id)).take();
    state.db().number(&query).await
}

/// Returns the latest notifications of a user.
pub(crate) async fn recent(state: &AppState, user_id: i64, limit: u64) -> Result<Vec<Record>, DbError> {
    let query = NOTIFICATION
        .select()
        .cond_where(of(user_id))
        .order_by(Alias::new("created_at"), Order::Desc)
        .order_by(Alias::new("id"), Order::Desc)
        .limit(limit)
        .take();
    state.db().rows(&query).await?.iter().map(|row| NOTIFICATION.record(row)).collect()
}

/// Marks a notification of a user as read and returns whether there is one.
pub(crate) async fn mark_read(state: &AppState, user_id: i64, id: i64) -> Result<bool, DbError> {
    let now = state.clock().now();
    if state.db().run(&marking(unread_of(user_id).add(col("id").eq(id)), now)).await? == 0 {
        let query = Query::select()
            .column(Alias::new("id"))
            .from(Alias::new(TABLE))
            .cond_where(of(user_id).add(col("id").eq(id)))
            .take();
        return Ok(state.db().first::<(i64,)>(&query).await?.is_some());
    }
    let channel = Channel::Notifications(user_id);
    state.events().publish(state, &channel, "notification_read", json!({ "notification_id": id })).await;
    publish_count(state, user_id).await?;
    Ok(true)
}

/// Marks all notifications of a user as read and returns how many were not.
pub(crate) async fn mark_all_read(state: &AppState, user_id: i64) -> Result<u64, DbError> {
    let count = state.db().run(&marking(unread_of(user_id), state.clock().now())).await?;
    publish_count(state, user_id).await?;
    Ok(count)
}

fn marking(which: Cond, now: DateTime<Utc>) -> sea_query::UpdateStatement {
    Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("is_read"), true)
        .value(Alias::new("read_at"), now)
        .cond_where(which)
        .take()
}

/// Deletes what a user has read and returns how many that were.
pub(crate) async fn delete_read(transaction: &mut Transaction, user_id: i64) -> Result<u64, DbError> {
    let which = of(user_id).add(col("is_read").eq(true));
    transaction.run(&Query::delete().from_table(Alias::new(TABLE)).cond_where(which).take()).await
}

/// Deletes one notification of a user and returns whether there was one.
pub(crate) async fn delete(transaction: &mut Transaction, user_id: i64, id: i64) -> Result<bool, DbError> {
    let which = of(user_id).add(col("id").eq(id));
    let gone = Query::delete().from_table(Alias::new(TABLE)).cond_where(which).take();
    Ok(transaction.run(&gone).await? > 0)
}

/// Forgets what was read, or told, long ago.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let now = state.clock().now();
    let settings = state.settings();
    let read = Cond::all().add(col("is_read").eq(true)).add(col("read_at").lt(now - settings.notifications_read_life));
    let unread =
        Cond::all().add(col("is_read").eq(false)).add(col("created_at").lt(now - settings.notifications_unread_life));
    for which in [read, unread] {
        state.db().run(&Query::delete().from_table(Alias::new(TABLE)).cond_where(which).take()).await?;
    }
    Ok(())
}

fn of(user_id: i64) -> Cond {
    Cond::all().add(col("user").eq(user_id))
}

fn unread_of(user_id: i64) -> Cond {
    of(user_id).add(col("is_read").eq(false))
}

fn col(name: &'static str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}
