//! Rows of runs in the background, fetched afterwards.

use std::time::Duration;

use fabrik_http::server::{run_jobs, serve};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::running::{dns, frames};
use super::{connect, controller, id, operator, post, save};
use crate::server::{Reply, Server};

/// A server that also listens, so that the end of a run can be heard.
struct Lab {
    server: Server,
    root: String,
    connection: i64,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
    _simulator: fabrik_apic::simulator::Simulator,
}

impl Lab {
    async fn with(settings: &[(&str, &str)]) -> Self {
        let server = Server::with(&[&[("listen", "127.0.0.1:0")], settings].concat()).await;
        let root = server.token("root", true).await;
        let simulator = controller();
        let connection = connect(&server, &root, &simulator).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, bound) = oneshot::channel();
        let state = server.state.clone();
        let done = tokio::spawn(async move {
            let started = move |address| started.send(address).unwrap();
            serve(state, started, async { _ = stopped.await }).await.unwrap();
        });
        let address = bound.await.unwrap();
        Self { server, root, connection, address, stop, done, _simulator: simulator }
    }

    async fn save(&self, class: &str) -> i64 {
        let body = json!({ "name": format!("All {class}"), "class_name": class, "apic_connection": self.connection, "is_public": true });
        id(&save(&self.server, &self.root, &body).await)
    }

    /// Runs a query in the background to its end; returns what was begun and what was heard last.
    async fn run(&self, token: &str, query: i64, body: &Value) -> (Value, Value) {
        let begun = post(&self.server, token, &format!("{query}/execute_background/"), body).await;
        assert_eq!(begun.status, 202, "{}", begun.text);
        let heard = frames(&self.server, token, &self.address, begun.body["websocket"].as_str().unwrap()).await;
        (begun.body, heard.last().unwrap()["data"].clone())
    }

    async fn get(&self, token: &str, path: &Value) -> Reply {
        self.server.get(path.as_str().unwrap()).token(token).send().await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap();
    }
}

#[tokio::test]
async fn rows_of_a_run_can_be_fetched_by_who_ran_it_until_their_time_is_over() {
    let lab = Lab::with(&[]).await;
    let (_, mara) = operator(&lab.server, &lab.root, "mara").await;
    let query = lab.save("fvBD").await;
    let direct = post(&lab.server, &lab.root, &format!("{query}/execute/"), &json!({})).await.body;

    let (begun, last) = lab.run(&mara, query, &json!({})).await;

    assert_eq!(last["rows"], begun["rows"], "{last}");
    let whole = lab.get(&mara, &begun["rows"]).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    for same in ["rows", "row_count", "truncated", "query", "strategy", "verdict"] {
        assert_eq!(whole.body[same], direct[same], "{same}");
    }
    assert_eq!(whole.body["execution_id"], begun["execution_id"]);
    let lines = lab.get(&mara, &json!(format!("{}?stream=ndjson", begun["rows"].as_str().unwrap()))).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let rows: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(rows), direct["rows"]);
    // Not even who may see everything else.
    assert_eq!(lab.get(&lab.root, &begun["rows"]).await.status, 404);
    let (some, _) = lab.run(&mara, query, &json!({ "limit": 2 })).await;
    let some = lab.get(&mara, &some["rows"]).await.body;
    assert_eq!((dns(&some["rows"]).len(), &some["truncated"], &some["verdict"]), (2, &json!(true), &Value::Null));
    let (none, _) = lab.run(&mara, lab.save("fvTenant").await, &json!({})).await;
    assert_eq!(lab.get(&mara, &none["rows"]).await.body["rows"][0]["className"], "fvTenant");
    let by_hand = json!(format!("/api/queries/execution-logs/{}/rows/", direct["execution_id"].as_str().unwrap()));
    assert_eq!(lab.get(&lab.root, &by_hand).await.status, 410);

    lab.server.clock.advance(Duration::from_secs(61 * 60));
    let mara = lab.server.login("mara").await.0;
    assert_eq!(lab.get(&mara, &begun["rows"]).await.status, 410);
    run_jobs(&lab.server.state).await;
    assert_eq!(lab.get(&mara, &begun["rows"]).await.status, 410);
    lab.stop().await;
}

#[tokio::test]
async fn a_failed_run_has_no_rows_and_a_large_one_none_that_are_kept() {
    let lab = Lab::with(&[("queries.kept_rows_bytes", "3000")]).await;
    let (failed, last) = lab.run(&lab.root, lab.save("fvNothing").await, &json!({})).await;
    assert_eq!(last["status"], "failed");
    assert_eq!(lab.get(&lab.root, &failed["rows"]).await.status, 410);
    let query = lab.save("fvBD").await;

    let (large, last) = lab.run(&lab.root, query, &json!({})).await;
    assert_eq!((&last["status"], &last["rows"]), (&json!("completed"), &Value::Null), "{last}");
    assert_eq!(lab.get(&lab.root, &large["rows"]).await.status, 410);
    let (first, _) = lab.run(&lab.root, query, &json!({ "limit": 3 })).await;
    assert_eq!(lab.get(&lab.root, &first["rows"]).await.status, 200);
    let (second, _) = lab.run(&lab.root, query, &json!({ "limit": 3 })).await;
    // Together they are too large, so the older one makes room.
    assert_eq!(lab.get(&lab.root, &first["rows"]).await.status, 410);
    assert_eq!(lab.get(&lab.root, &second["rows"]).await.body["row_count"], 3);
    lab.stop().await;
}
