//! Groups and permissions.

use serde_json::json;

use crate::server::Server;

const GROUPS: &str = "/api/auth/groups/";

#[tokio::test]
async fn groups_are_made_changed_and_deleted() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let permissions = server.get("/api/auth/permissions/?search=view_user").token(&admin).send().await;
    assert_eq!(permissions.body["results"][0]["codename"], "auth.view_user");
    let id = permissions.body["results"][0]["id"].clone();

    let made = server.post(GROUPS).token(&admin).json(&json!({ "name": "Ops", "permission_ids": [id] })).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["permissions"], json!([{ "id": id, "codename": "auth.view_user" }]));
    let one = format!("{GROUPS}{}/", made.body["id"]);
    let renamed = server.call("PUT", &one).token(&admin).json(&json!({ "name": "Operators" })).send().await;
    assert_eq!(
        (renamed.status, &renamed.body["name"], renamed.body["permissions"].as_array().unwrap().len()),
        (200, &json!("Operators"), 1)
    );
    assert_eq!(server.call("DELETE", &one).token(&admin).send().await.status, 204);
    assert_eq!(server.get(&one).token(&admin).send().await.status, 404);
}

#[tokio::test]
async fn built_in_groups_keep_their_names_and_stay() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;

    for name in ["Admin", "Users"] {
        let found = server.get(&format!("{GROUPS}?name={name}")).token(&admin).send().await;
        let one = format!("{GROUPS}{}/", found.body["results"][0]["id"]);
        let renamed = server.call("PATCH", &one).token(&admin).json(&json!({ "name": "Other" })).send().await;
        assert_eq!(
            (renamed.status, renamed.body),
            (400, json!({ "name": [format!("The group {name} cannot be renamed.")] }))
        );
        assert_eq!(server.call("DELETE", &one).token(&admin).send().await.status, 400);
        assert_eq!(server.call("PATCH", &one).token(&admin).json(&json!({ "name": name })).send().await.status, 200);
    }
}
