//! A server without a socket, with a clock that stands still until it is moved.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use chrono::{DateTime, TimeZone, Utc};
use fabrik_core::store::{MemoryStore, OpenMode, PostgresStore, Store};
use fabrik_http::server::settings::{Layers, Origin};
use fabrik_http::server::{AppState, Clock, Settings, create_user, router};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A password that is strong enough.
pub(crate) const PASSWORD: &str = "Correct horse, battery";

pub(crate) struct Server {
    pub(crate) state: AppState,
    pub(crate) clock: Clock,
    layers: Layers,
    router: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    /// They as text; what is no UTF-8 is replaced.
    pub(crate) text: String,
    /// The body where it is JSON, else null.
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A request while it is put together.
pub(crate) struct Call<'a> {
    server: &'a Server,
    request: axum::http::request::Builder,
    body: Body,
}

impl Server {
    /// Starts a server without rate limits.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with settings; rates that are not named are off.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::of(&without_rates(settings)).await
    }

    /// Starts a server with the settings of a plain start, but for where its state is.
    pub(crate) async fn plain() -> Self {
        let mut layers = Layers::defaults();
        layers.set("database", "memory:", Origin::Default).unwrap();
        Self::of(&layers).await
    }

    /// Starts a server without rate limits whose snapshots are in this store.
    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
        Self::on_with(store, &[]).await
    }

    /// Starts a server with settings, whose snapshots are in this store.
    pub(crate) async fn on_with(store: Arc<dyn Store>, settings: &[(&str, &str)]) -> Self {
        Self::of_layers(&without_rates(settings), store).await
    }

    async fn of(layers: &Layers) -> Self {
        Self::of_layers(layers, new_store().await).await
    }

    async fn of_layers(layers: &Layers, store: Arc<dyn Store>) -> Self {
        let mut layers = layers.clone();
        if let Ok(address) = std::env::var("FABRIK_TEST_POSTGRES") {
            layers.set("database", &new_database(&address).await, Origin::Default).unwrap();
        }
        Self::open(layers, store, Clock::manual(noon())).await
    }

    async fn open(layers: Layers, store: Arc<dyn Store>, clock: Clock) -> Self {
        let settings = Settings::from_layers(&layers).unwrap();
        let state = AppState::open(settings, store, clock.clone()).await.unwrap();
        let router = router(&state);
        Self { state, clock, layers, router }
    }

    /// Starts another server on the same database, which must not be in memory.
    pub(crate) async fn another(&self) -> Self {
        Self::open(self.layers.clone(), Arc::new(MemoryStore::default()), self.clock.clone()).await
    }

    /// Adds a user.
    pub(crate) async fn user(&self, name: &str, is_admin: bool) -> i64 {
        create_user(&self.state, name, &format!("{name}@lab.example"), PASSWORD, is_admin).await.unwrap()
    }

    /// Adds a user, logs in, and returns the access token.
    pub(crate) async fn token(&self, name: &str, is_admin: bool) -> String {
        self.user(name, is_admin).await;
        self.login(name).await.0
    }

    /// Logs in and returns the access and the refresh token.
    pub(crate) async fn login(&self, name: &str) -> (String, String) {
        let reply = self.try_login(name, PASSWORD).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let token = |kind: &str| reply.body[kind].as_str().unwrap().to_owned();
        (token("access"), token("refresh"))
    }

    pub(crate) async fn try_login(&self, name: &str, password: &str) -> Reply {
        self.post("/api/auth/login/").json(&json!({ "username": name, "password": password })).send().await
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path).header("host", "fab.lab");
        Call { server: self, request, body: Body::empty() }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call("POST", path)
    }
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the body of the answer, or as an error what came of one that broke off.
    pub(crate) async fn broken(self) -> Result<Vec<u8>, Vec<u8>> {
        let request = self.request.body(self.body).unwrap();
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let mut pieces = response.into_body().into_data_stream();
        let mut came = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => came.extend_from_slice(&piece),
                Err(_) => return Err(came),
            }
        }
        Ok(came)
    }

    pub(crate) async fn send(self) -> Reply {
        let request = self.request.body(self.body).unwrap();
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes, text, body }
    }
}

/// Returns settings with all rates off that are not named, and a database in memory.
fn without_rates(settings: &[(&str, &str)]) -> Layers {
    let mut layers = Layers::defaults();
    let set = |layers: &mut Layers, key: &str, value: &str| layers.set(key, value, Origin::Default).unwrap();
    for shown in layers.shown() {
        if shown.key.starts_with("rate_limit.") {
            set(&mut layers, &shown.key, "off");
        }
    }
    set(&mut layers, "database", "memory:");
    for (key, value) in settings {
        set(&mut layers, key, value);
    }
    layers
}

/// Returns an empty store of snapshots: in memory, unless all tests are to use PostgreSQL.
async fn new_store() -> Arc<dyn Store> {
    if std::env::var_os("FABRIK_TEST_POSTGRES_STORE").is_none() {
        return Arc::new(MemoryStore::default());
    }
    let address = fabrik_core::store::conformance::postgres::server().new_address();
    Arc::new(PostgresStore::open(&address, OpenMode::Create).await.unwrap())
}

/// Makes a database of its own on the server at `address`, like `postgres://postgres@127.0.0.1:5433`, which may end in
/// parameters.
async fn new_database(address: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let name = format!("fabrik_{}", uuid::Uuid::now_v7().simple());
    let (server, parameters) = address.split_once('?').unwrap_or((address, ""));
    let database = |name: &str| format!("{}/{name}?{parameters}", server.trim_end_matches('/'));
    let mut connection = sqlx::PgConnection::connect(&database("postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    database(&name)
}

/// When the clock of every test starts.
pub(crate) fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 12, 0, 0).unwrap()
}
