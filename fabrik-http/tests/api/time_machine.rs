//! The Time Machine, against a simulated controller.

mod access;
mod agreement;
mod choices;
mod cleanup;
mod columns;
mod documented;
mod global;
mod gone;
mod killed;
mod reading;
mod risk;

use std::time::Duration;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const API: &str = "/api/time-machine/";
const SECRET: &str = "Marker-81c0-of-a-Controller";
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server, a controller, and a saved query for its bridge domains.
struct Lab {
    server: Server,
    simulator: Simulator,
    root: String,
    connection: i64,
    query: i64,
}

impl Lab {
    async fn new() -> Self {
        Self::of(Server::start().await).await
    }

    async fn of(server: Server) -> Self {
        Self::sized(server, 1000).await
    }

    async fn sized(server: Server, objects: usize) -> Self {
        let reader = SimulatorUser::new("reader").with_password(SECRET);
        let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
        let simulator = Simulator::start(options.with_objects(objects)).unwrap();
        let session = server.token("root", true).await;
        // Sessions do not last as long as these tests.
        let key = json!({ "name": "lab", "scopes": ["*", "users"] });
        let key = server.post("/api/auth/api-keys/").token(&session).json(&key).send().await;
        let root = key.body["key"].as_str().unwrap_or_else(|| panic!("{}", key.text)).to_owned();
        let connection = connect(&server, &root, &simulator, "Lab fabric").await;
        let body = json!({ "name": "All BDs", "class_name": "fvBD", "apic_connection": connection });
        let query = save(&server, &root, &body).await;
        Self { server, simulator, root, connection, query }
    }

    async fn get(&self, path: &str) -> Reply {
        self.server.get(&format!("{API}{path}")).token(&self.root).send().await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.server.post(&format!("{API}{path}")).token(&self.root).json(body).send().await
    }

    async fn try_capture(&self, more: Value) -> Reply {
        let mut body = json!({ "saved_query": self.query });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("capture/", &body).await
    }

    /// Captures, and lets an hour pass.
    async fn capture(&self, more: Value) -> Value {
        let reply = self.try_capture(more).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        self.server.clock.advance(HOUR);
        reply.body
    }

    fn set(&self, dn: &str, attributes: &Value) {
        let mut all = json!({ "dn": dn });
        all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        self.simulator.post(None, &json!({ "fvBD": { "attributes": all } }).to_string()).unwrap();
    }

    /// Returns the DN of some bridge domain, as the controller knows it.
    fn some_dn_of_controller(&self) -> String {
        let answer: Value = serde_json::from_slice(&self.simulator.answer("/api/class/fvBD.json").unwrap()).unwrap();
        answer["imdata"][0]["fvBD"]["attributes"]["dn"].as_str().unwrap().to_owned()
    }

    /// Returns the DN of some bridge domain.
    async fn some_dn(&self) -> String {
        let reply = self.get(&format!("saved-queries/{}/dns/?limit=1", self.query)).await;
        reply.body["dns"][0]["dn"].as_str().unwrap().to_owned()
    }

    async fn actions(&self) -> Vec<String> {
        let path = "/api/audit/logs/?category=time_machine&ordering=sequence&page_size=200";
        let log = self.server.get(path).token(&self.root).send().await.body;
        let rows = log["results"].as_array().unwrap().iter();
        rows.map(|row| row["action"].as_str().unwrap().to_owned()).collect()
    }
}

