use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Reads a text and returns its rows as JSON texts.
fn read_blocks(
    text: impl Into<Vec<u8>>,
    format: Option<InputFormat>,
    block_bytes: usize,
) -> Result<(Vec<String>, Verdict)> {
    let reader = Box::new(Cursor::new(text.into()));
    let sizes = Sizes { block_bytes, streamed_row_bytes: STREAMED_ROW_BYTES };
    drain(RecordedSource::start(Origin::new("here"), reader, None, format, sizes)?)
}

fn read(text: impl Into<Vec<u8>>) -> Result<(Vec<String>, Verdict)> {
    read_blocks(text, None, BLOCK_BYTES)
}

fn drain(mut source: RecordedSource) -> Result<(Vec<String>, Verdict)> {
    let mut rows = Vec::new();
    while let Some(batch) = pollster::block_on(source.next_batch())? {
        assert!(!batch.is_empty());
        rows.extend(batch.iter().map(|row| serde_json::to_string(&row).unwrap()));
    }
    Ok((rows, source.verdict()))
}

fn problem(text: impl Into<Vec<u8>>) -> String {
    let error = read(text).unwrap_err().to_string();
    error.strip_prefix("here cannot be captured: ").unwrap().to_owned()
}

fn fixture(name: &str) -> Vec<Value> {
    let path = fixture_path(name);
    let (rows, verdict) = drain(RecordedSource::open(&path, None).unwrap()).unwrap();
    assert_eq!(verdict, Verdict::Complete);
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/apic").join(name)
}

fn column<'a>(rows: &'a [Value], name: &str) -> Vec<&'a str> {
    rows.iter().filter_map(|row| row[name].as_str()).collect()
}

mod recorded_replies {
    use super::*;

    #[test]
    fn one_answer_can_have_many_classes() {
        let rows = fixture("access-policy-25-classes.json");

        assert_eq!(rows.len(), 254);
        assert_eq!(column(&rows, "className").into_iter().collect::<BTreeSet<_>>().len(), 25);
        assert_eq!(rows[0]["dn"], "uni/infra/nprof-L102/leaves-L102-typ-range/nodeblk-102");
    }

    #[test]
    fn children_get_the_dn_that_the_controller_left_out() {
        let rows = fixture("fvAEPg-with-children.json");

        assert_eq!(rows.len(), 34);
        assert_eq!(column(&rows, "className").iter().filter(|class| **class == "fvAEPg").count(), 12);
        assert_eq!(column(&rows, "dn").len(), 34);
        assert!(column(&rows, "dn").contains(&"uni/tn-TK/ap-AP1/epg-EPG3-1/rsdomAtt-[uni/phys-TK_PHYDOM2]"));
    }

    #[test]
    fn trees_are_unfolded_to_their_leaves() {
        let rows = fixture("l3extOut-tree.json");

        assert_eq!(rows.len(), 37);
        assert_eq!(column(&rows, "dn").len(), 37);
        assert!(column(&rows, "dn").contains(
            &"uni/tn-mgmt/out-INB_OSPF/lnodep-INB_OSPF/lifp-INB_OSPF/rspathL3OutAtt-[topology/pod-1/paths-101/pathep-[eth1/13]]"
        ));
    }

    #[test]
    fn line_ends_inside_a_value_are_kept() {
        let rows = fixture("lldpAdjEp-newline-in-value.json");

        assert_eq!(rows.len(), 21);
        assert_eq!(column(&rows, "sysDesc").iter().filter(|value| value.contains("9.3(5)\nTAC support")).count(), 1);
    }

