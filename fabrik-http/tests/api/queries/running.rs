//! Queries that are run: at once, as lines, in the background.

use std::time::Duration;

use fabrik_apic::simulator::{Fault, FaultRule, Simulator};
use fabrik_http::server::serve;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{QUERIES, connect, controller, graph, id, operator, post, save, show};
use crate::server::{Reply, Server};

async fn started() -> (Server, String, Simulator, i64) {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    (server, root, simulator, connection)
}

async fn execute(server: &Server, token: &str, query: i64, body: &Value) -> Reply {
    post(server, token, &format!("{query}/execute/"), body).await
}

/// The bridge domains of the controller, asked without us.
fn bridge_domains(simulator: &Simulator) -> Vec<Value> {
    let answer: Value = serde_json::from_slice(&simulator.answer("/api/class/fvBD.json").unwrap()).unwrap();
    answer["imdata"].as_array().unwrap().iter().map(|object| object["fvBD"]["attributes"].clone()).collect()
}

pub(super) fn dns(rows: &Value) -> Vec<String> {
    let mut dns: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["dn"].as_str().unwrap().to_owned()).collect();
    dns.sort_unstable();
    dns
}

#[tokio::test]
async fn rows_are_those_of_the_controller_in_json_and_in_lines() {
    let (server, root, simulator, connection) = started().await;
    let body = json!({ "name": "BDs", "class_name": "fvBD", "apic_connection": connection });
    let query = id(&save(&server, &root, &body).await);

    let run = execute(&server, &root, query, &json!({})).await;
    let lines = post(&server, &root, &format!("{query}/execute/?stream=ndjson"), &json!({})).await;
    let some = execute(&server, &root, query, &json!({ "limit": 2 })).await;

    assert_eq!(run.status, 200, "{}", run.text);
    let expected = bridge_domains(&simulator);
    assert_eq!(dns(&run.body["rows"]), dns(&json!(expected)));
    assert_eq!(run.body["row_count"], expected.len());
    assert_eq!(run.body["rows"][0]["className"], "fvBD");
    assert_eq!((&run.body["strategy"], &run.body["query"]), (&json!("class"), &json!("/api/class/fvBD.json")));
    assert_eq!((&run.body["truncated"], &run.body["verdict"]["status"]), (&json!(false), &json!("complete")));
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let rows: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(rows), run.body["rows"]);
    assert_eq!((some.body["rows"].as_array().unwrap().len(), &some.body["truncated"]), (2, &json!(true)));
    let shown = show(&server, &root, query).await.body;
    assert_eq!((&shown["execution_count"], shown["last_executed_at"].is_string()), (&json!(3), true));
    let log = server.get("/api/queries/execution-logs/").token(&root).send().await.body;
    assert_eq!(log["count"], 3);
    let entry =
        log["results"].as_array().unwrap().iter().find(|entry| entry["id"] == run.body["execution_id"]).unwrap();
    assert_eq!((&entry["success"], &entry["result_count"]), (&json!(true), &run.body["row_count"]));
    assert_eq!((&entry["query_name"], &entry["apic_connection_name"]), (&json!("BDs"), &json!("Lab fabric")));
    let audit = server.get("/api/audit/logs/?action=query_executed").token(&root).send().await.body;
    assert_eq!(audit["count"], 3);
    let recent = server.get(&format!("{QUERIES}recent/?limit=5")).token(&root).send().await.body;
    assert_eq!((recent.as_array().unwrap().len(), &recent[0]["id"]), (1, &json!(query)));
    let popular = server.get(&format!("{QUERIES}popular/")).token(&root).send().await.body;
    assert_eq!(popular[0]["id"], query);
}

