//! What is documented of snapshots and comparisons, down to the fields.

use serde_json::{Value, json};

use super::{API, Lab};

/// Fails where an object lacks one of these members.
#[track_caller]
fn assert_has(object: &Value, names: &[&str]) {
    for name in names {
        assert!(object.get(name).is_some(), "{name} is in {object}");
    }
}

const CAPTURED: [&str; 11] = [
    "id",
    "saved_query",
    "apic_connection",
    "captured_at",
    "captured_by",
    "row_count",
    "version_hash",
    "size_bytes",
    "retention_policy",
    "expires_at",
    "annotation",
];
const BESIDES: [&str; 9] = [
    "label",
    "has_changes",
    "apic_connection_name",
    "execution_type",
    "execution_time_ms",
    "query_version",
    "query_name",
    "verdict",
    "key_strategy",
];

#[tokio::test]
async fn captures_items_and_details_have_every_documented_field() {
    let lab = Lab::new().await;

    let captured = lab.capture(json!({ "retention_policy": "forever" })).await;
    let listed = lab.get(&format!("snapshots/?saved_query={}", lab.query)).await.body["results"][0].clone();
    let shown = lab.get(&format!("snapshots/{}/", captured["id"].as_str().unwrap())).await.body;

    assert_has(&captured, &[&CAPTURED[..], &BESIDES, &["is_duplicate", "previous_snapshot_id"]].concat());
    assert_has(&listed, &[&CAPTURED[..], &BESIDES].concat());
    assert_has(&shown, &[&CAPTURED[..], &BESIDES, &["columns", "rows"]].concat());
    assert_eq!((&captured["expires_at"], &captured["annotation"]), (&Value::Null, &Value::Null));
    for name in CAPTURED {
        assert_eq!((&listed[name], &shown[name]), (&captured[name], &captured[name]), "{name}");
    }
    let hash = captured["version_hash"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let id = captured["id"].as_str().unwrap();
    assert_eq!((id, id.len()), (&*id.to_lowercase(), 36));
}

#[tokio::test]
async fn a_year_has_365_days_and_other_policies_theirs() {
    let lab = Lab::new().await;
    for (policy, expires_at) in [
        ("7d", json!("2026-03-09T12:00:00+00:00")),
        ("30d", json!("2026-04-01T12:00:00+00:00")),
        ("90d", json!("2026-05-31T12:00:00+00:00")),
        ("1y", json!("2027-03-02T12:00:00+00:00")),
        ("forever", Value::Null),
    ] {
        let captured = lab.try_capture(json!({ "retention_policy": policy })).await;
        assert_eq!((captured.status, &captured.body["expires_at"]), (201, &expires_at), "{policy}");
    }
}

#[tokio::test]
async fn a_comparison_has_every_documented_field() {
    let lab = Lab::new().await;
    let older = lab.capture(json!({})).await;
    let dn = lab.some_dn().await;
    lab.set(&dn, &json!({ "descr": "changed" }));
    lab.set("uni/tn-common/BD-new", &json!({ "name": "new" }));
    let newer = lab.capture(json!({})).await;
    let body = json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"], "severity": true });

    let found = lab.post("compare/", &body).await.body;

    assert_has(
        &found,
        &["snapshot_a", "snapshot_b", "identical", "warnings", "summary", "added", "removed", "changed"],
    );
    let counts = ["added", "removed", "changed", "unchanged", "duplicate_keys", "unkeyed", "risk_score", "risk_level"];
    assert_has(&found["summary"], &counts);
    assert_has(&found["snapshot_a"], &["id", "captured_at", "row_count", "query_version"]);
    assert_has(&found["changed"][0], &["key", "fields", "severity", "reason"]);
    assert_has(&found["added"][0], &["row", "severity", "reason"]);
    // Clients of before know the rows by themselves.
    let plain = lab.post("compare/", &json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"] })).await.body;
    assert_eq!(plain["added"][0]["dn"], "uni/tn-common/BD-new", "{plain}");
}

#[tokio::test]
async fn a_snapshot_is_packed_for_who_takes_it() {
    let lab = Lab::new().await;
    let captured = lab.capture(json!({})).await;
    let path = format!("{API}snapshots/{}/", captured["id"].as_str().unwrap());
    let plain = lab.server.get(&path).token(&lab.root).send().await;
    for encoding in ["gzip", "zstd"] {
        let packed = lab.server.get(&path).token(&lab.root).header("accept-encoding", encoding).send().await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, encoding));
        assert!(packed.text.len() < plain.text.len() / 2, "{encoding}: {}", packed.text.len());
    }
}

#[tokio::test]
async fn ids_of_queries_and_connections_may_be_written_as_text() {
    let lab = Lab::new().await;
    let body = json!({ "saved_query": lab.query.to_string(), "apic_connection": lab.connection.to_string() });

    let captured = lab.post("capture/", &body).await;

    assert_eq!(captured.status, 201, "{}", captured.text);
    assert_eq!(
        (&captured.body["saved_query"], &captured.body["apic_connection"]),
        (&json!(lab.query), &json!(lab.connection))
    );
}

#[tokio::test]
async fn comparing_annotating_and_settings_are_audited() {
    let lab = Lab::new().await;
    let captured = lab.capture(json!({})).await;
    let id = captured["id"].as_str().unwrap();
    assert_eq!(lab.post("compare/", &json!({ "snapshot_a": id, "snapshot_b": id })).await.status, 200);
    assert_eq!(lab.post(&format!("snapshots/{id}/annotate/"), &json!({ "annotation": "x" })).await.status, 200);
    for (path, body) in
        [("settings/", json!({ "diff_key_strategy": "dn" })), ("settings/global/", json!({ "keep_newest": true }))]
    {
        let changed = lab.server.call("PATCH", &format!("{API}{path}")).token(&lab.root).json(&body).send().await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }

    let actions = lab.actions().await;

    for action in [
        "time_machine_snapshot_captured",
        "time_machine_snapshots_compared",
        "time_machine_snapshot_annotated",
        "time_machine_settings_updated",
    ] {
        assert!(actions.iter().any(|one| one == action), "{action}: {actions:?}");
    }
}
