//! Logging in, and what failing to does.

use std::time::Duration;

use serde_json::json;

use crate::server::{PASSWORD, Server};

const REFUSED: &str = "No active account found with the given credentials";

#[tokio::test]
async fn login_gives_tokens_and_the_user() {
    let server = Server::start().await;
    let id = server.user("mara", false).await;

    let reply = server.try_login("Mara", PASSWORD).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let user = json!({ "id": id, "username": "mara", "is_admin": false, "mfa_enabled": false });
    assert_eq!(reply.body["user"], user);
    let profile = server.get("/api/auth/profile/").token(reply.body["access"].as_str().unwrap()).send().await;
    assert_eq!((profile.status, &profile.body["last_login"]), (200, &json!("2026-03-02T12:00:00+00:00")));
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_refused_alike() {
    let server = Server::start().await;
    server.user("mara", false).await;

    for (name, password) in [("mara", "wrong"), ("nobody", PASSWORD), ("", ""), ("mara' OR '1'='1", "x")] {
        let reply = server.try_login(name, password).await;
        if name.is_empty() {
            let blank = json!(["This field may not be blank."]);
            assert_eq!((reply.status, reply.body), (400, json!({ "username": blank, "password": blank })));
        } else {
            assert_eq!((reply.status, reply.body), (401, json!({ "detail": REFUSED })), "{name}");
        }
    }
}

#[tokio::test]
async fn five_failures_lock_an_account_that_is_there_and_one_that_is_not() {
    let server = Server::start().await;
    server.user("mara", false).await;

    for name in ["mara", "nobody"] {
        for _ in 0..5 {
            assert_eq!(server.try_login(name, "wrong").await.status, 401);
        }
        let locked = server.try_login(&name.to_uppercase(), PASSWORD).await;
        assert_eq!(locked.status, 429, "{name}");
        assert_eq!(locked.body, json!({ "detail": "Too many failed logins. Try again in 15 minutes." }));
        assert_eq!(locked.header("retry-after"), "900");
    }
    server.clock.advance(Duration::from_secs(15 * 60 - 30));
    assert_eq!(
        server.try_login("mara", PASSWORD).await.body["detail"],
        "Too many failed logins. Try again in 1 minute."
    );
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn success_clears_the_count_of_failures() {
    let server = Server::start().await;
    server.user("mara", false).await;

    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(server.try_login("mara", "wrong").await.status, 401);
        }
        assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
    }
}