#[tokio::test]
async fn values_are_values_whatever_is_in_them() {
    let (server, root, simulator, connection) = started().await;
    let all = bridge_domains(&simulator);
    let real = all[0]["name"].as_str().unwrap();
    let values = [
        real,
        "\"",
        "a\") or eq(fvBD.arpFlood,\"no",
        "\",\"\") or wcard(fvBD.name,\".*",
        "x\"),ne(fvBD.name,\"",
        ".*",
        "*",
        "\\",
        "a&query-target=subtree",
        "%22),ne(fvBD.name,%22",
        "ä ö",
        "'",
    ];
    let mut drawn = graph("name", "${wanted}");
    drawn["variables"] = json!([{ "id": "wanted", "label": "Wanted", "type": "text", "required": true }]);
    let body = json!({ "name": "By variable", "flow_data": drawn, "apic_connection": connection });
    let by_variable = id(&save(&server, &root, &body).await);
    for value in values {
        let expected: Vec<_> = all.iter().filter(|bd| bd["name"] == value).cloned().collect();
        let body =
            json!({ "name": format!("By {value}"), "flow_data": graph("name", value), "apic_connection": connection });
        let by_value = id(&save(&server, &root, &body).await);

        let literal = execute(&server, &root, by_value, &json!({})).await;
        let variable = execute(&server, &root, by_variable, &json!({ "variables": { "wanted": value } })).await;

        for run in [literal, variable] {
            assert_eq!(run.status, 200, "{value}: {}", run.text);
            assert_eq!(dns(&run.body["rows"]), dns(&json!(expected)), "{value}");
        }
    }
    let lacking = execute(&server, &root, by_variable, &json!({})).await;
    assert_eq!((lacking.status, lacking.body["variables"].is_array()), (400, true), "{}", lacking.text);
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let (server, root, _simulator, connection) = started().await;
    let (_, mara) = operator(&server, &root, "mara").await;
    let nowhere =
        id(&save(&server, &root, &json!({ "name": "Nowhere", "class_name": "fvBD", "is_public": true })).await);
    let draft = json!({ "name": "Draft", "flow_data": { "nodes": [], "edges": [] }, "apic_connection": connection });
    let draft = save(&server, &root, &draft).await;
    assert!(draft["problem"].as_str().unwrap().contains("classNode"), "{}", draft["problem"]);
    let unknown = json!({ "name": "Unknown", "class_name": "fvNothing", "apic_connection": connection });
    let unknown = id(&save(&server, &root, &unknown).await);
    let steps = json!([{ "processorType": "map-transform", "config": { "expression": "item.nothing.more" } }]);
    let step = json!({ "name": "Step", "class_name": "fvBD", "apic_connection": connection, "post_processors": steps });
    let step = id(&save(&server, &root, &step).await);

    let missing = execute(&server, &mara, nowhere, &json!({})).await;
    assert_eq!((missing.status, missing.body["apic_connection"].is_array()), (400, true));
    let hidden = execute(&server, &mara, nowhere, &json!({ "apic_connection": 4711 })).await;
    assert_eq!((hidden.status, hidden.body["apic_connection"].is_array()), (400, true));
    let drawn = execute(&server, &root, id(&draft), &json!({})).await;
    assert_eq!((drawn.status, drawn.body["flow_data"].is_array()), (400, true));
    for path in ["execute/", "execute/?stream=ndjson"] {
        let refused = post(&server, &root, &format!("{unknown}/{path}"), &json!({})).await;
        assert_eq!(refused.status, 502, "{}", refused.text);
        assert!(refused.body["detail"].as_str().unwrap().contains("fvNothing"), "{}", refused.text);
        assert!(refused.body["request_id"].is_string());
    }
    let stepped = execute(&server, &root, step, &json!({})).await;
    assert_eq!(stepped.status, 400, "{}", stepped.text);
    assert!(
        stepped.body["post_processors"][0].as_str().unwrap().starts_with("step 1 (map-transform)"),
        "{}",
        stepped.text
    );
    let failed = server.get("/api/queries/execution-logs/?success=false").token(&root).send().await.body;
    assert_eq!(failed["count"], 3);
    assert!(failed["results"].as_array().unwrap().iter().all(|entry| entry["error_message"] != ""));
    assert_eq!(server.get("/api/queries/execution-logs/").token(&mara).send().await.body["count"], 0);
}

