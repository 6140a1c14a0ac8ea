//! What administrators set for all.

use fabrik_http::server::run_jobs;
use serde_json::{Value, json};

use super::{API, HOUR, Lab, save};
use crate::server::Server;

const TASKS: &str = "/api/queries/scheduled-tasks/";

impl Lab {
    async fn set_for_all(&self, change: Value) -> Value {
        let changed = self.server.call("PATCH", &format!("{API}settings/global/")).token(&self.root).json(&change);
        let changed = changed.send().await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        changed.body
    }

    /// Makes an hourly task that captures a query, and returns its id.
    async fn hourly(&self, query: i64) -> Value {
        let body = json!({ "name": "Hourly", "saved_query": query, "frequency": "hourly", "auto_capture": true });
        let made = self.server.post(TASKS).token(&self.root).json(&body).send().await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.body["id"].clone()
    }

    /// Lets an hour pass and returns what the task found then.
    async fn next_result(&self, task: &Value) -> Value {
        self.server.clock.advance(HOUR);
        run_jobs(&self.server.state).await;
        let runs = self.server.get(&format!("{TASKS}{task}/executions/")).token(&self.root).send().await.body;
        assert_eq!(runs["results"][0]["status"], "success", "{runs}");
        runs["results"][0].clone()
    }

    async fn count(&self, query: i64) -> Value {
        self.get(&format!("snapshots/?saved_query={query}")).await.body["count"].clone()
    }
}

#[tokio::test]
async fn a_scheduled_capture_that_tells_nothing_new_is_not_kept_where_that_is_set() {
    let lab = Lab::new().await;
    let task = lab.hourly(lab.query).await;
    let first = lab.next_result(&task).await;
    assert_eq!(lab.next_result(&task).await["result"]["is_duplicate"], true);
    assert_eq!(lab.count(lab.query).await, 2, "unless told, it is kept");
    lab.set_for_all(json!({ "store_duplicates": false })).await;

    let skipped = lab.next_result(&task).await;

    let result = &skipped["result"];
    assert_eq!((&result["skipped"], &result["reason"]), (&json!(true), &json!("duplicate")), "{skipped}");
    assert!(result.get("snapshot_id").is_none() && skipped["snapshot_id"].is_null(), "{skipped}");
    assert_eq!(result["version_hash"], first["result"]["version_hash"]);
    let list = lab.get(&format!("snapshots/?saved_query={}", lab.query)).await.body;
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(2), &result["previous_snapshot_id"]));
    assert_eq!(lab.actions().await.last().unwrap(), "time_machine_snapshot_skipped");
    let by_hand = lab.capture(json!({})).await;
    assert_eq!((&by_hand["is_duplicate"], &by_hand["id"]), (&json!(true), &lab.newest().await["id"]));
    lab.set(&lab.some_dn().await, &json!({ "descr": "new" }));
    assert!(lab.next_result(&task).await["snapshot_id"].is_string());
    assert_eq!(lab.count(lab.query).await, 4);
}

#[tokio::test]
async fn of_more_snapshots_than_may_be_the_oldest_go_with_the_next_cleanup() {
    let lab = Lab::new().await;
    let for_ever = lab.capture(json!({ "retention_policy": "forever" })).await;
    let labelled = lab.capture(json!({ "retention_policy": "90d", "label": "baseline" })).await;
    let pinned = lab.capture(json!({})).await;
    let pin = format!("snapshots/{}/annotate/", pinned["id"].as_str().unwrap());
    lab.post(&pin, &json!({ "pinned": true })).await;
    for _ in 0..2 {
        lab.capture(json!({})).await;
    }
    let untouched = lab.get("cleanup/preview/").await.body;
    assert_eq!((&untouched["over_count"], &untouched["doomed"]), (&json!(0), &json!([])));
    lab.set_for_all(json!({ "retention_count": 2 })).await;

    let preview = lab.get("cleanup/preview/").await.body;
    let done = lab.post("cleanup/execute/", &json!({})).await.body;

    let expected = json!({ "7d": 0, "30d": 0, "90d": 1, "1y": 0, "forever": 0 });
    assert_eq!((&preview["will_delete"], &preview["over_count"]), (&expected, &json!(1)), "{preview}");
    assert_eq!(
        (&preview["doomed"][0]["snapshot_id"], &preview["doomed"][0]["doomed_by"]),
        (&labelled["id"], &json!("count"))
    );
    let spared: Vec<_> = preview["protected"].as_array().unwrap().iter().collect();
    assert_eq!((&spared[0]["snapshot_id"], &spared[0]["protected_by"]), (&for_ever["id"], &json!("forever")));
    assert_eq!((&spared[1]["snapshot_id"], &spared[1]["protected_by"]), (&pinned["id"], &json!("pin")));
    for same in ["will_delete", "over_count", "total_bytes_reclaimed", "stored_bytes_reclaimed", "protected"] {
        assert_eq!(preview[same], done[same], "{same}");
    }
    assert_eq!(lab.count(lab.query).await, 4);
    let again = lab.post("cleanup/execute/", &json!({})).await.body;
    assert_eq!((&again["over_count"], &again["deleted"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn who_captures_something_large_is_warned() {
    let lab = Lab::sized(Server::start().await, 10_000).await;
    let body =
        json!({ "name": "All", "path": "/api/mo/uni.json?query-target=subtree", "apic_connection": lab.connection });
    let everything = save(&lab.server, &lab.root, &body).await;
    let capture = async || lab.post("capture/", &json!({ "saved_query": everything })).await.body;
    assert_eq!(capture().await["warnings"], json!([]));
    let set = lab.set_for_all(json!({ "large_snapshot_mb": 1 })).await;
    assert_eq!((&set["warn_large_snapshots"], &set["large_snapshot_mb"]), (&json!(true), &json!(1)));

    let warned = capture().await;
    let task = lab.hourly(everything).await;
    let scheduled = lab.next_result(&task).await;

    let sentence = warned["warnings"][0].as_str().unwrap();
    assert!(
        sentence.starts_with("The snapshot is large: ") && sentence.ends_with("and 1 count as large."),
        "{sentence}"
    );
    assert_eq!(scheduled["result"]["warnings"], warned["warnings"]);
    let told = lab.server.get("/api/notifications/notifications/").token(&lab.root).send().await.body;
    let told =
        told["results"].as_array().unwrap().iter().find(|one| one["source"] == "scheduled_task_success").unwrap();
    assert!(told["message"].as_str().unwrap().contains(sentence), "{told}");
    lab.set_for_all(json!({ "warn_large_snapshots": false })).await;
    assert_eq!(capture().await["warnings"], json!([]));
    let refused = lab.server.call("PATCH", &format!("{API}settings/global/")).token(&lab.root);
    let refused = refused.json(&json!({ "large_snapshot_mb": 0, "retention_count": -1 })).send().await;
    assert_eq!((refused.status, refused.body.as_object().unwrap().len()), (400, 2), "{}", refused.text);
}
