//! Who may see and do what.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{TimeZone, Utc};
use fabrik_core::store::MemoryStore;
use fabrik_core::{CaptureOptions, RowBatch, RowBatchBuilder, SnapshotId, Source, Verdict};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{API, Lab, save};
use crate::server::Server;

#[tokio::test]
async fn who_does_not_see_the_query_does_not_see_its_snapshots() {
    let lab = Lab::new().await;
    let snapshot = lab.capture(json!({})).await;
    let id = snapshot["id"].as_str().unwrap();
    let mara = lab.server.token("mara", false).await;
    let query = lab.query;
    let paths = [
        format!("snapshots/?saved_query={query}"),
        format!("snapshots/{id}/"),
        format!("snapshots/{query}@latest/"),
        format!("heatmap/?saved_query={query}"),
        format!("timeline/?saved_query_id={query}&dn=uni"),
        format!("saved-queries/{query}/dns/"),
        format!("cleanup/preview/?saved_query={query}"),
    ];
    for path in &paths {
        let mine = lab.get(path).await;
        let theirs = lab.server.get(&format!("{API}{path}")).token(&mara).send().await;
        assert_eq!((mine.status, theirs.status), (200, 404), "{path}: {}", mine.text);
    }
    for (path, body) in [
        ("compare/", json!({ "snapshot_a": id, "snapshot_b": id })),
        (&*format!("snapshots/{id}/annotate/"), json!({ "annotation": "x" })),
    ] {
        let theirs = lab.server.post(&format!("{API}{path}")).token(&mara).json(&body).send().await;
        assert_eq!(theirs.status, 404, "{path}");
    }
    let theirs = lab.server.get(&format!("{API}queries/")).token(&mara).send().await;
    assert_eq!(theirs.body, json!({ "queries": [] }));
    let preview = lab.server.get(&format!("{API}cleanup/preview/")).token(&mara).send().await;
    assert_eq!((preview.status, &preview.body["doomed"]), (200, &json!([])));
    let execute = lab.server.post(&format!("{API}cleanup/execute/")).token(&mara).json(&json!({})).send().await;
    assert_eq!(execute.status, 403);

    // Once it is public they see it, and still may not change what is said about it.
    let path = format!("/api/queries/saved-queries/{query}/");
    let shared = lab.server.call("PATCH", &path).token(&lab.root).json(&json!({ "is_public": true })).send().await;
    assert_eq!(shared.status, 200, "{}", shared.text);
    for path in paths.iter().filter(|path| !path.contains("cleanup")) {
        assert_eq!(lab.server.get(&format!("{API}{path}")).token(&mara).send().await.status, 200, "{path}");
    }
    let annotate = format!("{API}snapshots/{id}/annotate/");
    let refused = lab.server.post(&annotate).token(&mara).json(&json!({ "annotation": "x" })).send().await;
    assert_eq!(refused.status, 403);
    // What they captured themselves is theirs to annotate.
    let body = json!({ "saved_query": query });
    let own = lab.server.post(&format!("{API}capture/")).token(&mara).json(&body).send().await;
    assert_eq!((own.status, &own.body["captured_by"]), (201, &json!("mara")), "{}", own.text);
    let annotate = format!("{API}snapshots/{}/annotate/", own.body["id"].as_str().unwrap());
    let taken = lab.server.post(&annotate).token(&mara).json(&json!({ "annotation": "mine" })).send().await;
    assert_eq!((taken.status, &taken.body["annotation"]), (200, &json!("mine")));
}

#[tokio::test]
async fn snapshots_of_no_saved_query_are_for_administrators() {
    let lab = Lab::new().await;
    let snapshot = lab.capture(json!({})).await;
    let id = snapshot["id"].as_str().unwrap();
    let path = format!("/api/queries/saved-queries/{}/", lab.query);
    assert_eq!(lab.server.call("DELETE", &path).token(&lab.root).send().await.status, 204);
    let mara = lab.server.token("mara", false).await;

    let shown = lab.get(&format!("snapshots/{id}/")).await;
    assert_eq!((shown.status, &shown.body["saved_query"]), (200, &Value::Null), "{}", shown.text);
    assert_eq!(lab.server.get(&format!("{API}snapshots/{id}/")).token(&mara).send().await.status, 404);
}

