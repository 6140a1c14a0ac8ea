//! The own account.

use serde_json::json;

use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn profiles_show_and_change_what_is_ones_own() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;
    let patch = async |body| {
        let reply = server.call("PATCH", "/api/auth/profile/").token(&token).json(&body).send().await;
        (reply.status, reply.body)
    };

    let (status, body) = patch(
        json!({ "first_name": "Mara", "profile": { "display_timezone": "Europe/Berlin" }, "is_superuser": true }),
    )
    .await;
    assert_eq!((status, &body["first_name"], &body["is_superuser"]), (200, &json!("Mara"), &json!(false)));
    let display = json!({ "display_timezone": "Europe/Berlin", "date_format": "YYYY-MM-DD", "time_format": "24h" });
    assert_eq!((&body["profile"], &body["group_names"]), (&display, &json!(["Users"])));
    assert_eq!(server.get("/api/auth/profile/").token(&token).send().await.body, body);
    for (body, answer) in [
        (json!({ "email": "x" }), json!({ "email": ["Enter a valid email address."] })),
        (json!({ "email": null }), json!({ "email": ["This field may not be null."] })),
        (
            json!({ "profile": { "time_format": "25h" } }),
            json!({ "profile": ["time_format: \"25h\" is not a valid choice."] }),
        ),
        (
            json!({ "profile": { "display_timezone": "Mars" } }),
            json!({ "display_timezone": ["\"Mars\" is not a valid choice."] }),
        ),
    ] {
        assert_eq!(patch(body).await, (400, answer));
    }
    server.user("ben", false).await;
    let taken = json!({ "email": ["profile with this email already exists."] });
    assert_eq!(patch(json!({ "email": "BEN@lab.example" })).await, (400, taken));
}

#[tokio::test]
async fn preferences_and_the_idle_time_are_kept() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    for (path, body, bad) in [
        ("/api/auth/preferences/", json!({ "date_format": "DD/MM/YYYY" }), json!({ "date_format": "D" })),
        (
            "/api/auth/session-timeout/",
            json!({ "session_timeout_minutes": 0 }),
            json!({ "session_timeout_minutes": -1 }),
        ),
    ] {
        let changed = server.call("PATCH", path).token(&token).json(&body).send().await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let (name, value) = body.as_object().unwrap().iter().next().unwrap();
        let read = server.get(path).token(&token).send().await;
        assert_eq!((&read.body[name], &read.body), (value, &changed.body));
        assert_eq!(server.call("PATCH", path).token(&token).json(&bad).send().await.status, 400);
    }
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (own, _) = server.login("mara").await;
    let (other, _) = server.login("mara").await;
    let change = async |old: &str, new: &str, confirm: &str| {
        let body = json!({ "old_password": old, "new_password": new, "new_password_confirm": confirm });
        let reply = server.call("PUT", "/api/auth/password/change/").token(&own).json(&body).send().await;
        (reply.status, reply.body)
    };

    let wrong = json!({ "old_password": ["The old password is not right."] });
    assert_eq!(change("wrong", "Another horse, battery", "Another horse, battery").await, (400, wrong));
    let (status, body) = change(PASSWORD, "12345678", "87654321").await;
    assert_eq!((status, body["new_password"].as_array().unwrap().len()), (400, 2));
    assert_eq!(body["new_password_confirm"], json!(["The two passwords do not match."]));
    assert_eq!(change(PASSWORD, "Another horse, battery", "Another horse, battery").await.0, 200);

    let status = async |token: &str| server.get("/api/auth/profile/").token(token).send().await.status;
    assert_eq!((status(&own).await, status(&other).await), (200, 401));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 401);
    assert_eq!(server.try_login("mara", "Another horse, battery").await.status, 200);
}
