//! Sockets and events, over real connections.

mod notifications;
mod several;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::{DateTime, TimeDelta};
use fabrik_core::store::MemoryStore;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt;

use super::*;
use crate::server::clock::Clock;
use crate::server::peer::Peer;
use crate::server::settings::{Layers, Origin, Settings};
use crate::server::throttle::Throttles;
use crate::server::{ServeError, create_user, router, serve, sessions, users};

const PASSWORD: &str = "Correct horse, battery";
/// What takes longer than this does not come.
const LIMIT: Duration = Duration::from_secs(20);

/// A server that listens, with a clock that stands.
struct Live {
    state: AppState,
    clock: Clock,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), ServeError>>,
}

/// Somebody who is logged in.
struct User {
    id: i64,
    token: String,
    session: Uuid,
}

impl Live {
    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::at(settings, Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))).await
    }

    async fn at(settings: &[(&str, &str)], clock: Clock) -> Self {
        let mut layers = Layers::defaults();
        for scope in Throttles::scopes() {
            layers.set(scope.setting(), "off", Origin::Default).unwrap();
        }
        for (key, value) in [("database", "memory:"), ("listen", "127.0.0.1:0")].iter().chain(settings) {
            layers.set(key, value, Origin::Default).unwrap();
        }
        let settings = Settings::from_layers(&layers).unwrap();
        let state = AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (started, bound) = oneshot::channel();
        let started = move |address| started.send(address).unwrap();
        let done = tokio::spawn(serve(state.clone(), started, async move {
            let _ = stopped.await;
        }));
        Self { state, clock, address: bound.await.unwrap(), stop, done }
    }

    async fn user(&self, name: &str, is_admin: bool) -> User {
        let id = create_user(&self.state, name, "", PASSWORD, is_admin).await.unwrap();
        self.log_in(id).await
    }

    async fn log_in(&self, id: i64) -> User {
        let token = sessions::begin(&self.state, id, &Peer::local()).await.unwrap().access;
        let now = self.clock.now();
        let claims = self.state.token_key().read(&token, crate::server::tokens::TokenKind::Access, now).unwrap();
        User { id, token, session: claims.sid }
    }

    /// Calls the API and returns the status and the body.
    async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "fab.lab");
        let request =
            if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let response = router(&self.state).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn ticket(&self, user: &User) -> String {
        let (status, body) = self.call(Method::POST, "/api/ws-ticket/", &user.token, json!({})).await;
        assert_eq!((status, &body["expires_in"], &body["ttl"]), (200, &json!(60), &json!(60)), "{body}");
        body["ticket"].as_str().unwrap().to_owned()
    }

    /// Opens a socket with an origin or without.
    async fn open(&self, path: &str, origin: Option<&str>) -> Result<Client, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", http::HeaderValue::from_str(origin).unwrap());
        }
        let (socket, response) = timeout(LIMIT, connect_async(request)).await.unwrap()?;
        assert_eq!(response.status(), 101);
        Ok(Client(socket))
    }

    /// Follows a job as a user.
    async fn follow(&self, job: Uuid, user: &User) -> Client {
        let ticket = self.ticket(user).await;
        self.open(&format!("/ws/chain-execution/{job}/?ticket={ticket}"), None).await.unwrap()
    }

    async fn publish(&self, job: Uuid, kind: &str) {
        self.state.events().publish(&self.state, &Channel::Job(job), kind, json!({})).await;
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(LIMIT, self.done).await.unwrap().unwrap().unwrap();
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn next(&mut self) -> Option<Message> {
        timeout(LIMIT, self.0.next()).await.expect("something comes").map(Result::unwrap)
    }

    /// Returns the next frame.
    async fn frame(&mut self) -> Value {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_)) => {}
                other => panic!("no frame: {other:?}"),
            }
        }
    }

    async fn kind(&mut self) -> String {
        self.frame().await["type"].as_str().unwrap().to_owned()
    }

    /// Returns the code with which the server closes, after frames of these kinds.
    async fn end(mut self) -> (u16, Vec<String>) {
        let mut kinds = Vec::new();
        loop {
            match self.next().await {
                Some(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    kinds.push(frame["type"].as_str().unwrap().to_owned());
                }
                Some(Message::Close(Some(close))) => return (close.code.into(), kinds),
                Some(Message::Ping(_)) => {}
                other => panic!("no close: {other:?}"),
            }
        }
    }

    async fn code(self) -> u16 {
        self.end().await.0
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_nothing_else_does() {
    let server = Live::start(&[]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let path = |query: &str| format!("/ws/chain-execution/{job}/{query}");
    let refused = async |query: &str| server.open(&path(query), None).await.unwrap().code().await;
    let ticket = server.ticket(&mara).await;

    let mut open = server.open(&path(&format!("?ticket={ticket}")), None).await.unwrap();
    open.say("{\"type\":\"ping\"}").await;
    assert_eq!(open.kind().await, "pong");
    assert_eq!(refused(&format!("?ticket={ticket}")).await, 4001);
    assert_eq!(refused("").await, 4001);
    assert_eq!(refused("?ticket=guess").await, 4001);
    assert_eq!(refused(&format!("?ticket={0}&token={0}", mara.token)).await, 4001);
    let late = server.ticket(&mara).await;
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(refused(&format!("?ticket={late}")).await, 4001);
    // A ticket lasts no longer than what it stands for.
    let ended = server.ticket(&mara).await;
    sessions::end(&server.state, mara.session, "test").await.unwrap();
    assert_eq!(refused(&format!("?ticket={ended}")).await, 4001);
}

#[tokio::test]
async fn a_job_is_open_to_its_owner_and_administrators() {
    let server = Live::start(&[]).await;
    let (mara, ben) = (server.user("mara", false).await, server.user("ben", false).await);
    let admin = server.user("admin", true).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    server.publish(job, "node_start").await;

    assert_eq!(server.follow(job, &mara).await.kind().await, "node_start");
    assert_eq!(server.follow(job, &admin).await.kind().await, "node_start");
    assert_eq!(server.follow(job, &ben).await.end().await, (4403, vec![]));
    assert_eq!(server.follow(Uuid::now_v7(), &admin).await.code().await, 4403);
    assert!(server.open("/ws/chain-execution/7/", None).await.is_err());
}

#[tokio::test]
async fn a_late_client_gets_the_last_frame_and_each_frame_once() {
    let server = Live::start(&[]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let mut early = server.follow(job, &mara).await;
    early.say("{\"type\":\"ping\"}").await;
    assert_eq!(early.kind().await, "pong");

    server.publish(job, "one").await;
    server.publish(job, "two").await;
    let mut late = server.follow(job, &mara).await;
    assert_eq!(late.frame().await, json!({ "type": "two", "timestamp": "2024-10-04T00:00:00+00:00", "data": {} }));
    server.publish(job, "three").await;
    close_job(&server.state, job).await.unwrap();
    // What comes after the end is nobody's.
    server.publish(job, "four").await;

    let kinds = |kinds: &[&str]| kinds.iter().map(|&kind| kind.to_owned()).collect::<Vec<_>>();
    assert_eq!(early.end().await, (1000, kinds(&["one", "two", "three"])));
    assert_eq!(late.end().await, (1000, kinds(&["three"])));
    assert_eq!(server.follow(job, &mara).await.end().await, (1000, kinds(&["three"])));
}

#[tokio::test]
async fn pages_of_other_origins_open_no_socket() {
    let server = Live::start(&[("cors_origins", "https://ui.lab")]).await;
    let own = format!("http://{}", server.address);
    let job = Uuid::now_v7();
    let open = async |origin: &str| match server.open(&format!("/ws/chain-execution/{job}/"), Some(origin)).await {
        Ok(_) => 101,
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    };

    assert_eq!(open(&own).await, 101);
    assert_eq!(open("https://ui.lab").await, 101);
    for other in ["https://evil.lab", "null", "http://127.0.0.1", "https://ui.lab.evil.lab", ""] {
        assert_eq!(open(other).await, 403, "{other}");
    }
}

#[tokio::test]
async fn what_a_client_says_wrong_is_answered_and_forgiven() {
    let server = Live::start(&[("rate_limit.user", "6/min")]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let mut client = server.follow(job, &mara).await;

    for (said, detail) in [
        ("{\"type\":\"dance\"}", "There is no message \"dance\" here."),
        ("[1]", "A message is a JSON object with a type."),
        ("{", "A message is a JSON object with a type."),
        ("{\"type\":7}", "A message is a JSON object with a type."),
    ] {
        client.say(said).await;
        let frame = client.frame().await;
        assert_eq!((&frame["type"], &frame["data"]["detail"]), (&json!("error"), &json!(detail)));
    }
    // The ticket took one of six.
    client.say("{\"type\":\"ping\"}").await;
    assert_eq!(client.kind().await, "pong");
    client.say("{\"type\":\"ping\"}").await;
    assert_eq!(client.frame().await["data"]["detail"], "Too many messages.");
    client.say(&"x".repeat(20_000)).await;
    assert!(!matches!(timeout(LIMIT, client.0.next()).await.unwrap(), Some(Ok(Message::Text(_)))));
}

#[tokio::test]
async fn a_socket_ends_with_the_session_and_with_the_user() {
    let server = Live::start(&[]).await;
    let (mara, ben) = (server.user("mara", false).await, server.user("ben", false).await);
    let job = open_job(&server.state, mara.id).await.unwrap();
    let other = server.log_in(mara.id).await;
    let of_ben = open_job(&server.state, ben.id).await.unwrap();
    let (first, mut second) = (server.follow(job, &mara).await, server.follow(job, &other).await);
    let third = server.follow(of_ben, &ben).await;

    let (status, _) = server.call(Method::POST, "/api/auth/logout/", &mara.token, json!({})).await;
    assert_eq!(status, 204);
    assert_eq!(first.code().await, 4001);
    let mut transaction = server.state.db().begin().await.unwrap();
    users::set_within(&mut transaction, ben.id, vec![("is_active", false.into())]).await.unwrap();
    transaction.commit().await.unwrap();
    server.state.callers().forget_all();
    assert_eq!(third.code().await, 4001);
    second.say("{\"type\":\"ping\"}").await;
    assert_eq!(second.kind().await, "pong");
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_to_its_sockets() {
    let server = Live::start(&[]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let mut client = server.follow(job, &mara).await;
    client.say("{\"type\":\"ping\"}").await;
    assert_eq!(client.kind().await, "pong");

    let (code, ()) = tokio::join!(client.code(), server.stop());

    assert_eq!(code, 1001);
}

#[tokio::test]
async fn a_slow_client_misses_frames_and_is_told_how_many() {
    let server = Live::start(&[]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let mut client = server.follow(job, &mara).await;
    client.say("{\"type\":\"ping\"}").await;
    assert_eq!(client.kind().await, "pong");

    // Without a pause between them, nobody reads: the test has one thread.
    for number in 1..=100 {
        let text = frame(&server.state, &format!("frame {number}"), &json!({}));
        server.state.events().hear(&Channel::Job(job), Heard::Frame { number, text });
    }

    let lagged = client.frame().await;
    assert_eq!((&lagged["type"], &lagged["data"]), (&json!("lagged"), &json!({ "missed": 36 })));
    assert_eq!(client.kind().await, "frame 37");
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_let_go() {
    let server = Live::start(&[("socket.ping_seconds", "1"), ("connections", "3")]).await;
    let mara = server.user("mara", false).await;
    let job = open_job(&server.state, mara.id).await.unwrap();
    let free = || server.state.events().sockets.available_permits();
    // This client is never polled again, so it answers no ping.
    let mut client = server.follow(job, &mara).await;
    client.say("{\"type\":\"ping\"}").await;
    assert_eq!((client.kind().await.as_str(), free()), ("pong", 2));

    server.state.events().all_left(LIMIT).await;

    assert_eq!(free(), 3);
}

#[tokio::test]
async fn channels_that_nobody_listens_to_are_forgotten() {
    let events = Events::new(1);
    let heard = events.listen(Channel::Notifications(1));
    drop(events.listen(Channel::Notifications(2)));

    events.forget_unheard();

    let channels = events.channels.lock().unwrap();
    assert_eq!(channels.keys().collect::<Vec<_>>(), [&Channel::Notifications(1)]);
    drop(heard);
}
