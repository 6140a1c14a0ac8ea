//! Lists, details, timelines and searches.

use serde_json::{Value, json};

use super::{API, HOUR, Lab, connect};

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let lab = Lab::new().await;
    let dn = {
        lab.capture(json!({ "annotation": "Before the VRF move", "label": "baseline" })).await;
        lab.some_dn().await
    };
    lab.set(&dn, &json!({ "descr": "b" }));
    lab.capture(json!({ "annotation": "after" })).await;
    lab.server.clock.advance(24 * HOUR);
    lab.capture(json!({})).await;
    let query = lab.query;
    let list = async |rest: &str| {
        let reply = lab.get(&format!("snapshots/?saved_query={query}&{rest}")).await;
        assert_eq!(reply.status, 200, "{rest}: {}", reply.text);
        reply.body
    };
    let times = async |rest: &str| -> Vec<String> {
        let page = list(rest).await;
        page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["captured_at"].as_str().unwrap()[5..16].to_owned())
            .collect()
    };
    let (one, two, three) = ("03-02T12:00", "03-02T13:00", "03-03T14:00");

    assert_eq!(times("").await, [three, two, one]);
    assert_eq!(times("ordering=captured_at").await, [one, two, three]);
    assert_eq!(times("has_changes=true").await, [two]);
    assert_eq!(times("label=baseline").await, [one]);
    assert_eq!(times("search=vrf+BEFORE").await, [one]);
    assert_eq!(times("date=2026-03-02").await, [two, one]);
    assert_eq!(times("date=2026-03-03&timezone=Pacific/Auckland").await, [two, one]);
    assert_eq!(times("from_date=2026-03-02T13:00:00Z").await, [three, two]);
    assert_eq!(times("to_date=2026-03-02").await, [two, one]);
    assert_eq!(times("at=-1d").await, [two]);
    assert_eq!(times("at=latest~1").await, [two]);
    assert_eq!(times("at=2026-03-02T12:30:00Z").await, [one]);
    assert_eq!(times("at=2026-03-01T12:30:00Z").await, Vec::<String>::new());
    assert_eq!(times(&format!("apic_connection={}", lab.connection)).await.len(), 3);
    assert_eq!(times("apic_connection=9999").await.len(), 0);
    let page = list("page_size=2&page=2").await;
    assert_eq!(
        (&page["count"], &page["next"], page["results"].as_array().unwrap().len()),
        (&json!(3), &Value::Null, 1)
    );
    assert!(page["previous"].as_str().unwrap().starts_with("http://fab.lab/api/time-machine/snapshots/?"), "{page}");
    assert!(page["results"][0].get("rows").is_none());
    for (rest, field) in [
        ("date=tomorrow", "date"),
        ("date=2026-03-02&timezone=Mars", "timezone"),
        ("from_date=x", "from_date"),
        ("from_date=2026-03-03&to_date=2026-03-02", "from_date"),
        ("has_changes=perhaps", "has_changes"),
        ("at=soon", "at"),
    ] {
        let refused = lab.get(&format!("snapshots/?saved_query={query}&{rest}")).await;
        assert_eq!(refused.status, 400, "{rest}: {}", refused.text);
        assert!(refused.body.get(field).is_some(), "{rest}: {}", refused.text);
    }
    assert_eq!(lab.get(&format!("snapshots/?saved_query={query}&page=9")).await.status, 404);
    assert_eq!(lab.get("snapshots/").await.status, 400);
    assert_eq!(lab.get("snapshots/?saved_query=x").await.status, 400);
    assert_eq!(lab.get("snapshots/?saved_query=9999").await.status, 404);

    let histories = lab.get("queries/").await.body;
    let expected = json!({
        "id": query, "name": "All BDs", "snapshot_count": 3, "latest_snapshot_at": "2026-03-03T14:00:00+00:00",
        "last_change_at": "2026-03-02T13:00:00+00:00", "connections": [lab.connection],
        "connection_names": [lab.connection.to_string()], "series": query.to_string(), "changed_24h": 0,
    });
    assert_eq!(histories, json!({ "queries": [expected] }));
}

