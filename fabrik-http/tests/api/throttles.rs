//! Too many requests, by the clock.

use std::time::Duration;

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn callers_without_login_have_sixty_a_minute() {
    let server = Server::with(&[("rate_limit.anon", "60/min")]).await;
    let get = || server.get("/api/auth/profile/").send();

    for _ in 0..60 {
        assert_eq!(get().await.status, 401);
    }
    let reply = get().await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.body, json!({ "detail": "Request was throttled. Expected available in 1 second." }));
    assert_eq!(reply.header("retry-after"), "1");
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(get().await.status, 401);
    assert_eq!(get().await.status, 429);
}

#[tokio::test]
async fn users_have_their_own_buckets() {
    let server = Server::with(&[("rate_limit.user", "2/hour")]).await;
    let (mara, ben) = (server.token("mara", false).await, server.token("ben", false).await);
    let get = async |token: &str| server.get("/api/auth/profile/").token(token).send().await;

    assert_eq!((get(&mara).await.status, get(&mara).await.status), (200, 200));
    let reply = get(&mara).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "1800"));
    assert_eq!(get(&ben).await.status, 200);
}

#[tokio::test]
async fn guessing_at_tokens_is_limited() {
    let server = Server::with(&[("rate_limit.anon", "3/min")]).await;
    let guess = || server.get("/api/auth/profile/").token("guess").send();

    for _ in 0..3 {
        assert_eq!(guess().await.status, 401);
    }
    assert_eq!(guess().await.status, 429);
}

#[tokio::test]
async fn a_plain_server_takes_three_logins_at_once_and_five_a_minute_from_an_address() {
    let server = Server::plain().await;

    for _ in 0..3 {
        assert_eq!(server.try_login("mara", "x").await.status, 401);
    }
    let reply = server.try_login("mara", "x").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "12"));
    server.clock.advance(Duration::from_secs(12));
    assert_eq!(server.try_login("mara", "x").await.status, 401);
}

#[tokio::test]
async fn a_plain_server_takes_bursts_of_fifty_from_an_address() {
    let server = Server::plain().await;

    for _ in 0..50 {
        assert_eq!(server.get("/api/health/").send().await.status, 200);
    }
    assert_eq!(server.get("/api/nothing/").send().await.status, 429);
    server.clock.advance(Duration::from_millis(100));
    for _ in 0..3 {
        assert_eq!(server.get("/api/health/").send().await.status, 200);
    }
    assert_eq!(server.get("/api/health/").send().await.status, 429);
}

#[tokio::test]
async fn sensitive_actions_are_limited_by_user() {
    let server = Server::with(&[("rate_limit.sensitive_action", "1/hour")]).await;
    let token = server.token("mara", false).await;
    let change = || server.call("PUT", "/api/auth/password/change/").token(&token).json(&json!({})).send();

    assert_eq!((change().await.status, change().await.status), (400, 429));
}
