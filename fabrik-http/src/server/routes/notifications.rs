//! The own notifications, what is wanted of them, and rules of escalation.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, SelectStatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, NoContent, Path, Query};
use crate::server::memberships::ESCALATION_TARGETS;
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::moment::Moment;
use crate::server::notifications::{self, NOTIFICATION, SEVERITIES, SOURCES, Written};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Audited, Key, Resource, Shown, Write, show};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/notifications/notifications/";
    registry.resource::<Notifications>(path);
    let at = |rest: &str| format!("{path}{rest}");
    registry.add(
        Route::post(path, "notifications_notification_create", Access::Login, create)
            .about("Puts a notification into the own inbox."),
    );
    registry.add(
        Route::delete(&at("{id}/"), "notifications_notification_delete", Access::Login, delete)
            .about("Deletes one notification."),
    );
    registry.add(
        Route::post(&at("{id}/mark_read/"), "notifications_mark_read", Access::Login, mark_read)
            .about("Marks one notification as read."),
    );
    registry.add(
        Route::post(&at("mark_all_read/"), "notifications_mark_all_read", Access::Login, mark_all_read)
            .about("Marks all own notifications as read."),
    );
    registry.add(
        Route::delete(&at("delete_read/"), "notifications_delete_read", Access::Login, delete_read)
            .about("Deletes all own notifications that were read."),
    );
    registry.add(
        Route::get(&at("unread_count/"), "notifications_unread_count", Access::Login, unread_count)
            .about("Returns how many own notifications were not read."),
    );
    registry.add(
        Route::get(&at("recent/"), "notifications_recent", Access::Login, recent)
            .about("Returns the latest own notifications, the last one first."),
    );
    registry.resource::<Preferences>("/api/notifications/preferences/");
    registry.resource::<EscalationRules>("/api/notifications/escalation-rules/");
}

/// The own notifications.
struct Notifications;

impl Resource for Notifications {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &NOTIFICATION
    }

    fn access(_verb: Verb) -> Access {
        Access::Login
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        query.and_where(Expr::col((Alias::new(NOTIFICATION.table), Alias::new("user"))).eq(caller.id()));
    }
}

/// What a user notes for themselves.
#[derive(Deserialize, JsonSchema)]
struct NotificationCreate {
    r#type: Severity,
    #[schemars(length(min = 1, max = 200))]
    title: String,
    #[schemars(length(max = 10000))]
    #[serde(default)]
    message: String,
    #[serde(default)]
    related_task_id: Option<i64>,
    #[serde(default)]
    related_execution_id: Option<Uuid>,
    /// Details for programs.
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
}

