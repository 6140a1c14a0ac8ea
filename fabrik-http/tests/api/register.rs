//! Accounts that people make for themselves.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Reply, Server};

fn new_user() -> Value {
    json!({
        "username": "mara", "email": "mara@lab.example", "password": PASSWORD, "password_confirm": PASSWORD,
        "first_name": "Mara", "last_name": "Keller",
    })
}

async fn register(server: &Server, body: &Value) -> Reply {
    server.post("/api/auth/register/").json(body).send().await
}

#[tokio::test]
async fn registration_is_off_unless_told() {
    let server = Server::start().await;

    let reply = register(&server, &new_user()).await;

    assert_eq!((reply.status, reply.body), (403, json!({ "detail": "Registration is off." })));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn a_registered_user_logs_in_and_is_a_plain_one() {
    let server = Server::with(&[("auth.allow_registration", "true")]).await;
    let mut body = new_user();
    body["is_superuser"] = json!(true);
    body["is_staff"] = json!(true);

    let reply = register(&server, &body).await;

    assert_eq!(reply.status, 201, "{}", reply.text);
    let shown = json!({
        "id": reply.body["id"], "username": "mara", "email": "mara@lab.example", "first_name": "Mara",
        "last_name": "Keller",
    });
    assert_eq!(reply.body, shown);
    let (access, _) = server.login("mara").await;
    let profile = server.get("/api/auth/profile/").token(&access).send().await.body;
    let rights = ["is_superuser", "is_staff", "is_admin", "email_verified"].map(|field| profile[field].clone());
    assert_eq!(rights, [false, false, false, false].map(|no| json!(no)));
    assert_eq!((&profile["group_names"], &profile["last_name"]), (&json!(["Users"]), &json!("Keller")));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let server = Server::with(&[("auth.allow_registration", "true")]).await;
    server.user("taken", false).await;

    for (field, value) in [
        ("username", json!("Taken")),
        ("username", json!("a b")),
        ("username", json!("")),
        ("email", json!("TAKEN@lab.example")),
        ("email", json!("no address")),
        ("password", json!("mara1")),
        ("password_confirm", json!("something else")),
        ("first_name", json!("x".repeat(151))),
    ] {
        let mut body = new_user();
        body[field] = value.clone();
        if field == "password" {
            body["password_confirm"] = value.clone();
        }
        let reply = register(&server, &body).await;
        assert_eq!(reply.status, 400, "{field} {value}");
        let fields: Vec<_> = reply.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, [field], "{value}: {}", reply.text);
    }
    assert_eq!(register(&server, &new_user()).await.status, 201);
}
