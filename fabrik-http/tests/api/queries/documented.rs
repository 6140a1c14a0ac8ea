//! What is documented of saved queries, their categories and their runs, down to the fields.

use serde_json::{Value, json};

use super::{QUERIES, connect, controller, graph, id, operator, patch, post, save, show};
use crate::server::Server;

const CATEGORIES: &str = "/api/queries/categories/";
const LOGS: &str = "/api/queries/execution-logs/";

const IN_LISTS: [&str; 22] = [
    "id",
    "name",
    "description",
    "category",
    "category_name",
    "tags_list",
    "created_by",
    "is_public",
    "is_template",
    "is_favorite",
    "execution_count",
    "last_executed_at",
    "created_at",
    "updated_at",
    "enable_time_machine",
    "major_version",
    "minor_version",
    "version_string",
    "is_validation_query",
    "validation_description",
    "validation_usage_count",
    "last_validated_at",
];
const IN_DETAIL: [&str; 16] = [
    "flow_data",
    "generated_query",
    "tags",
    "shared_with",
    "variables",
    "can_edit",
    "can_delete",
    "enable_pagination",
    "page_size",
    "current_version_hash",
    "version_history",
    "nodes",
    "edges",
    "post_processors",
    "apic_connection",
    "current_version",
];

/// Fails where an object lacks one of these members.
#[track_caller]
fn assert_has(object: &Value, names: &[&str]) {
    for name in names {
        assert!(object.get(name).is_some(), "{name} is in {object}");
    }
}

async fn results(server: &Server, token: &str, path: &str) -> Vec<Value> {
    let reply = server.get(path).token(token).send().await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.body["results"].as_array().unwrap().clone()
}

async fn names(server: &Server, token: &str, path: &str) -> Vec<String> {
    results(server, token, path).await.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_and_details_have_every_documented_field() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let made = save(&server, &root, &json!({ "name": "Drawn", "flow_data": graph("arpFlood", "yes") })).await;

    let listed = results(&server, &root, QUERIES).await.remove(0);
    let shown = show(&server, &root, id(&made)).await.body;

    assert_has(&listed, &IN_LISTS);
    assert!(listed.get("flow_data").is_none(), "graphs are not in lists: {listed}");
    assert_has(&shown, &[&IN_LISTS[..], &IN_DETAIL].concat());
    assert_eq!(shown["created_by"], json!({ "id": shown["created_by"]["id"], "username": "root" }));
    assert_eq!((&shown["version_string"], &shown["major_version"]), (&json!("1.0"), &json!(1)));
    let hash = shown["current_version_hash"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let entry = &shown["version_history"][0];
    assert_has(entry, &["version", "hash", "changes", "created_at", "created_by_id", "created_by_username"]);
    assert_eq!(shown["created_at"], "2026-03-02T12:00:00+00:00");
}

#[tokio::test]
async fn lists_are_ordered_by_change_and_run_and_short_lists_end_at_their_limit() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let mut made = Vec::new();
    for name in ["First", "Second"] {
        let body = json!({ "name": name, "class_name": "fvTenant", "apic_connection": connection });
        made.push(id(&save(&server, &root, &body).await));
        server.clock.advance(std::time::Duration::from_secs(1));
    }
    for query in [made[1], made[0], made[0]] {
        let run = post(&server, &root, &format!("{query}/execute/"), &json!({})).await;
        assert_eq!(run.status, 200, "{}", run.text);
        server.clock.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(patch(&server, &root, made[1], &json!({ "description": "changed" })).await.status, 200);

    for (ordering, expected) in [
        ("updated_at", ["First", "Second"]),
        ("-updated_at", ["Second", "First"]),
        ("last_executed_at", ["Second", "First"]),
        ("-execution_count", ["First", "Second"]),
        ("-created_at", ["Second", "First"]),
        ("nothing", ["Second", "First"]),
    ] {
        let path = format!("{QUERIES}?ordering={ordering}&unknown=x");
        assert_eq!(names(&server, &root, &path).await, expected, "{ordering}");
    }
    for list in ["recent", "popular"] {
        let get = async |limit: &str| server.get(&format!("{QUERIES}{list}/{limit}")).token(&root).send().await;
        let whole = get("").await.body;
        let listed: Vec<_> = whole.as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(listed, ["First", "Second"], "{list}");
        assert_has(&whole[0], &IN_LISTS);
        assert_eq!(get("?limit=1").await.body.as_array().unwrap().len(), 1, "{list}");
        assert_eq!(get("?limit=9999").await.body, whole, "{list}: more than 200 are 200");
        assert_eq!((get("?limit=0").await.status, get("?limit=x").await.status), (400, 400), "{list}");
    }
}

#[tokio::test]
async fn pages_of_more_than_two_hundred_have_two_hundred() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    for number in 0..3 {
        for batch in 0..2 {
            let queries: Vec<_> = (0..40)
                .map(|n| json!({ "name": format!("Query {number} {batch} {n}"), "generated_query": "/api/class/fvBD.json" }))
                .collect();
            let body = json!({ "version": "1.0", "queries": queries });
            assert_eq!(post(&server, &root, "import_queries/", &body).await.status, 201);
        }
    }

    let page = server.get(&format!("{QUERIES}?page_size=5000")).token(&root).send().await.body;
    assert_eq!((page["results"].as_array().unwrap().len(), &page["count"]), (200, &json!(240)));
    assert!(
        page["next"].as_str().unwrap().starts_with("http://fab.lab/api/queries/saved-queries/?"),
        "{}",
        page["next"]
    );
    assert_eq!((&page["previous"], names(&server, &root, QUERIES).await.len()), (&Value::Null, 50));
    for page in ["page=3&page_size=200", "page=0", "page=x"] {
        let reply = server.get(&format!("{QUERIES}?{page}")).token(&root).send().await;
        assert_eq!((reply.status, &reply.body), (404, &json!({ "detail": "Invalid page." })), "{page}");
    }
}

