//! User administration.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Reply, Server};

const USERS: &str = "/api/auth/management/";

fn new_user(name: &str) -> Value {
    json!({
        "username": name, "email": format!("{name}@lab.example"),
        "password": PASSWORD, "password_confirm": PASSWORD,
    })
}

async fn change(server: &Server, token: &str, id: i64, body: &Value) -> Reply {
    server.call("PATCH", &format!("{USERS}{id}/")).token(token).json(body).send().await
}

async fn group(server: &Server, token: &str, name: &str) -> i64 {
    let found = server.get(&format!("/api/auth/groups/?name={name}")).token(token).send().await;
    found.body["results"][0]["id"].as_i64().unwrap()
}

#[tokio::test]
async fn administrators_make_users_who_can_log_in() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;

    let made = server.post(USERS).token(&admin).json(&new_user("mara")).send().await;

    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&made.body["group_names"], &made.body["date_joined"]),
        (&json!(["Users"]), &json!("2026-03-02T12:00:00+00:00"))
    );
    assert!(made.body.get("password").is_none() && !made.text.contains("argon2"));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
    let twice = server.post(USERS).token(&admin).json(&new_user("MARA")).send().await;
    let exists = |field: &str| json!([format!("user with this {field} already exists.")]);
    assert_eq!((twice.status, twice.body), (400, json!({ "username": exists("username"), "email": exists("email") })));
    let mut weak = new_user("ben");
    weak["username"] = json!("b e n");
    weak["password"] = json!("12345678");
    let weak = server.post(USERS).token(&admin).json(&weak).send().await;
    let fields: Vec<_> = weak.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!((weak.status, fields), (400, vec!["password".to_owned(), "password_confirm".into(), "username".into()]));
}

#[tokio::test]
async fn a_deactivated_user_is_out_at_once() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let id = server.user("mara", false).await;
    let (mara, refresh) = server.login("mara").await;

    assert_eq!(change(&server, &admin, id, &json!({ "is_active": false })).await.status, 200);

    assert_eq!(server.get("/api/auth/profile/").token(&mara).send().await.status, 401);
    assert_eq!(server.post("/api/auth/token/refresh/").json(&json!({ "refresh": refresh })).send().await.status, 401);
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn only_superusers_make_superusers_and_administrators() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let admins = group(&server, &root, "Admin").await;
    let mara = server.user("mara", false).await;
    let ben = server.user("ben", false).await;
    assert_eq!(change(&server, &root, mara, &json!({ "group_ids": [admins] })).await.body["is_admin"], true);
    let (mara_token, _) = server.login("mara").await;

    for (id, body) in [
        (ben, json!({ "is_superuser": true })),
        (ben, json!({ "group_ids": [admins] })),
        (mara, json!({ "is_superuser": true })),
        (1, json!({ "email": "mine@lab.example" })),
    ] {
        assert_eq!(change(&server, &mara_token, id, &body).await.status, 403, "{id} {body}");
    }
    let mut body = new_user("eve");
    body["group_ids"] = json!([admins]);
    assert_eq!(server.post(USERS).token(&mara_token).json(&body).send().await.status, 403);
    assert_eq!(server.get(&format!("{USERS}?username=eve")).token(&root).send().await.body["count"], 0);
    assert_eq!(change(&server, &mara_token, ben, &json!({ "first_name": "Ben" })).await.status, 200);
    assert_eq!(server.call("DELETE", &format!("{USERS}1/")).token(&mara_token).send().await.status, 403);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let server = Server::start().await;
    let root = server.user("root", true).await;
    let (token, _) = server.login("root").await;

    let own = json!({ "is_active": ["You cannot deactivate yourself."] });
    let reply = change(&server, &token, root, &json!({ "is_active": false })).await;
    assert_eq!((reply.status, reply.body), (400, own));
    let stripped = change(&server, &token, root, &json!({ "is_superuser": false, "group_ids": [] })).await;
    assert_eq!(stripped.status, 400);
    assert!(stripped.body["detail"].as_str().unwrap().starts_with("The last administrator"));
    let gone = server.call("DELETE", &format!("{USERS}{root}/")).token(&token).send().await;
    assert_eq!((gone.status, gone.body), (400, json!({ "detail": "You cannot delete yourself." })));
    let other = server.user("other", true).await;
    assert_eq!(change(&server, &token, root, &json!({ "is_superuser": false, "group_ids": [] })).await.status, 200);
    assert_eq!(server.get(USERS).token(&token).send().await.status, 403);
    let (token, _) = server.login("other").await;
    assert_eq!(server.call("DELETE", &format!("{USERS}{root}/")).token(&token).send().await.status, 204);
    assert_eq!(server.call("DELETE", &format!("{USERS}{other}/")).token(&token).send().await.status, 400);
}

#[tokio::test]
async fn users_are_found_by_group_and_words() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    for name in ["mara", "ben"] {
        server.user(name, false).await;
    }
    let users = group(&server, &admin, "Users").await;
    let names = async |query: &str| {
        let reply = server.get(&format!("{USERS}?{query}")).token(&admin).send().await;
        let names = reply.body["results"].as_array().unwrap().iter().map(|user| user["username"].clone());
        names.collect::<Vec<_>>()
    };

    assert_eq!(names(&format!("group_id={users}&ordering=username")).await, ["ben", "mara"]);
    assert_eq!(names("search=MARA+lab").await, ["mara"]);
    assert_eq!(names("is_superuser=true").await, ["admin"]);
    assert_eq!(names("").await, ["ben", "mara", "admin"]);
    let unknown = change(&server, &admin, 1, &json!({ "group_ids": [77] })).await;
    assert_eq!(
        (unknown.status, &unknown.body["group_ids"][0]),
        (400, &json!("Invalid pk \"77\" - object does not exist."))
    );
}
