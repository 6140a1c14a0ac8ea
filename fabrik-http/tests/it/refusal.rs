//! What bad input gets: an error that names it, the right exit code, and a store that stays as it is.

use crate::folder::{Folder, answer};

fn folder() -> Folder {
    Folder::with_captures(&[&answer(&[("app", "no")]), &answer(&[("app", "yes")])])
}

#[test]
fn bad_rows_are_refused() {
    let deep = format!("[{{\"dn\":\"a\",\"x\":{}{}}}]", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("[{{\"dn\":\"a\",\"x\":\"{}\"}}]", "x".repeat(17 << 20));
    let good = answer(&[("app", "no"), ("db", "no")]);
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("nothing", b"", &["empty"]),
        ("not JSON", b"hello", &["not JSON"]),
        ("binary", b"\x7fELF\x00\x01\x02\x03,\n", &["not JSON"]),
        ("cut off", &good.as_bytes()[..good.len() - 20], &["standard input"]),
        ("cut off in a row", &good.as_bytes()[..60], &["standard input"]),
        ("wrong shape", br#"{"imdata": 7}"#, &["standard input", "imdata"]),
        ("row that is no object", br#"[{"dn":"a"}, 7]"#, &["row 2"]),
        (
            "APIC error",
            br#"{"totalCount":"1","imdata":[{"error":{"attributes":{"code":"403","text":"Token was invalid"}}}]}"#,
            &["403", "Token was invalid"],
        ),
        ("invalid UTF-8", b"[{\"dn\":\"\xff\"}]", &["UTF-8"]),
        ("deep nesting", deep.as_bytes(), &["row 1", "100"]),
        ("member twice", br#"[{"dn":"a","x":1,"x":2}]"#, &["row 1", "\"x\""]),
        ("value too long", long.as_bytes(), &["row 1"]),
        (
            "XML cut off",
            b"<imdata totalCount=\"1\"><fvBD dn=\"a\">",
            &["line 1", "the input ends inside 2 open elements"],
        ),
        ("XML with a document type", b"<?xml version=\"1.0\"?><!DOCTYPE x><imdata/>", &["document type"]),
        ("web page", b"<html><hr><center>Cisco APIC</center></html>", &["HTML page"]),
        ("APIC error in XML", b"<imdata><error code=\"403\" text=\"Token was invalid\"/></imdata>", &["403", "Token"]),
        ("zip archive", b"PK\x03\x04", &["zip archive"]),
    ];
    let folder = folder();
    let before = folder.contents();
    for (name, input, parts) in cases {
        let run = folder.run_with_input(&["capture", "--query", "q", "--from", "-"], input);

        run.refused(1, parts);
        assert_eq!(folder.contents(), before, "{name} changed the store");
    }
}

#[test]
fn bad_arguments_are_wrong_usage() {
    let long_label = "x".repeat(101);
    let cases: &[(&[&str], &[&str])] = &[
        (&["capture", "--query", "q"], &["--from", "file"]),
        (
            &["capture", "--query", "q", "--from", "-", "--at", "2026-01-15T10:30:00"],
            &["at", "2026-01-15T10:30:00", "zone"],
        ),
        (&["capture", "--query", "q", "--from", "-", "--at", "2999-01-01T00:00:00Z"], &["at", "2999-01-01", "future"]),
        (&["capture", "--query", "q", "--from", "-", "--retention", "9d"], &["retention", "9d", "30d"]),
        (&["capture", "--query", "q", "--from", "-", "--key", "dn,dn"], &["key", "dn,dn"]),
        (
            &["capture", "--query", "q", "--from", "-", "--input-format", "yaml"],
            &["format", "yaml", "ndjson", "config-export"],
        ),
        (&["capture", "--query", "q", "--from", "-", "--coverage", "some"], &["coverage", "some", "naming-only"]),
        (&["capture", "--query", " ", "--from", "rows.csv"], &["query"]),
        (&["capture", "--query", "q", "--from", "rows.csv", "--label", &long_label], &["label", "100"]),
        (&["compare", "q@latest~1", "q@latest", "--ignore", "a b"], &["ignore", "a b"]),
        (&["compare", "q@latest~1", "q@latest", "--key-fields", "a,,b"], &["key", "a,,b"]),
        (&["compare", "q@latest~1", "q@soon"], &["q@soon", "latest"]),
        (&["show", "xyz"], &["xyz", "QUERY@latest"]),
        (&["timeline", "--query", "q", "--dn", "uni", "--limit", "0"], &["limit"]),
        (&["timeline", "--query", "q", "--dn", "uni", "--from-date", "soon"], &["from_date", "soon"]),
        (
            &["timeline", "--query", "q", "--dn", "uni", "--from-date", "2026-02-01", "--to-date", "2026-01-01"],
            &["from_date", "2026-02-01"],
        ),
        (&["heatmap", "--query", "q", "--window", "3x"], &["window", "3x"]),
        (&["heatmap", "--query", "q", "--timezone", "Mars/Olympus"], &["timezone", "Mars/Olympus"]),
        (&["dns", "--query", "q", "--limit", "0"], &["limit"]),
        (&["cleanup", "--now", "yesterday"], &["now", "yesterday"]),
        (&["queries", "--store", "fabrik.db"], &["store", "fabrik.db", "sqlite:PATH"]),
    ];
    let folder = folder();
    folder.write("rows.csv", "dn\na\n");
    let before = folder.contents();
    for (arguments, parts) in cases {
        let run = folder.run_with_input(arguments, b"[]");

        run.refused(2, parts);
        assert_eq!(folder.contents(), before, "{arguments:?} changed the store");
    }
}

#[test]
fn what_the_parser_refuses_is_wrong_usage_too() {
    let folder = Folder::new();
    for arguments in [
        &["bogus"][..],
        &[],
        &["compare", "a"],
        &["show", "a", "--format", "xml"],
        &["annotate", "a", "--pin", "--unpin"],
        &["compare", "a", "b", "--key-fields", "x", "--key-strategy", "dn"],
    ] {
        assert_eq!(folder.run(arguments).code, 2, "{arguments:?}");
    }
    assert!(!folder.path("fabrik.db").exists());
}

#[test]
fn what_is_not_there_is_a_failure() {
    let folder = folder();
    for name in ["empty", "broken"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    folder.write("broken/fvBD.json", "{");
    let cases: &[(&[&str], &[&str])] = &[
        (&["capture", "--query", "q", "--from", "gone.json"], &["gone.json"]),
        (&["capture", "--query", "q", "--from", "empty"], &["empty cannot be captured: it has no files"]),
        (&["capture", "--query", "q", "--from", "broken"], &["broken: fvBD.json cannot be captured"]),
        (&["snapshots", "--query", "nope"], &["query \"nope\" not found", "\"q\""]),
        (&["timeline", "--query", "nope", "--dn", "uni"], &["nope"]),
        (&["heatmap", "--query", "nope"], &["nope"]),
        (&["dns", "--query", "nope"], &["nope"]),
        (&["cleanup", "--query", "nope"], &["nope"]),
        (&["show", "nope@latest"], &["nope"]),
        (&["show", "q@latest~9"], &["q@latest~9", "fewer"]),
        (&["show", "q@2020-01-01T00:00:00Z"], &["q@2020", "early"]),
        (&["show", "00000000"], &["snapshot \"00000000\" not found"]),
        (&["annotate", "00000000", "x"], &["00000000"]),
    ];
    let before = folder.contents();
    for (arguments, parts) in cases {
        folder.run(arguments).refused(1, parts);
        assert_eq!(folder.contents(), before, "{arguments:?} changed the store");
    }
}

#[test]
fn ambiguous_prefix_lists_the_candidates() {
    let folder = folder();
    let ids: Vec<String> = folder.json(&["snapshots", "--query", "q"])["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|snapshot| snapshot["id"].as_str().unwrap().to_owned())
        .collect();
    // Ids made within a minute begin alike.
    let prefix = &ids[0][..5];

    folder.run(&["show", prefix]).refused(1, &["ambiguous", &ids[0], &ids[1]]);
}

#[test]
fn reading_needs_a_store_and_makes_none() {
    let folder = Folder::new();
    for arguments in [
        &["queries"][..],
        &["snapshots", "--query", "q"],
        &["show", "q@latest"],
        &["compare", "q@latest", "q@latest"],
        &["timeline", "--query", "q", "--dn", "uni"],
        &["heatmap", "--query", "q"],
        &["dns", "--query", "q"],
        &["annotate", "q@latest", "x"],
        &["cleanup"],
        &["cleanup", "--execute"],
        &["verify"],
        &["stats"],
    ] {
        folder.run(arguments).refused(1, &["no store at sqlite:fabrik.db", "`fabrik capture`"]);
        assert!(!folder.path("fabrik.db").exists(), "{arguments:?}");
    }
}

#[test]
fn places_that_cannot_hold_a_store_are_named() {
    let folder = Folder::new();
    folder.write("rows.csv", "dn\na\n");

    for place in [".", "gone/fabrik.db", "rows.csv/fabrik.db"] {
        let store = format!("sqlite:{place}");
        folder.run(&["--store", &store, "capture", "--query", "q", "--from", "rows.csv"]).refused(1, &[place]);
    }
}

#[test]
fn messages_stay_on_one_line_whatever_was_given() {
    let folder = folder();

    let run = folder.run(&["show", "a\n\x1b[31mb"]);

    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(!run.stderr.contains('\x1b'));
}
