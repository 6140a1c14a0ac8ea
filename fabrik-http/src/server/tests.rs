//! The framework, shown on a resource that exists in tests only: notes with owners.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::{Method, Request};
use chrono::DateTime;
use fabrik_core::store::MemoryStore;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, SelectStatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::caller::{Caller, MaybeCaller};
use super::clock::Clock;
use super::db::Database;
use super::error::ApiError;
use super::extract::{Json, Query};
use super::model::{Field, Kind, Model, Verb};
use super::peer::Peer;
use super::registry::{Access, Registry, Route};
use super::resource::{Key, Resource, Write};
use super::settings::{Layers, Origin, Settings};
use super::state::AppState;
use super::throttle::Throttles;
use super::{create_user, reset_codes, sessions, users};

mod access;
mod listing;
mod logins;
mod told;

struct Notes;

static NOTE: Model = Model {
    app: "test",
    name: "note",
    title: "Note",
    table: "test_note",
    default_order: "rank",
    fields: &[
        Field::new("id", Kind::Uuid, "the id"),
        Field::new("owner_id", Kind::Integer, "whose it is"),
        Field::new("title", Kind::Text { least: 1, most: 40 }, "the title").required().filter().search().order(),
        Field::new("text", Kind::Text { least: 0, most: 200 }, "the text").writable().search(),
        Field::new("rank", Kind::Range { least: 0, most: 9 }, "the rank").required().filter().order(),
        Field::new("is_open", Kind::Boolean, "whether it is open").writable().filter().order(),
        Field::new("due", Kind::Moment, "when it is due").writable().nullable().order(),
        Field::new("extra", Kind::Json, "anything").writable().nullable(),
    ],
};

impl Resource for Notes {
    fn model() -> &'static Model {
        &NOTE
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        if !caller.is_admin() {
            query.and_where(Expr::col((Alias::new("test_note"), Alias::new("owner_id"))).eq(caller.id()));
        }
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        if key.is_none() {
            write.values.set("owner_id", write.caller.id());
            let now = write.state.clock().now();
            if write.values.get("due").is_none() {
                write.values.set("due", super::moment::Moment(now).to_string());
            }
        }
        Ok(())
    }
}

/// A route with parameters and an optional caller.
#[derive(Deserialize, JsonSchema)]
struct GreetQuery {
    /// How often.
    #[schemars(range(min = 1, max = 3))]
    times: u32,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Greeting {
    text: String,
    known: bool,
}

async fn greet(caller: MaybeCaller, Query(query): Query<GreetQuery>) -> Json<Greeting> {
    let text = "hi ".repeat(query.times as usize) + &query.name.unwrap_or_default();
    Json(Greeting { text, known: caller.0.is_some() })
}

async fn break_down(State(state): State<AppState>) -> Result<Json<Greeting>, ApiError> {
    assert!(state.is_stopping(), "a panic with a secret in it");
    Err(ApiError::NotFound)
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.resource::<Notes>("/api/test/notes/");
    registry.add(Route::get("/api/test/greet/", "test_greet", Access::Public, greet));
    registry.add(Route::get("/api/test/panic/", "test_panic", Access::Public, break_down));
    registry
}

/// A server with nothing but the routes above, or with all that there are.
struct Server {
    state: AppState,
    router: Router,
}

struct Reply {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl Server {
    fn settings() -> Settings {
        let mut layers = Layers::defaults();
        layers.set("database", "memory:", Origin::Default).unwrap();
        for scope in Throttles::scopes() {
            layers.set(scope.setting(), "off", Origin::Default).unwrap();
        }
        Settings::from_layers(&layers).unwrap()
    }

    async fn whole() -> Self {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let state = AppState::open(Self::settings(), Arc::new(MemoryStore::default()), clock).await.unwrap();
        let router = super::router(&state);
        Self { state, router }
    }

    async fn start() -> Self {
        let settings = Self::settings();
        let (api, routes) = registry().finish();
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let state = AppState::open_with(settings, Arc::new(MemoryStore::default()), clock, api).await.unwrap();
        let Database::Sqlite(pool) = state.db() else { panic!("the test runs on SQLite") };
        let table = "CREATE TABLE test_note (id UUID PRIMARY KEY, owner_id BIGINT, title TEXT, text TEXT DEFAULT '', \
                     rank BIGINT, is_open BOOLEAN DEFAULT TRUE, due DATETIME, extra JSONB)";
        sqlx::query(table).execute(pool).await.unwrap();
        let router = super::layered(state.mount(routes), &state);
        Self { state, router }
    }

    /// Adds a user with permissions, logs in, and returns the access token.
    async fn user(&self, name: &str, permissions: &[&str], is_admin: bool) -> String {
        let id = create_user(&self.state, name, "", "Correct horse, battery", is_admin).await.unwrap();
        let mut transaction = self.state.db().begin().await.unwrap();
        for codename in permissions {
            let query = sea_query::Query::select()
                .column(Alias::new("id"))
                .from(Alias::new("auth_permission"))
                .and_where(Expr::col(Alias::new("codename")).eq(*codename))
                .take();
            let permission = transaction.number(&query).await.unwrap();
            super::memberships::USER_PERMISSIONS.add(&mut transaction, id, permission).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let user = users::by_id(self.state.db(), id).await.unwrap().unwrap();
        sessions::begin(&self.state, user.id, &peer()).await.unwrap().access
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "fab.lab");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body == Value::Null { RawBody::empty() } else { RawBody::from(body.to_string()) };
        let request = request.header("content-type", "application/json").body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.call(Method::GET, path, Some(token), Value::Null).await
    }
}

fn peer() -> Peer {
    Peer::local()
}