#[tokio::test]
async fn likes_copies_and_exports_are_audited() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let query = id(&save(&server, &root, &json!({ "name": "Original", "class_name": "fvBD" })).await);
    for action in ["favorite", "duplicate"] {
        assert!(post(&server, &root, &format!("{query}/{action}/"), &json!({})).await.status < 300, "{action}");
    }
    let file = post(&server, &root, "export/", &json!({ "query_ids": [query] })).await.body;
    assert_has(&file, &["version", "exported_at", "exported_by", "query_count", "queries"]);

    for action in ["query_created", "query_favorited", "query_duplicated", "queries_exported"] {
        let log = server.get(&format!("/api/audit/logs/?action={action}")).token(&root).send().await.body;
        assert!(log["count"].as_u64().unwrap() > 0, "{action}");
    }
}

#[tokio::test]
async fn categories_have_their_fields_are_found_and_audited() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let mara = server.token("mara", false).await;
    let body = json!({ "name": "Network", "description": "Fabric and spines", "icon": "globe" });
    let made = server.post(CATEGORIES).token(&root).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let fields = ["id", "name", "description", "color", "icon", "query_count", "created_at", "updated_at"];
    assert_has(&made.body, &fields);
    assert_eq!((&made.body["color"], &made.body["icon"]), (&json!("#3b82f6"), &json!("globe")));
    server.clock.advance(std::time::Duration::from_secs(1));
    server.post(CATEGORIES).token(&root).json(&json!({ "name": "Audit", "color": "#000000" })).send().await;

    for (query, expected) in [
        ("search=SPINES", vec!["Network"]),
        ("search=audit", vec!["Audit"]),
        ("search=nothing", vec![]),
        ("ordering=name", vec!["Audit", "Network"]),
        ("ordering=created_at", vec!["Network", "Audit"]),
        ("ordering=-query_count,name", vec!["Audit", "Network"]),
    ] {
        assert_eq!(names(&server, &root, &format!("{CATEGORIES}?{query}")).await, expected, "{query}");
    }
    let path = format!("{CATEGORIES}{}/", made.body["id"]);
    let send =
        async |verb: &str, token: &str, body: Value| server.call(verb, &path).token(token).json(&body).send().await;
    for (verb, body) in [("PUT", body.clone()), ("PATCH", json!({ "icon": "x" })), ("DELETE", json!({}))] {
        assert_eq!(send(verb, &mara, body).await.status, 403, "{verb}");
    }
    let replaced = send("PUT", &root, json!({ "name": "Networks" })).await;
    assert_eq!((replaced.status, &replaced.body["name"]), (200, &json!("Networks")), "{}", replaced.text);
    assert_eq!(send("PATCH", &root, json!({ "color": "#123456" })).await.body["color"], "#123456");
    for (body, field) in [
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "Audit" }), "name"),
        (json!({ "name": "" }), "name"),
    ] {
        let refused = send("PATCH", &root, body).await;
        assert!(refused.status == 400 && refused.body[field].is_array(), "{}", refused.text);
    }
    assert_eq!(send("DELETE", &root, json!({})).await.status, 204);
    let log = server.get("/api/audit/logs/?category=category_management&ordering=sequence").token(&root).send().await;
    let actions: Vec<_> = log.body["results"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    for action in ["category_created", "category_updated", "category_deleted"] {
        assert!(actions.contains(&json!(action)), "{actions:?}");
    }
}

