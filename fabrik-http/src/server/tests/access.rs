//! Who may do what with records, and what happens when a handler breaks.

use super::*;

const NOTES: &str = "/api/test/notes/";

fn note() -> Value {
    json!({ "title": "t", "rank": "3" })
}

#[tokio::test]
async fn callers_need_the_permission_of_each_verb() {
    let server = Server::start().await;
    let all = Verb::ALL.map(|verb| NOTE.codename(verb));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let owner = server.user("owner", &all, false).await;
    let id = server.call(Method::POST, NOTES, Some(&owner), note()).await.body["id"].as_str().unwrap().to_owned();
    let one = format!("{NOTES}{id}/");
    let verbs = [
        (Method::GET, NOTES, "test.view_note", 200),
        (Method::POST, NOTES, "test.add_note", 201),
        (Method::GET, &one, "test.view_note", 404),
        (Method::PUT, &one, "test.change_note", 404),
        (Method::PATCH, &one, "test.change_note", 404),
        (Method::DELETE, &one, "test.delete_note", 404),
    ];

    for codename in &all {
        let token = server.user(&codename.replace('.', "_"), &[codename], false).await;
        for (method, path, needed, status) in &verbs {
            let reply = server.call(method.clone(), path, Some(&token), note()).await;
            if needed == codename {
                assert_eq!(reply.status, *status, "{method} {path} with {codename}: {}", reply.body);
            } else {
                let detail = "You do not have permission to perform this action.";
                assert_eq!(reply.status, 403, "{method} {path} with {codename}");
                assert_eq!(reply.body, json!({ "detail": detail, "required_permission": needed }));
            }
        }
    }
    for (method, path, _, _) in &verbs {
        assert_eq!(server.call(method.clone(), path, None, note()).await.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn records_of_others_are_not_found_and_administrators_see_all() {
    let server = Server::start().await;
    let all = Verb::ALL.map(|verb| NOTE.codename(verb));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let (mara, ben) = (server.user("mara", &all, false).await, server.user("ben", &all, false).await);
    let admin = server.user("admin", &[], true).await;
    let made = server.call(Method::POST, NOTES, Some(&mara), note()).await;
    assert_eq!((made.status, made.body["rank"].clone()), (201, json!(3)));
    let one = format!("{NOTES}{}/", made.body["id"].as_str().unwrap());

    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let reply = server.call(method.clone(), &one, Some(&ben), note()).await;
        assert_eq!((reply.status, reply.body), (404, json!({ "detail": "Not found." })), "{method}");
    }
    assert_eq!(server.get(NOTES, &ben).await.body["count"], 0);
    assert_eq!(server.get(NOTES, &admin).await.body["count"], 1);
    assert_eq!(server.get(&one, &mara).await.body, made.body);
    let changed = server.call(Method::PATCH, &one, Some(&mara), json!({ "is_open": false, "extra": {"a": 1} })).await;
    assert_eq!((&changed.body["is_open"], &changed.body["extra"]), (&json!(false), &json!({"a": 1})));
    assert_eq!(changed.body["title"], "t");
    assert_eq!(server.call(Method::DELETE, &one, Some(&mara), Value::Null).await.status, 204);
    assert_eq!(server.get(&one, &mara).await.status, 404);
}

#[tokio::test]
async fn put_needs_all_required_fields_and_patch_none() {
    let server = Server::start().await;
    let admin = server.user("admin", &[], true).await;
    let id = server.call(Method::POST, NOTES, Some(&admin), note()).await.body["id"].as_str().unwrap().to_owned();
    let one = format!("{NOTES}{id}");

    let put = server.call(Method::PUT, &one, Some(&admin), json!({})).await;
    let required = json!(["This field is required."]);
    assert_eq!((put.status, put.body), (400, json!({ "title": required, "rank": required })));
    assert_eq!(server.call(Method::PATCH, &one, Some(&admin), json!({})).await.status, 200);
    // What may not be written is passed over.
    let sneaky = server.call(Method::PATCH, &one, Some(&admin), json!({ "owner_id": 99, "id": "x" })).await;
    assert_eq!((sneaky.status, &sneaky.body["id"]), (200, &json!(id)));
    assert_ne!(sneaky.body["owner_id"], 99);
}

#[tokio::test]
async fn panics_answer_500_with_the_id_of_the_request_and_nothing_else() {
    let server = Server::start().await;

    let reply = server.call(Method::GET, "/api/test/panic/", None, Value::Null).await;

    let id = reply.headers["x-request-id"].to_str().unwrap();
    assert_eq!(reply.status, 500);
    assert_eq!(reply.body, json!({ "detail": "Internal server error.", "request_id": id }));
}

#[tokio::test]
async fn queries_are_checked_like_bodies() {
    let server = Server::start().await;
    let get = async |query: &str| {
        let reply = server.call(Method::GET, &format!("/api/test/greet/?{query}"), None, Value::Null).await;
        (reply.status, reply.body)
    };

    assert_eq!(get("times=2&name=mara").await, (200, json!({ "text": "hi hi mara", "known": false })));
    assert_eq!(get("").await, (400, json!({ "times": ["This field is required."] })));
    assert_eq!(get("times=x").await, (400, json!({ "times": ["A valid integer is required."] })));
    assert_eq!(get("times=4").await, (400, json!({ "times": ["Ensure this value is less than or equal to 3."] })));
    assert_eq!(get("times=1&name=%00").await, (400, json!({ "name": ["Null characters are not allowed."] })));
}