#[tokio::test]
async fn a_snapshot_has_many_names_and_forms() {
    let lab = Lab::new().await;
    let first = lab.capture(json!({ "annotation": "x" })).await;
    let dn = lab.some_dn().await;
    lab.set(&dn, &json!({ "descr": "=1+1" }));
    let second = lab.capture(json!({})).await;
    let (id, rows) = (second["id"].as_str().unwrap(), second["row_count"].as_u64().unwrap());
    let query = lab.query;
    for (name, found) in [
        (id.to_uppercase(), &second),
        (id.replace('-', ""), &second),
        (format!("{query}@latest"), &second),
        (format!("{query}@latest~1"), &first),
        (format!("{query}@{}@latest", lab.connection), &second),
        (format!("{query}@-90m"), &first),
        (format!("{query}@2026-03-02T12:10:00Z"), &first),
    ] {
        let shown = lab.get(&format!("snapshots/{name}/")).await;
        assert_eq!((shown.status, &shown.body["id"]), (200, &found["id"]), "{name}: {}", shown.text);
        let head = lab.get(&format!("snapshots/{name}/head/")).await;
        assert_eq!(head.status, 200, "{name}: {}", head.text);
        for (member, value) in head.body.as_object().unwrap() {
            assert_eq!(value, &shown.body[member], "{name}: {member}");
        }
        assert!(head.body.get("rows").is_none());
    }
    for name in ["x", "5b9f", "00000000-0000-7000-8000-000000000000", &format!("{query}@latest~9"), "9999@latest"] {
        for form in ["", "head/", "dns/"] {
            assert_eq!(lab.get(&format!("snapshots/{name}/{form}")).await.status, 404, "{name}/{form}");
        }
    }
    assert_eq!(lab.get(&format!("snapshots/{query}@soon/")).await.status, 400);

    let path = format!("{API}snapshots/{id}/");
    let json_form = lab.server.get(&path).token(&lab.root).send().await;
    let all = json_form.body["rows"].as_array().unwrap();
    assert_eq!(all.len() as u64, rows);
    assert!(json_form.text.trim_end().ends_with("}]}"), "the rows come last");
    assert_eq!(&json_form.body["columns"][0], "dn");
    let columns: std::collections::BTreeSet<&String> =
        all.iter().flat_map(|row| row.as_object().unwrap().keys()).collect();
    assert_eq!(json_form.body["columns"].as_array().unwrap().len(), columns.len());

    let lines = lab.server.get(&path).token(&lab.root).header("accept", "application/x-ndjson").send().await;
    let parsed: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&parsed, lines.header("content-type")), (all, "application/x-ndjson"));
    let pressed = lab.server.get(&path).token(&lab.root).header("accept", "application/x-ndjson");
    let pressed = pressed.header("accept-encoding", "gzip").send().await;
    assert_eq!((pressed.status, pressed.header("content-encoding")), (200, "gzip"));
    let csv = lab.server.get(&path).token(&lab.root).header("accept", "text/csv").send().await;
    assert_eq!(csv.text.lines().count() as u64, rows + 1);
    assert!(csv.text.starts_with("dn,className,") && csv.text.contains("'=1+1"), "{}", &csv.text[..200]);
    let raw = lab.get(&format!("snapshots/{id}/?format=raw")).await.body;
    assert_eq!(raw["totalCount"], rows.to_string());
    assert!(raw["imdata"][0]["fvBD"]["attributes"]["dn"].is_string(), "{raw}");
    assert!(raw["imdata"][0]["fvBD"]["attributes"].get("className").is_none());
    assert_eq!(lab.get(&format!("snapshots/{id}/?format=xml")).await.status, 400);

    // Tags are strong, differ by form, and hold until what they name changes.
    let tag = json_form.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag != lines.header("etag"));
    let known = |tag: &str| lab.server.get(&path).token(&lab.root).header("if-none-match", tag);
    let unchanged = known(&tag).send().await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", &*tag));
    let annotated = lab.post(&format!("snapshots/{id}/annotate/"), &json!({ "annotation": "y", "label": "l" })).await;
    assert_eq!(annotated.body, json!({ "id": id, "annotation": "y", "label": "l", "pinned": false }));
    assert_eq!(known(&tag).send().await.status, 200);
    let lines_again = known(lines.header("etag")).header("accept", "application/x-ndjson").send().await;
    assert_eq!(lines_again.status, 304);
    let hash = lab.get(&format!("snapshots/{id}/")).await.body["version_hash"].clone();
    assert_eq!(hash, second["version_hash"]);
    let cleared = lab.post(&format!("snapshots/{id}/annotate/"), &json!({ "annotation": null, "label": "" })).await;
    assert_eq!(cleared.body, json!({ "id": id, "annotation": null, "label": null, "pinned": false }));
    for body in [json!({}), json!({ "annotation": "a".repeat(10_001) }), json!({ "label": "a".repeat(101) })] {
        assert_eq!(lab.post(&format!("snapshots/{id}/annotate/"), &body).await.status, 400);
    }
}

