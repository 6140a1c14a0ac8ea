//! `fabrik compare`.

use serde_json::{Value, json};

use crate::folder::{Folder, answer};

const FIRST: &str = "q@latest~1";
const LAST: &str = "q@latest";

fn folder() -> Folder {
    Folder::with_captures(&[
        &answer(&[("app", "no"), ("db", "yes"), ("old", "no")]),
        &answer(&[("new", "no"), ("app", "yes"), ("db", "yes")]),
    ])
}

#[test]
fn json_has_the_shape_of_the_api() {
    let found = folder().json(&["compare", FIRST, LAST]);

    assert_eq!(found["snapshot_a"]["row_count"], 3);
    assert_eq!(found["identical"], false);
    assert_eq!(found["summary"]["added"], 1);
    assert_eq!(found["summary"]["removed"], 1);
    assert_eq!(found["summary"]["changed"], 1);
    assert_eq!(found["summary"]["unchanged"], 1);
    assert_eq!(
        found["added"],
        json!([{"arpFlood": "no", "className": "fvBD", "dn": "uni/tn-blue/BD-new", "name": "new"}])
    );
    assert_eq!(found["removed"][0]["dn"], "uni/tn-blue/BD-old");
    assert_eq!(
        found["changed"],
        json!([{"key": {"dn": "uni/tn-blue/BD-app"}, "fields": {"arpFlood": {"before": "no", "after": "yes"}}}])
    );
}

#[test]
fn ndjson_has_a_line_for_each_change_and_the_summary_last() {
    let run = folder().run(&["compare", FIRST, LAST, "--format", "ndjson"]).done();

    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, [&json!("changed"), &json!("added"), &json!("removed"), &Value::Null]);
    assert_eq!(lines[0]["key"], json!({"dn": "uni/tn-blue/BD-app"}));
    assert_eq!(lines[0]["fields"]["arpFlood"]["after"], "yes");
    assert_eq!(lines[1]["row"]["name"], "new");
    assert_eq!(lines[3]["summary"]["unchanged"], 1);
}

#[test]
fn table_groups_by_what_happened() {
    let run = folder().run(&["compare", FIRST, LAST, "--format", "table"]).done();

    let lines: Vec<&str> = run.stdout.lines().skip(2).collect();
    let expected = [
        "1 added, 1 removed, 1 changed, 1 unchanged",
        "+ uni/tn-blue/BD-new (fvBD)",
        "- uni/tn-blue/BD-old (fvBD)",
        "~ uni/tn-blue/BD-app (fvBD)",
        "    arpFlood  no → yes",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn markdown_is_a_report() {
    let run = folder().run(&["compare", FIRST, LAST, "--format", "markdown", "--ignore", "modTs"]).done();

    for part in [
        "# Changes in q\n",
        "| captured at | 2026-01-01 08:00:00Z | 2026-01-02 08:00:00Z |\n",
        "**1 added, 1 removed, 1 changed, 1 unchanged**\n",
        "Not shown: `modTs`\n",
        "## Added (1)\n\n| object | class |\n| --- | --- |\n| `uni/tn-blue/BD-new` | fvBD |\n",
        "| `uni/tn-blue/BD-app` | arpFlood | `no` | `yes` |\n",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is not in {}", run.stdout);
    }
}

#[test]
fn exit_code_tells_equal_from_different() {
    let folder = folder();

    assert_eq!(folder.run(&["compare", FIRST, LAST]).code, 0);
    assert_eq!(folder.run(&["compare", FIRST, LAST, "--exit-code"]).code, 3);
    assert_eq!(folder.run(&["compare", LAST, LAST, "--exit-code"]).code, 0);
    let hidden = ["compare", FIRST, LAST, "--exit-code", "--ignore", "dn:*"];
    assert_eq!(folder.run(&hidden).code, 0);
}

#[test]
fn ignored_changes_are_counted_as_hidden() {
    let found = folder().json(&["compare", FIRST, LAST, "--ignore", "fvBD.arpFlood", "--ignore", "*BD-old"]);
    let only_attribute = folder().json(&["compare", FIRST, LAST, "--ignore", "fvBD.arpFlood"]);

    assert_eq!(only_attribute["summary"]["hidden"], 1);
    assert_eq!(only_attribute["changed"], json!([]));
    // A pattern without a slash or `dn:` is one of attributes.
    assert_eq!(found["summary"]["removed"], 1);
}

#[test]
fn summary_gives_counts_without_lists() {
    let found = folder().json(&["compare", FIRST, LAST, "--summary"]);

    assert_eq!(found["summary"]["changed"], 1);
    assert_eq!(found.get("added"), None);
}

#[test]
fn keys_can_be_chosen() {
    let folder = folder();

    let by_field = folder.json(&["compare", FIRST, LAST, "--key-fields", "arpFlood,name"]);
    let by_hash = folder.json(&["compare", FIRST, LAST, "--key-strategy", "hash"]);

    assert_eq!(by_field["key"], "arpFlood,name");
    for found in [by_field, by_hash] {
        assert_eq!(found["summary"]["changed"], 0);
        assert_eq!(found["summary"]["added"], 2);
        assert_eq!(found["summary"]["removed"], 2);
    }
}

#[test]
fn snapshots_of_different_queries_are_compared_with_a_warning() {
    let folder = folder();
    folder.write("rows.csv", "dn\na\n");
    folder.run(&["capture", "--query", "other", "--from", "rows.csv"]).done();

    let found = folder.json(&["compare", "other@latest", LAST]);

    assert!(found["warnings"][0].as_str().unwrap().contains("different queries"), "{found}");
}
