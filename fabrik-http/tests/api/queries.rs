//! Saved queries, against a simulated controller.

mod documented;
mod exchange;
mod kept;
mod listing;
mod running;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const QUERIES: &str = "/api/queries/saved-queries/";
const SECRET: &str = "Marker-81c0-of-a-Controller";

fn controller() -> Simulator {
    let reader = SimulatorUser::new("reader").with_password(SECRET);
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    Simulator::start(options.with_objects(1000)).unwrap()
}

/// Makes a connection and returns its id.
async fn connect(server: &Server, token: &str, simulator: &Simulator) -> i64 {
    let body = json!({
        "name": "Lab fabric", "host": simulator.url(), "username": "reader", "password": SECRET, "is_public": true,
    });
    let made = server.post("/api/apic/connections/").token(token).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

async fn post(server: &Server, token: &str, path: &str, body: &Value) -> Reply {
    server.post(&format!("{QUERIES}{path}")).token(token).json(body).send().await
}

/// Saves a query and returns it.
async fn save(server: &Server, token: &str, body: &Value) -> Value {
    let made = post(server, token, "", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body
}

fn id(query: &Value) -> i64 {
    query["id"].as_i64().unwrap()
}

async fn patch(server: &Server, token: &str, id: i64, change: &Value) -> Reply {
    server.call("PATCH", &format!("{QUERIES}{id}/")).token(token).json(change).send().await
}

async fn show(server: &Server, token: &str, id: i64) -> Reply {
    server.get(&format!("{QUERIES}{id}/")).token(token).send().await
}

/// Adds a user who may do everything with queries, and returns id and token.
async fn operator(server: &Server, root: &str, name: &str) -> (i64, String) {
    let id = server.user(name, false).await;
    let found = server.get("/api/auth/permissions/?page_size=200&search=queries.").token(root).send().await;
    let ids: Vec<_> = found.body["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert!(ids.len() >= 8, "{}", found.text);
    let body = json!({ "permission_ids": ids });
    let changed = server.call("PATCH", &format!("/api/auth/management/{id}/")).token(root).json(&body).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    (id, server.login(name).await.0)
}

/// A graph: tenants, their bridge domains, those whose property is the value.
fn graph(property: &str, value: &str) -> Value {
    json!({
        "nodes": [
            { "id": "s", "type": "startNode", "position": { "x": 0, "y": 0 }, "data": {} },
            { "id": "t", "type": "classNode", "data": { "className": "fvTenant" } },
            { "id": "b", "type": "classNode", "data": { "className": "fvBD" } },
            { "id": "f", "type": "filterNode", "data": {
                "filterType": "property", "property": property, "operator": "eq", "value": value,
            } },
            { "id": "o", "type": "outputNode", "data": {} },
        ],
        "edges": [
            { "id": "1", "source": "s", "target": "t" }, { "id": "2", "source": "t", "target": "b" },
            { "id": "3", "source": "b", "target": "f" }, { "id": "4", "source": "f", "target": "o" },
        ],
    })
}

#[tokio::test]
async fn a_query_is_saved_in_either_form_changed_and_deleted() {
    let server = Server::start().await;
    let root = server.token("root", true).await;

    let plain =
        save(&server, &root, &json!({ "name": "All BDs", "class_name": "fvBD", "tags_list": ["bd", " l2 "] })).await;
    let drawn = save(&server, &root, &json!({ "name": "Drawn", "flow_data": graph("arpFlood", "yes") })).await;
    let parts = graph("arpFlood", "yes");
    let body = json!({ "name": "In parts", "nodes": parts["nodes"], "edges": parts["edges"] });
    let in_parts = save(&server, &root, &body).await;

    assert_eq!(plain["class_name"], "fvBD");
    assert_eq!(plain["tags"], "bd,l2");
    assert_eq!(plain["tags_list"], json!(["bd", "l2"]));
    assert_eq!(plain["series"], plain["id"].to_string());
    assert_eq!((&plain["flow_data"], &plain["nodes"], &plain["problem"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(plain["generated_query"], "/api/class/fvBD.json");
    let defaults = json!({
        "description": "", "category": null, "apic_connection": null, "is_public": false, "is_favorite": false,
        "enable_time_machine": false, "enable_pagination": false, "page_size": 50, "current_version": "1.0",
        "execution_count": 0, "last_executed_at": null, "can_edit": true, "can_delete": true, "key_fields": [],
        "shared_with": [], "is_template": false, "is_validation_query": false,
    });
    for (name, value) in defaults.as_object().unwrap() {
        assert_eq!(&plain[name], value, "{name}");
    }
    assert_eq!(drawn["nodes"], drawn["flow_data"]["nodes"]);
    assert_eq!(drawn["flow_data"]["nodes"][0]["position"], json!({ "x": 0, "y": 0 }));
    assert_eq!(in_parts["current_version_hash"], drawn["current_version_hash"]);
    // What was read can be written back.
    for query in [&plain, &drawn] {
        let back = server.call("PUT", &format!("{QUERIES}{}/", query["id"])).token(&root).json(query).send().await;
        assert_eq!(back.status, 200, "{}", back.text);
        assert_eq!(back.body["flow_data"], query["flow_data"]);
        assert_eq!(back.body["current_version"], "1.0");
    }
    let changed = patch(&server, &root, id(&plain), &json!({ "path": "/api/mo/uni.json" })).await;
    assert_eq!((&changed.body["class_name"], &changed.body["path"]), (&Value::Null, &json!("/api/mo/uni.json")));
    let gone = server.call("DELETE", &format!("{QUERIES}{}/", plain["id"])).token(&root).send().await;
    assert_eq!((gone.status, show(&server, &root, id(&plain)).await.status), (204, 404));
    let log = server.get("/api/audit/logs/?category=query_management&page_size=200").token(&root).send().await.body;
    let actions: Vec<_> =
        log["results"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    for action in ["query_created", "query_updated", "query_deleted"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused_by_field() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let (_, mara) = operator(&server, &root, "mara").await;
    save(&server, &root, &json!({ "name": "Taken", "class_name": "fvBD" })).await;

    let cases = [
        (json!({ "name": "ab", "class_name": "fvBD" }), "name"),
        (json!({ "name": "x".repeat(201), "class_name": "fvBD" }), "name"),
        (json!({ "name": "TAKEN", "class_name": "fvBD" }), "name"),
        (json!({ "name": "No question" }), "flow_data"),
        (json!({ "name": "Half", "flow_data": { "nodes": [] } }), "flow_data"),
        (json!({ "name": "Half", "flow_data": { "nodes": [], "edges": {} } }), "flow_data"),
        (json!({ "name": "Half", "nodes": [] }), "edges"),
        (json!({ "name": "Half", "flow_data": { "nodes": [{ "id": 7 }], "edges": [] } }), "flow_data"),
        (json!({ "name": "Both", "class_name": "fvBD", "flow_data": graph("name", "a") }), "non_field_errors"),
        (json!({ "name": "Class", "class_name": "fv-BD" }), "class_name"),
        (json!({ "name": "Filter", "class_name": "fvBD", "filter": "eq(fvBD.name" }), "filter"),
        (json!({ "name": "Option", "class_name": "fvBD", "options": { "evil": "1" } }), "options"),
        (json!({ "name": "Path", "path": "/api/aaaLogin.json" }), "path"),
        (json!({ "name": "Path", "path": "/api/mo/uni/../aaaLogout.json" }), "path"),
        (
            json!({ "name": "Step", "class_name": "fvBD", "post_processors": [{ "processorType": "nonsense" }] }),
            "post_processors",
        ),
        (json!({ "name": "Pages", "class_name": "fvBD", "page_size": 0 }), "page_size"),
        (json!({ "name": "Pages", "class_name": "fvBD", "page_size": 1001 }), "page_size"),
        (
            json!({ "name": "Excluded", "class_name": "fvBD", "enable_time_machine": true, "enable_pagination": true }),
            "enable_pagination",
        ),
        (json!({ "name": "Category", "class_name": "fvBD", "category": 4711 }), "category"),
        (json!({ "name": "Connection", "class_name": "fvBD", "apic_connection": 4711 }), "apic_connection"),
        (json!({ "name": "Shared", "class_name": "fvBD", "shared_with": [4711] }), "shared_with"),
        (json!({ "name": "Keys", "class_name": "fvBD", "key_fields": ["a", "a"] }), "key_fields"),
        (json!({ "name": "Number", "class_name": "fvBD", "series": "12" }), "series"),
    ];
    for (body, field) in cases {
        let reply = post(&server, &root, "", &body).await;
        assert_eq!((reply.status, reply.body[field].is_array()), (400, true), "{body}: {}", reply.text);
    }
    let adopted = json!({ "name": "Adopted", "class_name": "fvBD", "series": "bd-health" });
    assert_eq!(
        post(&server, &mara, "", &adopted).await.body["series"],
        json!(["Only administrators adopt a history."])
    );
    assert_eq!(save(&server, &root, &adopted).await["series"], "bd-health");
    // Names are unique for each owner.
    let own = save(&server, &mara, &json!({ "name": "Taken", "class_name": "fvBD" })).await;
    assert_eq!(own["created_by"]["username"], "mara");
    // One that is there is checked with what it has.
    let paged =
        save(&server, &root, &json!({ "name": "Paged", "class_name": "fvBD", "enable_pagination": true })).await;
    let reply = patch(&server, &root, id(&paged), &json!({ "enable_time_machine": true })).await;
    assert_eq!((reply.status, reply.body["enable_pagination"].is_array()), (400, true));
}

#[tokio::test]
async fn versions_rise_with_what_is_asked_and_with_nothing_else() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let made = save(&server, &root, &json!({ "name": "Versions", "flow_data": graph("arpFlood", "yes") })).await;
    let id = id(&made);
    let mut moved = graph("arpFlood", "yes");
    moved["nodes"][1]["position"] = json!({ "x": 99, "y": 1 });
    let mut wider = graph("arpFlood", "no");
    wider["nodes"][2]["data"]["scope"] = json!("children");
    let changes = [
        (json!({ "description": "new" }), "1.0"),
        (json!({ "flow_data": moved }), "1.0"),
        (json!({ "flow_data": graph("arpFlood", "no") }), "1.1"),
        (json!({ "post_processors": [{ "processorType": "limit", "config": { "count": 3 } }] }), "1.2"),
        (json!({ "flow_data": wider }), "2.0"),
        (json!({ "class_name": "fvCtx" }), "3.0"),
    ];
    let mut hash = made["current_version_hash"].clone();
    let mut before = "1.0";
    for (change, version) in changes {
        let changed = patch(&server, &root, id, &change).await;
        assert_eq!(
            (changed.status, &changed.body["current_version"]),
            (200, &json!(version)),
            "{change} {}",
            changed.text
        );
        assert_eq!(changed.body["current_version_hash"] == hash, version == before, "{change}");
        (hash, before) = (changed.body["current_version_hash"].clone(), version);
    }
    let history = show(&server, &root, id).await.body["version_history"].clone();
    let versions: Vec<_> = history.as_array().unwrap().iter().map(|entry| entry["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["3.0", "2.0", "1.2", "1.1", "1.0"]);
    assert_eq!((&history[0]["hash"], &history[4]["created_by_username"]), (&hash, &json!("root")));
}
