//! Who sees which queries, and how they are found.

use serde_json::{Value, json};

use super::{QUERIES, connect, controller, id, operator, patch, post, save, show};
use crate::server::Server;

async fn names(server: &Server, token: &str, query: &str) -> Vec<String> {
    let page = server.get(&format!("{QUERIES}?{query}")).token(token).send().await;
    assert_eq!(page.status, 200, "{}", page.text);
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    page.body["results"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn queries_are_seen_by_whom_they_are_for_and_changed_by_their_owners() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let (_, owner) = operator(&server, &root, "owner").await;
    let (friend_id, friend) = operator(&server, &root, "friend").await;
    let (_, other) = operator(&server, &root, "other").await;
    let body = |name: &str| json!({ "name": name, "class_name": "fvTenant", "apic_connection": connection });
    let private = id(&save(&server, &owner, &body("private")).await);
    let shared = id(&save(&server, &owner, &body("shared")).await);
    let public = id(&save(&server, &owner, &body("public")).await);
    assert_eq!(patch(&server, &owner, shared, &json!({ "shared_with": [friend_id] })).await.status, 200);
    assert_eq!(patch(&server, &owner, public, &json!({ "is_public": true })).await.status, 200);

    let roles = [
        ("owner", &owner, [true, true, true], true),
        ("friend", &friend, [false, true, true], false),
        ("other", &other, [false, false, true], false),
        ("root", &root, [true, true, true], true),
    ];
    for (name, token, seen, may_edit) in roles {
        for (query, is_seen) in [private, shared, public].into_iter().zip(seen) {
            let shown = show(&server, token, query).await;
            assert_eq!(shown.status, if is_seen { 200 } else { 404 }, "{name} {query}");
            let run = post(&server, token, &format!("{query}/execute/"), &json!({})).await;
            assert_eq!(run.status, if is_seen { 200 } else { 404 }, "{name} {query} {}", run.text);
            let changed = patch(&server, token, query, &json!({ "description": name })).await;
            let expected = if !is_seen {
                404
            } else if may_edit {
                200
            } else {
                403
            };
            assert_eq!(changed.status, expected, "{name} {query}");
            if is_seen {
                assert_eq!((&shown.body["can_edit"], &shown.body["can_delete"]), (&json!(may_edit), &json!(may_edit)));
            }
            if !may_edit {
                let gone = server.call("DELETE", &format!("{QUERIES}{query}/")).token(token).send().await;
                assert_eq!(gone.status, expected, "{name} {query}");
            }
        }
        let expected = seen.into_iter().filter(|is_seen| *is_seen).count();
        assert_eq!(names(&server, token, "").await.len(), expected, "{name}");
    }
    assert_eq!(server.get(&format!("{QUERIES}{public}/")).send().await.status, 401);
}

#[tokio::test]
async fn lists_are_searched_filtered_and_ordered() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, mara) = operator(&server, &root, "mara").await;
    let category = json!({ "name": "Network" });
    let category = server.post("/api/queries/categories/").token(&root).json(&category).send().await.body;
    let mut made = Vec::new();
    for (name, extra) in [
        ("Alpha", json!({ "description": "first of all", "is_public": true, "category": category["id"] })),
        ("Beta", json!({ "tags": "spine, leaf", "is_public": true, "is_template": true })),
        ("Gamma", json!({ "is_validation_query": true })),
    ] {
        let mut body = json!({ "name": name, "class_name": "fvBD" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        server.clock.advance(std::time::Duration::from_secs(60));
        made.push(id(&save(&server, &root, &body).await));
    }
    let liked = post(&server, &mara, &format!("{}/favorite/", made[1]), &json!({})).await;
    assert_eq!(liked.body, json!({ "is_favorite": true }));
    save(&server, &mara, &json!({ "name": "Delta", "class_name": "fvBD" })).await;

    for (query, expected) in [
        ("", vec!["Delta", "Beta", "Alpha"]),
        ("ordering=name", vec!["Alpha", "Beta", "Delta"]),
        ("ordering=-name", vec!["Delta", "Beta", "Alpha"]),
        ("ordering=created_at", vec!["Alpha", "Beta", "Delta"]),
        ("search=FIRST", vec!["Alpha"]),
        ("search=leaf", vec!["Beta"]),
        ("is_favorite=true", vec!["Beta"]),
        ("favorites=true", vec!["Beta"]),
        ("is_favorite=false&ordering=name", vec!["Alpha", "Delta"]),
        ("my_queries=true", vec!["Delta"]),
        ("is_owner=true", vec!["Delta"]),
        ("is_owner=false&ordering=name", vec!["Alpha", "Beta"]),
        ("is_template=true", vec!["Beta"]),
        ("is_validation_query=true", vec![]),
        ("ordering=name&page_size=1&page=2", vec!["Beta"]),
        ("ordering=-execution_count,name", vec!["Alpha", "Beta", "Delta"]),
    ] {
        assert_eq!(names(&server, &mara, query).await, expected, "{query}");
    }
    let of_category = names(&server, &mara, &format!("category={}", category["id"])).await;
    assert_eq!(of_category, ["Alpha"]);
    let item = server.get(&format!("{QUERIES}?search=beta")).token(&mara).send().await.body["results"][0].clone();
    assert_eq!((&item["is_favorite"], item.get("flow_data")), (&json!(true), None));
    let stats = server.get(&format!("{QUERIES}stats/")).token(&mara).send().await.body;
    let expected = json!({
        "total_queries": 3, "my_queries": 1, "shared_queries": 0, "public_queries": 2, "favorite_queries": 1,
    });
    assert_eq!(stats, expected);
    let again = post(&server, &mara, &format!("{}/favorite/", made[1]), &json!({})).await;
    assert_eq!(again.body, json!({ "is_favorite": false }));
}

#[tokio::test]
async fn categories_count_their_queries_and_leave_them() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let path = "/api/queries/categories/";
    let make = |name: &'static str| server.post(path).token(&root).json(&json!({ "name": name })).send();
    let (one, two) = (make("One").await.body, make("Two").await.body);
    assert_eq!((&one["color"], &one["query_count"]), (&json!("#3b82f6"), &json!(0)));
    assert_eq!(make("ONE").await.status, 400);
    let body = json!({ "name": "Mine", "class_name": "fvBD", "category": one["id"] });
    let query = id(&save(&server, &root, &body).await);
    let counts = async || {
        let page = server.get(&format!("{path}?ordering=-query_count")).token(&root).send().await.body;
        let items = page["results"].as_array().unwrap().clone();
        items.into_iter().map(|item| (item["name"].clone(), item["query_count"].clone())).collect::<Vec<_>>()
    };

    assert_eq!(counts().await, [(json!("One"), json!(1)), (json!("Two"), json!(0))]);
    let moved = patch(&server, &root, query, &json!({ "category": two["id"] })).await;
    assert_eq!(moved.body["category_name"], "Two");
    assert_eq!(counts().await, [(json!("Two"), json!(1)), (json!("One"), json!(0))]);
    let gone = server.call("DELETE", &format!("{path}{}/", two["id"])).token(&root).send().await;
    assert_eq!(gone.status, 204);
    assert_eq!(show(&server, &root, query).await.body["category"], Value::Null);
}