#[tokio::test]
async fn timelines_and_heatmaps_keep_their_rules() {
    let lab = Lab::new().await;
    let query = lab.query;
    let empty = lab.get(&format!("timeline/?saved_query_id={query}&dn=uni")).await.body;
    assert_eq!((&empty["snapshot_count"], &empty["points"]), (&json!(0), &json!([])));
    let heatmap = lab.get(&format!("heatmap/?saved_query={query}")).await.body;
    assert_eq!((&heatmap["window"], heatmap["days"].as_array().unwrap().len()), (&json!("30d"), 30));

    let dn = "uni/tn-common/BD-mine";
    lab.capture(json!({})).await;
    lab.set(dn, &json!({ "name": "mine" }));
    lab.capture(json!({})).await;
    lab.simulator.delete(dn).unwrap();
    lab.capture(json!({})).await;
    let ask = async |rest: &str| lab.get(&format!("timeline/?saved_query_id={query}&dn={dn}&{rest}")).await;
    let whole = ask("").await.body;
    let present: Vec<_> = whole["points"].as_array().unwrap().iter().map(|point| point["present"].clone()).collect();
    assert_eq!(present, [false, true, false]);
    assert_eq!(whole["points"][0]["attributes"], json!({}));
    let events: Vec<_> = whole["lifecycle"].as_array().unwrap().iter().map(|one| one["event"].clone()).collect();
    assert_eq!(events, ["created", "deleted"]);
    assert_eq!(ask("limit=2").await.body["snapshot_count"], 2);
    assert_eq!(ask("limit=9999").await.body["snapshot_count"], 3);
    assert_eq!(ask("from_date=2026-03-02T13:00:00Z&to_date=2026-03-02T13:00:00Z").await.body["snapshot_count"], 1);
    for (rest, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("from_date=x", "from_date"),
        ("from_date=2026-03-03&to_date=2026-03-02", "from_date"),
    ] {
        let refused = ask(rest).await;
        assert_eq!(refused.status, 400, "{rest}");
        assert!(refused.body.get(field).is_some(), "{rest}: {}", refused.text);
    }
    for path in ["timeline/?dn=uni", "timeline/?saved_query_id=1", "heatmap/", "heatmap/?saved_query=1&window=0d"] {
        assert_eq!(lab.get(path).await.status, 400, "{path}");
    }
    for window in ["367d", "53w", "2y", "d", "x"] {
        let refused = lab.get(&format!("heatmap/?saved_query={query}&window={window}")).await;
        assert!(refused.status == 400 && refused.body.get("window").is_some(), "{window}: {}", refused.text);
    }
    let zone = lab.get(&format!("heatmap/?saved_query={query}&timezone=Mars")).await;
    assert!(zone.body.get("timezone").is_some(), "{}", zone.text);
    assert_eq!(lab.get("heatmap/?saved_query=9999").await.status, 404);

    // Two fabrics mix, and the answer says so.
    let other = connect(&lab.server, &lab.root, &lab.simulator, "Other").await;
    lab.capture(json!({ "apic_connection": other })).await;
    assert_eq!(ask("").await.body["connections"], json!([lab.connection, other]));
    assert_eq!(ask(&format!("apic_connection={other}")).await.body["snapshot_count"], 1);
}

#[tokio::test]
async fn dns_are_found_by_a_part_of_them() {
    let lab = Lab::new().await;
    let path = format!("saved-queries/{}/dns/", lab.query);
    let none = lab.get(&path).await.body;
    assert_eq!(none, json!({ "dns": [], "count": 0, "total_matches": 0, "truncated": false }));
    lab.set("uni/tn-common/BD-MiXed", &json!({ "name": "MiXed" }));
    let captured = lab.capture(json!({})).await;
    let rows = captured["row_count"].as_u64().unwrap();

    let found = lab.get(&format!("{path}?q=bd-mIx")).await.body;
    let expected = json!([{ "dn": "uni/tn-common/BD-MiXed", "className": "fvBD" }]);
    assert_eq!((&found["dns"], &found["count"], &found["truncated"]), (&expected, &json!(1), &json!(false)));
    let all = lab.get(&path).await.body;
    assert_eq!((&all["total_matches"], all["count"].as_u64().unwrap()), (&json!(rows), rows.min(50)));
    assert_eq!(lab.get(&format!("{path}?limit=1")).await.body["count"], 1);
    assert_eq!(lab.get(&format!("{path}?limit=9999")).await.body["count"], rows.min(200));
    for rest in ["limit=0", "limit=x", "at=soon"] {
        assert_eq!(lab.get(&format!("{path}?{rest}")).await.status, 400, "{rest}");
    }
    lab.simulator.delete("uni/tn-common/BD-MiXed").unwrap();
    lab.capture(json!({})).await;
    assert_eq!(lab.get(&format!("{path}?q=MIX")).await.body["count"], 0);
    assert_eq!(lab.get(&format!("{path}?q=MIX&at=latest~1")).await.body["count"], 1);
    let of_one = format!("snapshots/{}/dns/", captured["id"].as_str().unwrap());
    assert_eq!(lab.get(&format!("{of_one}?q=mix")).await.body["dns"], expected);
    assert_eq!(lab.get(&format!("{of_one}?limit=0")).await.status, 400);
    assert_eq!(lab.get("saved-queries/9999/dns/").await.status, 404);
}
