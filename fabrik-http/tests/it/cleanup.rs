//! `fabrik cleanup`.

use serde_json::{Value, json};

use crate::folder::{Folder, answer};

/// Three snapshots of 1 to 3 January 2026 that are kept for 30 days, and a moment at which two have expired.
const NOW: &str = "2026-02-01T12:00:00Z";

fn folder() -> Folder {
    Folder::with_captures(&[&answer(&[("a", "no")]), &answer(&[("b", "no")]), &answer(&[("c", "no")])])
}

fn count(folder: &Folder) -> Value {
    folder.json(&["snapshots", "--query", "q"])["count"].clone()
}

#[test]
fn preview_changes_nothing() {
    let folder = folder();

    let plan = folder.json(&["cleanup", "--now", NOW]);

    assert_eq!(plan["will_delete"], json!({"7d": 0, "30d": 2, "90d": 0, "1y": 0, "forever": 0}));
    assert!(plan["total_bytes_reclaimed"].as_u64().unwrap() > 0);
    assert_eq!(plan["doomed"][0]["captured_at"], "2026-01-01T08:00:00+00:00");
    assert_eq!(count(&folder), 3);
    let table = folder.run(&["cleanup", "--now", NOW, "--format", "table"]).done().stdout;
    assert!(table.starts_with("2 snapshots would go (2 of 30d)"), "{table}");
    assert!(table.ends_with("nothing was changed; --execute deletes them\n"), "{table}");
}

#[test]
fn execute_deletes_what_the_preview_said_and_a_second_run_nothing() {
    let folder = folder();
    let plan = folder.json(&["cleanup", "--now", NOW]);

    let outcome = folder.json(&["cleanup", "--now", NOW, "--execute"]);
    let again = folder.json(&["cleanup", "--now", NOW, "--execute"]);

    assert_eq!(outcome["will_delete"], plan["will_delete"]);
    assert_eq!(outcome["stored_bytes_reclaimed"], plan["stored_bytes_reclaimed"]);
    assert_eq!(again["will_delete"]["30d"], 0);
    assert_eq!(count(&folder), 1);
    folder.run(&["verify"]).done();
    folder.run(&["show", "q@latest"]).done();
}

#[test]
fn pins_and_the_newest_can_be_protected() {
    let folder = folder();
    folder.run(&["annotate", "q@latest~2", "--pin"]).done();

    let plan = folder.json(&["cleanup", "--now", "2026-06-01T00:00:00Z", "--keep-newest"]);

    assert_eq!(plan["will_delete"]["30d"], 1);
    let protection: Vec<&Value> =
        plan["protected"].as_array().unwrap().iter().map(|snapshot| &snapshot["protected_by"]).collect();
    assert_eq!(protection, [&json!("pin"), &json!("newest_of_series")]);
}

#[test]
fn one_query_can_be_cleaned_alone() {
    let folder = folder();
    folder.write("rows.csv", "dn\na\n");
    folder.run(&["capture", "--query", "other", "--from", "rows.csv", "--at", "2026-01-01T00:00:00Z"]).done();

    let outcome = folder.json(&["cleanup", "--execute", "--now", NOW, "--query", "other"]);

    assert_eq!(outcome["will_delete"]["30d"], 1);
    assert_eq!(count(&folder), 3);
}

#[test]
fn of_too_many_the_newest_stay() {
    let folder = folder();
    let early = "2026-01-04T00:00:00Z";

    let plan = folder.json(&["cleanup", "--now", early, "--max-per-series", "2"]);
    let outcome = folder.json(&["cleanup", "--now", early, "--max-per-series", "2", "--execute"]);

    assert_eq!((&plan["will_delete"]["30d"], &plan["over_count"]), (&json!(1), &json!(1)));
    assert_eq!((&plan["doomed"][0]["doomed_by"], &outcome["over_count"]), (&json!("count"), &json!(1)));
    assert_eq!(plan["doomed"][0]["captured_at"], "2026-01-01T08:00:00+00:00");
    assert_eq!(count(&folder), 2);
    assert_ne!(folder.run(&["cleanup", "--max-per-series", "0"]).code, 0);
}
