//! What can be written of tasks, who sees them, and what can be done with them.

use serde_json::{Value, json};

use super::{EXECUTIONS, Lab, TASKS};

#[tokio::test]
async fn schedules_are_checked_and_told_in_words() {
    let lab = Lab::start().await;
    for (told, field) in [
        (json!({ "frequency": "once" }), "scheduled_datetime"),
        (json!({ "frequency": "once", "scheduled_datetime": "2026-03-02T11:00:00Z" }), "scheduled_datetime"),
        (json!({ "frequency": "cron", "cron_expression": "x" }), "cron_expression"),
        (json!({ "frequency": "cron", "cron_expression": "0 0 30 2 *" }), "cron_expression"),
        (json!({ "frequency": "daily", "time_of_day": "25:00" }), "time_of_day"),
        (json!({ "timezone": "Mars/Olympus" }), "timezone"),
        (json!({ "saved_query": 987_654 }), "saved_query"),
        (json!({ "saved_query": null }), "saved_query"),
        (json!({ "apic_connection_ids": [987_654] }), "apic_connection_ids"),
        (json!({ "task_type": "system_sync" }), "task_type"),
        (json!({ "minute_of_hour": 60 }), "minute_of_hour"),
        (json!({ "email_recipients": ["nobody"] }), "email_recipients"),
    ] {
        let mut body = json!({ "name": "Bad", "saved_query": lab.query, "frequency": "hourly" });
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        let reply = lab.post("", &body).await;
        assert_eq!(reply.status, 400, "{told}: {}", reply.text);
        assert!(reply.body.get(field).is_some(), "{told}: {}", reply.text);
    }

    let daily = lab.task(&json!({ "frequency": "daily", "time_of_day": "02:30", "timezone": "Europe/Berlin" })).await;
    assert_eq!(daily["next_run_at"], "2026-03-03T01:30:00+00:00");
    assert_eq!(daily["schedule_description"], "Every day at 02:30:00 Europe/Berlin");
    assert_eq!((&daily["retry_count"], &daily["status"]), (&json!(3), &json!("active")));
    let body = json!({ "name": "Cron", "saved_query": lab.query, "cron_expression": "0 9 * * 1-5" });
    let cron = lab.post("", &body).await.body;
    assert_eq!((&cron["frequency"], &cron["next_run_at"]), (&json!("cron"), &json!("2026-03-03T09:00:00+00:00")));
    let monthly = lab.task(&json!({ "frequency": "monthly", "day_of_month": 31 })).await;
    assert_eq!(monthly["day_of_month"], 28);
    let upcoming = lab.get(&format!("{TASKS}upcoming/?limit=4")).await;
    let times: Vec<_> = upcoming["results"].as_array().unwrap().iter().map(|run| run["next_run_at"].clone()).collect();
    assert_eq!(
        times,
        [
            "2026-03-03T01:30:00+00:00",
            "2026-03-03T03:30:00+00:00",
            "2026-03-03T09:00:00+00:00",
            "2026-03-04T01:30:00+00:00"
        ]
    );
}

#[tokio::test]
async fn tasks_rest_go_on_and_are_cloned() {
    let lab = Lab::start().await;
    let task = lab.task(&json!({ "priority": "high" })).await;
    let id = &task["id"];

    let paused = lab.post(&format!("{id}/pause/"), &json!({})).await.body;
    assert_eq!((&paused["status"], &paused["next_run_at"]), (&json!("paused"), &Value::Null));
    let resumed = lab.post(&format!("{id}/resume/"), &json!({})).await.body;
    assert_eq!((&resumed["status"], &resumed["next_run_at"]), (&json!("active"), &task["next_run_at"]));
    let clone = lab.post(&format!("{id}/clone/"), &json!({})).await;
    assert_eq!(clone.status, 201, "{}", clone.text);
    assert_eq!((&clone.body["name"], &clone.body["status"]), (&json!("Watch tenants (Copy)"), &json!("paused")));
    assert_eq!(clone.body["priority"], "high");
    let low = lab.task(&json!({ "priority": "low", "name": "Low" })).await;
    let ordered = lab.get(&format!("{TASKS}?ordering=priority&is_system_task=false")).await;
    assert_eq!(ordered["results"][0]["id"], low["id"], "low is less than high");
    let renamed = lab.server.call("PATCH", &format!("{TASKS}{id}/")).token(&lab.root);
    let renamed = renamed.json(&json!({ "name": "Renamed" })).send().await;
    assert_eq!((renamed.status, &renamed.body["next_run_at"]), (200, &task["next_run_at"]));
    let gone = lab.server.call("DELETE", &format!("{TASKS}{id}/")).token(&lab.root).send().await;
    assert_eq!(gone.status, 204);
    let actions = lab.get("/api/audit/logs/?category=task_management").await;
    assert_eq!(actions["results"][0]["action"], "scheduled_task_deleted");
}

