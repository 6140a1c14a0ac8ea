//! Webhooks of the caller, and the log of their deliveries.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::db::Transaction;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Json, Path};
use crate::server::listing::Listing;
use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::moment::Moment;
use crate::server::notifications::{SEVERITIES, SOURCES};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Audited, Key, NewRecord, Resource, Shown, Write, list_among, show, write};
use crate::server::secrets::random_token;
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::webhooks;

/// How many webhooks a user may have: each notice goes to all of them.
const MOST: i64 = 20;

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/notifications/webhooks/";
    registry.resource::<Webhooks>(path);
    let at = |rest: &str| format!("{path}{{id}}/{rest}");
    registry.add(
        Route::post(path, "notifications_webhook_create", Access::Login, create)
            .about(
                "Makes a new webhook. Its secret is shown in this answer only: a receiver checks with it that \
                 X-Fabrik-Signature is `sha256=` and the HMAC-SHA-256, in hex, of X-Fabrik-Timestamp, a dot and the body.",
            )
            .throttle(Scope::SensitiveAction),
    );
    registry.add(
        Route::post(&at("rotate_secret/"), "notifications_webhook_rotate_secret", Access::Login, rotate_secret)
            .about("Gives a webhook a new secret, which is shown in this answer only.")
            .throttle(Scope::SensitiveAction),
    );
    registry.add(
        Route::post(&at("test/"), "notifications_webhook_test", Access::Login, test)
            .about("Queues a delivery that tells nothing; the log says what came of it.")
            .throttle(Scope::SensitiveAction)
            .errors(&[400]),
    );
    registry.add(
        Route::get(&at("deliveries/"), "notifications_webhook_delivery_list", Access::Login, list_deliveries)
            .about("Lists what was delivered to a webhook in the last 30 days, the last one first."),
    );
    registry.add(
        Route::get(
            &at("deliveries/{delivery_id}/"),
            "notifications_webhook_delivery_retrieve",
            Access::Login,
            show_delivery,
        )
        .about("Returns one delivery."),
    );
    registry.add(
        Route::post(
            &at("deliveries/{delivery_id}/redeliver/"),
            "notifications_webhook_redeliver",
            Access::Login,
            redeliver,
        )
        .about("Queues a delivery once more, with the same body.")
        .throttle(Scope::SensitiveAction)
        .errors(&[400]),
    );
}

/// Webhooks: the own ones; administrators see all.
struct Webhooks;

static WEBHOOK: Model = Model {
    app: "notifications",
    name: "webhook",
    title: "Webhook",
    table: webhooks::WEBHOOK,
    default_order: "name",
    fields: &[
        Field::new("id", Kind::Uuid, "the id of the webhook"),
        Field::new("owner_id", Kind::Integer, "whose it is").filter(),
        Field::new("name", Kind::Text { least: 1, most: 150 }, "the name").required().search().order(),
        Field::new("url", Kind::Text { least: 1, most: 2000 }, "where to send: https:// or http://")
            .required()
            .search(),
        Field::new("sources", Kind::Other(sources_schema), "the sources of notices; none stands for all").writable(),
        Field::new("min_severity", Kind::Choice(SEVERITIES), "what is grave enough").writable(),
        Field::new("all_users", Kind::Boolean, "whether notices for others are sent, too; for administrators")
            .writable()
            .filter(),
        Field::new("is_active", Kind::Boolean, "whether anything is sent").writable().filter(),
        Field::new("failing_since", Kind::Moment, "since when nothing could be delivered").nullable().order(),
        Field::new("last_success_at", Kind::Moment, "when something was delivered last").nullable().order(),
        Field::new("created_at", Kind::Moment, "since when there is the webhook").order(),
        Field::new("secret", Kind::Text { least: 0, most: 1000 }, "sealed").hidden(),
    ],
};

fn sources_schema() -> Value {
    json!({ "type": "array", "items": { "type": "string", "enum": SOURCES }, "maxItems": SOURCES.len() })
}

