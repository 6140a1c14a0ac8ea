//! API keys: what programs log in with, and how little they may.

use std::time::Duration;

use fabrik_http::server::{Access, declared_routes};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const KEYS: &str = "/api/auth/api-keys/";

async fn try_make(server: &Server, token: &str, body: &Value) -> Reply {
    server.post(KEYS).token(token).json(body).send().await
}

/// Makes a key with scopes and returns its id and itself.
async fn make(server: &Server, token: &str, scopes: &[&str]) -> (i64, String) {
    let made = try_make(server, token, &json!({ "name": "ci", "scopes": scopes })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (made.body["id"].as_i64().unwrap(), made.body["key"].as_str().unwrap().to_owned())
}

async fn profile(server: &Server, key: &str) -> u16 {
    server.get("/api/auth/profile/").token(key).send().await.status
}

#[tokio::test]
async fn a_key_is_shown_once_and_taken_in_both_headers() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    let made = try_make(&server, &token, &json!({ "name": "ci", "scopes": ["read"] })).await;

    let key = made.body["key"].as_str().unwrap();
    assert!(key.starts_with("fab_") && key.len() == 47, "{key}");
    assert_eq!(profile(&server, key).await, 200);
    assert_eq!(server.get("/api/auth/profile/").header("x-api-key", key).send().await.body["username"], "mara");
    let listed = server.get(KEYS).token(&token).send().await;
    let item = &listed.body["results"][0];
    assert_eq!((&listed.body["count"], &item["name"], &item["scopes"]), (&json!(1), &json!("ci"), &json!(["read"])));
    assert_eq!((&item["last_used_at"], &item["expires_at"]), (&json!("2026-03-02T12:00:00+00:00"), &Value::Null));
    assert!(!listed.text.contains(key) && !listed.text.contains("fingerprint"), "{}", listed.text);
}

#[tokio::test]
async fn keys_that_are_not_good_are_refused() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;
    let (_, key) = make(&server, &token, &["*"]).await;

    for (why, bad) in [
        ("cut", &key[..key.len() - 1]),
        ("another", "fab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("empty", "fab_"),
        ("without its beginning", &key[4..]),
    ] {
        for reply in [
            server.get("/api/auth/profile/").token(bad).send().await,
            server.get("/api/auth/profile/").header("x-api-key", bad).send().await,
        ] {
            assert_eq!((reply.status, &reply.body["code"]), (401, &json!("token_not_valid")), "{why}");
        }
    }
    // A good key does not make up for a bad token.
    let both = server.get("/api/auth/profile/").token("junk").header("x-api-key", &key).send().await;
    assert_eq!(both.status, 401);
}

#[tokio::test]
async fn keys_end_by_time_by_revocation_and_with_their_user() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let id = server.user("mara", false).await;
    let (token, _) = server.login("mara").await;
    let body = json!({ "name": "soon over", "scopes": ["*"], "expires_at": "2026-03-02T12:10:00+00:00" });
    let short = try_make(&server, &token, &body).await.body["key"].as_str().unwrap().to_owned();
    let (revoked, gone) = make(&server, &token, &["*"]).await;
    let (other, by_root) = make(&server, &token, &["*"]).await;
    let (_, key) = make(&server, &token, &["*"]).await;
    for key in [&short, &gone, &by_root, &key] {
        assert_eq!(profile(&server, key).await, 200);
    }

    assert_eq!(server.call("DELETE", &format!("{KEYS}{revoked}/")).token(&token).send().await.status, 204);
    assert_eq!(profile(&server, &gone).await, 401);
    assert_eq!(server.call("DELETE", &format!("{KEYS}{other}/")).token(&root).send().await.status, 204);
    assert_eq!(profile(&server, &by_root).await, 401);
    server.clock.advance(Duration::from_secs(599));
    assert_eq!(profile(&server, &short).await, 200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(profile(&server, &short).await, 401);
    let one = format!("/api/auth/management/{id}/");
    let off = server.call("PATCH", &one).token(&root).json(&json!({ "is_active": false })).send().await;
    assert_eq!(off.status, 200, "{}", off.text);
    assert_eq!(profile(&server, &key).await, 401);
}

