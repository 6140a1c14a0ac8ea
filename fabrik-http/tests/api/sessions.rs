//! Where one is logged in, and ending that.

use serde_json::json;

use crate::server::Server;

const SESSIONS: &str = "/api/auth/sessions/";

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_others() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (first, _) = server.login("mara").await;
    let (second, refresh) = server.login("mara").await;
    let (third, _) = server.login("mara").await;
    let ben = server.token("ben", false).await;

    let listed = server.get(SESSIONS).token(&first).send().await;
    assert_eq!((listed.status, &listed.body["count"]), (200, &json!(3)));
    let id = |token: &str| {
        let call = server.get(SESSIONS).token(token).send();
        async move {
            let listed = call.await.body;
            let own =
                listed["results"].as_array().unwrap().iter().find(|one| one["is_current"] == true).unwrap().clone();
            own["id"].as_str().unwrap().to_owned()
        }
    };
    let path = format!("{SESSIONS}{}/", id(&second).await);
    assert_eq!(server.call("DELETE", &path).token(&ben).send().await.status, 404, "of another user");
    assert_eq!(server.get(SESSIONS).token(&second).send().await.status, 200);
    assert_eq!(server.call("DELETE", &path).token(&first).send().await.status, 204);
    assert_eq!(server.get(SESSIONS).token(&second).send().await.status, 401);
    let refreshed = server.post("/api/auth/token/refresh/").json(&json!({ "refresh": refresh })).send().await;
    assert_eq!(refreshed.status, 401);
    assert_eq!(server.call("DELETE", &path).token(&first).send().await.status, 404, "it is over");

    assert_eq!(server.call("DELETE", SESSIONS).token(&first).send().await.status, 204);
    assert_eq!(server.get(SESSIONS).token(&third).send().await.status, 401);
    assert_eq!(server.get(SESSIONS).token(&first).send().await.body["count"], 1);
    assert_eq!(server.get(SESSIONS).token(&ben).send().await.status, 200);
}
