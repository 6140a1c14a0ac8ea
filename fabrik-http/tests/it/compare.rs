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

/// A bridge domain stops routing, another changes its description, one was touched, and a fault came.
fn judged_folder() -> Folder {
    let rows = |route: &str, descr: &str, stamp: &str, fault: &str| {
        format!(
            r#"[{{"className":"fvBD","dn":"uni/tn-a/BD-app","name":"app","unicastRoute":"{route}"}},
                {{"className":"fvBD","dn":"uni/tn-a/BD-db","name":"db","descr":"{descr}","modTs":"{stamp}"}},
                {{"className":"fvBD","dn":"uni/tn-a/BD-web","name":"web","modTs":"{stamp}"}}{fault}]"#
        )
    };
    let fault = r#",{"className":"faultInst","code":"F1","descr":"a | b","dn":"f","severity":"critical"}"#;
    Folder::with_captures(&[&rows("yes", "old", "1", ""), &rows("no", "new", "2", fault)])
}

#[test]
fn severity_and_noise_are_in_json() {
    let folder = judged_folder();

    let plain = folder.json(&["compare", FIRST, LAST]);
    let judged = folder.json(&["compare", FIRST, LAST, "--severity", "--noise", "on"]);

    assert_eq!(plain["summary"].as_object().unwrap().len(), 8);
    assert_eq!(plain["summary"]["changed"], 3);
    assert_eq!(plain["changed"][0].as_object().unwrap().len(), 2);
    assert_eq!(plain["added"][0]["severity"], "critical", "the row's own");
    let summary = &judged["summary"];
    assert_eq!(
        (&summary["changed"], &summary["noise_changes"], &summary["noise_attributes"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(summary["by_severity"], json!({"critical": 1, "high": 1, "medium": 0, "low": 0, "info": 1}));
    assert_eq!((&summary["risk_score"], &summary["risk_level"]), (&json!(83), &json!("critical")));
    assert_eq!(judged["changed"][0]["severity"], "critical");
    assert_eq!(judged["changed"][0]["rule"], "bd-routing-off");
    assert_eq!(judged["changed"][1]["severity"], "info");
    assert_eq!(judged["changed"][1]["fields"], json!({"descr": {"before": "old", "after": "new"}}));
    let added = &judged["added"][0];
    assert_eq!((&added["row"]["code"], &added["severity"]), (&json!("F1"), &json!("high")));
    assert_eq!(added["reason"], "new critical fault F1: a | b");
}

#[test]
fn the_worst_changes_stand_first_in_a_table() {
    let arguments = ["compare", FIRST, LAST, "--min-severity", "high", "--noise", "on", "--format"];
    let folder = judged_folder();

    let table = folder.run(&[&arguments[..], &["table"]].concat()).done().stdout;
    let markdown = folder.run(&[&arguments[..], &["markdown"]].concat()).done().stdout;
    let lines = folder.run(&[&arguments[..], &["ndjson"]].concat()).done().stdout;

    let expected = [
        "1 added, 0 removed, 2 changed, 0 unchanged, 1 only noise",
        "risk 83 of 100: 1 critical, 1 high, 1 info; 1 less severe than asked for not shown",
        "~ uni/tn-a/BD-app (fvBD)",
        "    critical: bridge domain app does not route any more: its gateways stop answering",
        "    unicastRoute  yes → no",
        "+ f (faultInst)",
        "    high: new critical fault F1: a | b",
    ];
    assert_eq!(table.lines().skip(2).collect::<Vec<_>>(), expected);
    for part in [
        "**risk 83 of 100: 1 critical, 1 high, 1 info; 1 less severe than asked for not shown**\n",
        "| severity | why | object | class |\n| --- | --- | --- | --- |\n| high | new critical fault F1: a \\| b | `f` | faultInst |\n",
        "| severity | why | object | attribute | before | after |\n| --- | --- | --- | --- | --- | --- |\n| critical | ",
    ] {
        assert!(markdown.contains(part), "{part:?} is not in {markdown}");
    }
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["kind"], &lines[0]["severity"]), (&json!("added"), &json!("high")));
    assert_eq!(lines[0]["row"]["severity"], "critical");
    assert_eq!((&lines[1]["kind"], &lines[1]["severity"]), (&json!("changed"), &json!("critical")));
    assert_eq!(lines[2]["summary"]["below_min_severity"], 1);
}

#[test]
fn a_table_of_ones_own_goes_first_and_decides_the_exit_code() {
    let folder = judged_folder();
    folder.write("severity.toml", "[[rule]]\nid = 'lab'\nclass = '*'\nseverity = 'low'\nreason = 'only {name}'\n");
    folder.write("noise.toml", "disable = ['bookkeeping']\n");
    folder.write("wrong.toml", "[[rule]]\nid = 'lab'\nclass = '*'\nseverity = 'bad'\nreason = 'x'\n");
    let compare = |more: &[&str]| folder.run(&[&["compare", FIRST, LAST, "--exit-code"], more].concat());

    let judged = folder.json(&["compare", FIRST, LAST, "--severity-table", "severity.toml"]);
    let noisy = folder.json(&["compare", FIRST, LAST, "--noise-table", "noise.toml"]);

    assert_eq!(judged["changed"][0]["reason"], "only app");
    assert_eq!(judged["summary"]["by_severity"]["low"], 4);
    assert_eq!((&noisy["summary"]["changed"], &noisy["summary"]["noise_changes"]), (&json!(3), &json!(0)));
    assert_eq!(compare(&["--severity-table", "severity.toml"]).code, 3);
    assert_eq!(compare(&["--severity-table", "severity.toml", "--min-severity", "medium"]).code, 0);
    let wrong = compare(&["--severity-table", "wrong.toml"]);
    wrong.refused(1, &["wrong.toml: rule \"lab\": severity \"bad\"", "critical, high"]);
    compare(&["--noise-table", "absent.toml"]).refused(1, &["cannot read the table absent.toml"]);
}
