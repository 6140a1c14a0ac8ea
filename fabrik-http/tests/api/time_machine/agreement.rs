//! The same question asked by the command and over HTTP has the same answer.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fabrik_core::store::{OpenMode, SqliteStore};
use serde_json::{Value, json};

use super::{API, DAY, Lab};
use crate::server::Server;

/// Asks the command, at the time of the server's clock.
fn command(store: &Path, now: &str, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_fabrik"))
        .arg("--store")
        .arg(format!("sqlite:{}", store.display()))
        .args(["--now", now])
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Takes away what only the server or only the command knows: ids, names and connections.
fn without(mut document: Value, names: &[&str]) -> Value {
    for name in names {
        document.as_object_mut().unwrap().remove(*name);
    }
    document
}

#[tokio::test]
async fn command_and_http_agree_on_compare_timeline_heatmap_and_cleanup() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fabrik.db");
    let store = Arc::new(SqliteStore::open(&place, OpenMode::Create).unwrap());
    let lab = Lab::of(Server::on(store).await).await;
    let older = lab.capture(json!({ "retention_policy": "7d" })).await;
    let dn = lab.some_dn().await;
    lab.set(&dn, &json!({ "arpFlood": "yes", "descr": "b", "unicastRoute": "no" }));
    lab.set("uni/tn-common/BD-new", &json!({ "name": "new" }));
    let newer = lab.capture(json!({})).await;
    lab.server.clock.advance(8 * DAY);
    let now = "2026-03-10T14:00:00Z";
    let series = lab.query.to_string();
    let (a, b) = (older["id"].as_str().unwrap(), newer["id"].as_str().unwrap());
    let ask = |arguments: &[&str]| command(&place, now, arguments);

    for (flags, options) in [
        (&[][..], json!({})),
        (&["--severity", "--noise", "on"], json!({ "severity": true, "noise": true })),
        (&["--min-severity", "high"], json!({ "min_severity": "high" })),
        (&["--key-fields", "name"], json!({ "key_fields": ["name"] })),
        (&["--key-strategy", "hash"], json!({ "key_strategy": "hash" })),
        (&["--ignore", "fvBD.descr"], json!({ "ignore": ["fvBD.descr"] })),
    ] {
        let mut body = json!({ "snapshot_a": a, "snapshot_b": b });
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let over_http = lab.post("compare/", &body).await;
        assert_eq!(over_http.status, 200, "{}", over_http.text);
        let by_command = ask(&[&["compare", a, b], flags].concat());
        for side in ["snapshot_a", "snapshot_b"] {
            let known = by_command[side].as_object().unwrap();
            assert!(known.iter().all(|(name, value)| &over_http.body[side][name] == value), "{side}");
        }
        let sides = ["snapshot_a", "snapshot_b"];
        assert_eq!(without(over_http.body, &sides), without(by_command, &sides), "{options}");
    }

    let path = format!("timeline/?saved_query_id={series}&dn={dn}");
    let known = ["saved_query_id", "connections"];
    let by_command = ask(&["timeline", "--query", &series, "--dn", &dn]);
    assert_eq!(without(lab.get(&path).await.body, &known), without(by_command, &known));

    let path = format!("heatmap/?saved_query={series}&window=2w&timezone=Europe/Berlin");
    let by_command = ask(&["heatmap", "--query", &series, "--window", "2w", "--timezone", "Europe/Berlin"]);
    let mut over_http = lab.get(&path).await.body;
    for day in over_http["days"].as_array_mut().unwrap() {
        // What was judged at capture is known to the server alone.
        assert!(day.as_object_mut().unwrap().remove("risk_max").is_some(), "{day}");
    }
    assert_eq!(over_http, by_command);

    let by_command = ask(&["cleanup"]);
    assert_eq!(by_command["will_delete"]["7d"], 1);
    assert_eq!(lab.get("cleanup/preview/").await.body, by_command);
    let settings = format!("{}settings/global/", super::API);
    let most = lab.server.call("PATCH", &settings).token(&lab.root).json(&json!({ "retention_count": 1 }));
    assert_eq!(most.send().await.status, 200);
    let by_command = ask(&["cleanup", "--max-per-series", "1"]);
    assert_eq!(lab.get("cleanup/preview/").await.body, by_command);

    let shown = lab.get(&format!("snapshots/{b}/")).await.body;
    let by_command = ask(&["show", b]);
    assert_eq!((&shown["rows"], &shown["version_hash"]), (&by_command["rows"], &by_command["version_hash"]));
}