#[tokio::test]
async fn tasks_of_the_server_stay() {
    let lab = Lab::start().await;
    let found = lab.get(&format!("{TASKS}?is_system_task=true")).await;
    assert_eq!(found["count"], 1);
    let path = format!("{TASKS}{}/", found["results"][0]["id"]);
    let change = async |verb: &str, body: Value| lab.server.call(verb, &path).token(&lab.root).json(&body).send().await;

    assert_eq!(change("DELETE", json!({})).await.status, 403);
    assert_eq!(change("PATCH", json!({ "name": "Mine" })).await.status, 403);
    assert_eq!(change("PATCH", json!({ "priority": "high", "status": "paused" })).await.status, 200);
    let clone = lab.post(&format!("{}/clone/", found["results"][0]["id"]), &json!({})).await;
    assert_eq!(clone.status, 403);
}

#[tokio::test]
async fn others_see_nothing_of_a_task() {
    let lab = Lab::start().await;
    let id = lab.task(&json!({})).await["id"].clone();
    lab.post(&format!("{id}/execute_now/"), &json!({})).await;
    let other = lab.server.user("ben", false).await;
    let found = lab.get("/api/auth/permissions/?page_size=200&search=scheduled_task").await;
    let ids: Vec<_> = found["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let path = format!("/api/auth/management/{other}/");
    let body = json!({ "permission_ids": ids });
    assert_eq!(lab.server.call("PATCH", &path).token(&lab.root).json(&body).send().await.status, 200);
    let ben = lab.server.login("ben").await.0;

    for path in [TASKS, EXECUTIONS] {
        let listed = lab.server.get(path).token(&ben).send().await;
        assert_eq!((listed.status, &listed.body["count"]), (200, &json!(0)), "{}", listed.text);
    }
    for (verb, path) in [
        ("GET", format!("{TASKS}{id}/")),
        ("PATCH", format!("{TASKS}{id}/")),
        ("DELETE", format!("{TASKS}{id}/")),
        ("POST", format!("{TASKS}{id}/pause/")),
        ("POST", format!("{TASKS}{id}/execute_now/")),
        ("POST", format!("{TASKS}{id}/clone/")),
        ("GET", format!("{TASKS}{id}/executions/")),
    ] {
        let reply = lab.server.call(verb, &path).token(&ben).json(&json!({})).send().await;
        assert_eq!(reply.status, 404, "{verb} {path}: {}", reply.text);
    }
    let body = json!({ "name": "Mine", "saved_query": lab.query, "frequency": "hourly" });
    let made = lab.server.post(TASKS).token(&ben).json(&body).send().await;
    assert_eq!((made.status, made.body.get("saved_query").is_some()), (400, true), "{}", made.text);
}

#[tokio::test]
async fn new_tasks_get_what_the_settings_say() {
    let lab = Lab::start().await;
    let path = "/api/queries/task-settings/1/";
    let change =
        lab.server.call("PATCH", path).token(&lab.root).json(&json!({ "default_retry_count": 7 })).send().await;
    assert_eq!(change.status, 200, "{}", change.text);

    assert_eq!(lab.task(&json!({})).await["retry_count"], 7);
    let listed = lab.get("/api/queries/task-settings/").await;
    assert_eq!((&listed["count"], &listed["results"][0]["email_enabled"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn anybody_learns_what_the_server_is() {
    let lab = Lab::start().await;
    let reply = lab.server.get("/api/dashboard/platform-info/").send().await;

    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({
        "demo_mode": false, "version": version, "ldap_enabled": false, "registration_enabled": false,
    });
    assert_eq!((reply.status, reply.body), (200, expected));
    assert_eq!(lab.server.get("/api/dashboard/stats/").send().await.status, 401);
}
