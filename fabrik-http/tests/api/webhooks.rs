//! Webhooks against a receiver on this machine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use fabrik_http::server::run_jobs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::server::{Reply, Server};

const WEBHOOKS: &str = "/api/notifications/webhooks/";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Who takes deliveries: keeps them, and answers with the status that is set.
#[derive(Clone, Default)]
struct Receiver {
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    status: Arc<Mutex<u16>>,
}

impl Receiver {
    async fn start() -> (Self, SocketAddr, JoinHandle<()>) {
        let receiver = Self::default();
        receiver.answer(204);
        let app = Router::new()
            .route("/hook", post(Self::take))
            .route("/elsewhere", post(async || Redirect::temporary("/hook")))
            .with_state(receiver.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (receiver, address, serving)
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: String) -> Response {
        receiver.received.lock().unwrap().push((headers, body));
        let status = StatusCode::from_u16(*receiver.status.lock().unwrap()).unwrap();
        if status == StatusCode::NO_CONTENT {
            status.into_response()
        } else {
            (status, "x".repeat(5000)).into_response()
        }
    }
}

/// A server that may call webhooks on this machine, with one that belongs to mara.
struct Setup {
    server: Server,
    mara: String,
    receiver: Receiver,
    serving: JoinHandle<()>,
    webhook: Value,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Setup {
    async fn start(path: &str) -> Self {
        let server = Server::with(&[("webhooks.allow_private", "true")]).await;
        let mara = server.token("mara", false).await;
        let (receiver, address, serving) = Receiver::start().await;
        let body = json!({ "name": "Chat", "url": format!("http://{address}{path}") });
        let made = server.post(WEBHOOKS).token(&mara).json(&body).send().await;
        assert_eq!(made.status, 201, "{}", made.text);
        Self { server, mara, receiver, serving, webhook: made.body }
    }

    fn path(&self, rest: &str) -> String {
        format!("{WEBHOOKS}{}/{rest}", self.webhook["id"].as_str().unwrap())
    }

    async fn post(&self, rest: &str) -> Reply {
        self.server.post(&self.path(rest)).token(&self.mara).send().await
    }

    async fn get(&self, rest: &str) -> Value {
        let reply = self.server.get(&self.path(rest)).token(&self.mara).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body
    }

    async fn run(&self) {
        run_jobs(&self.server.state).await;
    }
}

/// HMAC-SHA-256 as RFC 2104 writes it, for keys up to 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn deliveries_are_signed_and_logged() {
    let setup = Setup::start("/hook").await;

    let queued = setup.post("test/").await;
    assert_eq!((queued.status, &queued.body["status"]), (201, &json!("pending")), "{}", queued.text);
    setup.run().await;
    setup.run().await;

    let (headers, body) = setup.receiver.received.lock().unwrap()[0].clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let text = format!("{}.{body}", header("x-fabrik-timestamp"));
    let secret = setup.webhook["secret"].as_str().unwrap();
    assert_eq!(header("x-fabrik-signature"), format!("sha256={}", hmac(secret.as_bytes(), text.as_bytes())));
    assert_eq!((header("x-fabrik-event"), header("content-type")), ("test".into(), "application/json".into()));
    assert_eq!(json!(header("x-fabrik-delivery")), queued.body["id"]);
    let sent: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&sent["type"], &sent["timestamp"]), (&json!("test"), &json!("2026-03-02T12:00:00+00:00")));
    assert_eq!(setup.receiver.count(), 1);
    let log = setup.get("deliveries/").await;
    let one = &log["results"][0];
    assert_eq!(
        (&log["count"], &one["status"], &one["status_code"], &one["tries"], &one["error"]),
        (&json!(1), &json!("delivered"), &json!(204), &json!(1), &json!(""))
    );
    let seen = setup.get("").await;
    assert_eq!((&seen["secret"], &seen["last_success_at"]), (&Value::Null, &json!("2026-03-02T12:00:00+00:00")));
}

#[tokio::test]
async fn a_new_secret_signs_what_comes_after() {
    let setup = Setup::start("/hook").await;
    let rotated = setup.post("rotate_secret/").await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);

    setup.post("test/").await;
    setup.run().await;

    let (headers, body) = setup.receiver.received.lock().unwrap()[0].clone();
    let text = format!("{}.{body}", headers["x-fabrik-timestamp"].to_str().unwrap());
    let secret = rotated.body["secret"].as_str().unwrap();
    assert_ne!(setup.webhook["secret"], secret);
    assert_eq!(headers["x-fabrik-signature"], format!("sha256={}", hmac(secret.as_bytes(), text.as_bytes())));
}

