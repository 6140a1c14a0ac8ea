//! What a store says of the past: queries, snapshots, timeline, heatmap, DNs, annotations, statistics.

use serde_json::json;

use crate::folder::{Folder, answer};

fn folder() -> Folder {
    Folder::with_captures(&[
        &answer(&[("db", "no")]),
        &answer(&[("app", "no"), ("db", "no")]),
        &answer(&[("db", "no")]),
        &answer(&[("app", "yes"), ("db", "no")]),
    ])
}

#[test]
fn queries_are_listed_with_their_newest_snapshot() {
    let folder = folder();
    folder.write("rows.csv", "dn\na\n");
    folder.run(&["capture", "--query", "newer", "--from", "rows.csv", "--connection", "lab"]).done();

    let queries = folder.json(&["queries"]);

    assert_eq!(queries["queries"][0]["name"], "newer");
    assert_eq!(queries["queries"][0]["connections"], json!(["lab"]));
    assert_eq!(queries["queries"][1]["snapshot_count"], 4);
    assert_eq!(queries["queries"][1]["latest_snapshot_at"], "2026-01-04T08:00:00+00:00");
    let table = folder.run(&["queries", "--format", "table"]).done().stdout;
    assert!(table.lines().nth(2).unwrap().starts_with("q              4  2026-01-04 08:00:00Z"), "{table}");
}

#[test]
fn snapshots_are_listed_newest_first_and_by_connection() {
    let folder = folder();
    folder.write("rows.csv", "dn\na\n");
    folder.run(&["capture", "--query", "q", "--from", "rows.csv", "--connection", "lab"]).done();

    let all = folder.json(&["snapshots", "--query", "q"]);
    let of_lab = folder.json(&["snapshots", "--query", "q", "--connection", "lab"]);

    assert_eq!(all["count"], 5);
    assert_eq!(all["results"][1]["captured_at"], "2026-01-04T08:00:00+00:00");
    assert_eq!(of_lab["count"], 1);
    let table = folder.run(&["snapshots", "--query", "q", "--format", "table"]).done().stdout;
    assert!(table.contains("+1 -0 ~0"), "{table}");
    folder.run(&["snapshots", "--query", "q", "--connection", "prod"]).refused(1, &["\"prod\"", "lab"]);
}

#[test]
fn references_reach_every_snapshot() {
    let folder = folder();
    let rows_of = |reference: &str| {
        folder.json(&["show", reference, "--now", "2026-01-05T08:00:00Z"])["captured_at"].as_str().unwrap()[..10]
            .to_owned()
    };
    let id = folder.json(&["show", "q@latest~3"])["id"].as_str().unwrap().to_uppercase();

    assert_eq!(rows_of(&id), "2026-01-01");
    assert_eq!(rows_of("q@latest"), "2026-01-04");
    assert_eq!(rows_of("q@2026-01-02T12:00:00Z"), "2026-01-02");
    assert_eq!(rows_of("q@-2d"), "2026-01-03");
    assert_eq!(rows_of("q@-48h"), "2026-01-03");
}

#[test]
fn timeline_follows_an_object_through_its_absence() {
    let folder = folder();
    let arguments = ["timeline", "--query", "q", "--dn", "uni/tn-blue/BD-app"];

    let found = folder.json(&arguments);

    assert_eq!(found["snapshot_count"], 4);
    let present: Vec<bool> =
        found["points"].as_array().unwrap().iter().map(|point| point["present"].as_bool().unwrap()).collect();
    assert_eq!(present, [false, true, false, true]);
    assert_eq!(found["points"][2]["attributes"], json!({}));
    assert_eq!(found["attribute_evolution"][0]["attribute"], "arpFlood");
    assert_eq!(found["attribute_evolution"][0]["distinct_values"], json!(["no", "yes"]));
    assert_eq!(found["tracked_attributes"], json!(["arpFlood", "className", "dn", "name"]));
    let events: Vec<&str> =
        found["lifecycle"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["created", "deleted", "recreated"]);

    let table = folder.run(&[&arguments[..], &["--format", "table"]].concat()).done().stdout;
    assert!(table.ends_with("  created again\n    arpFlood  no → yes\n"), "{table}");
}

