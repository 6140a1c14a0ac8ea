//! Forgetting.

use serde_json::json;

use fabrik_http::server::run_jobs;

use super::{API, DAY, HOUR, Lab, save};
use crate::server::Server;

#[tokio::test]
async fn a_cleanup_keeps_to_its_query_and_spares_what_is_protected() {
    let lab = Lab::new().await;
    let body = json!({ "name": "Other", "class_name": "fvCtx", "apic_connection": lab.connection });
    let other = save(&lab.server, &lab.root, &body).await;
    let short = json!({ "retention_policy": "7d" });
    let first = lab.capture(short.clone()).await;
    let pinned = lab.capture(short.clone()).await;
    lab.capture(short).await;
    lab.post("capture/", &json!({ "saved_query": other, "retention_policy": "7d" })).await;
    let pin = format!("snapshots/{}/annotate/", pinned["id"].as_str().unwrap());
    assert_eq!(lab.post(&pin, &json!({ "pinned": true })).await.body["pinned"], true);
    let settings = format!("{API}settings/global/");
    let keep = lab.server.call("PATCH", &settings).token(&lab.root).json(&json!({ "keep_newest": true }));
    assert_eq!(keep.send().await.status, 200);
    lab.server.clock.advance(8 * DAY);

    let preview = lab.get(&format!("cleanup/preview/?saved_query={}", lab.query)).await.body;
    assert_eq!(preview["doomed"].as_array().unwrap().len(), 1, "{preview}");
    assert_eq!(preview["doomed"][0]["snapshot_id"], first["id"]);
    let why: Vec<_> = preview["protected"].as_array().unwrap().iter().map(|one| one["protected_by"].clone()).collect();
    assert_eq!(why, ["pin", "newest_of_series"]);
    let done = lab.post("cleanup/execute/", &json!({ "saved_query": lab.query })).await.body;
    for same in ["will_delete", "total_bytes_reclaimed", "stored_bytes_reclaimed", "protected"] {
        assert_eq!(preview[same], done[same], "{same}");
    }
    let left = lab.get(&format!("snapshots/?saved_query={other}")).await.body;
    assert_eq!(left["count"], 1);
    for path in ["cleanup/preview/?saved_query=9999", "cleanup/preview/?saved_query=x"] {
        assert!([400, 404].contains(&lab.get(path).await.status), "{path}");
    }
}

#[tokio::test]
async fn a_cleanup_of_named_snapshots_leaves_the_others_that_expired() {
    let lab = Lab::new().await;
    let short = json!({ "retention_policy": "7d" });
    let first = lab.capture(short.clone()).await;
    let second = lab.capture(short.clone()).await;
    let third = lab.capture(short).await;
    lab.server.clock.advance(8 * DAY);
    let fresh = lab.capture(json!({})).await;
    let doomed = |plan: &serde_json::Value| plan["doomed"].as_array().unwrap().len();

    assert_eq!(doomed(&lab.get("cleanup/preview/?keep_newest=true").await.body), 3);
    let named = json!({ "snapshots": [second["id"], fresh["id"]] });
    let done = lab.post("cleanup/execute/", &named).await.body;
    assert_eq!((&done["deleted"], &done["will_delete"]["7d"]), (&json!([second["id"]]), &json!(1)));
    let left = lab.get(&format!("snapshots/?saved_query={}", lab.query)).await.body;
    let left: Vec<_> = left["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(left, [fresh["id"].clone(), third["id"].clone(), first["id"].clone()]);
    assert_eq!(lab.post("cleanup/execute/", &json!({ "snapshots": [] })).await.body["deleted"], json!([]));
    assert_eq!(lab.post("cleanup/execute/", &json!({ "snapshots": ["x"] })).await.status, 400);
    // The newest of all stays once it has expired, where the preview is asked to spare it.
    lab.server.clock.advance(40 * DAY);
    let spared = lab.get("cleanup/preview/?keep_newest=true").await.body;
    assert_eq!((doomed(&spared), &spared["protected"][0]["snapshot_id"]), (2, &fresh["id"]));
}

#[tokio::test]
async fn the_daily_cleanup_is_done_once_after_half_past_three_and_told() {
    let lab = Lab::new().await;
    lab.capture(json!({ "retention_policy": "7d" })).await;
    run_jobs(&lab.server.state).await;
    let executed = async || lab.actions().await.iter().filter(|one| *one == "time_machine_cleanup_executed").count();
    assert_eq!(executed().await, 0);

    // 13:00 on the 2nd; 03:00 on the 3rd is too early, 04:00 is not.
    lab.server.clock.advance(14 * HOUR);
    run_jobs(&lab.server.state).await;
    assert_eq!(executed().await, 0);
    lab.server.clock.advance(HOUR);
    run_jobs(&lab.server.state).await;
    run_jobs(&lab.server.state).await;
    assert_eq!(executed().await, 1);
    // A week without a server is made up for once.
    lab.server.clock.advance(7 * DAY);
    run_jobs(&lab.server.state).await;
    run_jobs(&lab.server.state).await;

    assert_eq!(executed().await, 2);
    let root = lab.server.login("root").await.0;
    let list = lab.server.get(&format!("{API}snapshots/?saved_query={}", lab.query)).token(&root).send().await.body;
    assert_eq!(list["count"], 0);
    let log = lab.server.get("/api/audit/logs/?action=time_machine_cleanup_executed").token(&root).send().await.body;
    assert_eq!(
        (&log["results"][0]["username"], &log["results"][0]["metadata"]["trigger"]),
        (&json!("system"), &json!("daily"))
    );
    let notices = lab.server.get("/api/notifications/notifications/").token(&root).send().await.body;
    assert!(notices.to_string().contains("Time Machine cleanup"), "{notices}");
}

#[tokio::test]
async fn what_is_known_of_snapshots_goes_with_them_and_with_captures_that_fail() {
    // Looked at in a file.
    if std::env::var_os("FABRIK_TEST_POSTGRES").is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let lab = Lab::of(Server::with(&[("database", &format!("sqlite:{}", file.display()))]).await).await;
    let known = || {
        let database = rusqlite::Connection::open(&file).unwrap();
        database.query_row("SELECT count(*) FROM time_machine_capture", (), |row| row.get::<_, i64>(0)).unwrap()
    };
    let bad = json!({ "name": "Bad", "class_name": "fvNothing", "apic_connection": lab.connection });
    let bad = save(&lab.server, &lab.root, &bad).await;
    lab.capture(json!({ "retention_policy": "7d" })).await;
    lab.capture(json!({})).await;

    let failed = lab.post("capture/", &json!({ "saved_query": bad })).await;
    assert_eq!((failed.status, known()), (502, 2), "{}", failed.text);
    lab.server.clock.advance(8 * DAY);
    assert_eq!(lab.post("cleanup/execute/", &json!({})).await.body["will_delete"]["7d"], 1);
    assert_eq!(known(), 1);
}