    #[test]
    fn duplicate_dn_stays_twice() {
        let rows = fixture("vzRtAny-duplicate-dn.json");

        assert_eq!(rows.len(), 4);
        assert_eq!(column(&rows, "dn").into_iter().collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn plain_lists_have_one_row_an_object() {
        for (name, class, n_rows, n_columns) in [
            ("fvIfConn.json", "fvIfConn", 108, 29),
            ("eqptSupC-before.json", "eqptSupC", 16, 30),
            ("eqptSupC-after.json", "eqptSupC", 16, 30),
            ("faultInst-before.json", "faultInst", 6, 24),
            ("faultInst-after.json", "faultInst", 6, 24),
            ("topSystem-before.json", "topSystem", 3, 53),
            ("topSystem-after.json", "topSystem", 3, 53),
        ] {
            let rows = fixture(name);
            assert_eq!(rows.len(), n_rows, "{name}");
            assert!(rows.iter().all(|row| row["className"] == class), "{name}");
            assert_eq!(rows.iter().map(|row| row.as_object().unwrap().len()).max(), Some(n_columns), "{name}");
        }
    }
}

#[test]
fn announced_count_decides_the_verdict() {
    let answer = |count: &str| format!(r#"{{"imdata":[{{"a":{{"attributes":{{}}}}}}],"totalCount":{count}}}"#);

    assert_eq!(read(answer(r#""1""#)).unwrap().1, Verdict::Complete);
    assert_eq!(read(answer("1")).unwrap().1, Verdict::Complete);
    let Verdict::Partial { reason, expected_rows, missing } = read(answer(r#""5""#)).unwrap().1 else {
        panic!("an answer with 1 of 5 objects is not complete");
    };
    assert_eq!(reason, "the controller announced 5 objects, the input has 1");
    assert_eq!((expected_rows, missing), (Some(5), vec![]));
}

#[test]
fn children_do_not_count_as_announced() {
    let text = r#"{"totalCount":"1","imdata":[{"a":{"attributes":{},"children":[{"b":{"attributes":{}}}]}}]}"#;

    let (rows, verdict) = read(text).unwrap();

    assert_eq!((rows.len(), verdict), (2, Verdict::Complete));
}

#[test]
fn inputs_without_rows_are_complete() {
    for text in ["[]", " [ ] ", r#"{"totalCount":"0","imdata":[]}"#, r#"{"imdata":[]}"#, "dn,name\n", "dn,name"] {
        assert_eq!(read(text).unwrap(), (vec![], Verdict::Complete), "{text}");
    }
}

#[test]
fn rows_keep_their_values_whatever_the_container() {
    let expected = [r#"{"dn":"uni","n":1.0}"#, r#"{"dn":null,"n":{"a":[],"b":"x"}}"#];
    let rows = [r#"{"n":1.0,"dn":"uni"}"#, r#"{"dn":null,"n":{"b":"x", "a":[ ]}}"#];

    for text in [format!("[{}]", rows.join(",")), rows.join("\n"), format!("\u{feff}{}\n", rows.join("\r\n"))] {
        assert_eq!(read(text).unwrap().0, expected);
    }
}

#[test]
fn fault_names_origin_row_and_place() {
    for (text, expected) in [
        ("[{\"a\":1},{\"a\":}]", "row 2 at byte 14: expected value"),
        ("{\"a\":1}\n\n{\"a\":tru}\n", "row 2 at byte 17: expected ident"),
        (
            "{\n  \"a\": 1\n}\n",
            "row 1 at byte 0: the line ends in the middle of the object; expected one JSON object a line",
        ),
        ("[{\"a\":1,\"a\":2}]", "row 1 at byte 1: attribute \"a\" is there twice"),
        (
            "[{\"a\":1},{\"x\":{\"attributes\":{}}}]",
            "row 2 at byte 9: it is an APIC object; expected a flat row like the first",
        ),
        (
            "[{\"x\":{\"attributes\":{}}},{\"a\":1}]",
            "row 2 at byte 30: invalid type: integer `1`, expected an APIC object: its class with attributes or children",
        ),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    assert_eq!(problem(b"[{\"a\":\"x\"},{\"a\":\"\xfc\"}]"), "row 2 at byte 17: it is not valid UTF-8");
}

#[test]
fn rows_that_are_parsed_side_by_side_keep_their_order_and_number() {
    let padding = "x".repeat(100);
    let mut rows: Vec<String> = (0..50_000).map(|n| format!(r#"{{"n":{n},"x":"{padding}"}}"#)).collect();
    let text = format!("[{}]", rows.join(","));
    assert!(text.len() > 2 * BLOCK_BYTES);
    assert_eq!(read(text).unwrap().0, rows);

    rows[44_321] = "{]}".to_owned();
    assert!(problem(format!("[{}]", rows.join(","))).starts_with("row 44322 at byte "));
    assert!(problem(rows.join("\n")).starts_with("row 44322 at byte "));
}

#[test]
fn what_the_controller_sent_in_place_of_rows_is_an_error() {
    let error = r#"{"error":{"attributes":{"code":"403","text":"Token was invalid"}}}"#;
    for text in [format!(r#"{{"totalCount":"1","imdata":[{error}]}}"#), format!("[{error}]"), format!("{error}\n")] {
        assert!(problem(text).ends_with("the controller answered with error 403: Token was invalid"));
    }
    assert!(problem(r#"{"totalCount":"7","imdata":[]}"#).contains("announced 7 objects and sent none"));
}

#[test]
fn invalid_escape_of_some_controllers_is_repaired() {
    let objects = r#"{"a":{"attributes":{"x":"it's"},"children":[{"b":{"attributes":{"y":"\\'"}}}]}},{"a":{"attributes":{"x":"it\'s"}}}"#;
    let expected =
        [r#"{"className":"a","x":"it's"}"#, r#"{"className":"b","y":"\\'"}"#, r#"{"className":"a","x":"it's"}"#];

    assert_eq!(read(format!("[{objects}]")).unwrap().0, expected);
    assert_eq!(read(r#"[{"a":{"attributes":{"x":"\'"}}}]"#).unwrap().0, [r#"{"className":"a","x":"'"}"#]);
    assert!(problem(r#"[{"x":"it\'s"}]"#).contains("invalid escape"));
}

#[test]
fn format_that_was_named_is_held_to() {
    let flat = r#"[{"dn":"uni"}]"#;

    assert!(read_blocks(flat, Some(InputFormat::Json), 64).is_ok());
    assert!(read_blocks(flat, Some(InputFormat::Apic), 64).is_err());
    assert!(read_blocks(flat, Some(InputFormat::Ndjson), 64).is_err());
    assert_eq!(read_blocks("uni", Some(InputFormat::Csv), 64).unwrap().0, Vec::<String>::new());
}

#[test]
fn failed_source_does_not_look_like_a_short_one() {
    let mut source = RecordedSource::from_reader("here", Box::new(&b"[{},5]"[..]), None).unwrap();

    while let Ok(batch) = pollster::block_on(source.next_batch()) {
        assert!(batch.is_some());
    }

    assert!(pollster::block_on(source.next_batch()).is_err());
}

#[test]
fn compressed_files_are_recognised() {
    let text = r#"[{"a":1},{"a":2}]"#;
    let (first, second) = text.split_at(7);
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    let expected = read(text).unwrap();

    for compressed in
        [gzip(text), [gzip(first), gzip(second)].concat(), zstd(text), [zstd(first), zstd(second)].concat()]
    {
        assert_eq!(read(compressed.clone()).unwrap(), expected);
        for length in [3, compressed.len() / 2, compressed.len() - 1] {
            assert!(read(&compressed[..length]).is_err(), "{length} of {}", compressed.len());
        }
    }
}

#[test]
fn progress_counts_the_bytes_of_the_file() {
    let path = fixture_path("fvIfConn.json");
    let mut source = RecordedSource::open(&path, None).unwrap();

    while pollster::block_on(source.next_batch()).unwrap().is_some() {}

    let length = std::fs::metadata(&path).unwrap().len();
    let expected = SourceProgress { read_bytes: length, total_bytes: Some(length), ..SourceProgress::default() };
    assert_eq!(source.progress(), expected);
}

#[test]
fn file_that_cannot_be_opened_is_named() {
    use std::error::Error as _;

    let missing = RecordedSource::open(Path::new("no/such.json"), None).unwrap_err();

    assert_eq!(missing.to_string(), "no/such.json cannot be captured: it cannot be opened");
    assert!(missing.source().is_some());
}

#[test]
fn deep_nesting_is_refused_without_a_crash() {
    let nested = format!("[{}1{}]", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    assert!(problem(nested).contains("nests deeper"));

    let open = "[".repeat(1_000_000);
    assert!(problem(open).contains("expected a JSON object, found an array"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r#"[\\"{}\[\],:'ü]{0,8}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(r#"[a-c"\\]{0,2}"#, inner, 0..3).prop_map(Value::from_iter),
        ]
    })
}

fn rows() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    let row = prop::collection::btree_map(r#"[a-e"\\{}ü]{0,3}"#, value(), 0..5).prop_map(Map::from_iter);
    prop::collection::vec(row, 0..6)
}

/// Returns the rows in every form that a file can have, and as which rows they must be read.
fn written(rows: &[Map<String, Value>]) -> Vec<(String, Vec<String>, bool)> {
    let flat: Vec<Value> = rows.iter().cloned().map(Value::Object).collect();
    let objects: Vec<Value> = flat.iter().map(|row| json!({ "fvBD": { "attributes": row } })).collect();
    let with_class: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row.insert("className".to_owned(), "fvBD".into());
            Value::Object(row)
        })
        .collect();
    let texts = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let envelope = json!({ "totalCount": rows.len().to_string(), "imdata": objects });

    let mut forms = vec![(envelope.to_string(), texts(&with_class), true)];
    forms.push((serde_json::to_string_pretty(&envelope).unwrap(), texts(&with_class), true));
    for (values, expected) in [(&flat, &flat), (&objects, &with_class)] {
        let values = Value::from(values.clone());
        forms.push((values.to_string(), texts(expected), true));
        forms.push((serde_json::to_string_pretty(&values).unwrap(), texts(expected), true));
    }
    if !rows.is_empty() {
        forms.push((texts(&flat).join("\n"), texts(&flat), false));
        forms.push((texts(&objects).join("\n") + "\n", texts(&with_class), false));
    }
    forms
}

proptest! {
    #[test]
    fn same_rows_come_from_every_form_and_block_size(rows in rows(), block_bytes in 1..64_usize) {
        for (text, expected, _) in written(&rows) {
            let (read, verdict) = read_blocks(text, None, block_bytes).unwrap();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(verdict, Verdict::Complete);
        }
    }

    #[test]
    fn object_that_is_read_in_parts_gives_the_same_rows(
        trees in crate::testing::trees(),
        children_first in any::<bool>(),
        block_bytes in 1..64_usize,
        streamed_row_bytes in 1..200_usize,
    ) {
        let objects: Vec<String> = trees.iter().map(|tree| tree.to_json(children_first)).collect();
        let answer = crate::testing::Tree::answer_json(&trees, children_first);
        let lines: Vec<String> = objects.iter().map(|object| object.replace('\n', " ")).collect();
        for (text, format) in
            [(answer, None), (format!("[{}]", objects.join(",")), None), (lines.join("\n"), Some(InputFormat::Ndjson))]
        {
            if text.is_empty() {
                continue;
            }
            let whole = read_blocks(text.clone(), format, BLOCK_BYTES);
            let reader = Box::new(Cursor::new(text));
            let sizes = Sizes { block_bytes, streamed_row_bytes };
            let source = RecordedSource::start(Origin::new("here"), reader, None, format, sizes);

            let in_parts = source.and_then(drain);

            // A root whose attributes come last becomes a row last.
            let sorted = |read: Result<(Vec<String>, Verdict)>| {
                let (mut rows, verdict) = read.unwrap();
                rows.sort();
                (rows, verdict)
            };
            prop_assert_eq!(sorted(in_parts), sorted(whole));
        }
    }

    #[test]
    fn cut_off_document_is_an_error(rows in rows(), cut in any::<prop::sample::Index>(), block_bytes in 1..64_usize) {
        for (text, _, is_document) in written(&rows) {
            let length = cut.index(text.len());
            let read = read_blocks(&text.as_bytes()[..length], None, block_bytes);
            prop_assert!(read.is_err() || !is_document, "{}", &text[..text.floor_char_boundary(length)]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in r#"[\[{]?[\[\]{}",:\\'a1 \n]{0,60}"#,
        block_bytes in 1..64_usize,
    ) {
        for format in InputFormat::ALL.into_iter().map(Some).chain([None]) {
            let _ = read_blocks(bytes.clone(), format, block_bytes);
            let _ = read_blocks(text.clone(), format, block_bytes);
        }
    }
}
