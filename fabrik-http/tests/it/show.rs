//! `fabrik show`.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_ipc::reader::StreamReader;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Value, json};

use crate::folder::{Folder, Run};

const ROWS: &str = r#"[{"dn":"b","n":1.0,"t":"say \"x, y\""},{"dn":"a","z":null,"l":[1,{"k":"v"}]}]"#;

#[test]
fn json_ends_with_the_rows_in_key_order() {
    let folder = Folder::with_captures(&[ROWS]);

    let text = folder.run(&["show", "q@latest"]).done().stdout;

    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["row_count"], 2);
    assert_eq!(shown["rows"][0], json!({"dn": "a", "l": [1, {"k": "v"}], "z": null}));
    assert!(text.ends_with("}]}\n"), "the rows come last: {text}");
    assert!(text.contains(r#""n":1.0"#), "digits are kept: {text}");
}

#[test]
fn ndjson_has_a_line_for_each_row() {
    let folder = Folder::with_captures(&[ROWS]);

    let text = folder.run(&["show", "q@latest", "--format", "ndjson"]).done().stdout;

    assert_eq!(
        text,
        "{\"dn\":\"a\",\"l\":[1,{\"k\":\"v\"}],\"z\":null}\n{\"dn\":\"b\",\"n\":1.0,\"t\":\"say \\\"x, y\\\"\"}\n"
    );
}

#[test]
fn csv_has_the_columns_of_all_rows() {
    let folder = Folder::with_captures(&[ROWS]);

    let text = folder.run(&["show", "q@latest", "--format", "csv"]).done().stdout;

    assert_eq!(text, "dn,l,n,t,z\na,\"[1,{\"\"k\"\":\"\"v\"\"}]\",,,\nb,,1.0,\"say \"\"x, y\"\"\",\n");
}

#[test]
fn arrow_and_parquet_have_a_column_for_each_attribute() {
    let folder = Folder::with_captures(&[ROWS]);
    let read = |format: &str| {
        let file = File::create(folder.path(format)).unwrap();
        let child = folder.command(&["show", "q@latest", "--format", format]).stdout(file).spawn().unwrap();
        Run::of(child).done();
        Bytes::from(std::fs::read(folder.path(format)).unwrap())
    };

    let arrow = StreamReader::try_new(read("arrow").reader(), None).unwrap();
    let parquet = ParquetRecordBatchReader::try_new(read("parquet"), 100).unwrap();

    for batch in [arrow.map(Result::unwrap).collect::<Vec<_>>(), parquet.map(Result::unwrap).collect()].concat() {
        let schema = batch.schema();
        let columns: Vec<_> =
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        assert_eq!(columns, ["dn Utf8", "l Utf8", "n Float64", "t Utf8", "z Utf8"]);
        assert_eq!(batch.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn rows_without_any_have_a_form_in_every_format() {
    let folder = Folder::with_captures(&["[]"]);
    let show = |format| folder.run(&["show", "q@latest", "--format", format]).done().stdout;

    assert!(show("json").ends_with("\"rows\":[]}\n"));
    assert_eq!(show("ndjson"), "");
    assert_eq!(show("csv"), "");
    assert!(show("table").contains("rows         0 "), "{}", show("table"));
}

#[test]
fn table_shows_the_first_rows_and_how_to_see_all() {
    let rows: String = (0..100).map(|i| format!("{{\"dn\":\"uni/{i:03}\",\"x\":\"\\u001b[31m\"}}\n")).collect();
    let folder = Folder::with_captures(&[&rows]);

    let text = folder.run(&["show", "q@latest", "--format", "table"]).done().stdout;

    assert!(text.contains("uni/019") && !text.contains("uni/020"), "{text}");
    assert!(text.contains("80 more rows: `fabrik show q@latest --format ndjson`"), "{text}");
    assert!(!text.contains('\x1b'), "a value must not recolour the terminal");
}
