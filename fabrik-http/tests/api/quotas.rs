//! Quotas and switches of groups, and what of them holds for a user.

use serde_json::{Value, json};

use crate::server::{Reply, Server};

const GROUPS: &str = "/api/auth/groups/";

async fn group(server: &Server, token: &str, name: &str) -> i64 {
    let made = server.post(GROUPS).token(token).json(&json!({ "name": name })).send().await;
    made.body["id"].as_i64().unwrap()
}

async fn set(server: &Server, token: &str, group: i64, quota: &Value) -> Reply {
    server.call("PUT", &format!("{GROUPS}{group}/quota/")).token(token).json(quota).send().await
}

async fn join(server: &Server, token: &str, user: i64, groups: &[i64]) {
    let path = format!("/api/auth/management/{user}/");
    let reply = server.call("PATCH", &path).token(token).json(&json!({ "group_ids": groups })).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn own(server: &Server, token: &str) -> Value {
    let reply = server.get("/api/auth/quota-usage/").token(token).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.body
}

#[tokio::test]
async fn groups_have_a_quota_once_it_is_set() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let ops = group(&server, &admin, "Ops").await;
    let path = format!("{GROUPS}{ops}/quota/");

    assert_eq!(server.get(&path).token(&admin).send().await.status, 404);
    let set_to = set(&server, &admin, ops, &json!({ "max_saved_queries": 7, "can_use_awx": false })).await;
    assert_eq!(set_to.status, 200, "{}", set_to.text);
    let fields = ["max_saved_queries", "max_scheduled_tasks", "max_awx_concurrent", "max_export_rows"];
    assert_eq!(fields.map(|name| set_to.body[name].as_i64().unwrap()), [7, 20, 5, 50_000]);
    assert_eq!((&set_to.body["can_use_awx"], &set_to.body["can_export_data"]), (&json!(false), &json!(true)));
    assert_eq!(server.get(&path).token(&admin).send().await.body, set_to.body);
    let again = set(&server, &admin, ops, &json!({ "template": "viewer", "max_saved_queries": 0 })).await;
    assert_eq!((&again.body["max_saved_queries"], &again.body["max_export_rows"]), (&json!(0), &json!(5_000)));
    assert_eq!(server.get(&path).token(&admin).send().await.body, again.body);
    for bad in [json!({ "max_saved_queries": -1 }), json!({ "template": "king" }), json!({ "can_use_awx": 3 })] {
        assert_eq!(set(&server, &admin, ops, &bad).await.status, 400, "{bad}");
    }
    assert_eq!(set(&server, &admin, 987_654, &json!({})).await.status, 404);
    assert_eq!(server.get(&path).token(&admin).send().await.body, again.body);
}

#[tokio::test]
async fn role_templates_are_those_of_the_contract() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;

    let reply = server.get(&format!("{GROUPS}role_templates/")).token(&admin).send().await;

    let numbers = [
        "max_saved_queries",
        "max_scheduled_tasks",
        "max_apic_connections",
        "max_awx_requests_daily",
        "max_awx_concurrent",
        "max_query_results",
        "max_export_rows",
        "query_execution_daily",
    ];
    let shown: Vec<_> = reply.body.as_array().unwrap().iter().collect();
    let rows: Vec<_> = shown
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), numbers.map(|name| one["quota"][name].as_i64().unwrap())))
        .collect();
    assert_eq!(
        rows,
        [
            ("admin", [0, 0, 0, 0, 10, 0, 0, 0]),
            ("operator", [100, 20, 10, 50, 5, 10_000, 50_000, 200]),
            ("editor", [50, 10, 5, 20, 3, 5_000, 25_000, 100]),
            ("viewer", [10, 0, 2, 0, 0, 1_000, 5_000, 50]),
        ]
    );
    let off = |template: &Value| -> Vec<String> {
        let quota = template["quota"].as_object().unwrap();
        quota.iter().filter(|(_, value)| **value == json!(false)).map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(off(shown[0]), Vec::<String>::new());
    assert_eq!(off(shown[2]), ["can_use_awx"]);
    let of_viewer =
        ["can_create_queries", "can_create_scheduled", "can_share_resources", "can_use_ai_builder", "can_use_awx"];
    assert_eq!(off(shown[3]), of_viewer);
}

#[tokio::test]
async fn users_get_the_most_generous_of_their_groups_and_the_default_without_any() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;
    let (token, _) = server.login("mara").await;
    let (small, large) = (group(&server, &admin, "Small").await, group(&server, &admin, "Large").await);

    let usage = json!({
        "saved_queries": 0, "query_executions_today": 0, "scheduled_tasks": 0, "apic_connections": 0,
        "awx_executions_today": 0,
    });
    let first = own(&server, &token).await;
    assert_eq!((&first["quota"]["max_saved_queries"], &first["usage"]), (&json!(100), &usage));
    let limits =
        json!({ "max_saved_queries": 3, "max_scheduled_tasks": 4, "can_use_awx": false, "can_export_data": false });
    set(&server, &admin, small, &limits).await;
    join(&server, &admin, mara, &[small, large]).await;
    // A group without a quota adds nothing.
    assert_eq!(own(&server, &token).await["quota"]["max_saved_queries"], 3);
    let limits = json!({ "max_saved_queries": 2, "max_scheduled_tasks": 0, "can_use_awx": false });
    set(&server, &admin, large, &limits).await;
    let both = own(&server, &token).await["quota"].clone();
    assert_eq!((&both["max_saved_queries"], &both["max_scheduled_tasks"]), (&json!(3), &json!(0)));
    assert_eq!((&both["can_use_awx"], &both["can_export_data"]), (&json!(false), &json!(true)));
    let features = server.get("/api/auth/profile/").token(&token).send().await.body["effective_features"].clone();
    assert_eq!((&features["can_use_awx"], &features["can_export_data"]), (&json!(false), &json!(true)));
    assert_eq!(features.as_object().unwrap().len(), 8);
    assert_eq!(own(&server, &admin).await["quota"]["max_saved_queries"], 0);
}
