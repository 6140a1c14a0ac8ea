//! Who sees, uses, changes and deletes whose connections.

use serde_json::{Value, json};

use super::{CONNECTIONS, add, connection_to, controller, operator, patch};
use crate::server::Server;

async fn make_group(server: &Server, root: &str, quota: &Value, user: &str) {
    let made = server.post("/api/auth/groups/").token(root).json(&json!({ "name": "Limited" })).send().await;
    let group = made.body["id"].as_i64().unwrap();
    server.call("PUT", &format!("/api/auth/groups/{group}/quota/")).token(root).json(quota).send().await;
    let found = server.get(&format!("/api/auth/management/?username={user}")).token(root).send().await;
    let id = &found.body["results"][0]["id"];
    let body = json!({ "group_ids": [group] });
    let reply = server.call("PATCH", &format!("/api/auth/management/{id}/")).token(root).json(&body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn what_somebody_may_do_follows_from_whose_it_is_and_how_it_is_shared() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let owner = operator(&server, &root, "owner").await;
    let friend = operator(&server, &root, "friend").await;
    let other = operator(&server, &root, "other").await;
    // Logged in, without any permission.
    let guest = server.token("guest", false).await;
    let found = server.get("/api/auth/management/?username=friend").token(&root).send().await;
    let friend_id = found.body["results"][0]["id"].clone();
    let mut body = connection_to(&simulator);
    body["shared_with"] = json!([friend_id]);
    let id = add(&server, &owner, &body).await;
    let path = format!("{CONNECTIONS}{id}/");
    let query = json!({ "connection_id": id, "query_path": "/api/class/fvTenant.json" });

    // Who, and the statuses of: read, use, test, change, and how many are listed.
    let check = async |token: Option<&String>, expected: [u16; 4], listed: Option<i64>| {
        let send = async |method: &str, path: &str, body: &Value| {
            let mut call = server.call(method, path);
            if let Some(token) = token {
                call = call.token(token);
            }
            call.json(body).send().await
        };
        let statuses = [
            send("GET", &path, &json!({})).await.status,
            send("POST", &format!("{CONNECTIONS}execute_query/"), &query).await.status,
            send("POST", &format!("{path}test/"), &json!({})).await.status,
            send("PATCH", &path, &json!({ "description": "changed" })).await.status,
        ];
        assert_eq!(statuses, expected);
        assert_eq!(send("GET", CONNECTIONS, &json!({})).await.body["count"].as_i64(), listed);
    };
    check(None, [401; 4], None).await;
    check(Some(&guest), [403; 4], None).await;
    check(Some(&other), [404; 4], Some(0)).await;
    check(Some(&friend), [200, 200, 200, 403], Some(1)).await;
    check(Some(&owner), [200; 4], Some(1)).await;
    check(Some(&root), [200; 4], Some(1)).await;
    let seen = server.get(&path).token(&friend).send().await.body;
    assert_eq!((&seen["can_edit"], &seen["can_delete"]), (&json!(false), &json!(false)));

    assert_eq!(patch(&server, &owner, id, &json!({ "is_public": true, "shared_with": [] })).await.status, 200);
    check(Some(&other), [200, 200, 200, 403], Some(1)).await;
    assert_eq!(patch(&server, &owner, id, &json!({ "is_public": false })).await.status, 200);
    check(Some(&friend), [404; 4], Some(0)).await;
    assert_eq!(server.call("DELETE", &path).token(&other).send().await.status, 404);
    assert_eq!(patch(&server, &owner, id, &json!({ "is_public": true })).await.status, 200);
    assert_eq!(server.call("DELETE", &path).token(&other).send().await.status, 403);
    assert_eq!(server.call("DELETE", &path).token(&owner).send().await.status, 204);
}

#[tokio::test]
async fn quotas_and_switches_of_groups_hold() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let mara = operator(&server, &root, "mara").await;
    let limits = json!({ "max_apic_connections": 1, "can_share_resources": false, "query_execution_daily": 1 });
    make_group(&server, &root, &limits, "mara").await;
    let mut body = connection_to(&simulator);

    body["is_public"] = true.into();
    let shared = server.post(CONNECTIONS).token(&mara).json(&body).send().await;
    assert_eq!(shared.status, 403, "{}", shared.text);
    assert!(shared.body["detail"].as_str().unwrap().contains("can_share_resources"), "{}", shared.text);
    body["is_public"] = false.into();
    let id = add(&server, &mara, &body).await;
    let second = server.post(CONNECTIONS).token(&mara).json(&body).send().await;
    assert_eq!(second.status, 403, "{}", second.text);
    assert!(second.body["detail"].as_str().unwrap().contains("max_apic_connections is 1"), "{}", second.text);
    let usage = server.get("/api/auth/quota-usage/").token(&mara).send().await.body;
    assert_eq!(usage["usage"]["apic_connections"], 1);
    let query = json!({ "connection_id": id, "query_path": "/api/class/fvTenant.json" });
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let call = server.post(&format!("{CONNECTIONS}execute_query/")).token(&mara).json(&query);
        statuses.push(call.send().await.status);
    }
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn connections_of_users_who_are_gone_are_left_to_administrators() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let mara = operator(&server, &root, "mara").await;
    let body = json!({ "name": "Lab fabric", "host": "apic1.lab", "username": "a", "password": "b" });
    let id = add(&server, &mara, &body).await;
    let found = server.get("/api/auth/management/?username=mara").token(&root).send().await;
    let user = found.body["results"][0]["id"].as_i64().unwrap();

    let gone = server.call("DELETE", &format!("/api/auth/management/{user}/")).token(&root).send().await;

    assert_eq!(gone.status, 204, "{}", gone.text);
    let left = server.get(&format!("{CONNECTIONS}{id}/")).token(&root).send().await.body;
    assert_eq!((&left["created_by"], &left["owner_id"], &left["can_edit"]), (&Value::Null, &Value::Null, &json!(true)));
}
