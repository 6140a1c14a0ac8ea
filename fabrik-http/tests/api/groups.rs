//! Groups and permissions.

use serde_json::{Value, json};

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
    assert_eq!(made.body["permissions"], json!([{ "id": id, "codename": "auth.view_user", "name": "Can view user" }]));
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

#[tokio::test]
async fn groups_show_who_is_in_them_and_what_they_may_by_category() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let mara = server.user("mara", false).await;
    let ids: Vec<_> = server.get("/api/auth/permissions/?search=view_").token(&admin).send().await.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    let users = server.get(&format!("{GROUPS}?name=Users")).token(&admin).send().await.body["results"][0].clone();
    assert_eq!((&users["user_count"], &users["users"]), (&json!(1), &json!([{ "id": mara, "username": "mara" }])));
    let one = format!("{GROUPS}{}/", users["id"]);

    let body = json!({ "permission_ids": ids });
    let added = server.post(&format!("{one}add_permissions/")).token(&admin).json(&body).send().await;
    assert_eq!((added.status, added.body["permissions"].as_array().unwrap().len()), (200, ids.len()));
    let in_categories: usize = added.body["permissions_by_category"]
        .as_object()
        .unwrap()
        .values()
        .map(|permissions| permissions.as_array().unwrap().len())
        .sum();
    assert_eq!(in_categories, ids.len());
    let of_users = &added.body["permissions_by_category"]["Users and groups"];
    assert!(of_users.as_array().unwrap().iter().any(|one| one["codename"] == "auth.view_user"), "{of_users}");
    let body = json!({ "permission_ids": ids[1..] });
    let removed = server.post(&format!("{one}remove_permissions/")).token(&admin).json(&body).send().await;
    assert_eq!((removed.status, &removed.body["permissions"][0]["id"]), (200, &ids[0]));
    assert_eq!(removed.body["permissions"].as_array().unwrap().len(), 1);
    let gone = format!("{GROUPS}987654/add_permissions/");
    assert_eq!(server.post(&gone).token(&admin).json(&body).send().await.status, 404);
}

#[tokio::test]
async fn a_copy_of_a_group_has_its_permissions_and_quota_and_not_its_users() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    server.user("mara", false).await;
    let permissions = server.get("/api/auth/permissions/?search=view_user").token(&admin).send().await;
    let body = json!({ "name": "Ops", "permission_ids": [permissions.body["results"][0]["id"]], "template": "editor" });
    let ops = server.post(GROUPS).token(&admin).json(&body).send().await.body;
    let clone = async |id: &Value, name: &str| {
        let path = format!("{GROUPS}{id}/clone/");
        server.post(&path).token(&admin).json(&json!({ "name": name })).send().await
    };

    let copy = clone(&ops["id"], "Ops 2").await;

    assert_eq!(copy.status, 201, "{}", copy.text);
    assert_eq!((&copy.body["permissions"], &copy.body["name"]), (&ops["permissions"], &json!("Ops 2")));
    let quota = async |id: &Value| server.get(&format!("{GROUPS}{id}/quota/")).token(&admin).send().await.body;
    assert_eq!(quota(&copy.body["id"]).await, quota(&ops["id"]).await);
    assert_eq!(quota(&copy.body["id"]).await["max_saved_queries"], 50);
    let users = server.get(&format!("{GROUPS}?name=Users")).token(&admin).send().await.body["results"][0]["id"].clone();
    assert_eq!(clone(&users, "Users 2").await.body["user_count"], 0);
    for name in ["OPS 2", "admin"] {
        let taken = clone(&users, name).await;
        assert_eq!((taken.status, taken.body), (400, json!({ "name": ["group with this name already exists."] })));
    }
    assert_eq!(clone(&json!(987_654), "x").await.status, 404);
}

#[tokio::test]
async fn names_are_equal_whatever_their_case_on_every_database() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let make = async |name: &str| server.post(GROUPS).token(&admin).json(&json!({ "name": name })).send().await;

    let made = make("Ärzte").await;
    assert_eq!(made.status, 201);
    assert_eq!(make("äRZTE").await.status, 400);
    let one = format!("{GROUPS}{}/", made.body["id"]);
    let spelled = server.call("PATCH", &one).token(&admin).json(&json!({ "name": "ÄRZTE" })).send().await;
    assert_eq!((spelled.status, &spelled.body["name"]), (200, &json!("ÄRZTE")));
    assert_eq!(make("Ärzte").await.status, 400);
    assert_eq!(server.call("PATCH", &one).token(&admin).json(&json!({ "name": "Pfleger" })).send().await.status, 200);
    assert_eq!(make("Ärzte").await.status, 201);
    server.user("Jürgen", false).await;
    assert_eq!(server.try_login("JÜRGEN", crate::server::PASSWORD).await.status, 200);
    let twin = json!({
        "username": "JÜRGEN", "email": "JÜRGEN@LAB.EXAMPLE",
        "password": crate::server::PASSWORD, "password_confirm": crate::server::PASSWORD,
    });
    let twin = server.post("/api/auth/management/").token(&admin).json(&twin).send().await;
    let fields: Vec<_> = twin.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!((twin.status, fields), (400, vec!["email".to_owned(), "username".into()]));
}

#[tokio::test]
async fn permissions_tell_what_they_are_about_and_are_found_by_it() {
    let server = Server::start().await;
    let admin = server.token("admin", true).await;
    let find = async |query: &str| {
        server.get(&format!("/api/auth/permissions/?{query}")).token(&admin).send().await.body["results"].clone()
    };

    let view = find("codename=auth.view_user").await[0].clone();
    assert_eq!(
        (&view["category"], &view["is_dangerous"], &view["description"]),
        (&json!("Users and groups"), &json!(false), &json!("Can view user."))
    );
    let content_type = json!({ "id": view["content_type_id"], "app_label": "auth", "model": "user" });
    assert_eq!(view["content_type"], content_type);
    assert_eq!(find("codename=auth.delete_user").await[0]["is_dangerous"], true);
    let same = find(&format!("content_type_id={}", view["content_type_id"])).await;
    let codenames: Vec<_> = same.as_array().unwrap().iter().map(|one| one["codename"].as_str().unwrap()).collect();
    assert_eq!(codenames, ["auth.add_user", "auth.change_user", "auth.delete_user", "auth.view_user"]);
    assert!(find("app_label=auth").await.as_array().unwrap().iter().all(|one| one["app_label"] == "auth"));
}