#[tokio::test]
async fn pages_of_a_comparison_put_together_are_the_comparison() {
    let lab = Lab::new().await;
    let older = lab.capture(json!({})).await;
    for n in 0..7 {
        lab.set(&format!("uni/tn-common/BD-n{n}"), &json!({ "name": format!("n{n}") }));
    }
    lab.set(&lab.some_dn().await, &json!({ "descr": "b" }));
    let newer = lab.capture(json!({})).await;
    let body = json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"] });
    let whole = lab.post("compare/", &body).await.body;
    let mut pages = json!({ "added": [], "removed": [], "changed": [] });
    for page in 1..=3 {
        let part = lab.post(&format!("compare/?page={page}&page_size=3"), &body).await.body;
        assert_eq!((&part["change_count"], &part["page"], &part["page_size"]), (&json!(8), &json!(page), &json!(3)));
        assert_eq!(part["summary"], whole["summary"]);
        for list in ["added", "removed", "changed"] {
            pages[list].as_array_mut().unwrap().extend(part[list].as_array().unwrap().clone());
        }
    }
    for list in ["added", "removed", "changed"] {
        assert_eq!(pages[list], whole[list], "{list}");
    }
    assert_eq!(lab.post("compare/?page=4&page_size=3", &body).await.status, 404);
    let counted = lab.post("compare/?summary_only=true", &body).await.body;
    assert_eq!((&counted["summary"], counted.get("added")), (&whole["summary"], None));
    let reversed = json!({ "snapshot_a": newer["id"], "snapshot_b": older["id"] });
    assert_eq!(lab.post("compare/", &reversed).await.body["removed"], whole["added"]);
    let same =
        json!({ "snapshot_a": "@latest", "snapshot_b": format!("{}@latest", lab.query), "saved_query": lab.query });
    assert_eq!(lab.post("compare/", &same).await.body["identical"], true);
    let id = &older["id"];
    for (body, status, field) in [
        (json!({ "snapshot_b": id }), 400, "snapshot_a"),
        (json!({ "snapshot_a": id, "snapshot_b": "x" }), 400, "snapshot_b"),
        (json!({ "snapshot_a": id, "snapshot_b": "@latest" }), 400, "snapshot_b"),
        (json!({ "snapshot_a": id, "snapshot_b": format!("{}@soon", lab.query) }), 400, "snapshot_b"),
        (json!({ "snapshot_a": id, "snapshot_b": "00000000-0000-7000-8000-000000000000" }), 404, "detail"),
        (json!({ "snapshot_a": id, "snapshot_b": id, "key_fields": [] }), 400, "key_fields"),
        (json!({ "snapshot_a": id, "snapshot_b": id, "key_fields": [""] }), 400, "key_fields"),
        (json!({ "snapshot_a": id, "snapshot_b": id, "key_strategy": "x" }), 400, "key_strategy"),
        (json!({ "snapshot_a": id, "snapshot_b": id, "min_severity": "x" }), 400, "min_severity"),
    ] {
        let refused = lab.post("compare/", &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.body.get(field).is_some(), "{body}: {}", refused.text);
    }
}