#[test]
fn timeline_keeps_to_its_range_and_limit() {
    let folder = folder();
    let count = |more: &[&str]| {
        let arguments = [&["timeline", "--query", "q", "--dn", "uni/tn-blue/BD-db"], more].concat();
        folder.json(&arguments)["snapshot_count"].clone()
    };

    assert_eq!(count(&["--limit", "2"]), 2);
    assert_eq!(count(&["--from-date", "2026-01-03"]), 2);
    assert_eq!(count(&["--from-date", "2026-01-02", "--to-date", "2026-01-02"]), 1);
    assert_eq!(count(&["--to-date", "2026-01-03T07:59:59Z"]), 2);
}

#[test]
fn heatmap_has_every_day_of_the_window() {
    let folder = folder();
    let arguments = ["heatmap", "--query", "q", "--window", "7d", "--now", "2026-01-05T12:00:00Z"];

    let found = folder.json(&arguments);

    assert_eq!(found["window"], "7d");
    let days = found["days"].as_array().unwrap();
    assert_eq!(days.len(), 7);
    assert_eq!(days[0]["date"], "2025-12-30");
    assert_eq!(days[3], json!({"date": "2026-01-02", "snapshot_count": 1, "change_score": 0.5, "has_changes": 1}));
    assert_eq!(days[6]["snapshot_count"], 0);

    let table = folder.run(&[&arguments[..], &["--format", "table"]].concat()).done().stdout;
    assert!(table.contains("\nThu .\n"), "{table}");
    assert!(table.contains("\nFri #\n"), "{table}");
}

#[test]
fn heatmap_days_are_those_of_the_time_zone() {
    let folder = folder();

    let found = folder.json(&[
        "heatmap",
        "--query",
        "q",
        "--window",
        "1d",
        "--timezone",
        "Pacific/Kiritimati",
        "--now",
        "2026-01-05T12:00:00Z",
    ]);

    assert_eq!(found["timezone"], "Pacific/Kiritimati");
    assert_eq!(found["days"][0]["date"], "2026-01-06");
}

#[test]
fn dns_finds_a_part_in_any_case() {
    let folder = folder();

    let found = folder.json(&["dns", "--query", "q", "--q", "bd-A"]);
    let all = folder.json(&["dns", "--query", "q", "--limit", "1"]);

    assert_eq!(
        found,
        json!({"dns": [{"dn": "uni/tn-blue/BD-app", "className": "fvBD"}], "count": 1, "total_matches": 1, "truncated": false})
    );
    assert_eq!(all["truncated"], true);
    let table = folder.run(&["dns", "--query", "q", "--limit", "1", "--format", "table"]).done().stdout;
    assert!(table.ends_with("1 of 2 that match\n"), "{table}");
}

#[test]
fn annotations_labels_and_pins_change_and_go() {
    let folder = folder();

    let set = folder.json(&["annotate", "q@latest", "looks fine", "--label", "baseline", "--pin"]);
    let cleared = folder.json(&["annotate", "q@latest", "", "--unpin"]);

    assert_eq!(
        (&set["annotation"], &set["label"], &set["pinned"]),
        (&json!("looks fine"), &json!("baseline"), &json!(true))
    );
    assert_eq!(
        (&cleared["annotation"], &cleared["label"], &cleared["pinned"]),
        (&json!(null), &json!("baseline"), &json!(false))
    );
    assert_eq!(set["version_hash"], cleared["version_hash"]);
    folder.run(&["annotate", "q@latest"]).refused(2, &["nothing to change"]);
}

#[test]
fn stats_counts_what_is_there() {
    let folder = folder();

    let stats = folder.json(&["stats"]);

    assert_eq!(stats["queries"], 1);
    assert_eq!(stats["snapshots"], 4);
    assert_eq!(stats["rows"], 6);
    assert!(stats["disk_bytes"].as_u64().unwrap() > 0);
    assert!(folder.run(&["stats", "--format", "table"]).done().stdout.contains("snapshots  4\n"));
}
