//! What is documented of tasks and their executions, down to the fields.

use fabrik_http::server::run_jobs;
use serde_json::{Value, json};

use super::{EXECUTIONS, Lab, TASKS};
use crate::server::Reply;

/// The fields of a task that are given, with what they are unless told.
fn defaults() -> Value {
    json!({
        "description": "", "priority": "medium", "order": 0, "task_type": "apic_query", "category": "",
        "is_system_task": false, "system_task_handler": null, "query_name": "Tenants", "apic_connection_ids": [],
        "variable_values": {}, "frequency": "hourly", "minute_of_hour": 0, "time_of_day": "00:00:00", "day_of_week": 0,
        "day_of_month": 1, "scheduled_datetime": null, "timezone": "UTC", "retry_enabled": true, "retry_count": 3,
        "retry_interval_minutes": 5, "email_on_success": false, "email_on_failure": false, "email_recipients": [],
        "log_retention_days": 30, "status": "active", "last_run_at": null,
        "next_run_at": "2026-03-02T13:00:00+00:00", "execution_count": 0, "success_count": 0, "failure_count": 0,
        "success_rate": null, "auto_capture": false, "retention_policy": null, "cron_expression": "",
        "last_run_status": null, "created_at": "2026-03-02T12:00:00+00:00", "updated_at": "2026-03-02T12:00:00+00:00",
    })
}

#[tokio::test]
async fn a_task_has_every_documented_field() {
    let lab = Lab::start().await;

    let task = lab.task(&json!({})).await;

    for (name, value) in defaults().as_object().unwrap() {
        assert_eq!(task.get(name), Some(value), "{name}");
    }
    assert_eq!(task["saved_query"], lab.query);
    assert!(!task["schedule_description"].as_str().unwrap().is_empty(), "{task}");
    let listed = lab.get(&format!("{TASKS}?is_system_task=false")).await["results"][0].clone();
    assert_eq!(listed, task, "lists have all of it");
    // What was read can be written back; what cannot be written is passed over.
    let path = format!("{TASKS}{}/", task["id"]);
    let back = lab.server.call("PUT", &path).token(&lab.root).json(&task).send().await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(back.body, task);
}

