//! What administrators do to users beside changing fields.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Reply, Server};

const USERS: &str = "/api/auth/management/";
const NEW: &str = "Another horse, battery";

async fn act(server: &Server, token: &str, id: i64, action: &str, body: &Value) -> Reply {
    server.post(&format!("{USERS}{id}/{action}/")).token(token).json(body).send().await
}

async fn user(server: &Server, token: &str, id: i64) -> Value {
    server.get(&format!("{USERS}{id}/")).token(token).send().await.body
}

fn new_password() -> Value {
    json!({ "new_password": NEW, "new_password_confirm": NEW })
}

/// Returns the ids of the permissions that a search finds.
async fn permissions(server: &Server, token: &str, search: &str) -> Vec<Value> {
    let found = server.get(&format!("/api/auth/permissions/?search={search}")).token(token).send().await;
    found.body["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect()
}

/// Returns what a list of permissions says: codenames, sources and groups.
async fn held(server: &Server, token: &str, id: i64, which: &str) -> Value {
    let reply = server.get(&format!("{USERS}{id}/{which}/")).token(token).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.body["results"].as_array().unwrap();
    assert_eq!(reply.body["count"], results.len());
    results.iter().map(|one| json!([one["codename"], one["source"], one["groups"]])).collect()
}

#[tokio::test]
async fn a_reset_password_ends_sessions_and_unlocks() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;
    let (token, _) = server.login("mara").await;
    for _ in 0..5 {
        server.try_login("mara", "wrong").await;
    }
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 429);

    let weak = json!({ "new_password": "12345678", "new_password_confirm": "x" });
    assert_eq!(act(&server, &admin, mara, "reset_password", &weak).await.status, 400);
    let reply = act(&server, &admin, mara, "reset_password", &new_password()).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(server.get("/api/auth/profile/").token(&token).send().await.status, 401);
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 401);
    assert_eq!(server.try_login("mara", NEW).await.status, 200);
}

#[tokio::test]
async fn codes_for_a_new_password_are_easy_to_read_out() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;

    let reply = act(&server, &admin, mara, "generate_reset_code", &json!({})).await;

    assert_eq!((reply.status, &reply.body["expires_at"]), (200, &json!("2026-03-02T12:30:00+00:00")), "{}", reply.text);
    let code = reply.body["code"].as_str().unwrap();
    assert_eq!(code.len(), 8);
    assert!(code.chars().all(|c| (c.is_ascii_uppercase() || c.is_ascii_digit()) && !"IO01".contains(c)), "{code}");
    let again = act(&server, &admin, mara, "generate_reset_code", &json!({})).await;
    assert_ne!(again.body["code"], code);
}

