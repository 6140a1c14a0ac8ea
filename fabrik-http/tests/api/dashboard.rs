//! The first page: figures, and what somebody should look at.

use std::time::Duration;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use serde_json::{Value, json};

use crate::server::Server;

const STATS: &str = "/api/dashboard/stats/";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn stats(server: &Server, name: &str) -> Value {
    let token = server.login(name).await.0;
    let reply = server.get(STATS).token(&token).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.body
}

async fn made(server: &Server, path: &str, body: &Value) -> i64 {
    let token = server.login("root").await.0;
    let reply = server.post(path).token(&token).json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body["id"].as_i64().unwrap()
}

async fn send(server: &Server, verb: &str, path: &str, body: &Value) {
    let token = server.login("root").await.0;
    let reply = server.call(verb, path).token(&token).json(body).send().await;
    assert!(reply.status < 300, "{path}: {}", reply.text);
}

/// A server with an administrator, a connection to a controller, and a query of its tenants.
async fn lab() -> (Server, Simulator, i64, i64) {
    let reader = SimulatorUser::new("reader").with_password("Marker-81c0");
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    let simulator = Simulator::start(options.with_objects(1000)).unwrap();
    let server = Server::start().await;
    server.user("root", true).await;
    let body = json!({ "name": "Lab", "host": simulator.url(), "username": "reader", "password": "Marker-81c0" });
    let connection = made(&server, "/api/apic/connections/", &body).await;
    let body = json!({ "name": "Tenants", "class_name": "fvTenant", "apic_connection": connection });
    let query = made(&server, "/api/queries/saved-queries/", &body).await;
    (server, simulator, connection, query)
}

#[tokio::test]
async fn figures_are_those_of_what_the_caller_can_see() {
    let (server, _simulator, _, query) = lab().await;
    server.user("mara", false).await;
    let execute = format!("/api/queries/saved-queries/{query}/execute/");
    send(&server, "POST", &execute, &json!({})).await;
    server.clock.advance(DAY + Duration::from_secs(60));
    for _ in 0..2 {
        send(&server, "POST", &execute, &json!({})).await;
    }
    send(&server, "POST", "/api/time-machine/capture/", &json!({ "saved_query": query, "annotation": "x" })).await;
    let body = json!({ "name": "Bad", "class_name": "fvNothing", "apic_connection": 1 });
    let bad = made(&server, "/api/queries/saved-queries/", &body).await;
    let token = server.login("root").await.0;
    let failed =
        server.post(&format!("/api/queries/saved-queries/{bad}/execute/")).token(&token).json(&json!({})).send().await;
    assert_eq!(failed.status, 502);
    for (name, status) in [("Active", "active"), ("Paused", "paused")] {
        let body = json!({ "name": name, "saved_query": query, "frequency": "hourly", "status": status });
        made(&server, "/api/queries/scheduled-tasks/", &body).await;
    }

    let seen = stats(&server, "root").await;

    assert_eq!(seen["generated_at"], "2026-03-03T12:01:00+00:00");
    assert_eq!(
        seen["queries"],
        json!({
            "total_saved": 2, "executions_24h": 3, "prev_24h": 1, "running_now": 0, "success_24h": 2, "failed_24h": 1,
            "success_rate_7d": 75.0, "sparkline_7d": [0, 0, 0, 0, 0, 1, 3],
        })
    );
    assert_eq!(
        seen["scheduled_tasks"],
        // The cleanup is a task, too.
        json!({
            "total": 3, "active": 2, "paused": 1, "overdue": 1, "running_now": 0, "success_24h": 0, "failed_24h": 0,
        })
    );
    assert_eq!(
        seen["time_machine"],
        json!({
            "total_snapshots": 1, "snapshots_24h": 1, "changes_detected_24h": 0, "monitored_queries": 1,
            "annotated_snapshots": 1,
        })
    );
    assert_eq!(seen["connections"], json!({ "total": 1, "active": 1, "inactive": 0 }));
    assert_eq!(seen["awx"], json!({ "enabled": false }));
    let activity = seen["activity"].as_array().unwrap();
    assert_eq!(activity.len(), 10);
    for name in ["id", "timestamp", "username", "category", "action", "description", "resource_type", "success"] {
        assert!(activity[0].get(name).is_some(), "{name}");
    }

    let others = stats(&server, "mara").await;
    for (part, name) in [
        ("queries", "total_saved"),
        ("queries", "executions_24h"),
        ("scheduled_tasks", "total"),
        ("time_machine", "total_snapshots"),
        ("connections", "total"),
    ] {
        assert_eq!(others[part][name], 0, "{part}.{name}: {others}");
    }
    assert_eq!((&others["attention"], &others["queries"]["success_rate_7d"]), (&json!([]), &Value::Null));
    let own = others["activity"].as_array().unwrap();
    assert!(own.iter().all(|row| row["username"] == "mara"), "{own:?}");
}

#[tokio::test]
async fn attention_names_what_failed_what_is_late_and_what_is_off_the_gravest_first() {
    let (server, simulator, connection, query) = lab().await;
    let quiet =
        json!({ "name": "Quiet", "host": "https://quiet.lab", "username": "a", "password": "b", "is_active": false });
    let quiet = made(&server, "/api/apic/connections/", &quiet).await;
    let body = json!({ "name": "Nightly", "saved_query": query, "frequency": "hourly", "retry_enabled": false });
    let task = made(&server, "/api/queries/scheduled-tasks/", &body).await;
    assert_eq!(stats(&server, "root").await["attention"].as_array().unwrap().len(), 1, "only the quiet one");

    drop(simulator);
    send(&server, "POST", &format!("/api/apic/connections/{connection}/test_connection/"), &json!({})).await;
    send(&server, "POST", &format!("/api/queries/scheduled-tasks/{task}/execute_now/"), &json!({})).await;
    fabrik_http::server::run_jobs(&server.state).await;
    server.clock.advance(Duration::from_secs(2 * 60 * 60));

    let seen = stats(&server, "root").await["attention"].clone();
    let at = |path: &str, id: i64| format!("{path}{id}/");
    let (tasks, connections) = ("/api/queries/scheduled-tasks/", "/api/apic/connections/");
    let expected = json!([
        { "severity": "critical", "message": "The last run of the task Nightly failed.", "link": at(tasks, task) },
        { "severity": "warning", "message": "The task Nightly should have run and did not.", "link": at(tasks, task) },
        { "severity": "warning", "message": "The last test of the connection Lab failed.", "link": at(connections, connection) },
        { "severity": "info", "message": "The connection Quiet is not active.", "link": at(connections, quiet) },
    ]);
    assert_eq!(seen, expected);
    assert_eq!(stats(&server, "root").await["connections"], json!({ "total": 2, "active": 1, "inactive": 1 }));
}