#[tokio::test]
async fn tasks_are_filtered_and_ordered_as_documented() {
    let lab = Lab::start().await;
    for (name, order, minute, category) in [("B", 1, 30, "nightly"), ("A", 3, 10, "nightly"), ("C", 2, 20, "other")] {
        lab.task(&json!({ "name": name, "order": order, "minute_of_hour": minute, "category": category })).await;
        lab.server.clock.advance(std::time::Duration::from_secs(1));
    }
    for (query, expected) in [
        ("ordering=name", "A B C"),
        ("ordering=-name", "C B A"),
        ("ordering=order", "B C A"),
        ("ordering=created_at", "B A C"),
        ("ordering=next_run_at", "A C B"),
        ("ordering=priority,name", "A B C"),
        ("category=nightly&ordering=name", "A B"),
        ("task_type=apic_query&ordering=name", "A B C"),
        ("search=c", "C"),
    ] {
        let list = lab.get(&format!("{TASKS}?is_system_task=false&{query}")).await;
        let names: Vec<_> =
            list["results"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
    let of_server = lab.get(&format!("{TASKS}?task_type=system_snapshot")).await;
    assert_eq!((&of_server["count"], &of_server["results"][0]["is_system_task"]), (&json!(1), &json!(true)));
    let limited = lab.get(&format!("{TASKS}upcoming/?limit=2")).await["results"].clone();
    assert_eq!(limited.as_array().unwrap().len(), 2);
    for name in ["task_id", "task_name", "priority", "next_run_at", "timezone"] {
        assert!(limited[0].get(name).is_some(), "{name}");
    }
    let most = lab.get(&format!("{TASKS}upcoming/?limit=9999")).await["results"].as_array().unwrap().len();
    assert_eq!(most, 200);
    let none = lab.server.get(&format!("{TASKS}upcoming/?limit=0")).token(&lab.root).send().await;
    assert_eq!(none.status, 400, "{}", none.text);
}

#[tokio::test]
async fn the_quota_and_the_switch_hold_for_tasks() {
    let lab = Lab::start().await;
    let group = lab.server.post("/api/auth/groups/").token(&lab.root).json(&json!({ "name": "Few" })).send().await.body;
    let ben = lab.server.user("ben", false).await;
    let found = lab.get("/api/auth/permissions/?page_size=200&search=queries.").await;
    let ids: Vec<_> = found["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let body = json!({ "permission_ids": ids, "group_ids": [group["id"]] });
    let path = format!("/api/auth/management/{ben}/");
    assert_eq!(lab.server.call("PATCH", &path).token(&lab.root).json(&body).send().await.status, 200);
    for (path, body) in [
        (format!("/api/queries/saved-queries/{}/", lab.query), json!({ "is_public": true })),
        (format!("/api/apic/connections/{}/", lab.connection), json!({ "is_public": true })),
    ] {
        assert_eq!(lab.server.call("PATCH", &path).token(&lab.root).json(&body).send().await.status, 200, "{path}");
    }
    let token = lab.server.login("ben").await.0;
    let limit = async |limits: Value| {
        let path = format!("/api/auth/groups/{}/quota/", group["id"]);
        assert_eq!(lab.server.call("PUT", &path).token(&lab.root).json(&limits).send().await.status, 200);
    };
    let add = async |name: &str| {
        let body = json!({ "name": name, "saved_query": lab.query, "frequency": "hourly" });
        lab.server.post(TASKS).token(&token).json(&body).send().await
    };
    let says = |reply: &Reply, word: &str| {
        assert_eq!(reply.status, 403, "{}", reply.text);
        assert!(reply.body["detail"].as_str().unwrap().contains(word), "{}", reply.text);
    };

    limit(json!({ "max_scheduled_tasks": 1 })).await;
    let first = add("One").await;
    assert_eq!(first.status, 201, "{}", first.text);
    says(&add("Two").await, "max_scheduled_tasks is 1");
    let clone = lab.server.post(&format!("{TASKS}{}/clone/", first.body["id"])).token(&token).send().await;
    says(&clone, "max_scheduled_tasks is 1");
    limit(json!({ "can_create_scheduled": false })).await;
    says(&add("Three").await, "can_create_scheduled");
    let usage = lab.server.get("/api/auth/quota-usage/").token(&token).send().await.body;
    assert_eq!(usage["usage"]["scheduled_tasks"], 1, "{usage}");
}

#[tokio::test]
async fn a_query_for_the_time_machine_is_captured_by_each_run_and_a_setting_makes_it_the_default() {
    let mut lab = Lab::start().await;
    lab.task(&json!({ "name": "Plain" })).await;
    lab.pass_an_hour().await;
    let snapshots = async |lab: &Lab| {
        lab.get(&format!("/api/time-machine/snapshots/?saved_query={}", lab.query)).await["count"].as_u64().unwrap()
    };
    assert_eq!(snapshots(&lab).await, 0, "nobody asked for it");

    let change = async |path: &str, body: Value| {
        let reply = lab.server.call("PATCH", path).token(&lab.root).json(&body).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    };
    change(&format!("/api/queries/saved-queries/{}/", lab.query), json!({ "enable_time_machine": true })).await;
    change("/api/time-machine/settings/", json!({ "auto_capture_enabled": true })).await;
    let told = [("Default", json!({})), ("Told", json!({ "auto_capture": false }))];
    for ((name, told), expected) in told.into_iter().zip([true, false]) {
        let mut body = json!({ "name": name, "status": "paused" });
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        assert_eq!(lab.task(&body).await["auto_capture"], expected, "{name}");
    }
    lab.pass_an_hour().await;
    assert_eq!(snapshots(&lab).await, 1);
}

#[tokio::test]
async fn executions_have_every_documented_field_and_cannot_be_changed() {
    let lab = Lab::start().await;
    let id = lab.task(&json!({})).await["id"].clone();
    let begun = lab.post(&format!("{id}/execute_now/"), &json!({})).await.body;
    for name in ["success", "message", "run_id", "execution_ids"] {
        assert!(begun.get(name).is_some(), "{name}: {begun}");
    }
    let path = format!("{EXECUTIONS}{}/", begun["execution_ids"][0].as_str().unwrap());
    // It is taken up at once, so how far it has come depends on who is faster.
    let early = lab.get(&path).await;
    assert!(["pending", "running", "success"].contains(&early["status"].as_str().unwrap()), "{early}");
    run_jobs(&lab.server.state).await;

    let execution = lab.get(&path).await;

    let expected = json!({
        "scheduled_task": id, "task_name": "Watch tenants", "apic_connection_id": lab.connection,
        "apic_connection_name": "Lab", "status": "success", "error_type": "", "error_message": "",
        "error_traceback": "", "retry_attempt": 0, "is_retry": false, "created_at": "2026-03-02T12:00:00+00:00",
        "started_at": "2026-03-02T12:00:00+00:00", "completed_at": "2026-03-02T12:00:00+00:00",
        "execution_time_ms": 0, "duration_seconds": 0.0, "run_id": begun["run_id"], "triggered_by": "root",
        "snapshot_id": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(execution.get(name), Some(value), "{name}");
    }
    assert_eq!(execution["result"]["row_count"], execution["result_count"]);
    let stats = lab.get(&format!("{EXECUTIONS}stats/")).await;
    for name in ["total_executions", "successful", "failed", "running", "success_rate"] {
        assert!(stats.get(name).is_some(), "{name}");
    }
    for verb in ["PUT", "PATCH", "DELETE"] {
        let reply = lab.server.call(verb, &path).token(&lab.root).json(&json!({})).send().await;
        assert_eq!(reply.status, 405, "{verb}");
    }
    // Who runs it by hand counts as one who runs the query.
    let log = lab.get("/api/queries/execution-logs/").await;
    assert_eq!(log["count"], 1, "{log}");
    assert_eq!(
        lab.server
            .call("PATCH", &format!("{TASKS}{id}/"))
            .token(&lab.root)
            .json(&json!({ "status": "disabled" }))
            .send()
            .await
            .status,
        200
    );
    assert_eq!(lab.post(&format!("{id}/execute_now/"), &json!({})).await.status, 400);
}

#[tokio::test]
async fn settings_of_tasks_are_for_all_to_read_and_for_administrators_to_change() {
    let lab = Lab::start().await;
    let mara = lab.server.token("mara", false).await;
    let path = "/api/queries/task-settings/1/";
    let send =
        async |verb: &str, token: &str, body: &Value| lab.server.call(verb, path).token(token).json(body).send().await;
    let shown = lab.server.get(path).token(&mara).send().await;
    let expected = json!({
        "id": 1, "default_retry_count": 3, "default_retry_interval_minutes": 5, "default_log_retention_days": 30,
        "email_enabled": true, "email_from_address": shown.body["email_from_address"],
    });
    assert_eq!((shown.status, &shown.body), (200, &expected));

    let body = json!({
        "default_retry_count": 1, "default_retry_interval_minutes": 2, "default_log_retention_days": 3,
        "email_enabled": false,
    });
    assert_eq!(send("PUT", &mara, &body).await.status, 403);
    let changed = send("PUT", &lab.root, &body).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let lacking = send("PUT", &lab.root, &json!({ "default_retry_count": 1 })).await;
    assert!(lacking.status == 400 && lacking.body["email_enabled"].is_array(), "{}", lacking.text);
    assert_eq!(send("PATCH", &lab.root, &json!({ "default_retry_count": 101 })).await.status, 400);
    let task = lab.task(&json!({})).await;
    assert_eq!(
        (&task["retry_count"], &task["retry_interval_minutes"], &task["log_retention_days"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let log = lab.get("/api/audit/logs/?action=task_settings_updated").await;
    assert_eq!(log["count"], 1);
}

#[tokio::test]
async fn what_a_task_needs_and_is_gone_fails_it_in_words() {
    let lab = Lab::start().await;
    let id = lab.task(&json!({ "apic_connection_ids": [lab.connection], "retry_enabled": true })).await["id"].clone();
    let run = async || {
        lab.post(&format!("{id}/execute_now/"), &json!({})).await;
        run_jobs(&lab.server.state).await;
        let last = lab.get(&format!("{TASKS}{id}/executions/")).await["results"][0].clone();
        lab.server.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(last["status"], "failed", "{last}");
        assert_ne!(last["error_message"], "");
        last["error_type"].as_str().unwrap().to_owned()
    };
    let connection = format!("/api/apic/connections/{}/", lab.connection);
    let off = lab.server.call("PATCH", &connection).token(&lab.root).json(&json!({ "is_active": false })).send().await;
    assert_eq!(off.status, 200, "{}", off.text);
    assert_eq!(run().await, "connection_inactive");
    assert_eq!(lab.server.call("DELETE", &connection).token(&lab.root).send().await.status, 204);
    assert_eq!(run().await, "connection_gone");
    let execute = format!("/api/queries/saved-queries/{}/execute/", lab.query);
    let refused = lab.server.post(&execute).token(&lab.root).json(&json!({})).send().await;
    assert!(refused.status == 400 && refused.body["apic_connection"].is_array(), "{}", refused.text);
    let query = format!("/api/queries/saved-queries/{}/", lab.query);
    assert_eq!(lab.server.call("DELETE", &query).token(&lab.root).send().await.status, 204);
    assert_eq!(run().await, "query_gone");
    // None of these is tried again: it would fail in the same way.
    let executions = lab.get(&format!("{EXECUTIONS}?task_id={id}")).await;
    assert_eq!(executions["count"], 3, "{executions}");
    let told = lab.get("/api/notifications/notifications/").await;
    let failed = told["results"].as_array().unwrap().iter().filter(|one| one["type"] == "error").count();
    assert_eq!(failed, 3, "{told}");
}

#[tokio::test]
async fn a_task_does_what_its_owner_may_do_when_it_runs() {
    let lab = Lab::start().await;
    let ben = lab.server.user("ben", false).await;
    let group = lab.server.post("/api/auth/groups/").token(&lab.root).json(&json!({ "name": "Few" })).send().await.body;
    let found = lab.get("/api/auth/permissions/?page_size=200&search=queries.").await;
    let ids: Vec<_> = found["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let send = async |verb: &str, path: &str, body: Value| {
        let reply = lab.server.call(verb, path).token(&lab.root).json(&body).send().await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.body
    };
    let management = format!("/api/auth/management/{ben}/");
    send("PATCH", &management, json!({ "permission_ids": ids, "group_ids": [group["id"]] })).await;
    let query = format!("/api/queries/saved-queries/{}/", lab.query);
    send("PATCH", &query, json!({ "is_public": true })).await;
    let connection = format!("/api/apic/connections/{}/", lab.connection);
    send("PATCH", &connection, json!({ "is_public": true })).await;
    let token = lab.server.login("ben").await.0;
    let body = json!({ "name": "Of Ben", "saved_query": lab.query, "frequency": "hourly", "auto_capture": true });
    let task = lab.server.post(TASKS).token(&token).json(&body).send().await;
    assert_eq!(task.status, 201, "{}", task.text);
    let run = async || {
        send("POST", &format!("{TASKS}{}/execute_now/", task.body["id"]), json!({})).await;
        run_jobs(&lab.server.state).await;
        let last = lab.get(&format!("{EXECUTIONS}?task_id={}", task.body["id"])).await["results"][0].clone();
        lab.server.clock.advance(std::time::Duration::from_secs(1));
        (last["status"].as_str().unwrap().to_owned(), last["error_type"].as_str().unwrap().to_owned())
    };
    let ended = |status: &str, kind: &str| (status.to_owned(), kind.to_owned());

    assert_eq!(run().await, ended("success", ""));
    let quota = format!("/api/auth/groups/{}/quota/", group["id"]);
    send("PUT", &quota, json!({ "can_use_time_machine": false })).await;
    assert_eq!(run().await, ended("failed", "forbidden"));
    send("PUT", &quota, json!({})).await;
    assert_eq!(run().await, ended("success", ""));
    send("PATCH", &query, json!({ "is_public": false })).await;
    assert_eq!(run().await, ended("failed", "query_gone"));
    send("PATCH", &management, json!({ "is_active": false })).await;
    assert_eq!(run().await, ended("failed", "owner_gone"));
}
