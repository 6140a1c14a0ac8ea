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

#[tokio::test]
async fn profiles_show_groups_with_their_size_and_newest_users() {
    let server = Server::start().await;
    for name in ["ann", "ben", "eve"] {
        server.user(name, false).await;
    }
    let token = server.token("mara", false).await;

    let profile = server.get("/api/auth/profile/").token(&token).send().await.body;

    let group = &profile["groups"][0];
    assert_eq!(
        (&group["name"], &group["user_count"], &group["permission_count"]),
        (&json!("Users"), &json!(4), &json!(0))
    );
    let recent: Vec<_> =
        group["recent_users"].as_array().unwrap().iter().map(|user| user["username"].clone()).collect();
    assert_eq!(recent, ["mara", "eve", "ben"]);
    let plain = ["query_count", "favorite_count", "mfa_enabled", "email_service_available", "email_verified"];
    assert_eq!(plain.map(|name| profile[name].clone()), [json!(0), json!(0), json!(false), json!(false), json!(false)]);
    let stats = server.get("/api/auth/stats/").token(&token).send().await.body;
    let expected = json!({
        "username": "mara", "email": "mara@lab.example", "date_joined": "2026-03-02T12:00:00+00:00",
        "query_count": 0, "favorite_count": 0, "shared_query_count": 0,
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn administrators_see_how_logins_go_and_others_only_whether_mail_is_sent() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    server.user("ben", false).await;
    let mara = server.token("mara", false).await;
    for _ in 0..5 {
        server.try_login("ben", "wrong").await;
    }
    let health = async |token: &str| server.get("/api/auth/health/").token(token).send().await.body;

    assert_eq!(health(&mara).await, json!({ "email_available": false, "email_enabled": false }));
    let none = || json!({ "status": "not_configured" });
    let mut expected = json!({
        "email": none(), "email_enabled": false, "ldap": none(), "locked_accounts": 1, "active_users_24h": 2,
    });
    assert_eq!(health(&admin).await, expected);
    server.clock.advance(std::time::Duration::from_secs(25 * 3600));
    expected["locked_accounts"] = json!(0);
    expected["active_users_24h"] = json!(1);
    assert_eq!(health(&server.login("admin").await.0).await, expected);
}

#[tokio::test]
async fn any_time_zone_of_the_world_is_taken() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    for name in ["Asia/Kathmandu", "America/Argentina/ComodRivadavia", "Pacific/Chatham", "UTC"] {
        let body = json!({ "display_timezone": name });
        let reply = server.call("PATCH", "/api/auth/preferences/").token(&token).json(&body).send().await;
        assert_eq!((reply.status, &reply.body["display_timezone"]), (200, &json!(name)));
    }
}
