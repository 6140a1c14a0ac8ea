//! `fabrik capture`.

use crate::folder::{Folder, answer};

#[test]
fn capture_prints_the_snapshot_in_the_shape_of_the_api() {
    let folder = Folder::new();
    folder.write("answer.json", answer(&[("app", "no"), ("db", "yes")]));

    let captured = folder.json(&[
        "capture",
        "--query",
        "BD subnets",
        "--connection",
        "lab",
        "--from",
        "answer.json",
        "--at",
        "2026-03-02T09:16:01+01:00",
        "--annotation",
        "before the VRF move",
        "--label",
        "baseline",
    ]);

    assert_eq!(captured["query_name"], "BD subnets");
    assert_eq!(captured["apic_connection_name"], "lab");
    assert_eq!(captured["captured_at"], "2026-03-02T08:16:01+00:00");
    assert_eq!(captured["captured_by"], "mara");
    assert_eq!(captured["row_count"], 2);
    assert!(captured["version_hash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(captured["retention_policy"], "30d");
    assert_eq!(captured["expires_at"], "2026-04-01T08:16:01+00:00");
    assert_eq!(captured["annotation"], "before the VRF move");
    assert_eq!(captured["label"], "baseline");
    assert_eq!(captured["is_duplicate"], false);
}

#[test]
fn the_same_rows_in_another_order_are_a_duplicate() {
    let folder = Folder::with_captures(&[&answer(&[("app", "no"), ("db", "yes")])]);

    let again = folder.run_with_input(
        &["capture", "--query", "q", "--from", "-"],
        answer(&[("db", "yes"), ("app", "no")]).as_bytes(),
    );

    let again = again.json();
    assert_eq!(again["is_duplicate"], true);
    assert_eq!(again["has_changes"], false);
    assert_eq!(again["stored_bytes"], 0);
}

#[test]
fn every_format_gives_the_same_rows() {
    let folder = Folder::new();
    folder.write("rows.ndjson", "{\"dn\":\"a\",\"x\":\"1\"}\n{\"dn\":\"b\",\"x\":\"2\"}\n");
    folder.write("rows.json", r#"[{"dn":"b","x":"2"},{"x":"1","dn":"a"}]"#);
    folder.write("rows.csv", "dn,x\na,1\nb,2\n");

    let hashes = ["rows.ndjson", "rows.json", "rows.csv"]
        .map(|file| folder.json(&["capture", "--query", file, "--from", file])["version_hash"].clone());

    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
}

#[test]
fn objects_are_the_same_in_every_form() {
    let folder = Folder::new();
    folder.write("json", answer(&[("app", "no"), ("db", "yes")]));
    folder.write(
        "xml",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><imdata totalCount=\"2\">\
         <fvBD dn=\"uni/tn-blue/BD-db\" name=\"db\" arpFlood=\"yes\"/>\
         <fvBD dn=\"uni/tn-blue/BD-app\" name=\"app\" arpFlood=\"no\"/></imdata>",
    );
    folder.write(
        "moquery",
        "Total Objects shown: 2\n\n# fv.BD\nname     : app\narpFlood : no\ndn       : uni/tn-blue/BD-app\n\n\
         # fv.BD\nname     : db\narpFlood : yes\ndn       : uni/tn-blue/BD-db\n\n",
    );
    std::fs::create_dir(folder.path("folder")).unwrap();
    folder.write("folder/README.md", "collected by hand");
    folder.write("folder/1.json", answer(&[("db", "yes")]));
    folder.write("folder/2.json", answer(&[("app", "no")]));

    let hashes = ["json", "xml", "moquery", "folder"]
        .map(|path| folder.json(&["capture", "--query", path, "--from", path])["version_hash"].clone());

    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

#[test]
fn configuration_export_gets_its_names() {
    let folder = Folder::new();
    let export = r#"{"polUni":{"attributes":{},"children":[{"fvTenant":{"attributes":{"name":"blue"},"children":[
        {"fvBD":{"attributes":{"name":"app","arpFlood":"no"}}},{"xyThing":{"attributes":{"name":"x"}}}]}}]}}"#;
    folder.write("ce2_daily-2026_1.json", export);

    let run = folder.run(&["capture", "--query", "q", "--from", "ce2_daily-2026_1.json", "--format", "table"]).done();
    let rows = folder.run(&["show", "q@latest"]).done().stdout;

    assert!(run.stdout.contains("coverage     config-only"), "{}", run.stdout);
    assert!(run.stdout.contains("partial: 1 row has no DN") && run.stdout.contains("xyThing (1)"), "{}", run.stdout);
    assert!(rows.contains("uni/tn-blue/BD-app"), "{rows}");
}

#[test]
fn table_says_which_files_were_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder")).unwrap();
    folder.write("folder/README.md", "collected by hand");
    folder.write("folder/fvBD.json", answer(&[("db", "yes")]));

    let text = |coverage: &[&str]| {
        let arguments = [&["capture", "--query", "q", "--from", "folder", "--format", "table"], coverage].concat();
        folder.run(&arguments).done().stdout
    };

    assert!(text(&[]).contains("files        1 file read, 1 passed over: README.md\n"), "{}", text(&[]));
    assert!(text(&["--coverage", "naming-only"]).contains("coverage     naming-only\n"));
    assert!(!text(&[]).contains("coverage"));
}

#[test]
fn empty_result_is_a_snapshot_of_no_rows() {
    let folder = Folder::with_captures(&[&answer(&[("app", "no")]), &answer(&[])]);

    let snapshots = folder.json(&["snapshots", "--query", "q"]);

    assert_eq!(snapshots["results"][0]["row_count"], 0);
    assert_eq!(snapshots["results"][0]["changes"]["removed"], 1);
}

#[test]
fn table_says_what_was_captured_and_what_changed() {
    let folder = Folder::with_captures(&[&answer(&[("app", "no")])]);

    let run = folder.run_with_input(
        &["capture", "--query", "q", "--from", "-", "--format", "table", "--retention", "forever"],
        answer(&[("app", "yes"), ("db", "no")]).as_bytes(),
    );

    let text = run.done().stdout;
    assert!(text.starts_with("captured q: 2 rows\n"), "{text}");
    assert!(text.contains("1 added, 0 removed, 1 changed"), "{text}");
    assert!(text.contains("kept         forever"), "{text}");
}

#[test]
fn a_store_in_memory_ends_with_the_command() {
    let folder = Folder::new();
    folder.write("rows.csv", "dn\na\n");

    folder.run(&["--store", "memory:", "capture", "--query", "q", "--from", "rows.csv"]).done();

    assert!(!folder.path("fabrik.db").exists());
    assert_eq!(folder.json(&["queries", "--store", "memory:"])["queries"].as_array().unwrap().len(), 0);
}

#[test]
fn the_store_comes_from_the_environment_unless_it_is_named() {
    let folder = Folder::new();
    folder.write("rows.csv", "dn\na\n");
    let capture = |store: &[&str]| {
        let arguments = [store, &["capture", "--query", "q", "--from", "rows.csv"]].concat();
        let child = folder.command(&arguments).env("FABRIK_STORE", "sqlite:env.db").spawn().unwrap();
        crate::folder::Run::of(child).done();
    };

    capture(&[]);
    capture(&["--store", "sqlite:named.db"]);

    assert!(folder.path("env.db").exists() && folder.path("named.db").exists());
    assert!(!folder.path("fabrik.db").exists());
}
