//! The first administrator.

use fabrik_http::server::{FirstStart, first_start};
use serde_json::json;

use crate::server::{PASSWORD, Reply, Server};

async fn set_up(server: &Server, token: &str, password: &str) -> Reply {
    let body = json!({ "token": token, "username": "root", "password": password });
    server.post("/api/auth/setup/").json(&body).send().await
}

#[tokio::test]
async fn the_link_of_the_first_start_makes_one_administrator() {
    let server = Server::start().await;
    let FirstStart::Link(link) = first_start(&server.state).await.unwrap() else { panic!("there are no users") };
    let (page, token) = link.split_once('#').unwrap();
    assert_eq!(page, "/setup/");

    assert_eq!(set_up(&server, "guess", PASSWORD).await.status, 403);
    assert_eq!(set_up(&server, token, "weak").await.status, 400);
    let made = set_up(&server, token, PASSWORD).await;
    assert_eq!((made.status, &made.body["user"]["is_admin"]), (201, &json!(true)));
    assert_eq!(set_up(&server, token, PASSWORD).await.status, 403);
    assert_eq!(first_start(&server.state).await.unwrap(), FirstStart::HasUsers);
    let users = server.get("/api/auth/management/").token(made.body["access"].as_str().unwrap()).send().await;
    assert_eq!(users.body["count"], 1);
}

#[tokio::test]
async fn a_new_start_makes_the_old_link_void() {
    let server = Server::start().await;
    let FirstStart::Link(link) = first_start(&server.state).await.unwrap() else { panic!("there are no users") };
    first_start(&server.state).await.unwrap();

    assert_eq!(set_up(&server, link.split_once('#').unwrap().1, PASSWORD).await.status, 403);
}

#[tokio::test]
async fn the_administrator_of_the_settings_is_made_once() {
    let server = Server::with(&[("admin.username", "root"), ("admin.password", PASSWORD)]).await;

    assert_eq!(first_start(&server.state).await.unwrap(), FirstStart::AdminMade("root".into()));
    assert_eq!(first_start(&server.state).await.unwrap(), FirstStart::HasUsers);
    assert_eq!(server.try_login("root", PASSWORD).await.body["user"]["is_admin"], true);
    let weak = Server::with(&[("admin.username", "root"), ("admin.password", "root1234")]).await;
    assert!(first_start(&weak.state).await.unwrap_err().to_string().contains("too common"));
}
