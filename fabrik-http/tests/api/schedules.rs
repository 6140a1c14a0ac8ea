//! Scheduled tasks and the dashboard, against a simulated controller.

mod documented;
mod killed;
mod listing;

use std::time::Duration;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use fabrik_http::server::run_jobs;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const TASKS: &str = "/api/queries/scheduled-tasks/";
const EXECUTIONS: &str = "/api/queries/scheduled-executions/";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A server with a controller, a connection to it and a query for its tenants.
struct Lab {
    server: Server,
    simulator: Simulator,
    root: String,
    connection: i64,
    query: i64,
}

impl Lab {
    async fn start() -> Self {
        let reader = SimulatorUser::new("reader").with_password("Marker-81c0");
        let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
        let simulator = Simulator::start(options.with_objects(1000)).unwrap();
        let server = Server::start().await;
        let root = server.token("root", true).await;
        let body = json!({ "name": "Lab", "host": simulator.url(), "username": "reader", "password": "Marker-81c0" });
        let connection = made(&server, &root, "/api/apic/connections/", &body).await;
        let body = json!({ "name": "Tenants", "class_name": "fvTenant", "apic_connection": connection });
        let query = made(&server, &root, "/api/queries/saved-queries/", &body).await;
        Self { server, simulator, root, connection, query }
    }

    /// Makes an hourly task of the query.
    async fn task(&self, told: &Value) -> Value {
        let mut body = json!({ "name": "Watch tenants", "saved_query": self.query, "frequency": "hourly" });
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        let reply = self.post("", &body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.body
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.server.post(&format!("{TASKS}{path}")).token(&self.root).json(body).send().await
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.server.get(path).token(&self.root).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body
    }

    /// Lets an hour pass, logs in again, and does what is due.
    async fn pass_an_hour(&mut self) {
        self.server.clock.advance(HOUR);
        self.root = self.server.login("root").await.0;
        run_jobs(&self.server.state).await;
    }
}

async fn made(server: &Server, token: &str, path: &str, body: &Value) -> i64 {
    let reply = server.post(path).token(token).json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body["id"].as_i64().unwrap()
}

#[tokio::test]
async fn a_task_captures_and_tells_what_changed() {
    let mut lab = Lab::start().await;
    let task = lab.task(&json!({ "auto_capture": true, "minute_of_hour": 30 })).await;
    assert_eq!(task["next_run_at"], "2026-03-02T12:30:00+00:00");
    assert_eq!(task["query_name"], "Tenants");

    lab.pass_an_hour().await;
    let tenant = r#"{"fvTenant":{"attributes":{"dn":"uni/tn-brandnew","name":"brandnew","status":"created"}}}"#;
    lab.simulator.post(Some("uni/tn-brandnew"), tenant).unwrap();
    lab.pass_an_hour().await;

    let executions = lab.get(&format!("{TASKS}{}/executions/", task["id"])).await;
    assert_eq!(executions["count"], 2, "{executions}");
    let last = &executions["results"][0];
    assert_eq!(last["status"], "success", "{last}");
    assert_eq!(last["apic_connection_name"], "Lab");
    assert_eq!(last["result"]["has_changes"], true);
    let snapshots = lab.get(&format!("/api/time-machine/snapshots/?saved_query={}", lab.query)).await;
    assert_eq!(snapshots["count"], 2);
    assert_eq!(snapshots["results"][0]["id"], last["snapshot_id"]);
    assert_eq!(snapshots["results"][0]["captured_by"], "root");
    let told = lab.get("/api/notifications/notifications/?search=").await;
    let titles: Vec<_> = told["results"].as_array().unwrap().iter().map(|one| one["title"].clone()).collect();
    let drift = told["results"].as_array().unwrap().iter().find(|one| one["source"] == "time_machine_drift");
    let drift = drift.unwrap_or_else(|| panic!("{titles:?}"));
    let message = drift["message"].as_str().unwrap();
    assert!(message.contains("1 change on Lab: 1 added, 0 removed, 0 changed"), "{message}");
    assert!(message.contains("uni/tn-brandnew added"), "{message}");
    assert_eq!(drift["related_task_id"], task["id"]);
    assert_eq!(drift["metadata"]["summary"]["added"], 1);
    let stats = lab.get("/api/dashboard/stats/").await;
    assert_eq!(stats["time_machine"]["total_snapshots"], 2, "{stats}");
    assert_eq!(stats["time_machine"]["changes_detected_24h"], 1);
    assert_eq!(stats["scheduled_tasks"]["success_24h"], 2);
    assert_eq!(stats["connections"], json!({ "total": 1, "active": 1, "inactive": 0 }));
}

#[tokio::test]
async fn a_task_runs_now_where_it_is_told_and_counts() {
    let mut lab = Lab::start().await;
    let gone = json!({ "name": "Gone", "host": "http://127.0.0.1:1", "username": "a", "password": "b", "timeout": 5 });
    let gone = made(&lab.server, &lab.root, "/api/apic/connections/", &gone).await;
    let told = json!({ "apic_connection_ids": [lab.connection, gone], "retry_enabled": false });
    let id = lab.task(&told).await["id"].clone();

    let begun = lab.post(&format!("{id}/execute_now/"), &json!({})).await;
    assert_eq!((begun.status, begun.body["execution_ids"].as_array().unwrap().len()), (202, 2), "{}", begun.text);
    run_jobs(&lab.server.state).await;

    let task = lab.get(&format!("{TASKS}{id}/")).await;
    assert_eq!((&task["last_run_status"], &task["failure_count"]), (&json!("partial"), &json!(1)), "{task}");
    let stats = lab.get(&format!("{EXECUTIONS}stats/")).await;
    assert_eq!((&stats["successful"], &stats["failed"], &stats["success_rate"]), (&json!(1), &json!(1), &json!(50.0)));
    let failed = lab.get(&format!("{EXECUTIONS}?status=failed&task_id={id}&connection_id={gone}")).await;
    assert_eq!(failed["count"], 1);
    assert_ne!(failed["results"][0]["error_message"], "");
    let dashboard = lab.get("/api/dashboard/stats/").await;
    let message = dashboard["attention"][0]["message"].as_str().unwrap();
    assert_eq!(message, "The last run of the task Watch tenants succeeded in part.");
    lab.pass_an_hour().await;
    assert_eq!(lab.get(&format!("{TASKS}{id}/")).await["execution_count"], 2);
}