#[tokio::test]
async fn runs_are_listed_with_every_documented_field_and_cannot_be_changed() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    for (name, class) in [("Good", "fvTenant"), ("Bad", "fvNothing")] {
        let body = json!({ "name": name, "class_name": class, "apic_connection": connection });
        let query = id(&save(&server, &root, &body).await);
        post(&server, &root, &format!("{query}/execute/"), &json!({})).await;
        server.clock.advance(std::time::Duration::from_secs(1));
    }

    let listed = async |query: &str| -> Vec<Value> {
        let runs = results(&server, &root, &format!("{LOGS}?{query}")).await;
        runs.iter().map(|run| run["query_name"].clone()).collect()
    };
    let run = results(&server, &root, LOGS).await.remove(0);
    let fields = [
        "id",
        "query",
        "query_name",
        "executed_by",
        "executed_at",
        "execution_time_ms",
        "result_count",
        "success",
        "error_message",
    ];
    assert_has(&run, &fields);
    assert_eq!((&run["query_name"], &run["success"], &run["result_count"]), (&json!("Bad"), &json!(false), &json!(0)));
    for (query, expected) in [
        ("", ["Bad", "Good"]),
        ("ordering=executed_at", ["Good", "Bad"]),
        ("ordering=result_count", ["Bad", "Good"]),
        ("ordering=-result_count", ["Good", "Bad"]),
        ("ordering=query_name", ["Bad", "Good"]),
    ] {
        assert_eq!(listed(query).await, expected, "{query}");
    }
    assert_eq!(listed("success=true").await, ["Good"]);
    let path = format!("{LOGS}{}/", run["id"].as_str().unwrap());
    assert_eq!(server.get(&path).token(&root).send().await.body, run);
    for verb in ["PUT", "PATCH", "DELETE"] {
        assert_eq!(server.call(verb, &path).token(&root).json(&json!({})).send().await.status, 405, "{verb}");
    }
    assert_eq!(server.post(LOGS).token(&root).json(&json!({})).send().await.status, 405);
}

