//! What settings choose.

use fabrik_http::server::run_jobs;
use serde_json::{Value, json};

use super::{API, DAY, Lab, save};

async fn choose(lab: &Lab, path: &str, body: &Value) {
    let root = lab.server.login("root").await.0;
    let changed = lab.server.call("PATCH", &format!("{API}{path}")).token(&root).json(body).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

#[tokio::test]
async fn rows_are_matched_as_the_request_says_else_as_the_query_does_else_as_the_caller_likes() {
    let lab = Lab::new().await;
    let body = json!({
        "name": "By name", "class_name": "fvBD", "apic_connection": lab.connection, "key_fields": ["name"],
    });
    let by_name = save(&lab.server, &lab.root, &body).await;
    let mut pairs = Vec::new();
    for query in [lab.query, by_name] {
        pairs.push(vec![lab.capture(json!({ "saved_query": query })).await["id"].clone()]);
    }
    lab.set(&lab.some_dn().await, &json!({ "descr": "changed" }));
    for (pair, query) in pairs.iter_mut().zip([lab.query, by_name]) {
        pair.push(lab.capture(json!({ "saved_query": query })).await["id"].clone());
    }
    let counts = async |pair: &[Value], more: Value| {
        let mut body = json!({ "snapshot_a": pair[0], "snapshot_b": pair[1] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let found = lab.post("compare/", &body).await;
        assert_eq!(found.status, 200, "{}", found.text);
        ["added", "removed", "changed"].map(|name| found.body["summary"][name].as_u64().unwrap())
    };
    let (by_dn, by_name) = (&pairs[0][..], &pairs[1][..]);

    assert_eq!(counts(by_dn, json!({})).await, [0, 0, 1]);
    choose(&lab, "settings/", &json!({ "diff_key_strategy": "hash" })).await;
    assert_eq!(counts(by_dn, json!({})).await, [1, 1, 0], "as the caller likes");
    assert_eq!(counts(by_dn, json!({ "key_strategy": "auto" })).await, [0, 0, 1], "as the request says");
    assert_eq!(counts(by_dn, json!({ "key_fields": ["dn"] })).await, [0, 0, 1], "by columns");
    assert_eq!(counts(by_name, json!({})).await, [0, 0, 1], "as the query says");
    assert_eq!(counts(by_name, json!({ "key_strategy": "hash" })).await, [1, 1, 0]);
}

#[tokio::test]
async fn the_daily_cleanup_can_be_switched_off_and_the_one_by_hand_not() {
    let lab = Lab::new().await;
    lab.capture(json!({ "retention_policy": "7d" })).await;
    choose(&lab, "settings/global/", &json!({ "auto_cleanup_enabled": false })).await;
    lab.server.clock.advance(9 * DAY);
    let root = lab.server.login("root").await.0;
    let count = async || {
        let path = format!("{API}snapshots/?saved_query={}", lab.query);
        lab.server.get(&path).token(&root).send().await.body["count"].clone()
    };

    run_jobs(&lab.server.state).await;
    assert_eq!(count().await, 1);
    let done = lab.server.post(&format!("{API}cleanup/execute/")).token(&root).json(&json!({})).send().await;
    assert_eq!((done.status, &done.body["will_delete"]["7d"]), (200, &json!(1)), "{}", done.text);
    assert_eq!(count().await, 0);
}