#[tokio::test]
async fn copies_are_private_and_belong_to_who_copies() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, mara) = operator(&server, &root, "mara").await;
    let body =
        json!({ "name": "Original", "class_name": "fvBD", "is_public": true, "tags": "a", "key_fields": ["name"] });
    let original = id(&save(&server, &root, &body).await);

    for expected in ["Original (Copy)", "Original (Copy 2)"] {
        let copy = post(&server, &mara, &format!("{original}/duplicate/"), &json!({})).await;
        assert_eq!(copy.status, 201, "{}", copy.text);
        assert_eq!(copy.body["name"], expected);
        assert_eq!((&copy.body["is_public"], &copy.body["created_by"]["username"]), (&json!(false), &json!("mara")));
        assert_eq!((&copy.body["class_name"], &copy.body["key_fields"]), (&json!("fvBD"), &json!(["name"])));
        assert_ne!(copy.body["series"], original.to_string());
    }
    let marked =
        post(&server, &mara, &format!("{original}/mark-as-validation/"), &json!({ "is_validation_query": true })).await;
    assert_eq!(marked.status, 403);
    let marked =
        post(&server, &root, &format!("{original}/mark-as-validation/"), &json!({ "is_validation_query": true })).await;
    assert_eq!((marked.status, &marked.body["is_validation_query"]), (200, &json!(true)));
}