/// How grave a notification is.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Severity {
    Info,
    Success,
    Warning,
    Error,
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<NotificationCreate>,
) -> Result<Shown<Notifications, false, 201>, ApiError> {
    let metadata = Value::Object(body.metadata);
    let written = Written {
        kind: SEVERITIES[body.r#type as usize],
        title: &body.title,
        message: &body.message,
        related_task_id: body.related_task_id,
        related_execution_id: body.related_execution_id,
        metadata: &metadata,
    };
    let mut transaction = state.db().begin().await?;
    let id = notifications::write_own(&mut transaction, caller.id(), &written, state.clock().now()).await?;
    Entry::new(Category::NotificationManagement, "notification_created", "Notification created")
        .on("notification", id, body.title.as_str())
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    notifications::publish_new(&state, caller.id(), id).await?;
    Ok(Shown::ok(show::<Notifications>(&state, &caller, Key::Number(id)).await?.value))
}

async fn delete(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<NoContent, ApiError> {
    let mut transaction = state.db().begin().await?;
    if !notifications::delete(&mut transaction, caller.id(), id).await? {
        return Err(ApiError::NotFound);
    }
    Entry::new(Category::NotificationManagement, "notification_deleted", "Notification deleted")
        .on("notification", id, "")
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    notifications::publish_count(&state, caller.id()).await?;
    Ok(NoContent)
}

/// Says what a notification is now.
#[derive(Serialize, JsonSchema)]
struct ReadStatus {
    status: &'static str,
}

async fn mark_read(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<ReadStatus>, ApiError> {
    let is_there = notifications::mark_read(&state, caller.id(), id).await?;
    if is_there { Ok(Json(ReadStatus { status: "read" })) } else { Err(ApiError::NotFound) }
}

/// Says how many notifications were marked.
#[derive(Serialize, JsonSchema)]
struct AllReadStatus {
    status: &'static str,
    updated: u64,
}

async fn mark_all_read(State(state): State<AppState>, caller: Caller) -> Result<Json<AllReadStatus>, ApiError> {
    let updated = notifications::mark_all_read(&state, caller.id()).await?;
    Ok(Json(AllReadStatus { status: "read", updated }))
}

/// Says how many notifications were deleted.
#[derive(Serialize, JsonSchema)]
struct DeletedStatus {
    status: &'static str,
    deleted: u64,
}

async fn delete_read(State(state): State<AppState>, caller: Caller) -> Result<Json<DeletedStatus>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let deleted = notifications::delete_read(&mut transaction, caller.id()).await?;
    Entry::new(Category::NotificationManagement, "read_notifications_deleted", "Read notifications deleted")
        .with(json!({ "count": deleted }))
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Json(DeletedStatus { status: "deleted", deleted }))
}

/// How many notifications were not read.
#[derive(Serialize, JsonSchema)]
struct UnreadCount {
    unread_count: i64,
}

async fn unread_count(State(state): State<AppState>, caller: Caller) -> Result<Json<UnreadCount>, ApiError> {
    Ok(Json(UnreadCount { unread_count: notifications::count_unread(&state, caller.id()).await? }))
}

/// How many of the latest.
#[derive(Deserialize, JsonSchema)]
struct RecentQuery {
    /// How many; more than 200 is 200.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    limit: u32,
}

fn ten() -> u32 {
    10
}

async fn recent(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<RecentQuery>,
) -> Result<Recent, ApiError> {
    Ok(Recent(notifications::recent(&state, caller.id(), u64::from(query.limit).clamp(1, 200)).await?))
}

/// A bare list of notifications.
struct Recent(Vec<Record>);

impl IntoResponse for Recent {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl Describe for Recent {
    fn describe(operation: &mut Operation<'_>) {
        let item = operation.schemas.write(NOTIFICATION.read_schema());
        operation.json_response(200, &json!({ "type": "array", "items": item }));
    }
}

/// What the caller wants to be told, and how.
struct Preferences;

static PREFERENCES: Model = Model {
    app: "notifications",
    name: "notification_preference",
    title: "NotificationPreference",
    table: "notification_preference",
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the preferences"),
        source("scheduled_task_success", "whether to tell of scheduled tasks that were done"),
        source("scheduled_task_failure", "whether to tell of scheduled tasks that failed"),
        source("awx_execution_success", "whether to tell of AWX jobs that were done"),
        source("awx_execution_failure", "whether to tell of AWX jobs that failed"),
        source("query_execution_failure", "whether to tell of queries that failed"),
        source("connection_health", "whether to tell of connections that are lost and found"),
        source("time_machine_cleanup", "whether to tell of snapshots that were cleaned up"),
        source("system_maintenance", "whether to tell of the server itself"),
        source("time_machine_drift", "whether to tell what scheduled captures found changed"),
        source("in_app_enabled", "whether to tell in the application"),
        source("email_enabled", "whether to tell by mail"),
        Field::new("email_min_severity", Kind::Choice(SEVERITIES), "what is grave enough for mail").changeable(),
        source("quiet_hours_enabled", "whether mail waits for the end of the quiet hours"),
        Field::new("quiet_hours_start", TIME, "when they begin, in the display time zone").changeable(),
        Field::new("quiet_hours_end", TIME, "when they end; before their start, they are over midnight").changeable(),
        source("digest_enabled", "whether mail is gathered, for each source"),
        Field::new("digest_interval_minutes", Kind::Range { least: 1, most: 10_080 }, "for how long").changeable(),
    ],
};

const TIME: Kind = Kind::Text { least: 5, most: 8 };

const fn source(name: &'static str, about: &'static str) -> Field {
    Field::new(name, Kind::Boolean, about).changeable()
}

impl Resource for Preferences {
    const VERBS: &'static [Verb] = &[Verb::View, Verb::Change];

    fn model() -> &'static Model {
        &PREFERENCES
    }

    fn access(_verb: Verb) -> Access {
        Access::Login
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        query.and_where(PREFERENCES.id_column().eq(caller.id()));
    }

    async fn before_list(state: &AppState, caller: &Caller) -> Result<(), ApiError> {
        notifications::ensure_preferences(state, caller.id()).await
    }

    async fn before_write(write: &mut Write<'_>, _key: Option<Key>) -> Result<(), ApiError> {
        for name in ["quiet_hours_start", "quiet_hours_end"] {
            let Some(text) = write.values.text(name) else { continue };
            let Some(time) = notifications::parse_time(text) else {
                return Err(ApiError::field(name, "Time has wrong format. Use hh:mm or hh:mm:ss."));
            };
            write.values.set(name, time.format("%H:%M:%S").to_string());
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let entry = Entry::new(
            Category::NotificationManagement,
            "notification_preferences_updated",
            "Notification preferences updated",
        );
        let entry = entry.on("notification_preference", key, write.caller.username());
        let entry = entry.with(json!({ "fields": write.values.names() }));
        Ok(entry.append(write.transaction, write.state, &Actor::of(write.caller)).await?)
    }
}

/// Rules that tell others what nobody has read.
struct EscalationRules;

static ESCALATION_RULE: Model = Model {
    app: "notifications",
    name: "escalation_rule",
    title: "EscalationRule",
    table: "escalation_rule",
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the rule").order(),
        Field::new("source", Kind::Choice(SOURCES), "where notices come from").required().filter().order(),
        Field::new("min_severity", Kind::Choice(SEVERITIES), "what is grave enough").writable().filter(),
        Field::new("wait_minutes", Kind::Range { least: 1, most: 10_080 }, "how long nobody may have read it")
            .writable()
            .order(),
        Field::new("is_active", Kind::Boolean, "whether the rule holds").writable().filter(),
        Field::new("target_users", Kind::Ids, "the users who are told then").computed().required(),
        Field::new("created_at", Kind::Moment, "since when there is the rule; it is about what was told since"),
    ],
};

impl Resource for EscalationRules {
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::NotificationManagement,
        created: "escalation_rule_created",
        updated: "escalation_rule_updated",
        deleted: "escalation_rule_deleted",
        name: "source",
    });

    fn model() -> &'static Model {
        &ESCALATION_RULE
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let mut targets = ESCALATION_TARGETS.of(state.db(), &ids, "username").await?;
        for (id, record) in ids.iter().zip(records) {
            let targets = targets.remove(id).unwrap_or_default();
            record.insert("target_users".into(), targets.iter().map(|(id, _)| *id).collect::<Vec<_>>().into());
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        if key.is_none() {
            write.values.set("created_at", Moment(write.state.clock().now()).to_string());
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        if let Some(ids) = write.values.take_ids("target_users") {
            ESCALATION_TARGETS.set(write.transaction, key.number(), &ids, "target_users").await?;
        }
        Ok(())
    }
}