#[tokio::test]
async fn a_group_without_the_time_machine_is_kept_out() {
    let lab = Lab::new().await;
    let mara = lab.server.user("mara", false).await;
    let group = json!({ "name": "Without", "member_ids": [mara] });
    let group = lab.server.post("/api/auth/groups/").token(&lab.root).json(&group).send().await;
    assert_eq!(group.status, 201, "{}", group.text);
    let path = format!("/api/auth/groups/{}/quota/", group.body["id"]);
    let switch = json!({ "can_use_time_machine": false });
    let switched = lab.server.call("PUT", &path).token(&lab.root).json(&switch).send().await;
    assert_eq!(switched.status, 200, "{}", switched.text);
    let add = format!("/api/auth/management/{mara}/");
    let add = lab.server.call("PATCH", &add).token(&lab.root).json(&json!({ "group_ids": [group.body["id"]] }));
    assert_eq!(add.send().await.status, 200);
    let mara = lab.server.login("mara").await.0;

    for path in ["queries/", "settings/", "snapshots/?saved_query=1", "heatmap/?saved_query=1", "cleanup/preview/"] {
        let refused = lab.server.get(&format!("{API}{path}")).token(&mara).send().await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
        assert!(refused.body["detail"].as_str().unwrap().contains("can_use_time_machine"), "{}", refused.text);
    }
    let capture = lab.server.post(&format!("{API}capture/")).token(&mara).json(&json!({ "saved_query": 1 }));
    assert_eq!(capture.send().await.status, 403);
}

