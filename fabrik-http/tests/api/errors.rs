//! The shapes of errors, to the letter.

use serde_json::json;

use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn who_is_not_logged_in_is_told_so() {
    let server = Server::start().await;

    for authorization in ["", "Basic bWFyYTp4", "Bearer", "Token x"] {
        let reply = server.get("/api/auth/profile/").header("authorization", authorization).send().await;
        let detail = "Authentication credentials were not provided.";
        assert_eq!((reply.status, reply.body), (401, json!({ "detail": detail })), "{authorization}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    let reply = server.get("/api/auth/management/").token(&token).send().await;

    let detail = "You do not have permission to perform this action.";
    assert_eq!((reply.status, reply.body), (403, json!({ "detail": detail })));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let token = server.token("admin", true).await;

    for path in [
        "/",
        "/api/",
        "/api/nothing/",
        "/api/auth/management/999/",
        "/api/auth/management/x/",
        "/api/auth/management/-1/",
        "/api/auth/management/99999999999999999999/",
        "/api/docs/assets/..%2f..%2fCargo.toml",
        "/api/docs/assets/../../x",
        "/api/auth/management/1%00/",
        "//api/auth/profile/",
    ] {
        let reply = server.get(path).token(&token).send().await;
        assert_eq!((reply.status, reply.body), (404, json!({ "detail": "Not found." })), "{path}");
    }
}

#[tokio::test]
async fn other_verbs_are_not_allowed() {
    let server = Server::start().await;

    let reply = server.call("DELETE", "/api/auth/login/").send().await;

    assert_eq!((reply.status, &reply.body), (405, &json!({ "detail": "Method \"DELETE\" not allowed." })));
    assert_eq!(reply.header("allow"), "POST");
}

#[tokio::test]
async fn bodies_must_be_json_objects_of_the_right_type_and_size() {
    let server = Server::with(&[("body_limit_bytes", "200")]).await;
    let login = |content_type: &'static str, body: &'static str| {
        server.post("/api/auth/login/").header("content-type", content_type).body(body).send()
    };

    let form = login("application/x-www-form-urlencoded", "username=a&password=b").await;
    let detail = "Unsupported media type \"application/x-www-form-urlencoded\" in request.";
    assert_eq!((form.status, form.body), (415, json!({ "detail": detail })));
    let broken = login("application/json; charset=utf-8", "{\"username\":").await;
    assert_eq!(broken.status, 400);
    assert!(broken.body["detail"].as_str().unwrap().starts_with("JSON parse error - "), "{}", broken.text);
    let list = login("application/json", "[]").await;
    let sentence = "Invalid data. Expected a dictionary, but got list.";
    assert_eq!((list.status, list.body), (400, json!({ "non_field_errors": [sentence] })));
    let required = json!(["This field is required."]);
    let empty = login("", "").await;
    assert_eq!((empty.status, empty.body), (400, json!({ "username": required, "password": required })));
    let large = server
        .post("/api/auth/login/")
        .json(&json!({ "username": "x".repeat(300), "password": PASSWORD }))
        .send()
        .await;
    assert_eq!((large.status, large.body), (413, json!({ "detail": "The body of the request is too large." })));
    let chunks = axum::body::Body::from_stream(futures_util::stream::iter(
        (0..30).map(|_| Ok::<_, std::io::Error>("0123456789")),
    ));
    let unannounced =
        server.post("/api/auth/login/").header("content-type", "application/json").body(chunks).send().await;
    assert_eq!(unannounced.status, 413);
    let deep = format!("{{\"username\":{}", "[".repeat(150));
    let deep = server.post("/api/auth/login/").header("content-type", "application/json").body(deep).send().await;
    assert_eq!(deep.status, 400);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let server = Server::with(&[("body_timeout_seconds", "0")]).await;
    let never = axum::body::Body::from_stream(futures_util::stream::pending::<Result<&str, std::io::Error>>());

    let reply = server.post("/api/auth/login/").header("content-type", "application/json").body(never).send().await;

    assert_eq!(reply.status, 408);
}

#[tokio::test]
async fn all_paths_work_without_their_last_slash() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;

    let with = server.get("/api/auth/profile/").token(&token).send().await;
    let without = server.get("/api/auth/profile").token(&token).send().await;

    assert_eq!((with.status, &with.body), (200, &without.body));
    let body = json!({ "username": "mara", "password": PASSWORD });
    assert_eq!(server.post("/api/auth/login").json(&body).send().await.status, 200);
}
