//! Queries that are carried from one server to another.

use serde_json::{Value, json};

use super::{graph, id, operator, post, save, show};
use crate::server::Server;

/// What must be the same on the other side.
const SAME: [&str; 12] = [
    "name",
    "description",
    "tags",
    "flow_data",
    "post_processors",
    "class_name",
    "filter",
    "options",
    "path",
    "key_fields",
    "page_size",
    "current_version_hash",
];

#[tokio::test]
async fn what_is_exported_is_imported_as_it_was() {
    let (here, there) = (Server::start().await, Server::start().await);
    let (root, other) = (here.token("root", true).await, there.token("root", true).await);
    let steps = json!([{ "processorType": "limit", "config": { "count": 3 } }]);
    let mut ids = Vec::new();
    for body in [
        json!({ "name": "Drawn", "flow_data": graph("name", "a\"b"), "post_processors": steps, "tags": "x,y" }),
        json!({ "name": "Plain", "class_name": "fvBD", "filter": "eq(fvBD.name,\"a\")", "options": { "rsp-subtree": "full" } }),
        json!({ "name": "Path", "path": "/api/mo/uni.json?query-target=subtree", "key_fields": ["dn"], "page_size": 7 }),
    ] {
        ids.push(id(&save(&here, &root, &body).await));
    }

    let file = post(&here, &root, "export/", &json!({ "query_ids": ids })).await;

    assert_eq!(file.status, 200, "{}", file.text);
    assert!(file.header("content-disposition").starts_with("attachment; filename=\"fabrik-queries-"));
    assert_eq!(
        (&file.body["version"], &file.body["exported_by"], &file.body["query_count"]),
        (&json!("1.0"), &json!("root"), &json!(3))
    );
    let imported = post(&there, &other, "import_queries/", &file.body).await;
    assert_eq!(imported.status, 201, "{}", imported.text);
    assert_eq!((&imported.body["success_count"], &imported.body["error_count"]), (&json!(3), &json!(0)));
    for (old, new) in ids.iter().zip(imported.body["created_queries"].as_array().unwrap()) {
        let (old, new) = (show(&here, &root, *old).await.body, show(&there, &other, id(new)).await.body);
        for field in SAME {
            assert_eq!(old[field], new[field], "{field}");
        }
    }
    let drawn = id(&imported.body["created_queries"][0]);
    assert_eq!(show(&there, &other, drawn).await.body["post_processors"], steps);
    let again = post(&there, &other, "import_queries/", &file.body).await;
    assert_eq!((again.status, &again.body["error_count"]), (400, &json!(3)));
    assert_eq!((&again.body["errors"][1]["index"], &again.body["errors"][1]["name"]), (&json!(1), &json!("Plain")));
}

#[tokio::test]
async fn files_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, mara) = operator(&server, &root, "mara").await;
    let query = id(&save(&server, &root, &json!({ "name": "Hidden", "class_name": "fvBD" })).await);
    for ids in [json!([]), json!([query, query]), json!([4711])] {
        let reply = post(&server, &root, "export/", &json!({ "query_ids": ids })).await;
        assert_eq!((reply.status, reply.body["query_ids"].is_array()), (400, true), "{}", reply.text);
    }
    assert_eq!(post(&server, &mara, "export/", &json!({ "query_ids": [query] })).await.status, 400);
    let item = |name: &str, path: &str| json!({ "name": name, "generated_query": path });
    let many: Vec<_> = (0..101).map(|n| item(&format!("Query {n}"), "/api/class/fvBD.json")).collect();
    for (body, field) in [
        (json!({ "version": "2.0", "queries": [] }), "version"),
        (json!({ "version": "1.0", "queries": many }), "queries"),
        (
            json!({ "version": "1.0", "queries": [item("Same", "/api/class/fvBD.json"), item("SAME", "/api/class/fvBD.json")] }),
            "queries",
        ),
    ] {
        let reply = post(&server, &root, "import_queries/", &body).await;
        assert_eq!((reply.status, reply.body[field].is_array()), (400, true), "{}", reply.text);
    }
    let mixed = json!({ "version": "1.0", "queries": [item("Good", "/api/class/fvBD.json"), item("Evil", "http://evil/api/")] });
    let mixed = post(&server, &root, "import_queries/", &mixed).await;
    assert_eq!((mixed.status, &mixed.body["success_count"], &mixed.body["error_count"]), (201, &json!(1), &json!(1)));
    assert_eq!(mixed.body["errors"][0]["error"], "generated_query: It must begin with /api/.");
    let good = show(&server, &root, id(&mixed.body["created_queries"][0])).await.body;
    assert_eq!(good["path"], "/api/class/fvBD.json");
}

#[tokio::test]
async fn names_that_are_taken_are_skipped_overwritten_or_changed() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let body = json!({ "name": "Check", "class_name": "fvBD", "is_validation_query": true });
    let query = id(&save(&server, &root, &body).await);
    save(&server, &root, &json!({ "name": "Other", "class_name": "fvBD" })).await;
    let mut file = post(&server, &root, "export-validation/", &json!({})).await.body;
    assert_eq!((&file["query_count"], &file["queries"][0]["name"]), (&json!(1), &json!("Check")));
    file["queries"][0]["class_name"] = json!("fvCtx");
    let class = async |id: i64| show(&server, &root, id).await.body["class_name"].clone();

    for (on_duplicate, counts, expected) in
        [("skip", [0, 1, 0], "fvBD"), ("rename", [1, 0, 0], "fvBD"), ("overwrite", [0, 0, 1], "fvCtx")]
    {
        let body = json!({ "queries": file["queries"], "on_duplicate": on_duplicate });
        let reply = post(&server, &root, "import-validation/", &body).await;
        let found = ["imported", "skipped", "overwritten"].map(|name| reply.body[name].as_i64().unwrap());
        assert_eq!(found, counts, "{}", reply.text);
        assert_eq!(reply.body["errors"], json!([]));
        assert_eq!(class(query).await, expected);
    }
    let names: Vec<Value> = post(&server, &root, "export-validation/", &json!({})).await.body["queries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|query| query["name"].clone())
        .collect();
    assert_eq!(names, [json!("Check"), json!("Check (Copy)")]);
}