async fn connect(server: &Server, token: &str, simulator: &Simulator, name: &str) -> i64 {
    let body = json!({
        "name": name, "host": simulator.url(), "username": "reader", "password": SECRET, "is_public": true,
    });
    let made = server.post("/api/apic/connections/").token(token).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

async fn save(server: &Server, token: &str, body: &Value) -> i64 {
    let made = server.post("/api/queries/saved-queries/").token(token).json(body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

#[tokio::test]
async fn capture_change_capture_compare_timeline_heatmap_and_cleanup_tell_one_story() {
    let lab = Lab::new().await;
    let query = lab.query;

    let first = lab
        .capture(json!({ "retention_policy": "7d", "annotation": "before the VRF move", "label": "baseline" }))
        .await;
    assert_eq!(first["saved_query"], query);
    assert_eq!(first["apic_connection"], lab.connection);
    assert_eq!(first["captured_at"], "2026-03-02T12:00:00+00:00");
    assert_eq!(first["expires_at"], "2026-03-09T12:00:00+00:00");
    assert_eq!(first["captured_by"], "root");
    assert_eq!((&first["annotation"], &first["label"]), (&json!("before the VRF move"), &json!("baseline")));
    assert!(first["version_hash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!((&first["query_version"], &first["execution_type"]), (&json!("1.0"), &json!("manual")));
    assert_eq!((&first["is_duplicate"], &first["previous_snapshot_id"]), (&json!(false), &Value::Null));
    assert_eq!(first["has_changes"], false);
    let rows = first["row_count"].as_u64().unwrap();
    assert!(rows > 2 && first["size_bytes"].as_u64().unwrap() > rows * 20, "{first}");

    let dn = lab.some_dn().await;
    lab.set(&dn, &json!({ "descr": "changed" }));
    let second = lab.capture(json!({})).await;
    assert_eq!((&second["has_changes"], &second["changes"]["changed"]), (&json!(true), &json!(1)));
    assert_eq!(second["previous_snapshot_id"], first["id"]);
    assert_eq!(second["retention_policy"], "30d");
    let third = lab.capture(json!({})).await;
    assert_eq!((&third["is_duplicate"], &third["has_changes"]), (&json!(true), &json!(false)));
    assert_eq!(third["version_hash"], second["version_hash"]);

    let body = json!({ "snapshot_a": first["id"], "snapshot_b": second["id"], "ignore_fields": ["modTs"] });
    let compared = lab.post("compare/", &body).await.body;
    assert_eq!(compared["summary"]["changed"], 1, "{compared}");
    assert_eq!(compared["summary"]["unchanged"], rows - 1);
    assert_eq!(compared["changed"][0]["key"], json!({ "dn": dn }));
    assert_eq!(compared["changed"][0]["fields"]["descr"], json!({ "before": "", "after": "changed" }));
    assert_eq!(compared["changed"][0].as_object().unwrap().len(), 2, "unless asked, nothing is judged");
    assert_eq!((&compared["added"], &compared["removed"]), (&json!([]), &json!([])));

    let encoded: String = url::form_urlencoded::byte_serialize(dn.as_bytes()).collect();
    let timeline = lab.get(&format!("timeline/?saved_query_id={query}&dn={encoded}")).await.body;
    assert_eq!((&timeline["saved_query_id"], &timeline["snapshot_count"]), (&json!(query), &json!(3)));
    let descr = timeline["attribute_evolution"].as_array().unwrap().iter().find(|one| one["attribute"] == "descr");
    assert_eq!(descr.unwrap()["distinct_values"], json!(["", "changed"]));
    assert_eq!(timeline["connections"], json!([lab.connection]));

    let heatmap = lab.get(&format!("heatmap/?saved_query={query}&window=2d")).await.body;
    assert_eq!((&heatmap["window"], &heatmap["timezone"]), (&json!("2d"), &json!("UTC")));
    assert_eq!(heatmap["days"][0]["date"], "2026-03-01");
    assert_eq!((&heatmap["days"][1]["snapshot_count"], &heatmap["days"][1]["has_changes"]), (&json!(3), &json!(1)));

    lab.server.clock.advance(8 * DAY);
    let preview = lab.get("cleanup/preview/").await.body;
    assert_eq!(preview["will_delete"], json!({ "7d": 1, "30d": 0, "90d": 0, "1y": 0, "forever": 0 }));
    let done = lab.post("cleanup/execute/", &json!({})).await.body;
    for same in ["will_delete", "total_bytes_reclaimed", "stored_bytes_reclaimed", "protected"] {
        assert_eq!(preview[same], done[same], "{same}");
    }
    assert_eq!(done["deleted"], json!([first["id"]]));
    let again = lab.post("cleanup/execute/", &json!({})).await.body;
    assert_eq!((&again["will_delete"]["7d"], &again["total_bytes_reclaimed"]), (&json!(0), &json!(0)));
    let gone = lab.get(&format!("snapshots/{}/", first["id"].as_str().unwrap())).await;
    assert_eq!(gone.status, 404);
    let expected = [
        "time_machine_snapshot_captured",
        "time_machine_snapshot_captured",
        "time_machine_snapshot_captured",
        "time_machine_snapshots_compared",
        "time_machine_cleanup_previewed",
        "time_machine_cleanup_executed",
        "time_machine_cleanup_executed",
    ];
    assert_eq!(lab.actions().await, expected);
}

#[tokio::test]
async fn what_cannot_be_captured_is_refused_and_leaves_nothing() {
    let lab = Lab::sized(Server::start().await, 10_000).await;
    let without = save(&lab.server, &lab.root, &json!({ "name": "Nowhere", "class_name": "fvBD" })).await;
    for (body, status, field) in [
        (json!({}), 400, "saved_query"),
        (json!({ "saved_query": 9999 }), 400, "saved_query"),
        (json!({ "saved_query": lab.query, "apic_connection": 9999 }), 400, "apic_connection"),
        (json!({ "saved_query": without }), 400, "apic_connection"),
        (json!({ "saved_query": lab.query, "retention_policy": "2y" }), 400, "retention_policy"),
        (json!({ "saved_query": lab.query, "annotation": "a".repeat(10_001) }), 400, "annotation"),
        (json!({ "saved_query": lab.query, "label": "a".repeat(101) }), 400, "label"),
    ] {
        let reply = lab.post("capture/", &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert!(reply.body.get(field).is_some(), "{body}: {}", reply.text);
    }
    let changed = lab.server.call("PATCH", &format!("{API}settings/global/")).token(&lab.root);
    assert_eq!(changed.json(&json!({ "max_snapshot_size_mb": 1 })).send().await.status, 200);
    let path = "/api/mo/uni.json?query-target=subtree";
    let body = json!({ "name": "Everything", "path": path, "apic_connection": lab.connection });
    let everything = save(&lab.server, &lab.root, &body).await;
    let large = lab.post("capture/", &json!({ "saved_query": everything })).await;
    assert_eq!((large.status, &large.body["code"]), (400, &json!("snapshot_too_large")), "{}", large.text);
    assert_eq!(large.body["limit_mb"], 1);
    assert!(large.body["size_mb"].as_u64().unwrap() >= 2, "{}", large.text);

    let port = lab.simulator.address();
    drop(lab.simulator);
    let gone = lab.server.post(&format!("{API}capture/")).token(&lab.root);
    let gone = gone.json(&json!({ "saved_query": lab.query })).send().await;
    assert_eq!(gone.status, 502, "{port}: {}", gone.text);
    assert!(gone.body["request_id"].is_string() && gone.body["detail"].is_string(), "{}", gone.text);

    let list = lab.server.get(&format!("{API}snapshots/?saved_query={}", lab.query)).token(&lab.root).send().await;
    assert_eq!(list.body["count"], 0);
    let log = lab.server.get("/api/audit/logs/?action=time_machine_snapshot_failed").token(&lab.root).send().await.body;
    assert_eq!(log["count"], 2);
    assert_eq!(log["results"][0]["success"], false);
}

#[tokio::test]
async fn settings_are_the_callers_and_global_ones_the_administrators() {
    let lab = Lab::new().await;
    let mara = lab.server.token("mara", false).await;
    let path = format!("{API}settings/");
    let own = async |token: &str| lab.server.get(&path).token(token).send().await.body;
    let defaults =
        json!({ "default_retention_policy": "30d", "auto_capture_enabled": false, "diff_key_strategy": "auto" });
    assert_eq!(own(&mara).await, defaults);

    let change = json!({ "default_retention_policy": "1y", "diff_key_strategy": "hash" });
    let changed = lab.server.call("PATCH", &path).token(&mara).json(&change).send().await;
    let expected =
        json!({ "default_retention_policy": "1y", "auto_capture_enabled": false, "diff_key_strategy": "hash" });
    assert_eq!((changed.status, &changed.body), (200, &expected), "{}", changed.text);
    assert_eq!((own(&mara).await, own(&lab.root).await), (expected, defaults));
    for (field, value) in
        [("default_retention_policy", "2y"), ("diff_key_strategy", "x"), ("auto_capture_enabled", "x")]
    {
        let refused = lab.server.call("PATCH", &path).token(&mara).json(&json!({ field: value })).send().await;
        assert_eq!(refused.status, 400, "{field}");
        assert!(refused.body.get(field).is_some(), "{}", refused.text);
    }
    assert_eq!(lab.server.call("PUT", &path).token(&mara).json(&change).send().await.status, 405);

    let global = format!("{API}settings/global/");
    assert_eq!(lab.server.get(&global).token(&mara).send().await.status, 403);
    let shown = lab.server.get(&global).token(&lab.root).send().await.body;
    let expected = json!({
        "max_snapshot_size_mb": 0, "warn_large_snapshots": true, "large_snapshot_mb": 100, "store_duplicates": true,
        "retention_count": 0, "auto_cleanup_enabled": true, "keep_newest": false,
    });
    assert_eq!(shown, expected);
    // What the caller usually wants holds where the request does not say it.
    let patch = lab.server.call("PATCH", &path).token(&lab.root).json(&change).send().await;
    assert_eq!(patch.status, 200);
    assert_eq!(lab.capture(json!({})).await["retention_policy"], "1y");
}