#[tokio::test]
async fn failed_deliveries_are_tried_again_with_growing_pauses() {
    let setup = Setup::start("/hook").await;
    setup.receiver.answer(500);
    let id = setup.post("test/").await.body["id"].as_str().unwrap().to_owned();

    let mut times = 0;
    for minutes in [0, 1, 5, 30, 120, 720] {
        if minutes > 0 {
            setup.server.clock.advance(Duration::from_secs(minutes * 60 - 1));
            setup.run().await;
            assert_eq!(setup.receiver.count(), times, "too soon before {minutes} minutes");
            setup.server.clock.advance(Duration::from_secs(1));
        }
        setup.run().await;
        times += 1;
        assert_eq!(setup.receiver.count(), times, "after {minutes} minutes");
    }
    setup.server.clock.advance(24 * HOUR);
    setup.run().await;

    assert_eq!(setup.receiver.count(), 6);
    let (mara, _) = setup.server.login("mara").await;
    let log = setup.server.get(&setup.path(&format!("deliveries/{id}/"))).token(&mara).send().await.body;
    assert_eq!((&log["status"], &log["tries"], &log["status_code"]), (&json!("failed"), &json!(6), &json!(500)));
    assert_eq!(log["answer"].as_str().unwrap().len(), 1024);
    setup.receiver.answer(200);
    let again = setup.server.post(&setup.path(&format!("deliveries/{id}/redeliver/"))).token(&mara).send().await;
    assert_eq!(again.status, 201, "{}", again.text);
    setup.run().await;
    let received = setup.receiver.received.lock().unwrap();
    assert_eq!(received[6].1, received[0].1, "the same body");
}

#[tokio::test]
async fn a_webhook_that_fails_for_days_is_switched_off_and_its_owner_told() {
    let setup = Setup::start("/hook").await;
    setup.receiver.answer(503);
    for day in 0..6 {
        let (mara, _) = setup.server.login("mara").await;
        let seen = setup.server.get(&setup.path("")).token(&mara).send().await.body;
        assert_eq!(seen["is_active"], true, "day {day}");
        setup.server.post(&setup.path("test/")).token(&mara).send().await;
        setup.run().await;
        setup.server.clock.advance(24 * HOUR);
    }

    let (mara, _) = setup.server.login("mara").await;
    let seen = setup.server.get(&setup.path("")).token(&mara).send().await.body;
    assert_eq!(seen["is_active"], false);
    let inbox = setup.server.get("/api/notifications/notifications/").token(&mara).send().await.body;
    assert_eq!(
        (&inbox["count"], &inbox["results"][0]["title"], &inbox["results"][0]["source"]),
        (&json!(1), &json!("The webhook Chat was switched off"), &json!("system_maintenance"))
    );
    assert_eq!(setup.server.post(&setup.path("test/")).token(&mara).send().await.status, 400);
    let count = setup.receiver.count();
    setup.run().await;
    assert_eq!(setup.receiver.count(), count, "what waits is not sent");
    let on = json!({ "is_active": true });
    let on = setup.server.call("PATCH", &setup.path("")).token(&mara).json(&on).send().await;
    assert_eq!((&on.body["is_active"], &on.body["failing_since"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let setup = Setup::start("/elsewhere").await;

    setup.post("test/").await;
    setup.run().await;

    assert_eq!(setup.receiver.count(), 0);
    assert_eq!(setup.get("deliveries/").await["results"][0]["status_code"], 307);
}

#[tokio::test]
async fn private_addresses_are_refused_when_given() {
    let server = Server::start().await;
    let mara = server.token("mara", false).await;
    for host in ["127.0.0.1:1", "[::1]", "169.254.169.254", "10.0.0.1", "[fc00::1]", "[::ffff:10.0.0.1]", "localhost"] {
        let body = json!({ "name": "x", "url": format!("http://{host}/latest/meta-data/") });
        let reply = server.post(WEBHOOKS).token(&mara).json(&body).send().await;
        assert_eq!(reply.status, 400, "{host}");
        assert!(reply.body["url"].is_array(), "{}", reply.text);
    }
    let open = json!({ "name": "x", "url": "https://hooks.example.com/" });
    let made = server.post(WEBHOOKS).token(&mara).json(&open).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("{WEBHOOKS}{}/", made.body["id"].as_str().unwrap());
    let inward = json!({ "url": "http://192.168.0.1/" });
    assert_eq!(server.call("PATCH", &path).token(&mara).json(&inward).send().await.status, 400);
}

#[tokio::test]
async fn webhooks_belong_to_their_owners() {
    let setup = Setup::start("/hook").await;
    let delivery = setup.post("test/").await.body["id"].as_str().unwrap().to_owned();
    let ben = setup.server.token("ben", false).await;
    let own = json!({ "name": "Own", "url": setup.webhook["url"] });
    let own = setup.server.post(WEBHOOKS).token(&ben).json(&own).send().await.body;

    let redeliver = format!("deliveries/{delivery}/redeliver/");
    for (method, rest) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "test/"),
        ("POST", "rotate_secret/"),
        ("GET", "deliveries/"),
        ("GET", &format!("deliveries/{delivery}/")),
        ("POST", &redeliver),
    ] {
        let reply = setup.server.call(method, &setup.path(rest)).token(&ben).send().await;
        assert_eq!(reply.status, 404, "{method} {rest}: {}", reply.text);
    }
    // The delivery of another, through a webhook of one's own.
    let path = format!("{WEBHOOKS}{}/{redeliver}", own["id"].as_str().unwrap());
    assert_eq!(setup.server.post(&path).token(&ben).send().await.status, 404);
    assert_eq!(setup.server.get(WEBHOOKS).token(&ben).send().await.body["count"], 1);
    let wide = json!({ "name": "All", "url": setup.webhook["url"], "all_users": true });
    assert_eq!(setup.server.post(WEBHOOKS).token(&ben).json(&wide).send().await.status, 400);
    let root = setup.server.token("root", true).await;
    assert_eq!(setup.server.post(WEBHOOKS).token(&root).json(&wide).send().await.status, 201);
    assert_eq!(setup.server.get(WEBHOOKS).token(&root).send().await.body["count"], 3);
}
