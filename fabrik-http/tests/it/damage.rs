//! A store with a damaged chunk.

use rusqlite::Connection;

use crate::folder::{Folder, answer};

/// Makes a store of two queries and damages what the second one needs.
fn damaged() -> (Folder, String) {
    let folder = Folder::with_captures(&[&answer(&[("app", "no")])]);
    folder.write("rows.csv", "dn,x\na,1\n");
    let hurt = folder.json(&["capture", "--query", "hurt", "--from", "rows.csv"])["id"].as_str().unwrap().to_owned();
    let store = Connection::open(folder.path("fabrik.db")).unwrap();
    store
        .execute("UPDATE chunk SET frame = randomblob(length(frame)) WHERE seq = (SELECT max(seq) FROM chunk)", [])
        .unwrap();
    (folder, hurt)
}

#[test]
fn verify_names_the_chunk_and_the_snapshots_it_hurts() {
    let (folder, hurt) = damaged();

    let run = folder.run(&["verify"]);

    assert_eq!((run.code, run.stderr.as_str()), (4, ""));
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["damage"].as_array().unwrap().len(), 1);
    assert_eq!(found["damage"][0]["snapshots"][0], hurt);
    let table = folder.run(&["verify", "--format", "table"]).stdout;
    assert!(table.starts_with("the store is damaged in 1 place"), "{table}");
    assert!(table.contains(&format!("hurts snapshot {hurt}")), "{table}");
}

#[test]
fn reading_a_hurt_snapshot_says_so_and_others_still_read() {
    let (folder, hurt) = damaged();

    folder.run(&["show", "hurt@latest", "--format", "ndjson"]).refused(4, &["chunk", "damaged", &hurt]);
    folder.run(&["compare", "q@latest", "hurt@latest"]).refused(4, &["chunk", &hurt]);
    folder.run(&["show", "q@latest"]).done();
}

#[test]
fn files_that_are_no_store_are_refused_and_left_alone() {
    let folder = Folder::new();
    folder.write(
        "text.db",
        "certainly not a store, but long enough to have a header of a hundred bytes, if it were one at all",
    );
    folder.write("short.db", "SQLite");
    folder.write("rows.csv", "dn\na\n");

    for file in ["text.db", "short.db"] {
        let before = std::fs::read(folder.path(file)).unwrap();
        let store = format!("sqlite:{file}");
        folder.run(&["--store", &store, "queries"]).refused(1, &[file, "cannot be opened as a Fabrik store"]);
        folder.run(&["--store", &store, "capture", "--query", "q", "--from", "rows.csv"]).refused(1, &[file]);
        assert_eq!(std::fs::read(folder.path(file)).unwrap(), before);
    }
}
