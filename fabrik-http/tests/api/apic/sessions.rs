//! One session for each connection, for as long as it is of use.

use std::time::Duration;

use fabrik_apic::simulator::{Fault, FaultRule, Simulator};
use fabrik_http::server::run_jobs;
use futures_util::future::join_all;
use serde_json::json;

use super::{CONNECTIONS, SECRET, add, connection_to, controller, patch};
use crate::served::{Process, exchange, folder};
use crate::server::{PASSWORD, Server};

fn count(simulator: &Simulator, path: &str) -> usize {
    simulator.requests().iter().filter(|served| served.target.starts_with(path)).count()
}

/// Waits until the controller was asked for something so often.
async fn until(simulator: &Simulator, path: &str, times: usize) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while count(simulator, path) < times {
        assert!(std::time::Instant::now() < deadline, "{path}: {:?}", simulator.requests());
        tokio::task::yield_now().await;
    }
}

async fn execute(server: &Server, token: &str, id: i64) {
    let query = json!({ "connection_id": id, "query_path": "/api/class/fvTenant.json" });
    let reply = server.post(&format!("{CONNECTIONS}execute_query/")).token(token).json(&query).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_queries_share_a_login_until_the_connection_is_another() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;

    join_all((0..8).map(|_| execute(&server, &root, id))).await;
    assert_eq!(count(&simulator, "/api/aaaLogin.json"), 1);
    // What a session does not depend on leaves it alone.
    assert_eq!(patch(&server, &root, id, &json!({ "description": "x", "is_public": true })).await.status, 200);
    execute(&server, &root, id).await;
    assert_eq!(count(&simulator, "/api/aaaLogin.json"), 1);
    assert_eq!(count(&simulator, "/api/aaaLogout.json"), 0);

    assert_eq!(patch(&server, &root, id, &json!({ "timeout": 20 })).await.status, 200);
    execute(&server, &root, id).await;
    until(&simulator, "/api/aaaLogout.json", 1).await;
    assert_eq!(count(&simulator, "/api/aaaLogin.json"), 2);
    assert_eq!(patch(&server, &root, id, &json!({ "password": SECRET })).await.status, 200);
    until(&simulator, "/api/aaaLogout.json", 2).await;
    execute(&server, &root, id).await;
    // Nobody asks for a quarter of an hour.
    server.clock.advance(Duration::from_secs(16 * 60));
    run_jobs(&server.state).await;
    until(&simulator, "/api/aaaLogout.json", 3).await;
    // The token of the user is over, too.
    let root = server.login("root").await.0;
    execute(&server, &root, id).await;
    let path = format!("{CONNECTIONS}{id}/");
    assert_eq!(server.call("DELETE", &path).token(&root).send().await.status, 204);
    until(&simulator, "/api/aaaLogout.json", 4).await;
    assert_eq!(count(&simulator, "/api/aaaLogin.json"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_test_at_once_make_one_login_and_leave_none() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;
    let slow = FaultRule::new(Fault::Slow { delay: Duration::from_secs(2) }).with_text("aaaLogin");
    simulator.faults().add(slow);

    let path = format!("{CONNECTIONS}{id}/test_connection/");
    let replies = join_all((0..6).map(|_| server.post(&path).token(&root).send())).await;

    assert!(replies.iter().all(|reply| reply.body["success"] == true));
    assert_eq!(count(&simulator, "/api/aaaLogin.json"), 1);
    until(&simulator, "/api/aaaLogout.json", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_the_server_stops() {
    let simulator = controller();
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    let mut process = Process::start(folder(), &[], &admin);
    let login = json!({ "username": "root", "password": PASSWORD });
    let (_, tokens) = exchange(process.connect(), "POST", "/api/auth/login/", &login);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |path: &str, body: &serde_json::Value| {
        let request = client.post(format!("{}{path}", process.address)).header("content-type", "application/json");
        let request = request.bearer_auth(tokens["access"].as_str().unwrap()).body(body.to_string());
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        (status, serde_json::from_str::<serde_json::Value>(&reply.text().await.unwrap()).unwrap())
    };
    let (status, made) = send(CONNECTIONS, &connection_to(&simulator)).await;
    assert_eq!(status, 201, "{made}");
    let query = json!({ "connection_id": made["id"], "query_path": "/api/class/fvTenant.json" });
    let (status, answer) = send(&format!("{CONNECTIONS}execute_query/"), &query).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(count(&simulator, "/api/aaaLogout.json"), 0);

    assert_eq!(process.stop(), Some(0));

    assert_eq!(count(&simulator, "/api/aaaLogout.json"), 1);
}
