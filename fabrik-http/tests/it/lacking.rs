//! What a snapshot does not hold is told wherever it matters.

use serde_json::json;

use crate::folder::{Folder, answer};

/// Two snapshots of which the newer one holds less: it is said to be of this coverage.
fn folder(coverage: &str) -> Folder {
    let less = r#"[{"className":"fvBD","dn":"uni/tn-blue/BD-app","name":"app"}]"#;
    let folder = Folder::with_captures(&[&answer(&[("app", "no")]), less]);
    let store = rusqlite::Connection::open(folder.path("fabrik.db")).unwrap();
    let newest = "UPDATE snapshot SET coverage = ?1 WHERE captured_at = (SELECT max(captured_at) FROM snapshot)";
    assert_eq!(store.execute(newest, [coverage]).unwrap(), 1);
    folder
}

#[test]
fn coverage_is_shown_when_it_is_not_full() {
    let (config, full) = (folder("config-only"), folder("full"));
    let table =
        |folder: &Folder, arguments: &[&str]| folder.run(&[arguments, &["--format", "table"]].concat()).done().stdout;

    assert!(table(&config, &["show", "q@latest"]).contains("coverage     config-only\n"));
    assert!(!table(&full, &["show", "q@latest"]).contains("coverage"));
    let listed = table(&config, &["snapshots", "--query", "q"]);
    assert!(listed.lines().next().unwrap().contains("ROWS  STATE  ") && listed.contains("  config-only  "), "{listed}");
    assert!(!table(&full, &["snapshots", "--query", "q"]).contains("STATE"));
    assert_eq!(config.json(&["show", "q@latest"])["coverage"], "config-only");
    assert_eq!(full.json(&["show", "q@latest"])["coverage"], "full");
}

#[test]
fn a_comparison_of_different_coverages_says_so_in_every_form() {
    let (config, full) = (folder("config-only"), folder("full"));
    let compare = |folder: &Folder, format: &str| {
        folder.run(&["compare", "q@latest~1", "q@latest", "--format", format]).done().stdout
    };
    let sentence = "compared only the attributes that both have: the older is full, the newer config-only";

    for format in ["table", "markdown", "json", "ndjson"] {
        assert!(compare(&config, format).contains(sentence), "{}", compare(&config, format));
        assert!(!compare(&full, format).contains("compared only"), "{}", compare(&full, format));
    }
    let report: serde_json::Value = serde_json::from_str(&compare(&config, "json")).unwrap();
    assert_eq!(report["coverage"], json!({"older": "full", "newer": "config-only"}));
    assert_eq!((&report["summary"]["unchanged"], &report["changed"]), (&json!(1), &json!([])));
    let last: serde_json::Value = serde_json::from_str(compare(&config, "ndjson").lines().last().unwrap()).unwrap();
    assert_eq!(last["coverage"], report["coverage"]);
    assert!(compare(&full, "table").contains("1 changed"));
}

#[test]
fn an_object_that_a_partial_answer_may_have_missed_was_not_captured() {
    let cut_short = answer(&[("app", "no")]).replace(r#""totalCount":"1""#, r#""totalCount":"2""#);
    let folder = Folder::with_captures(&[&answer(&[("app", "no"), ("db", "no")]), &cut_short]);

    let timeline = ["timeline", "--query", "q", "--dn", "uni/tn-blue/BD-db", "--format", "table"];
    let text = folder.run(&timeline).done().stdout;

    assert!(text.contains("? 2026-01-02") && text.contains("not captured"), "{text}");
    assert!(!text.contains("deleted"), "{text}");
}
