//! Tokens that are good, and all the ways in which they are not.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const KEY: &str = "a signing key for this test alone";

async fn refresh(server: &Server, token: &str) -> Reply {
    server.post("/api/auth/token/refresh/").json(&json!({ "refresh": token })).send().await
}

async fn profile(server: &Server, token: &str) -> Reply {
    server.get("/api/auth/profile/").token(token).send().await
}

async fn verify(server: &Server, token: &str) -> u16 {
    server.post("/api/auth/token/verify/").json(&json!({ "token": token })).send().await.status
}

#[tokio::test]
async fn access_tokens_last_fifteen_minutes_and_refresh_tokens_seven_days() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (access, token) = server.login("mara").await;

    server.clock.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(profile(&server, &access).await.status, 200);
    server.clock.advance(Duration::from_secs(1));
    let late = profile(&server, &access).await;
    assert_eq!(late.status, 401);
    assert_eq!(late.body, json!({ "detail": "Given token not valid for any token type", "code": "token_not_valid" }));
    assert!(late.header("www-authenticate").starts_with("Bearer"));
    server.clock.advance(Duration::from_secs(7 * 86_400 - 15 * 60 - 1));
    let next = refresh(&server, &token).await;
    assert_eq!(next.status, 200);
    server.clock.advance(Duration::from_secs(7 * 86_400));
    assert_eq!(refresh(&server, next.body["refresh"].as_str().unwrap()).await.status, 401);
}

#[tokio::test]
async fn refresh_tokens_are_good_once_and_a_replay_ends_the_session() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (_, first) = server.login("mara").await;
    let (other, _) = server.login("mara").await;

    let second = refresh(&server, &first).await;
    let access = second.body["access"].as_str().unwrap();
    assert_eq!(profile(&server, access).await.status, 200);
    let replay = refresh(&server, &first).await;

    assert_eq!(replay.status, 401);
    assert_eq!(replay.body, json!({ "detail": "Token is invalid or expired", "code": "token_not_valid" }));
    assert_eq!(profile(&server, access).await.status, 401);
    assert_eq!(refresh(&server, second.body["refresh"].as_str().unwrap()).await.status, 401);
    assert_eq!(profile(&server, &other).await.status, 200);
}

#[tokio::test]
async fn logout_ends_the_session_at_once() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (access, token) = server.login("mara").await;
    assert_eq!((verify(&server, &access).await, verify(&server, &token).await), (200, 200));

    let out = server.post("/api/auth/logout/").token(&access).send().await;

    assert_eq!((out.status, out.text.as_str()), (204, ""));
    assert_eq!(profile(&server, &access).await.status, 401);
    assert_eq!(refresh(&server, &token).await.status, 401);
    assert_eq!((verify(&server, &access).await, verify(&server, &token).await), (401, 401));
}

#[tokio::test]
async fn tokens_are_not_taken_for_each_other() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (access, token) = server.login("mara").await;

    assert_eq!(profile(&server, &token).await.status, 401);
    assert_eq!(refresh(&server, &access).await.status, 401);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let server = Server::with(&[("secret_key", KEY)]).await;
    server.user("mara", false).await;
    let (access, _) = server.login("mara").await;
    let [header, payload, signature] = access.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let mut other = claims.clone();
    other["user_id"] = json!(1);
    other["exp"] = json!(4_000_000_000_i64);

    assert!(claims["user_id"].is_i64());
    for token in [
        format!("{}.{payload}.", encode(&json!({ "alg": "none", "typ": "JWT" }))),
        format!("{}.{payload}.{signature}", encode(&json!({ "alg": "none" }))),
        format!("{}.{payload}.{signature}", encode(&json!({ "alg": "RS256" }))),
        format!("{}.{payload}.{signature}", encode(&json!({ "alg": "HS512" }))),
        format!("{header}.{}.{signature}", encode(&other)),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        String::new(),
        "\u{e4}".to_owned(),
    ] {
        let reply = profile(&server, &token).await;
        assert_eq!(reply.status, 401, "{token}");
    }
    // A server with another key does not know the token, though the claims are the same.
    let stranger = Server::with(&[("secret_key", "another key, just as long as ours")]).await;
    stranger.user("mara", false).await;
    assert_eq!(profile(&stranger, &access).await.status, 401);
}

#[tokio::test]
async fn a_bad_token_does_not_keep_anybody_from_public_routes() {
    let server = Server::start().await;

    assert_eq!(server.get("/api/health/").token("junk").send().await.status, 200);
}