impl Resource for Webhooks {
    const VERBS: &'static [Verb] = &[Verb::View, Verb::Change, Verb::Delete];
    const WRITE_SCOPE: Option<Scope> = Some(Scope::SensitiveAction);
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::NotificationManagement,
        created: "webhook_created",
        updated: "webhook_updated",
        deleted: "webhook_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &WEBHOOK
    }

    fn access(_verb: Verb) -> Access {
        Access::Login
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        if !caller.is_admin() {
            query.and_where(owner().eq(caller.id()));
        }
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        if let Some(url) = write.values.text("url") {
            webhooks::check_url(url, write.state.courier().allows_private())
                .map_err(|sentence| ApiError::field("url", sentence))?;
        }
        let is = |name: &str| write.values.get(name).is_some_and(|value| *value == true);
        if is("all_users") && !write.caller.is_admin() {
            return Err(ApiError::field("all_users", "Only administrators hear of what others are told."));
        }
        if is("is_active") {
            write.values.set("failing_since", Value::Null);
        }
        if key.is_none() {
            let count = Query::select()
                .expr(Func::count(WEBHOOK.id_column()))
                .from(Alias::new(WEBHOOK.table))
                .and_where(owner().eq(write.caller.id()))
                .take();
            if write.transaction.number(&count).await? >= MOST {
                return Err(ApiError::BadRequest(format!("A user may have {MOST} webhooks.").into()));
            }
            write.values.set("owner_id", write.caller.id());
            write.values.set("created_at", Moment(write.state.clock().now()).to_string());
            if write.values.get("sources").is_none() {
                write.values.set("sources", json!([]));
            }
        }
        Ok(())
    }
}

fn owner() -> Expr {
    Expr::col((Alias::new(WEBHOOK.table), Alias::new("owner_id")))
}

/// A new webhook with its secret.
struct WebhookCreated(Value);

impl IntoResponse for WebhookCreated {
    fn into_response(self) -> Response {
        (axum::http::StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

impl Describe for WebhookCreated {
    fn describe(operation: &mut Operation<'_>) {
        let (_, mut schema) = WEBHOOK.read_schema();
        schema["properties"]["secret"] = json!({ "type": "string", "description": "what deliveries are signed with" });
        if let Some(required) = schema["required"].as_array_mut() {
            required.push("secret".into());
        }
        let schema = operation.schemas.write(("WebhookCreated".to_owned(), schema));
        operation.json_response(201, &schema);
    }
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    mut body: NewRecord<Webhooks>,
) -> Result<WebhookCreated, ApiError> {
    let secret = random_token();
    body.values.set("secret", webhooks::seal_secret(&state, &secret));
    let key = write::<Webhooks>(&state, &caller, None, body.values).await?;
    let mut webhook = show::<Webhooks>(&state, &caller, key).await?.value;
    webhook["secret"] = secret.into();
    Ok(WebhookCreated(webhook))
}

/// What deliveries are signed with from now on.
#[derive(Serialize, JsonSchema)]
struct NewSecret {
    secret: String,
}

async fn rotate_secret(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<NewSecret>, ApiError> {
    let secret = random_token();
    let sealed = webhooks::seal_secret(&state, &secret);
    let mut transaction = state.db().begin().await?;
    let (name, _) = find(&mut transaction, &caller, id).await?;
    let update = Query::update()
        .table(Alias::new(WEBHOOK.table))
        .value(Alias::new("secret"), sealed)
        .and_where(WEBHOOK.id_column().eq(id))
        .take();
    transaction.run(&update).await?;
    Entry::new(Category::NotificationManagement, "webhook_secret_rotated", "Webhook secret rotated")
        .on("webhook", id, name)
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Json(NewSecret { secret }))
}

/// Returns the name of a webhook that the caller can see, and whether it is active.
async fn find(transaction: &mut Transaction, caller: &Caller, id: Uuid) -> Result<(String, bool), ApiError> {
    let mut query = Query::select()
        .columns(["name", "is_active"].map(|name| (Alias::new(WEBHOOK.table), Alias::new(name))))
        .from(Alias::new(WEBHOOK.table))
        .and_where(WEBHOOK.id_column().eq(id))
        .take();
    Webhooks::visible(caller, &mut query);
    transaction.first(&query).await?.ok_or(ApiError::NotFound)
}

/// Returns the name of a webhook that the caller can see and that sends.
async fn find_active(transaction: &mut Transaction, caller: &Caller, id: Uuid) -> Result<String, ApiError> {
    match find(transaction, caller, id).await? {
        (name, true) => Ok(name),
        (_, false) => Err(ApiError::BadRequest("The webhook is switched off.".into())),
    }
}

async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Shown<Deliveries, false, 201>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let name = find_active(&mut transaction, &caller, id).await?;
    let delivery = webhooks::queue_test(&state, &mut transaction, id).await?;
    Entry::new(Category::NotificationManagement, "webhook_tested", "Webhook tested")
        .on("webhook", id, name)
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Shown::ok(show::<Deliveries>(&state, &caller, Key::Uuid(delivery)).await?.value))
}

/// The log of deliveries of the webhooks that the caller can see.
struct Deliveries;

static DELIVERY: Model = Model {
    app: "notifications",
    name: "webhook_delivery",
    title: "WebhookDelivery",
    table: webhooks::DELIVERY,
    default_order: "-created_at",
    fields: &[
        Field::new("id", Kind::Uuid, "the id of the delivery; X-Fabrik-Delivery"),
        Field::new("webhook_id", Kind::Uuid, "the webhook"),
        Field::new("event_id", Kind::Uuid, "the id of the event, the same for all deliveries of it"),
        Field::new("event", Kind::Text { least: 1, most: 100 }, "the type of the event; X-Fabrik-Event").filter(),
        Field::new("status", Kind::Choice(&["pending", "delivered", "failed"]), "what came of it").filter(),
        Field::new("tries", Kind::Integer, "how often it was tried").order(),
        Field::new("next_try_at", Kind::Moment, "when it is tried next").nullable(),
        Field::new("status_code", Kind::Integer, "the status of the last answer").nullable(),
        Field::new("duration_ms", Kind::Integer, "how long the last try took").nullable(),
        Field::new("error", Kind::Text { least: 0, most: 10_000 }, "why the last try failed"),
        Field::new("answer", Kind::Text { least: 0, most: 1024 }, "the beginning of the last answer"),
        Field::new("body", Kind::Text { least: 0, most: 1_000_000 }, "what is sent"),
        Field::new("created_at", Kind::Moment, "when it was queued").order(),
        Field::new("delivered_at", Kind::Moment, "when it was taken").nullable(),
    ],
};

impl Resource for Deliveries {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &DELIVERY
    }