#[tokio::test]
async fn users_see_and_revoke_their_own_keys_and_administrators_all() {
    let server = Server::start().await;
    let (mara, ben) = (server.token("mara", false).await, server.token("ben", false).await);
    let root = server.token("root", true).await;
    let (id, key) = make(&server, &mara, &["*"]).await;
    let one = format!("{KEYS}{id}/");

    assert_eq!(server.get(KEYS).token(&ben).send().await.body["count"], 0);
    assert_eq!(server.get(&one).token(&ben).send().await.status, 404);
    assert_eq!(server.call("DELETE", &one).token(&ben).send().await.status, 404);
    assert_eq!(profile(&server, &key).await, 200);
    assert_eq!(server.get(KEYS).token(&root).send().await.body["count"], 1);
    assert_eq!(server.get(&one).token(&root).send().await.status, 200);
}

#[tokio::test]
async fn a_key_for_single_permissions_does_these_and_no_more() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let named: Vec<_> = declared_routes()
        .into_iter()
        .filter_map(|route| match route.access {
            Access::Permission(codename) => Some((route.method, route.path, codename.to_string())),
            _ => None,
        })
        .collect();
    let Some((_, _, codename)) = named.first() else { return };
    let (_, key) = make(&server, &root, &[codename.as_str()]).await;

    for route in declared_routes().into_iter().filter(|route| route.access != Access::Public) {
        let path = route.path.replace("{id}", "987654").replace("{name}", "nothing");
        let reply = server.call(route.method.as_str(), &path).token(&key).json(&json!({})).send().await;
        let is_named = matches!(&route.access, Access::Permission(name) if name == codename);
        let is_own = route.method == "GET"
            && ["/api/auth/profile/", "/api/auth/stats/", "/api/auth/quota-usage/"].contains(&&*route.path);
        let is_kept = route.path.starts_with("/api/auth/");
        let about = format!("{} {}: {}", route.method, route.path, reply.text);
        assert_eq!(reply.status != 403, is_own || is_named && !is_kept, "{about}");
    }
}

#[tokio::test]
async fn what_guards_logins_is_kept_from_every_key() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, all) = make(&server, &root, &["*"]).await;
    let (_, with_users) = make(&server, &root, &["*", "users"]).await;
    let (_, reader) = make(&server, &root, &["read", "users"]).await;
    let users = ["/api/auth/management/", "/api/auth/groups/", "/api/auth/permissions/"];
    let own = ["/api/auth/profile/", "/api/auth/stats/", "/api/auth/quota-usage/"];

    for route in declared_routes().into_iter().filter(|route| route.access != Access::Public) {
        let path = route.path.replace("{id}", "987654").replace("{name}", "nothing");
        let status =
            async |key: &str| server.call(route.method.as_str(), &path).token(key).json(&json!({})).send().await.status;
        let about = format!("{} {}", route.method, route.path);
        let is_get = route.method == "GET";
        let is_users = users.iter().any(|prefix| route.path.starts_with(prefix));
        let is_open = !route.path.starts_with("/api/auth/") || is_get && own.contains(&&*route.path);
        assert_eq!(status(&all).await != 403, is_open, "{about} with *");
        assert_eq!(status(&with_users).await != 403, is_open || is_users, "{about} with * and users");
        assert_eq!(status(&reader).await != 403, (is_open || is_users) && is_get, "{about} with read and users");
    }
    // Nothing of the above changed what guards the account.
    assert_eq!(server.try_login("root", crate::server::PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_key_never_does_more_than_its_user() {
    let server = Server::start().await;
    let mara = server.token("mara", false).await;
    let (_, key) = make(&server, &mara, &["*", "users"]).await;

    for route in declared_routes() {
        let path = route.path.replace("{id}", "987654").replace("{name}", "nothing");
        let status = server.call(route.method.as_str(), &path).token(&key).json(&json!({})).send().await.status;
        if matches!(route.access, Access::Admin | Access::Permission(_)) {
            assert_eq!(status, 403, "{} {}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn keys_that_make_no_sense_are_not_made() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    for (body, field) in [
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["everything"] }), "scopes"),
        (json!({ "name": "x", "scopes": ["users"] }), "scopes"),
        (json!({ "name": "", "scopes": ["*"] }), "name"),
        (json!({ "name": "x", "scopes": ["*"], "expires_at": "2026-03-02T12:00:00+00:00" }), "expires_at"),
        (json!({ "name": "x" }), "scopes"),
    ] {
        let reply = try_make(&server, &token, &body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body.get(field).is_some(), "{body}: {}", reply.text);
    }
    for _ in 0..50 {
        make(&server, &token, &["*"]).await;
    }
    let reply = try_make(&server, &token, &json!({ "name": "x", "scopes": ["*"] })).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
}
