//! API keys: made, listed and revoked by their users; administrators see and revoke all.

use axum::extract::State;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, SelectStatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::server::api_keys::{self, NewKey, PREFIX, Scopes};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::extract::{Body, Json};
use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::moment::Moment;
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Audited, Resource};
use crate::server::state::AppState;
use crate::server::throttle::Scope;

const PATH: &str = "/api/auth/api-keys/";
/// How many keys a user has at most.
const MOST: i64 = 50;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<ApiKeys>(PATH);
    registry.add(
        Route::post(PATH, "auth_api_key_create", Access::Login, create)
            .about("Makes an API key and shows it, once.")
            .throttle(Scope::SensitiveAction),
    );
}

/// Keys as lists show them: all but the key.
struct ApiKeys;

static API_KEY: Model = Model {
    app: "auth",
    name: "api_key",
    title: "ApiKey",
    table: "auth_api_key",
    default_order: "-created_at,-id",
    fields: &[
        Field::new("id", Kind::Integer, "the id").order(),
        Field::new("user_id", Kind::Integer, "whose it is").filter(),
        Field::new("name", Kind::Text { least: 1, most: 100 }, "what it is for").filter().search().order(),
        Field::new("prefix", Kind::Text { least: 1, most: 20 }, "how the key begins").filter(),
        Field::new("scopes", Kind::Other(scopes_schema), "what it may do"),
        Field::new("created_at", Kind::Moment, "when it was made").order(),
        Field::new("expires_at", Kind::Moment, "when it ends").nullable().order(),
        Field::new("last_used_at", Kind::Moment, "when it was last used, to a minute").nullable().order(),
        Field::new("last_used_ip", Kind::Text { least: 0, most: 45 }, "from which address"),
    ],
};

fn scopes_schema() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

impl Resource for ApiKeys {
    const VERBS: &'static [Verb] = &[Verb::View, Verb::Delete];
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::UserManagement,
        created: "api_key_created",
        updated: "api_key_updated",
        deleted: "api_key_revoked",
        name: "name",
    });

    fn model() -> &'static Model {
        &API_KEY
    }

    fn access(_verb: Verb) -> Access {
        Access::Login
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        if !caller.is_admin() {
            query.and_where(Expr::col((Alias::new("auth_api_key"), Alias::new("user_id"))).eq(caller.id()));
        }
    }
}

/// What a key shall be for.
#[derive(Deserialize, JsonSchema)]
struct NewApiKey {
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// `*` for all that the user may, `read` for every GET, or codenames of permissions; `users` opens users and groups.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 150)))]
    scopes: Vec<String>,
    /// When it ends; unless told, never.
    expires_at: Option<DateTime<Utc>>,
}

/// A key, shown this once.
#[derive(Serialize, JsonSchema)]
struct ApiKeyCreated {
    id: i64,
    user_id: i64,
    name: String,
    prefix: String,
    /// The key itself. It is not kept, so it cannot be shown again.
    key: String,
    scopes: Vec<String>,
    created_at: Moment,
    expires_at: Option<Moment>,
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<NewApiKey>,
) -> Result<Json<ApiKeyCreated, 201>, ApiError> {
    let now = state.clock().now();
    let mut errors = FieldErrors::default();
    if body.scopes.is_empty() {
        errors.add("scopes", "This list may not be empty.");
    }
    let scopes = Scopes::of(body.scopes.clone(), &state).map_err(|sentence| errors.add("scopes", sentence)).ok();
    if body.expires_at.is_some_and(|end| end <= now) {
        errors.add("expires_at", "This must be in the future.");
    }
    let Some(scopes) = scopes.filter(|_| errors.is_empty()) else { return Err(ApiError::Invalid(errors)) };
    let new = NewKey { user_id: caller.id(), name: &body.name, scopes: &scopes, expires_at: body.expires_at };
    let mut transaction = state.db().begin().await?;
    if api_keys::count(&mut transaction, caller.id()).await? >= MOST {
        return Err(ApiError::BadRequest(format!("A user has at most {MOST} API keys; revoke one first.").into()));
    }
    let (id, key) = api_keys::make(&mut transaction, &state, &new).await?;
    Entry::new(Category::UserManagement, "api_key_created", "An API key was made")
        .on("api_key", id, &body.name)
        .with(json!({ "scopes": body.scopes, "expires_at": body.expires_at.map(Moment) }))
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Json(ApiKeyCreated {
        id,
        user_id: caller.id(),
        name: body.name,
        prefix: key[..PREFIX.len() + 6].to_owned(),
        key,
        scopes: body.scopes,
        created_at: Moment(now),
        expires_at: body.expires_at.map(Moment),
    }))
}