#[tokio::test]
async fn quotas_and_switches_hold_for_runs() {
    let (server, root, _simulator, connection) = started().await;
    let (mara_id, mara) = operator(&server, &root, "mara").await;
    let group = server.post("/api/auth/groups/").token(&root).json(&json!({ "name": "Few" })).send().await.body;
    let body = json!({ "name": "BDs", "class_name": "fvBD", "apic_connection": connection, "is_public": true });
    let query = id(&save(&server, &root, &body).await);
    let group_ids = json!({ "group_ids": [group["id"]] });
    let joined =
        server.call("PATCH", &format!("/api/auth/management/{mara_id}/")).token(&root).json(&group_ids).send().await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let limit = async |limits: Value| {
        let path = format!("/api/auth/groups/{}/quota/", group["id"]);
        let set = server.call("PUT", &path).token(&root).json(&limits).send().await;
        assert_eq!(set.status, 200, "{}", set.text);
    };

    limit(json!({ "max_query_results": 3, "query_execution_daily": 2, "max_saved_queries": 1 })).await;
    let few = execute(&server, &mara, query, &json!({ "limit": 100 })).await;
    assert_eq!((&few.body["row_count"], &few.body["truncated"]), (&json!(3), &json!(true)), "{}", few.text);
    assert_eq!(execute(&server, &mara, query, &json!({})).await.status, 200);
    let over = execute(&server, &mara, query, &json!({})).await;
    assert_eq!((over.status, over.header("retry-after").is_empty()), (429, false));
    save(&server, &mara, &json!({ "name": "One", "class_name": "fvBD" })).await;
    assert_eq!(post(&server, &mara, "", &json!({ "name": "Two", "class_name": "fvBD" })).await.status, 403);
    let off = json!({ "can_execute_queries": false, "can_create_queries": false, "can_share_resources": false, "can_export_data": false });
    limit(off).await;
    for (path, body) in [
        (format!("{query}/execute/"), json!({})),
        (format!("{query}/execute_background/"), json!({})),
        ("preview/".to_owned(), json!({ "flow_data": graph("name", "a"), "connection_id": connection })),
        (String::new(), json!({ "name": "Two", "class_name": "fvBD" })),
        ("export/".to_owned(), json!({ "query_ids": [query] })),
    ] {
        let reply = post(&server, &mara, &path, &body).await;
        assert_eq!(reply.status, 403, "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn graphs_are_compiled_and_tried_before_they_are_saved() {
    let (server, root, simulator, connection) = started().await;
    let all = bridge_domains(&simulator);
    let name = all[0]["name"].as_str().unwrap();

    let body = json!({ "flow_data": graph("name", name) });
    let generated = post(&server, &root, "generate-query/", &body).await;
    assert_eq!((generated.status, &generated.body["success"]), (200, &json!(true)), "{}", generated.text);
    assert!(
        generated.body["preview_query"].as_str().unwrap().starts_with("/api/class/fvBD.json?"),
        "{}",
        generated.text
    );
    assert_eq!(generated.body["metadata"]["chain"], json!(["fvTenant", "fvBD"]));
    assert!(["low", "medium", "high"].contains(&generated.body["estimated_cost"].as_str().unwrap()));
    let forced = json!({ "flow_data": graph("name", name), "force_strategy": "Nonsense" });
    assert!(post(&server, &root, "generate-query/", &forced).await.body["force_strategy"].is_array());
    let body = json!({ "flow_data": graph("name", name), "connection_id": connection });
    let preview = post(&server, &root, "preview/", &body).await;
    let expected: Vec<_> = all.iter().filter(|bd| bd["name"] == name).cloned().collect();
    assert_eq!(dns(&preview.body["results"]), dns(&json!(expected)), "{}", preview.text);
    assert_eq!((&preview.body["is_preview"], &preview.body["count"]), (&json!(true), &json!(expected.len())));
    let body = json!({ "flow_data": graph("name", name), "connection_id": connection, "preview_node_id": "t" });
    let tenants = post(&server, &root, "preview/", &body).await;
    assert_eq!(tenants.body["results"][0]["className"], "fvTenant", "{}", tenants.text);
    let without = post(&server, &root, "preview/", &json!({ "flow_data": graph("name", name) })).await;
    assert_eq!((without.status, without.body["connection_id"].is_array()), (400, true));
    for (parent, child, is_valid, verdict) in
        [("fvTenant", "fvBD", true, "yes"), ("fvAp", "fvBD", false, "no"), ("fvTenant", "xyNew", true, "unknown")]
    {
        let body = json!({ "parentClass": parent, "childClass": child });
        let reply = post(&server, &root, "validate-connection/", &body).await;
        assert_eq!((&reply.body["isValid"], &reply.body["verdict"]), (&json!(is_valid), &json!(verdict)));
        assert!(reply.body["message"].as_str().unwrap().contains(child));
    }
    let children = server.get(&format!("{QUERIES}child-classes/?parent=fvTenant")).token(&root).send().await.body;
    assert!(children["classes"].as_array().unwrap().contains(&json!("fvBD")));
}

/// Returns the frames of a job until its socket is closed.
pub(super) async fn frames(server: &Server, token: &str, address: &std::net::SocketAddr, path: &str) -> Vec<Value> {
    let ticket = server.post("/api/ws-ticket/").token(token).send().await.body["ticket"].as_str().unwrap().to_owned();
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{address}{path}?ticket={ticket}")).await.unwrap();
    let mut frames = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        if let Ok(text) = message.to_text()
            && message.is_text()
        {
            frames.push(serde_json::from_str(text).unwrap());
        }
    }
    frames
}

#[tokio::test]
async fn a_run_in_the_background_is_followed_also_by_a_late_client() {
    let server = Server::with(&[("listen", "127.0.0.1:0")]).await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, bound) = oneshot::channel();
    let done = tokio::spawn(serve(server.state.clone(), move |address| started.send(address).unwrap(), async {
        let _ = stopped.await;
    }));
    let address = bound.await.unwrap();
    let good = json!({ "name": "Good", "class_name": "fvBD", "apic_connection": connection });
    let bad = json!({ "name": "Bad", "class_name": "fvNothing", "apic_connection": connection });
    for (body, status) in [(good, "completed"), (bad, "failed")] {
        let query = id(&save(&server, &root, &body).await);

        let begun = post(&server, &root, &format!("{query}/execute_background/"), &json!({})).await;

        assert_eq!(begun.status, 202, "{}", begun.text);
        let path = begun.body["websocket"].as_str().unwrap();
        assert_eq!(path, format!("/ws/chain-execution/{}/", begun.body["job_id"].as_str().unwrap()));
        let heard = frames(&server, &root, &address, path).await;
        let late = frames(&server, &root, &address, path).await;
        let last = heard.last().unwrap();
        assert_eq!((&last["type"], &last["data"]["status"]), (&json!("execution_status"), &json!(status)), "{heard:?}");
        assert_eq!(late, std::slice::from_ref(last));
        if status == "completed" {
            assert_eq!(last["data"]["row_count"], bridge_domains(&simulator).len());
            assert_eq!(last["data"]["execution_id"], begun.body["execution_id"]);
        } else {
            assert!(last["data"]["error"].as_str().unwrap().contains("fvNothing"), "{last}");
        }
    }
    let told = server.get("/api/notifications/notifications/").token(&root).send().await.body;
    assert_eq!(told["results"][0]["title"], "Query failed: Bad");
    stop.send(()).unwrap();
    done.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_run_of_a_graph_in_the_background_tells_of_its_nodes() {
    let server = Server::with(&[("listen", "127.0.0.1:0")]).await;
    let root = server.token("root", true).await;
    let mara = server.token("mara", false).await;
    let simulator = controller();
    let connection = connect(&server, &root, &simulator).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, bound) = oneshot::channel();
    let done = tokio::spawn(serve(server.state.clone(), move |address| started.send(address).unwrap(), async {
        let _ = stopped.await;
    }));
    let address = bound.await.unwrap();
    let name = bridge_domains(&simulator)[0]["name"].as_str().unwrap().to_owned();
    let body = json!({ "name": "Drawn", "flow_data": graph("name", &name), "apic_connection": connection });
    let query = id(&save(&server, &root, &body).await);
    // The controller waits until somebody listens.
    let slow = FaultRule::new(Fault::Slow { delay: Duration::from_secs(1) }).with_text("fvBD");
    simulator.faults().add(slow);

    let begun = post(&server, &root, &format!("{query}/execute_background/"), &json!({})).await;
    let path = begun.body["websocket"].as_str().unwrap();
    let (heard, of_others) =
        tokio::join!(frames(&server, &root, &address, path), frames(&server, &mara, &address, path));

    let told: Vec<_> = heard.iter().map(|frame| (frame["type"].as_str().unwrap(), &frame["data"]["node_id"])).collect();
    let of_node = ["node_start", "node_result", "node_complete"];
    let nodes: Vec<_> = told.iter().filter(|(_, node)| *node == "b").map(|(kind, _)| *kind).collect();
    assert!(of_node.ends_with(&nodes) && nodes.len() >= 2, "{told:?}");
    let result = heard.iter().find(|frame| frame["type"] == "node_result").unwrap();
    assert_eq!(result["data"]["row_count"], heard.last().unwrap()["data"]["row_count"]);
    for frame in &heard {
        assert!(frame["timestamp"].as_str().unwrap().ends_with("+00:00") && frame["data"].is_object(), "{frame}");
    }
    let last = &heard.last().unwrap()["data"];
    for name in
        ["status", "progress", "message", "execution_id", "query", "row_count", "truncated", "execution_time_ms"]
    {
        assert!(last.get(name).is_some(), "{name}: {last}");
    }
    assert_eq!(of_others, Vec::<Value>::new());
    stop.send(()).unwrap();
    done.await.unwrap().unwrap();
}