#[tokio::test]
async fn typing_is_not_throttled_and_everything_else_is() {
    let lab =
        Lab::of(crate::server::Server::with(&[("rate_limit.zone_api", "20/min"), ("rate_limit.user", "20/min")]).await)
            .await;
    lab.server.clock.advance(super::HOUR);
    let path = format!("{API}saved-queries/{}/dns/", lab.query);
    for _ in 0..40 {
        assert_eq!(lab.server.get(&path).token(&lab.root).send().await.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(lab.get("queries/").await.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(lab.server.get(&path).send().await.status, 401);
}

#[tokio::test]
async fn a_query_with_another_series_shows_the_history_that_lies_there() {
    let lab = Lab::new().await;
    lab.capture(json!({})).await;
    let body =
        json!({ "name": "Adopted", "class_name": "fvBD", "apic_connection": lab.connection, "series": "bd-health" });
    let adopted = save(&lab.server, &lab.root, &body).await;
    let captured = lab.post("capture/", &json!({ "saved_query": adopted })).await;
    assert_eq!(captured.status, 201, "{}", captured.text);

    let list = lab.get(&format!("snapshots/?saved_query={adopted}")).await.body;
    assert_eq!((&list["count"], &list["results"][0]["saved_query"]), (&json!(1), &json!(adopted)));
    assert_eq!(list["results"][0]["query_name"], "Adopted");
    let latest = lab.get(&format!("snapshots/{adopted}@latest/")).await.body;
    assert_eq!(latest["id"], captured.body["id"]);
    let by_series = lab.get("snapshots/bd-health@latest/").await.body;
    assert_eq!((&by_series["id"], &by_series["saved_query"]), (&captured.body["id"], &json!(adopted)));
}

#[tokio::test]
async fn series_of_no_saved_query_are_listed_for_administrators_and_adopted() {
    let store = Arc::new(MemoryStore::default());
    let lab = Lab::of(Server::on(Arc::clone(&store) as _).await).await;
    let capture = async |name: &str, connection: &str, day: u32| {
        let mut rows = RowBatchBuilder::default();
        rows.push_json(&format!(r#"{{"dn":"uni/tn-{name}","v":{day}}}"#)).unwrap();
        let at = Utc.with_ymd_and_hms(2026, 2, day, 8, 0, 0).unwrap();
        let mut options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), name, at);
        options.connection = Some(connection.to_owned());
        fabrik_core::capture(&*store, &mut Rows(Some(rows.take())), &options).await.unwrap();
    };
    capture("bd-health", "lab", 1).await;
    capture("bd-health", "lab", 2).await;
    lab.capture(json!({})).await;
    let shown = lab.get("snapshots/bd-health@latest/").await.body;
    assert_eq!(
        (&shown["columns"], &shown["rows"]),
        (&json!(["dn", "v"]), &json!([{ "dn": "uni/tn-bd-health", "v": 2 }])),
        "columns that nobody noted"
    );
    let mara = lab.server.token("mara", false).await;
    let ad_hoc = async || lab.get("queries/?ad_hoc=true").await.body["queries"].clone();

    let found = ad_hoc().await;

    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let one = &found[0];
    assert_eq!((&one["id"], &one["series"], &one["name"]), (&Value::Null, &json!("bd-health"), &json!("bd-health")));
    assert_eq!((&one["snapshot_count"], &one["connection_names"]), (&json!(2), &json!(["lab"])));
    let theirs = lab.server.get(&format!("{API}queries/?ad_hoc=true")).token(&mara).send().await;
    assert_eq!(theirs.status, 403, "{}", theirs.text);
    let known = lab.get("queries/").await.body["queries"].clone();
    assert_eq!((known.as_array().unwrap().len(), &known[0]["id"]), (1, &json!(lab.query)));

    // A query with snapshots of its own would lose them; one without takes the history over.
    let adopt = async |token: &str, query: i64, series: Value| {
        let path = format!("/api/queries/saved-queries/{query}/");
        lab.server.call("PATCH", &path).token(token).json(&json!({ "series": series })).send().await
    };
    let refused = adopt(&lab.root, lab.query, json!("bd-health")).await;
    assert_eq!((refused.status, refused.body["series"].is_array()), (400, true), "{}", refused.text);
    assert_eq!(adopt(&lab.root, lab.query, json!(lab.query.to_string())).await.status, 200, "it has it already");
    let body = json!({ "name": "Health", "class_name": "fvBD", "apic_connection": lab.connection });
    let health = save(&lab.server, &lab.root, &body).await;
    assert_eq!(adopt(&lab.root, health, json!("bd-health")).await.status, 200);
    assert_eq!(ad_hoc().await, json!([]));
    let list = lab.get(&format!("snapshots/?saved_query={health}")).await.body;
    assert_eq!((&list["count"], &list["results"][0]["saved_query"]), (&json!(2), &json!(health)));

    // The history of a query that was deleted can be adopted by its number, that of a query that is there cannot.
    let path = format!("/api/queries/saved-queries/{}/", lab.query);
    assert_eq!(lab.server.call("DELETE", &path).token(&lab.root).send().await.status, 204);
    assert_eq!(ad_hoc().await[0]["series"], lab.query.to_string());
    let heir = save(&lab.server, &lab.root, &json!({ "name": "Heir", "class_name": "fvBD" })).await;
    for taken in [json!(health.to_string()), json!("bd-health"), json!("4711"), json!("01")] {
        assert_eq!(adopt(&lab.root, heir, taken.clone()).await.status, 400, "{taken}");
    }
    assert_eq!(adopt(&lab.root, heir, json!(lab.query.to_string())).await.status, 200);
    assert_eq!(lab.get(&format!("snapshots/?saved_query={heir}")).await.body["count"], 1);
}

/// Rows that are there already.
#[derive(Debug)]
struct Rows(Option<RowBatch>);

#[async_trait]
impl Source for Rows {
    async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
        Ok(self.0.take())
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }
}

#[tokio::test]
async fn a_preview_of_a_cleanup_is_of_the_own_queries_and_of_all_for_administrators() {
    let lab = Lab::new().await;
    let mara_id = lab.server.user("mara", false).await;
    let found =
        lab.server.get("/api/auth/permissions/?page_size=200&search=queries.").token(&lab.root).send().await.body;
    let ids: Vec<_> = found["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let path = format!("/api/auth/management/{mara_id}/");
    let granted = lab.server.call("PATCH", &path).token(&lab.root).json(&json!({ "permission_ids": ids })).send().await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let mara = lab.server.login("mara").await.0;
    let body = json!({ "name": "Of Mara", "class_name": "fvCtx", "apic_connection": lab.connection });
    let own = save(&lab.server, &mara, &body).await;
    let path = format!("/api/queries/saved-queries/{}/", lab.query);
    let shared = lab.server.call("PATCH", &path).token(&lab.root).json(&json!({ "is_public": true })).send().await;
    assert_eq!(shared.status, 200);
    let theirs = lab.capture(json!({ "retention_policy": "7d" })).await;
    let hers = lab.capture(json!({ "saved_query": own, "retention_policy": "7d" })).await;
    lab.server.clock.advance(8 * super::DAY);
    let mara = lab.server.login("mara").await.0;
    let preview = async |token: &str, query: &str| {
        let reply = lab.server.get(&format!("{API}cleanup/preview/{query}")).token(token).send().await;
        let doomed = reply.body["doomed"].as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = doomed.iter().map(|one| one["snapshot_id"].clone()).collect();
        (reply.status, reply.body["will_delete"]["7d"].as_u64(), ids)
    };

    assert_eq!(preview(&lab.root, "").await, (200, Some(2), vec![theirs["id"].clone(), hers["id"].clone()]));
    assert_eq!(preview(&mara, "").await, (200, Some(1), vec![hers["id"].clone()]));
    assert_eq!(preview(&mara, &format!("?saved_query={own}")).await, (200, Some(1), vec![hers["id"].clone()]));
    // To see what somebody shares is not to see what becomes of it.
    assert_eq!(preview(&mara, &format!("?saved_query={}", lab.query)).await.0, 404);
}