#[tokio::test]
async fn names_are_data_wherever_they_are_shown() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let evil = "<script>alert('x')</script> '; DROP TABLE saved_query; -- ${x} {{7*7}}";
    let made = save(&server, &root, &json!({ "name": evil, "description": evil, "class_name": "fvBD" })).await;

    let shown = show(&server, &root, id(&made)).await;
    assert_eq!((&shown.body["name"], &shown.body["description"]), (&json!(evil), &json!(evil)));
    assert!(shown.header("content-type").starts_with("application/json"));
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert_eq!(names(&server, &root, "search=drop%20table").await, [evil]);
    assert_eq!(names(&server, &root, "search=%25_%25").await, Vec::<String>::new());
}

#[tokio::test]
async fn categories_are_a_tree_without_circles() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let path = "/api/queries/categories/";
    let make = async |name: &str, parent: &Value| {
        server.post(path).token(&root).json(&json!({ "name": name, "parent": parent })).send().await
    };
    let one = async |id: &Value| server.get(&format!("{path}{id}/")).token(&root).send().await.body;
    let place = async |id: &Value, parent: &Value| {
        let change = json!({ "parent": parent });
        server.call("PATCH", &format!("{path}{id}/")).token(&root).json(&change).send().await
    };
    let mut chain = vec![make("Level 1", &Value::Null).await.body["id"].clone()];
    for level in 2..=10 {
        let made = make(&format!("Level {level}"), chain.last().unwrap()).await;
        assert_eq!((made.status, &made.body["parent"]), (201, chain.last().unwrap()), "{}", made.text);
        chain.push(made.body["id"].clone());
    }

    assert_eq!(one(&chain[0]).await["children"], json!([chain[1]]));
    let listed = server.get(&format!("{path}?parent={}", chain[0])).token(&root).send().await.body;
    assert_eq!((&listed["count"], &listed["results"][0]["id"]), (&json!(1), &chain[1]));
    let other = make("Other", &Value::Null).await.body["id"].clone();
    for (id, parent) in [
        (&chain[0], &chain[0]),
        (&chain[0], &chain[9]),
        (&chain[3], &chain[5]),
        (&other, &chain[9]),
        (&chain[0], &other),
        (&other, &json!(4711)),
    ] {
        let refused = place(id, parent).await;
        assert_eq!(refused.status, 400, "{id} {parent}: {}", refused.text);
        assert!(refused.body["parent"].is_array(), "{id} {parent}: {}", refused.text);
    }
    assert_eq!(place(&chain[5], &other).await.status, 200);
    assert_eq!(place(&chain[5], &Value::Null).await.body["parent"], Value::Null);
    let delete =
        async |id: &Value, how: &str| server.call("DELETE", &format!("{path}{id}/{how}")).token(&root).send().await;
    let refused = delete(&chain[1], "").await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(delete(&chain[1], "?force=true").await.status, 204);
    assert_eq!(one(&chain[2]).await["parent"], chain[0]);
    assert_eq!(delete(&chain[9], "").await.status, 204);
    assert_eq!(delete(&chain[9], "").await.status, 404);
    let log = server.get("/api/audit/logs/?action=category_deleted").token(&root).send().await.body;
    assert_eq!(log["count"], 2);
}