#[tokio::test]
async fn deactivated_users_log_in_again_after_activation_and_old_tokens_stay_void() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;
    let ben = server.user("ben", false).await;
    for (id, name, by_field) in [(mara, "mara", false), (ben, "ben", true)] {
        let (token, refresh) = server.login(name).await;

        let path = format!("{USERS}{id}/");
        let off = if by_field {
            server.call("PATCH", &path).token(&admin).json(&json!({ "is_active": false })).send().await
        } else {
            act(&server, &admin, id, "deactivate", &json!({})).await
        };
        assert_eq!((off.status, &user(&server, &admin, id).await["is_active"]), (200, &json!(false)));
        assert_eq!(server.try_login(name, PASSWORD).await.status, 401);
        assert_eq!(act(&server, &admin, id, "activate", &json!({})).await.status, 200);

        assert_eq!(server.get("/api/auth/profile/").token(&token).send().await.status, 401, "{name}");
        let refreshed = server.post("/api/auth/token/refresh/").json(&json!({ "refresh": refresh })).send().await;
        assert_eq!(refreshed.status, 401, "{name}");
        assert_eq!(server.try_login(name, PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn an_address_counts_as_proved_until_it_changes() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;

    assert_eq!(user(&server, &admin, mara).await["email_verified"], false);
    assert_eq!(act(&server, &admin, mara, "verify_email", &json!({})).await.status, 200);
    assert_eq!(user(&server, &admin, mara).await["email_verified"], true);
    let other = json!({ "email": "other@lab.example" });
    server.call("PATCH", &format!("{USERS}{mara}/")).token(&admin).json(&other).send().await;
    assert_eq!(user(&server, &admin, mara).await["email_verified"], false);
}

#[tokio::test]
async fn effective_permissions_tell_where_each_comes_from() {
    let server = Server::start().await;
    let root = server.user("root", true).await;
    let (admin, _) = server.login("root").await;
    let mara = server.user("mara", false).await;
    let (view, add) =
        (permissions(&server, &admin, "view_group").await, permissions(&server, &admin, "add_group").await);
    let both: Vec<_> = view.iter().chain(&add).cloned().collect();
    let group = json!({ "name": "Ops", "permission_ids": view });
    let group = server.post("/api/auth/groups/").token(&admin).json(&group).send().await.body["id"].clone();
    let path = format!("{USERS}{mara}/");
    server.call("PATCH", &path).token(&admin).json(&json!({ "group_ids": [group] })).send().await;

    let added = act(&server, &admin, mara, "add_permissions", &json!({ "permission_ids": both })).await;
    assert_eq!((added.status, &added.body["count"]), (200, &json!(2)), "{}", added.text);
    // What is there is not there twice.
    assert_eq!(act(&server, &admin, mara, "add_permissions", &json!({ "permission_ids": add })).await.status, 200);
    let direct = |codename: &str| json!([codename, "direct", []]);
    let by_ops = json!(["auth.view_group", "group", ["Ops"]]);
    assert_eq!(
        held(&server, &admin, mara, "user_permissions").await,
        json!([direct("auth.add_group"), direct("auth.view_group")])
    );
    assert_eq!(
        held(&server, &admin, mara, "effective_permissions").await,
        json!([direct("auth.add_group"), direct("auth.view_group"), by_ops])
    );
    let removed = act(&server, &admin, mara, "remove_permissions", &json!({ "permission_ids": both })).await;
    assert_eq!((removed.status, &removed.body["count"]), (200, &json!(0)));
    assert_eq!(held(&server, &admin, mara, "effective_permissions").await, json!([by_ops]));
    let unknown = act(&server, &admin, mara, "add_permissions", &json!({ "permission_ids": [987_654] })).await;
    assert_eq!(unknown.status, 400, "{}", unknown.text);
    // Who passes all checks has them all, by both ways.
    let all = server.get("/api/auth/permissions/").token(&admin).send().await.body["count"].as_u64().unwrap();
    let of_root = held(&server, &admin, root, "effective_permissions").await;
    assert_eq!(of_root.as_array().unwrap().len() as u64, 2 * all);
}

#[tokio::test]
async fn the_second_step_is_taken_away_from_those_who_have_one() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;

    let reply = act(&server, &admin, mara, "disable_mfa", &json!({})).await;

    assert_eq!((reply.status, reply.body), (400, json!({ "detail": "This user has no second step." })));
}

/// Every action that changes something, with a body that fits.
fn actions() -> [(&'static str, Value); 8] {
    [
        ("reset_password", new_password()),
        ("generate_reset_code", json!({})),
        ("verify_email", json!({})),
        ("disable_mfa", json!({})),
        ("activate", json!({})),
        ("deactivate", json!({})),
        ("add_permissions", json!({ "permission_ids": [] })),
        ("remove_permissions", json!({ "permission_ids": [] })),
    ]
}

#[tokio::test]
async fn administrators_do_nothing_to_superusers_and_find_nobody_who_is_not_there() {
    let server = Server::start().await;
    let root = server.user("root", true).await;
    let (root_token, _) = server.login("root").await;
    let found = server.get("/api/auth/groups/?name=Admin").token(&root_token).send().await;
    let mara = server.user("mara", false).await;
    let admins = json!({ "group_ids": [found.body["results"][0]["id"]] });
    server.call("PATCH", &format!("{USERS}{mara}/")).token(&root_token).json(&admins).send().await;
    let (mara_token, _) = server.login("mara").await;
    let before = user(&server, &root_token, root).await;

    for (action, body) in actions() {
        assert_eq!(act(&server, &mara_token, root, action, &body).await.status, 403, "{action}");
        assert_eq!(act(&server, &mara_token, 987_654, action, &body).await.status, 404, "{action}");
    }

    assert_eq!(user(&server, &root_token, root).await, before);
    assert_eq!(server.try_login("root", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_token_alone_is_not_enough_to_take_over_the_own_account() {
    let server = Server::start().await;
    let root = server.user("root", true).await;
    server.user("other", true).await;
    let (token, _) = server.login("root").await;

    for (action, body) in actions() {
        let is_harmless = ["verify_email", "activate", "add_permissions", "remove_permissions"].contains(&action);
        let reply = act(&server, &token, root, action, &body).await;
        assert_eq!(reply.status, if is_harmless { 200 } else { 400 }, "{action}: {}", reply.text);
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(
            is_harmless || detail.contains("your own account") || detail.contains("yourself"),
            "{action}: {detail}"
        );
    }
}
