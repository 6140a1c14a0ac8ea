//! The own notifications, preferences, and rules of escalation.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Server;

const NOTIFICATIONS: &str = "/api/notifications/notifications/";
const PREFERENCES: &str = "/api/notifications/preferences/";
const RULES: &str = "/api/notifications/escalation-rules/";

async fn note(server: &Server, token: &str, kind: &str, title: &str) -> Value {
    let body = json!({ "type": kind, "title": title, "message": "m", "metadata": { "a": 1 } });
    let reply = server.post(NOTIFICATIONS).token(token).json(&body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    server.clock.advance(Duration::from_secs(1));
    reply.body
}

#[tokio::test]
async fn notifications_are_listed_read_and_deleted() {
    let server = Server::start().await;
    let mara = server.token("mara", false).await;
    let one = note(&server, &mara, "info", "one").await;
    let two = note(&server, &mara, "error", "two").await;
    note(&server, &mara, "warning", "three").await;
    let get = async |path: &str| server.get(&format!("{NOTIFICATIONS}{path}")).token(&mara).send().await.body;
    let titles = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect()
    };

    assert_eq!(
        one,
        json!({
            "id": one["id"], "user": one["user"], "source": null, "type": "info", "title": "one", "message": "m",
            "related_task_id": null, "related_execution_id": null, "metadata": { "a": 1 }, "is_read": false,
            "read_at": null, "created_at": "2026-03-02T12:00:00+00:00",
        })
    );
    assert_eq!(titles(&get("").await["results"]), ["three", "two", "one"]);
    assert_eq!(titles(&get("?type=error").await["results"]), ["two"]);
    assert_eq!(get("unread_count/").await, json!({ "unread_count": 3 }));
    let mark = server.post(&format!("{NOTIFICATIONS}{}/mark_read/", two["id"])).token(&mara).send().await;
    assert_eq!((mark.status, mark.body), (200, json!({ "status": "read" })));
    assert_eq!(titles(&get("?is_read=true").await["results"]), ["two"]);
    assert_eq!(get("unread_count/").await, json!({ "unread_count": 2 }));
    let gone = server.call("DELETE", &format!("{NOTIFICATIONS}delete_read/")).token(&mara).send().await;
    assert_eq!((gone.status, gone.body), (200, json!({ "status": "deleted", "deleted": 1 })));
    assert_eq!(titles(&get("recent/").await), ["three", "one"]);
    assert_eq!(titles(&get("recent/?limit=1").await), ["three"]);
    assert_eq!(titles(&get("recent/?limit=100000").await), ["three", "one"]);
    let all = server.post(&format!("{NOTIFICATIONS}mark_all_read/")).token(&mara).send().await;
    assert_eq!(all.body, json!({ "status": "read", "updated": 2 }));
    let path = format!("{NOTIFICATIONS}{}/", one["id"]);
    assert_eq!(server.call("DELETE", &path).token(&mara).send().await.status, 204);
    assert_eq!(server.get(&path).token(&mara).send().await.status, 404);
    assert_eq!(server.call("PATCH", &path).token(&mara).json(&json!({})).send().await.status, 405);
}

#[tokio::test]
async fn notifications_of_others_are_not_there_for_administrators_either() {
    let server = Server::start().await;
    let (mara, root) = (server.token("mara", false).await, server.token("root", true).await);
    let id = note(&server, &mara, "info", "one").await["id"].clone();

    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "mark_read/")] {
        let reply = server.call(method, &format!("{NOTIFICATIONS}{id}/{path}")).token(&root).send().await;
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text);
    }
    for path in ["mark_all_read/", "delete_read/"] {
        let method = if path == "delete_read/" { "DELETE" } else { "POST" };
        server.call(method, &format!("{NOTIFICATIONS}{path}")).token(&root).send().await;
    }
    assert_eq!(server.get(NOTIFICATIONS).token(&root).send().await.body["count"], 0);
    assert_eq!(server.get(NOTIFICATIONS).token(&mara).send().await.body["results"][0]["is_read"], false);
}

#[tokio::test]
async fn preferences_begin_with_defaults_and_are_changed_by_their_user_only() {
    let server = Server::start().await;
    let (mara, root) = (server.token("mara", false).await, server.token("root", true).await);
    let list = server.get(PREFERENCES).token(&mara).send().await.body;
    let own = &list["results"][0];
    let path = format!("{PREFERENCES}{}/", own["id"]);
    let change = async |token: &str, body: Value| server.call("PATCH", &path).token(token).json(&body).send().await;

    assert_eq!(list["count"], 1);
    assert_eq!(
        (&own["email_min_severity"], &own["digest_enabled"], &own["digest_interval_minutes"], &own["in_app_enabled"]),
        (&json!("warning"), &json!(false), &json!(60), &json!(true))
    );
    let changed = change(&mara, json!({ "quiet_hours_start": "21:30", "system_maintenance": false })).await;
    assert_eq!(
        (changed.status, &changed.body["quiet_hours_start"], &changed.body["system_maintenance"]),
        (200, &json!("21:30:00"), &json!(false))
    );
    for (field, value) in [
        ("quiet_hours_start", json!("24:00")),
        ("quiet_hours_end", json!("early")),
        ("email_min_severity", json!("loud")),
        ("digest_interval_minutes", json!(0)),
    ] {
        let reply = change(&mara, json!({ field: value })).await;
        assert_eq!(reply.status, 400, "{field}");
        assert!(reply.body[field].is_array(), "{}", reply.text);
    }
    assert_eq!(change(&root, json!({ "in_app_enabled": false })).await.status, 404);
    assert_eq!(server.get(PREFERENCES).token(&mara).send().await.body["results"][0], changed.body);
}

#[tokio::test]
async fn escalation_rules_name_who_is_told() {
    let server = Server::start().await;
    let (mara, root) = (server.user("mara", false).await, server.token("root", true).await);
    let rule = json!({ "source": "connection_health", "target_users": [mara] });

    let made = server.post(RULES).token(&root).json(&rule).send().await;

    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&made.body["target_users"], &made.body["wait_minutes"], &made.body["min_severity"]),
        (&json!([mara]), &json!(30), &json!("error"))
    );
    let path = format!("{RULES}{}/", made.body["id"]);
    let bad = server.call("PATCH", &path).token(&root).json(&json!({ "target_users": [987_654] })).send().await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    assert_eq!(server.call("DELETE", &path).token(&root).send().await.status, 204);
}