    fn access(_verb: Verb) -> Access {
        Access::Login
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        let mut webhooks = Query::select().expr(WEBHOOK.id_column()).from(Alias::new(WEBHOOK.table)).take();
        Webhooks::visible(caller, &mut webhooks);
        query.and_where(of_webhook().in_subquery(webhooks));
    }
}

fn of_webhook() -> Expr {
    Expr::col((Alias::new(DELIVERY.table), Alias::new("webhook_id")))
}

async fn list_deliveries(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    listing: Listing<Deliveries>,
) -> Result<Shown<Deliveries, true>, ApiError> {
    show::<Webhooks>(&state, &caller, Key::Uuid(id)).await?;
    list_among(&state, &caller, &listing, |query| {
        query.and_where(of_webhook().eq(id));
    })
    .await
}

async fn show_delivery(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, delivery_id)): Path<(Uuid, Uuid)>,
) -> Result<Shown<Deliveries>, ApiError> {
    let shown = show::<Deliveries>(&state, &caller, Key::Uuid(delivery_id)).await?;
    if shown.value["webhook_id"] == id.to_string() { Ok(shown) } else { Err(ApiError::NotFound) }
}

async fn redeliver(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, delivery_id)): Path<(Uuid, Uuid)>,
) -> Result<Shown<Deliveries, false, 201>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let name = find_active(&mut transaction, &caller, id).await?;
    let copied = webhooks::copy(&state, &mut transaction, id, delivery_id).await?.ok_or(ApiError::NotFound)?;
    Entry::new(Category::NotificationManagement, "webhook_redelivered", "Webhook delivery queued once more")
        .on("webhook", id, name)
        .with(json!({ "delivery_id": delivery_id }))
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Shown::ok(show::<Deliveries>(&state, &caller, Key::Uuid(copied)).await?.value))
}