#[tokio::test]
async fn lines_of_a_comparison_are_its_changes_in_order_and_its_summary() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fabrik.db");
    let store = Arc::new(SqliteStore::open(&place, OpenMode::Create).unwrap());
    let lab = Lab::of(Server::on(store).await).await;
    let older = lab.capture(json!({})).await;
    let dn = lab.some_dn().await;
    lab.set(&dn, &json!({ "descr": "b" }));
    lab.set("uni/tn-common/BD-new", &json!({ "name": "new" }));
    let newer = lab.capture(json!({})).await;
    let (a, b) = (older["id"].as_str().unwrap(), newer["id"].as_str().unwrap());
    let lines = async |rest: &str, body: &Value| -> Vec<Value> {
        let path = format!("{API}compare/{rest}");
        let asked = lab.server.post(&path).token(&lab.root).header("accept", "application/x-ndjson");
        let reply = asked.json(body).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let body = json!({ "snapshot_a": a, "snapshot_b": b, "severity": true });
    let document = lab.post("compare/", &body).await.body;

    let output = Command::new(env!("CARGO_BIN_EXE_fabrik"))
        .args(["--store", &format!("sqlite:{}", place.display()), "compare", a, b, "--severity", "--format", "ndjson"])
        .output()
        .unwrap();
    let by_command: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines("", &body).await, by_command);
    assert_eq!(by_command.last().unwrap()["summary"], document["summary"]);
    let whole = lines("?whole=true", &body).await;
    let (last, changes) = whole.split_last().unwrap();
    assert_eq!((changes.len(), &last["summary"]), (2, &document["summary"]));
    let of = |kind: &str| changes.iter().find(|change| change["kind"] == kind).unwrap();
    let (added, changed) = (of("added"), of("changed"));
    assert_eq!((&added["after"], added.get("before")), (&document["added"][0]["row"], None));
    assert_eq!(added["key"], json!({ "dn": "uni/tn-common/BD-new" }));
    assert_eq!(added["severity"], document["added"][0]["severity"]);
    for member in ["key", "fields", "severity", "reason", "rule"] {
        assert_eq!(changed[member], document["changed"][0][member], "{member}");
    }
    assert_eq!((&changed["before"]["descr"], &changed["after"]["descr"]), (&json!(""), &json!("b")));
    let arrow = lab.server.post(&format!("{API}compare/")).token(&lab.root);
    let arrow = arrow.header("accept", "application/vnd.apache.arrow.stream").json(&body).send().await;
    assert_eq!((arrow.status, arrow.header("content-type")), (200, "application/vnd.apache.arrow.stream"));
    assert!(arrow.text.contains("attribute") && arrow.text.contains("uni/tn-common/BD-new"));
    let refused = lab.server.post(&format!("{API}compare/?page=1")).token(&lab.root);
    let refused = refused.header("accept", "application/x-ndjson").json(&body).send().await;
    assert_eq!(refused.status, 400, "{}", refused.text);
}

#[tokio::test]
async fn rules_of_a_request_go_before_those_of_the_server() {
    let lab = Lab::new().await;
    let older = lab.capture(json!({})).await;
    lab.set(&lab.some_dn().await, &json!({ "descr": "b" }));
    let newer = lab.capture(json!({})).await;
    let ask = async |more: Value| {
        let mut body = json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lab.post("compare/", &body).await
    };
    let severity = "[[rule]]\nid = \"texts\"\nclass = \"*\"\nattribute = \"descr\"\nseverity = \"critical\"\nreason = \"it says so\"\n";
    let noise = "[[rule]]\nid = \"texts\"\nattribute = \"descr\"\n";

    let judged = ask(json!({ "severity_table": severity })).await;
    assert_eq!(judged.status, 200, "{}", judged.text);
    let judged = judged.body;
    assert_eq!(
        (&judged["changed"][0]["severity"], &judged["changed"][0]["rule"]),
        (&json!("critical"), &json!("texts"))
    );
    let quiet = ask(json!({ "noise_table": noise })).await.body;
    assert_eq!(quiet["summary"]["changed"], 0, "{quiet}");
    for field in ["severity_table", "noise_table"] {
        let refused = ask(json!({ field: "[[rule]]\nid = 7" })).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.body.get(field).is_some(), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_comparison_warns_of_other_queries_connections_and_versions() {
    let lab = Lab::new().await;
    let older = lab.capture(json!({})).await;
    let path = format!("/api/queries/saved-queries/{}/", lab.query);
    let change = json!({ "filter": "ne(fvBD.name,\"x\")" });
    let changed = lab.server.call("PATCH", &path).token(&lab.root).json(&change).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let newer = lab.capture(json!({})).await;
    let found = lab.post("compare/", &json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"] })).await.body;
    assert_ne!(older["query_version"], newer["query_version"]);
    assert_eq!(found["snapshot_b"]["query_version"], newer["query_version"]);
    assert!(found["warnings"].to_string().contains("different versions of the query"), "{found}");

    let other = super::connect(&lab.server, &lab.root, &lab.simulator, "Other").await;
    let body = json!({ "name": "Tenants", "class_name": "fvTenant", "apic_connection": other });
    let query = super::save(&lab.server, &lab.root, &body).await;
    let theirs = lab.post("capture/", &json!({ "saved_query": query })).await.body;
    let found = lab.post("compare/", &json!({ "snapshot_a": older["id"], "snapshot_b": theirs["id"] })).await.body;
    let warnings = found["warnings"].to_string();
    assert!(warnings.contains("different queries") && warnings.contains("different connections"), "{warnings}");
    assert_eq!(
        (&found["snapshot_a"]["saved_query"], &found["snapshot_b"]["saved_query"]),
        (&json!(lab.query), &json!(query))
    );
}