#[tokio::test]
async fn rows_of_runs_previews_and_captures_went_through_the_steps() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let kept = "uni/tn-common";
    let steps = json!([
        { "processorType": "filter_rows", "config": { "condition": format!("item.dn == '{kept}'") } },
        { "processorType": "map-transform", "config": { "expression": "item.nothing" }, "isPaused": true },
        { "processorType": "field-extract", "config": { "fields": ["attributes.name"] } },
    ]);
    let expected = json!([{ "name": "common" }]);
    let body = json!({
        "name": "Steps", "class_name": "fvTenant", "apic_connection": connection, "post_processors": steps,
        "key_fields": ["name"],
    });
    let query = id(&save(&server, &root, &body).await);

    let run = post(&server, &root, &format!("{query}/execute/"), &json!({})).await;
    assert_eq!((run.status, &run.body["rows"]), (200, &expected), "{}", run.text);
    let captured =
        server.post("/api/time-machine/capture/").token(&root).json(&json!({ "saved_query": query })).send().await;
    assert_eq!((captured.status, &captured.body["row_count"]), (201, &json!(1)), "{}", captured.text);
    let path = format!("/api/time-machine/snapshots/{}/", captured.body["id"].as_str().unwrap());
    assert_eq!(server.get(&path).token(&root).send().await.body["rows"], expected);

    // The steps of a graph run from top to bottom, wherever they are in the list.
    let mut drawn = graph("name", "x");
    let node = |id: &str, y: i64, kind: &str, config: Value| {
        json!({ "id": id, "type": "postProcessorNode", "position": { "x": 0, "y": y },
                "data": { "processorType": kind, "config": config } })
    };
    drawn["nodes"] = json!([
        { "id": "s", "type": "startNode", "data": {} },
        { "id": "t", "type": "classNode", "data": { "className": "fvTenant" } },
        node("p2", 20, "field-extract", json!({ "fields": ["name"] })),
        node("p1", 10, "filter_rows", json!({ "condition": format!("item.dn == '{kept}'") })),
        { "id": "o", "type": "outputNode", "data": {} },
    ]);
    drawn["edges"] = json!([
        { "source": "s", "target": "t" }, { "source": "t", "target": "p2" }, { "source": "p2", "target": "p1" },
        { "source": "p1", "target": "o" },
    ]);
    let preview = post(&server, &root, "preview/", &json!({ "flow_data": drawn, "connection_id": connection })).await;
    assert_eq!((preview.status, &preview.body["results"]), (200, &expected), "{}", preview.text);

    let script = json!([{ "processorType": "javascript", "config": { "code": "return items" } }]);
    let refused =
        post(&server, &root, "", &json!({ "name": "Script", "class_name": "fvBD", "post_processors": script })).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.body["post_processors"][0].as_str().unwrap().contains("javascript"), "{}", refused.text);
}

#[tokio::test]
async fn a_preview_shows_fifty_rows_and_a_plan_says_what_it_costs() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, mara) = operator(&server, &root, "mara").await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let flow = json!({
        "nodes": [{ "id": "c", "type": "classNode", "data": { "className": "fvCEp" } },
                  { "id": "o", "type": "outputNode", "data": {} }],
        "edges": [{ "source": "c", "target": "o" }],
    });

    let preview = post(&server, &mara, "preview/", &json!({ "flow_data": flow, "connection_id": connection })).await;
    assert_has(&preview.body, &["success", "results", "count", "query", "is_preview"]);
    assert_eq!(preview.body["results"].as_array().unwrap().len(), 50, "{}", preview.text);
    let pinned = |name: &str| json!({ "flow_data": graph("name", name) });
    let of = async |body: Value| post(&server, &mara, "generate-query/", &body).await.body;
    let class = of(pinned("a")).await;
    assert_has(&class, &["success", "preview_query", "strategy", "estimated_cost", "suggestions", "metadata"]);
    let mut both = graph("name", "a");
    both["nodes"].as_array_mut().unwrap().push(json!({
        "id": "g", "type": "filterNode",
        "data": { "filterType": "property", "property": "name", "operator": "eq", "value": "common" },
    }));
    both["edges"] = json!([
        { "source": "s", "target": "t" }, { "source": "t", "target": "g" }, { "source": "g", "target": "b" },
        { "source": "b", "target": "f" }, { "source": "f", "target": "o" },
    ]);
    let object = of(json!({ "flow_data": both })).await;
    assert_eq!(
        (&object["strategy"], &object["preview_query"], &object["estimated_cost"]),
        (&json!("mo"), &json!("/api/mo/uni/tn-common/BD-a.json"), &json!("low"))
    );
    for (forced, start) in [("Class", "/api/class/fvBD.json?"), ("NodeClass", "/api/node/class/fvBD.json?")] {
        let plan = of(json!({ "flow_data": both, "force_strategy": forced })).await;
        assert!(plan["preview_query"].as_str().unwrap().starts_with(start), "{plan}");
    }
    for (body, field) in [(json!({}), "flow_data"), (json!({ "flow_data": { "nodes": [] } }), "flow_data")] {
        let refused = post(&server, &mara, "generate-query/", &body).await;
        assert!(refused.status == 400 && refused.body[field].is_array(), "{}", refused.text);
    }
}
